// Small tools for the document.
//
// Names of jobs, repositories and workflows are untrusted: text reaches the document as text nodes only.

import { plainText } from './format.js';

export const byId = (id) => document.getElementById(id);

/** Makes an element. `on…` properties are listeners; other properties are set as such where the element has them. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === 'class') made.className = value;
    else if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else if (key in made && !key.startsWith('aria-') && key !== 'role') made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

export function svgElement(tag, attributes = {}) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** Makes an icon; `setIcon` says which. Icons repeat a text beside them, so screen readers skip them. */
export function makeIcon() {
  const svg = svgElement('svg', { class: 'icon', 'aria-hidden': 'true' });
  svg.append(svgElement('use'));
  return svg;
}

/** Shows one of the symbols of `index.html`. */
export function setIcon(svg, look) {
  const href = `#i-${look}`;
  if (svg.firstChild.getAttribute('href') !== href) svg.firstChild.setAttribute('href', href);
}

/** Writes a text only where it differs: a selection and the layout survive. */
export function setText(target, text) { if (target.textContent !== text) target.textContent = text; }

export function setVisible(target, visible) { if (target.hidden === visible) target.hidden = !visible; }

/** Sets a tooltip, or removes it where the text is empty. */
export function setTitle(target, text) {
  if (text) target.title = text;
  else target.removeAttribute('title');
}

/** Writes a name whose end tells it apart: where there is no room, its middle is cut. */
export function setName(target, name) {
  const text = plainText(name);
  const cut = Math.max(0, text.length - 8);
  target.replaceChildren(
    element('span', { class: 'name-head' }, text.slice(0, cut)),
    element('span', { class: 'name-tail' }, text.slice(cut)),
  );
  target.title = text;
}

/** Makes a short form of a runner's name. */
export function shortName(name) {
  const text = plainText(name);
  return element('span', { class: 'short', title: text }, `…${text.slice(-8)}`);
}

/** Writes a reason: its text, then its code. */
export function setReason(target, reason) {
  const text = plainText(reason?.text);
  const code = plainText(reason?.code);
  const signature = `${text}\n${code}`;
  if (target.dataset.sum === signature) return;
  target.dataset.sum = signature;
  target.replaceChildren();
  if (text || code) target.append(element('span', { class: 'why' }, text || code));
  if (text && code) target.append(' ', element('code', { class: 'code' }, code));
  setTitle(target, text || code);
}

/** Puts elements into `parent` in this order, before `end`. Elements that are in place are not touched. */
export function arrange(parent, elements, end) {
  let at = parent.firstElementChild;
  while (at?.classList.contains('group-head')) at = at.nextElementSibling;
  for (const next of elements) {
    if (next === at) at = at.nextElementSibling;
    else if (next.isConnected && parent.moveBefore) parent.moveBefore(next, at ?? end);
    else parent.insertBefore(next, at ?? end);
  }
}

let announcement = 0;
/** Has screen readers read a text. The last of several texts within a moment wins, so that a burst is one sentence. */
export function announce(text) {
  clearTimeout(announcement);
  announcement = setTimeout(() => setText(byId('say'), text), 400);
}

/** Opens an address in a new tab, which cannot reach this page. */
export const openTab = (address) => window.open(address, '_blank', 'noopener,noreferrer');
