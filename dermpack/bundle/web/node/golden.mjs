// @ts-check
/**
 * Run the self-check of an unpacked bundle: node golden.mjs FOLDER
 *
 * Prints one JSON object for each check. Pictures that only a browser can decode are "untried".
 */
import './browser.mjs';
import { pathToFileURL } from 'node:url';

const base = pathToFileURL(`${process.argv[2]}/`);
const { open } = await import(new URL('js/classifier.js', base).href);
const { isPng } = await import(new URL('js/formats.js', base).href);
const { isCommonPng } = await import(new URL('js/png.js', base).href);

const classifier = await open(base);
for await (const check of classifier.selfCheck()) {
  const [picture, what] = check.name.split(': ');
  const file = await classifier.files.read(`model/golden/${picture}`);
  const isUntried = what === 'pixels' && !(isPng(file) && isCommonPng(file));
  const outcome = isUntried ? 'untried' : check.isPassed ? 'passed' : 'failed';
  console.log(JSON.stringify({ name: check.name, outcome, detail: check.detail }));
}
classifier.close();
process.exit(0); // the runtime keeps a handle open
