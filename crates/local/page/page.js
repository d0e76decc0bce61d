// The page of ecsrunner's local mode: jobs and runners, live.
//
// In reading order: theme, words, formats, what is known (store), reading it (server), what is asked for (view),
// figures and pools, the list, details, a job's log, keys. Nothing here writes to the server.
//
// Names of jobs, repositories and workflows are written by strangers. They reach the document by `textContent`
// only, and an address becomes a link only if it is https.
'use strict';

(() => {
  const $ = (id) => document.getElementById(id);

  // ── Theme: runs before the first paint ────────────────────────────────────────────────────────────────────────

  const kept = {
    get(key) { try { return localStorage.getItem(`ecsrunner.${key}`); } catch { return null; } },
    set(key, value) { try { localStorage.setItem(`ecsrunner.${key}`, value); } catch { /* private mode: not kept */ } },
  };
  const THEMES = { auto: 'Theme: system', light: 'Theme: light', dark: 'Theme: dark' };
  let theme = kept.get('theme');
  if (!Object.hasOwn(THEMES, theme ?? '')) theme = 'auto';

  function paintTheme() {
    if (theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  }
  function nextTheme() {
    const names = Object.keys(THEMES);
    theme = names[(names.indexOf(theme) + 1) % names.length];
    kept.set('theme', theme);
    paintTheme();
    $('theme').textContent = THEMES[theme];
    say(THEMES[theme]);
  }
  paintTheme();

  // ── Words ─────────────────────────────────────────────────────────────────────────────────────────────────────

  const JOB_WORDS = { waiting: 'Waiting', queued: 'Queued', in_progress: 'In progress', completed: 'Completed', refused: 'Refused' };
  const CONCLUSION_WORDS = {
    success: 'Success', failure: 'Failure', cancelled: 'Cancelled', timed_out: 'Timed out', skipped: 'Skipped', neutral: 'Neutral',
    action_required: 'Action required', startup_failure: 'Startup failure', stale: 'Stale',
  };
  const FAILED = new Set(['failure', 'timed_out', 'startup_failure']);
  const RUNNER_WORDS = { reserved: 'Reserved', starting: 'Starting', booted: 'Idle', busy: 'Busy', ending: 'Ending', gone: 'Gone' };
  const ENDING_WORDS = {
    completed: 'its job completed', surplus: 'surplus: no job needed it', idle_timeout: 'idle for too long', boot_failed: 'did not boot',
    agent_crashed: 'its agent crashed', spot_interrupted: 'Spot interruption', registration_lost: 'lost its registration',
    job_timeout: 'its job ran too long', stopped_by_operator: 'stopped by an operator',
  };
  const ENDED_WELL = new Set(['completed', 'surplus', 'idle_timeout']);
  const STEP_WORDS = {
    job: { waiting: 'Waiting at GitHub', queued: 'Queued', in_progress: 'Job started', completed: 'Job completed', refused: 'Refused' },
    runner: { reserved: 'Runner reserved', starting: 'Runner starting', booted: 'Runner booted', busy: 'Runner busy', ending: 'Runner ending', gone: 'Runner gone' },
  };
  // Where two steps carry the same instant, this is the order in which they are told.
  const STEP_ORDER = ['waiting', 'queued', 'reserved', 'starting', 'booted', 'busy', 'in_progress', 'completed', 'refused', 'ending', 'gone'];
  const DASH = '—';

  const jobWord = (d) => (d.state === 'completed' && d.conclusion ? CONCLUSION_WORDS[d.conclusion] ?? plain(d.conclusion) : JOB_WORDS[d.state] ?? (plain(d.state) || 'Unknown'));
  function jobLook(d) {
    if (d.state === 'in_progress') return 'running';
    if (d.state !== 'completed') return JOB_WORDS[d.state] ? d.state : 'neutral';
    if (d.conclusion === 'success') return 'success';
    if (FAILED.has(d.conclusion)) return 'failure';
    return d.conclusion === 'cancelled' ? 'cancelled' : 'neutral';
  }
  const runnerWord = (d) => RUNNER_WORDS[d.state] ?? (plain(d.state) || 'Unknown');
  function runnerLook(d) {
    if (d.ending && !ENDED_WELL.has(d.ending)) return 'failure';
    return RUNNER_WORDS[d.state] ? d.state : 'neutral';
  }
  const endingWord = (ending) => ENDING_WORDS[ending] ?? plain(ending);

  // ── Formats ───────────────────────────────────────────────────────────────────────────────────────────────────

  // Control characters and those that turn the reading direction are shown, not obeyed.
  const plain = (value) => (value === null || value === undefined ? '' : String(value).replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]+/g, '\ufffd'));
  const or = (value) => plain(value) || DASH;
  const count = new Intl.NumberFormat();
  const n = (value) => count.format(value);
  const many = (value, one, more = `${one}s`) => `${n(value)} ${value === 1 ? one : more}`;
  const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
  const clockMs = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hourCycle: 'h23' });
  const clockMinute = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  const dayMonth = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
  const two = (value) => String(value).padStart(2, '0');

  function ms(at) {
    const value = typeof at === 'string' ? Date.parse(at) : NaN;
    return Number.isNaN(value) ? null : value;
  }
  /** A length of time; `whole` leaves out fractions, for those that still tick. */
  function span(length, whole = false) {
    if (length === null || length === undefined || Number.isNaN(length)) return DASH;
    const t = Math.max(0, length);
    if (!whole && t < 1000) return `${Math.round(t)} ms`;
    if (!whole && t < 9950) return `${(t / 1000).toFixed(1)} s`;
    const s = whole ? Math.floor(t / 1000) : Math.round(t / 1000);
    if (s < 60) return `${s} s`;
    if (s < 3600) return `${Math.floor(s / 60)} m ${two(s % 60)} s`;
    if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} m`;
    return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
  }
  /** As `span`, with tenths up to a minute: the steps of a time line are close to each other. */
  const fine = (length) => (length >= 9950 && length < 59950 ? `${(length / 1000).toFixed(1)} s` : span(length));
  function money(usd) {
    if (usd === null) return DASH;
    if (usd > 0 && usd < 0.00005) return '<$0.0001';
    return `$${usd.toFixed(usd < 10 ? 4 : 2)}`;
  }
  const cents = (value) => (typeof value === 'number' && Number.isFinite(value) ? value : null);
  const sameDay = (a, b) => new Date(a).toDateString() === new Date(b).toDateString();
  function timeText(at, format = clock) {
    if (at === null) return DASH;
    const time = format.format(at);
    return sameDay(at, now()) ? time : `${dayMonth.format(at)} ${time}`;
  }
  const rfc3339 = (at) => new Date(at).toISOString();
  function setTime(el, at, format) {
    el.textContent = timeText(at, format);
    if (at === null) { el.removeAttribute('datetime'); el.removeAttribute('title'); return; }
    el.dateTime = rfc3339(at);
    el.title = rfc3339(at);
  }

  // ── Small tools for the document ──────────────────────────────────────────────────────────────────────────────

  function h(tag, props = {}, ...children) {
    const el = document.createElement(tag);
    for (const [key, value] of Object.entries(props)) {
      if (value === null || value === undefined || value === false) continue;
      if (key === 'class') el.className = value;
      else if (key.startsWith('on')) el.addEventListener(key.slice(2), value);
      else if (key in el && !key.startsWith('aria-') && key !== 'role') el[key] = value;
      else el.setAttribute(key, value);
    }
    el.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
    return el;
  }
  const SVG = 'http://www.w3.org/2000/svg';
  function icon() {
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('class', 'icon');
    svg.setAttribute('aria-hidden', 'true');
    svg.append(document.createElementNS(SVG, 'use'));
    return svg;
  }
  function setIcon(svg, look) {
    const href = `#i-${look}`;
    if (svg.firstChild.getAttribute('href') !== href) svg.firstChild.setAttribute('href', href);
  }
  /** Writes text only where it differs, so that a selection and the layout survive the tick. */
  function put(el, text) { if (el.textContent !== text) el.textContent = text; }
  function show(el, yes) { if (el.hidden === yes) el.hidden = !yes; }
  /** A name whose end tells it apart: the middle gives way first. */
  function setName(el, name) {
    const text = plain(name);
    const cut = Math.max(0, text.length - 8);
    el.replaceChildren(h('span', { class: 'name-head' }, text.slice(0, cut)), h('span', { class: 'name-tail' }, text.slice(cut)));
    el.title = text;
  }

  let saying = 0;
  /** The one polite live region; the last word within a moment wins, so that a burst is one sentence. */
  function say(text) {
    clearTimeout(saying);
    saying = setTimeout(() => put($('say'), text), 400);
  }

  // ── What is known ─────────────────────────────────────────────────────────────────────────────────────────────

  const jobs = new Map();          // id → job
  const runners = new Map();       // name → runner
  const runnersOf = new Map();     // job id → names of runners that named it
  const jobOn = new Map();         // runner name → id of the job that names it
  const KEEP_ENDED = 6000;         // of each kind; a page that is open for a month must not grow for ever
  let evicted = false;
  let revision = 0;

  function steps(d, who) {
    const out = [];
    for (const step of Array.isArray(d.timeline) ? d.timeline : []) {
      const at = ms(step?.at);
      if (at !== null) out.push({ at, state: String(step.state), who });
    }
    return out;
  }
  const firstAt = (list, state) => list.find((step) => step.state === state)?.at ?? null;
  const lastAt = (list, state) => list.findLast((step) => step.state === state)?.at ?? null;

  class Job {
    constructor(d, text) {
      this.d = d;
      this.key = String(d.id);
      this.text = text;
      this.revision = ++revision;
      this.steps = steps(d, 'job');
      this.open = d.state !== 'completed' && d.state !== 'refused';
      // Our own record of the queued step is exact; GitHub's `created_at` has whole seconds and may lie before an approval.
      this.queued = ms(d.queued_at) ?? firstAt(this.steps, 'queued') ?? firstAt(this.steps, 'waiting') ?? ms(d.created_at);
      this.started = d.state === 'queued' || d.state === 'waiting' ? null : lastAt(this.steps, 'in_progress');
      // What is refused may still be given to a runner, whose hook ends it: the last step counts.
      this.ended = this.open ? null : this.steps.reduce((last, step) => Math.max(last ?? 0, step.at), null) ?? ms(d.completed_at);
      this.failed = d.state === 'completed' && FAILED.has(d.conclusion);
      this.rank = this.ended ?? this.queued ?? 0;
      this.hay = [d.name, d.workflow, d.repository, d.class, d.runner, d.state, jobWord(d), d.conclusion, d.reason?.text, d.reason?.code, d.id, d.run_id, d.pool,
        ...(Array.isArray(d.labels) ? d.labels : [])].map(plain).join(' ').toLowerCase();
    }
    /** The runners that were meant for this job, oldest first; the one that has it comes last. */
    runners() {
      const names = new Set(runnersOf.get(this.key));
      if (this.d.runner) names.add(this.d.runner);
      return [...names].map((name) => runners.get(name)).filter(Boolean)
        .sort((a, b) => (a.key === this.d.runner) - (b.key === this.d.runner) || (a.reserved ?? 0) - (b.reserved ?? 0));
    }
    signature() { return this.runners().reduce((sum, runner) => `${sum}.${runner.revision}`, String(this.revision)); }
    /** What the runner that had it costs; runners that failed before are told in their own list. */
    cost() { return this.d.runner ? runners.get(this.d.runner)?.cost() ?? null : null; }
    segments(at) {
      if (this.queued === null || (this.d.state === 'refused' && !this.d.runner)) return [];
      const runner = this.runners().at(-1);
      const end = this.open ? at : this.ended;
      if (end === null) return [];
      if (this.started === null && runner && !runner.open) {
        // Its runner is gone before it took the job: it waits for another.
        return segments(this.queued, [['wait', runner.reserved], ['start', runner.at('ending') ?? runner.ended], ['wait', end]], end);
      }
      return segments(this.queued, [
        ['wait', runner?.at('reserved') ?? this.started ?? end],
        ['start', runner ? runner.at('booted') ?? this.started ?? end : null],
        ['idle', this.started ?? end],
        ['run', end],
        ['clean', this.open ? null : runner?.at('gone') ?? null],
      ], this.open ? end : Infinity);
    }
  }

  class Runner {
    constructor(d, text) {
      this.d = d;
      this.key = String(d.name);
      this.text = text;
      this.revision = ++revision;
      this.steps = steps(d, 'runner').map((step) => ({ ...step, runner: this.key }));
      this.open = d.state !== 'gone';
      this.reserved = this.at('reserved') ?? this.steps[0]?.at ?? null;
      this.ended = this.open ? null : this.at('gone');
      this.rank = this.ended ?? this.reserved ?? 0;
      this.hay = [d.name, d.class, d.pool, d.state, runnerWord(d), d.ending, d.ending && endingWord(d.ending), d.task, d.job, d.repository, d.reason?.text, d.reason?.code].map(plain).join(' ').toLowerCase();
    }
    at(state) { return lastAt(this.steps, state); }
    /** The job that it has, or had. */
    taken() { return jobs.get(String(this.d.job ?? jobOn.get(this.key) ?? '')) ?? null; }
    /** That one; before, the job for which it was started (GitHub may give it another). */
    job() { return this.taken() ?? (this.d.job === null || this.d.job === undefined ? jobs.get(String(this.d.launched_for ?? '')) ?? null : null); }
    signature() { return `${this.revision}.${this.job()?.revision ?? ''}`; }
    cost() { return cents(this.d.cost_usd); }
    segments(at) {
      if (this.reserved === null) return [];
      const end = this.open ? at : this.ended;
      if (end === null) return [];
      const ending = this.at('ending');
      return segments(this.reserved, [
        ['start', this.at('booted') ?? this.at('busy') ?? ending ?? end],
        ['idle', this.at('busy') ?? ending ?? end],
        ['run', ending ?? end],
        ['clean', end],
      ], end);
    }
  }

  function segments(from, ends, limit) {
    const out = [];
    let at = from;
    for (const [kind, end] of ends) {
      if (end === null) continue;
      const to = Math.min(Math.max(end, at), limit);
      if (to > at) out.push({ kind, length: to - at });
      at = to;
    }
    return out;
  }

  function link(index, key, value) { if (key) (index.get(key) ?? index.set(key, new Set()).get(key)).add(value); }

  function takeJob(d) {
    if (d?.id === null || d?.id === undefined) return;
    const text = JSON.stringify(d);
    const old = jobs.get(String(d.id));
    if (old?.text === text) return;
    const job = new Job(d, text);
    if (old && old.d.state !== d.state) changed.add(`j${job.key}`);
    jobs.set(job.key, job);
    if (d.runner) jobOn.set(String(d.runner), job.key);
    if (detail?.kind === 'jobs' && detail.key === job.key && old && old.d.state !== d.state) say(`${plain(d.name)}: ${jobWord(d)}`);
  }
  const meantFor = (d) => String(d.job ?? d.launched_for ?? '');
  function takeRunner(d) {
    if (!d?.name) return;
    const text = JSON.stringify(d);
    const old = runners.get(String(d.name));
    if (old?.text === text) return;
    const runner = new Runner(d, text);
    if (old && old.d.state !== d.state) changed.add(`r${runner.key}`);
    if (old && meantFor(old.d) !== meantFor(d)) runnersOf.get(meantFor(old.d))?.delete(runner.key);
    runners.set(runner.key, runner);
    link(runnersOf, meantFor(d), runner.key);
  }
  function forgetJob(key) { jobs.delete(key); runnersOf.delete(key); }
  function forgetRunner(key) {
    const runner = runners.get(key);
    runners.delete(key);
    jobOn.delete(key);
    if (runner) runnersOf.get(meantFor(runner.d))?.delete(key);
  }
  function evict() {
    for (const [map, forget] of [[jobs, forgetJob], [runners, forgetRunner]]) {
      if (map.size <= KEEP_ENDED * 1.1) continue;
      const ended = [...map.values()].filter((item) => !item.open).sort((a, b) => a.rank - b.rank);
      for (const item of ended.slice(0, Math.max(0, ended.length - KEEP_ENDED))) { forget(item.key); evicted = true; }
    }
  }

  // ── The server ────────────────────────────────────────────────────────────────────────────────────────────────

  const GLANCE = 25;               // ended items that the first answer brings
  const PAGE = 200;                // items asked for at a time, later
  const FIRST = 2000;              // items of each kind that the first load reads at most
  let stream = null;
  let linkState = 'connecting';
  let tries = 0;
  let retryAt = 0;
  let lostAt = null;               // while the connection is lost: the server's time when we last heard of it
  let heard = Date.now();
  let skew = 0;                    // server's clock minus ours, where it is worth correcting
  let loaded = false;
  let loading = false;
  let again = false;
  let loads = 0;
  const told = new Set();          // what events told since the lists were asked for: newer than what the lists say
  const older = { jobs: new Map(), runners: new Map() };    // filter → cursor of what was not read; null: all read

  /** The server's time now; it stands still while nothing is heard, so that no duration is made up. */
  function now() { return lostAt ?? Date.now() + skew; }

  async function getJson(path) {
    const asked = Date.now();
    const answer = await fetch(path, { headers: { accept: 'application/json' }, cache: 'no-store', signal: AbortSignal.timeout(30000) });
    if (!answer.ok) throw new Error(`${path.split('?')[0]} answers ${answer.status}`);
    const date = ms(answer.headers.get('date'));
    if (date !== null) {
      // The header has whole seconds: a difference below two of them is none.
      const off = date + 500 - (asked + Date.now()) / 2;
      skew = Math.abs(off) > 2000 ? off : 0;
    }
    return answer.json();
  }

  async function readPage(kind, filter, cursor, limit) {
    const asked = new URLSearchParams({ limit: String(limit), ...filter });
    if (cursor !== null) asked.set('cursor', cursor);
    const page = await getJson(`api/v1/${kind}?${asked}`);
    const next = page.next === undefined || page.next === null ? null : String(page.next);
    return { items: Array.isArray(page[kind]) ? page[kind] : [], next: next === cursor ? null : next };
  }

  const KINDS = {
    runners: { known: runners, key: (d) => String(d?.name), mark: 'r', take: takeRunner, forget: forgetRunner },
    jobs: { known: jobs, key: (d) => String(d?.id), mark: 'j', take: takeJob, forget: forgetJob },
  };

  /** Reads both lists. What is open comes first, on a short first page, so that the present is shown at once. */
  async function load() {
    if (loading) { again = true; return; }
    loading = true;
    loads += 1;
    told.clear();
    const mine = stream;
    const reading = Object.entries(KINDS).map(([kind, of]) => ({ ...of, kind, cursor: null, more: true, listed: new Set(), most: Math.max(FIRST, of.known.size) }));
    try {
      for (let page = 0; page < 200 && reading.some((list) => list.more); page += 1) {
        const parts = await Promise.all(reading.map((list) => (list.more ? readPage(list.kind, {}, list.cursor, page === 0 ? GLANCE : PAGE) : null)));
        if (mine !== stream) return;
        reading.forEach((list, i) => {
          if (!parts[i]) return;
          for (const d of parts[i].items) {
            list.listed.add(list.key(d));
            if (!told.has(list.mark + list.key(d))) list.take(d);
          }
          list.cursor = parts[i].next;
          list.more = list.cursor !== null && list.listed.size < list.most;
          const gone = (item) => !list.listed.has(item.key) && !told.has(list.mark + item.key) && (item.open || !list.more);
          for (const item of [...list.known.values()]) if (gone(item)) list.forget(item.key);
          if (page === 0) older[list.kind].clear();
          older[list.kind].set('', list.cursor);
        });
        evicted = false;
        changed.clear();
        loaded = true;
        tries = 0;
        setLink('live');
        draw();
      }
    } catch (error) {
      if (mine === stream) lose(error.name === 'TimeoutError' ? 'the server does not answer' : error.message);
    } finally {
      // A newer connection has a load of its own.
      if (stream === null || mine === stream) {
        loading = false;
        if (again && stream) setTimeout(() => { if (mine === stream) load(); }, 1000);
        again = false;
        draw();
      }
    }
  }

  function take(event) {
    if (event?.type === 'job' && event.job) { takeJob(event.job); told.add(`j${event.job.id}`); }
    if (event?.type === 'runner' && event.runner) { takeRunner(event.runner); told.add(`r${event.runner.name}`); }
  }

  function hear(text) {
    let event;
    try { event = JSON.parse(text); } catch { return; }
    heard = Date.now();
    if (event?.type === 'hello') { put($('version'), event.version ? `v${plain(event.version)}` : ''); return; }
    if (event?.type === 'lagged') { load(); return; }
    take(event);
    if (loaded) soon();
  }

  function connect() {
    stream?.close();
    retryAt = 0;
    const mine = new EventSource('api/v1/events');
    stream = mine;
    loading = false;
    again = false;
    setLink(tries ? 'retrying' : 'connecting');
    mine.onopen = () => { if (mine === stream) { heard = Date.now(); load(); } };
    mine.onmessage = (message) => { if (mine === stream) hear(message.data); };
    mine.onerror = () => { if (mine === stream) lose('the connection ended'); };
  }

  function lose(why) {
    stream?.close();
    stream = null;
    if (lostAt === null && loaded) lostAt = heard + skew;
    tries += 1;
    const wait = Math.min(15000, 500 * 2 ** Math.min(tries, 5)) * (0.75 + Math.random() / 2);
    retryAt = Date.now() + wait;
    setLink('retrying', why);
  }

  function setLink(state, why = '') {
    const before = linkState;
    linkState = state;
    if (state === 'live') lostAt = null;
    const el = $('link');
    if (!el) return;
    el.dataset.state = state;
    el.title = why;
    showLink();
    if (before !== state && state === 'live' && before === 'retrying') say('Connected again');
    if (before === 'live' && state === 'retrying') say('Connection lost, reconnecting');
    if (!loaded) put($('loading'), why ? `Could not read jobs and runners: ${why}. Trying again.` : 'Reading jobs and runners…');
  }

  function showLink() {
    const left = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
    put($('link-text'), { live: 'Live', connecting: 'Connecting' }[linkState] ?? (left > 0 ? `Reconnecting in ${left} s` : 'Reconnecting'));
    show($('retry'), linkState === 'retrying' && left > 1);
    const stale = lostAt !== null && Date.now() + skew - lostAt > 3000;
    show($('stale'), stale);
    if (stale) put($('stale'), `The server was last heard at ${timeText(lostAt)}. Jobs, runners and durations are shown as they were then.`);
  }

  let healthAt = Date.now();
  /** A connection can die without a word: ask now and then whether somebody is there. */
  async function checkHealth() {
    healthAt = Date.now();
    const mine = stream;
    try {
      await getJson('healthz');
      heard = Date.now();
    } catch {
      if (mine === stream && linkState === 'live') lose('the server does not answer');
    }
  }

  const filterKey = (filter) => new URLSearchParams(filter).toString();
  /** Whether the server may hold some, of this kind and filter, that were not read. */
  function hasOlder(kind, key) {
    const all = older[kind].get('');
    return all !== null && all !== undefined && older[kind].get(key) !== null;
  }

  async function loadOlder() {
    const button = $('older-load');
    button.disabled = true;
    const mine = loads;
    try {
      // Runners are read along with jobs, since a job's time line needs them; a filter holds for the list in view.
      for (const kind of ['jobs', 'runners']) {
        const filter = kind === view.kind ? serverFilter() : {};
        const key = filterKey(filter);
        const of = KINDS[kind];
        // The first pages of a filter may hold only what is known: read on until something is new.
        for (let fresh = 0, pages = 0; !fresh && pages < 50 && hasOlder(kind, key); pages += 1) {
          const part = await readPage(kind, filter, older[kind].get(key) ?? null, PAGE);
          // The lists were read anew meanwhile: this cursor leads on from a place that is no longer ours.
          if (mine !== loads) break;
          const unknown = part.items.filter((d) => !of.known.has(of.key(d)));
          fresh = unknown.length;
          unknown.forEach(of.take);
          older[kind].set(key, part.next);
        }
      }
      changed.clear();
      caps.ended += PAGE;
    } catch (error) {
      say(`Older ones could not be read: ${error.message}`);
      put($('older-text'), `Could not be read: ${error.message}.`);
    }
    button.disabled = false;
    draw();
  }

  // ── What is asked for: the filters, kept in the address ───────────────────────────────────────────────────────

  const FILTERS = ['q', 'repository', 'class', 'state', 'pool'];
  const view = { kind: 'jobs', q: '', repository: '', class: '', state: '', pool: '' };
  let detail = null;               // {kind: 'jobs' | 'runners', key}

  const STATES = {
    jobs: [['', 'All'], ['waiting', 'Waiting'], ['queued', 'Queued'], ['in_progress', 'In progress'], ['completed', 'Completed'], ['failed', 'Failed'], ['refused', 'Refused']],
    runners: [['', 'All'], ...Object.entries(RUNNER_WORDS)],
  };

  function readAddress() {
    const asked = new URLSearchParams(location.search);
    view.kind = asked.get('view') === 'runners' ? 'runners' : 'jobs';
    for (const name of FILTERS) view[name] = asked.get(name) ?? '';
    if (!STATES[view.kind].some(([state]) => state === view.state)) view.state = '';
    const job = asked.get('job');
    const runner = asked.get('runner');
    detail = job ? { kind: 'jobs', key: job } : runner ? { kind: 'runners', key: runner } : null;
  }
  function writeAddress(push) {
    const asked = new URLSearchParams(location.search);
    const set = (name, value) => { if (value) asked.set(name, value); else asked.delete(name); };
    set('view', view.kind === 'runners' ? 'runners' : '');
    for (const name of FILTERS) set(name, view[name]);
    set('job', detail?.kind === 'jobs' ? detail.key : '');
    set('runner', detail?.kind === 'runners' ? detail.key : '');
    const address = asked.size ? `?${asked}` : location.pathname;
    if (address === (location.search || location.pathname)) return;
    history[push ? 'pushState' : 'replaceState'](null, '', address);
  }
  function serverFilter(withState = true) {
    const filter = {};
    if (view.repository) filter.repository = view.repository;
    if (view.class) filter.class = view.class;
    if (view.state && withState) filter.state = view.state === 'failed' ? 'completed' : view.state;
    return filter;
  }
  const filtered = () => FILTERS.some((name) => view[name]);

  function ask(change, push = true) {
    Object.assign(view, change);
    caps.open = CAP_OPEN;
    caps.ended = CAP_ENDED;
    writeAddress(push);
    draw();
    say(`${many(shown.total, view.kind === 'jobs' ? 'job' : 'runner')} match`);
  }
  function clearFilters() { ask({ q: '', repository: '', class: '', state: '', pool: '' }); }
  function setKind(kind) { if (view.kind !== kind) ask({ kind, state: '' }); }

  /** Everything but the state, which the buttons count. */
  function matcher(pools) {
    const words = view.q.toLowerCase().split(/\s+/).filter(Boolean);
    const repository = view.repository.toLowerCase();
    return (item) => {
      const d = item.d;
      if (view.class && d.class !== view.class) return false;
      if (view.pool && d.pool !== view.pool) return false;
      const job = item instanceof Runner ? item.job() : null;
      if (repository) {
        const own = d.repository ? [d.repository] : job ? [job.d.repository] : [...(pools.get(d.pool)?.repositories ?? [])];
        if (!own.some((name) => plain(name).toLowerCase() === repository)) return false;
      }
      return words.every((word) => item.hay.includes(word) || job?.hay.includes(word));
    };
  }
  const inState = (item, state) => !state || (state === 'failed' && item instanceof Job ? item.failed : item.d.state === state);

  // ── Drawing ───────────────────────────────────────────────────────────────────────────────────────────────────

  const CAP_OPEN = 60;
  const CAP_ENDED = 100;
  const caps = { open: CAP_OPEN, ended: CAP_ENDED };
  const changed = new Set();       // rows whose state changed since the last drawing
  let due = 0;
  let held = false;                // a pointer is down on the list: rows do not move under it
  let shown = { open: [], ended: [], total: 0 };

  /** Draws soon: a burst of events is one drawing, four a second at most. */
  function soon() {
    if (!due) due = setTimeout(draw, document.hidden ? 1000 : 220);
  }

  function draw() {
    clearTimeout(due);
    due = 0;
    if (held) { soon(); return; }
    evict();
    const any = jobs.size > 0 || runners.size > 0;
    show($('loading'), !loaded);
    show($('empty'), loaded && !any && !filtered() && !detail);
    for (const id of ['now', 'pools', 'work']) show($(id), loaded && (any || filtered() || detail !== null));
    if (!loaded) return;
    const pools = poolsNow();
    drawFigures();
    drawPools(pools);
    drawTools(pools);
    drawList();
    drawDetail();
    changed.clear();
    tick();
  }

  function tick() {
    const at = now();
    for (const row of rows.values()) if (row.live) row.tick(at);
    for (const live of ticking) live(at);
  }
  const ticking = new Set();       // clocks outside the list: figures, pools, details

  // Figures.

  const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)];
  let figureClock = null;

  function drawFigures() {
    let waiting = 0; let queued = 0; let running = 0; let oldest = null;
    const waits = [];
    for (const job of jobs.values()) {
      if (job.d.state === 'waiting') waiting += 1;
      else if (job.d.state === 'queued') { queued += 1; if (job.queued !== null) oldest = Math.min(oldest ?? Infinity, job.queued); } else if (job.d.state === 'in_progress') running += 1;
      if (job.started !== null && job.queued !== null) waits.push(job);
    }
    const by = {};
    let up = 0;
    for (const runner of runners.values()) if (runner.open) { up += 1; by[runner.d.state] = (by[runner.d.state] ?? 0) + 1; }
    document.title = queued || running ? `${running} running, ${queued} queued · ecsrunner` : 'ecsrunner';

    put($('n-queued'), n(queued));
    put($('n-running'), n(running));
    const classes = new Set([...jobs.values()].filter((job) => job.d.state === 'in_progress').map((job) => job.d.pool));
    put($('n-running-sub'), running ? `in ${many(classes.size, 'pool')}` : '');
    put($('n-runners'), n(up));
    const starting = (by.reserved ?? 0) + (by.starting ?? 0);
    put($('n-runners-sub'), [[starting, 'starting'], [by.booted, 'idle'], [by.busy, 'busy'], [by.ending, 'ending']].filter(([value]) => value).map(([value, word]) => `${n(value)} ${word}`).join(' · ') || 'none is up');

    const last = waits.sort((a, b) => b.started - a.started).slice(0, 100).map((job) => Math.max(0, job.started - job.queued)).sort((a, b) => a - b);
    put($('n-wait'), last.length ? span(quantile(last, 0.5)) : DASH);
    put($('n-wait-sub'), last.length > 1 ? `median of the last ${n(last.length)}, p95 ${span(quantile(last, 0.95))}` : last.length ? 'one job so far' : 'no job has started yet');

    if (figureClock) ticking.delete(figureClock);
    const held = waiting ? ` · ${n(waiting)} held by GitHub` : '';
    figureClock = (at) => put($('n-queued-sub'), (oldest === null ? (queued ? 'wait unknown' : 'nothing waits for a runner') : `oldest waits ${span(at - oldest, true)}`) + held);
    ticking.add(figureClock);
    drawHour();
  }

  const HOUR = 60;
  const bars = [];
  let hourMinute = -1;

  function drawHour() {
    const at = now();
    hourMinute = Math.floor(at / 60000);
    const good = new Array(HOUR).fill(0);
    const bad = new Array(HOUR).fill(0);
    let earliest = Infinity; let completed = 0; let failed = 0; let refused = 0;
    for (const job of jobs.values()) {
      if (job.ended === null) continue;
      earliest = Math.min(earliest, job.ended);
      const slot = HOUR - 1 - (hourMinute - Math.floor(job.ended / 60000));
      if (slot < 0 || slot >= HOUR) continue;
      const wrong = job.failed || job.d.state === 'refused';
      (wrong ? bad : good)[slot] += 1;
      if (job.d.state === 'refused') refused += 1; else completed += 1;
      if (job.failed) failed += 1;
    }
    if (!bars.length) {
      for (let slot = 0; slot < HOUR; slot += 1) {
        const pair = ['good', 'bad'].map((kind) => {
          const rect = document.createElementNS(SVG, 'rect');
          for (const [key, value] of Object.entries({ class: kind, x: slot * 4, width: 3, height: 0 })) rect.setAttribute(key, value);
          return rect;
        });
        bars.push(pair);
        $('n-hour').append(...pair);
      }
    }
    const most = Math.max(4, ...good.map((value, slot) => value + bad[slot]));
    bars.forEach(([up, down], slot) => {
      const size = (value) => (value ? Math.max(2, (value / most) * 32) : 0);
      const low = size(bad[slot]); const high = size(good[slot]);
      down.setAttribute('height', low); down.setAttribute('y', 33 - low);
      up.setAttribute('height', high); up.setAttribute('y', 33 - low - high);
    });
    // Where history is cut off within the hour, say since when it is known.
    const cut = (evicted || older.jobs.get('') !== null) && earliest > at - HOUR * 60000 && earliest < Infinity;
    put($('n-hour-title'), cut ? `Ended since ${timeText(earliest, clockMinute)}` : 'Ended in the last hour');
    put($('n-hour-sub'), [`${n(completed)} completed`, failed && `${n(failed)} of them failed`, refused && `${n(refused)} refused`].filter(Boolean).join(' · '));
  }

  // Pools.

  function poolsNow() {
    const pools = new Map();
    const pool = (d) => {
      let entry = pools.get(d.pool);
      if (!entry) { entry = { key: d.pool, class: null, labels: null, repositories: new Set(), queued: 0, waiting: 0, running: 0, starting: 0, idle: 0, busy: 0, up: 0, oldest: null, first: null, seen: 0 }; pools.set(d.pool, entry); }
      return entry;
    };
    for (const job of jobs.values()) {
      const d = job.d;
      if (!d.pool) continue;
      const entry = pool(d);
      entry.class ??= d.class ?? null;
      entry.labels ??= Array.isArray(d.labels) ? d.labels : null;
      if (d.repository) entry.repositories.add(d.repository);
      entry.seen = Math.max(entry.seen, job.rank);
      if (d.state === 'waiting') entry.waiting += 1;
      else if (d.state === 'in_progress') entry.running += 1;
      else if (d.state === 'queued') {
        entry.queued += 1;
        if (!entry.first || (job.queued ?? Infinity) < (entry.first.queued ?? Infinity)) entry.first = job;
        if (job.queued !== null) entry.oldest = Math.min(entry.oldest ?? Infinity, job.queued);
      }
    }
    for (const runner of runners.values()) {
      const d = runner.d;
      if (!d.pool) continue;
      const entry = pool(d);
      entry.class ??= d.class ?? null;
      if (!runner.open) continue;
      entry.up += 1;
      if (d.state === 'reserved' || d.state === 'starting') entry.starting += 1;
      else if (d.state === 'booted') entry.idle += 1;
      else if (d.state === 'busy') entry.busy += 1;
    }
    return pools;
  }

  const POOLS = 8;
  const small = matchMedia('(max-width: 720px)');
  let allPools = false;
  const poolRows = new Map();

  function makePoolRow(key) {
    const cell = (name, extra = {}) => h('span', { class: name, role: 'cell', ...extra });
    const chip = h('span', { class: 'chip' });
    const open = h('button', { type: 'button', class: 'pool-open', onclick: () => ask({ pool: view.pool === key ? '' : key }) });
    const labels = h('span', { class: 'labels' });
    const number = (name, word) => { const value = h('b'); return { cell: h('span', { class: `num ${name}`, role: 'cell' }, value, h('i', { class: 'unit' }, ` ${word}`)), value }; };
    const parts = { queued: number('p-queued', 'queued'), running: number('p-running', 'in progress'), starting: number('p-starting', 'starting'), idle: number('p-idle', 'idle'), oldest: number('p-oldest', 'oldest wait') };
    const why = cell('p-why');
    const el = h('div', { class: 'pool', role: 'row' }, h('span', { role: 'cell', class: 'p-class' }, chip), h('span', { role: 'cell', class: 'p-who' }, open, labels), ...Object.values(parts).map((part) => part.cell), why);
    const row = { el, chip, open, labels, parts, why, clock: null };
    row.fill = (pool) => {
      put(chip, or(pool.class));
      const names = [...pool.repositories];
      put(open, names.length > 1 ? `${plain(names[0])} and ${n(names.length - 1)} more` : names.length ? plain(names[0]) : `pool ${plain(key)}`);
      open.title = `${names.map(plain).join(', ')}\npool ${plain(key)}: show its jobs only`;
      open.setAttribute('aria-pressed', String(view.pool === key));
      put(labels, pool.labels ? pool.labels.map(plain).join(' ') : '');
      for (const name of ['queued', 'running', 'starting', 'idle']) {
        put(parts[name].value, n(pool[name]));
        parts[name].cell.classList.toggle('zero', pool[name] === 0);
      }
      if (pool.waiting) parts.queued.cell.title = `and ${many(pool.waiting, 'job')} held by GitHub (waiting)`; else parts.queued.cell.removeAttribute('title');
      parts.oldest.cell.classList.toggle('zero', pool.oldest === null);
      setReason(why, pool.first?.d.reason);
      el.classList.toggle('on', view.pool === key);
      if (row.clock) ticking.delete(row.clock);
      row.clock = (at) => put(parts.oldest.value, pool.oldest === null ? DASH : span(at - pool.oldest, true));
      ticking.add(row.clock);
    };
    return row;
  }
  function setReason(el, reason) {
    const text = plain(reason?.text); const code = plain(reason?.code);
    const sum = `${text}\n${code}`;
    if (el.dataset.sum === sum) return;
    el.dataset.sum = sum;
    el.replaceChildren(...(text || code ? [h('span', { class: 'why' }, text || code), ...(code && text ? [' ', h('code', { class: 'code' }, code)] : [])] : []));
    if (text || code) el.title = text || code; else el.removeAttribute('title');
  }

  function drawPools(pools) {
    const busy = (pool) => pool.queued + pool.waiting + pool.running + pool.up > 0;
    const fits = (pool) => (!view.class || pool.class === view.class) && (!view.pool || pool.key === view.pool)
      && (!view.repository || [...pool.repositories].some((name) => plain(name).toLowerCase() === view.repository.toLowerCase()));
    const list = [...pools.values()].filter(fits);
    const active = list.filter(busy).length;
    const few = Math.min(list.length, Math.max(Math.min(active, small.matches ? POOLS / 2 : POOLS), view.pool ? 1 : 0));
    // Where there is no room for all, those that wait longest come first; but the lines are told by name and class, so
    // that each keeps its place while its figures change.
    const byName = (a, b) => plain([...a.repositories][0]).localeCompare(plain([...b.repositories][0])) || plain(a.class).localeCompare(plain(b.class)) || (a.key < b.key ? -1 : 1);
    list.sort((a, b) => busy(b) - busy(a) || (a.oldest ?? Infinity) - (b.oldest ?? Infinity) || byName(a, b));
    const visible = list.slice(0, allPools ? list.length : few).sort((a, b) => busy(b) - busy(a) || byName(a, b));
    const keys = new Set(visible.map((pool) => pool.key));
    for (const [key, row] of poolRows) if (!keys.has(key)) { ticking.delete(row.clock); row.el.remove(); poolRows.delete(key); }
    const els = visible.map((pool) => {
      if (!poolRows.has(pool.key)) poolRows.set(pool.key, makePoolRow(pool.key));
      const row = poolRows.get(pool.key);
      row.fill(pool);
      row.el.classList.toggle('calm', !busy(pool));
      return row.el;
    });
    arrange($('pool-rows'), els, null);
    show($('pool-calm'), active === 0);
    const rest = list.length - few;
    show($('pool-more'), rest > 0);
    const quiet = list.length - active;
    put($('pool-more'), allPools ? 'Show fewer pools' : rest === quiet ? `Show ${many(rest, 'quiet pool')}` : `Show ${many(rest, 'more pool', 'more pools')}`);
    $('pool-more').setAttribute('aria-expanded', String(allPools));
  }

  // Tools.

  function setOptions(select, names, value, all) {
    const list = [...new Set([...names, ...(value ? [value] : [])])].sort((a, b) => a.localeCompare(b));
    const sum = list.join('\n');
    if (select.dataset.sum !== sum) {
      select.dataset.sum = sum;
      select.replaceChildren(h('option', { value: '' }, all), ...list.map((name) => h('option', { value: name }, plain(name))));
    }
    if (select.value !== value) select.value = value;
    select.classList.toggle('on', value !== '');
  }

  const stateButtons = new Map();

  function drawTools(pools) {
    for (const button of document.querySelectorAll('.kinds button')) button.setAttribute('aria-pressed', String(button.dataset.kind === view.kind));
    const all = [...(view.kind === 'jobs' ? jobs : runners).values()];
    setOptions($('repository'), [...jobs.values()].map((job) => job.d.repository).filter(Boolean).map(String), view.repository, 'All repositories');
    setOptions($('class'), [...jobs.values(), ...runners.values()].map((item) => item.d.class).filter(Boolean).map(String), view.class, 'All classes');
    if ($('q').value !== view.q) $('q').value = view.q;

    const fits = matcher(pools);
    const items = all.filter(fits);
    const more = hasOlder(view.kind, filterKey(serverFilter(false))) || evicted;
    const states = STATES[view.kind];
    for (const [key, button] of stateButtons) if (!key.startsWith(`${view.kind}.`)) { button.el.remove(); stateButtons.delete(key); }
    for (const [state, word] of states) {
      const key = `${view.kind}.${state}`;
      if (!stateButtons.has(key)) {
        const value = h('b');
        const el = h('button', { type: 'button', class: `state s-${state || 'all'}`, onclick: () => ask({ state: view.state === state ? '' : state }) }, `${word} `, value);
        if (state === 'failed') el.title = 'completed with failure, timed out or startup failure';
        stateButtons.set(key, { el, value });
        $('states').append(el);
      }
      const { el, value } = stateButtons.get(key);
      const total = items.filter((item) => inState(item, state)).length;
      const whole = !more || (view.kind === 'jobs' ? ['waiting', 'queued', 'in_progress'].includes(state) : state !== '' && state !== 'gone');
      put(value, `${n(total)}${whole ? '' : '+'}`);
      el.setAttribute('aria-pressed', String(view.state === state));
      el.classList.toggle('zero', total === 0);
    }
    const pool = pools.get(view.pool);
    show($('pool-tag'), view.pool !== '');
    put($('pool-tag'), view.pool ? `Pool ${pool ? `${or([...pool.repositories][0])} ${or(pool.class)}` : plain(view.pool)} ×` : '');
    show($('clear'), filtered());

    const chosen = items.filter((item) => inState(item, view.state));
    // Open: in the order in which they are served. Ended: the latest first.
    const open = chosen.filter((item) => item.open).sort((a, b) => a.rank - b.rank || (a.key < b.key ? -1 : 1));
    const ended = chosen.filter((item) => !item.open).sort((a, b) => b.rank - a.rank || (a.key < b.key ? 1 : -1));
    shown = { open, ended, total: chosen.length };
  }

  // The list.

  const rows = new Map();          // 'j<id>' or 'r<name>' → row
  let cursor = '';                 // the row that the keyboard is on
  const rowKey = (item) => (item instanceof Job ? 'j' : 'r') + item.key;
  const HEADS = {
    jobs: ['State', 'Job', 'Class', 'Runner or reason', 'Time line', 'Cost', 'Queued'],
    runners: ['State', 'Runner', 'Class', 'Job', 'Time line', 'Cost', 'Reserved'],
  };
  const COST_TITLE = 'What the runner’s time would cost on Fargate';

  function arrange(parent, els, end) {
    let at = parent.firstElementChild;
    while (at?.classList.contains('group-head')) at = at.nextElementSibling;
    for (const el of els) {
      if (el === at) { at = at.nextElementSibling; continue; }
      if (el.isConnected && parent.moveBefore) parent.moveBefore(el, at ?? end);
      else parent.insertBefore(el, at ?? end);
    }
  }

  function makeRow(key) {
    const cell = (name, ...children) => h('div', { role: 'gridcell', class: `c-${name}` }, ...children);
    const svg = icon();
    const part = {
      word: h('span', { class: 'word' }), title: h('span', { class: 'title' }), sub: h('span', { class: 'sub' }), chip: h('span', { class: 'chip' }),
      why: h('span', { class: 'one' }), more: h('span', { class: 'two' }), bar: h('div', { class: 'bar', 'aria-hidden': 'true' }),
      nums: h('span', { class: 'nums' }), cost: h('span', { title: COST_TITLE }), when: h('time'),
    };
    const el = h('div', { role: 'row', class: 'row', tabIndex: -1 },
      cell('state', svg, part.word), cell('what', part.title, part.sub), cell('class', part.chip), cell('why', part.why, part.more),
      cell('line', part.bar, part.nums), cell('cost', part.cost), cell('when', part.when));
    el.dataset.key = key;
    return { el, svg, part, key, signature: '', live: false, tick: () => {} };
  }

  function fillRow(row, item) {
    const signature = `${item.signature()}|${item.open && lostAt !== null}`;
    if (row.signature === signature) return;
    row.signature = signature;
    row.el.dataset.id = item.key;
    const { part } = row;
    (item instanceof Job ? fillJob : fillRunner)(row, item, part);
    const cost = item.cost();
    put(part.cost, money(cost));
    part.cost.classList.toggle('zero', cost === null);
    setTime(part.when, item instanceof Job ? item.queued : item.reserved);
    row.live = item.open;
    row.tick = (at) => { drawBar(part.bar, item.segments(at)); setNums(part.nums, item instanceof Job ? jobNums(item, at) : runnerNums(item, at)); };
    row.tick(now());
  }

  function fillJob(row, job, part) {
    const d = job.d;
    const look = jobLook(d);
    row.el.dataset.look = look;
    setIcon(row.svg, look);
    put(part.word, jobWord(d));
    put(part.title, or(d.name));
    part.title.title = plain(d.name);
    put(part.sub, [plain(d.repository), plain(d.workflow), d.run_id ? `run ${plain(d.run_id)}${d.attempt > 1 ? `, attempt ${plain(d.attempt)}` : ''}` : ''].filter(Boolean).join(' · ') || DASH);
    part.sub.title = part.sub.textContent;
    put(part.chip, or(d.class));
    const runner = job.runners().at(-1);
    const name = d.runner ?? runner?.key;
    if (d.reason?.text || d.reason?.code) {
      setReason(part.why, { text: d.reason.text, code: '' });
      if (!d.reason.text) setReason(part.why, { text: d.reason.code });
      part.more.replaceChildren(h('code', { class: 'code' }, plain(d.reason.code)), ...(name ? [' ', shortRunner(name)] : []));
    } else {
      delete part.why.dataset.sum;
      part.why.className = 'one';
      if (name) setName(part.why, name); else { part.why.replaceChildren(h('span', { class: 'faint' }, DASH)); part.why.removeAttribute('title'); }
      const ended = runner?.d.ending;
      put(part.more, runner ? `${runnerWord(runner.d).toLowerCase()}${ended && ended !== 'completed' ? `: ${endingWord(ended)}` : ''}` : '');
    }
    part.why.classList.toggle('mono', !d.reason?.text && !!name);
  }
  function shortRunner(name) { return h('span', { class: 'short', title: plain(name) }, `…${plain(name).slice(-8)}`); }

  function jobNums(job, at) {
    const { d } = job;
    if (d.state === 'refused' && !d.runner) return [['never given a runner', '']];
    if (job.open && job.started === null) return [[d.state === 'waiting' ? 'held' : 'waiting', job.queued === null ? DASH : span(at - job.queued, true)]];
    const waited = job.started !== null && job.queued !== null ? job.started - job.queued : null;
    if (job.open) return [['waited', span(waited)], ['running', job.started === null ? DASH : span(at - job.started, true)]];
    if (job.started === null) {
      if (job.ended === null || job.queued === null) return [[DASH, '']];
      return d.runner ? [['took', span(job.ended - job.queued)]] : [['waited', span(job.ended - job.queued)], ['never started', '']];
    }
    return [['waited', span(waited)], ['ran', job.ended === null ? DASH : span(job.ended - job.started)]];
  }

  function fillRunner(row, runner, part) {
    const d = runner.d;
    const look = runnerLook(d);
    row.el.dataset.look = look;
    setIcon(row.svg, look === 'failure' ? 'failure' : look);
    put(part.word, runnerWord(d));
    part.title.classList.add('mono');
    setName(part.title, d.name);
    const job = runner.job();
    put(part.sub, [plain(d.repository ?? job?.d.repository), d.pool ? `pool ${plain(d.pool)}` : '', d.task ? `task ${plain(d.task)}` : ''].filter(Boolean).join(' · ') || DASH);
    part.sub.title = part.sub.textContent;
    put(part.chip, or(d.class));
    const early = !runner.taken() || d.state === 'reserved' || d.state === 'starting' || d.state === 'booted';
    if (job) { put(part.why, `${early ? 'for ' : ''}${or(job.d.name)}`); part.why.title = plain(job.d.name); } else { put(part.why, DASH); part.why.removeAttribute('title'); }
    put(part.more, d.ending ? endingWord(d.ending) : job ? jobWord(job.d).toLowerCase() : '');
    part.more.title = plain(d.reason?.text);
  }
  function runnerNums(runner, at) {
    const word = { start: 'boot', idle: 'idle', run: 'busy', clean: 'ending' };
    const list = runner.segments(at).filter((part) => part.kind !== 'clean' || part.length > 1000 || runner.d.state === 'ending');
    if (!list.length) return [[DASH, '']];
    return list.map((part, i) => [word[part.kind], span(part.length, runner.open && i === list.length - 1)]);
  }

  function drawBar(el, list) {
    while (el.childElementCount > list.length) el.lastElementChild.remove();
    list.forEach((part, i) => {
      const seg = el.children[i] ?? el.appendChild(document.createElement('span'));
      if (seg.className !== `seg ${part.kind}`) seg.className = `seg ${part.kind}`;
      seg.style.flexGrow = String(Math.max(1, part.length));
    });
  }
  function setNums(el, list) {
    const text = list.map(([word, value]) => (value ? `${word} ${value}` : word)).join(' · ');
    if (el.dataset.text === text) return;
    el.dataset.text = text;
    el.replaceChildren(...list.flatMap(([word, value], i) => [i ? ' ' : '', h('span', {}, value ? `${word} ` : word, value ? h('b', {}, value) : null)]));
  }

  const moreRows = {};
  function moreRow(group, left) {
    if (!moreRows[group]) {
      const button = h('button', { type: 'button', class: 'quiet', onclick: () => { caps[group] += 200; draw(); } });
      moreRows[group] = { el: h('div', { class: 'more-row', role: 'row' }, h('div', { role: 'gridcell' }, button)), button };
      $(group).append(moreRows[group].el);
    }
    show(moreRows[group].el, left > 0);
    put(moreRows[group].button, `Show ${n(Math.min(200, left))} more of ${n(left)}`);
    return moreRows[group].el;
  }

  let headKind = '';
  function drawList() {
    const grid = $('list');
    grid.dataset.kind = view.kind;
    grid.setAttribute('aria-label', view.kind === 'jobs' ? 'Jobs' : 'Runners');
    if (headKind !== view.kind) {
      headKind = view.kind;
      $('list-head').replaceChildren(...HEADS[view.kind].map((word, i) => h('div', { role: 'columnheader', class: `c-${['state', 'what', 'class', 'why', 'line', 'cost', 'when'][i]}`, title: word === 'Cost' ? COST_TITLE : null }, word)));
    }
    const visible = { open: shown.open.slice(0, caps.open), ended: shown.ended.slice(0, caps.ended) };
    const wanted = new Set([...visible.open, ...visible.ended].map(rowKey));
    const focused = document.activeElement?.closest?.('.row[data-key]')?.dataset.key;
    for (const [key, row] of rows) if (!wanted.has(key)) { row.el.remove(); rows.delete(key); }
    if (!wanted.has(cursor)) cursor = '';
    const flash = changed.size <= 12;
    for (const group of ['open', 'ended']) {
      const els = visible[group].map((item) => {
        const key = rowKey(item);
        if (!rows.has(key)) rows.set(key, makeRow(key));
        const row = rows.get(key);
        fillRow(row, item);
        if (flash && changed.has(key)) blink(row.el);
        const on = detail !== null && key === (detail.kind === 'jobs' ? 'j' : 'r') + detail.key;
        if (row.el.getAttribute('aria-selected') !== String(on)) {
          row.el.setAttribute('aria-selected', String(on));
          row.el.classList.toggle('on', on);
        }
        cursor ||= key;
        return row.el;
      });
      arrange($(group), els, moreRow(group, shown[group].length - visible[group].length));
      show($(group), shown[group].length > 0);
    }
    for (const [key, row] of rows) { const index = key === cursor ? 0 : -1; if (row.el.tabIndex !== index) row.el.tabIndex = index; }
    if (focused && document.activeElement === document.body && rows.has(cursor)) rows.get(cursor).el.focus({ preventScroll: true });

    put($('open-count'), n(shown.open.length));
    put($('ended-count'), n(shown.ended.length));
    drawSums();
    const none = shown.total === 0;
    show($('none'), none);
    if (none) put($('none'), filtered() ? `No ${view.kind === 'jobs' ? 'job' : 'runner'} matches these filters.` : `No ${view.kind === 'jobs' ? 'job' : 'runner'} yet.`);
    drawOlder();
  }

  function blink(el) {
    el.classList.remove('blink');
    void el.offsetWidth;
    el.classList.add('blink');
  }

  function drawSums() {
    let sum = 0; let known = 0; let unknown = 0;
    for (const item of shown.ended) {
      if (item instanceof Job && !item.d.runner) continue;
      const cost = item.cost();
      if (cost === null) unknown += 1; else { sum += cost; known += 1; }
    }
    put($('ended-sums'), known ? `${money(sum)}${unknown ? `, without ${n(unknown)} of unknown cost` : ''}` : '');
    $('ended-sums').title = COST_TITLE;
  }

  function drawOlder() {
    const more = hasOlder(view.kind, filterKey(serverFilter()));
    show($('older'), more || evicted);
    show($('older-load'), more && !loading);
    if (loading) put($('older-text'), more ? 'Reading older ones…' : '');
    else if (!$('older-load').disabled) put($('older-text'), more ? `${n((view.kind === 'jobs' ? jobs : runners).size)} ${view.kind} are read so far.` : evicted ? 'The oldest were dropped from this page; reload it to read them again.' : '');
  }

  // ── Details ───────────────────────────────────────────────────────────────────────────────────────────────────

  const narrow = matchMedia('(max-width: 1100px)');
  let detailSum = '';
  const detailClocks = new Set();

  /** Details take room from the list: the row in question is kept where it is on the screen. */
  function drawInPlace(key) {
    const top = () => rows.get(key)?.el.getBoundingClientRect().top;
    const before = top();
    draw();
    const after = top();
    if (before !== undefined && after !== undefined && before > 0 && before < innerHeight && Math.abs(after - before) > 1) window.scrollBy({ top: after - before, behavior: 'instant' });
  }

  function openDetail(kind, key, focus, push = true) {
    detail = { kind, key };
    writeAddress(push);
    drawInPlace((kind === 'jobs' ? 'j' : 'r') + key);
    $('detail').scrollTop = 0;
    if (focus || narrow.matches) $('d-title').focus({ preventScroll: true });
  }
  function closeDetail() {
    if (!detail) return;
    const key = (detail.kind === 'jobs' ? 'j' : 'r') + detail.key;
    const inside = $('detail').contains(document.activeElement) || document.activeElement === document.body;
    detail = null;
    writeAddress(true);
    drawInPlace(key);
    if (inside) (rows.get(key) ?? rows.get(cursor))?.el.focus();
  }

  function drawDetail() {
    const panel = $('detail');
    const before = !panel.hidden;
    show(panel, detail !== null);
    $('body').classList.toggle('split', detail !== null);
    const modal = detail !== null && narrow.matches;
    for (const el of [$('main'), document.querySelector('.top'), document.querySelector('.skip')]) el.inert = modal;
    document.documentElement.classList.toggle('covered', modal);
    if (modal) { panel.setAttribute('role', 'dialog'); panel.setAttribute('aria-modal', 'true'); } else { panel.setAttribute('role', 'complementary'); panel.removeAttribute('aria-modal'); }
    if (!detail) { detailSum = ''; for (const live of detailClocks) ticking.delete(live); detailClocks.clear(); return; }
    const item = (detail.kind === 'jobs' ? jobs : runners).get(detail.key);
    const sum = `${detail.kind}.${detail.key}.${item?.signature() ?? 'none'}`;
    if (sum === detailSum && before) return;
    detailSum = sum;
    for (const live of detailClocks) ticking.delete(live);
    detailClocks.clear();
    const focusedOn = document.activeElement?.dataset?.go;
    if (!item) missingDetail();
    else if (item instanceof Job) jobDetail(item);
    else runnerDetail(item);
    if (focusedOn && document.activeElement === document.body) panel.querySelector(`[data-go="${CSS.escape(focusedOn)}"]`)?.focus();
  }

  function every(clockwork) { detailClocks.add(clockwork); ticking.add(clockwork); clockwork(now()); }

  function detailTop(look, word, title, sub, url, reason) {
    const svg = icon();
    setIcon(svg, look);
    $('d-state').dataset.look = look;
    $('d-state').replaceChildren(svg, h('span', {}, word));
    put($('d-title'), title);
    put($('d-sub'), sub);
    const link = safeLink(url);
    show($('d-link'), link !== null);
    if (link) $('d-link').href = link; else $('d-link').removeAttribute('href');
    const why = plain(reason?.text) || plain(reason?.code);
    show($('d-reason'), why !== '');
    $('d-reason').dataset.look = look;
    $('d-reason').replaceChildren(h('p', {}, why), ...(reason?.code ? [h('code', { class: 'code' }, plain(reason.code))] : []));
  }
  function safeLink(url) {
    if (typeof url !== 'string') return null;
    try {
      const address = new URL(url);
      return address.protocol === 'https:' ? address.href : null;
    } catch { return null; }
  }

  function missingDetail() {
    drawLog(null);
    detailTop('neutral', 'Unknown', detail.kind === 'jobs' ? `Job ${plain(detail.key)}` : plain(detail.key), 'It is not among those that this page has read. It may be older than they are.', null, null);
    $('d-bar').replaceChildren();
    $('d-line').replaceChildren();
    $('d-facts').replaceChildren();
  }

  function go(kind, key, text) {
    return h('button', { type: 'button', class: 'as-link', 'data-go': `${kind}.${key}`, onclick: () => openDetail(kind, key, true) }, text);
  }
  function facts(list) {
    $('d-facts').replaceChildren(...list.filter(Boolean).map(([word, value, extra]) => {
      const dd = h('dd', { class: extra ?? '' });
      if (typeof value === 'function') every((at) => put(dd, value(at)));
      else dd.append(...(Array.isArray(value) ? value : [value instanceof Node ? value : or(value)]));
      return h('div', {}, h('dt', {}, word), dd);
    }));
  }
  function chips(labels) {
    return Array.isArray(labels) && labels.length ? labels.map((label) => h('code', { class: 'label' }, plain(label))) : [DASH];
  }

  function bigBar(item) {
    const bar = h('div', { class: 'bar big', 'aria-hidden': 'true' });
    const key = h('ul', { class: 'legend' });
    const words = { wait: 'waiting for a runner', start: 'runner starting', idle: 'taking the job', run: 'running', clean: 'cleaning up' };
    if (item instanceof Runner) Object.assign(words, { start: 'starting', idle: 'idle', run: 'busy' });
    const paint = (at) => {
      const list = item.segments(at);
      drawBar(bar, list);
      while (key.childElementCount > list.length) key.lastElementChild.remove();
      list.forEach((part, i) => {
        const li = key.children[i] ?? key.appendChild(h('li', {}, h('span', {}), h('span', {}), h('b')));
        li.children[0].className = `seg ${part.kind}`;
        put(li.children[1], words[part.kind]);
        put(li.children[2], span(part.length, item.open && i === list.length - 1));
      });
    };
    $('d-bar').replaceChildren(bar, key);
    if (item.open) every(paint); else paint(now());
  }

  /** The steps of a job and of its runners in one line; what is still to come is told as such. */
  function timeLine(list, zero, zeroWord, coming, several) {
    list.sort((a, b) => a.at - b.at || STEP_ORDER.indexOf(a.state) - STEP_ORDER.indexOf(b.state));
    // GitHub's "in progress" is what makes a runner busy: one instant, one step.
    const merged = [];
    for (const step of list) {
      const last = merged.at(-1);
      if (last && step.state === 'in_progress' && last.state === 'busy' && step.at - last.at < 2) merged[merged.length - 1] = { ...step, text: 'Job started, runner busy', runner: last.runner };
      else merged.push(step);
    }
    let previous = null;
    const out = merged.map((step) => {
      const since = zero === null ? null : step.at - zero;
      const text = step.text ?? STEP_WORDS[step.who]?.[step.state] ?? plain(step.state);
      const time = h('time');
      setTime(time, step.at, clockMs);
      const li = h('li', { class: `step ${step.who}` }, h('span', { class: 'dot', 'aria-hidden': 'true' }),
        h('span', { class: 'step-word' }, text, step.extra ? h('span', { class: 'extra' }, ` ${step.extra}`) : null, several && step.runner ? h('span', { class: 'extra mono', title: plain(step.runner) }, ` …${plain(step.runner).slice(-6)}`) : null),
        time, h('span', { class: 'since', title: previous === null ? null : `${fine(step.at - previous)} after the step before` }, since === null || previous === null ? '' : `${since < 0 ? '−' : '+'}${fine(Math.abs(since))}`));
      li.dataset.state = step.state;
      previous = step.at;
      return li;
    });
    for (const [who, state] of coming) out.push(h('li', { class: `step ${who} coming` }, h('span', { class: 'dot', 'aria-hidden': 'true' }), h('span', { class: 'step-word' }, STEP_WORDS[who][state]), h('span', { class: 'yet' }, 'not yet'), h('span')));
    if (!out.length) out.push(h('li', { class: 'step' }, h('span', { class: 'dot' }), h('span', { class: 'step-word' }, 'No step is known.')));
    put($('d-line-note'), zero === null || merged.length < 2 ? '' : `clock, and time since ${zeroWord}`);
    $('d-line').replaceChildren(...out);
  }

  function jobDetail(job) {
    const d = job.d;
    const list = job.runners();
    const runner = list.at(-1);
    detailTop(jobLook(d), jobWord(d), or(d.name), [plain(d.repository), plain(d.workflow)].filter(Boolean).join(' · '), d.url, d.reason);
    bigBar(job);
    drawLog(job);
    const all = [...job.steps, ...list.flatMap((r) => r.steps.map((step) => (step.state === 'ending' && r.d.ending ? { ...step, extra: endingWord(r.d.ending) } : step)))];
    const has = new Set([...job.steps, ...(runner?.open || !job.open ? runner?.steps ?? [] : [])].map((step) => step.state));
    let coming = [];
    if (job.open) coming = [['job', 'queued'], ['runner', 'reserved'], ['runner', 'starting'], ['runner', 'booted'], ['job', 'in_progress'], ['job', 'completed'], ['runner', 'gone']];
    else if (runner?.open) coming = [['runner', 'gone']];
    // A step is still to come only behind the last one that has come.
    const last = Math.max(-1, ...coming.map(([, state], i) => (has.has(state) ? i : -1)));
    timeLine(all, job.queued, 'queued', coming.slice(last + 1), list.length > 1);
    if (d.runner && !runners.has(String(d.runner))) $('d-line').append(h('li', { class: 'step coming' }, h('span', { class: 'dot', 'aria-hidden': 'true' }), h('span', { class: 'step-word' }, 'The steps of its runner are not among those read.')));
    const at = (length) => (job.open ? (time) => span(length(time), true) : span(length(job.ended)));
    facts([
      ms(d.created_at) !== null && ['Made at GitHub', stamp(ms(d.created_at))],
      ['Queued', stamp(job.queued)],
      (job.d.state !== 'refused' || d.runner) && [job.open && job.started === null ? 'Waiting' : 'Waited', job.queued === null ? DASH : job.started !== null ? span(job.started - job.queued) : job.ended === null && !job.open ? DASH : at((end) => end - job.queued)],
      (job.d.state !== 'refused' || d.runner) && [job.open && job.started !== null ? 'Running' : 'Ran', job.started === null ? DASH : job.ended === null && !job.open ? DASH : at((end) => end - job.started)],
      ['Cost on Fargate', money(job.cost())],
      ['Conclusion', d.conclusion ? CONCLUSION_WORDS[d.conclusion] ?? plain(d.conclusion) : DASH],
      ['Class', d.class],
      ['Labels', chips(d.labels), 'wrap'],
      ['Runner', list.length ? list.map((r) => h('div', {}, go('runners', r.key, plain(r.key)), h('span', { class: 'extra' }, ` ${runnerWord(r.d).toLowerCase()}${r.d.ending ? `: ${endingWord(r.d.ending)}` : ''}`))) : d.runner, 'mono'],
      ['Task', runner?.d.task, 'mono'],
      ['Pool', d.pool ? [h('button', { type: 'button', class: 'as-link', 'data-go': 'pool', title: 'Show this pool’s jobs only', onclick: () => ask({ kind: 'jobs', pool: String(d.pool) }) }, plain(d.pool))] : DASH, 'mono'],
      ['Run', d.run_id ? `${plain(d.run_id)}${d.attempt ? `, attempt ${plain(d.attempt)}` : ''}` : DASH, 'mono'],
      ['Job id', d.id, 'mono'],
    ]);
  }
  function stamp(at) {
    const time = h('time');
    setTime(time, at);
    return time;
  }

  // ── A job's log: the server reads it from GitHub when it is asked for ─────────────────────────────────────────

  const MAX_LOG_LINES = 5000;      // a browser lays out no more of them quickly
  const TOKEN = 'ecsrunner.token';
  const isToken = (text) => /^[!-~]+$/.test(text);
  /** The token of the server's state directory, kept as long as this tab is open. */
  const token = {
    value: null,
    get() { try { return this.value ?? sessionStorage.getItem(TOKEN); } catch { return this.value; } },
    set(value) { this.value = value; try { sessionStorage.setItem(TOKEN, value); } catch { /* private mode: kept by this page */ } },
    forget() { this.value = null; try { sessionStorage.removeItem(TOKEN); } catch { /* it was never kept */ } },
  };
  /** Takes a token out of the address, such as `#token=…`, where it would be kept in the history and shown on the screen. */
  function takeToken() {
    const given = new URLSearchParams(location.hash.slice(1)).get('token');
    if (given === null) return;
    history.replaceState(history.state, '', `${location.pathname}${location.search}`);
    if (isToken(given)) token.set(given);
  }
  let log = { key: null, busy: false, lines: null, error: '' };

  function drawLog(job) {
    const has = job !== null && (job.open ? job.started !== null : Boolean(job.d.runner) || job.started !== null);
    show($('d-log'), has);
    if (!has) return;
    if (log.key !== job.key) log = { key: job.key, busy: false, lines: null, error: '' };
    show($('d-log-form'), !job.open);
    const asks = !job.open && log.lines === null && token.get() === null;
    show($('d-log-ask'), asks);
    // A required field that is not shown would stop the form.
    $('d-log-token').disabled = !asks;
    show($('d-log-load'), log.lines === null);
    $('d-log-load').disabled = log.busy;
    show($('d-log-open'), log.lines !== null);
    put($('d-log-note'), log.lines === null ? '' : many(log.lines.length, 'line'));
    put($('d-log-why'), logWhy(job));
    // The text is laid out once: an event about the job must not move what is being read.
    if (log.lines === null) $('d-log-text').replaceChildren();
    else if (!$('d-log-text').hasChildNodes()) $('d-log-text').append(...logNodes(log.lines.slice(-MAX_LOG_LINES)));
    show($('d-log-text'), log.lines !== null);
  }
  const logPath = (key) => `api/v1/jobs/${encodeURIComponent(key)}/log`;
  /** Why not all of the log is shown. */
  function logWhy(job) {
    if (job.open) return 'GitHub gives a job’s log once the job has ended.';
    if (log.busy) return 'Reading…';
    const left = (log.lines?.length ?? 0) - MAX_LOG_LINES;
    return left > 0 ? `These are the last ${n(MAX_LOG_LINES)} lines; the text has ${n(left)} more before them.` : log.error;
  }
  function logNodes(lines) {
    return lines.map((line) => {
      // The server has removed control characters; those that turn the reading direction are shown, not obeyed.
      const text = `${line.replace(/[\u202a-\u202e\u2066-\u2069]/g, '\ufffd')}\n`;
      const command = /^##\[(error|warning|group)\]/.exec(text);
      return command ? h('span', { class: command[1] }, text) : text;
    });
  }
  async function readLog(event) {
    event.preventDefault();
    if (!$('d-log-token').disabled) token.set($('d-log-token').value);
    $('d-log-token').value = '';
    const asked = { key: log.key, busy: true, lines: null, error: '' };
    log = asked;
    redrawLog(asked);
    try {
      const headers = { accept: 'text/plain', authorization: `Bearer ${token.get()}` };
      const answer = await fetch(logPath(asked.key), { headers, cache: 'no-store', signal: AbortSignal.timeout(200000) });
      if (answer.status === 401) {
        token.forget();
        asked.error = 'The server does not accept this token. It makes a new one at each start.';
      } else if (answer.ok) asked.lines = (await answer.text()).replace(/\n$/, '').split('\n');
      else asked.error = plain((await answer.json().catch(() => null))?.message) || `the server answers ${answer.status}`;
    } catch { asked.error = 'the server does not answer'; }
    asked.busy = false;
    const focused = document.activeElement === $('d-log-load') || document.activeElement === document.body;
    redrawLog(asked);
    if (log !== asked) return;
    if (asked.lines === null) {
      if (focused && !$('d-log-token').disabled) $('d-log-token').focus();
      return;
    }
    // How a job failed is at the end of its log.
    $('d-log-text').scrollTop = $('d-log-text').scrollHeight;
    if (focused) $('d-log-text').focus({ preventScroll: true });
  }
  /** Opens the log in a tab of its own, without colours; a link could not carry the token. */
  function openLog() {
    const url = URL.createObjectURL(new Blob([`${log.lines.join('\n')}\n`], { type: 'text/plain;charset=utf-8' }));
    window.open(url, '_blank', 'noopener,noreferrer');
    // By then the tab has read it.
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }
  function redrawLog(asked) {
    const job = detail?.kind === 'jobs' && detail.key === asked.key ? jobs.get(asked.key) : null;
    if (job && log === asked) drawLog(job);
  }

  function runnerDetail(runner) {
    const d = runner.d;
    const job = runner.taken();
    const meant = jobs.get(String(d.launched_for ?? ''));
    detailTop(runnerLook(d), runnerWord(d), plain(d.name), [plain(d.repository ?? job?.d.repository), d.class ? `class ${plain(d.class)}` : ''].filter(Boolean).join(' · '), null,
      d.reason?.text || d.reason?.code ? { text: `${d.ending ? `Ended: ${endingWord(d.ending)}. ` : ''}${d.reason.text ?? ''}`, code: d.reason.code } : d.ending ? { text: `Ended: ${endingWord(d.ending)}.`, code: d.ending } : null);
    bigBar(runner);
    drawLog(null);
    const all = [...runner.steps.map((step) => ({ ...step, runner: null })), ...(job && (job.d.runner === runner.key) ? job.steps.filter((step) => step.state !== 'waiting').map((step) => ({ ...step, runner: null })) : [])];
    const flow = [['runner', 'starting'], ['runner', 'booted'], ['runner', 'busy'], ['runner', 'ending'], ['runner', 'gone']];
    const has = new Set(runner.steps.map((step) => step.state));
    const last = Math.max(-1, ...flow.map(([, state], i) => (has.has(state) ? i : -1)));
    timeLine(all, runner.reserved, 'reserved', runner.open ? flow.slice(last + 1) : [], false);
    facts([
      ['Reserved', stamp(runner.reserved)],
      ['Lived', runner.reserved === null ? DASH : runner.open ? (at) => span(at - runner.reserved, true) : runner.ended === null ? DASH : span(runner.ended - runner.reserved)],
      ['Cost on Fargate', money(runner.cost())],
      ['Ending', d.ending ? endingWord(d.ending) : DASH],
      ['Class', d.class],
      ['Job', job ? [go('jobs', job.key, or(job.d.name))] : d.job, 'wrap'],
      d.launched_for !== null && d.launched_for !== undefined && meant !== job && ['Started for', meant ? [go('jobs', meant.key, or(meant.d.name))] : d.launched_for, 'wrap'],
      ['Task', d.task, 'mono'],
      ['Pool', d.pool, 'mono'],
    ]);
  }

  // ── Keys ──────────────────────────────────────────────────────────────────────────────────────────────────────

  const order = () => [...shown.open.slice(0, caps.open), ...shown.ended.slice(0, caps.ended)];

  function moveTo(index, focusRow = true) {
    const list = order();
    if (!list.length) return;
    const item = list[Math.min(list.length - 1, Math.max(0, index))];
    cursor = rowKey(item);
    if (detail && focusRow && !narrow.matches) { detail = { kind: view.kind, key: item.key }; writeAddress(false); }
    draw();
    const row = rows.get(cursor);
    row?.el.focus({ preventScroll: true });
    row?.el.scrollIntoView({ block: 'nearest' });
  }
  function move(by) {
    const list = order();
    const at = list.findIndex((item) => rowKey(item) === cursor);
    const onList = $('list').contains(document.activeElement);
    // The first press goes to the row that is marked, the next ones on from it.
    if (!onList && !detail) { moveTo(Math.max(0, at)); return; }
    if (by > 0 && at === list.length - 1) {
      for (const group of ['open', 'ended']) if (shown[group].length > caps[group]) caps[group] += 200;
    }
    moveTo(at + by);
  }

  function onKey(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const on = event.target;
    const typing = on instanceof HTMLInputElement && on.type !== 'checkbox' || on instanceof HTMLSelectElement;
    if ($('help').open) return;
    const row = on.closest?.('.row[data-key]');
    const covered = detail && narrow.matches;
    const done = () => event.preventDefault();
    if (event.key === 'Escape') {
      if (on === $('q')) {
        done();
        if (view.q) ask({ q: '' }, false); else { on.blur(); if (rows.has(cursor)) moveTo(order().findIndex((item) => rowKey(item) === cursor), false); }
      } else if (detail) { done(); closeDetail(); }
      return;
    }
    if (on === $('q') && (event.key === 'ArrowDown' || event.key === 'Enter')) { done(); moveTo(0, false); return; }
    if (typing) return;
    if (row) {
      const jump = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (jump) { done(); move(jump); return; }
      if (event.key === 'Home') { done(); moveTo(0); return; }
      if (event.key === 'End') { done(); moveTo(Infinity); return; }
      if (event.key === 'Enter' || event.key === ' ') { done(); openDetail(view.kind, row.dataset.id, true); return; }
    }
    if (!lettersOn) return;
    const keys = {
      '/': () => { $('q').focus(); $('q').select(); },
      j: () => move(1),
      k: () => move(-1),
      v: () => setKind(view.kind === 'jobs' ? 'runners' : 'jobs'),
      x: clearFilters,
      t: nextTheme,
      o: () => openOnGitHub(row),
      '?': openHelp,
    };
    if (covered && !['t', 'o', '?'].includes(event.key)) return;
    if (!loaded && !['t', '?'].includes(event.key)) return;
    if (Object.hasOwn(keys, event.key)) { done(); keys[event.key](); }
  }
  function openOnGitHub(row) {
    const job = detail?.kind === 'jobs' ? jobs.get(detail.key) : row && view.kind === 'jobs' ? jobs.get(row.dataset.id) : null;
    const address = safeLink(job?.d.url);
    if (address) window.open(address, '_blank', 'noopener,noreferrer');
    else say('No address is known for this one');
  }
  let lettersOn = kept.get('letters') !== 'off';
  function openHelp() { $('letters').checked = lettersOn; $('help').showModal(); }

  // ── Start ─────────────────────────────────────────────────────────────────────────────────────────────────────

  function hookUp() {
    const url = new URL('webhook', document.baseURI).href.replace(/[?#].*$/, '');
    $('hook-url').textContent = url;
    const host = location.hostname;
    show($('hook-local'), /^(localhost|127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|\[)/.test(host) || !host.includes('.'));
    $('hook-copy').addEventListener('click', async () => {
      try {
        await navigator.clipboard.writeText(url);
        put($('hook-copy'), 'Copied');
      } catch {
        getSelection().selectAllChildren($('hook-url'));
        put($('hook-copy'), 'Selected');
      }
      setTimeout(() => put($('hook-copy'), 'Copy'), 2000);
    });
  }

  function start() {
    $('theme').textContent = THEMES[theme];
    $('theme').addEventListener('click', nextTheme);
    $('help-open').addEventListener('click', openHelp);
    $('help').addEventListener('click', (event) => { if (event.target === $('help')) $('help').close(); });
    $('letters').addEventListener('change', () => { lettersOn = $('letters').checked; kept.set('letters', lettersOn ? 'on' : 'off'); });
    $('retry').addEventListener('click', () => connect());
    $('older-load').addEventListener('click', loadOlder);
    $('pool-more').addEventListener('click', () => { allPools = !allPools; draw(); });
    $('pool-tag').addEventListener('click', () => ask({ pool: '' }));
    $('clear').addEventListener('click', clearFilters);
    $('d-close').addEventListener('click', closeDetail);
    $('d-log-form').addEventListener('submit', readLog);
    $('d-log-open').addEventListener('click', openLog);
    $('q').addEventListener('input', () => ask({ q: $('q').value.trimStart() }, false));
    for (const name of ['repository', 'class']) $(name).addEventListener('change', () => ask({ [name]: $(name).value }));
    for (const button of document.querySelectorAll('.kinds button')) button.addEventListener('click', () => setKind(button.dataset.kind));

    const list = $('list');
    list.addEventListener('click', (event) => {
      const row = event.target.closest('.row[data-key]');
      const marked = getSelection();
      if (!row || (marked.type === 'Range' && row.contains(marked.anchorNode))) return;
      cursor = row.dataset.key;
      openDetail(view.kind, row.dataset.id, false);
    });
    list.addEventListener('focusin', (event) => {
      const row = event.target.closest('.row[data-key]');
      if (!row || row.dataset.key === cursor) return;
      if (rows.has(cursor)) rows.get(cursor).el.tabIndex = -1;
      cursor = row.dataset.key;
      row.tabIndex = 0;
    });
    list.addEventListener('pointerdown', () => { held = true; });
    for (const name of ['pointerup', 'pointercancel', 'blur']) window.addEventListener(name, () => { held = false; });
    document.addEventListener('keydown', onKey);
    // The dialog closes itself on Esc; where details cover the page, Esc is theirs even if nothing is focused.
    narrow.addEventListener('change', () => { if (loaded) draw(); });
    window.addEventListener('hashchange', () => { takeToken(); redrawLog(log); });
    window.addEventListener('popstate', () => { readAddress(); draw(); });
    window.addEventListener('online', () => { if (linkState === 'retrying') connect(); });
    window.addEventListener('pageshow', (event) => { if (event.persisted) connect(); });
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) return;
      if (linkState === 'retrying') { tries = Math.min(tries, 1); connect(); }
      soon();
    });

    setInterval(() => {
      if (linkState === 'retrying' && retryAt && Date.now() >= retryAt) connect();
      showLink();
      if (Date.now() - healthAt > 20000 && linkState === 'live') checkHealth();
      if (document.hidden || !loaded) return;
      tick();
      if (Math.floor(now() / 60000) !== hourMinute) drawHour();
    }, 1000);

    takeToken();
    readAddress();
    hookUp();
    connect();
  }
  document.addEventListener('DOMContentLoaded', start);
})();
