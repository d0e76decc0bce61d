// The state of the deployment: its name, where it runs, and whether launches are paused.

import { readOne } from './api.js';
import { isLive } from './connection.js';
import { byId, setText, setVisible } from './dom.js';
import { plainText } from './format.js';
import { draw } from './redraw.js';

const INTERVAL_MILLIS = 30_000;

/** As the server told it, or null. */
let status = null;
let readAt = 0;

export function startStatus() {
  byId('empty-aws').hidden = true;
}

/** Whether a job's log can be read while the job runs. */
export const hasLiveLogs = () => status?.logs === 'cloudwatch';

/** Whether the server can have GitHub run an ended job again. */
export const canRunAgain = () => status?.kind === 'aws';

export const isPaused = () => status?.paused === true;

/** The address of a job's page at GitHub, or null. */
export function jobAddress(data) {
  if (data.url) return data.url;
  if (!status?.github || !data.repository || !data.run_id) return null;
  return `${status.github}/${data.repository}/actions/runs/${data.run_id}/job/${data.id}`;
}

export async function loadStatus() {
  readAt = Date.now();
  // The lists say why the server does not answer.
  const told = await readOne('status').catch(() => null);
  if (told) setStatus(told);
}

/** Notes a part of the state that the server has just told. */
export function setStatus(told) {
  status = { ...status, ...told };
  draw();
}

/** Reads the state again once it is due. */
export function updateStatus() { if (isLive() && Date.now() - readAt > INTERVAL_MILLIS) loadStatus(); }

export function drawStatus() {
  if (!status) return;
  const isAws = status.kind === 'aws';
  const names = isAws ? [status.deployment, status.region] : ['local'];
  setText(byId('mode'), names.map(plainText).filter(Boolean).join(' · '));
  setVisible(byId('mode'), true);
  byId('mode').title = `deployment ${plainText(status.deployment)}`;
  setVisible(byId('paused'), isPaused());
  setVisible(byId('pause'), !isPaused());
  setVisible(byId('empty-local'), !isAws);
  setVisible(byId('empty-aws'), isAws);
}
