/**
 * Makes the pictures of the examples in README and docs: each app of the real program in a real Chromium, light and dark, with two
 * or three users. `make screenshots` runs it.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../js/program.js';
import { scenes } from './scenes.js';
import { browser } from './tidewire.js';

/** A page of docs shows several. */
const LARGEST = 120_000;

const chrome = await browser();
try {
  for (const [name, scene] of Object.entries(scenes)) {
    if (name === 'todo') continue;
    const { view, close } = await scene(chrome);
    for (const colorScheme of ['light', 'dark']) {
      const page = await view({ colorScheme, viewport: { width: 1100, height: 800 }, locale: 'en-GB' });
      const png = await page.screenshot();
      await page.context().close();
      const file = join(ROOT, `pictures/${name}-${colorScheme}.png`);
      if (png.length > LARGEST) throw new Error(`${file}: ${png.length} bytes are more than ${LARGEST}`);
      writeFileSync(file, png);
      console.log(`${file}: ${png.length} bytes`);
    }
    await close();
  }
} finally {
  await chrome.close();
}
