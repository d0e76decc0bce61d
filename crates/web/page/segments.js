// The parts of a bar: how long a job or runner was in each phase. Pure functions.

/**
 * Cuts the time from `start` into parts. `ends` lists pairs of a kind and the time at which its part ends; a part whose
 * end is null is left out. No part reaches beyond `limit`.
 */
export function segmentsBetween(start, ends, limit) {
  const segments = [];
  let at = start;
  for (const [kind, end] of ends) {
    if (end === null) continue;
    const to = Math.min(Math.max(end, at), limit);
    if (to > at) segments.push({ kind, length: to - at });
    at = to;
  }
  return segments;
}

/** The segments of a job up to now. */
export function jobSegments(job, now) {
  const { data, queued, started, open } = job;
  if (queued === null || (data.state === 'refused' && !data.runner)) return [];
  const end = open ? now : job.ended;
  if (end === null) return [];
  const runner = job.runners().at(-1);
  if (started === null && runner && !runner.open) {
    // The runner ended before it took the job: the job waits for another one.
    const ended = runner.lastAt('ending') ?? runner.ended;
    return segmentsBetween(queued, [['wait', runner.reserved], ['start', ended], ['wait', end]], end);
  }
  return segmentsBetween(queued, [
    ['wait', runner?.lastAt('reserved') ?? started ?? end],
    ['start', runner ? runner.lastAt('booted') ?? started ?? end : null],
    ['idle', started ?? end],
    ['run', end],
    ['clean', open ? null : runner?.lastAt('gone') ?? null],
  ], open ? end : Infinity);
}

/** The segments of a runner up to now. */
export function runnerSegments(runner, now) {
  if (runner.reserved === null) return [];
  const end = runner.open ? now : runner.ended;
  if (end === null) return [];
  const ending = runner.lastAt('ending');
  return segmentsBetween(runner.reserved, [
    ['start', runner.lastAt('booted') ?? runner.lastAt('warm') ?? runner.lastAt('busy') ?? ending ?? end],
    ['idle', runner.lastAt('busy') ?? ending ?? end],
    ['run', ending ?? end],
    ['clean', end],
  ], end);
}
