// The details of a runner.

import { drawActions, runnerActions } from './actions.js';
import { drawFacts, drawPhases, drawTimeline, drawTop, makeLink, makeTime } from './detail-parts.js';
import { DASH, formatCost, formatDuration, plainText, textOrDash } from './format.js';
import { drawLog } from './log.js';
import { peakFacts } from './peaks.js';
import { expectedRunnerSteps } from './timeline.js';
import { drawWait } from './wait.js';
import { endingWord, runnerLook, runnerWord } from './words.js';

const PHASES = { start: 'starting', idle: 'idle', run: 'busy', clean: 'cleaning up' };

export function drawRunnerDetails(runner) {
  const { data } = runner;
  const job = runner.takenJob();
  const repository = plainText(data.repository ?? job?.data.repository);
  drawTop({
    look: runnerLook(data), word: runnerWord(data), title: plainText(data.name),
    subtitle: [repository, data.class ? `class ${plainText(data.class)}` : ''].filter(Boolean).join(' · '),
    reason: reasonOf(data),
  });
  drawPhases(runner, PHASES);
  drawLog(null);
  drawWait(data.wait);
  drawActions(runnerActions(runner), runner.rowKey);
  const jobSteps = job && job.data.runner === runner.key ? job.steps.filter((step) => step.state !== 'waiting') : [];
  drawTimeline({
    steps: [...runner.steps, ...jobSteps], start: runner.reserved, startWord: 'reserved',
    expected: runner.isWarmTask ? [] : expectedRunnerSteps(runner),
  });
  drawFacts(facts(runner, job));
}

/** Why it ended, or why it does not get on. */
function reasonOf(data) {
  const ending = data.ending ? `Ended: ${endingWord(data.ending)}.` : '';
  if (data.reason?.text || data.reason?.code) {
    return { text: [ending, data.reason.text].filter(Boolean).join(' '), code: data.reason.code };
  }
  return ending ? { text: ending, code: data.ending } : null;
}

function facts(runner, job) {
  const { data, open, reserved, ended } = runner;
  const intended = runner.intendedJob();
  const isOther = intended === null || intended !== job;
  let lifetime = DASH;
  if (reserved !== null && open) lifetime = (now) => formatDuration(now - reserved, true);
  else if (reserved !== null && ended !== null) lifetime = formatDuration(ended - reserved);
  return [
    ['Reserved', makeTime(reserved)],
    ['Lifetime', lifetime],
    ['Cost on Fargate', formatCost(runner.cost())],
    ...peakFacts(data.peaks),
    ['Ending', data.ending ? endingWord(data.ending) : DASH],
    ['Class', data.class],
    ['Job', job ? makeJobLink(job) : data.job, 'wrap'],
    data.launched_for !== null && data.launched_for !== undefined && isOther
      && ['Launched for', intended ? makeJobLink(intended) : data.launched_for, 'wrap'],
    data.warm && [runner.isWarmTask ? 'Used by' : 'Warm task', data.warm, 'mono'],
    ['Task', data.task, 'mono'],
    ['Pool', data.pool, 'mono'],
  ];
}

const makeJobLink = (job) => makeLink('jobs', job.key, textOrDash(job.data.name));
