// The figures at the top: queued jobs, jobs in progress, runners, time to start.

import { byId, setText } from './dom.js';
import { DASH, formatCount, formatDuration, formatNumber } from './format.js';
import { replaceDuration } from './redraw.js';
import { records } from './state.js';
import { countRunners, summarizeJobs, waitsOfLast } from './summary.js';

/** The median and the 95th percentile are of this many jobs. */
const WAITS = 100;

let duration = null;

export function drawFigures() {
  const jobs = summarizeJobs(records.jobs.values());
  const busy = jobs.queued || jobs.running;
  document.title = busy ? `${jobs.running} running, ${jobs.queued} queued · ecsrunner` : 'ecsrunner';
  setText(byId('n-queued'), formatNumber(jobs.queued));
  setText(byId('n-running'), formatNumber(jobs.running));
  setText(byId('n-running-sub'), jobs.running ? `in ${formatCount(jobs.pools.size, 'pool')}` : '');
  drawRunners(countRunners(records.runners.values()));
  drawWaits(waitsOfLast([...records.jobs.values()], WAITS));

  const waiting = jobs.waiting ? ` · ${formatNumber(jobs.waiting)} waiting at GitHub` : '';
  duration = replaceDuration(duration, (now) => {
    let text = jobs.queued ? 'wait unknown' : 'no job waits for a runner';
    if (jobs.oldest !== null) text = `oldest wait ${formatDuration(now - jobs.oldest, true)}`;
    setText(byId('n-queued-sub'), text + waiting);
  });
}

function drawRunners({ open, ...states }) {
  setText(byId('n-runners'), formatNumber(open));
  const parts = Object.entries(states).filter(([, count]) => count > 0);
  const text = parts.map(([state, count]) => `${formatNumber(count)} ${state}`).join(' · ');
  setText(byId('n-runners-sub'), text || 'no runners');
}

function drawWaits(waits) {
  setText(byId('n-wait'), waits.count ? formatDuration(waits.median) : DASH);
  let text = 'no job has started yet';
  if (waits.count === 1) text = 'one job so far';
  if (waits.count > 1) text = `median of the last ${formatNumber(waits.count)}, p95 ${formatDuration(waits.p95)}`;
  setText(byId('n-wait-sub'), text);
}
