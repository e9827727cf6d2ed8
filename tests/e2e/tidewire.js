/**
 * Chromium in front of the real program.
 */
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { ROOT, Tidewire } from '../js/program.js';

export { Tidewire };
export const SCREENSHOTS = join(ROOT, 'tests/e2e/screenshots');

export function browser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/**
 * A window of its own: no cookie, no storage, no cache shared with another.
 *
 * @returns the page, with `complaints`: everything that the console, a script or the CSP objected to.
 */
export async function openWindow(chrome, address, options = {}) {
  const context = await chrome.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) =>
      console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  const page = await context.newPage();
  page.complaints = [];
  page.on('console', (message) => {
    if (message.type() === 'error') page.complaints.push(message.text());
  });
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('dialog', (dialog) => {
    page.complaints.push(`a dialog said ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.goto(address);
  return page;
}
