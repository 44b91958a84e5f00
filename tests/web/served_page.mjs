// Open the page of a server in Chromium, choose pictures, and print what it shows and asks for, as JSON.
//
//   node served_page.mjs plan.json
//
// plan.json: url, pictures (paths), modules (a folder node_modules).
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const plan = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { chromium } = createRequire(path.join(plan.modules, 'index.js'))('playwright-core');
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const page = await browser.newPage();
page.setDefaultTimeout(60_000);
const [errors, foreign, sent] = [[], [], []];
page.on('pageerror', (error) => errors.push(String(error)));
page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
page.on('request', (request) => {
  if (!request.url().startsWith(plan.url)) foreign.push(request.url());
  if (request.method() !== 'GET') sent.push(`${request.method()} ${new URL(request.url()).pathname}`);
});
await page.goto(plan.url);
await page.waitForSelector('html[data-state]');
const answers = [];
for (const picture of plan.pictures) {
  const before = Number(await page.getAttribute('html', 'data-turns'));
  await page.setInputFiles('#file', picture);
  await page.waitForFunction((turns) => Number(document.documentElement.dataset.turns) > turns, before);
  answers.push(
    await page.$$eval('#scores tr', (rows) =>
      Object.fromEntries(rows.map((row) => [row.dataset.label, Number(row.querySelector('data').value)])),
    ),
  );
}
const workers = await page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length);
const state = await page.getAttribute('html', 'data-state');
await browser.close();
process.stdout.write(JSON.stringify({ state, answers, errors, foreign, sent, workers }));
