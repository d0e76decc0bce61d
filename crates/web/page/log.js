// The log of the selected job. The server reads it from GitHub or CloudWatch Logs at each request, so the page waits
// for a click.

import { readLog } from './api.js';
import { byId, element, openTab, setText, setVisible } from './dom.js';
import { formatCount, formatNumber, plainLine } from './format.js';
import { isSelected, records } from './state.js';
import { hasLiveLogs } from './status.js';

/** A browser cannot lay out many more lines quickly. */
const MAX_LINES = 5000;
/** The new tab has read the text by then. */
const OPEN_TIMEOUT_MILLIS = 60_000;

const emptyLog = (jobId) => ({ jobId, loading: false, lines: null, error: '' });
let log = emptyLog(null);

export function startLog() {
  byId('d-log-load').addEventListener('click', requestLog);
  byId('d-log-open').addEventListener('click', openLog);
}

/** Draws the log of the job, or hides it where there is none. */
export function drawLog(job) {
  const isLive = hasLiveLogs();
  const hasRun = () => job.started !== null || (!job.open && Boolean(job.data.runner));
  const hasLog = job !== null && (isLive ? Boolean(job.data.runner) : hasRun());
  setVisible(byId('d-log'), hasLog);
  if (!hasLog) return;
  if (log.jobId !== job.key) log = emptyLog(job.key);
  const { lines } = log;
  setText(byId('d-log-title'), isLive ? 'Log of the runner' : 'Log');
  setVisible(byId('d-log-do'), isLive || !job.open);
  setVisible(byId('d-log-load'), lines === null || (isLive && job.open));
  setText(byId('d-log-load'), lines === null ? 'Show log' : 'Read again');
  byId('d-log-load').disabled = log.loading;
  setVisible(byId('d-log-open'), lines !== null);
  setText(byId('d-log-note'), lines === null ? '' : formatCount(lines.length, 'line'));
  setText(byId('d-log-why'), noteOf(job));
  // The text is laid out once: an event about the job must not move what is being read.
  const text = byId('d-log-text');
  if (lines === null) text.replaceChildren();
  else if (!text.hasChildNodes()) text.append(...lines.slice(-MAX_LINES).map(makeLine));
  setVisible(text, lines !== null);
}

/** Says why the log, or a part of it, is not shown. */
function noteOf(job) {
  if (job.open && !hasLiveLogs()) return 'GitHub provides the log once the job has ended.';
  if (log.loading) return 'Loading…';
  const left = (log.lines?.length ?? 0) - MAX_LINES;
  if (log.error) return `The log could not be read: ${log.error}.`;
  if (left <= 0) return hasLiveLogs() && log.lines === null ? 'From CloudWatch Logs. GitHub has the output of the steps.' : '';
  return `These are the last ${formatNumber(MAX_LINES)} lines; the text has ${formatNumber(left)} more before them.`;
}

function makeLine(line) {
  const text = `${plainLine(line)}\n`;
  const command = /^##\[(error|warning|group)\]/.exec(text);
  return command ? element('span', { class: command[1] }, text) : text;
}

async function requestLog() {
  const requested = { ...emptyLog(log.jobId), loading: true };
  log = requested;
  redraw(requested);
  const { lines = null, error = '' } = await readLog(requested.jobId);
  Object.assign(requested, { loading: false, lines, error });
  const hadFocus = [byId('d-log-load'), document.body].includes(document.activeElement);
  redraw(requested);
  if (log !== requested || lines === null) return;
  // Why a job failed is at the end of its log.
  const text = byId('d-log-text');
  text.scrollTop = text.scrollHeight;
  if (hadFocus) text.focus({ preventScroll: true });
}

/** Opens the log in a new tab, as plain text. A link could not carry the token. */
function openLog() {
  const url = URL.createObjectURL(new Blob([`${log.lines.join('\n')}\n`], { type: 'text/plain;charset=utf-8' }));
  openTab(url);
  setTimeout(() => URL.revokeObjectURL(url), OPEN_TIMEOUT_MILLIS);
}

/** Draws a log again if its job is still selected. */
function redraw(requested) {
  if (log === requested && isSelected('jobs', requested.jobId)) {
    const job = records.jobs.get(requested.jobId);
    if (job) drawLog(job);
  }
}
