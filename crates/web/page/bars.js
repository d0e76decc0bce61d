// Bars of the phases of a job or runner, and the durations beside them.

import { element } from './dom.js';
import { DASH, formatDuration } from './format.js';

/** Draws segments into a bar; elements are reused. */
export function drawBar(bar, segments) {
  while (bar.childElementCount > segments.length) bar.lastElementChild.remove();
  segments.forEach(({ kind, length }, i) => {
    const part = bar.children[i] ?? bar.appendChild(element('span'));
    if (part.className !== `seg ${kind}`) part.className = `seg ${kind}`;
    part.style.flexGrow = String(Math.max(1, length));
  });
}

/** Writes pairs of a word and a duration. */
export function setDurations(target, pairs) {
  const textOf = ([word, value]) => (value ? `${word} ${value}` : word);
  const text = pairs.map(textOf).join(' · ');
  if (target.dataset.text === text) return;
  target.dataset.text = text;
  target.replaceChildren(...pairs.flatMap(([word, value], i) => [
    i ? ' ' : '',
    element('span', {}, value ? `${word} ` : word, value ? element('b', {}, value) : null),
  ]));
}

/** The durations of a job as pairs of a word and a duration. */
export function jobDurations(job, now) {
  const { data, open, queued, started, ended } = job;
  if (data.state === 'refused' && !data.runner) return [['never given a runner', '']];
  if (open && started === null) {
    return [['waiting', queued === null ? DASH : formatDuration(now - queued, true)]];
  }
  const waited = started !== null && queued !== null ? started - queued : null;
  if (open) return [['waited', formatDuration(waited)], ['running', formatDuration(now - started, true)]];
  if (started !== null) {
    return [['waited', formatDuration(waited)], ['ran', ended === null ? DASH : formatDuration(ended - started)]];
  }
  if (ended === null || queued === null) return [[DASH, '']];
  if (data.runner) return [['took', formatDuration(ended - queued)]];
  return [['waited', formatDuration(ended - queued)], ['never started', '']];
}

const RUNNER_PHASES = { start: 'boot', idle: 'idle', run: 'busy', clean: 'ending' };

/** The durations of a runner as pairs of a word and a duration. A short cleanup is left out. */
export function runnerDurations(runner, now) {
  const segments = runner.segments(now).filter(({ kind, length }) => (
    kind !== 'clean' || length > 1000 || runner.data.state === 'ending'
  ));
  if (!segments.length) return [[DASH, '']];
  return segments.map(({ kind, length }, i) => (
    [RUNNER_PHASES[kind], formatDuration(length, runner.open && i === segments.length - 1)]
  ));
}
