// The rows of the list. A row is filled again only if its job or runner has changed.

import { drawBar, jobDurations, runnerDurations, setDurations } from './bars.js';
import { clockStoppedAt, serverTime, setTime } from './clock.js';
import { element, makeIcon, setIcon, setName, setReason, setText, setTitle, shortName } from './dom.js';
import { DASH, formatCost, joinTexts, plainText, textOrDash } from './format.js';
import { endingWord, jobLook, jobWord, runnerLook, runnerWord } from './words.js';

export const COST_TITLE = 'What the runner’s time would cost on Fargate';

/** Makes an empty row. */
export function makeRow(rowKey) {
  const cell = (name, ...children) => element('div', { role: 'gridcell', class: `c-${name}` }, ...children);
  const row = {
    icon: makeIcon(),
    word: element('span', { class: 'word' }),
    title: element('span', { class: 'title' }),
    sub: element('span', { class: 'sub' }),
    chip: element('span', { class: 'chip' }),
    why: element('span', { class: 'one' }),
    more: element('span', { class: 'two' }),
    bar: element('div', { class: 'bar', 'aria-hidden': 'true' }),
    durations: element('span', { class: 'nums' }),
    cost: element('span', { title: COST_TITLE }),
    time: element('time'),
    signature: '',
    item: null,
  };
  row.root = element(
    'div', { role: 'row', class: 'row', tabIndex: -1 },
    cell('state', row.icon, row.word), cell('what', row.title, row.sub), cell('class', row.chip),
    cell('why', row.why, row.more), cell('line', row.bar, row.durations), cell('cost', row.cost),
    cell('when', row.time),
  );
  row.root.dataset.key = rowKey;
  return row;
}

/** Writes an item into its row, if it has changed. */
export function fillRow(row, item) {
  const signature = `${item.signature()}|${item.open && clockStoppedAt() !== null}`;
  if (row.signature === signature) return;
  row.signature = signature;
  row.item = item;
  row.root.dataset.id = item.key;
  if (item.kind === 'jobs') fillJob(row, item);
  else fillRunner(row, item);
  const cost = item.cost();
  setText(row.cost, formatCost(cost));
  row.cost.classList.toggle('zero', cost === null);
  setTime(row.time, item.kind === 'jobs' ? item.queued : item.reserved);
  updateRow(row, serverTime());
}

/** Writes the growing durations of a row. */
export function updateRow(row, now) {
  drawBar(row.bar, row.item.segments(now));
  setDurations(row.durations, row.item.kind === 'jobs' ? jobDurations(row.item, now) : runnerDurations(row.item, now));
}

function setLook(row, look, word) {
  row.root.dataset.look = look;
  setIcon(row.icon, look);
  setText(row.word, word);
}

function fillJob(row, job) {
  const { data } = job;
  setLook(row, jobLook(data), jobWord(data));
  setText(row.title, textOrDash(data.name));
  row.title.title = plainText(data.name);
  const attempt = data.attempt > 1 ? `, attempt ${plainText(data.attempt)}` : '';
  const run = data.run_id ? `run ${plainText(data.run_id)}${attempt}` : '';
  setText(row.sub, joinTexts([plainText(data.repository), plainText(data.workflow), run]));
  row.sub.title = row.sub.textContent;
  setText(row.chip, textOrDash(data.class));
  const runner = job.runners().at(-1);
  const name = data.runner ?? runner?.key;
  if (data.reason?.text || data.reason?.code) fillReason(row, data.reason, name);
  else fillRunnerName(row, name, runner?.data);
  row.why.classList.toggle('mono', !data.reason?.text && Boolean(name));
}

/** Says why a job waits or ended. */
function fillReason(row, reason, runnerName) {
  setReason(row.why, { text: reason.text || reason.code });
  row.more.replaceChildren(element('code', { class: 'code' }, plainText(reason.code)));
  if (runnerName) row.more.append(' ', shortName(runnerName));
}

/** Says which runner a job has. */
function fillRunnerName(row, name, runner) {
  delete row.why.dataset.sum;
  row.why.className = 'one';
  if (name) setName(row.why, name);
  else {
    row.why.replaceChildren(element('span', { class: 'faint' }, DASH));
    setTitle(row.why, '');
  }
  const ending = runner?.ending && runner.ending !== 'completed' ? `: ${endingWord(runner.ending)}` : '';
  setText(row.more, runner ? `${runnerWord(runner).toLowerCase()}${ending}` : '');
}

function fillRunner(row, runner) {
  const { data } = runner;
  setLook(row, runnerLook(data), runnerWord(data));
  row.title.classList.add('mono');
  setName(row.title, data.name);
  const job = runner.job();
  setText(row.sub, joinTexts([
    runner.isWarmTask ? 'warm task' : plainText(data.repository ?? job?.data.repository),
    data.pool ? `pool ${plainText(data.pool)}` : '',
    data.task ? `task ${plainText(data.task)}` : '',
  ]));
  row.sub.title = row.sub.textContent;
  setText(row.chip, textOrDash(data.class));
  const isIntended = !runner.takenJob() || ['reserved', 'starting', 'booted'].includes(data.state);
  const without = runner.isWarmTask ? 'waits for any job of its class' : DASH;
  setText(row.why, job ? `${isIntended ? 'for ' : ''}${textOrDash(job.data.name)}` : without);
  if (job) row.why.title = plainText(job.data.name);
  else setTitle(row.why, '');
  const jobState = job ? jobWord(job.data).toLowerCase() : '';
  setText(row.more, data.ending ? endingWord(data.ending) : jobState);
  row.more.title = plainText(data.reason?.text);
}
