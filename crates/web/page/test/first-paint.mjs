// Times the page in a browser, from the navigation to the first rows of its list on the screen, and prints it as JSON.
//
//     ECSRUNNER_LOCAL=http://127.0.0.1:8700/#token=… NODE_PATH=… node crates/web/page/test/first-paint.mjs
import { createRequire } from 'node:module';

const { chromium } = createRequire(import.meta.url)('playwright-core');
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run', '--disable-component-update', '--disable-sync'],
});
try {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.addInitScript(() => {
    const look = () => {
      if (!document.querySelector('#work:not([hidden]) .row[data-key]')) { requestAnimationFrame(look); return; }
      // The frame after this one has the rows on the screen.
      requestAnimationFrame(() => requestAnimationFrame(() => { window.listPaintedAt = performance.now(); }));
    };
    requestAnimationFrame(look);
  });
  await page.goto(process.env.ECSRUNNER_LOCAL);
  await page.waitForFunction(() => window.listPaintedAt !== undefined);
  const times = await page.evaluate(() => ({
    first_contentful_paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null,
    list: window.listPaintedAt,
  }));
  process.stdout.write(`${JSON.stringify(times)}\n`);
} finally {
  await browser.close();
}
