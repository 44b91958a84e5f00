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
const lines = [];
for await (const check of classifier.selfCheck()) {
  const [picture, what] = check.name.split(': ');
  const file = await classifier.files.read(`model/golden/${picture}`);
  const isUntried = what === 'pixels' && !(isPng(file) && isCommonPng(file));
  const outcome = isUntried ? 'untried' : check.isPassed ? 'passed' : 'failed';
  lines.push(`${JSON.stringify({ name: check.name, outcome, detail: check.detail })}\n`);
}
classifier.close();
// The runtime keeps a handle open; an exit before the end of the output would cut it.
process.stdout.write(lines.join(''), () => process.exit(0));
