// The page's functions that need neither document nor server: formats, words, segments, records, filters, figures,
// events, pages of lists.
//
//     node --test crates/web/page/test/functions.test.mjs
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { jobDurations, runnerDurations } from '../bars.js';
import { nameOfBudget, stateOfBudget } from '../budgets.js';
import { daysUpTo, roundUp } from '../cost-chart.js';
import { EventParser, MAX_SILENCE_MILLIS, readEvents } from '../events.js';
import {
  DASH, formatCost, formatCount, formatDuration, formatStepDuration, formatSum, formatTime, HIDDEN_RANGES, httpsAddress, parseTime,
  plainLine, plainText,
} from '../format.js';
import { isInState, matcher, splitAndSort } from '../matching.js';
import { peakFacts } from '../peaks.js';
import { choosePools, countPools, isActive } from '../pools.js';
import { Reading } from '../reading.js';
import { Records } from '../records.js';
import { segmentsBetween } from '../segments.js';
import { countEndings, countRunners, quantile, sumCosts, summarizeJobs, waitsOfLast } from '../summary.js';
import { expectedJobSteps, expectedRunnerSteps, mergeSteps } from '../timeline.js';
import { waitParts } from '../wait.js';
import { jobLook, jobWord, runnerLook, runnerWord } from '../words.js';

const START = Date.parse('2025-01-01T12:00:00Z');
const after = (secs) => START + secs * 1000;
/** A timeline, from pairs of a state and seconds after the start. */
const timeline = (steps) => Object.entries(steps).map(([state, secs]) => ({ state, at: new Date(after(secs)).toISOString() }));

/** A job; its state is that of its last step. */
function job(id, steps, data = {}) {
  return { id, repository: 'acme/app', name: `job ${id}`, class: 'small', pool: 'p1', runner: null, state: Object.keys(steps).at(-1), timeline: timeline(steps), ...data };
}
function runner(name, steps, data = {}) {
  return { name, class: 'small', pool: 'p1', job: null, launched_for: null, state: Object.keys(steps).at(-1), timeline: timeline(steps), ...data };
}
function recordsOf(jobs, runners = []) {
  const records = new Records();
  jobs.forEach((data) => records.putJob(data));
  runners.forEach((data) => records.putRunner(data));
  return records;
}
const DONE = { queued: 0, in_progress: 4, completed: 30 };
const GONE = { reserved: 1, starting: 2, booted: 3, busy: 4, ending: 31, gone: 33 };

test('durations grow from milliseconds to days', () => {
  const shown = [0, 999, 1000, 9949, 9950, 59_499, 61_000, 3_600_000, 90_061_000].map((millis) => formatDuration(millis));
  assert.deepEqual(shown, ['0 ms', '999 ms', '1.0 s', '9.9 s', '10 s', '59 s', '1 m 01 s', '1 h 00 m', '1 d 1 h']);
  assert.equal(formatDuration(1999, true), '1 s', 'a growing duration has whole seconds');
  assert.equal(formatDuration(-5), '0 ms');
  assert.deepEqual([null, undefined, NaN].map((value) => formatDuration(value)), [DASH, DASH, DASH]);
  assert.equal(formatStepDuration(12_340), '12.3 s');
});

test('costs keep four digits while they are small', () => {
  assert.deepEqual([null, 0, 0.00001, 0.1234, 12.345].map(formatCost), [DASH, '$0.0000', '<$0.0001', '$0.1234', '$12.35']);
});

test('a budget says what it is for and how it stands', () => {
  const budget = { of: 'class', name: 'small', period: 'day', action: 'hold', is_spent: false, spent_usd: 1, limit_usd: 5, forecast_usd: 4, until: '2025-01-02T00:00:00Z' };
  assert.deepEqual([{ of: 'deployment', name: null, period: 'month' }, budget, { of: 'repositories', name: 'acme/*', period: 'day' }].map(nameOfBudget), ['Deployment, month', 'Class small, day', 'acme/*, day']);
  const state = (changes) => stateOfBudget({ ...budget, ...changes }, START);
  assert.equal(state({}), 'ok');
  assert.equal(state({ forecast_usd: 6 }), 'will be spent');
  assert.equal(state({ is_spent: true, action: 'alarm' }), 'spent');
  assert.match(state({ is_spent: true }), /^held until /);
});

test('what a job used is told as far as it was measured', () => {
  const told = (peaks) => peakFacts(peaks).filter(Boolean).map(([name, value]) => `${name}: ${value}`);
  assert.deepEqual(told({
    measured_ms: 4000, cpu_ms: 6000, throttled_percent: 12, memory_bytes: 700 * 2 ** 20,
    memory_with_cache_bytes: 900 * 2 ** 20, disk_bytes: 64 * 2 ** 20, oom_kills: 2,
  }), [
    'CPU time: 6.0 s, 1.50 vCPU on average, at the limit in 12 % of the time',
    'Memory: at most 700 MiB, 900 MiB with file cache',
    'Out of memory: the kernel killed 2 of its processes',
    'Disk: at most 64 MiB more than at its start',
  ]);
  assert.deepEqual(told({ cpu_ms: 100, oom_kills: 0 }), ['CPU time: 100 ms']);
  assert.deepEqual([undefined, null, { memory_bytes: '<b>' }].map(told), [[], [], []]);
});

test('counts have a plural', () => {
  assert.deepEqual([formatCount(0, 'job'), formatCount(1, 'job'), formatCount(2, 'entry', 'entries')], ['0 jobs', '1 job', '2 entries']);
});

test('a time names its day unless it is today', () => {
  assert.match(formatTime(START, START + 1000), /^\d\d:\d\d:\d\d$/);
  assert.match(formatTime(START, START + 3 * 86_400_000), /Jan|1/);
  assert.equal(formatTime(null, START), DASH);
  assert.deepEqual([parseTime('2025-01-01T12:00:00Z'), parseTime('soon'), parseTime(5), parseTime(null)], [START, null, null, null]);
});

test('untrusted text shows its hidden characters as marks, and only https becomes a link', () => {
  assert.equal(plainText('a\u202eb\u0007\u001bc'), 'a\ufffdb\ufffdc');
  assert.equal(plainText('ad\u200bmin\u{e0041}\ufeff größe, 漢字, 🚀'), 'ad\ufffdmin\ufffd größe, 漢字, 🚀');
  assert.equal(plainText('a\u115f\u2800b ⚙\ufe0f'), 'a\ufffdb ⚙\ufe0f', 'an emoji is whole');
  assert.equal(plainText(null), '');
  assert.equal(plainLine('a\tb\u202ec\t\u200b'), 'a\tb\ufffdc\t\ufffd', 'a line of a log keeps its tabs');
  assert.equal(httpsAddress('https://github.com/acme'), 'https://github.com/acme');
  assert.deepEqual(['http://a', 'javascript:alert(1)', 'no address', null].map(httpsAddress), [null, null, null, null]);
});

test('characters are hidden on the page where they are hidden in the log and in tables', async () => {
  const rust = await readFile(new URL('../../../core/src/text.rs', import.meta.url), 'utf8');
  const body = /pub fn is_hidden\(c: char\) -> bool \{\n(.*?)\n\}/s.exec(rust)[1];
  const [controls, others] = body.split('|| matches!(c,');
  assert.equal(controls.trim(), 'c.is_control()');
  const pattern = /'\\u\{([0-9a-f]+)\}'(?:\.\.='\\u\{([0-9a-f]+)\}')?/g;
  assert.equal(others.replace(pattern, '').replace(/[|\s]/g, ''), ')', 'each part of the list is read');
  const ranges = [...others.matchAll(pattern)].map(([, first, last = first]) => [first, last].map((code) => parseInt(code, 16)));
  assert.deepEqual(HIDDEN_RANGES, [[0x00, 0x1f], [0x7f, 0x9f], ...ranges]);
  // The first and last character of each range is replaced, and its neighbours are not.
  const shown = (code) => plainText(`a${String.fromCodePoint(code)}`) !== 'a\ufffd';
  const isListed = (code) => HIDDEN_RANGES.some(([first, last]) => first <= code && code <= last);
  for (const edge of HIDDEN_RANGES.flat()) {
    for (const code of [edge - 1, edge, edge + 1].filter((one) => one >= 0)) assert.equal(shown(code), !isListed(code), code.toString(16));
  }
});

test('states have words and looks, also unknown ones', () => {
  assert.equal(jobWord({ state: 'completed', conclusion: 'timed_out' }), 'Timed out');
  assert.equal(jobWord({ state: 'new_state' }), 'new_state');
  assert.deepEqual(['success', 'failure', 'cancelled', 'skipped'].map((conclusion) => jobLook({ state: 'completed', conclusion })), ['success', 'failure', 'cancelled', 'neutral']);
  assert.equal(runnerLook({ state: 'gone', ending: 'boot_failed' }), 'failure');
  assert.equal(runnerLook({ state: 'gone', ending: 'surplus' }), 'gone');
});

test('segments follow each other and end at the limit', () => {
  assert.deepEqual(segmentsBetween(0, [['wait', 5], ['start', null], ['idle', 3], ['run', 20]], 10), [{ kind: 'wait', length: 5 }, { kind: 'run', length: 5 }]);
});

test('a completed job is cut into the phases of its runner', () => {
  const records = recordsOf([job(1, DONE, { runner: 'r', conclusion: 'success' })], [runner('r', GONE, { job: 1, ending: 'completed' })]);
  const done = records.jobs.get('1');
  assert.deepEqual(done.segments(after(99)).map(({ kind, length }) => [kind, length / 1000]), [['wait', 1], ['start', 2], ['idle', 1], ['run', 26], ['clean', 3]]);
  assert.deepEqual(jobDurations(done, after(99)), [['waited', '4.0 s'], ['ran', '26 s']]);
  assert.deepEqual(runnerDurations(records.runners.get('r'), after(99)), [['boot', '2.0 s'], ['idle', '1.0 s'], ['busy', '27 s'], ['ending', '2.0 s']]);
});

test('a queued job whose runner failed to boot waits for another', () => {
  const records = recordsOf([job(1, { queued: 0 })], [runner('r', { reserved: 1, ending: 5, gone: 6 }, { launched_for: 1, ending: 'boot_failed' })]);
  assert.deepEqual(records.jobs.get('1').segments(after(9)).map(({ kind, length }) => [kind, length / 1000]), [['wait', 1], ['start', 4], ['wait', 4]]);
});

test('records find each other, and say which states changed', () => {
  const records = recordsOf([job(1, { queued: 0 }), job(2, { queued: 1 })], [runner('r', { reserved: 1 }, { launched_for: 1 })]);
  assert.equal(records.runners.get('r').job().key, '1');
  assert.equal(records.changed.size, 0, 'new records did not change');
  assert.equal(records.putJob(job(1, { queued: 0 })), null, 'the same record again');
  // GitHub gives the runner another job.
  assert.equal(records.putRunner(runner('r', { reserved: 1, busy: 3 }, { launched_for: 1, job: 2 })).key, 'r');
  assert.equal(records.putJob(job(2, { queued: 1, in_progress: 3 }, { runner: 'r' })).key, '2');
  assert.deepEqual([...records.changed], ['rr', 'j2']);
  assert.deepEqual(records.jobs.get('1').runners(), []);
  assert.deepEqual(records.jobs.get('2').runners().map((one) => one.key), ['r']);
  records.forgetRunner('r');
  assert.deepEqual(records.jobs.get('2').runners(), []);
});

test('a record that is listed as open and later as ended is one record, which has ended', () => {
  const records = recordsOf([job(1, { queued: 0 }), job(1, DONE, { conclusion: 'success' })], [runner('r', { reserved: 1 }), runner('r', GONE)]);
  assert.deepEqual([records.jobs.size, records.runners.size], [1, 1]);
  const { open, ended } = splitAndSort([...records.jobs.values(), ...records.runners.values()]);
  assert.deepEqual([open, ended].map((list) => list.map((item) => item.key)), [[], ['r', '1']]);
});

test('open records are gone only if no page lists them', () => {
  const reading = new Reading(100);
  const isGone = (key, open) => reading.isGone({ key, open });
  const goneAfter = (keys, next) => {
    reading.addPage(keys, next);
    return ['a', 'c', 'x'].map((key) => isGone(key, true));
  };
  assert.deepEqual(goneAfter(['a', 'b'], 'open:b'), [false, false, false], '"c" may be on the next page');
  assert.equal(reading.isOpenRead, false);
  assert.deepEqual(goneAfter(['c', 'ended'], 'older'), [false, false, true]);
  assert.equal(isGone('older ended', false), false, 'it may be on a later page');
  assert.deepEqual([reading.cursor, reading.more, reading.isOpenRead], ['older', true, true]);
  reading.addPage(['c'], null);
  assert.deepEqual([isGone('older ended', false), isGone('ended', false), reading.more], [true, false, false]);
});

test('a reading ends once it has enough, but not before all open records were read', () => {
  const reading = new Reading(2);
  reading.addPage(['a', 'b', 'c'], 'open:c');
  assert.equal(reading.more, true);
  reading.addPage(['d'], 'older');
  assert.deepEqual([reading.more, reading.isGone({ key: 'e', open: true })], [false, true]);
});

const STREAM = ': hello\r\n\r\ndata: {"name":"größe 🚀"}\r\n\r\nevent: x\nid: 7\ndata:1\ndata:  2\ndata\n\n:\n\n\ndata: 3\r\rdata: never ended\n';
const EVENTS = ['{"name":"größe 🚀"}', '1\n 2\n', '3'];
const streamOf = (chunks) => new ReadableStream({ start(c) { chunks.forEach((chunk) => c.enqueue(chunk)); c.close(); } });

test('events are read in lines of any ending, without comments and other fields', () => {
  assert.deepEqual(new EventParser().push(STREAM), EVENTS);
});

test('events are the same wherever the stream is cut, also within a character or a line ending', async () => {
  const bytes = new TextEncoder().encode(STREAM);
  const cuts = [[...bytes].map((_, at) => at), ...[...bytes].map((_, at) => [at])];
  for (const cut of cuts) {
    const chunks = [0, ...cut].map((from, i) => bytes.slice(from, cut[i] ?? bytes.length));
    const events = [];
    await readEvents(streamOf(chunks), (some) => events.push(...some));
    assert.deepEqual(events, EVENTS, `cut at ${cut}`);
  }
});

test('a stream that is silent for 45 seconds is dead, and a comment keeps it alive', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const settled = () => new Promise((resolve) => { setImmediate(resolve); });
  let [source, cancelled, chunks, ended] = [null, false, 0, null];
  const body = new ReadableStream({ start(controller) { source = controller; }, cancel() { cancelled = true; } });
  readEvents(body, () => { chunks += 1; }).catch((error) => { ended = error.message; });
  for (let comments = 1; comments <= 3; comments += 1) {
    t.mock.timers.tick(MAX_SILENCE_MILLIS - 1);
    source.enqueue(new TextEncoder().encode(':\n\n'));
    await settled();
    assert.deepEqual([chunks, ended], [comments, null]);
  }
  t.mock.timers.tick(MAX_SILENCE_MILLIS);
  await settled();
  assert.deepEqual([ended, cancelled], ['the server sends nothing', true]);
});

test('a stream that breaks off fails, and one that ends does not', async () => {
  const broken = new ReadableStream({ start(controller) { controller.error(new TypeError('network error')); } });
  await assert.rejects(readEvents(broken, () => {}), /^Error: the connection was lost$/);
  await readEvents(streamOf([]), () => assert.fail('there is no event'));
});

test('of many ended records the oldest are dropped, and no open one', () => {
  const records = recordsOf([...Array(30)].map((_, id) => job(id, id === 0 ? { queued: 0 } : { queued: 0, completed: id })));
  records.evict(20);
  assert.deepEqual([...records.jobs.keys()].slice(0, 2), ['0', '10']);
  assert.equal(records.jobs.size, 21);
  assert.ok(records.evicted);
});

test('open items are listed as they are served, ended ones with the latest first', () => {
  const records = recordsOf([job(1, { queued: 5 }), job(2, { queued: 3 }), job(3, { queued: 0, completed: 7 }), job(4, { queued: 0, completed: 9 })]);
  const { open, ended } = splitAndSort([...records.jobs.values()]);
  assert.deepEqual([open, ended].map((list) => list.map((item) => item.key)), [['2', '1'], ['4', '3']]);
});

test('all words of the filter must match; a runner also matches by its job', () => {
  const records = recordsOf([job(1, DONE, { name: 'Build it', runner: 'r', conclusion: 'failure' })], [runner('r', GONE, { job: 1 }), runner('s', GONE, { pool: 'p2' })]);
  const pools = countPools(records);
  const none = { q: '', repository: '', class: '', pool: '' };
  const matching = (change) => [...records.jobs.values(), ...records.runners.values()].filter(matcher({ ...none, ...change }, pools)).map((item) => item.key);
  assert.deepEqual(matching({}), ['1', 'r', 's']);
  assert.deepEqual(matching({ q: ' build  IT' }), ['1', 'r']);
  assert.deepEqual(matching({ q: 'build that' }), []);
  assert.deepEqual(matching({ repository: 'Acme/App' }), ['1', 'r']);
  assert.deepEqual(matching({ pool: 'p2' }), ['s']);
  assert.deepEqual(['', 'failed', 'completed', 'queued'].map((state) => isInState(records.jobs.get('1'), state)), [true, true, true, false]);
});

test('pools count what is open; few are chosen by their wait and sorted by name', () => {
  const records = recordsOf(
    [job(1, { queued: 5 }, { pool: 'z', repository: 'acme/z' }), job(2, { queued: 1 }, { pool: 'z', repository: 'acme/z' }), job(3, { queued: 3 }, { pool: 'a', repository: 'acme/a' }), job(4, DONE, { pool: 'old' })],
    [runner('r', { reserved: 1 }, { pool: 'z' }), runner('s', { booted: 1 }, { pool: 'z' })],
  );
  const pools = countPools(records);
  const { queued, starting, idle, open, oldest, first } = pools.get('z');
  assert.deepEqual([queued, starting, idle, open, oldest, first.key], [2, 1, 1, 2, after(1), '2']);
  assert.ok(!isActive(pools.get('old')));
  assert.deepEqual(choosePools(pools.values(), 3).map((pool) => pool.key), ['a', 'z', 'old']);
  assert.deepEqual(choosePools(pools.values(), 1).map((pool) => pool.key), ['z']);
});

test('figures count jobs, waits, endings and costs', () => {
  const records = recordsOf(
    [job(1, { queued: 5 }), job(2, { queued: 2 }), job(3, { queued: 0, in_progress: 1 }), job(4, DONE, { runner: 'r', conclusion: 'failure' }), job(5, { queued: 0, refused: 61 })],
    [runner('r', GONE, { job: 4, cost_usd: 0.5 })],
  );
  const jobs = [...records.jobs.values()];
  const { queued, running, oldest } = summarizeJobs(jobs);
  assert.deepEqual([queued, running, oldest], [2, 1, after(2)]);
  assert.deepEqual(waitsOfLast(jobs, 100), { count: 2, median: 1000, p95: 4000 });
  assert.equal(quantile([], 0.5), undefined);
  const endings = countEndings(jobs, Math.floor(after(61) / 60_000), 60);
  assert.deepEqual([endings.completed, endings.failed, endings.refused, endings.bad.slice(-2), endings.earliest], [1, 1, 1, [1, 1], after(30)]);
  assert.deepEqual(sumCosts(jobs.filter((one) => !one.open)), { usd: 0.5, known: 1, unknown: 0 });
});

test('a timeline is in order, joins "busy" with "in progress", and names what is still expected', () => {
  const records = recordsOf([job(1, { queued: 0, in_progress: 4 }, { runner: 'r' })], [runner('r', { reserved: 1, booted: 3, busy: 4 }, { job: 1 })]);
  const [one, its] = [records.jobs.get('1'), records.runners.get('r')];
  const merged = mergeSteps([...one.steps, ...its.steps]);
  assert.deepEqual(merged.map((step) => step.state), ['queued', 'reserved', 'booted', 'in_progress']);
  assert.equal(merged.at(-1).text, 'Job started, runner busy');
  assert.deepEqual(expectedJobSteps(one), [['job', 'completed'], ['runner', 'gone']]);
  assert.deepEqual(expectedRunnerSteps(its), [['runner', 'ending'], ['runner', 'gone']]);
});

test('a warm task is told apart from runners and counts as warm', () => {
  const warm = runner('w', { reserved: 1, starting: 2, warm: 20 }, { repository: null, pool: null });
  const records = recordsOf([job(1, { queued: 0 })], [warm, runner('r', { reserved: 1, booted: 3 }, { launched_for: 1 })]);
  assert.deepEqual([records.runners.get('w').isWarmTask, records.runners.get('r').isWarmTask], [true, false]);
  const { open, idle, warm: waiting } = countRunners(records.runners.values());
  assert.deepEqual([open, idle, waiting], [2, 1, 1]);
  assert.deepEqual([runnerWord(warm), records.runners.get('w').job()], ['Warm', null]);
  assert.deepEqual(records.runners.get('w').segments(after(30)).map(({ kind }) => kind), ['start', 'idle']);
});

test('the parts of a wait are told in their order, with what held the job back and what is not known', () => {
  const wait = {
    total_seconds: 12, unknown_seconds: 1.5, held_by: 'limit', warm: false,
    parts: { assignment: 1, held: 9, webhook: 0.5, of_a_later_release: 1, pull: 'x' },
  };
  assert.deepEqual(waitParts(wait), [
    ['GitHub’s webhook', 500], ['held back by a limit', 9000], ['job assigned and started', 1000], ['not known', 1500],
  ]);
  assert.deepEqual(waitParts({ ...wait, held_by: 'else', unknown_seconds: 0 })[1], ['held back', 9000]);
  for (const none of [undefined, null, {}, { total_seconds: '1' }]) assert.deepEqual(waitParts(none), []);
});

test('the chart has a bar for each day, also for those without runners, and a round scale', () => {
  const now = Date.parse('2026-11-30T20:00:00Z');
  const row = { key: '2026-11-29', cost_usd: 1 };
  assert.deepEqual(daysUpTo(now, 2, [row]).map((day) => [new Date(day.at).toISOString().slice(0, 10), day.row]), [
    ['2026-11-28', null], ['2026-11-29', row], ['2026-11-30', null],
  ]);
  assert.deepEqual([0, 0.3, 1, 1.01, 5.2, 7, 96, 101].map((usd) => Number(roundUp(usd).toPrecision(6))), [1, 0.3, 1, 1.5, 6, 8, 100, 150]);
});

test('sums have cents unless they are less than some', () => {
  assert.deepEqual([0, 0.00001, 0.02, 0.1, 5, 1234.5].map(formatSum), ['$0.00', '<$0.0001', '$0.0200', '$0.10', '$5.00', '$1234.50']);
});
