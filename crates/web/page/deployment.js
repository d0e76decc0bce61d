// The section on the deployment: what holds launches back, and the state of its image.

import { readOne } from './api.js';
import { serverTime } from './clock.js';
import { isLive } from './connection.js';
import { makeLink, makeTime } from './detail-parts.js';
import { byId, element, setText, setVisible } from './dom.js';
import { formatCount, formatDuration, formatNumber, httpsAddress, parseTime, plainText } from './format.js';
import { countPools } from './pools.js';
import { replaceDuration } from './redraw.js';
import { records } from './state.js';

const INTERVAL_MILLIS = 15_000;
/** Jobs of a hold that are named. */
const MAX_JOBS = 5;

const KINDS = {
  scope: 'Registrations in', account: 'Registrations of', class: 'Class', class_in_placement: 'Class',
  placement: 'Placement', pool: 'Pool', warm: 'Warm tasks of',
};

let read = { at: 0, view: null, error: '', loading: false };
let drawn = '';
let duration = null;

/** Reads again once it is due. */
export function updateDeployment() {
  if (isLive() && !read.loading && Date.now() - read.at > INTERVAL_MILLIS) load();
}

async function load() {
  const asked = { ...read, at: Date.now(), loading: true };
  read = asked;
  try {
    asked.view = await readOne('deployment');
    asked.error = '';
  } catch (error) { asked.error = error.message; }
  asked.loading = false;
  if (read === asked) drawDeployment();
}

export function drawDeployment() {
  updateDeployment();
  const { view } = read;
  setText(byId('deployment-note'), read.error ? `Could not read the deployment: ${read.error}.` : '');
  setVisible(byId('deployment-body'), view !== null);
  if (view === null) return;
  const names = [...records.jobs.values()].filter((job) => job.open).map((job) => job.data.name).join('\n');
  const signature = `${JSON.stringify(view)}\n${names}`;
  if (signature === drawn) return;
  drawn = signature;
  const updates = [];
  byId('holds').replaceChildren(...view.holds.map((hold) => makeHold(hold, updates)));
  setVisible(byId('holds-none'), view.holds.length === 0);
  byId('images').replaceChildren(...view.images.map(makeImage));
  setVisible(byId('images-none'), view.images.length === 0);
  duration = replaceDuration(duration, (now) => { for (const update of updates) update(now); });
  for (const update of updates) update(serverTime());
}

function makeHold(hold, updates) {
  const dueAt = parseTime(hold.not_before);
  const due = element('span');
  updates.push((now) => setText(due, dueAt > now ? `next try in ${formatDuration(dueAt - now, true)}` : 'the next launch is a try'));
  const state = hold.alarming ? ['failure', 'Needs attention'] : hold.effective ? ['queued', 'Held'] : ['neutral', 'Suspected'];
  return element(
    'li', { class: 'card hold' },
    element('p', { class: 'hold-top' },
      element('span', { class: `badge ${state[0]}` }, state[1]),
      element('b', {}, `${KINDS[hold.kind] ?? plainText(hold.kind)} `, element('span', { class: 'mono' }, nameOf(hold)))),
    element('p', { class: 'hold-why' }, plainText(hold.text) || 'no message', ' ', element('code', { class: 'code' }, plainText(hold.fault))),
    element('p', { class: 'sub' }, `${formatCount(hold.failures, 'failure')} in a row since `, makeTime(parseTime(hold.since)), ' · ', due),
    makeJobs(hold),
  );
}

/** A pool's id means nothing to people: its repositories and class do. */
function nameOf(hold) {
  const pool = hold.kind === 'pool' ? countPools(records).get(hold.name) : null;
  if (!pool) return plainText(hold.name);
  return [[...pool.repositories].map(plainText).join(', '), plainText(pool.class), `(${plainText(hold.name)})`].filter(Boolean).join(' ');
}

function makeJobs({ jobs, kind }) {
  if (!jobs.length) return element('p', { class: 'sub' }, kind === 'warm' ? 'Jobs do not wait for it.' : 'No job waits for it now.');
  const links = jobs.slice(0, MAX_JOBS).map((id) => {
    const job = records.jobs.get(String(id));
    return element('li', {}, makeLink('jobs', String(id), job ? plainText(job.data.name) : `Job ${id}`));
  });
  const left = jobs.length - links.length;
  return element('div', {}, element('p', { class: 'sub' }, `${formatCount(jobs.length, 'job')} ${jobs.length === 1 ? 'waits' : 'wait'} for it:`),
    element('ul', { class: 'hold-jobs' }, ...links, left > 0 ? element('li', { class: 'sub' }, `and ${formatNumber(left)} more`) : null));
}

function makeImage(image) {
  const fact = (name, ...value) => element('div', {}, element('dt', {}, name), element('dd', {}, ...value));
  const time = (text) => makeTime(parseTime(text));
  const built = (of) => [element('span', { class: 'mono' }, plainText(of.tag)), of.runner ? `, runner ${plainText(of.runner)}` : '', ', since ', time(of.since)];
  const { current, next, build, failed } = image;
  const facts = [fact('Runners start from', ...(current ? built(current) : ['GitHub’s own image: none of its own has started yet']))];
  if (current) facts.push(fact('Works', current.sound ? 'yes' : `no: ${plainText(current.text) || 'GitHub refuses its runner as too old'}`, ...(current.sound_at ? [', last seen ', time(current.sound_at)] : [])));
  if (next) facts.push(fact('Being tried', ...built(next), next.text ? `: ${plainText(next.text)}` : ''));
  if (build) facts.push(fact('Being built', element('span', { class: 'mono' }, plainText(build.tag)), `, because ${plainText(build.reason).replaceAll('_', ' ')}, since `, time(build.at)));
  if (failed) {
    const log = httpsAddress(failed.log);
    facts.push(fact('Last build failed', plainText(failed.text), ', ', time(failed.at), log ? element('a', { href: log, target: '_blank', rel: 'noopener noreferrer' }, ' (log)') : ''));
  }
  if (image.newest_runner) {
    const isOld = current?.runner && current.runner !== image.newest_runner;
    facts.push(fact('GitHub’s newest runner', plainText(image.newest_runner), isOld && current.outdated_since ? ', released ' : '', isOld && current.outdated_since ? time(current.outdated_since) : ''));
  }
  return element('section', { class: 'card' }, element('h3', {}, `Image for ${plainText(image.arch)}`), element('dl', { class: 'facts' }, ...facts));
}
