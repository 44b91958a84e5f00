// Screenshots of the page for the documentation: node screens.mjs FOLDER, after make web.
import path from 'node:path';
import { Server, choose, launch, openPage, picture } from './support.mjs';

const SCREENS = [
  { name: 'start', colorScheme: 'light' },
  { name: 'answer', colorScheme: 'light', file: 'sure.jpg' },
  { name: 'unsure', colorScheme: 'dark', file: 'unsure.jpg' },
];
const PHONE = { viewport: { width: 390, height: 800 }, deviceScaleFactor: 1, hasTouch: true, isMobile: true };

const server = await new Server().start();
const browser = await launch();
for (const { name, colorScheme, file } of SCREENS) {
  const context = await browser.newContext({ ...PHONE, colorScheme });
  const page = await openPage(context, `${server.origin}/skin/`);
  if (file) await choose(page, picture(file));
  await page.screenshot({ path: path.join(process.argv[2], `${name}.png`) });
  await context.close();
}
await browser.close();
await server.stop();
