// The steps of jobs and runners. Pure functions.

import { parseTime } from './format.js';

/** The order of steps that carry the same time. */
const STEP_ORDER = [
  'waiting', 'queued', 'reserved', 'starting', 'warm', 'booted', 'busy', 'in_progress', 'completed', 'refused',
  'ending', 'gone',
];

let revision = 0;
/** Returns a number that no record has yet. */
export function nextRevision() {
  revision += 1;
  return revision;
}

/** The steps of a record's `timeline` whose time can be read. `subject` is `job` or `runner`. */
export function parseSteps(data, subject) {
  const steps = [];
  for (const step of Array.isArray(data.timeline) ? data.timeline : []) {
    const at = parseTime(step?.at);
    if (at !== null) steps.push({ at, state: String(step.state), subject });
  }
  return steps;
}

export const firstAt = (steps, state) => steps.find((step) => step.state === state)?.at ?? null;
export const lastAt = (steps, state) => steps.findLast((step) => step.state === state)?.at ?? null;

/** Sorts steps by time. A job that starts makes its runner busy: these two become one step. */
export function mergeSteps(steps) {
  const sorted = [...steps].sort((a, b) => a.at - b.at || STEP_ORDER.indexOf(a.state) - STEP_ORDER.indexOf(b.state));
  const merged = [];
  for (const step of sorted) {
    const last = merged.at(-1);
    if (last && step.state === 'in_progress' && last.state === 'busy' && step.at - last.at < 2) {
      merged[merged.length - 1] = { ...step, text: 'Job started, runner busy', runner: last.runner };
    } else merged.push(step);
  }
  return merged;
}

const JOB_STEPS = [
  ['job', 'queued'], ['runner', 'reserved'], ['runner', 'starting'], ['runner', 'booted'], ['job', 'in_progress'],
  ['job', 'completed'], ['runner', 'gone'],
];
const RUNNER_STEPS = [
  ['runner', 'starting'], ['runner', 'booted'], ['runner', 'busy'], ['runner', 'ending'], ['runner', 'gone'],
];

/** The steps after the last one that was reached. */
function stepsAfter(expected, reached) {
  const states = new Set(reached.map((step) => step.state));
  return expected.slice(1 + Math.max(-1, ...expected.map(([, state], i) => (states.has(state) ? i : -1))));
}

/** The steps that a job and its runner still expect, as pairs of subject and state. */
export function expectedJobSteps(job) {
  const runner = job.runners().at(-1);
  const reached = [...job.steps, ...(runner?.open || !job.open ? runner?.steps ?? [] : [])];
  if (job.open) return stepsAfter(JOB_STEPS, reached);
  return runner?.open ? stepsAfter([['runner', 'gone']], reached) : [];
}

/** The steps that a runner still expects. */
export const expectedRunnerSteps = (runner) => (runner.open ? stepsAfter(RUNNER_STEPS, runner.steps) : []);
