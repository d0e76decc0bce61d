// Requests to the server's HTTP API (docs/interface.md). Nothing here writes to the server.

import { learnSkew } from './clock.js';
import { parseTime, plainText } from './format.js';

const TIMEOUT_MILLIS = 30_000;
/** The server may have to wait for GitHub. */
const LOG_TIMEOUT_MILLIS = 200_000;

async function getJson(path) {
  const requestedAt = Date.now();
  const response = await fetch(path, {
    headers: { accept: 'application/json' }, cache: 'no-store', signal: AbortSignal.timeout(TIMEOUT_MILLIS),
  });
  if (!response.ok) throw new Error(`${path.split('?')[0]} returned status ${response.status}`);
  const date = parseTime(response.headers.get('date'));
  if (date !== null) learnSkew(date, requestedAt);
  return response.json();
}

/** Reads a page of `jobs` or `runners`; `next` is the cursor of the page after it, or null. */
export async function readPage(kind, filter, cursor, limit) {
  const query = new URLSearchParams({ limit: String(limit), ...filter });
  if (cursor !== null) query.set('cursor', cursor);
  const page = await getJson(`api/v1/${kind}?${query}`);
  const next = page.next === undefined || page.next === null ? null : String(page.next);
  return { items: Array.isArray(page[kind]) ? page[kind] : [], next: next === cursor ? null : next };
}

/** Fails unless the server responds. */
export const readHealth = () => getJson('healthz');

export const openEvents = () => new EventSource('api/v1/events');

/** Reads a job's log: `{ lines }`, or `{ error }` with `unauthorized` where the token is wrong. */
export async function readLog(jobId, token) {
  try {
    const response = await fetch(`api/v1/jobs/${encodeURIComponent(jobId)}/log`, {
      headers: { accept: 'text/plain', authorization: `Bearer ${token}` },
      cache: 'no-store',
      signal: AbortSignal.timeout(LOG_TIMEOUT_MILLIS),
    });
    if (response.ok) return { lines: (await response.text()).replace(/\n$/, '').split('\n') };
    if (response.status === 401) {
      return { unauthorized: true, error: 'The server does not accept this token. It makes a new one at each start.' };
    }
    const message = plainText((await response.json().catch(() => null))?.message);
    return { error: message || `The server returned status ${response.status}.` };
  } catch {
    return { error: 'The server does not respond.' };
  }
}
