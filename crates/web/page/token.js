// The token of the server's state directory, which each request to the API needs. This tab keeps it until it is closed.

const KEY = 'ecsrunner.token';

let token = null;                // where the browser blocks storage
let onRefused = () => {};

/** Returns the token, or null. */
export function readToken() {
  try { return token ?? sessionStorage.getItem(KEY); } catch { return token; }
}

export function storeToken(value) {
  token = value;
  try { sessionStorage.setItem(KEY, value); } catch { /* Kept by this page only. */ }
}

/** Registers the function that is called when the server has refused the token. */
export function onTokenRefused(given) { onRefused = given; }

/** Forgets a token that the server has refused, unless another one was given since the request. */
export function refuseToken(value) {
  if (readToken() !== value) return;
  token = null;
  try { sessionStorage.removeItem(KEY); } catch { /* It was never stored. */ }
  onRefused();
}

/**
 * Takes a token, such as `#token=…`, out of the address: it must not stay on the screen and in the history. Returns
 * whether there was one.
 */
export function takeTokenFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given === null) return false;
  history.replaceState(history.state, '', `${location.pathname}${location.search}`);
  if (!/^[!-~]+$/.test(given)) return false;
  storeToken(given);
  return true;
}
