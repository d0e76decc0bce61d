// Decides when the page is drawn, and lets durations grow. What is drawn is in `main.js`.

import { serverTime } from './clock.js';

const MIN_INTERVAL_MILLIS = 220;
const MIN_INTERVAL_HIDDEN_MILLIS = 1000;

let drawing = () => {};
/** Functions of the server's time that write a growing duration. */
export const durations = new Set();

let scheduled = 0;
let held = false;

/** Registers the function that draws the page. */
export function onDraw(given) { drawing = given; }

/** Draws the page now. */
export function draw() {
  clearTimeout(scheduled);
  scheduled = 0;
  if (held) drawSoon();
  else drawing();
}

/** Draws the page soon. A burst of events leads to one drawing, at most about four a second. */
export function drawSoon() {
  if (!scheduled) scheduled = setTimeout(draw, document.hidden ? MIN_INTERVAL_HIDDEN_MILLIS : MIN_INTERVAL_MILLIS);
}

/** Holds drawing back while a pointer is down on the list, so that no row moves under it. */
export function holdDrawing(hold) { held = hold; }

/** Writes the growing durations. */
export function updateDurations() {
  const now = serverTime();
  for (const update of durations) update(now);
}

/** Registers a growing duration in place of an earlier one, and returns it. */
export function replaceDuration(old, update) {
  durations.delete(old);
  durations.add(update);
  return update;
}
