// The parts that the details of jobs and runners have in common: top, bar, timeline and facts.

import { drawBar } from './bars.js';
import { serverTime, setTime } from './clock.js';
import { byId, element, makeIcon, setIcon, setText, setVisible } from './dom.js';
import {
  CLOCK_MILLIS, DASH, formatDuration, formatStepDuration, httpsAddress, plainText, textOrDash,
} from './format.js';
import { durations } from './redraw.js';
import { openDetails } from './selection.js';
import { mergeSteps } from './timeline.js';
import { stepWord } from './words.js';

const own = new Set();           // the growing durations in the details

function addDuration(update) {
  own.add(update);
  durations.add(update);
  update(serverTime());
}

/** Forgets the growing durations of the item before. */
export function clearDetailDurations() {
  for (const update of own) durations.delete(update);
  own.clear();
}

/** Draws state, title, link and reason. */
export function drawTop({ look, word, title, subtitle, url = null, reason = null }) {
  const svg = makeIcon();
  setIcon(svg, look);
  byId('d-state').dataset.look = look;
  byId('d-state').replaceChildren(svg, element('span', {}, word));
  setText(byId('d-title'), title);
  setText(byId('d-sub'), subtitle);
  const address = httpsAddress(url);
  setVisible(byId('d-link'), address !== null);
  if (address) byId('d-link').href = address;
  else byId('d-link').removeAttribute('href');
  const why = plainText(reason?.text) || plainText(reason?.code);
  const box = byId('d-reason');
  setVisible(box, why !== '');
  box.dataset.look = look;
  box.replaceChildren(element('p', {}, why));
  if (reason?.code) box.append(element('code', { class: 'code' }, plainText(reason.code)));
}

/** Draws the bar of an item's phases with its legend; `words` names the phases. */
export function drawPhases(item, words) {
  const bar = element('div', { class: 'bar big', 'aria-hidden': 'true' });
  const legend = element('ul', { class: 'legend' });
  const update = (now) => {
    const segments = item.segments(now);
    drawBar(bar, segments);
    while (legend.childElementCount > segments.length) legend.lastElementChild.remove();
    segments.forEach(({ kind, length }, i) => {
      const entry = legend.children[i]
        ?? legend.appendChild(element('li', {}, element('span'), element('span'), element('b')));
      const [colour, word, duration] = entry.children;
      colour.className = `seg ${kind}`;
      setText(word, words[kind]);
      setText(duration, formatDuration(length, item.open && i === segments.length - 1));
    });
  };
  byId('d-bar').replaceChildren(bar, legend);
  if (item.open) addDuration(update);
  else update(serverTime());
}

/**
 * Draws steps by time, then the expected ones. `start` is the time that durations are counted from, and `startWord` its
 * name; `showRunners` adds to each step which runner it belongs to.
 */
export function drawTimeline({ steps, start, startWord, expected, showRunners = false }) {
  const merged = mergeSteps(steps);
  const items = merged.map((step, i) => makeStep(step, merged[i - 1] ?? null, start, showRunners));
  for (const [subject, state] of expected) {
    items.push(element(
      'li', { class: `step ${subject} coming` }, makeDot(),
      element('span', { class: 'step-word' }, stepWord(subject, state)),
      element('span', { class: 'yet' }, 'not yet'), element('span'),
    ));
  }
  if (!items.length) items.push(makeNote('step', 'No step is known.'));
  setText(byId('d-line-note'), start === null || merged.length < 2 ? '' : `time of day, and time since ${startWord}`);
  byId('d-line').replaceChildren(...items);
}

/** Adds a sentence to the end of the timeline. */
export function addTimelineNote(text) { byId('d-line').append(makeNote('step coming', text)); }

const makeDot = () => element('span', { class: 'dot', 'aria-hidden': 'true' });
function makeNote(className, text) {
  return element('li', { class: className }, makeDot(), element('span', { class: 'step-word' }, text));
}

function makeStep(step, previous, start, showRunners) {
  const name = plainText(step.runner);
  const word = element(
    'span', { class: 'step-word' }, step.text ?? stepWord(step.subject, step.state),
    step.note ? element('span', { class: 'extra' }, ` ${step.note}`) : null,
    showRunners && name ? element('span', { class: 'extra mono', title: name }, ` …${name.slice(-6)}`) : null,
  );
  const time = element('time');
  setTime(time, step.at, CLOCK_MILLIS);
  const since = element('span', { class: 'since' });
  if (previous) since.title = `${formatStepDuration(step.at - previous.at)} after the step before`;
  if (previous && start !== null) {
    since.textContent = `${step.at < start ? '−' : '+'}${formatStepDuration(Math.abs(step.at - start))}`;
  }
  const made = element('li', { class: `step ${step.subject}` }, makeDot(), word, time, since);
  made.dataset.state = step.state;
  return made;
}

/**
 * Draws facts, each a name, a value and optionally a class. A value is a text, an element, a list of these, or a
 * function of the time for a growing duration. A fact that is false is left out.
 */
export function drawFacts(facts) {
  byId('d-facts').replaceChildren(...facts.filter(Boolean).map(([name, value, className = '']) => {
    const definition = element('dd', { class: className });
    if (typeof value === 'function') addDuration((now) => setText(definition, value(now)));
    else if (Array.isArray(value)) definition.append(...value);
    else definition.append(value instanceof Node ? value : textOrDash(value));
    return element('div', {}, element('dt', {}, name), definition);
  }));
}

/** Makes a button that opens the details of an item. */
export function makeLink(kind, key, text) {
  return element('button', {
    type: 'button', class: 'as-link', 'data-go': `${kind}.${key}`, onclick: () => openDetails(kind, key, true),
  }, text);
}

export function makeTime(at) {
  const time = element('time');
  setTime(time, at);
  return time;
}

export function makeLabels(labels) {
  if (!Array.isArray(labels) || !labels.length) return [DASH];
  return labels.map((label) => element('code', { class: 'label' }, plainText(label)));
}
