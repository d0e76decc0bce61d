// The panel that asks for the token while there is none, and while it is not known whether the server accepts it.

import { connectWithNewToken } from './connection.js';
import { announce, byId, setText, setVisible } from './dom.js';
import { isLoaded } from './loading.js';
import { draw } from './redraw.js';
import { closeDetails, narrowScreen } from './selection.js';
import { storeToken } from './token.js';

export function startTokenPanel() {
  byId('ask-form').addEventListener('submit', (event) => {
    event.preventDefault();
    storeToken(byId('ask-token').value.trim());
    connectWithNewToken();
  });
}

export const isAsking = () => !byId('ask').hidden;

/** Shows or hides the panel as the connection's state asks for. */
export function updateTokenPanel(state, error) {
  if (state === 'locked') ask(error);
  else if (state !== 'connecting') close(state);
  else if (isAsking()) showError('', 'Connecting…');
}

function ask(error) {
  // Neither may cover the panel.
  if (isLoaded() && narrowScreen.matches) closeDetails();
  if (byId('help').open) byId('help').close();
  setVisible(byId('ask'), true);
  showError(error && `${error} It makes a new one at each start.`, 'Connect');
  byId('ask-token').value = '';
  draw();
  byId('ask-token').focus();
}

function showError(error, buttonText) {
  setText(byId('ask-error'), error);
  byId('ask-token').setAttribute('aria-invalid', String(error !== ''));
  setText(byId('ask-send'), buttonText);
}

function close(state) {
  if (!isAsking()) return;
  const hadFocus = byId('ask').contains(document.activeElement);
  setVisible(byId('ask'), false);
  byId('ask-token').value = '';
  draw();
  if (hadFocus) byId('list').focus({ preventScroll: true });
  if (state === 'live') announce('Connected');
}
