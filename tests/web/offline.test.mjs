// The worker: offline after one visit, all files or none, nothing but listed files, and no reload without a person.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { IS_FIREFOX, Server, WORK, choose, launch, openPage, picture, waitForWorker } from './support.mjs';

let browser;

before(async () => {
  browser = await launch();
});
after(() => browser.close());

/** Run with a server and a browser profile of its own. */
async function onSite(run) {
  const server = await new Server().start();
  const context = await browser.newContext();
  try {
    await run({ server, context, address: `${server.origin}/skin/` });
  } finally {
    await context.close();
    await server.stop().catch(() => {}); // the test may have stopped it
  }
}

/** A copy of the worker and of one file of the bundle, as a later version would have them. */
function laterVersion() {
  const worker = readFileSync(path.join(WORK, 'skin/sw.js'), 'utf8');
  const later = worker.replace(/("version": ")\w+/, '$1later');
  assert.notEqual(later, worker);
  return Buffer.from(later);
}

function flipBit(name) {
  const data = readFileSync(path.join(WORK, name));
  data[data.length >> 1] ^= 1;
  return data;
}

test('after one visit the page works with the server stopped, also for a picture from another app', () =>
  onSite(async ({ server, context, address }) => {
    // As README.md of a bundle shows for servers; the worker gets them too.
    const policy = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(
      readFileSync(picture('../skin/index.html'), 'utf8'),
    );
    server.headers = {
      'Content-Security-Policy': `${policy[1]}; frame-ancestors 'none'`,
      'X-Content-Type-Options': 'nosniff',
    };
    const page = await openPage(context, address);
    assert.equal(await waitForWorker(page), 'stored');
    if (!IS_FIREFOX) {
      const session = await context.newCDPSession(page);
      const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
      const missing = installabilityErrors.map((one) => one.errorId).filter((id) => id !== 'in-incognito');
      assert.deepEqual(missing, []); // every browser of a test is incognito
    }
    await choose(page, picture('sure.jpg'));
    const verdict = await page.innerText('#verdict');
    await server.stop();
    await page.reload();
    await page.waitForSelector('html[data-state=ready]');
    await choose(page, picture('sure.jpg'));
    assert.equal(await page.innerText('#verdict'), verdict);
    const other = await context.newPage();
    await other.setContent(
      `<form method="post" enctype="multipart/form-data" action="${address}share"><input type="file" name="picture"><button>Share</button></form>`,
    );
    await other.setInputFiles('input', picture('sure.jpg'));
    await other.click('button');
    await other.waitForSelector('html[data-turns]');
    assert.equal(await other.innerText('#verdict'), verdict);
    assert.equal(other.url(), address);
  }));

test('a changed byte of the model is refused by the page and by the worker', () =>
  onSite(async ({ server, context, address }) => {
    server.replaced.set('/skin/model/model.tflite', flipBit('skin/model/model.tflite'));
    const page = await openPage(context, address);
    assert.equal(await page.getAttribute('html', 'data-state'), 'failed');
    assert.match(await page.innerText('#problem'), /not the one that it was published with/);
    assert.equal(await waitForWorker(page), 'failed');
    assert.deepEqual(await page.evaluate(() => caches.keys()), []);
    assert.equal(await page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length), 0);
  }));

test('a runtime that the server declares as encoded is used and stored, and a changed one is refused', () =>
  onSite(async ({ server, context, address }) => {
    server.declaresGzip = true;
    const page = await openPage(context, address);
    assert.equal(await page.getAttribute('html', 'data-state'), 'ready');
    assert.equal(await waitForWorker(page), 'stored');
    const packed = server.requests.find((request) => request.endsWith('.wasm.gz'));
    assert.ok(packed);
    await server.stop();
    await page.reload();
    await page.waitForSelector('html[data-state=ready]');
    await choose(page, picture('sure.jpg'));
    assert.notEqual(await page.innerText('#verdict'), '');
    const name = packed.replace('GET /', '');
    const content = gunzipSync(readFileSync(path.join(WORK, name)));
    content[content.length >> 1] ^= 1;
    for (const declaresGzip of [true, false]) {
      await onSite(async (other) => {
        other.server.declaresGzip = declaresGzip;
        other.server.replaced.set(`/${name}`, gzipSync(content));
        const changed = await openPage(other.context, other.address);
        assert.equal(await changed.getAttribute('html', 'data-state'), 'failed');
        assert.match(await changed.innerText('#problem'), /not the one that it was published with/);
        assert.equal(await waitForWorker(changed), 'failed');
      });
    }
  }));

test('a changed byte of a file that the page does not need is refused by the worker', () =>
  onSite(async ({ server, context, address }) => {
    server.replaced.set('/skin/MODEL_CARD.md', flipBit('skin/MODEL_CARD.md'));
    const page = await openPage(context, address);
    assert.equal(await page.getAttribute('html', 'data-state'), 'ready');
    assert.equal(await waitForWorker(page), 'failed');
    assert.deepEqual(await page.evaluate(() => caches.keys()), []);
  }));

test('the worker serves only listed files, and other origins and methods get nothing', () =>
  onSite(async ({ server, context, address }) => {
    server.replaced.set('/skin/added.txt', Buffer.from('added'));
    const page = await openPage(context, address);
    assert.equal(await waitForWorker(page), 'stored');
    await page.reload();
    await page.waitForSelector('html[data-state=ready]');
    const before = server.requests.length;
    const status = (name, method = 'GET') =>
      page.evaluate(async ([name, method]) => (await fetch(name, { method })).status, [name, method]);
    assert.equal(await status('added.txt'), 404);
    assert.equal(await status('../tiny/site.json').catch(() => 'refused'), 'refused');
    assert.equal(await status('site.json', 'DELETE'), 404);
    assert.equal(await status('site.json'), 200);
    assert.equal(server.requests.length, before);
  }));

test('the content security policy and trusted types stop other hosts, inline scripts and HTML from text', () =>
  onSite(async ({ context, address }) => {
    await context.route(
      (url) => url.hostname !== 'localhost',
      (route) => route.abort(),
    );
    const page = await openPage(context, address);
    const violated = await page.evaluate(async () => {
      const found = [];
      addEventListener('securitypolicyviolation', (event) => found.push(event.effectiveDirective));
      await fetch('https://other.example/').catch(() => {});
      const picture = document.createElement('img');
      picture.src = 'https://other.example/picture.png';
      const script = document.createElement('script');
      document.body.append(picture);
      const run = 'globalThis.ran = true';
      const acts = [
        () => {
          document.body.innerHTML = '<p>';
        },
        () => {
          script.text = run;
          document.body.append(script);
        },
        () => setTimeout(run), // what a debugger evaluates itself is allowed to call eval
        () => {
          script.src = 'https://other.example/script.js';
        },
      ];
      for (const act of acts) {
        try {
          act();
        } catch {
          /* refused */
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 300));
      return { found, ran: globalThis.ran ?? false };
    });
    assert.equal(violated.ran, false);
    assert.ok(
      ['connect-src', 'img-src', 'require-trusted-types-for'].every((name) => violated.found.includes(name)),
      violated.found.join(),
    );
  }));

test('a new version waits until a person asks for it', () =>
  onSite(async ({ server, context, address }) => {
    const page = await openPage(context, address);
    assert.equal(await waitForWorker(page), 'stored');
    server.replaced.set('/skin/sw.js', laterVersion());
    await page.reload();
    await page.waitForSelector('#update button');
    await page.evaluate(() => {
      globalThis.isSamePage = true;
    });
    const versions = () => page.evaluate(async () => (await caches.keys()).map((name) => name.split(' ').pop()));
    assert.equal((await versions()).length, 2);
    await choose(page, picture('sure.jpg'));
    assert.equal(await page.evaluate(() => globalThis.isSamePage), true);
    await Promise.all([page.waitForEvent('load'), page.click('#update button')]);
    await page.waitForSelector('html[data-state=ready]');
    assert.equal(await page.evaluate(() => globalThis.isSamePage), undefined);
    await page.waitForFunction(async () => (await caches.keys()).length === 1);
    assert.deepEqual(await versions(), ['later']);
  }));

test('two bundles below one origin keep their own files', () =>
  onSite(async ({ server, context }) => {
    for (const name of ['skin', 'tiny']) {
      const page = await openPage(context, `${server.origin}/${name}/`);
      assert.equal(await waitForWorker(page), 'stored');
    }
    await server.stop();
    for (const name of ['skin', 'tiny']) await openPage(context, `${server.origin}/${name}/`);
  }));
