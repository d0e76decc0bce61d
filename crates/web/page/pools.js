// How many jobs and runners each pool has. Pure functions.

import { plainText } from './format.js';

/** Counts what is open in each pool; returns a map by the pool's key. */
export function countPools(records) {
  const pools = new Map();
  const poolOf = (data) => {
    if (!pools.has(data.pool)) pools.set(data.pool, emptyPool(data.pool));
    const pool = pools.get(data.pool);
    pool.class ??= data.class ?? null;
    return pool;
  };
  for (const job of records.jobs.values()) if (job.data.pool) addJob(poolOf(job.data), job);
  for (const runner of records.runners.values()) if (runner.data.pool) addRunner(poolOf(runner.data), runner);
  return pools;
}

function emptyPool(key) {
  return {
    key, class: null, labels: null, repositories: new Set(),
    waiting: 0, queued: 0, running: 0, starting: 0, idle: 0, open: 0,
    /** When the oldest queued job was queued, and the job that is served first. */
    oldest: null, first: null,
  };
}

function addJob(pool, job) {
  const { data, queued } = job;
  pool.labels ??= Array.isArray(data.labels) ? data.labels : null;
  if (data.repository) pool.repositories.add(data.repository);
  if (data.state === 'waiting') pool.waiting += 1;
  else if (data.state === 'in_progress') pool.running += 1;
  else if (data.state === 'queued') {
    pool.queued += 1;
    if (!pool.first || (queued ?? Infinity) < (pool.first.queued ?? Infinity)) pool.first = job;
    if (queued !== null) pool.oldest = Math.min(pool.oldest ?? Infinity, queued);
  }
}

function addRunner(pool, runner) {
  if (!runner.open) return;
  pool.open += 1;
  if (runner.data.state === 'reserved' || runner.data.state === 'starting') pool.starting += 1;
  else if (runner.data.state === 'booted') pool.idle += 1;
}

/** Whether a pool has an open job or runner. */
export const isActive = (pool) => pool.queued + pool.waiting + pool.running + pool.open > 0;

/**
 * Chooses at most `limit` pools. The active ones and those with the longest wait come first; but the chosen pools are
 * sorted by name and class, so that each keeps its place while its numbers change.
 */
export function choosePools(pools, limit) {
  const byName = (a, b) => plainText([...a.repositories][0]).localeCompare(plainText([...b.repositories][0]))
    || plainText(a.class).localeCompare(plainText(b.class)) || (a.key < b.key ? -1 : 1);
  const byActivity = (a, b) => isActive(b) - isActive(a);
  const byWait = (a, b) => (a.oldest ?? Infinity) - (b.oldest ?? Infinity) || 0;
  const sorted = [...pools].sort((a, b) => byActivity(a, b) || byWait(a, b) || byName(a, b));
  return sorted.slice(0, limit).sort((a, b) => byActivity(a, b) || byName(a, b));
}
