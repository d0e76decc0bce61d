// The webhook's address in the instructions that an empty page shows.

import { byId, setText, setVisible } from './dom.js';

/** Addresses that GitHub cannot reach. */
const LOCAL_HOST = /^(localhost|127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|\[)/;
const COPIED_MILLIS = 2000;

export function startWebhookHelp() {
  const url = new URL('webhook', document.baseURI).href.replace(/[?#].*$/, '');
  byId('hook-url').textContent = url;
  setVisible(byId('hook-local'), LOCAL_HOST.test(location.hostname) || !location.hostname.includes('.'));
  byId('hook-copy').addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(url);
      setText(byId('hook-copy'), 'Copied');
    } catch {
      getSelection().selectAllChildren(byId('hook-url'));
      setText(byId('hook-copy'), 'Selected');
    }
    setTimeout(() => setText(byId('hook-copy'), 'Copy'), COPIED_MILLIS);
  });
}
