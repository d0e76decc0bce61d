// The server's time.

import { formatTime, toRfc3339 } from './format.js';

/** Smaller differences between the two clocks are not corrected: the `Date` header has whole seconds. */
const MIN_SKEW_MILLIS = 2000;

let skew = 0;                    // the server's clock minus the browser's, in milliseconds
let stoppedAt = null;            // the server's time of the last contact, while the connection is lost
let lastContact = Date.now();    // by the browser's clock

/** The server's time. It stands still while the connection is lost, so that no duration is made up. */
export function serverTime() { return stoppedAt ?? Date.now() + skew; }

/** Learns the skew from a response's date: `date` was true at some time since `requestedAt`. */
export function learnSkew(date, requestedAt) {
  const difference = date + 500 - (requestedAt + Date.now()) / 2;
  skew = Math.abs(difference) > MIN_SKEW_MILLIS ? difference : 0;
}

/** Notes that the server was heard from. */
export function noteContact() { lastContact = Date.now(); }

/** Stops the clock at the last contact. */
export function stopClock() { stoppedAt ??= lastContact + skew; }

export function resumeClock() { stoppedAt = null; }

/** When the clock was stopped, or null while it runs. */
export const clockStoppedAt = () => stoppedAt;

/** Milliseconds since the clock was stopped; 0 while it runs. */
export const millisSinceStop = () => (stoppedAt === null ? 0 : Date.now() + skew - stoppedAt);

export const formatServerTime = (at, format) => formatTime(at, serverTime(), format);

/** Writes a time into a `<time>` element. */
export function setTime(target, at, format) {
  target.textContent = formatServerTime(at, format);
  if (at === null) {
    target.removeAttribute('datetime');
    target.removeAttribute('title');
    return;
  }
  target.dateTime = toRfc3339(at);
  target.title = toRfc3339(at);
}
