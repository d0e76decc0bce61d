// Requests to the server's HTTP API (docs/interface.md).

import { learnSkew } from './clock.js';
import { readEvents } from './events.js';
import { parseTime, plainText } from './format.js';
import { readToken, refuseToken } from './token.js';

const TIMEOUT_MILLIS = 30_000;
/** The server may have to wait for GitHub. */
const LOG_TIMEOUT_MILLIS = 200_000;

/**
 * Sends a request with the token. Fails with a sentence that can be shown, unless the answer is a success. With a `body`
 * it asks the server to change something.
 */
async function request(path, accept, signal, body = null) {
  const token = readToken();
  if (token === null) throw new Error('there is no token');
  const headers = { accept, authorization: `Bearer ${token}` };
  const options = { headers, signal, cache: 'no-store' };
  if (body !== null) {
    headers['content-type'] = 'application/json';
    Object.assign(options, { method: 'POST', body: JSON.stringify(body) });
  }
  const response = await expectAnswer(fetch(path, options));
  if (response.ok) return response;
  if (response.status === 401) {
    refuseToken(token);
    throw new Error('the server does not accept the token');
  }
  const message = plainText((await response.json().catch(() => null))?.message);
  throw new Error(message || `${path.split('?')[0]} returned status ${response.status}`);
}

/** Waits for an answer or its body. Browsers name failures differently, so one sentence stands for all of them. */
async function expectAnswer(promise) {
  try { return await promise; } catch { throw new Error('the server does not respond'); }
}

function readDate(response, requestedAt) {
  const date = parseTime(response.headers.get('date'));
  if (date !== null) learnSkew(date, requestedAt);
}

/** Reads a page of `jobs` or `runners`; `next` is the cursor of the page after it, or null. */
export async function readPage(kind, filter, cursor, limit) {
  const query = new URLSearchParams({ limit: String(limit), ...filter });
  if (cursor !== null) query.set('cursor', cursor);
  const requestedAt = Date.now();
  const response = await request(`api/v1/${kind}?${query}`, 'application/json', AbortSignal.timeout(TIMEOUT_MILLIS));
  readDate(response, requestedAt);
  const page = await expectAnswer(response.json());
  const next = page.next === undefined || page.next === null ? null : String(page.next);
  return { items: Array.isArray(page[kind]) ? page[kind] : [], next: next === cursor ? null : next };
}

/** Reads one thing, such as `status` or `jobs/7`. */
export async function readOne(path, timeout = TIMEOUT_MILLIS) {
  const response = await request(`api/v1/${path}`, 'application/json', AbortSignal.timeout(timeout));
  return expectAnswer(response.json());
}

/** Asks the server to change something; returns its answer. */
export async function postJson(path, body) {
  const response = await request(`api/v1/${path}`, 'application/json', AbortSignal.timeout(TIMEOUT_MILLIS), body);
  return expectAnswer(response.json());
}

/** Fails unless the server responds. This request needs no token. */
export async function checkHealth() {
  const requestedAt = Date.now();
  const signal = AbortSignal.timeout(TIMEOUT_MILLIS);
  const response = await expectAnswer(fetch('healthz', { signal, cache: 'no-store' }));
  if (!response.ok) throw new Error(`healthz returned status ${response.status}`);
  readDate(response, requestedAt);
}

/**
 * Opens the stream of events. `onOpen()` is called once the server has accepted it, `onEvents(data)` with the data of
 * the events in each chunk, and `onEnd(reason)` at the end, unless it was closed with the `close` that is returned.
 */
export function openEvents({ onOpen, onEvents, onEnd }) {
  const closing = new AbortController();
  const connecting = setTimeout(() => closing.abort(), TIMEOUT_MILLIS);
  let closed = false;
  const read = async () => {
    const response = await request('api/v1/events', 'text/event-stream', closing.signal);
    clearTimeout(connecting);
    if (closed) return;
    onOpen();
    await readEvents(response.body, (data) => { if (!closed) onEvents(data); });
  };
  const end = (reason) => {
    clearTimeout(connecting);
    if (!closed) onEnd(reason);
  };
  read().then(() => end('the connection was closed'), (error) => end(error.message));
  return { close() { closed = true; clearTimeout(connecting); closing.abort(); } };
}

/** Reads a job's log: `{ lines }` or `{ error }`. */
export async function readLog(jobId) {
  try {
    const path = `api/v1/jobs/${encodeURIComponent(jobId)}/log`;
    const response = await request(path, 'text/plain', AbortSignal.timeout(LOG_TIMEOUT_MILLIS));
    return { lines: (await expectAnswer(response.text())).replace(/\n$/, '').split('\n') };
  } catch (error) {
    return { error: error.message };
  }
}
