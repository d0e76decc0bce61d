// The list of jobs or runners.

import { arrange, byId, element, setText, setVisible } from './dom.js';
import { formatCost, formatNumber } from './format.js';
import { hasOlder, isLoading, loadOlder, serverFilter } from './loading.js';
import { draw, durations, holdDrawing } from './redraw.js';
import { COST_TITLE, fillRow, makeRow, updateRow } from './rows.js';
import { isFiltered, isSelected, list, listTotal, MORE_ROWS, records, shownItems, view } from './state.js';
import { sumCosts } from './summary.js';

const HEADS = {
  jobs: ['State', 'Job', 'Class', 'Runner or reason', 'Timeline', 'Cost', 'Queued'],
  runners: ['State', 'Runner', 'Class', 'Job', 'Timeline', 'Cost', 'Reserved'],
};
const COLUMNS = ['state', 'what', 'class', 'why', 'line', 'cost', 'when'];
const GROUPS = ['open', 'ended'];
/** If more rows change at once, none of them flashes. */
const MAX_FLASHES = 12;

const rows = new Map();          // by row key
const moreRows = {};             // by group: the row that shows more of it
let headKind = '';

/** Sets up the list; `openItem` opens the details of an item. */
export function startList(openItem) {
  const grid = byId('list');
  byId('older-load').addEventListener('click', loadOlder);
  durations.add((now) => { for (const row of rows.values()) if (row.item.open) updateRow(row, now); });
  grid.addEventListener('click', (event) => {
    const row = event.target.closest('.row[data-key]');
    const marked = getSelection();
    if (!row || (marked.type === 'Range' && row.contains(marked.anchorNode))) return;
    list.cursor = row.dataset.key;
    openItem(view.kind, row.dataset.id, false);
  });
  grid.addEventListener('focusin', (event) => {
    const row = event.target.closest('.row[data-key]');
    if (!row || row.dataset.key === list.cursor) return;
    if (rows.has(list.cursor)) rows.get(list.cursor).root.tabIndex = -1;
    list.cursor = row.dataset.key;
    row.tabIndex = 0;
  });
  grid.addEventListener('pointerdown', () => holdDrawing(true));
  for (const name of ['pointerup', 'pointercancel', 'blur']) window.addEventListener(name, () => holdDrawing(false));
}

/** The element of a row, if it is shown. */
export const rowElement = (rowKey) => rows.get(rowKey)?.root;

export function drawList() {
  drawHead();
  const items = shownItems();
  const keys = new Set(items.map((item) => item.rowKey));
  const hadFocus = Boolean(document.activeElement?.closest?.('.row[data-key]'));
  for (const [key, row] of rows) if (!keys.has(key)) { row.root.remove(); rows.delete(key); }
  if (!keys.has(list.cursor)) list.cursor = items[0]?.rowKey ?? '';
  for (const group of GROUPS) drawGroup(group);
  for (const [key, { root }] of rows) {
    const index = key === list.cursor ? 0 : -1;
    if (root.tabIndex !== index) root.tabIndex = index;
  }
  if (hadFocus && document.activeElement === document.body) rowElement(list.cursor)?.focus({ preventScroll: true });
  drawSums();
  const empty = listTotal() === 0;
  setVisible(byId('none'), empty);
  const one = view.kind === 'jobs' ? 'job' : 'runner';
  if (empty) setText(byId('none'), isFiltered() ? `No ${one} matches these filters.` : `No ${one} yet.`);
  drawOlder();
}

function drawHead() {
  byId('list').dataset.kind = view.kind;
  byId('list').setAttribute('aria-label', view.kind === 'jobs' ? 'Jobs' : 'Runners');
  if (headKind === view.kind) return;
  headKind = view.kind;
  byId('list-head').replaceChildren(...HEADS[view.kind].map((word, i) => element('div', {
    role: 'columnheader', class: `c-${COLUMNS[i]}`, title: word === 'Cost' ? COST_TITLE : null,
  }, word)));
}

function drawGroup(group) {
  const all = list[group];
  const items = all.slice(0, list.limits[group]);
  const elements = items.map((item) => {
    if (!rows.has(item.rowKey)) rows.set(item.rowKey, makeRow(item.rowKey));
    const row = rows.get(item.rowKey);
    fillRow(row, item);
    if (records.changed.size <= MAX_FLASHES && records.changed.has(item.rowKey)) flash(row.root);
    const selected = isSelected(item.kind, item.key);
    if (row.root.getAttribute('aria-selected') !== String(selected)) {
      row.root.setAttribute('aria-selected', String(selected));
      row.root.classList.toggle('on', selected);
    }
    return row.root;
  });
  arrange(byId(group), elements, drawMoreRow(group, all.length - items.length));
  setVisible(byId(group), all.length > 0);
  setText(byId(`${group}-count`), formatNumber(all.length));
}

function drawMoreRow(group, left) {
  if (!moreRows[group]) {
    const button = element('button', {
      type: 'button', class: 'quiet', onclick: () => { list.limits[group] += MORE_ROWS; draw(); },
    });
    const root = element('div', { class: 'more-row', role: 'row' }, element('div', { role: 'gridcell' }, button));
    moreRows[group] = { root, button };
    byId(group).append(root);
  }
  const { root, button } = moreRows[group];
  setVisible(root, left > 0);
  setText(button, `Show ${formatNumber(Math.min(MORE_ROWS, left))} more of ${formatNumber(left)}`);
  return root;
}

function flash(row) {
  row.classList.remove('blink');
  // Reading the layout lets the animation start again.
  void row.offsetWidth;
  row.classList.add('blink');
}

function drawSums() {
  const { usd, known, unknown } = sumCosts(list.ended);
  const without = unknown ? `, without ${formatNumber(unknown)} of unknown cost` : '';
  setText(byId('ended-sums'), known ? `${formatCost(usd)}${without}` : '');
  byId('ended-sums').title = COST_TITLE;
}

function drawOlder() {
  const more = hasOlder(view.kind, serverFilter());
  setVisible(byId('older'), more || records.evicted);
  setVisible(byId('older-load'), more && !isLoading());
  let text = records.evicted ? 'The oldest were dropped from this page. Reload the page to load them again.' : '';
  if (more) text = `${formatNumber(records.of(view.kind).size)} ${view.kind} are loaded so far.`;
  if (isLoading()) setText(byId('older-text'), more ? 'Loading older ones…' : '');
  else if (!byId('older-load').disabled) setText(byId('older-text'), text);
}
