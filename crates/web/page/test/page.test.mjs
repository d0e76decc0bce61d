// The page against a real server, in a real browser.
//
//     ECSRUNNER_LOCAL=http://127.0.0.1:8700/#token=… node --test crates/web/page/test/page.test.mjs
//
// It needs a running `ecsrunner local up` (or `demo --web`) with at least one completed job, the token in its state
// directory's `server.json` (`demo --web` prints the whole URL), and playwright-core,
// which is looked for beside this file and in NODE_PATH. CHROMIUM names the browser, by default /usr/bin/chromium.
// Which other jobs exist, and whether more arrive meanwhile, does not matter. `token.page.mjs` and `connection.page.mjs`
// have the tests of the token and of the connection; `browser.mjs` has what all of them use.
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { test } from 'node:test';

import { plainText } from '../format.js';
import { all, ask, at, completedJob, eventually, focusedId, query, showAll, shownIds, token, withPage } from './browser.mjs';
import './connection.page.mjs';
import './token.page.mjs';

test('the server sends the page with a strict policy and no cache that outlives an upgrade', async () => {
  const types = { html: 'text/html', css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' };
  const files = (await readdir(new URL('..', import.meta.url))).filter((name) => Object.hasOwn(types, name.split('.').at(-1)));
  assert.ok(files.includes('main.js'));
  for (const name of files) {
    const [path, type] = [name === 'index.html' ? '' : name, types[name.split('.').at(-1)]];
    const answer = await fetch(at(path));
    assert.equal(answer.status, 200, path);
    assert.equal(await answer.text(), await readFile(new URL(`../${name}`, import.meta.url), 'utf8'), `${name} is sent as it is`);
    assert.ok(answer.headers.get('content-type')?.startsWith(type), `${path}: ${answer.headers.get('content-type')}`);
    assert.equal(answer.headers.get('x-content-type-options'), 'nosniff', path);
    assert.match(answer.headers.get('cache-control') ?? '', /no-cache|no-store|max-age=0/, path);
  }
  const policy = (await fetch(at(''))).headers.get('content-security-policy') ?? '';
  assert.match(policy, /default-src 'self'/);
  assert.doesNotMatch(policy, /unsafe|\*|https?:|data:/);
  assert.equal((await fetch(at('no-such-module.js'))).status, 404);
});

test('the stored theme is there before the first paint', async () => {
  await withPage('', async (page) => {
    await page.locator('#theme').click();
    // Without its modules, the page has only what the classic script in its head does.
    await page.route('**/main.js', (route) => route.fulfill({ contentType: 'text/javascript', body: '' }));
    await page.reload();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'light');
  });
});

test('the page is live and lists the jobs and the runners that the API lists', async () => {
  await withPage('', async (page) => {
    await eventually(async () => assert.equal(await page.locator('#link').getAttribute('data-state'), 'live'));
    await eventually(async () => {
      await showAll(page);
      assert.deepEqual((await shownIds(page)).sort(), (await all('jobs')).map((job) => String(job.id)).sort());
    });
    await page.getByRole('button', { name: 'Runners', exact: true }).click();
    await eventually(async () => {
      await showAll(page);
      assert.deepEqual((await shownIds(page)).sort(), (await all('runners')).map((runner) => runner.name).sort());
    });
  });
});

test('filters choose by repository, class and state, and live in the address', async () => {
  const job = await completedJob();
  const fits = (one) => one.repository === job.repository && (one.class ?? null) === (job.class ?? null) && one.state === 'completed';
  await withPage('', async (page) => {
    await page.locator('#repository').selectOption(job.repository);
    if (job.class) await page.locator('#class').selectOption(job.class);
    await page.locator('#states .s-completed').click();
    assert.equal(query(page).get('repository'), job.repository);
    assert.equal(query(page).get('class'), job.class ?? null);
    assert.equal(query(page).get('state'), 'completed');
    const same = async () => {
      await showAll(page);
      const wanted = (await all('jobs')).filter((one) => (job.class ? fits(one) : one.repository === job.repository && one.state === 'completed'));
      assert.deepEqual((await shownIds(page)).sort(), wanted.map((one) => String(one.id)).sort());
    };
    await eventually(same);
    await page.reload();
    await page.locator('#work').waitFor();
    await eventually(same);
    await page.locator('#clear').click();
    assert.equal(new URL(page.url()).search, '');

    await page.locator('#q').fill(String(job.id));
    await eventually(async () => assert.deepEqual(await shownIds(page), [String(job.id)]));
    assert.equal(query(page).get('q'), String(job.id));
    await page.locator('#q').fill('no job has these words in it');
    await page.locator('#none').waitFor();
  });
});

test('everything can be done with the keyboard', async () => {
  const job = await completedJob();
  // Few rows, which do not move meanwhile.
  await withPage(`?state=completed&repository=${encodeURIComponent(job.repository)}`, async (page) => {
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
    await page.keyboard.press('j');
    const first = await eventually(async () => { const id = await focusedId(page); assert.ok(id); return id; });
    const ids = await shownIds(page);
    assert.ok(ids.includes(first));
    if (ids.length > 1) {
      await page.keyboard.press('j');
      assert.notEqual(await focusedId(page), first);
      await page.keyboard.press('k');
      assert.equal(await focusedId(page), first);
      await page.keyboard.press('ArrowDown');
      assert.notEqual(await focusedId(page), first);
      await page.keyboard.press('ArrowUp');
    }
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.notEqual(outline, 'none', 'focus is to be seen');
    await page.keyboard.press('Enter');
    await page.locator('#detail').waitFor();
    assert.equal(query(page).get('job'), first);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'd-title');
    await page.keyboard.press('Escape');
    await page.locator('#detail').waitFor({ state: 'hidden' });
    assert.equal(await focusedId(page), first, 'focus returns to the row');
    assert.equal(query(page).get('job'), null);

    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'q');
    await page.keyboard.type('jk');
    assert.equal(await page.locator('#q').inputValue(), 'jk', 'in the filter, letters are letters');
    await page.keyboard.press('Escape');
    assert.equal(await page.locator('#q').inputValue(), '');
    await page.keyboard.press('Escape');
    assert.notEqual(await page.evaluate(() => document.activeElement.id), 'q');
    await page.keyboard.press('?');
    await page.locator('#help').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('#help').waitFor({ state: 'hidden' });
  });
});

test('details show the timeline of a job and of its runner', async () => {
  const job = await completedJob();
  await withPage(`?job=${job.id}`, async (page) => {
    await page.locator('#detail').waitFor();
    assert.equal(await page.locator('#d-title').textContent(), plainText(job.name));
    const runner = (await all('runners')).find((one) => one.name === job.runner);
    const times = await page.locator('#d-line time').evaluateAll((list) => list.map((time) => Date.parse(time.dateTime)));
    assert.deepEqual(times, [...times].sort((a, b) => a - b), 'in order');
    for (const step of [...job.timeline, ...(runner?.timeline ?? [])]) {
      // "busy" and "in_progress" of one instant are one step.
      assert.ok(times.some((time) => Math.abs(time - Date.parse(step.at)) < 2), `${step.state} at ${step.at} is told`);
    }
    const words = await page.locator('#d-line').textContent();
    assert.match(words, /Queued/);
    assert.match(words, /Job completed/);
    if (runner) {
      assert.match(words, /Runner reserved/);
      assert.ok((await page.locator('#d-facts').textContent()).includes(runner.name));
    }
    if (job.reason?.text) assert.ok((await page.locator('#d-reason').textContent()).includes(job.reason.text));
    const link = page.locator('#d-link');
    if (job.url?.startsWith('https://')) assert.equal(await link.getAttribute('href'), new URL(job.url).href);
    else assert.ok(await link.isHidden(), 'only https is a link');
  });
});

test('the log of a job is read when it is asked for, and scrolls within itself', async () => {
  const job = await completedJob();
  const answer = await ask(`api/v1/jobs/${job.id}/log`);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8');
  const text = await answer.text();
  await withPage(`?job=${job.id}`, async (page) => {
    const asked = [];
    page.on('request', (request) => { if (request.url().endsWith('/log')) asked.push(request.headers().authorization); });
    await page.locator('#d-log-load').waitFor();
    assert.ok(await page.locator('#d-log-text').isHidden());
    assert.ok(await page.locator('#d-log-open').isHidden());
    assert.deepEqual(asked, [], 'nothing is asked of GitHub before');
    await page.locator('#d-log-load').click();
    await page.locator('#d-log-text').waitFor();
    assert.equal(await page.locator('#d-log-text').textContent(), text);
    assert.ok(await page.locator('#d-log-load').isHidden());
    assert.equal(await page.evaluate(() => document.activeElement.id), 'd-log-text', 'it can be scrolled by key at once');
    const [tab] = await Promise.all([page.context().waitForEvent('page'), page.locator('#d-log-open').click()]);
    await eventually(async () => assert.equal(await tab.evaluate(() => document.body?.textContent), text));
    assert.deepEqual(await tab.evaluate(() => [document.contentType, document.querySelectorAll('script').length, window.opener]), ['text/plain', 0, null]);
    assert.deepEqual(asked, [`Bearer ${token}`]);
  });
});

test('errors stand out in a log, and nothing in it is taken for the page', async () => {
  const job = await completedJob();
  const lines = ['##[group]Run make', '<img src="x">', 'a ##[error] within', '##[error]exit code 2', 'x'.repeat(2000)];
  await withPage(`?job=${job.id}`, async (page) => {
    await page.route('**/log', (route) => route.fulfill({ contentType: 'text/plain; charset=utf-8', body: `${'before\n'.repeat(6000)}${lines.join('\n')}\n` }));
    await page.locator('#d-log-load').click();
    const log = page.locator('#d-log-text');
    await log.waitFor();
    assert.equal(await log.locator('.error').textContent(), '##[error]exit code 2\n');
    assert.equal(await log.locator('.group').textContent(), '##[group]Run make\n');
    assert.equal(await log.locator('img').count(), 0);
    assert.equal((await log.textContent()).split('\n').length - 1, 5000, 'of a long log the last lines');
    assert.match(await page.locator('#d-log-why').textContent(), /1,005 more/);
    const sizes = await page.evaluate(() => {
      const el = document.querySelector('#d-log-text');
      return [el.scrollWidth > el.clientWidth, el.scrollHeight > el.clientHeight, el.scrollTop > 0, document.querySelector('#detail').scrollWidth - document.querySelector('#detail').clientWidth];
    });
    assert.deepEqual(sizes, [true, true, true, 0]);
  }, { locale: 'en-US' });
});

test('a refusal is told in words', async (t) => {
  const job = (await all('jobs')).find((one) => one.state === 'refused');
  if (!job) { t.skip('no job was refused'); return; }
  await withPage(`?state=refused&job=${job.id}`, async (page) => {
    assert.ok((await page.locator('#d-reason').textContent()).includes(job.reason.text));
    assert.ok((await page.locator(`.row[data-id="${job.id}"]`).textContent()).includes(job.reason.code));
  });
});

test('nothing overflows on any screen, light or dark, with and without details', async () => {
  const job = await completedJob();
  for (const width of [360, 768, 1440]) {
    const sections = { '?section=costs': '#costs-body', '?section=deployment': '#deployment-body' };
    for (const path of ['', '?view=runners', `?job=${job.id}`, ...Object.keys(sections)]) {
      await withPage(path, async (page) => {
        const sizes = await page.evaluate(() => {
          const el = document.querySelector('#detail:not([hidden])') ?? document.documentElement;
          return [document.documentElement.scrollWidth - document.documentElement.clientWidth, el.scrollWidth - el.clientWidth];
        });
        assert.deepEqual(sizes, [0, 0], `${width} px, ${path || '/'}`);
      }, { width, height: 800, colorScheme: width === 768 ? 'dark' : 'light', ready: sections[path] ?? '#work' });
    }
    await withPage('', async (page) => {
      const rest = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      assert.equal(rest, 0, `${width} px, without a token`);
    }, { width, height: 800, with: '', ready: '#ask' });
  }
});

test('costs are those of the runners, as a chart and as a table, and live in the address', async () => {
  const spent = (await all('runners')).reduce((sum, runner) => sum + (runner.cost_usd ?? 0), 0);
  await withPage('', async (page) => {
    await page.getByRole('button', { name: 'Costs', exact: true }).click();
    await page.locator('#costs-body').waitFor();
    assert.equal(query(page).get('section'), 'costs');
    assert.ok(await page.locator('#work').isHidden());
    const { total } = await (await ask('api/v1/costs?days=30')).json();
    // A runner that is still open costs more by now.
    assert.ok(total.cost_usd >= spent * 0.9, `${total.cost_usd}, and the runners cost ${spent}`);
    await page.locator('#costs-again').click();
    await eventually(async () => assert.equal(await page.locator('#c-jobs').textContent(), String(total.jobs)));
    assert.match(await page.locator('#costs-chart svg').getAttribute('aria-label'), /^Cost by day, /);
    await page.locator('.as-table summary').click();
    assert.ok(await page.locator('.as-table tbody tr').first().isVisible());
    assert.ok(await page.locator('#waits-rows tr').count() > 0);
    await page.reload();
    await page.locator('#costs-body').waitFor();
    await page.getByRole('button', { name: '7 days' }).click();
    await eventually(async () => assert.equal(await page.getByRole('button', { name: '7 days' }).getAttribute('aria-pressed'), 'true'));
    await page.getByRole('button', { name: 'Deployment', exact: true }).click();
    await page.locator('#deployment-body').waitFor();
    assert.equal(query(page).get('section'), 'deployment');
    await page.goBack();
    await page.locator('#costs-body').waitFor();
  });
});

test('launches are paused only after a question, and the page says so until they resume', async () => {
  const isPaused = async () => (await (await ask('api/v1/status')).json()).paused;
  await withPage('', async (page) => {
    await page.locator('#pause').click();
    await page.locator('#confirm').getByRole('button', { name: 'Cancel' }).click();
    assert.equal(await isPaused(), false);
    await page.locator('#pause').click();
    await page.locator('#confirm-do').click();
    await page.locator('#paused').waitFor();
    assert.equal(await isPaused(), true);
    await page.locator('#resume').click();
    await page.locator('#paused').waitFor({ state: 'hidden' });
    assert.equal(await isPaused(), false);
  });
});

test('a refused job can be judged again, and the page says what became of it', async (t) => {
  const job = (await all('jobs')).find((one) => one.state === 'refused');
  if (!job) { t.skip('no job was refused'); return; }
  await withPage(`?job=${job.id}`, async (page) => {
    await page.locator('#d-actions').getByRole('button', { name: 'Retry' }).click();
    await eventually(async () => assert.match(await page.locator('#d-done').textContent(), /refused again: .*class `huge` does not exist/));
  });
});

test('a job that no list has brought is read when its address is opened, and stays when the lists have ended', async () => {
  const job = await completedJob();
  let lastPage = null;
  const prepare = (page) => page.route('**/api/v1/jobs?*', (route) => {
    if (!route.request().url().includes('cursor=')) return route.fulfill({ json: { jobs: [], next: 'more' } });
    lastPage = route;
    return null;
  });
  await withPage(`?job=${job.id}`, async (page) => {
    const isShown = async () => assert.equal(await page.locator('#d-title').textContent(), plainText(job.name));
    await eventually(isShown);
    await eventually(() => assert.ok(lastPage));
    await lastPage.fulfill({ json: { jobs: [], next: null } });
    await eventually(async () => assert.equal(await page.locator('#older').isHidden(), true));
    await isShown();
  }, { prepare });
  await withPage('?job=999999999999', async (page) => {
    await eventually(async () => assert.match(await page.locator('#d-sub').textContent(), /could not be loaded: there is no record of job 999999999999/));
  }, { expected: /404/ });
});

test('the theme follows the system until it is chosen, and is then kept', async () => {
  const ground = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await withPage('', async (page) => {
    const dark = await ground(page);
    await page.locator('#theme').click();
    const light = await ground(page);
    assert.notEqual(light, dark);
    await page.reload();
    await page.locator('#work').waitFor();
    assert.equal(await ground(page), light);
  }, { colorScheme: 'dark' });
});
