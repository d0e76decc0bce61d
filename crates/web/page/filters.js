// The filters and the selected item, kept in the address: it can be copied to share what is seen.

import { announce } from './dom.js';
import { formatCount } from './format.js';
import { draw } from './redraw.js';
import { FILTER_NAMES, listTotal, resetLimits, SECTIONS, selection, view } from './state.js';
import { FILTER_STATES } from './words.js';

export function readAddress() {
  const query = new URLSearchParams(location.search);
  view.section = SECTIONS.find((section) => section === query.get('section')) ?? '';
  view.kind = query.get('view') === 'runners' ? 'runners' : 'jobs';
  for (const name of FILTER_NAMES) view[name] = query.get(name) ?? '';
  if (!FILTER_STATES[view.kind].some(([state]) => state === view.state)) view.state = '';
  const job = query.get('job');
  const runner = query.get('runner');
  selection.item = null;
  if (job) selection.item = { kind: 'jobs', key: job };
  else if (runner) selection.item = { kind: 'runners', key: runner };
}

/** Writes the address; `push` adds an entry to the browser's history. */
export function writeAddress(push) {
  const query = new URLSearchParams(location.search);
  const set = (name, value) => { if (value) query.set(name, value); else query.delete(name); };
  set('section', view.section);
  set('view', view.kind === 'runners' ? 'runners' : '');
  for (const name of FILTER_NAMES) set(name, view[name]);
  set('job', selection.item?.kind === 'jobs' ? selection.item.key : '');
  set('runner', selection.item?.kind === 'runners' ? selection.item.key : '');
  const address = query.toString() ? `?${query}` : location.pathname;
  if (address === (location.search || location.pathname)) return;
  history[push ? 'pushState' : 'replaceState'](null, '', address);
}

/** Changes some of the filters. */
export function changeFilters(change, push = true) {
  Object.assign(view, change);
  resetLimits();
  writeAddress(push);
  draw();
  announce(`${formatCount(listTotal(), view.kind === 'jobs' ? 'job' : 'runner')} match`);
}

/** Shows a section of the page; an empty text shows jobs and runners. */
export function showSection(section) {
  if (view.section === section) return;
  view.section = section;
  writeAddress(true);
  draw();
}

export function clearFilters() { changeFilters({ q: '', repository: '', class: '', state: '', pool: '' }); }

export function showKind(kind) { if (view.kind !== kind) changeFilters({ kind, state: '' }); }
