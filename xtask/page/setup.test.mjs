// `ecsrunner setup` in a real browser: its page, the fake GitHub's pages, and the way back.
//
//     ECSRUNNER=target/debug/ecsrunner node --test xtask/page/setup.test.mjs
//
// It needs playwright-core beside this file or in NODE_PATH. CHROMIUM names the browser, by default /usr/bin/chromium.
// GitHub is `localhost` for the browser and setup's page is `127.0.0.1`: two sites, as with the real GitHub. So this test
// fails if the browser does not send setup's cookie with GitHub's redirect.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

const { chromium } = createRequire(import.meta.url)('playwright-core');

const executable = process.env.ECSRUNNER;
assert.ok(executable, 'ECSRUNNER must name the executable');
const LIMIT = 60_000;

const CONFIG = `version = 1
deployment = "office"
repositories = ["acme/app"]

[classes.small]
cpu = 1024
memory = 2048
default = true
`;

let browser;
let dir;
let github;
const processes = [];

/** Starts the executable. Returns the process with what it prints, and a function that waits for a match in it. */
function start(args, env = {}) {
  const child = spawn(executable, args, { cwd: dir, env: { PATH: process.env.PATH, HOME: dir, NO_COLOR: '1', ...env } });
  processes.push(child);
  const run = { child, stdout: '', stderr: '', ended: once(child, 'exit') };
  child.stdout.on('data', (data) => { run.stdout += data; });
  child.stderr.on('data', (data) => { run.stderr += data; });
  run.match = async (pattern) => {
    const until = Date.now() + LIMIT;
    for (;;) {
      const found = pattern.exec(run.stdout + run.stderr);
      if (found) return found[1];
      assert.ok(Date.now() < until && child.exitCode === null, `no ${pattern} in ${run.stdout}${run.stderr}`);
      await new Promise((go) => { setTimeout(go, 50); });
    }
  };
  return run;
}

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'ecsrunner-setup-'));
  await writeFile(join(dir, 'config.toml'), CONFIG, { mode: 0o600 });
  const fake = start(['demo', 'github', '--listen', '127.0.0.1:0']);
  github = (await fake.match(/listening on (http:\S+)/)).replace('127.0.0.1', 'localhost');
  for (const name of ['acme/app', 'acme/other']) {
    const body = JSON.stringify({ name, private: true });
    const headers = { 'content-type': 'application/json' };
    assert.ok((await fetch(`${github}/_sim/repositories`, { method: 'POST', headers, body })).ok);
  }
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-quic', '--no-first-run', '--disable-component-update', '--disable-sync'],
  });
});

after(async () => {
  await browser?.close();
  for (const child of processes) child.kill();
  await rm(dir, { recursive: true, force: true });
});

/** Every address in the history of a tab. */
async function history(page) {
  const session = await page.context().newCDPSession(page);
  return (await session.send('Page.getNavigationHistory')).entries.map((entry) => entry.url);
}

test('two clicks make the App, a third installs it, and no secret stays in the browser', { timeout: 3 * LIMIT }, async () => {
  const setup = start(['setup', '--config', 'config.toml', '--no-browser', '--timeout', '60s'], { GITHUB_API_URL: github });
  const address = await setup.match(/(http:\/\/127\.0\.0\.1:\d+\/)/);
  const context = await browser.newContext({ viewport: { width: 1000, height: 760 } });
  const page = await context.newPage();
  const errors = [];
  page.on('console', (message) => { if (message.type() === 'error' || message.type() === 'warning') errors.push(message.text()); });
  page.on('pageerror', (error) => errors.push(error.stack));

  await page.goto(address);
  await page.getByRole('heading', { name: 'Create the GitHub App' }).waitFor();
  const shown = await page.locator('dl').innerText();
  for (const part of ['ecsrunner-acme-office', 'the organization acme', 'administration: write', 'config.toml']) {
    assert.ok(shown.includes(part), `${part} in ${shown}`);
  }
  // The style sheet is allowed, and the page fits a narrow window.
  assert.equal(await page.locator('button').evaluate((button) => getComputedStyle(button).backgroundColor), 'rgb(26, 127, 55)');
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, 'setup.png') });
  await page.setViewportSize({ width: 360, height: 760 });
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is cut off');
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, 'setup-narrow.png') });
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Continue to GitHub');

  // Another browser, such as that of another user of this machine, is refused.
  const other = await (await browser.newContext()).newPage();
  assert.equal((await other.goto(address)).status(), 403);
  if (process.env.SCREENSHOTS) await other.screenshot({ path: join(process.env.SCREENSHOTS, 'refused.png') });

  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Create GitHub App', exact: true }).waitFor();
  assert.ok(page.url().startsWith(`${github}/organizations/acme/settings/apps/new?state=`), page.url());
  await page.getByLabel('GitHub App name').fill('Office runners');
  await page.getByRole('button', { name: 'Create GitHub App for acme' }).click();

  // GitHub sends the browser back, and setup sends it on to the installation.
  await page.getByRole('heading', { name: 'Install Office runners' }).waitFor();
  assert.match(page.url(), /\/apps\/office-runners\/installations\/new$/);
  await page.getByLabel('Only select repositories').check();
  await page.getByLabel('acme/app').check();
  await page.getByRole('button', { name: 'Install' }).click();
  await page.getByText('Office runners is installed on acme.').waitFor();

  assert.deepEqual(await setup.ended, [0, null], setup.stdout + setup.stderr);
  assert.match(setup.stderr, /sees 1 repository \(acme\/app\) allowed here, 0 others/);
  const key = await readFile(join(dir, 'office-runners.private-key.pem'), 'utf8');
  assert.match(key, /^-----BEGIN RSA PRIVATE KEY-----/);
  assert.equal((await stat(join(dir, 'office-runners.private-key.pem'))).mode & 0o777, 0o600);
  for (const url of await history(page)) assert.doesNotMatch(url, /code=/, 'no code is in the history');
  assert.deepEqual(errors, [], 'the browser has nothing to complain of');
  await context.close();
});

test('a page of another site cannot read or use the page', { timeout: 2 * LIMIT }, async () => {
  const setup = start(['setup', '--config', 'config.toml', '--replace', '--no-browser', '--timeout', '60s'], { GITHUB_API_URL: github });
  const address = await setup.match(/(http:\/\/127\.0\.0\.1:\d+\/)/);
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${github}/settings/apps/new`);
  const outcome = await page.evaluate(async (target) => {
    const read = await fetch(target).then((answer) => answer.text(), () => 'not readable');
    const frame = document.createElement('iframe');
    frame.src = target;
    document.body.append(frame);
    await new Promise((go) => { frame.onload = go; setTimeout(go, 3000); });
    return { read, framed: frame.contentDocument !== null && frame.contentDocument.querySelector('form') !== null };
  }, address);
  assert.deepEqual(outcome, { read: 'not readable', framed: false });
  // Its request, which carries an origin, did not count as the first visit.
  await page.goto(address);
  await page.getByRole('button', { name: 'Continue to GitHub' }).waitFor();
  await context.close();
  setup.child.kill();
});
