// A runner as the API gives it, with what is derived from it.

import { plainText } from './format.js';
import { runnerSegments } from './segments.js';
import { lastAt, nextRevision, parseSteps } from './timeline.js';
import { endingWord, runnerWord } from './words.js';

export class Runner {
  constructor(records, data, text) {
    this.records = records;
    /** The API's record. */
    this.data = data;
    /** The same as text, to compare with the next one. */
    this.text = text;
    this.kind = 'runners';
    this.key = String(data.name);
    this.rowKey = `r${this.key}`;
    this.revision = nextRevision();
    this.steps = parseSteps(data, 'runner').map((step) => ({ ...step, runner: this.key }));
    /** Whether it is no runner yet, but a task that waits for one. */
    this.isWarmTask = data.launched_for === null;
    this.open = data.state !== 'gone';
    this.reserved = this.lastAt('reserved') ?? this.steps[0]?.at ?? null;
    this.ended = this.open ? null : this.lastAt('gone');
    /** The order in the list: open runners by when they were reserved, ended runners by when they ended. */
    this.rank = this.ended ?? this.reserved ?? 0;
    this.searchText = [
      data.name, data.class, data.pool, data.state, runnerWord(data), data.ending,
      data.ending && endingWord(data.ending), data.task, data.job, data.repository, data.reason?.text,
      data.reason?.code,
    ].map(plainText).join(' ').toLowerCase();
  }

  /** When the runner last came to a state, or null. */
  lastAt(state) { return lastAt(this.steps, state); }

  /** The job that it has, or had. */
  takenJob() { return this.#jobById(this.data.job ?? this.records.jobIds.get(this.key)); }

  /** The job that it was launched for; GitHub may give it another. */
  intendedJob() { return this.#jobById(this.data.launched_for); }

  /** The job that it has, or else the one that it was launched for. */
  job() {
    const hasJob = this.data.job !== null && this.data.job !== undefined;
    return this.takenJob() ?? (hasJob ? null : this.intendedJob());
  }

  #jobById(id) { return this.records.jobs.get(String(id ?? '')) ?? null; }

  /** Changes whenever the runner, or its job, changes. */
  signature() { return `${this.revision}.${this.job()?.revision ?? ''}`; }

  /** Its cost in US dollars, or null. */
  cost() { return Number.isFinite(this.data.cost_usd) ? this.data.cost_usd : null; }

  segments(now) { return runnerSegments(this, now); }
}
