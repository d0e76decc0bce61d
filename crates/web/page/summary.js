// Figures over all jobs and runners. Pure functions.

/** The value at quantile `q` of an ascending list; undefined for an empty list. */
export const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)];

/** Counts open jobs by state; `oldest` is when the oldest queued job was queued, `pools` are those of running jobs. */
export function summarizeJobs(jobs) {
  const summary = { waiting: 0, queued: 0, running: 0, oldest: null, pools: new Set() };
  for (const { data, queued } of jobs) {
    if (data.state === 'waiting') summary.waiting += 1;
    else if (data.state === 'queued') {
      summary.queued += 1;
      if (queued !== null) summary.oldest = Math.min(summary.oldest ?? Infinity, queued);
    } else if (data.state === 'in_progress') {
      summary.running += 1;
      summary.pools.add(data.pool);
    }
  }
  return summary;
}

/** Counts open runners; reserved ones count as starting. */
export function countRunners(runners) {
  const counts = { open: 0, starting: 0, warm: 0, idle: 0, busy: 0, ending: 0 };
  const names = {
    reserved: 'starting', starting: 'starting', warm: 'warm', booted: 'idle', busy: 'busy', ending: 'ending',
  };
  for (const runner of runners) {
    if (!runner.open) continue;
    counts.open += 1;
    if (names[runner.data.state]) counts[names[runner.data.state]] += 1;
  }
  return counts;
}

/** How long the last jobs that started had waited, in milliseconds. */
export function waitsOfLast(jobs, limit) {
  const started = jobs.filter((job) => job.started !== null && job.queued !== null);
  const last = started.sort((a, b) => b.started - a.started).slice(0, limit);
  const waits = last.map((job) => Math.max(0, job.started - job.queued)).sort((a, b) => a - b);
  return { count: waits.length, median: quantile(waits, 0.5), p95: quantile(waits, 0.95) };
}

/** Counts the jobs that ended in each of the last `minutes` minutes. `minute` is the current one, since 1970. */
export function countEndings(jobs, minute, minutes) {
  const counts = {
    good: new Array(minutes).fill(0), bad: new Array(minutes).fill(0),
    completed: 0, failed: 0, refused: 0, earliest: null,
  };
  for (const job of jobs) {
    if (job.ended === null) continue;
    counts.earliest = Math.min(counts.earliest ?? Infinity, job.ended);
    const slot = minutes - 1 - (minute - Math.floor(job.ended / 60000));
    if (slot < 0 || slot >= minutes) continue;
    const refused = job.data.state === 'refused';
    (job.failed || refused ? counts.bad : counts.good)[slot] += 1;
    counts[refused ? 'refused' : 'completed'] += 1;
    if (job.failed) counts.failed += 1;
  }
  return counts;
}

/** The sum of the items' costs in US dollars, and how many have a known and an unknown cost. */
export function sumCosts(items) {
  const sum = { usd: 0, known: 0, unknown: 0 };
  for (const item of items) {
    // A job that never had a runner cost nothing.
    if (item.kind === 'jobs' && !item.data.runner) continue;
    const cost = item.cost();
    if (cost === null) sum.unknown += 1;
    else { sum.usd += cost; sum.known += 1; }
  }
  return sum;
}
