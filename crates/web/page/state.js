// What the modules share: the records, the filters, the selected item and the visible list.

import { Records } from './records.js';

export const records = new Records();

/** The list in view and its filters; an empty text filters nothing. `filters.js` keeps them in the address. */
export const view = { section: '', kind: 'jobs', q: '', repository: '', class: '', state: '', pool: '' };

/** The sections of the page other than the lists of jobs and runners. */
export const SECTIONS = ['costs', 'deployment'];

export const FILTER_NAMES = ['q', 'repository', 'class', 'state', 'pool'];
export const isFiltered = () => FILTER_NAMES.some((name) => view[name]);

/** The item whose details are open, as `{ kind, key }`, or null. */
export const selection = { item: null };
export const isSelected = (kind, key) => selection.item?.kind === kind && selection.item.key === key;

const MAX_OPEN_ROWS = 60;
const MAX_ENDED_ROWS = 100;
export const MORE_ROWS = 200;

export const list = {
  /** All items that match the filters, in order. */
  open: [],
  ended: [],
  /** How many of each group are shown as rows. */
  limits: { open: MAX_OPEN_ROWS, ended: MAX_ENDED_ROWS },
  /** The key of the row that the keyboard is on. */
  cursor: '',
};

export const listTotal = () => list.open.length + list.ended.length;

export function resetLimits() { list.limits = { open: MAX_OPEN_ROWS, ended: MAX_ENDED_ROWS }; }

/** The items that are shown as rows. */
export const shownItems = () => [...list.open.slice(0, list.limits.open), ...list.ended.slice(0, list.limits.ended)];
