// What the tests in a browser use: the browser, the server's API, and a gate before the server that can be "restarted".
import assert from 'node:assert/strict';
import { createServer, request as forward } from 'node:http';
import { createRequire } from 'node:module';
import { after, before } from 'node:test';

const { chromium } = createRequire(import.meta.url)('playwright-core');

assert.ok(process.env.ECSRUNNER_LOCAL, 'ECSRUNNER_LOCAL must hold the URL of a running server');
const [given, secret] = process.env.ECSRUNNER_LOCAL.split('#token=');
assert.ok(secret, 'ECSRUNNER_LOCAL must end with #token= and the token of the state directory');
const base = given.endsWith('/') ? given : `${given}/`;
export const token = secret;
export const at = (path, origin = base) => new URL(path, origin).href;

let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-quic', '--no-first-run', '--disable-component-update', '--disable-sync'],
  });
});
after(() => browser?.close());

/** Sends a request with the token. */
export const ask = (path) => fetch(at(path), { headers: { authorization: `Bearer ${token}` } });

/** All jobs, or runners, that the API lists; one that was listed twice is as it was listed last. */
export async function all(kind) {
  const items = new Map();
  let cursor = null;
  do {
    const asked = new URLSearchParams({ limit: '200', ...(cursor === null ? {} : { cursor }) });
    const answer = await ask(`api/v1/${kind}?${asked}`);
    assert.equal(answer.status, 200);
    const page = await answer.json();
    for (const item of page[kind]) items.set(item.id ?? item.name, item);
    cursor = page.next ?? null;
  } while (cursor !== null);
  return [...items.values()];
}

export async function completedJob() {
  const job = (await all('jobs')).find((one) => one.state === 'completed' && one.runner && one.timeline?.length);
  assert.ok(job, 'the server must know at least one job that completed on a runner');
  return job;
}

/**
 * Opens the page with a token, or none, and hands it to `use` once `ready` is there. An error in the console that is not
 * `expected` fails the test. `prepare` is called with the page before it is loaded.
 */
export async function withPage(path, use, {
  width = 1440, height = 900, expected = /^$/, with: hash = `#token=${token}`, origin = base, ready = '#work', prepare = () => {}, ...options
} = {}) {
  const context = await browser.newContext({ viewport: { width, height }, ...options });
  const page = await context.newPage();
  const errors = [];
  page.on('console', (message) => { if (message.type() === 'error' || message.type() === 'warning') errors.push(message.text()); });
  page.on('pageerror', (error) => errors.push(error.stack));
  // What is under way when the page is left or loaded again is aborted by the browser.
  page.on('requestfailed', (request) => { if (request.failure()?.errorText !== 'net::ERR_ABORTED') errors.push(`${request.url()}: ${request.failure()?.errorText}`); });
  page.on('request', (request) => { if (!request.url().startsWith(origin) && !request.url().startsWith('blob:')) errors.push(`asked for ${request.url()}, outside the server`); });
  try {
    await prepare(page);
    await page.goto(at(path + hash, origin));
    await page.locator(ready).waitFor();
    await use(page);
    assert.deepEqual(errors.filter((error) => !expected.test(error)), [], 'the browser has nothing to complain of');
  } finally {
    await context.close();
  }
}

/** Tries until `check` passes: jobs may move on between two looks. */
export async function eventually(check) {
  const until = Date.now() + 10_000;
  for (;;) {
    try { return await check(); } catch (error) {
      if (Date.now() > until) throw error;
      await new Promise((resolve) => { setTimeout(resolve, 150); });
    }
  }
}

export async function showAll(page) {
  for (let clicks = 0; clicks < 300; clicks += 1) {
    const more = page.locator('.more-row:not([hidden]) button, #older:not([hidden]) #older-load:not([hidden])').first();
    if (!await more.isVisible()) return;
    // A click waits until the button is enabled, which it is not while older ones are being read.
    // It may also vanish before it is hit, when the last ones come in.
    await more.click({ timeout: 2000 }).catch((error) => { if (error.name !== 'TimeoutError') throw error; });
  }
  assert.fail('the list has no end');
}
export const shownIds = (page) => page.locator('.row[data-key]').evaluateAll((rows) => rows.map((row) => row.dataset.id));
export const focusedId = (page) => page.evaluate(() => document.activeElement?.dataset?.id ?? null);
export const query = (page) => new URL(page.url()).searchParams;
export const linkState = (page) => page.locator('#link').getAttribute('data-state');
export const untilLive = (page) => eventually(async () => assert.equal(await linkState(page), 'live'));

/**
 * Starts a gate before the server and hands it to `use`. The gate has a token of its own, and sends the server's in its
 * place; with any other it sends a wrong one. It knows the event streams that are open, and can write to them.
 */
export async function withGate(use) {
  const gate = {
    token: 'token-of-the-gate', streams: new Set(), send: (text) => gate.streams.forEach((stream) => stream.write(text)),
    /** What the events become on their way; as they are by default. */
    rewrite: (text) => text,
    /** As a restart of the server does: all connections end, and there is a new token. */
    restart(next) { gate.token = next; server.closeAllConnections(); },
  };
  const server = createServer((request, response) => {
    const headers = { ...request.headers, host: new URL(base).host };
    if (headers.origin) headers.origin = new URL(base).origin;
    if (headers.authorization) headers.authorization = `Bearer ${headers.authorization === `Bearer ${gate.token}` ? token : 'wrong'}`;
    const sent = forward(at(request.url.slice(1)), { method: request.method, headers }, (answer) => {
      if (request.url === '/api/v1/events' && answer.statusCode === 200) gate.streams.add(response);
      response.writeHead(answer.statusCode, answer.headers).flushHeaders();
      if (gate.streams.has(response)) answer.on('data', (data) => response.write(gate.rewrite(data.toString()))).on('end', () => response.end());
      else answer.pipe(response);
    });
    sent.on('error', () => response.destroy());
    response.on('close', () => { gate.streams.delete(response); sent.destroy(); });
    request.pipe(sent);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  gate.origin = `http://127.0.0.1:${server.address().port}/`;
  /** Options of `withPage` that open the page through the gate. */
  gate.options = { origin: gate.origin, with: `#token=${gate.token}` };
  try { await use(gate); } finally {
    server.closeAllConnections();
    await new Promise((resolve) => { server.close(resolve); });
  }
}
