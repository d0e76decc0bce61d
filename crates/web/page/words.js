// The words and looks of the states of jobs and runners. Pure functions over the API's records (docs/interface.md).

import { plainText } from './format.js';

const JOB_WORDS = {
  waiting: 'Waiting', queued: 'Queued', in_progress: 'In progress', completed: 'Completed', refused: 'Refused',
};
const CONCLUSION_WORDS = {
  success: 'Success', failure: 'Failure', cancelled: 'Cancelled', timed_out: 'Timed out', skipped: 'Skipped',
  neutral: 'Neutral', action_required: 'Action required', startup_failure: 'Startup failure', stale: 'Stale',
};
const FAILED = new Set(['failure', 'timed_out', 'startup_failure']);
const RUNNER_WORDS = {
  reserved: 'Reserved', starting: 'Starting', warm: 'Warm', booted: 'Idle', busy: 'Busy', ending: 'Ending', gone: 'Gone',
};
const ENDING_WORDS = {
  completed: 'job completed', surplus: 'surplus: no job needed it', idle_timeout: 'idle for too long',
  boot_failed: 'failed to boot', agent_crashed: 'agent crashed', spot_interrupted: 'Spot interruption',
  registration_lost: 'registration lost', job_timeout: 'job ran too long',
  stopped_by_operator: 'stopped by an operator',
};
const ENDED_WELL = new Set(['completed', 'surplus', 'idle_timeout']);

/** The words for the steps of a timeline. */
const STEP_WORDS = {
  job: {
    waiting: 'Waiting at GitHub', queued: 'Queued', in_progress: 'Job started', completed: 'Job completed',
    refused: 'Refused',
  },
  runner: {
    reserved: 'Runner reserved', starting: 'Runner starting', warm: 'Task warm', booted: 'Runner booted',
    busy: 'Runner busy',
    ending: 'Runner ending', gone: 'Runner gone',
  },
};

/** The states that can be filtered by, with their words. */
export const FILTER_STATES = {
  jobs: [
    ['', 'All'], ['waiting', 'Waiting'], ['queued', 'Queued'], ['in_progress', 'In progress'],
    ['completed', 'Completed'], ['failed', 'Failed'], ['refused', 'Refused'],
  ],
  runners: [['', 'All'], ...Object.entries(RUNNER_WORDS)],
};

/** Whether a job ended with a conclusion that counts as a failure. */
export const isFailed = (job) => job.state === 'completed' && FAILED.has(job.conclusion);

export const conclusionWord = (conclusion) => CONCLUSION_WORDS[conclusion] ?? plainText(conclusion);

export function jobWord(job) {
  if (job.state === 'completed' && job.conclusion) return conclusionWord(job.conclusion);
  return JOB_WORDS[job.state] ?? (plainText(job.state) || 'Unknown');
}

/** The name of a job's icon and colour in `index.html` and `page.css`. */
export function jobLook(job) {
  if (job.state === 'in_progress') return 'running';
  if (job.state !== 'completed') return JOB_WORDS[job.state] ? job.state : 'neutral';
  if (job.conclusion === 'success') return 'success';
  if (FAILED.has(job.conclusion)) return 'failure';
  return job.conclusion === 'cancelled' ? 'cancelled' : 'neutral';
}

export const runnerWord = (runner) => RUNNER_WORDS[runner.state] ?? (plainText(runner.state) || 'Unknown');

/** The name of a runner's icon and colour. */
export function runnerLook(runner) {
  if (runner.ending && !ENDED_WELL.has(runner.ending)) return 'failure';
  return RUNNER_WORDS[runner.state] ? runner.state : 'neutral';
}

export const endingWord = (ending) => ENDING_WORDS[ending] ?? plainText(ending);

/** `subject` is `job` or `runner`. */
export const stepWord = (subject, state) => STEP_WORDS[subject]?.[state] ?? plainText(state);
