// The table of pools.

import { arrange, byId, element, setReason, setText, setVisible } from './dom.js';
import { changeFilters } from './filters.js';
import { DASH, formatCount, formatDuration, formatNumber, plainText, textOrDash } from './format.js';
import { poolMatches } from './matching.js';
import { choosePools, countPools, isActive } from './pools.js';
import { draw, durations, replaceDuration } from './redraw.js';
import { records, view } from './state.js';

const MAX_ACTIVE_POOLS = 8;
const smallScreen = matchMedia('(max-width: 720px)');
const COLUMNS = { queued: 'queued', running: 'in progress', starting: 'starting', idle: 'idle', oldest: 'oldest wait' };

const rows = new Map();          // by the pool's key
let showsAll = false;

export function startPools() {
  byId('pool-more').addEventListener('click', () => { showsAll = !showsAll; draw(); });
}

export function drawPools() {
  const pools = [...countPools(records).values()].filter((pool) => poolMatches(pool, view));
  const active = pools.filter(isActive).length;
  const most = smallScreen.matches ? MAX_ACTIVE_POOLS / 2 : MAX_ACTIVE_POOLS;
  const few = Math.min(pools.length, Math.max(Math.min(active, most), view.pool ? 1 : 0));
  const chosen = choosePools(pools, showsAll ? pools.length : few);
  const keys = new Set(chosen.map((pool) => pool.key));
  for (const [key, row] of rows) if (!keys.has(key)) removeRow(key, row);
  arrange(byId('pool-rows'), chosen.map((pool) => {
    if (!rows.has(pool.key)) rows.set(pool.key, makeRow(pool.key));
    fillRow(rows.get(pool.key), pool);
    return rows.get(pool.key).root;
  }), null);
  setVisible(byId('pool-calm'), active === 0);
  drawMoreButton(pools.length - few, pools.length - active);
}

/** `hidden` pools are not among the few that are always shown; `quiet` ones have nothing open. */
function drawMoreButton(hidden, quiet) {
  const button = byId('pool-more');
  setVisible(button, hidden > 0);
  const more = hidden === quiet ? formatCount(hidden, 'quiet pool') : formatCount(hidden, 'more pool');
  setText(button, showsAll ? 'Show fewer pools' : `Show ${more}`);
  button.setAttribute('aria-expanded', String(showsAll));
}

function removeRow(key, row) {
  durations.delete(row.duration);
  row.root.remove();
  rows.delete(key);
}

function makeRow(key) {
  const chip = element('span', { class: 'chip' });
  const open = element('button', {
    type: 'button', class: 'pool-open', onclick: () => changeFilters({ pool: view.pool === key ? '' : key }),
  });
  const labels = element('span', { class: 'labels' });
  const why = element('span', { class: 'p-why', role: 'cell' });
  const columns = {};
  for (const [name, unit] of Object.entries(COLUMNS)) {
    const value = element('b');
    const label = element('i', { class: 'unit' }, ` ${unit}`);
    const cell = element('span', { class: `num p-${name}`, role: 'cell' }, value, label);
    columns[name] = { cell, value };
  }
  const root = element(
    'div', { class: 'pool', role: 'row' },
    element('span', { role: 'cell', class: 'p-class' }, chip),
    element('span', { role: 'cell', class: 'p-who' }, open, labels),
    ...Object.values(columns).map((column) => column.cell),
    why,
  );
  return { key, root, chip, open, labels, columns, why, duration: null };
}

function fillRow(row, pool) {
  const { key, root, chip, open, labels, columns, why } = row;
  const names = [...pool.repositories].map(plainText);
  setText(chip, textOrDash(pool.class));
  if (names.length > 1) setText(open, `${names[0]} and ${formatNumber(names.length - 1)} more`);
  else setText(open, names.length ? names[0] : `pool ${plainText(key)}`);
  open.title = `${names.join(', ')}\npool ${plainText(key)}: show only its jobs`;
  open.setAttribute('aria-pressed', String(view.pool === key));
  setText(labels, pool.labels ? pool.labels.map(plainText).join(' ') : '');
  for (const name of ['queued', 'running', 'starting', 'idle']) {
    setText(columns[name].value, formatNumber(pool[name]));
    columns[name].cell.classList.toggle('zero', pool[name] === 0);
  }
  if (pool.waiting) columns.queued.cell.title = `and ${formatCount(pool.waiting, 'job')} waiting at GitHub`;
  else columns.queued.cell.removeAttribute('title');
  columns.oldest.cell.classList.toggle('zero', pool.oldest === null);
  setReason(why, pool.first?.data.reason);
  root.classList.toggle('on', view.pool === key);
  root.classList.toggle('calm', !isActive(pool));
  row.duration = replaceDuration(row.duration, (now) => (
    setText(columns.oldest.value, pool.oldest === null ? DASH : formatDuration(now - pool.oldest, true))
  ));
}
