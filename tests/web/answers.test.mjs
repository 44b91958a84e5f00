// The page gives the answers of dermpack predict, in words, and sends nothing.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import {
  EXPECTED,
  IS_FIREFOX,
  Server,
  afterPicture,
  choose,
  launch,
  openPage,
  picture,
  shownScores,
} from './support.mjs';

// Firefox decodes a JPEG that Python reduces in another way.
const isDecodedOtherwise = (name) => IS_FIREFOX && name.startsWith('large');
const SAME = 1e-15; // two mathematical libraries round logarithms differently in the last digit
const { meanings } = EXPECTED;
let server;
let browser;

before(async () => {
  [server, browser] = await Promise.all([new Server().start(), launch()]);
});
after(async () => {
  await browser.close();
  await server.stop();
});

/** A page of its own storage, which counts the requests of its context. */
async function open(address, { script, options } = {}) {
  const context = await browser.newContext(options);
  const requests = [];
  context.on('request', (request) => requests.push(request));
  if (script) await context.addInitScript(script);
  const page = await openPage(context, address);
  return { context, page, requests };
}

const skin = () => `${server.origin}/skin/`;
const tiny = () => `${server.origin}/tiny/`;

function assertSameScores(found, expected) {
  assert.deepEqual(
    Object.keys(found),
    expected.top.map((score) => score.label),
  );
  for (const { label, probability } of expected.top) {
    assert.ok(Math.abs(found[label] - probability) <= SAME, `${label}: ${found[label]}, not ${probability}`);
  }
}

test('the probabilities are those of dermpack predict, and no request leaves the origin', async () => {
  const { context, page, requests } = await open(skin());
  for (const expected of EXPECTED.skin) {
    await choose(page, picture(expected.picture));
    if (!isDecodedOtherwise(expected.picture)) assertSameScores(await shownScores(page), expected);
    const verdict = await page.innerText('#verdict');
    const unlike = 'Unlike the pictures this model was trained on';
    assert.equal(verdict, !expected.familiar ? unlike : expected.sure ? meanings[expected.label] : 'Not sure');
  }
  assert.ok(EXPECTED.skin.some((expected) => expected.sure) && EXPECTED.skin.some((expected) => !expected.sure));
  await page.waitForSelector('html[data-offline]');
  const foreign = requests.filter((request) => !request.url().startsWith(`${server.origin}/skin/`));
  assert.deepEqual(
    foreign.map((request) => request.url()),
    [],
  );
  assert.deepEqual(
    requests.filter((request) => request.method() !== 'GET'),
    [],
  );
  assert.ok(requests.length > 20, `${requests.length} requests were counted`);
  assert.deepEqual(page.errors, []);
  await context.close();
});

test('the self-check passes with equal bytes', async () => {
  const { context, page } = await open(skin());
  await page.click('#check > summary');
  await page.click('#check-run');
  await page.waitForSelector('#check-verdict.passed');
  const lines = await page.$$eval('#checks tr', (rows) => rows.map((row) => row.textContent));
  const results = lines.filter((line) => !isDecodedOtherwise(line));
  assert.ok(results.length >= 26);
  assert.deepEqual(
    results.filter((text) => !text.includes('same bytes') && !/: familiarityPASS/.test(text)),
    [],
  );
  await context.close();
});

test('a picture can be dropped and pasted', async () => {
  const { context, page } = await open(skin());
  const data = readFileSync(picture('sure.jpg')).toString('base64');
  // Firefox drops the files of a paste that a script makes.
  for (const kind of IS_FIREFOX ? ['drop'] : ['drop', 'paste']) {
    const give = ([kind, data]) => {
      const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], 'picture.jpg', { type: 'image/jpeg' }));
      const event =
        kind === 'drop'
          ? new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true })
          : new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true });
      document.body.dispatchEvent(event);
    };
    await afterPicture(page, () => page.evaluate(give, [kind, data]));
    assert.equal(
      await page.innerText('#verdict'),
      meanings[EXPECTED.skin.find((one) => one.picture === 'sure.jpg').label],
    );
  }
  await context.close();
});

test('a file that is no JPEG, PNG or WebP is refused in words, and no older answer stays', async () => {
  const { context, page } = await open(skin());
  const files = [
    ['not-a-picture', Buffer.from('hello, this is a text')],
    ['picture-unsupported', Buffer.concat([Buffer.from([0, 0, 0, 24]), Buffer.from('ftypheic\0\0\0\0mif1heic')])],
    ['picture-unsupported', Buffer.from('II*\0\x08\0\0\0\0\0')],
    ['picture-damaged', readFileSync(picture('sure.jpg')).subarray(0, 400)],
  ];
  const words = JSON.parse(readFileSync(picture('../skin/i18n/en.json'), 'utf8'));
  for (const [code, buffer] of files) {
    await choose(page, picture('sure.jpg'));
    assert.ok(await page.isVisible('#answer'));
    await choose(page, { name: 'picture.jpg', mimeType: 'image/jpeg', buffer });
    assert.equal(await page.innerText('#problem'), words[code], code);
    assert.equal(await page.textContent('#announcement'), words[code]);
    assert.ok(!(await page.isVisible('#answer')));
  }
  await context.close();
});

test('the page has the name of the bundle, and the labels before the first answer', async () => {
  const { context, page } = await open(skin());
  const { labels, meanings = {} } = JSON.parse(readFileSync(picture('../skin/model/model.json'), 'utf8'));
  assert.equal(await page.innerText('h1'), 'skin');
  assert.equal(await page.title(), 'skin');
  const shown = await page.innerText('#model-labels');
  assert.deepEqual(
    labels.filter((label) => !shown.includes(meanings[label] ?? label)),
    [],
  );
  await context.close();
});

test('what is shared is text with the notice, never the picture', async () => {
  const script = () => {
    navigator.share = async (data) => {
      globalThis.sharedData = data;
    };
  };
  const { context, page } = await open(skin(), { script });
  await choose(page, picture('unsure.jpg'));
  await page.click('#share');
  const shared = await page.evaluate(() => globalThis.sharedData);
  assert.deepEqual(Object.keys(shared), ['text']);
  assert.match(shared.text, /^Not sure\. Model .* not a medical device/);
  await context.close();
});

test('metadata, evidence and pictures unlike the training pictures are answered as by dermpack predict', async () => {
  const { context, page } = await open(tiny());
  for (const expected of EXPECTED.tiny) {
    for (const field of await page.$$('#fields input, #fields select')) {
      const value = expected.with[await field.getAttribute('name')] ?? '';
      await ((await field.evaluate((one) => one.tagName)) === 'SELECT' ? field.selectOption(value) : field.fill(value));
    }
    await choose(page, picture(expected.picture));
    assertSameScores(await shownScores(page), expected);
    const verdict = await page.innerText('#verdict');
    const isUnlike = expected.fault === null && !expected.familiar;
    assert.equal(
      verdict.startsWith('Unlike'),
      isUnlike,
      `${expected.picture}: ${verdict}, ${JSON.stringify(expected)}`,
    );
    assert.equal(/too (dark|blurred)|overexposed/.test(verdict), expected.fault !== null);
    const isRefused = expected.fault !== null || isUnlike;
    // Its threshold is 0, so the label is called for every picture; nothing is shown of a refused one.
    assert.equal(await page.isVisible('#called'), !isRefused, `${expected.picture}: labels not to be missed`);
    assert.equal(await page.locator('#scores .tag').count(), isRefused ? 0 : 1);
  }
  const square = () => page.$eval('#square', (canvas) => canvas.toDataURL());
  const plain = await square();
  await page.check('#evidence-show');
  const first = await square();
  await page.selectOption('#evidence-label', { index: 1 });
  assert.equal(new Set([plain, first, await square()]).size, 3);
  assert.deepEqual(page.errors, []);
  await context.close();
});

test('a value outside of the training data is marked, and "Answer again" takes a corrected one', async () => {
  const { context, page } = await open(tiny());
  await choose(page, picture(EXPECTED.tiny[0].picture));
  await page.fill('input[name=age]', '400');
  await page.click('#again');
  assert.equal(await page.getAttribute('input[name=age]', 'aria-invalid'), 'true');
  assert.notEqual(await page.innerText('#patient-problem'), '');
  await page.fill('input[name=age]', '40');
  await afterPicture(page, () => page.click('#again'));
  assert.equal(await page.getAttribute('input[name=age]', 'aria-invalid'), null);
  await context.close();
});

test('a browser that falsifies canvases is told from one that does not: only PNG files are classified', async () => {
  const script = () => {
    for (const kind of [CanvasRenderingContext2D, OffscreenCanvasRenderingContext2D]) {
      const read = kind.prototype.getImageData;
      kind.prototype.getImageData = function (...place) {
        const image = read.apply(this, place);
        image.data[0] ^= 1;
        return image;
      };
    }
  };
  const { context, page } = await open(skin(), { script });
  assert.match(await page.innerText('#problem'), /Only PNG files/);
  await choose(page, picture('sure.jpg'));
  assert.match(await page.innerText('#problem'), /changes the pixels/);
  await choose(page, picture('sure.png'));
  assert.ok(await page.isVisible('#answer'));
  await context.close();
});

test('a browser without SIMD and a page without https say what is missing', async () => {
  const old = await open(skin(), {
    script: () => {
      WebAssembly.validate = () => false;
    },
  });
  assert.match(await old.page.innerText('#problem'), /WebAssembly with SIMD/);
  assert.ok(await old.page.isDisabled('#file'));
  await old.context.close();
  if (IS_FIREFOX) return; // has no option that maps a name to this machine
  const plain = await open(`http://insecure.test:${server.port}/skin/`);
  assert.match(await plain.page.innerText('#problem'), /https/);
  await plain.context.close();
});

test('a page whose server computes the answers sends it the picture, and shows what it answers', async () => {
  const other = await new Server().start();
  const [expected] = EXPECTED.tiny.filter((one) => Object.keys(one.with).length > 1);
  const sent = [];
  other.replaced.set('/tiny/site.json', Buffer.from('{"answers": "server", "languages": ["en"], "offline": false}'));
  other.replaced.set('/tiny/api/v1/model', readFileSync(picture('../tiny/model/model.json')));
  other.posts.set('/tiny/api/v1/predictions', (body, query) => {
    sent.push({ body, query: Object.fromEntries(query) });
    if (sent.length > 2) return [503, { code: 'server-busy', detail: 'too many requests' }];
    const withoutThreshold = { ...expected, sure: null, familiar: null, fault: null };
    return [200, { pictures: [sent.length === 1 ? expected : withoutThreshold], notice: '' }];
  });
  const { context, page } = await open(`${other.origin}/tiny/`);
  assert.match(await page.innerText('#private'), /sent to the server/);
  for (const [name, value] of Object.entries(expected.with)) {
    const field = page.locator(`#fields [name=${name}]`);
    await (name === 'age' ? field.fill(value) : field.selectOption(value));
  }
  await choose(page, picture(expected.picture));
  assertSameScores(await shownScores(page), expected);
  assert.deepEqual(sent[0], { body: readFileSync(picture(expected.picture)), query: expected.with });
  assert.ok(await page.isVisible('#square'));
  await choose(page, picture(expected.picture));
  assert.match(await page.innerText('#why'), /Most probable label/);
  await choose(page, picture(expected.picture));
  assert.match(await page.innerText('#problem'), /busy/);
  assert.equal(await page.evaluate(async () => (await navigator.serviceWorker.getRegistrations()).length), 0);
  assert.deepEqual(page.errors, []);
  await context.close();
  await other.stop();
});
