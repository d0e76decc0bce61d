// One reading of a list, page by page: what is left to read, and which records are gone. No document, no server.

/** Begins the cursor of a page with open records. Pages under other cursors list what has ended. */
const OPEN_CURSOR = 'open:';

export class Reading {
  #minItems;
  #listed = new Set();

  /** Reads all open records, and goes on with ended ones until there are `minItems`. */
  constructor(minItems) {
    this.#minItems = minItems;
    /** The cursor of the next page; null before the first one and after the last one. */
    this.cursor = null;
    /** Whether there is a page to read. */
    this.more = true;
    /** Whether all open records were read. */
    this.isOpenRead = false;
  }

  /** Notes a page: the keys of its records, and the cursor of the next one. */
  addPage(keys, next) {
    for (const key of keys) this.#listed.add(key);
    this.cursor = next;
    this.isOpenRead = next === null || !next.startsWith(OPEN_CURSOR);
    this.more = next !== null && (!this.isOpenRead || this.#listed.size < this.#minItems);
  }

  /** Whether the server no longer lists a record. Its place may be on a page that is still to come. */
  isGone({ key, open }) {
    return !this.#listed.has(key) && (open ? this.isOpenRead : !this.more);
  }
}
