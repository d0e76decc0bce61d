// Which items match the filters, and in which order they are listed. Pure functions.

import { plainText } from './format.js';

const isSameName = (a, b) => plainText(a).toLowerCase() === b.toLowerCase();

/**
 * Returns a function that says whether an item matches all filters except the state. `pools` are the pools by key: a
 * runner without a repository belongs to those of its pool.
 */
export function matcher(view, pools) {
  const words = view.q.toLowerCase().split(/\s+/).filter(Boolean);
  return (item) => {
    const { data } = item;
    if (view.class && data.class !== view.class) return false;
    if (view.pool && data.pool !== view.pool) return false;
    const job = item.kind === 'runners' ? item.job() : null;
    if (view.repository) {
      const fromJob = job ? [job.data.repository] : [...(pools.get(data.pool)?.repositories ?? [])];
      const names = data.repository ? [data.repository] : fromJob;
      if (!names.some((name) => isSameName(name, view.repository))) return false;
    }
    return words.every((word) => item.searchText.includes(word) || job?.searchText.includes(word));
  };
}

/** Whether an item is in a state; `failed` stands for the completed jobs that failed, an empty text for all. */
export function isInState(item, state) {
  if (!state) return true;
  return state === 'failed' && item.kind === 'jobs' ? item.failed : item.data.state === state;
}

/** Splits items into open ones, in the order in which they are served, and ended ones, the latest first. */
export function splitAndSort(items) {
  const open = items.filter((item) => item.open).sort((a, b) => a.rank - b.rank || (a.key < b.key ? -1 : 1));
  const ended = items.filter((item) => !item.open).sort((a, b) => b.rank - a.rank || (a.key < b.key ? 1 : -1));
  return { open, ended };
}

/** Whether a pool matches the filters by class, pool and repository. */
export function poolMatches(pool, view) {
  return (!view.class || pool.class === view.class)
    && (!view.pool || pool.key === view.pool)
    && (!view.repository || [...pool.repositories].some((name) => isSameName(name, view.repository)));
}
