// Opens and closes the details of a job or runner.

import { byId } from './dom.js';
import { writeAddress } from './filters.js';
import { rowElement } from './list.js';
import { draw } from './redraw.js';
import { list, selection } from './state.js';

/** Where the screen is narrow, details cover the page. */
export const narrowScreen = matchMedia('(max-width: 1100px)');

const rowKeyOf = ({ kind, key }) => (kind === 'jobs' ? 'j' : 'r') + key;

/** Opens the details of an item; `focus` moves the focus there, `push` adds an entry to the browser's history. */
export function openDetails(kind, key, focus, push = true) {
  selection.item = { kind, key };
  writeAddress(push);
  drawInPlace(rowKeyOf(selection.item));
  byId('detail').scrollTop = 0;
  if (focus || narrowScreen.matches) byId('d-title').focus({ preventScroll: true });
}

/** Closes the details. If the focus was there, it returns to the item's row. */
export function closeDetails() {
  if (!selection.item) return;
  const rowKey = rowKeyOf(selection.item);
  const hadFocus = byId('detail').contains(document.activeElement) || document.activeElement === document.body;
  selection.item = null;
  writeAddress(true);
  drawInPlace(rowKey);
  if (hadFocus) (rowElement(rowKey) ?? rowElement(list.cursor))?.focus();
}

/** Draws, and keeps a row where it is on the screen: details take room from the list. */
function drawInPlace(rowKey) {
  const top = () => rowElement(rowKey)?.getBoundingClientRect().top;
  const before = top();
  draw();
  const after = top();
  if (before === undefined || after === undefined || before <= 0 || before >= innerHeight) return;
  if (Math.abs(after - before) > 1) window.scrollBy({ top: after - before, behavior: 'instant' });
}
