// WCAG 2.2 AA: axe-core, light and dark, at 320 px and twice the text size; the keyboard; live regions.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { AXE, Server, afterPicture, choose, launch, openPage, picture } from './support.mjs';

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'];
const SIZES = [
  { name: '1,000 px', viewport: { width: 1000, height: 900 }, text: 100 },
  { name: '320 px', viewport: { width: 320, height: 640 }, text: 100 },
  { name: '320 px, 200 % text', viewport: { width: 320, height: 640 }, text: 200 },
];
let server;
let browser;

before(async () => {
  [server, browser] = await Promise.all([new Server().start(), launch()]);
});
after(async () => {
  await browser.close();
  await server.stop();
});

/** Each state of the page, as a person reaches it. */
const STATES = {
  start: { bundle: 'skin', reach: async () => {} },
  'an answer, and all that can be opened': {
    bundle: 'tiny',
    reach: async (page) => {
      await choose(page, picture('tiny-0.png'));
      await page.check('#evidence-show');
      for (const name of ['#card > summary', '#whole-card > summary', '#check > summary']) await page.click(name);
      await page.click('#check-run');
      await page.waitForSelector('#check-verdict.passed, #check-verdict.failed');
      await page.click('#check-lines > summary');
      await page.waitForSelector('#card-text h3');
    },
  },
  '"not sure", a marked field and a problem': {
    bundle: 'tiny',
    reach: async (page) => {
      await choose(page, { name: 'text.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('text') });
      await page.fill('input[name=age]', '400');
      await page.press('input[name=age]', 'Enter');
      await page.waitForSelector('[aria-invalid]');
    },
  },
};

for (const [state, { bundle, reach }] of Object.entries(STATES)) {
  test(`axe-core finds no violation, and nothing scrolls sideways: ${state}`, async () => {
    const context = await browser.newContext({ hasTouch: true });
    const page = await openPage(context, `${server.origin}/${bundle}/`);
    await reach(page);
    await page.evaluate(AXE);
    for (const { name, viewport, text } of SIZES) {
      await page.setViewportSize(viewport);
      await page.evaluate((percent) => {
        document.documentElement.style.fontSize = `${percent}%`;
      }, text);
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        const { violations, passes } = await page.evaluate(
          (values) => globalThis.axe.run(document, { runOnly: { type: 'tag', values } }),
          RULES,
        );
        const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
        assert.deepEqual(found, [], `${name}, ${colorScheme}`);
        assert.ok(passes.length > 15);
      }
      const beyond = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      assert.ok(beyond <= 0, `${name}: ${beyond} px beyond the window`);
    }
    await context.close();
  });
}

test('the keyboard reaches and works every control, and none is hidden behind the notice', async () => {
  const context = await browser.newContext({ viewport: { width: 800, height: 700 } });
  const page = await openPage(context, `${server.origin}/tiny/`);
  await choose(page, picture('tiny-0.png'));
  const wanted = new Set(
    await page.$$eval('a, input, select, button, summary', (found) => {
      const isReachable = (one) =>
        !one.disabled && one.checkVisibility() && !one.closest('details:not([open]) > :not(summary)');
      return found.filter(isReachable).map((one) => one.id || one.name || one.className || one.textContent);
    }),
  );
  await page.evaluate(() => {
    document.activeElement?.blur();
    scrollTo(0, 0);
  });
  for (let step = 0; step < 60 && wanted.size > 0; step++) {
    await page.keyboard.press('Tab');
    const { key, isCovered } = await page.evaluate(() => {
      const one = document.activeElement;
      const box = (one.matches('label input') ? one.parentElement : one).getBoundingClientRect();
      const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
      return { key: one.id || one.name || one.className || one.textContent, isCovered: top?.id === 'notice' };
    });
    assert.ok(!isCovered, `${key} is behind the notice`);
    wanted.delete(key);
  }
  assert.deepEqual([...wanted], []);
  await page.focus('#again');
  await afterPicture(page, () => page.keyboard.press('Enter'));
  assert.match(await page.textContent('#announcement'), /^Answer: /);
  assert.equal(await page.getAttribute('#announcement', 'role'), 'status');
  assert.equal(await page.getAttribute('#problem', 'role'), 'alert');
  await context.close();
});

test('the texts in the HTML are those of en.json, each text is used, and language and direction are set', async () => {
  const words = JSON.parse(readFileSync(picture('../skin/i18n/en.json'), 'utf8'));
  const html = readFileSync(picture('../skin/index.html'), 'utf8');
  const inPage = [...html.matchAll(/data-t="(\w+)">([^<]*)</g)];
  assert.ok(inPage.length > 20);
  for (const [, key, text] of inPage) assert.equal(text, words[key], key);
  assert.match(html, /<html lang="en" dir="ltr">/);
  const codes = readdirSync(picture('../skin/js/app')).map((name) =>
    readFileSync(picture(`../skin/js/app/${name}`), 'utf8'),
  );
  codes.push(...['errors.js', 'remote.js'].map((name) => readFileSync(picture(`../skin/js/${name}`), 'utf8')));
  const used = [html, ...codes].join('\n');
  const unused = Object.keys(words).filter((key) => !used.includes(`"${key}"`) && !used.includes(`'${key}'`));
  assert.deepEqual(unused, ['lang', 'dir']);
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(`${server.origin}/skin/`);
  assert.match(await page.innerText('main'), /needs JavaScript/);
  assert.match(await page.innerText('#notice'), /not a medical device/);
  await context.close();
});
