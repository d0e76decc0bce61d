// The token of the server's state directory, which a job's log requires. It is kept as long as this tab is open.

const KEY = 'ecsrunner.token';

let token = null;                // where the browser blocks storage

/** Returns the token, or null. */
export function readToken() {
  try { return token ?? sessionStorage.getItem(KEY); } catch { return token; }
}

export function storeToken(value) {
  token = value;
  try { sessionStorage.setItem(KEY, value); } catch { /* Kept by this page only. */ }
}

export function forgetToken() {
  token = null;
  try { sessionStorage.removeItem(KEY); } catch { /* It was never stored. */ }
}

/** Takes a token, such as `#token=…`, out of the address: it must not stay on the screen and in the history. */
export function takeTokenFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given === null) return;
  history.replaceState(history.state, '', `${location.pathname}${location.search}`);
  if (/^[!-~]+$/.test(given)) storeToken(given);
}
