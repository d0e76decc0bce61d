// A job as the API gives it, with what is derived from it.

import { parseTime, plainText } from './format.js';
import { jobSegments } from './segments.js';
import { firstAt, lastAt, nextRevision, parseSteps } from './timeline.js';
import { isFailed, jobWord } from './words.js';

export class Job {
  constructor(records, data, text) {
    this.records = records;
    /** The API's record. */
    this.data = data;
    /** The same as text, to compare with the next one. */
    this.text = text;
    this.kind = 'jobs';
    this.key = String(data.id);
    this.rowKey = `j${this.key}`;
    this.revision = nextRevision();
    this.steps = parseSteps(data, 'job');
    this.open = data.state !== 'completed' && data.state !== 'refused';
    // The server's record of the step is exact. GitHub's `created_at` has whole seconds and may be before an approval.
    this.queued = parseTime(data.queued_at) ?? firstAt(this.steps, 'queued') ?? firstAt(this.steps, 'waiting')
      ?? parseTime(data.created_at);
    this.started = data.state === 'queued' || data.state === 'waiting' ? null : lastAt(this.steps, 'in_progress');
    // GitHub may still give a refused job to a runner, and the runner's hook ends it: the last step counts.
    this.ended = this.open ? null : endOf(this.steps) ?? parseTime(data.completed_at);
    this.failed = isFailed(data);
    /** The order in the list: open jobs by when they were queued, ended jobs by when they ended. */
    this.rank = this.ended ?? this.queued ?? 0;
    this.searchText = [
      data.name, data.workflow, data.repository, data.class, data.runner, data.state, jobWord(data), data.conclusion,
      data.reason?.text, data.reason?.code, data.id, data.run_id, data.pool,
      ...(Array.isArray(data.labels) ? data.labels : []),
    ].map(plainText).join(' ').toLowerCase();
  }

  /** The runners that were launched for this job, oldest first; the one that has it comes last. */
  runners() {
    const names = new Set(this.records.runnerNames.get(this.key));
    if (this.data.runner) names.add(this.data.runner);
    return [...names].map((name) => this.records.runners.get(name)).filter(Boolean).sort((a, b) => (
      (a.key === this.data.runner) - (b.key === this.data.runner) || (a.reserved ?? 0) - (b.reserved ?? 0)
    ));
  }

  /** Changes whenever the job, or one of its runners, changes. */
  signature() { return this.runners().reduce((sum, runner) => `${sum}.${runner.revision}`, String(this.revision)); }

  /** The cost of the runner that had it, in US dollars. Runners that failed before are listed on their own. */
  cost() { return this.data.runner ? this.records.runners.get(this.data.runner)?.cost() ?? null : null; }

  segments(now) { return jobSegments(this, now); }
}

const endOf = (steps) => steps.reduce((last, step) => Math.max(last ?? 0, step.at), null);
