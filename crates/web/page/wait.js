// Where the wait of a job went: the parts that the API gives with its runner.

import { byId, element, setText, setVisible } from './dom.js';
import { formatStepDuration, plainText } from './format.js';

/** The parts in their order, each with a few words. */
const PARTS = {
  webhook: 'GitHub’s webhook', decision: 'decision', held: 'held back', launch: 'task accepted',
  provision: 'network interface and machine', pull: 'image pulled', container: 'container started',
  hand_over: 'configuration handed over', agent: 'listener started', listener: 'listener connected',
  session: 'session with GitHub', assignment: 'job assigned and started',
};
const OBSTACLES = {
  limit: 'by a limit', pace: 'by the rate of launches', hold: 'by a hold or a pause', capacity: 'by missing capacity',
};

const isLength = (value) => typeof value === 'number' && value >= 0;

/**
 * The parts of a wait that took time, as pairs of words and milliseconds, and the time that is not explained. Empty
 * where the API gives no wait.
 */
export function waitParts(wait) {
  if (!isLength(wait?.total_seconds)) return [];
  const parts = Object.entries(PARTS).flatMap(([part, words]) => {
    const seconds = wait.parts?.[part];
    if (!isLength(seconds)) return [];
    const obstacle = part === 'held' ? OBSTACLES[wait.held_by] : undefined;
    return [[obstacle ? `${words} ${obstacle}` : words, seconds * 1000]];
  });
  if (wait.unknown_seconds > 0) parts.push(['not known', wait.unknown_seconds * 1000]);
  return parts;
}

/** Draws where the wait of a job went; nothing without a wait. */
export function drawWait(wait) {
  const parts = waitParts(wait);
  setVisible(byId('d-wait'), parts.length > 0);
  if (!parts.length) return;
  const total = wait.total_seconds * 1000;
  setText(byId('d-wait-note'), `${formatStepDuration(total)}${wait.warm ? ', on a warm task' : ''}`);
  byId('d-wait-parts').replaceChildren(...parts.map(([words, length]) => {
    const share = total > 0 ? (100 * length) / total : 0;
    const bar = element('span', { class: 'share', 'aria-hidden': 'true' });
    bar.style.inlineSize = `${share.toFixed(1)}%`;
    return element('li', {}, element('span', {}, plainText(words)), element('span', {}, formatStepDuration(length)), bar);
  }));
}
