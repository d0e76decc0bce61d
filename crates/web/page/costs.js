// The section on costs: figures, the chart by day, the most expensive keys, and how long jobs waited.

import { readOne } from './api.js';
import { drawChart } from './cost-chart.js';
import { nameOfBudget, stateOfBudget } from './budgets.js';
import { byId, element, setText, setVisible } from './dom.js';
import { CLOCK_MINUTES, formatCost, formatCount, formatDuration, formatNumber, formatSum, formatTime, parseTime, plainText } from './format.js';
import { serverTime } from './clock.js';

/** Reading many records takes the server some time. */
const TIMEOUT_MILLIS = 120_000;
/** Keys that are shown before the rest is asked for. */
const FEW = 8;
/** An answer that is older is read again when the section is opened. */
const MAX_AGE_MILLIS = 5 * 60_000;

/** Each table: its key in the answer, its title, and its column after the cost. */
const TABLES = [
  ['by_class', 'Class', 'Saved'], ['by_repository', 'Repository', 'Hours'], ['by_workflow', 'Workflow', 'Hours'],
];
const OTHERS = {
  Hours: (row) => formatNumber(Math.round(row.runner_seconds / 360) / 10),
  Saved: (row) => (Number.isFinite(row.saved_usd) ? formatSaved(row.saved_usd) : 'unknown'),
};
const formatSaved = (usd) => `${usd < 0 ? '−' : ''}${formatSum(Math.abs(usd))}`;

let days = 30;
/** The answer, and for which days and when it was asked for. */
let read = { days: 0, at: 0, view: null, budgets: null, error: '', loading: false };
let drawn = null;
const showsAll = new Set();
const spanButtons = document.querySelectorAll('#costs-days button');

export function startCosts() {
  for (const button of spanButtons) {
    button.addEventListener('click', () => { days = Number(button.dataset.days); drawCosts(); });
  }
  byId('costs-again').addEventListener('click', () => load());
}

/** Draws the section, and asks for what it shows if that is missing or old. */
export function drawCosts() {
  for (const button of spanButtons) button.setAttribute('aria-pressed', String(Number(button.dataset.days) === days));
  const isFresh = read.days === days && (read.loading || Date.now() - read.at < MAX_AGE_MILLIS);
  if (!isFresh) load();
  byId('costs-again').disabled = read.loading;
  setText(byId('costs-note'), noteOf());
  const { view } = read;
  setVisible(byId('costs-body'), view !== null);
  if (view === null || view === drawn) return;
  drawn = view;
  drawFigures(view);
  drawChart(byId('costs-chart'), view, days, serverTime());
  byId('costs-tables').replaceChildren(...TABLES.map((table) => makeTable(table, view)));
  drawBudgets(read.budgets);
  drawWaits(view.waits);
  setText(byId('costs-foot'), `At list prices of us-east-1 of ${view.prices_as_of}. Not included: ${plainText(view.left_out.replace('\n', '. '))}. Saved: compared with runners that GitHub hosts, at its list prices of ${plainText(view.hosted_prices_as_of)} for private repositories, on the smallest Linux machine of two CPUs or more that has as many and as much memory. Jobs for which GitHub has no such machine are left out.${feeNote(read.budgets)}`);
}

function feeNote({ self_hosted_fee_usd: fee }) {
  return fee > 0 ? ` A fee of $${fee} for each of their minutes is taken off.` : '';
}

function noteOf() {
  if (read.loading) return 'Reading…';
  if (read.error) return `Could not read costs: ${read.error}.`;
  const { view } = read;
  if (!view) return '';
  const since = formatTime(parseTime(view.since), serverTime(), CLOCK_MINUTES);
  return view.cut ? `There are too many records: only those since ${since} are counted.` : `since ${since}`;
}

async function load() {
  const asked = { days, at: Date.now(), view: read.days === days ? read.view : null, budgets: read.budgets, error: '', loading: true };
  read = asked;
  drawCosts();
  try {
    const [budgets, view] = await Promise.all([readOne('budgets', TIMEOUT_MILLIS), readOne(`costs?days=${days}`, TIMEOUT_MILLIS)]);
    Object.assign(asked, { budgets, view });
  } catch (error) { asked.error = error.message; }
  asked.loading = false;
  if (read === asked) drawCosts();
}

function drawFigures({ total, waits }) {
  setText(byId('c-total'), formatSum(total.cost_usd));
  setText(byId('c-total-sub'), total.unpriced ? `without ${formatCount(total.unpriced, 'runner')} of unknown cost` : 'on Fargate');
  const compared = total.compared_jobs > 0 && Number.isFinite(total.saved_usd);
  setText(byId('c-saved'), compared ? formatSaved(total.saved_usd) : '—');
  setText(byId('c-saved-sub'), compared ? `GitHub-hosted: ${formatSum(total.hosted_usd)}` : 'unknown');
  setText(byId('c-jobs'), formatNumber(total.jobs));
  setText(byId('c-jobs-sub'), total.jobs ? `${formatCost((total.cost_usd - total.warm_usd) / total.jobs)} each` : '');
  setText(byId('c-hours'), formatNumber(Math.round(total.runner_seconds / 360) / 10));
  setText(byId('c-hours-sub'), `of ${formatCount(total.runners, 'runner')}`);
  const all = waits.find((row) => row.key === '');
  setText(byId('c-wait'), all ? formatDuration(all.median_seconds * 1000) : '—');
  setText(byId('c-wait-sub'), all ? `median, p95 ${formatDuration(all.p95_seconds * 1000)}` : 'no job has begun');
  setText(byId('c-warm'), formatSum(total.warm_usd));
  setText(byId('c-warm-sub'), total.warm_usd ? 'of it, warm tasks that waited' : 'no warm tasks');
}

/** Makes the table of one key, with a bar for each row's part of the greatest cost. */
function makeTable([name, head, other], view) {
  const rows = view[name];
  const shown = showsAll.has(name) ? rows : rows.slice(0, FEW);
  const most = Math.max(...rows.map((row) => row.cost_usd), Number.MIN_VALUE);
  const body = shown.map((row) => element(
    'tr', {},
    element('th', { scope: 'row' }, element('span', { class: 'key', title: plainText(row.key) }, plainText(row.key)), makeBar(row.cost_usd / most)),
    element('td', { class: 'num' }, formatNumber(row.jobs)),
    element('td', { class: 'num' }, OTHERS[other](row)),
    element('td', { class: 'num' }, formatSum(row.cost_usd)),
  ));
  const left = rows.length - shown.length;
  const more = element('button', { type: 'button', class: 'quiet more', onclick: () => { showsAll.add(name); drawn = null; drawCosts(); } }, `Show ${formatNumber(left)} more`);
  return element(
    'section', { class: 'card' },
    element('table', {},
      element('thead', {}, element('tr', {}, ...[head, 'Jobs', other, 'Cost'].map((word, i) => element('th', { scope: 'col', class: i ? 'num' : '' }, word)))),
      element('tbody', {}, ...body)),
    rows.length ? null : element('p', { class: 'none' }, 'Nothing ran.'),
    left > 0 ? more : null,
  );
}

/** A bar that repeats the number beside it, for the eye alone. */
function makeBar(part) {
  const fill = element('span');
  fill.style.width = `${Math.max(part * 100, part > 0 ? 0.7 : 0)}%`;
  return element('span', { class: 'share', 'aria-hidden': 'true' }, fill);
}

function drawBudgets({ budgets }) {
  setVisible(byId('budgets'), budgets.length > 0);
  byId('budgets-rows').replaceChildren(...budgets.map((budget) => element(
    'tr', {},
    element('th', { scope: 'row' }, element('span', { class: 'key', title: nameOfBudget(budget) }, nameOfBudget(budget)), makeBar(Math.min(budget.spent_usd / budget.limit_usd, 1))),
    ...[budget.spent_usd, budget.limit_usd, budget.forecast_usd].map((usd) => element('td', { class: 'num' }, formatSum(usd))),
    element('td', {}, stateOfBudget(budget, serverTime())),
  )));
  const unpriced = Math.max(0, ...budgets.map((budget) => budget.unpriced));
  setText(byId('budgets-note'), unpriced ? `Not included: ${formatCount(unpriced, 'task')} of unknown cost.` : '');
}

function drawWaits(waits) {
  const duration = (secs) => element('td', { class: 'num' }, formatDuration(secs * 1000));
  byId('waits-rows').replaceChildren(...waits.map((row) => element(
    'tr', {},
    element('th', { scope: 'row' }, row.key ? element('span', { class: 'chip' }, plainText(row.key)) : 'All classes'),
    element('td', { class: 'num' }, formatNumber(row.jobs)),
    duration(row.median_seconds), duration(row.p95_seconds), duration(row.longest_seconds),
  )));
  setVisible(byId('waits-none'), waits.length === 0);
}
