// What an operator changes: pause and resume, stop a runner, retry a job. The server checks as the command line does.

import { postJson } from './api.js';
import { announce, byId, element, setText, setVisible } from './dom.js';
import { plainText } from './format.js';
import { canRunAgain, loadStatus, setStatus } from './status.js';

/** What became of the last action, and on which item. */
let done = { item: '', text: '', failed: false };
let running = false;

export function startActions() {
  byId('pause').addEventListener('click', () => ask({
    title: 'Pause launches?',
    text: 'No more runners start within 30 seconds. Running jobs continue, and other jobs wait.',
    word: 'Pause', act: () => pause(true),
  }));
  byId('resume').addEventListener('click', () => pause(false));
}

async function pause(paused) {
  byId('resume').disabled = true;
  try {
    const told = await postJson('pause', { paused });
    setStatus({ paused: told.paused });
    const stays = told.paused && !paused ? 'Launches stay paused, because the deployment’s settings pause them' : '';
    sayPause(stays || (paused ? 'Launches are paused' : 'Launches resume within 30 seconds'), stays !== '');
  } catch (error) {
    sayPause(`Not ${paused ? 'paused' : 'resumed'}: ${error.message}`, true);
    loadStatus();
  }
  byId('resume').disabled = false;
}

function sayPause(text, isProblem) {
  announce(text);
  setText(byId('problem-text'), isProblem ? text : '');
  setVisible(byId('problem'), isProblem);
}

/** Asks before something is done that cannot be undone. */
function ask({ title, text, word, act }) {
  const dialog = byId('confirm');
  setText(byId('confirm-title'), title);
  setText(byId('confirm-text'), text);
  setText(byId('confirm-do'), word);
  dialog.returnValue = '';
  dialog.addEventListener('close', () => { if (dialog.returnValue === 'do') act(); }, { once: true });
  dialog.showModal();
}

/** What can be done with a job. */
export function jobActions({ id, state, conclusion }) {
  const retry = (word, title) => [{ word, title, item: `j${id}`, path: `jobs/${encodeURIComponent(id)}/retry`, body: {} }];
  const hasEnded = state === 'completed' || (state === 'refused' && conclusion);
  if (state === 'refused' && !conclusion) return retry('Retry', 'Check again whether the job may run');
  if (state === 'queued') return retry('Check again', 'Plan again now');
  if (hasEnded && canRunAgain()) return retry('Run again', 'Have GitHub run the job again; this needs your own token in GH_TOKEN');
  return [];
}

/** What can be done with a runner. */
export function runnerActions({ data, open, isWarmTask }) {
  if (!open || isWarmTask) return [];
  const stop = { item: `r${data.name}`, path: `runners/${encodeURIComponent(data.name)}/stop` };
  const retire = { ...stop, word: 'Retire', title: 'It takes no new job', body: { force: false } };
  const risk = data.state === 'busy' ? 'Its job fails.' : 'A job that GitHub assigns to it meanwhile fails.';
  const kill = {
    ...stop, word: 'Stop…', title: 'Stop its task at once', body: { force: true },
    ask: { title: 'Stop this runner?', text: `${data.name} is ${data.state}. If it is stopped now: ${risk}`, word: 'Stop' },
  };
  if (data.state === 'busy') return [kill];
  return data.state === 'ending' ? [kill] : [retire, kill];
}

/** Draws the buttons of an item's actions; `item` is its row's key. */
export function drawActions(actions, item = '') {
  byId('d-actions').replaceChildren(...actions.map((action) => element('button', {
    type: 'button', class: 'quiet', title: action.title, disabled: running,
    onclick: () => (action.ask ? ask({ ...action.ask, text: plainText(action.ask.text), act: () => act(action) }) : act(action)),
  }, action.word)));
  setVisible(byId('d-actions'), actions.length > 0);
  const isHere = item !== '' && item === done.item;
  setText(byId('d-done'), isHere ? done.text : '');
  byId('d-done').classList.toggle('failed', isHere && done.failed);
}

async function act(action) {
  running = true;
  done = { item: action.item, text: `${action.word.replace('…', '')}: working…`, failed: false };
  drawDone();
  try {
    const told = await postJson(action.path, action.body);
    done = { item: action.item, text: plainText(told.message ?? told.reason?.text), failed: told.outcome === 'refused' };
  } catch (error) {
    done = { item: action.item, text: `Not done: ${error.message}.`, failed: true };
  }
  running = false;
  drawDone();
}

function drawDone() {
  setText(byId('d-done'), done.text);
  byId('d-done').classList.toggle('failed', done.failed);
  for (const button of byId('d-actions').children) button.disabled = running;
}
