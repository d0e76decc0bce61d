// Texts for numbers, times, durations and costs. Pure functions: no document, no clock.

/** Shown where a value is missing. */
export const DASH = '—';

/**
 * Ranges of characters that are not visible or change how others are shown: control characters, zero-width ones, and
 * those that set the direction of text. `is_hidden` in `crates/core/src/text.rs` has the same.
 */
export const HIDDEN_RANGES = [
  [0x00, 0x1f], [0x7f, 0x9f], [0xad, 0xad], [0x34f, 0x34f], [0x61c, 0x61c], [0x115f, 0x1160], [0x17b4, 0x17b5],
  [0x180b, 0x180f], [0x200b, 0x200f], [0x2028, 0x202e], [0x2060, 0x206f], [0x2800, 0x2800], [0x3164, 0x3164],
  [0xfe00, 0xfe0d], [0xfeff, 0xfeff], [0xffa0, 0xffa0], [0xfff0, 0xfffb], [0x1bca0, 0x1bca3], [0x1d173, 0x1d17a],
  [0xe0000, 0xe0fff],
];
const toEscape = (code) => `\\u{${code.toString(16)}}`;
const hidden = new RegExp(`[${HIDDEN_RANGES.map((range) => range.map(toEscape).join('-')).join('')}]+`, 'gu');

/** Returns a value as text. Hidden characters become a visible mark: names of jobs and workflows are untrusted. */
export function plainText(value) {
  if (value === null || value === undefined) return '';
  return String(value).replace(hidden, '\ufffd');
}

/** Returns a line of a log as text. Its tabs are kept. */
export const plainLine = (line) => line.split('\t').map(plainText).join('\t');

export const textOrDash = (value) => plainText(value) || DASH;

/** Joins the texts that are not empty, or returns a dash. */
export const joinTexts = (texts) => texts.filter(Boolean).join(' · ') || DASH;

const numberFormat = new Intl.NumberFormat();
export const formatNumber = (value) => numberFormat.format(value);

/** `1 job`, `2 jobs`. */
export function formatCount(value, singular, plural = `${singular}s`) {
  return `${formatNumber(value)} ${value === 1 ? singular : plural}`;
}

/** Parses RFC 3339 into milliseconds since 1970; null where it is not a time. */
export function parseTime(text) {
  const time = typeof text === 'string' ? Date.parse(text) : NaN;
  return Number.isNaN(time) ? null : time;
}

const twoDigits = (value) => String(value).padStart(2, '0');

/** Formats milliseconds; `whole` leaves out fractions of seconds, for durations that still grow. */
export function formatDuration(duration, whole = false) {
  if (duration === null || duration === undefined || Number.isNaN(duration)) return DASH;
  const millis = Math.max(0, duration);
  if (!whole && millis < 1000) return `${Math.round(millis)} ms`;
  if (!whole && millis < 9950) return `${(millis / 1000).toFixed(1)} s`;
  const secs = whole ? Math.floor(millis / 1000) : Math.round(millis / 1000);
  if (secs < 60) return `${secs} s`;
  if (secs < 3600) return `${Math.floor(secs / 60)} m ${twoDigits(secs % 60)} s`;
  if (secs < 86400) return `${Math.floor(secs / 3600)} h ${twoDigits(Math.floor((secs % 3600) / 60))} m`;
  return `${Math.floor(secs / 86400)} d ${Math.floor((secs % 86400) / 3600)} h`;
}

/** Formats milliseconds with tenths of seconds below a minute: the steps of a timeline are close to each other. */
export function formatStepDuration(duration) {
  return duration >= 9950 && duration < 59950 ? `${(duration / 1000).toFixed(1)} s` : formatDuration(duration);
}

/** Formats US dollars; null is a dash. */
export function formatCost(usd) {
  if (usd === null) return DASH;
  if (usd > 0 && usd < 0.00005) return '<$0.0001';
  return `$${usd.toFixed(usd < 10 ? 4 : 2)}`;
}

/** Formats a sum of US dollars: with cents, unless it is less than some. */
export const formatSum = (usd) => (usd === 0 || usd >= 0.1 ? `$${usd.toFixed(2)}` : formatCost(usd));

const MINUTES = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
const SECONDS = { ...MINUTES, second: '2-digit' };
export const CLOCK_MINUTES = new Intl.DateTimeFormat(undefined, MINUTES);
export const CLOCK_SECONDS = new Intl.DateTimeFormat(undefined, SECONDS);
export const CLOCK_MILLIS = new Intl.DateTimeFormat(undefined, { ...SECONDS, fractionalSecondDigits: 3 });
const DAY = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });

/** Formats a time as seen at `now`: with its day, unless it is the same day. */
export function formatTime(at, now, format = CLOCK_SECONDS) {
  if (at === null) return DASH;
  const time = format.format(at);
  return new Date(at).toDateString() === new Date(now).toDateString() ? time : `${DAY.format(at)} ${time}`;
}

export const toRfc3339 = (at) => new Date(at).toISOString();

/** Returns the address if it is https, else null: only such an address may become a link. */
export function httpsAddress(text) {
  if (typeof text !== 'string') return null;
  try {
    const address = new URL(text);
    return address.protocol === 'https:' ? address.href : null;
  } catch { return null; }
}
