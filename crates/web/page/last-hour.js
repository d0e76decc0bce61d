// The chart of jobs that ended in the last hour: one bar for each minute.

import { formatServerTime, serverTime } from './clock.js';
import { byId, setText, svgElement } from './dom.js';
import { CLOCK_MINUTES, formatNumber } from './format.js';
import { isReadToEnd } from './loading.js';
import { records } from './state.js';
import { countEndings } from './summary.js';

const MINUTES = 60;
const MAX_HEIGHT = 32;
/** A chart with few jobs must not look like one with many. */
const MIN_SCALE = 4;

const bars = [];
let drawnMinute = -1;

const currentMinute = () => Math.floor(serverTime() / 60000);

/** Draws the chart again once a minute has passed. */
export function updateLastHour() { if (currentMinute() !== drawnMinute) drawLastHour(); }

export function drawLastHour() {
  drawnMinute = currentMinute();
  const counts = countEndings(records.jobs.values(), drawnMinute, MINUTES);
  drawBars(counts);
  // Where only a part of the hour is known, say since when.
  const isPartial = (records.evicted || !isReadToEnd('jobs'))
    && counts.earliest !== null && counts.earliest > serverTime() - MINUTES * 60000;
  const since = isPartial ? formatServerTime(counts.earliest, CLOCK_MINUTES) : null;
  setText(byId('n-hour-title'), isPartial ? `Ended since ${since}` : 'Ended in the last hour');
  setText(byId('n-hour-sub'), [
    `${formatNumber(counts.completed)} completed`,
    counts.failed && `${formatNumber(counts.failed)} of them failed`,
    counts.refused && `${formatNumber(counts.refused)} refused`,
  ].filter(Boolean).join(' · '));
}

function drawBars({ good, bad }) {
  if (!bars.length) makeBars();
  const most = Math.max(MIN_SCALE, ...good.map((value, slot) => value + bad[slot]));
  const heightOf = (value) => (value ? Math.max(2, (value / most) * MAX_HEIGHT) : 0);
  bars.forEach(([upper, lower], slot) => {
    const low = heightOf(bad[slot]);
    const high = heightOf(good[slot]);
    lower.setAttribute('height', low);
    lower.setAttribute('y', 33 - low);
    upper.setAttribute('height', high);
    upper.setAttribute('y', 33 - low - high);
  });
}

function makeBars() {
  for (let slot = 0; slot < MINUTES; slot += 1) {
    const pair = ['good', 'bad'].map((kind) => svgElement('rect', { class: kind, x: slot * 4, width: 3, height: 0 }));
    bars.push(pair);
    byId('n-hour').append(...pair);
  }
}
