// The details of a job.

import {
  addTimelineNote, drawFacts, drawPhases, drawTimeline, drawTop, makeLabels, makeLink, makeTime,
} from './detail-parts.js';
import { drawActions, jobActions } from './actions.js';
import { element } from './dom.js';
import { changeFilters } from './filters.js';
import { DASH, formatCost, formatDuration, parseTime, plainText, textOrDash } from './format.js';
import { drawLog } from './log.js';
import { peakFacts } from './peaks.js';
import { jobAddress } from './status.js';
import { records } from './state.js';
import { expectedJobSteps } from './timeline.js';
import { drawWait } from './wait.js';
import { conclusionWord, endingWord, jobLook, jobWord, runnerWord } from './words.js';

const PHASES = {
  wait: 'waiting for a runner', start: 'runner starting', idle: 'taking the job', run: 'running', clean: 'cleaning up',
};

export function drawJobDetails(job) {
  const { data } = job;
  const runners = job.runners();
  drawTop({
    look: jobLook(data), word: jobWord(data), title: textOrDash(data.name),
    subtitle: [plainText(data.repository), plainText(data.workflow)].filter(Boolean).join(' · '),
    url: jobAddress(data), reason: data.reason,
  });
  drawPhases(job, PHASES);
  drawLog(job);
  drawActions(jobActions(data), job.rowKey);
  drawTimeline({
    steps: [...job.steps, ...runners.flatMap(stepsWithEnding)], start: job.queued, startWord: 'queued',
    expected: expectedJobSteps(job), showRunners: runners.length > 1,
  });
  const its = runners.find((runner) => runner.key === data.runner && String(runner.data.job) === job.key);
  drawWait(its?.data.wait);
  const isRunnerUnknown = data.runner && !records.runners.has(String(data.runner));
  if (isRunnerUnknown) addTimelineNote('The steps of its runner are not loaded.');
  drawFacts([...durationFacts(job), ...peakFacts(its?.data.peaks), ...otherFacts(job, runners)]);
}

/** A runner's steps; the last one says why it ended. */
function stepsWithEnding(runner) {
  const { ending } = runner.data;
  return runner.steps.map((step) => (step.state === 'ending' && ending ? { ...step, note: endingWord(ending) } : step));
}

function durationFacts(job) {
  const { data, open, queued, started, ended } = job;
  const created = parseTime(data.created_at);
  // A job that was refused at once neither waited nor ran.
  const counts = data.state !== 'refused' || data.runner;
  const sinceStart = (start) => {
    if (start === null || (!open && ended === null)) return DASH;
    return open ? (now) => formatDuration(now - start, true) : formatDuration(ended - start);
  };
  const waited = started !== null && queued !== null ? formatDuration(started - queued) : sinceStart(queued);
  return [
    created !== null && ['Created at GitHub', makeTime(created)],
    ['Queued', makeTime(queued)],
    counts && [open && started === null ? 'Waiting' : 'Waited', waited],
    counts && [open && started !== null ? 'Running' : 'Ran', sinceStart(started)],
  ];
}

function otherFacts(job, runners) {
  const { data } = job;
  const attempt = data.attempt ? `, attempt ${plainText(data.attempt)}` : '';
  return [
    ['Cost on Fargate', formatCost(job.cost())],
    ['Conclusion', data.conclusion ? conclusionWord(data.conclusion) : DASH],
    ['Class', data.class],
    ['Labels', makeLabels(data.labels), 'wrap'],
    ['Runner', runners.length ? runners.map(makeRunner) : data.runner, 'mono'],
    ['Task', runners.at(-1)?.data.task, 'mono'],
    ['Pool', data.pool ? makePoolLink(String(data.pool)) : DASH, 'mono'],
    ['Run', data.run_id ? `${plainText(data.run_id)}${attempt}` : DASH, 'mono'],
    ['Job id', data.id, 'mono'],
  ];
}

function makeRunner({ key, data }) {
  const ending = data.ending ? `: ${endingWord(data.ending)}` : '';
  const state = element('span', { class: 'extra' }, ` ${runnerWord(data).toLowerCase()}${ending}`);
  return element('div', {}, makeLink('runners', key, plainText(key)), state);
}

function makePoolLink(pool) {
  return element('button', {
    type: 'button', class: 'as-link', 'data-go': 'pool', title: 'Show only the jobs of this pool',
    onclick: () => changeFilters({ kind: 'jobs', pool }),
  }, plainText(pool));
}
