// People give pictures, two reviewers and a curator label them, and one picture is withdrawn: in Chromium.
//
//   node review.mjs plan.json
//
// plan.json: url, pictures (paths), people (name → token), answers (reviewer → for each picture the key of a label),
// decision (a key), modules (a folder node_modules), shots (a folder for screenshots, or null). The statistics that the
// page shows at the end are printed as JSON.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const plan = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const load = createRequire(path.join(plan.modules, 'index.js'));
const { chromium } = load('playwright-core');
const AXE = readFileSync(load.resolve('axe-core/axe.min.js'), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22a', 'wcag22aa', 'best-practice'];
const WIDE = { width: 1100, height: 860 };
const NARROW = { width: 320, height: 640 };
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const failures = [];
const checked = new Set();
const receipts = [];

/** Open a browser of its own for a person; what goes wrong in its pages is collected. */
async function enter(name) {
  const context = await browser.newContext({ viewport: WIDE });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.on('pageerror', (error) => failures.push(`${name}: ${error}`));
  page.on('console', (message) => { if (message.type() === 'error') failures.push(`${name}: ${message.text()}`); });
  page.on('request', (request) => { if (!request.url().startsWith(plan.url) && !request.url().startsWith('data:')) failures.push(`${name}: asks ${request.url()}`); });
  if (plan.people[name]) {
    await page.goto(new URL('/review', plan.url).href);
    assert.equal(new URL(page.url()).pathname, '/sign-in');
    await look(page, 'sign-in');
    await page.fill('#token', plan.people[name]);
    await page.click('main button');
  }
  return page;
}

/** Check the page by axe-core, light and dark, wide and narrow with large text; once for each kind of page. */
async function look(page, kind) {
  if (checked.has(kind)) return;
  checked.add(kind);
  await page.evaluate(AXE);
  for (const [viewport, text] of [[WIDE, 100], [NARROW, 100], [NARROW, 200]]) {
    await page.setViewportSize(viewport);
    await page.evaluate((percent) => { document.documentElement.style.fontSize = `${percent}%`; }, text);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      const { violations } = await page.evaluate((values) => globalThis.axe.run(document, { runOnly: { type: 'tag', values } }), RULES);
      for (const { id, nodes } of violations) failures.push(`${kind}, ${viewport.width} px, ${text} %, ${colorScheme}: ${id}: ${nodes.map((node) => node.html).join(' ')}`);
    }
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (beyond > 0) failures.push(`${kind}, ${viewport.width} px, ${text} %: ${beyond} px beyond the window`);
  }
  await page.setViewportSize(WIDE);
  await page.evaluate(() => { document.documentElement.style.fontSize = ''; });
  await page.emulateMedia({ colorScheme: 'light' });
  await shoot(page, kind);
}

async function shoot(page, name) {
  if (plan.shots) await page.screenshot({ path: path.join(plan.shots, `${name}.png`), fullPage: true });
}

// The script shows the switch of the keys, so it is there when the keys work.
const ready = (page) => page.waitForSelector('[data-toggle-keys], h1:has-text("Nothing")');
const shownTask = (page) => page.inputValue('form[data-keys] [name=submission_id]');

// Anybody gives pictures.
const owner = await enter('owner');
for (const [index, picture] of plan.pictures.entries()) {
  await owner.goto(new URL('/submit', plan.url).href);
  await look(owner, 'submit');
  await owner.setInputFiles('#picture', picture);
  await owner.selectOption('#site', index % 2 ? 'lower extremity' : 'anterior torso');
  await owner.selectOption('#age_band', '40-49');
  await owner.fill('#lesion', `L${index}`);
  await owner.check('[name=consent]');
  await owner.click('main form button');
  receipts.push({ id: await owner.innerText('#submission-id'), code: await owner.innerText('#withdrawal-code') });
  await look(owner, 'submitted');
}

// Two people answer by keys, without seeing what the model answered.
for (const [name, keys] of Object.entries(plan.answers)) {
  const page = await enter(name);
  await ready(page);
  for (let turn = 0; turn < plan.pictures.length; turn++) {
    const id = await shownTask(page);
    const index = receipts.findIndex((receipt) => receipt.id === id);
    assert.ok(!(await page.innerText('main')).includes('Probability'), 'the review is not blind');
    await page.waitForFunction(() => document.querySelector('.frame img').naturalWidth > 0);
    if (turn === 0) {
      await look(page, 'review');
      await page.keyboard.press('z');
      assert.equal(await page.getAttribute('[data-zoom]', 'aria-pressed'), 'true');
      await page.keyboard.press('z');
      await page.uncheck('[data-toggle-keys]');
      await page.keyboard.press('1');
      assert.equal(await page.locator('[name=label]:checked').count(), 0, 'the keys are switched off');
      await page.check('[data-toggle-keys]');
      await page.focus('#note');
      await page.keyboard.type('u1z');
      assert.equal(await page.locator('[name=label]:checked').count(), 0, 'a note is no key');
      await page.fill('#note', '');
      await page.evaluate(() => document.activeElement.blur());
    }
    await page.keyboard.press(keys[index]);
    assert.equal(await page.locator(`[data-key="${keys[index]}"]:checked`).count(), 1);
    if (turn === 0) await shoot(page, 'review-answered');
    await page.keyboard.press('Enter');
    await page.waitForSelector('h1:has-text("Stored")');
    assert.ok((await page.innerText('main')).includes('What the model answered'));
    await look(page, 'verdict');
    await page.waitForFunction(() => document.activeElement?.matches('a.button'));
    await page.keyboard.press('Enter');
    await ready(page);
  }
  await page.waitForSelector('h1:has-text("Nothing to review")');
  await look(page, 'nothing');
}

// A curator decides what is disputed, and sees how far the people agree.
const curator = await enter('cleo');
await curator.click('a:has-text("Decisions")');
await ready(curator);
await look(curator, 'decision');
while (await curator.locator('form[data-keys]').count()) {
  await curator.keyboard.press(plan.decision);
  await curator.keyboard.press('Enter');
  await curator.waitForSelector('h1:has-text("Stored")');
  await curator.click('a:has-text("Next picture")');
  await ready(curator);
}
await curator.click('a:has-text("Statistics")');
await look(curator, 'statistics');
const counts = Object.fromEntries(await curator.$$eval('dl.facts div', (found) => found.map((one) => [one.querySelector('dt').innerText, Number(one.querySelector('dd').innerText)])));
const rows = await curator.$$eval('table:first-of-type tbody tr', (found) => found.map((row) => [...row.children].map((cell) => cell.innerText)));
const [download] = await Promise.all([curator.waitForEvent('download'), curator.click('a:has-text("Download the accepted")')]);
assert.equal(download.suggestedFilename(), 'accepted.zip');

// The owner takes one picture back.
await owner.goto(new URL('/withdraw', plan.url).href);
await look(owner, 'withdraw');
await owner.fill('#submission_id', receipts[0].id);
await owner.fill('#withdrawal_code', receipts[0].code);
await owner.click('main form button');
await owner.waitForSelector('[role=status]:has-text("removed")');
await look(owner, 'withdrawn');

// Who signs out is out.
await curator.click('header button');
await curator.goto(new URL('/statistics', plan.url).href);
assert.equal(new URL(curator.url()).pathname, '/sign-in');
await browser.close();
assert.deepEqual(failures, []);
console.log(JSON.stringify({ counts, first: rows[0], pages: [...checked], withdrawn: receipts[0].id }));
