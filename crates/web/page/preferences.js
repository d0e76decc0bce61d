// The reader's settings, stored in the browser.

/** Returns the stored value, or null. */
export function readPreference(name) {
  try { return localStorage.getItem(`ecsrunner.${name}`); } catch { return null; }
}

/** Stores a value; does nothing where the browser blocks storage. */
export function writePreference(name, value) {
  try { localStorage.setItem(`ecsrunner.${name}`, value); } catch { /* Not stored, for example in private mode. */ }
}
