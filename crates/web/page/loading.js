// Reads jobs and runners into the records: both lists at each connection, then event by event; older ones on demand.

import { readOne, readPage } from './api.js';
import { currentStream, markLive, markLost, setPolled } from './connection.js';
import { announce, byId, setText } from './dom.js';
import { plainText } from './format.js';
import { Reading } from './reading.js';
import { draw, drawSoon } from './redraw.js';
import { isSelected, list, MORE_ROWS, records, view } from './state.js';
import { jobWord } from './words.js';

const FIRST_PAGE_ITEMS = 100;    // of the first page: mostly all that is open, and a few that ended
const OPEN_PAGE_ITEMS = 500;     // of each page after it that begins with open items
const PAGE_ITEMS = 200;          // of each other page
const MAX_FIRST_ITEMS = 2000;    // of each kind, when the page loads; more if more are open
const MAX_PAGES = 200;
const MAX_OLDER_PAGES = 50;

const KINDS = {
  runners: {
    keyOf: (data) => String(data?.name),
    put: (data) => records.putRunner(data),
    forget: (name) => records.forgetRunner(name),
  },
  jobs: { keyOf: (data) => String(data?.id), put: putJob, forget: (id) => records.forgetJob(id) },
};

let loaded = false;
let loading = false;
let again = false;
let loads = 0;
/** Keys of what events brought since the lists were requested: newer than what the lists say. */
const updated = { jobs: new Set(), runners: new Set() };
/** Keys of what was asked for by itself: the lists may not reach back to it. */
const sought = { jobs: new Set(), runners: new Set() };
/** For each kind, a filter's cursor to what was not read; null where all was read. */
const cursors = { jobs: new Map(), runners: new Map() };

/** Whether the lists were read at least once. */
export const isLoaded = () => loaded;
export const isLoading = () => loading;

/** Notes a new connection: a load of the connection before it no longer counts. */
export function resetLoading() {
  loading = false;
  again = false;
}

/** Reads both lists. What is open comes first, and is shown once it was read. */
export async function load() {
  if (loading) { again = true; return; }
  loading = true;
  loads += 1;
  for (const keys of Object.values(updated)) keys.clear();
  const stream = currentStream();
  const readings = Object.keys(KINDS).map((kind) => (
    { kind, reading: new Reading(Math.max(MAX_FIRST_ITEMS, records.of(kind).size)) }
  ));
  try {
    for (let page = 0; page < MAX_PAGES && readings.some(({ reading }) => reading.more); page += 1) {
      const parts = await Promise.all(readings.map(({ kind, reading }) => (
        reading.more ? readPage(kind, {}, reading.cursor, pageItems(reading)) : null
      )));
      if (stream !== currentStream()) return;
      readings.forEach(({ kind, reading }, i) => { if (parts[i]) storePart(kind, reading, parts[i]); });
      // A part of what is open would look like all of it.
      if (readings.every(({ reading }) => reading.isOpenRead)) showLists();
    }
  } catch (error) {
    if (stream === currentStream()) markLost(error.message);
  } finally {
    // A newer connection has a load of its own.
    if (currentStream() === null || stream === currentStream()) {
      loading = false;
      if (again && currentStream()) setTimeout(() => { if (stream === currentStream()) load(); }, 1000);
      again = false;
      draw();
    }
  }
}

function pageItems(reading) {
  if (reading.cursor === null) return FIRST_PAGE_ITEMS;
  return reading.isOpenRead ? PAGE_ITEMS : OPEN_PAGE_ITEMS;
}

function showLists() {
  records.evicted = false;
  records.changed.clear();
  loaded = true;
  markLive();
  draw();
}

/** Stores a part of a list, and forgets records that the server no longer lists. */
function storePart(kind, reading, part) {
  const { keyOf, put, forget } = KINDS[kind];
  if (reading.cursor === null) cursors[kind].clear();
  // A record may be listed twice: as open, and on a later page as ended.
  for (const data of part.items) if (!updated[kind].has(keyOf(data))) put(data);
  reading.addPage(part.items.map(keyOf), part.next);
  const isGone = (item) => reading.isGone(item) && !updated[kind].has(item.key) && !sought[kind].has(item.key);
  for (const item of [...records.of(kind).values()]) if (isGone(item)) forget(item.key);
  cursors[kind].set('', part.next);
}

function putJob(data) {
  const changed = records.putJob(data);
  if (changed && isSelected('jobs', changed.key)) announce(`${plainText(data.name)}: ${jobWord(data)}`);
}

/** Handles an event of the server. */
export function handleEvent(event) {
  if (event?.type === 'hello') {
    setText(byId('version'), event.version ? `v${plainText(event.version)}` : '');
    setPolled(event.polled === true);
    return;
  }
  if (event?.type === 'lagged') { load(); return; }
  if (event?.type === 'job' && event.job) update('jobs', event.job);
  if (event?.type === 'runner' && event.runner) update('runners', event.runner);
  if (loaded) drawSoon();
}

/** Reads a record that no list has brought, such as an old job that an address names, and the runner of a job. */
export async function loadItem(kind, key) {
  const data = await readOne(`${kind}/${encodeURIComponent(key)}`);
  if (kind === 'jobs' && data.runner && !records.runners.has(String(data.runner))) {
    // A job is worth showing without its runner.
    const runner = await readOne(`runners/${encodeURIComponent(data.runner)}`).catch(() => null);
    if (runner) putSought('runners', runner);
  }
  putSought(kind, data);
  draw();
}

function putSought(kind, data) {
  sought[kind].add(KINDS[kind].keyOf(data));
  KINDS[kind].put(data);
}

function update(kind, data) {
  KINDS[kind].put(data);
  updated[kind].add(KINDS[kind].keyOf(data));
}

/** The filters that the server applies. */
export function serverFilter(withState = true) {
  const filter = {};
  if (view.repository) filter.repository = view.repository;
  if (view.class) filter.class = view.class;
  if (view.state && withState) filter.state = view.state === 'failed' ? 'completed' : view.state;
  return filter;
}

const filterKey = (filter) => new URLSearchParams(filter).toString();

/** Whether the list of a kind was read to its end. */
export const isReadToEnd = (kind) => cursors[kind].get('') === null;

/** Whether the server may have more items, of this kind and filter, than were read. */
export function hasOlder(kind, filter) {
  const whole = cursors[kind].get('');
  return whole !== null && whole !== undefined && cursors[kind].get(filterKey(filter)) !== null;
}

/** Reads older items that match the filters. */
export async function loadOlder() {
  const button = byId('older-load');
  button.disabled = true;
  try {
    // Runners are read along with jobs: a job's timeline needs them. The filters apply to the list in view.
    for (const kind of ['jobs', 'runners']) await readOlder(kind, kind === view.kind ? serverFilter() : {});
    records.changed.clear();
    list.limits.ended += MORE_ROWS;
  } catch (error) {
    announce(`Could not load older ones: ${error.message}`);
    setText(byId('older-text'), `Could not load older ones: ${error.message}.`);
  }
  button.disabled = false;
  draw();
}

async function readOlder(kind, filter) {
  const key = filterKey(filter);
  const load = loads;
  // The first pages of a filter may hold only known items: read until one is new.
  for (let page = 0; page < MAX_OLDER_PAGES && hasOlder(kind, filter); page += 1) {
    const part = await readPage(kind, filter, cursors[kind].get(key) ?? null, PAGE_ITEMS);
    // The lists were read again meanwhile, and this cursor belongs to the list before.
    if (load !== loads) return;
    const unknown = part.items.filter((data) => !records.of(kind).has(KINDS[kind].keyOf(data)));
    unknown.forEach(KINDS[kind].put);
    cursors[kind].set(key, part.next);
    if (unknown.length > 0) return;
  }
}
