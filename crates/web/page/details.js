// The details of the selected job or runner.

import { drawActions } from './actions.js';
import { byId, setText, setVisible } from './dom.js';
import { clearDetailDurations, drawTop } from './detail-parts.js';
import { plainText } from './format.js';
import { drawJobDetails } from './job-details.js';
import { drawLog } from './log.js';
import { isLoaded, loadItem } from './loading.js';
import { draw } from './redraw.js';
import { drawRunnerDetails } from './runner-details.js';
import { closeDetails, narrowScreen } from './selection.js';
import { records, selection } from './state.js';

let drawnSignature = '';
/** The item that was asked for by itself, because no list has brought it. */
let sought = { asked: '', error: '' };

export function startDetails() {
  byId('d-close').addEventListener('click', closeDetails);
  narrowScreen.addEventListener('change', () => { if (isLoaded()) draw(); });
}

export function drawDetails() {
  const panel = byId('detail');
  const wasVisible = !panel.hidden;
  const { item: selected } = selection;
  setVisible(panel, selected !== null);
  byId('body').classList.toggle('split', selected !== null);
  setModal(panel, selected !== null && narrowScreen.matches);
  if (!selected) {
    drawnSignature = '';
    clearDetailDurations();
    return;
  }
  const item = records.of(selected.kind).get(selected.key);
  const signature = `${selected.kind}.${selected.key}.${item?.signature() ?? 'none'}`;
  if (signature === drawnSignature && wasVisible) return;
  drawnSignature = signature;
  clearDetailDurations();
  const focused = document.activeElement?.dataset?.go;
  if (!item) drawMissing(selected);
  else if (item.kind === 'jobs') drawJobDetails(item);
  else drawRunnerDetails(item);
  // A button that had the focus was replaced by another one.
  if (focused && document.activeElement === document.body) {
    panel.querySelector(`[data-go="${CSS.escape(focused)}"]`)?.focus();
  }
}

/** Where details cover the page, they are a modal dialog. */
function setModal(panel, modal) {
  const covered = [byId('main'), document.querySelector('.top'), document.querySelector('.skip')];
  for (const part of covered) part.inert = modal;
  document.documentElement.classList.toggle('covered', modal);
  panel.setAttribute('role', modal ? 'dialog' : 'complementary');
  if (modal) panel.setAttribute('aria-modal', 'true');
  else panel.removeAttribute('aria-modal');
}

function drawMissing({ kind, key }) {
  drawLog(null);
  drawActions([]);
  const asked = `${kind}.${key}`;
  if (asked !== sought.asked) seek(kind, key, asked);
  drawTop({
    look: 'neutral', word: sought.error ? 'Unknown' : 'Loading',
    title: kind === 'jobs' ? `Job ${plainText(key)}` : plainText(key),
    subtitle: sought.error ? `It could not be loaded: ${sought.error}.` : 'It is older than what is loaded.',
  });
  setText(byId('d-line-note'), '');
  for (const id of ['d-bar', 'd-line', 'd-facts']) byId(id).replaceChildren();
}

/** Asks for an item by itself, once. */
async function seek(kind, key, asked) {
  sought = { asked, error: '' };
  try { await loadItem(kind, key); } catch (error) {
    if (sought.asked !== asked) return;
    sought.error = error.message;
    drawnSignature = '';
    draw();
  }
}
