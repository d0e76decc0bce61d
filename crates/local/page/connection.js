// The live connection to the server: its state, reconnecting with backoff, and what the page says about it.

import { openEvents, readHealth } from './api.js';
import {
  clockStoppedAt, formatServerTime, millisSinceStop, noteContact, resumeClock, stopClock,
} from './clock.js';
import { announce, byId, setText, setVisible } from './dom.js';

const HEALTH_INTERVAL_MILLIS = 20_000;
const MAX_BACKOFF_MILLIS = 15_000;
/** A shorter loss of the connection is not worth a warning. */
const STALE_AFTER_MILLIS = 3000;

let stream = null;
let state = 'connecting';        // or 'live', 'retrying'
let attempts = 0;
let retryAt = 0;
let checkedAt = Date.now();
let handlers = null;

/**
 * Opens the connection, and keeps it open. `given.hasData()` says whether the page has anything to show;
 * `onConnect()`, `onOpen()` and `onEvent(event)` are called at each attempt, each success and each event.
 */
export function startConnection(given) {
  handlers = given;
  byId('retry').addEventListener('click', connect);
  window.addEventListener('online', () => { if (state === 'retrying') connect(); });
  window.addEventListener('pageshow', (event) => { if (event.persisted) connect(); });
  document.addEventListener('visibilitychange', () => {
    if (document.hidden || state !== 'retrying') return;
    attempts = Math.min(attempts, 1);
    connect();
  });
  connect();
}

/** Reconnects, checks the connection or shows the time left, as is due; for each second. */
export function updateConnection() {
  if (state === 'retrying' && retryAt && Date.now() >= retryAt) connect();
  showConnection();
  if (Date.now() - checkedAt > HEALTH_INTERVAL_MILLIS && state === 'live') checkHealth();
}

/** The current connection, to tell whether a response belongs to an earlier one; null while there is none. */
export const currentStream = () => stream;

/** Notes that the lists were read: the page shows the present. */
export function markLive() {
  attempts = 0;
  setState('live');
}

/** Notes that the connection is lost, and schedules the next attempt. */
export function markLost(error) {
  stream?.close();
  stream = null;
  if (handlers.hasData()) stopClock();
  attempts += 1;
  const backoff = Math.min(MAX_BACKOFF_MILLIS, 500 * 2 ** Math.min(attempts, 5));
  retryAt = Date.now() + backoff * (0.75 + Math.random() / 2);
  setState('retrying', error);
}

function connect() {
  stream?.close();
  retryAt = 0;
  const opened = openEvents();
  stream = opened;
  handlers.onConnect();
  setState(attempts ? 'retrying' : 'connecting');
  opened.onopen = () => {
    if (opened !== stream) return;
    noteContact();
    handlers.onOpen();
  };
  opened.onmessage = (message) => {
    if (opened !== stream) return;
    let event;
    try { event = JSON.parse(message.data); } catch { return; }
    noteContact();
    handlers.onEvent(event);
  };
  opened.onerror = () => { if (opened === stream) markLost('the connection was closed'); };
}

function setState(next, error = '') {
  const previous = state;
  state = next;
  if (state === 'live') resumeClock();
  byId('link').dataset.state = state;
  byId('link').title = error;
  showConnection();
  if (previous === 'retrying' && state === 'live') announce('Connected again');
  if (previous === 'live' && state === 'retrying') announce('Connection lost, reconnecting');
  if (!handlers.hasData()) {
    const failed = `Could not load jobs and runners: ${error}. Retrying.`;
    setText(byId('loading'), error ? failed : 'Loading jobs and runners…');
  }
}

function showConnection() {
  const secsLeft = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
  const retrying = secsLeft > 0 ? `Reconnecting in ${secsLeft} s` : 'Reconnecting';
  setText(byId('link-text'), { live: 'Live', connecting: 'Connecting' }[state] ?? retrying);
  setVisible(byId('retry'), state === 'retrying' && secsLeft > 1);
  const stale = millisSinceStop() > STALE_AFTER_MILLIS;
  setVisible(byId('stale'), stale);
  if (stale) {
    const lost = `No contact with the server since ${formatServerTime(clockStoppedAt())}.`;
    setText(byId('stale'), `${lost} Jobs, runners and durations are as of that time.`);
  }
}

/** A connection can die without an error: checks that the server still responds. */
async function checkHealth() {
  checkedAt = Date.now();
  const checked = stream;
  try {
    await readHealth();
    noteContact();
  } catch {
    if (checked === stream && state === 'live') markLost('the server does not respond');
  }
}
