// The jobs and runners that this page knows, with an index of those that belong together. No document, no server.

import { Job } from './job.js';
import { Runner } from './runner.js';

/** A page that stays open for a month must not grow without end. */
export const MAX_ENDED = 6000;

/** The id of the job that a runner has or was launched for; empty where there is none. */
const jobIdOf = (runner) => String(runner.job ?? runner.launched_for ?? '');

export class Records {
  constructor() {
    /** Job by id, as text. */
    this.jobs = new Map();
    /** Runner by name. */
    this.runners = new Map();
    /** Names of the runners that named a job, by job id. */
    this.runnerNames = new Map();
    /** Id of the job that names a runner, by runner name. */
    this.jobIds = new Map();
    /** Row keys of items whose state changed since the last drawing. */
    this.changed = new Set();
    /** Whether ended items were dropped since the lists were read. */
    this.evicted = false;
  }

  /** The items of a kind: `jobs` or `runners`. */
  of(kind) { return kind === 'jobs' ? this.jobs : this.runners; }

  /** Stores a job as the API gives it; returns it if its state changed, else null. */
  putJob(data) {
    if (data?.id === null || data?.id === undefined) return null;
    const text = JSON.stringify(data);
    const old = this.jobs.get(String(data.id));
    if (old?.text === text) return null;
    const job = new Job(this, data, text);
    this.jobs.set(job.key, job);
    if (data.runner) this.jobIds.set(String(data.runner), job.key);
    if (!old || old.data.state === data.state) return null;
    this.changed.add(job.rowKey);
    return job;
  }

  /** Stores a runner as the API gives it; returns it if its state changed, else null. */
  putRunner(data) {
    if (!data?.name) return null;
    const text = JSON.stringify(data);
    const old = this.runners.get(String(data.name));
    if (old?.text === text) return null;
    const runner = new Runner(this, data, text);
    const jobId = jobIdOf(data);
    if (old && jobIdOf(old.data) !== jobId) this.runnerNames.get(jobIdOf(old.data))?.delete(runner.key);
    this.runners.set(runner.key, runner);
    if (jobId) {
      if (!this.runnerNames.has(jobId)) this.runnerNames.set(jobId, new Set());
      this.runnerNames.get(jobId).add(runner.key);
    }
    if (!old || old.data.state === data.state) return null;
    this.changed.add(runner.rowKey);
    return runner;
  }

  forgetJob(id) {
    this.jobs.delete(id);
    this.runnerNames.delete(id);
  }

  forgetRunner(name) {
    const runner = this.runners.get(name);
    this.runners.delete(name);
    this.jobIds.delete(name);
    if (runner) this.runnerNames.get(jobIdOf(runner.data))?.delete(name);
  }

  /** Drops the oldest ended items of each kind if there are clearly more than `limit`. */
  evict(limit = MAX_ENDED) {
    const kinds = [[this.jobs, (key) => this.forgetJob(key)], [this.runners, (key) => this.forgetRunner(key)]];
    for (const [items, forget] of kinds) {
      if (items.size <= limit * 1.1) continue;
      const ended = [...items.values()].filter((item) => !item.open).sort((a, b) => a.rank - b.rank);
      for (const item of ended.slice(0, Math.max(0, ended.length - limit))) {
        forget(item.key);
        this.evicted = true;
      }
    }
  }
}
