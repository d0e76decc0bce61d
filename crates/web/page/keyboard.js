// The keys: `index.html` lists them.

import { announce, byId, openTab } from './dom.js';
import { changeFilters, clearFilters, showKind, writeAddress } from './filters.js';
import { httpsAddress } from './format.js';
import { rowElement } from './list.js';
import { isLoaded } from './loading.js';
import { readPreference, writePreference } from './preferences.js';
import { draw } from './redraw.js';
import { closeDetails, narrowScreen, openDetails } from './selection.js';
import { list, MORE_ROWS, records, selection, shownItems, view } from './state.js';
import { jobAddress } from './status.js';
import { nextTheme } from './theme.js';

let lettersOn = readPreference('letters') !== 'off';

/** What each letter does; `row` is the row that has the focus, if one has. */
const LETTERS = {
  '/': () => { byId('q').focus(); byId('q').select(); },
  j: () => moveBy(1),
  k: () => moveBy(-1),
  v: () => showKind(view.kind === 'jobs' ? 'runners' : 'jobs'),
  x: clearFilters,
  t: nextTheme,
  o: openOnGitHub,
  '?': openHelp,
};
/** The letters that work while details cover the page, and while nothing is loaded. */
const LETTERS_COVERED = ['t', 'o', '?'];
const LETTERS_LOADING = ['t', '?'];
/** Those that work where there is no list. */
const LETTERS_SECTION = ['t', 'o', '?'];

/** What other keys do on a row. */
const ROW_KEYS = {
  ArrowDown: () => moveBy(1),
  ArrowUp: () => moveBy(-1),
  Home: () => moveTo(0),
  End: () => moveTo(Infinity),
  Enter: (row) => openDetails(view.kind, row.dataset.id, true),
  ' ': (row) => openDetails(view.kind, row.dataset.id, true),
};

export function startKeyboard() {
  const help = byId('help');
  document.addEventListener('keydown', onKey);
  byId('help-open').addEventListener('click', openHelp);
  help.addEventListener('click', (event) => { if (event.target === help) help.close(); });
  byId('letters').addEventListener('change', () => {
    lettersOn = byId('letters').checked;
    writePreference('letters', lettersOn ? 'on' : 'off');
  });
}

function openHelp() {
  byId('letters').checked = lettersOn;
  byId('help').showModal();
}

function onKey(event) {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  // A dialog closes itself on Esc.
  if (document.querySelector('dialog[open]')) return;
  const action = actionOf(event.key, event.target);
  if (!action) return;
  event.preventDefault();
  action();
}

/** What a key does on an element, if anything. */
function actionOf(key, target) {
  if (key === 'Escape') return escapeAction(target);
  if (target === byId('q') && (key === 'ArrowDown' || key === 'Enter')) return () => moveTo(0, false);
  const isTyping = target instanceof HTMLInputElement && target.type !== 'checkbox';
  if (isTyping || target instanceof HTMLSelectElement) return null;
  const row = target.closest?.('.row[data-key]');
  if (row && Object.hasOwn(ROW_KEYS, key)) return () => ROW_KEYS[key](row);
  if (!lettersOn || !Object.hasOwn(LETTERS, key)) return null;
  if (selection.item && narrowScreen.matches && !LETTERS_COVERED.includes(key)) return null;
  if (view.section && !LETTERS_SECTION.includes(key)) return null;
  if (!isLoaded() && !LETTERS_LOADING.includes(key)) return null;
  return () => LETTERS[key](row);
}

/** Esc clears the filter, then leaves it; elsewhere it closes the details, even if nothing has the focus. */
function escapeAction(target) {
  if (target !== byId('q')) return selection.item ? closeDetails : null;
  if (view.q) return () => changeFilters({ q: '' }, false);
  return () => {
    target.blur();
    if (rowElement(list.cursor)) moveTo(cursorIndex(), false);
  };
}

const cursorIndex = () => shownItems().findIndex((item) => item.rowKey === list.cursor);

/** Moves to a row; open details follow, unless `follow` is false. */
function moveTo(index, follow = true) {
  const items = shownItems();
  if (!items.length) return;
  const item = items[Math.min(items.length - 1, Math.max(0, index))];
  list.cursor = item.rowKey;
  if (selection.item && follow && !narrowScreen.matches) {
    selection.item = { kind: view.kind, key: item.key };
    writeAddress(false);
  }
  draw();
  const row = rowElement(list.cursor);
  row?.focus({ preventScroll: true });
  row?.scrollIntoView({ block: 'nearest' });
}

function moveBy(step) {
  const index = cursorIndex();
  // The first press goes to the row at the cursor, the next ones on from it.
  if (!selection.item && !byId('list').contains(document.activeElement)) {
    moveTo(Math.max(0, index));
    return;
  }
  if (step > 0 && index === shownItems().length - 1) {
    for (const group of ['open', 'ended']) if (list[group].length > list.limits[group]) list.limits[group] += MORE_ROWS;
  }
  moveTo(index + step);
}

function openOnGitHub(row) {
  let job = null;
  if (selection.item?.kind === 'jobs') job = records.jobs.get(selection.item.key);
  else if (row && view.kind === 'jobs') job = records.jobs.get(row.dataset.id);
  const address = job ? httpsAddress(jobAddress(job.data)) : null;
  if (address) openTab(address);
  else announce('The address at GitHub is not known');
}
