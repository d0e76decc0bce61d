// The live connection to the server: its state, reconnecting with backoff, and what the page says about it.

import { checkHealth, openEvents } from './api.js';
import {
  clockStoppedAt, formatServerTime, millisSinceStop, noteContact, resumeClock, stopClock,
} from './clock.js';
import { announce, byId, setText, setVisible } from './dom.js';
import { onTokenRefused, readToken, takeTokenFromAddress } from './token.js';

const HEALTH_INTERVAL_MILLIS = 20_000;
const MAX_BACKOFF_MILLIS = 15_000;
/** A shorter loss of the connection is not worth a warning. */
const STALE_AFTER_MILLIS = 3000;

const WORDS = { live: 'Live', connecting: 'Connecting', resting: 'Paused while hidden', locked: 'No token' };

let stream = null;
/** Or `live`, `retrying`, `resting`, or `locked`: without a token, nothing is tried. */
let state = 'connecting';
/** Whether the server has accepted the token. */
let accepted = false;
let attempts = 0;
let retryAt = 0;
let checkedAt = Date.now();
let handlers = null;
/** Whether an open stream has the server read the records again and again. Then a hidden page rests. */
let polled = false;
/** Whether the page has rested and is not live yet: that is no loss of contact. */
let rested = false;

/**
 * Opens the connection, and keeps it open. `given.hasData()` says whether the page has anything to show;
 * `onConnect()`, `onOpen()` and `onEvent(event)` are called at each attempt, each success and each event;
 * `onState(state, error)` at each change of the state.
 */
export function startConnection(given) {
  handlers = given;
  onTokenRefused(() => lock(`The server ${accepted ? 'no longer accepts' : 'does not accept'} the token.`));
  byId('retry').addEventListener('click', connect);
  window.addEventListener('online', () => { if (state === 'retrying') connect(); });
  // A page in the back/forward cache must not hold one of the server's streams.
  window.addEventListener('pagehide', closeStream);
  window.addEventListener('pageshow', (event) => { if (event.persisted) connect(); });
  window.addEventListener('hashchange', () => { if (takeTokenFromAddress()) connectWithNewToken(); });
  document.addEventListener('visibilitychange', onVisibility);
  connect();
}

function onVisibility() {
  if (document.hidden) {
    if (polled && (state === 'live' || state === 'connecting')) rest();
  } else if (state === 'retrying' || state === 'resting') {
    attempts = Math.min(attempts, 1);
    connect();
  }
}

/** Notes whether the server reads the records only for open streams. */
export function setPolled(given) {
  polled = given;
  if (polled && document.hidden && stream) rest();
}

export const isLive = () => state === 'live';

/** Closes the stream until the page is seen again. */
function rest() {
  closeStream();
  if (handlers.hasData()) stopClock();
  rested = true;
  setState('resting');
}

/** Connects with a token that was just given. */
export function connectWithNewToken() {
  accepted = false;
  connect();
}

/** Reconnects, checks the connection or shows the time left, as is due; for each second. */
export function updateConnection() {
  if (state === 'retrying' && retryAt && Date.now() >= retryAt && !(polled && document.hidden)) connect();
  showConnection();
  if (Date.now() - checkedAt > HEALTH_INTERVAL_MILLIS && state === 'live') check();
}

/** The current connection, to tell whether a response belongs to an earlier one; null while there is none. */
export const currentStream = () => stream;

/** Notes that the lists were read: the page shows the present. */
export function markLive() {
  attempts = 0;
  rested = false;
  setState('live');
}

/** Notes that the connection is lost, and schedules the next attempt. */
export function markLost(error) {
  closeStream();
  rested = false;
  if (handlers.hasData()) stopClock();
  attempts += 1;
  const backoff = Math.min(MAX_BACKOFF_MILLIS, 500 * 2 ** Math.min(attempts, 5));
  retryAt = Date.now() + backoff * (0.75 + Math.random() / 2);
  setState('retrying', error);
}

/** Closes the connection and waits for a token. */
function lock(error = '') {
  closeStream();
  if (handlers.hasData()) stopClock();
  attempts = 0;
  setState('locked', error);
}

function closeStream() {
  stream?.close();
  stream = null;
}

function connect() {
  closeStream();
  retryAt = 0;
  if (readToken() === null) {
    lock();
    return;
  }
  const opened = openEvents({
    onOpen() {
      accepted = true;
      noteContact();
      handlers.onOpen();
    },
    onEvents(events) {
      noteContact();
      for (const data of events) if (opened === stream) handleData(data);
    },
    onEnd: markLost,
  });
  stream = opened;
  handlers.onConnect();
  setState(attempts ? 'retrying' : 'connecting');
}

function handleData(data) {
  let event;
  try { event = JSON.parse(data); } catch { return; }
  handlers.onEvent(event);
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
  handlers.onState(state, error);
}

function showConnection() {
  const secsLeft = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
  const retrying = secsLeft > 0 ? `Reconnecting in ${secsLeft} s` : 'Reconnecting';
  setText(byId('link-text'), WORDS[state] ?? retrying);
  setVisible(byId('retry'), state === 'retrying' && secsLeft > 1);
  const stoppedAt = clockStoppedAt();
  const stale = stoppedAt !== null && !rested && (state === 'locked' || millisSinceStop() > STALE_AFTER_MILLIS);
  setVisible(byId('stale'), stale);
  if (stale) {
    const lost = state === 'locked' ? 'Not connected' : 'No contact with the server';
    const since = `${lost} since ${formatServerTime(stoppedAt)}.`;
    setText(byId('stale'), `${since} Jobs, runners and durations are as of that time.`);
  }
}

/** A connection can die without an error: checks that the server still responds. */
async function check() {
  checkedAt = Date.now();
  const checked = stream;
  try {
    await checkHealth();
    noteContact();
  } catch {
    if (checked === stream && state === 'live') markLost('the server does not respond');
  }
}
