// The connection to the server, in a real browser against a real server.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { eventually, linkState, shownIds, untilLive, withGate, withPage } from './browser.mjs';

const jobNamed = (id, name) => ({ id, repository: 'acme/app', name, class: 'small', pool: 'p', state: 'queued', timeline: [{ at: new Date().toISOString(), state: 'queued' }] });
const eventOf = (job) => `data: ${JSON.stringify({ type: 'job', job })}\n\n`;
const row = (page, id) => page.locator(`.row[data-id="${id}"]`);

test('an event is shown as it comes', async () => {
  await withGate(async (gate) => {
    await withPage('', async (page) => {
      await untilLive(page);
      gate.send(eventOf(jobNamed(1, 'größe 🚀')));
      await row(page, 1).waitFor();
      assert.equal(await row(page, 1).locator('.title').textContent(), 'größe 🚀');
    }, gate.options);
  });
});

test('a stream that is silent for 45 seconds is replaced, although the server responds', async () => {
  await withGate(async (gate) => {
    await withPage('', async (page) => {
      await untilLive(page);
      const [first] = gate.streams;
      await page.clock.runFor(44_000);
      gate.send(eventOf(jobNamed(1, 'a sign of life')));
      await row(page, 1).waitFor();
      await page.clock.runFor(40_000);
      assert.ok(gate.streams.has(first), 'the event counts as a sign of life');
      await page.clock.runFor(10_000);
      await eventually(() => assert.ok(!gate.streams.has(first)));
      await eventually(async () => {
        await page.clock.runFor(1000);
        assert.deepEqual([await linkState(page), gate.streams.size], ['live', 1]);
      });
    }, { ...gate.options, prepare: (page) => page.clock.install() });
  });
});

test('a page in the back/forward cache has no stream, and has one again when it returns', async () => {
  await withGate(async (gate) => {
    await withPage('', async (page) => {
      await untilLive(page);
      const leave = (type) => page.evaluate((name) => { window.dispatchEvent(new PageTransitionEvent(name, { persisted: true })); }, type);
      await leave('pagehide');
      await eventually(() => assert.equal(gate.streams.size, 0));
      await leave('pageshow');
      await untilLive(page);
      assert.equal(gate.streams.size, 1);
    }, gate.options);
  });
});

test('a stream that the server does not allow is tried again, and the reason is shown', async () => {
  const message = '64 readers of events are connected: no more are allowed';
  const prepare = (page) => page.route('**/api/v1/events', (route) => route.fulfill({ status: 503, json: { message } }), { times: 1 });
  await withPage('', async (page) => {
    assert.equal(await page.locator('#loading').textContent(), `Could not load jobs and runners: ${message}. Retrying.`);
    assert.equal(await linkState(page), 'retrying');
    await untilLive(page);
    await page.locator('#work').waitFor();
  }, { prepare, ready: '#link[data-state="retrying"]', expected: /status of 503/ });
});

test('open jobs on many pages are shown together, and stay when the lists are read again', async () => {
  const jobs = [...Array(1300)].map((_, i) => jobNamed(i + 1, `job ${i + 1}`));
  const prepare = (page) => page.route('**/api/v1/jobs?*', (route) => {
    const asked = new URL(route.request().url()).searchParams;
    const from = Number(asked.get('cursor')?.replace('open:', '') ?? 0);
    const to = from + Math.min(500, Number(asked.get('limit')));
    return route.fulfill({ json: { jobs: jobs.slice(from, to), next: to < jobs.length ? `open:${to}` : null } });
  });
  await withGate(async (gate) => {
    await withPage('', async (page) => {
      const counts = () => page.evaluate(() => window.counts);
      await untilLive(page);
      assert.equal((await shownIds(page)).length, 60);
      await eventually(async () => assert.deepEqual(await counts(), ['1300']));
      jobs.splice(700, 1);
      const [first] = gate.streams;
      gate.send('data: {"type":"lagged"}\n\n');
      await eventually(async () => assert.deepEqual(await counts(), ['1300', '1299'], 'only the one that is gone is forgotten'));
      assert.ok(gate.streams.has(first));
    }, {
      ...gate.options,
      locale: 'de-CH-u-nu-latn',
      async prepare(page) {
        await prepare(page);
        await page.addInitScript(() => {
          window.counts = [];
          const note = () => {
            const count = document.getElementById('n-queued')?.textContent.replace(/\D/g, '');
            if (count && count !== window.counts.at(-1)) window.counts.push(count);
          };
          new MutationObserver(note).observe(document, { subtree: true, childList: true, characterData: true });
        });
      },
    });
  });
});

test('a page of a polled deployment closes its stream while it is hidden, and goes on when it is seen', async () => {
  const setHidden = (page, hidden) => page.evaluate((value) => {
    Object.defineProperty(document, 'hidden', { configurable: true, get: () => value });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await withGate(async (gate) => {
    gate.rewrite = (text) => text.replace('"polled":false', '"polled":true');
    await withPage('', async (page) => {
      await untilLive(page);
      await setHidden(page, true);
      await eventually(async () => assert.deepEqual([await linkState(page), gate.streams.size], ['resting', 0]));
      await setHidden(page, false);
      await untilLive(page);
      assert.equal(gate.streams.size, 1);
      assert.ok(await page.locator('#stale').isHidden(), 'that was no loss of contact');
    }, gate.options);
    gate.rewrite = (text) => text;
    await withPage('', async (page) => {
      await untilLive(page);
      await setHidden(page, true);
      await eventually(async () => assert.match(await page.title(), /ecsrunner/));
      assert.deepEqual([await linkState(page), gate.streams.size], ['live', 1], 'a server that is told of changes goes on');
    }, gate.options);
  });
});
