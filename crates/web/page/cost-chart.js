// The chart of costs by day: plain SVG, with the same numbers as a table for those who do not see it.

import { element, setText, svgElement } from './dom.js';
import { formatCount, formatNumber, formatSum } from './format.js';

const DAY_MILLIS = 86_400_000;
const HEIGHT = 120;
const DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', timeZone: 'UTC' });
const WEEKDAY = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short', timeZone: 'UTC' });

/** Returns one entry for each UTC day up to now, with its row or null. */
export function daysUpTo(now, count, rows) {
  const byKey = new Map(rows.map((row) => [row.key, row]));
  const today = Math.floor(now / DAY_MILLIS);
  // The span begins within its first day.
  return Array.from({ length: count + 1 }, (_, i) => {
    const at = (today - count + i) * DAY_MILLIS;
    return { at, row: byKey.get(new Date(at).toISOString().slice(0, 10)) ?? null };
  });
}

/** Returns a round number that is not below the value, and not far above it. */
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((factor) => factor * power).find((round) => round >= value * 0.999_999);
}

/** `view` is the server's answer. */
export function drawChart(parent, view, count, now) {
  const days = daysUpTo(now, count, view.by_day);
  const most = roundUp(Math.max(...days.map(({ row }) => row?.cost_usd ?? 0)));
  const width = days.length * 10;
  const svg = svgElement('svg', {
    viewBox: `0 0 ${width} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': summaryOf(days, view.total),
  });
  for (const part of [0.5, 1]) svg.append(svgElement('line', { class: 'grid-line', x1: 0, x2: width, y1: HEIGHT * (1 - part), y2: HEIGHT * (1 - part) }));
  days.forEach(({ at, row }, i) => {
    const usd = row?.cost_usd ?? 0;
    const height = usd > 0 ? Math.max(1.5, (usd / most) * HEIGHT) : 0;
    const warm = usd > 0 ? ((row.warm_usd ?? 0) / usd) * height : 0;
    const column = svgElement('g', { class: 'day' });
    const title = svgElement('title');
    title.textContent = `${WEEKDAY.format(at)}: ${formatSum(usd)}${row ? `, ${formatCount(row.jobs, 'job')}` : ''}`;
    column.append(
      title,
      svgElement('rect', { class: 'touch', x: i * 10, y: 0, width: 10, height: HEIGHT }),
      svgElement('rect', { class: 'cost', x: i * 10 + 1, y: HEIGHT - height, width: 8, height: height - warm }),
      svgElement('rect', { class: 'warm', x: i * 10 + 1, y: HEIGHT - warm, width: 8, height: warm }),
    );
    svg.append(column);
  });
  const scale = element('div', { class: 'scale', 'aria-hidden': 'true' }, element('span', {}, formatSum(most)), element('span', {}, formatSum(most / 2)), element('span', {}, '$0'));
  const middle = days[Math.floor(days.length / 2)].at;
  const axis = element('div', { class: 'axis', 'aria-hidden': 'true' }, ...[days[0].at, middle, days.at(-1).at].map((at) => element('span', {}, DAY.format(at))));
  const hasWarm = view.total.warm_usd > 0;
  const legend = element('p', { class: 'sub' }, 'UTC days on which runners were reserved.', hasWarm ? ' The lower part of a bar is warm tasks that waited.' : '');
  parent.replaceChildren(element('div', { class: 'plot' }, scale, svg, element('span'), axis), legend, makeTable(days));
}

function summaryOf(days, total) {
  const priced = days.filter(({ row }) => row);
  if (!priced.length) return 'Cost by day: nothing ran.';
  const dearest = priced.reduce((one, other) => (other.row.cost_usd > one.row.cost_usd ? other : one));
  return `Cost by day, ${formatSum(total.cost_usd)} in all. The most was ${formatSum(dearest.row.cost_usd)} on ${WEEKDAY.format(dearest.at)}. The table below has each day.`;
}

function makeTable(days) {
  const rows = days.filter(({ row }) => row).reverse().map(({ at, row }) => element(
    'tr', {}, element('th', { scope: 'row' }, WEEKDAY.format(at)),
    element('td', { class: 'num' }, formatNumber(row.jobs)), element('td', { class: 'num' }, formatSum(row.cost_usd)),
  ));
  const summary = element('summary');
  setText(summary, 'As a table');
  return element('details', { class: 'as-table' }, summary, element(
    'table', {},
    element('thead', {}, element('tr', {}, ...['Day', 'Jobs', 'Cost'].map((word, i) => element('th', { scope: 'col', class: i ? 'num' : '' }, word)))),
    element('tbody', {}, ...rows),
  ));
}
