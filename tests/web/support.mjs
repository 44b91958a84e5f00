// A server of unpacked bundles that can be stopped and can lie, and a browser, for the tests of the page.
// make web sets WEB_WORK: a folder with the bundles skin/ and tiny/, pictures/ and expected.json.
import { existsSync, readFileSync, statSync } from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { chromium, firefox } from 'playwright-core';

export const WORK = process.env.WEB_WORK;
export const EXPECTED = JSON.parse(readFileSync(path.join(WORK, 'expected.json'), 'utf8'));
export const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const TYPES = {
  '.css': 'text/css',
  '.gz': 'application/gzip',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.webmanifest': 'application/manifest+json',
};
export const IS_FIREFOX = process.env.BROWSER === 'firefox';
// The channel makes Playwright drive Debian's Firefox by WebDriver BiDi.
const FIREFOX = { executablePath: '/usr/bin/firefox-esr', channel: 'moz-firefox' };
const CHROMIUM = {
  executablePath: '/usr/bin/chromium',
  // A name that is not localhost, so that the page is not in a secure context.
  args: ['--no-sandbox', '--host-resolver-rules=MAP insecure.test 127.0.0.1'],
};

/** A server of $WEB_WORK on loopback. */
export class Server {
  requests = [];
  /** Path → bytes that are sent instead of the file's. */
  replaced = new Map();
  /** Headers of every response, besides its type. */
  headers = {};
  /** Whether .gz files are declared as encoded, as some hosts do: then the browser unpacks them. */
  declaresGzip = false;
  /** Path → what the server answers to a POST, from its body and its query, as JSON. */
  posts = new Map();

  async start(port = 0) {
    this.server = http.createServer((request, response) => this.#answer(request, response));
    await new Promise((resolve) => this.server.listen(port, '127.0.0.1', resolve));
    this.port = this.server.address().port;
    this.origin = `http://localhost:${this.port}`;
    return this;
  }

  async stop() {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  async #answer(request, response) {
    const url = new URL(request.url, this.origin);
    let name = url.pathname;
    if (name.endsWith('/')) name += 'index.html';
    this.requests.push(`${request.method} ${name}`);
    const file = path.join(WORK, name);
    const isFound = this.replaced.has(name) || (existsSync(file) && statSync(file).isFile());
    if (request.method === 'POST' && this.posts.has(name)) {
      const body = [];
      for await (const part of request) body.push(part);
      const [status, answer] = this.posts.get(name)(Buffer.concat(body), url.searchParams);
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer));
      return;
    }
    if (request.method !== 'GET' || !isFound) {
      response.writeHead(request.method === 'GET' ? 404 : 405).end();
      return;
    }
    const type = TYPES[path.extname(name)] ?? 'application/octet-stream';
    const encoding = this.declaresGzip && name.endsWith('.gz') ? { 'Content-Encoding': 'gzip' } : {};
    response
      .writeHead(200, { 'Content-Type': type, ...encoding, ...this.headers })
      .end(this.replaced.get(name) ?? readFileSync(file));
  }
}

export const launch = () => (IS_FIREFOX ? firefox.launch(FIREFOX) : chromium.launch(CHROMIUM));
export const picture = (name) => path.join(WORK, 'pictures', name);

/** Open the page of a bundle, and wait until its model is open, or cannot be opened. */
export async function openPage(context, address) {
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.errors = [];
  page.on('pageerror', (error) => page.errors.push(error));
  await page.goto(address);
  await page.waitForSelector('html[data-state]');
  return page;
}

/** Do something after which a picture is classified, and wait for its answer or for a problem. */
export async function afterPicture(page, act) {
  const before = Number(await page.getAttribute('html', 'data-turns'));
  await act();
  await page.waitForFunction((turns) => Number(document.documentElement.dataset.turns) > turns, before);
}

export const choose = (page, file) => afterPicture(page, () => page.setInputFiles('#file', file));

/** The probabilities that the page shows, by label. */
export async function shownScores(page) {
  const rows = await page.$$eval('#scores tr', (found) =>
    found.map((row) => [row.dataset.label, row.querySelector('data').value]),
  );
  return Object.fromEntries(rows.map(([label, value]) => [label, Number(value)]));
}

/** Wait until the worker has stored the bundle, or could not. */
export async function waitForWorker(page) {
  await page.waitForSelector('html[data-offline]');
  return page.getAttribute('html', 'data-offline');
}
