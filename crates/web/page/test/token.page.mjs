// The token that the page needs, in a real browser against a real server.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { at, completedJob, eventually, linkState, shownIds, token, untilLive, withGate, withPage } from './browser.mjs';

const LABEL = 'Token of the state directory';
const WITHOUT_TOKEN = { with: '', ready: '#ask' };
const REFUSED = /status of 401/;
const focus = (page) => page.evaluate(() => document.activeElement.id);
/** Collects what the page asks of the API from now on: pairs of a path and the token sent. */
function noteRequests(page) {
  const asked = [];
  page.on('request', (request) => {
    const { pathname } = new URL(request.url());
    if (pathname.startsWith('/api/')) asked.push([pathname, request.headers().authorization]);
  });
  return asked;
}

test('without a token the page asks for it, and asks nothing of the API however long it waits', async () => {
  const asked = [];
  const prepare = async (page) => {
    await page.clock.install();
    page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  };
  await withPage('?state=completed', async (page) => {
    const field = page.getByLabel(LABEL);
    assert.equal(await field.getAttribute('type'), 'password');
    assert.equal(await focus(page), 'ask-token');
    const described = await field.evaluate((el) => el.getAttribute('aria-describedby').split(' ').map((id) => document.getElementById(id).textContent).join(' '));
    assert.match(described, /server\.json.*--state.*demo --web/s);
    assert.equal(await page.locator('#ask-error').textContent(), '', 'nothing was wrong so far');
    for (const id of ['now', 'pools', 'work', 'empty', 'loading', 'stale', 'retry']) assert.ok(await page.locator(`#${id}`).isHidden(), id);
    assert.equal(await page.locator('#link-text').textContent(), 'No token');
    await page.clock.runFor(300_000);
    await page.evaluate(() => {
      window.dispatchEvent(new Event('online'));
      document.dispatchEvent(new Event('visibilitychange'));
      window.dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
    });
    await page.locator('#ask-send').click();
    await page.clock.runFor(60_000);
    const files = asked.filter((path) => !/^\/(healthz|[a-z-]+\.(js|css|svg))?$/.test(path));
    assert.deepEqual(files, []);
    assert.ok(await field.isVisible());
  }, { ...WITHOUT_TOKEN, prepare });
});

test('a wrong token is named as such and is not tried again; the right one leads to the lists', async () => {
  await withPage('', async (page) => {
    const asked = noteRequests(page);
    const field = page.getByLabel(LABEL);
    await field.fill('another');
    await field.press('Enter');
    await eventually(async () => assert.equal(await page.getByRole('alert').textContent(), 'The server does not accept the token. It makes a new one at each start.'));
    assert.deepEqual([await field.inputValue(), await field.getAttribute('aria-invalid'), await focus(page)], ['', 'true', 'ask-token']);
    await page.clock.runFor(120_000);
    assert.deepEqual(asked, [['/api/v1/events', 'Bearer another']]);
    assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage)), []);

    // What is copied from a file often has a space around it.
    await field.fill(` ${token} `);
    await page.locator('#ask-send').click();
    await page.locator('#work').waitFor();
    assert.ok(await page.locator('#ask').isHidden());
    assert.deepEqual([await field.inputValue(), await focus(page)], ['', 'list']);
    assert.equal(await linkState(page), 'live');
    const used = asked.slice(1);
    assert.deepEqual([...new Set(used.map(([path]) => path))].sort(), ['/api/v1/events', '/api/v1/jobs', '/api/v1/runners', '/api/v1/status']);
    assert.ok(used.every(([, sent]) => sent === `Bearer ${token}`), 'each request has the token');
  }, { ...WITHOUT_TOKEN, expected: REFUSED, prepare: (page) => page.clock.install() });
});

test('the token is taken out of the address, survives a reload of the tab, and is kept nowhere else', async () => {
  const job = await completedJob();
  await withPage(`?job=${job.id}`, async (page) => {
    assert.equal(page.url(), at(`?job=${job.id}`));
    await page.reload();
    await page.locator('#work').waitFor();
    await untilLive(page);
    assert.ok(await page.locator('#ask').isHidden());
    const kept = (secret) => [Object.values(localStorage).filter((value) => value.includes(secret)), document.cookie, document.documentElement.outerHTML.includes(secret)];
    assert.deepEqual(await page.evaluate(kept, token), [[], '', false]);
    const other = await page.context().newPage();
    await other.goto(at(''));
    await other.locator('#ask').waitFor();
  });
});

test('a tab that is open takes a token from its address', async () => {
  await withPage('', async (page) => {
    await page.evaluate((hash) => { location.hash = hash; }, `#token=${token}`);
    await page.locator('#work').waitFor();
    assert.equal(page.url(), at(''));
    await page.evaluate(() => { location.hash = '#token=another'; });
    await eventually(async () => assert.match(await page.getByRole('alert').textContent(), /does not accept the token/));
    assert.equal(page.url(), at(''));
  }, { ...WITHOUT_TOKEN, expected: REFUSED });
});

test('a server that was started again asks for its new token, and what was loaded is shown as old', async () => {
  await withGate(async (gate) => {
    await withPage('', async (page) => {
      await untilLive(page);
      const ids = await shownIds(page);
      await page.locator('#q').focus();
      gate.restart('token-of-the-next-start');
      await eventually(async () => assert.match(await page.getByRole('alert').textContent(), /no longer accepts the token\. It makes a new one at each start/));
      assert.equal(await focus(page), 'ask-token');
      assert.deepEqual(await shownIds(page), ids);
      assert.match(await page.locator('#stale').textContent(), /^Not connected since .* as of that time\.$/);
      await page.getByLabel(LABEL).fill('token-of-the-next-start');
      await page.getByLabel(LABEL).press('Enter');
      await untilLive(page);
      assert.ok(await page.locator('#ask').isHidden());
      assert.ok(await page.locator('#stale').isHidden());
    }, { ...gate.options, expected: /status of 401|ERR_/ });
  });
});

test('a log that is refused for its token leads to the panel, also where details cover the page', async () => {
  const job = await completedJob();
  await withGate(async (gate) => {
    for (const width of [400, 1440]) {
      gate.token = 'token-of-the-gate';
      await withPage(`?job=${job.id}`, async (page) => {
        await untilLive(page);
        gate.token = 'token-of-the-next-start';
        await page.locator('#d-log-load').click();
        await page.locator('#ask').waitFor();
        assert.equal(await focus(page), 'ask-token');
        assert.match(await page.locator('#stale').textContent(), /^Not connected since /);
        assert.ok(await page.locator('#stale').isVisible());
        await page.getByLabel(LABEL).fill(gate.token);
        await page.locator('#ask-send').click();
        await untilLive(page);
      }, { ...gate.options, width, expected: REFUSED });
    }
  });
});
