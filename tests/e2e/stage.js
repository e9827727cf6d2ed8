/**
 * What every story in the browser has: a server of its own, windows that are closed after it, and eyes that measure.
 */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { after, afterEach, before, beforeEach } from 'node:test';
import { browser, openWindow, SCREENSHOTS, Tidewire } from './tidewire.js';

/**
 * The promise: this long from the click in one window to the change in the other. Held by the fastest of a file, since other
 * programs of the machine make one slower, and none faster.
 */
const SEEN_WITHIN = 500;
/** @type {number[]} */
const taken = [];

/**
 * Before each story of the file a server starts, on the schema files of a folder of the repository, or on files by name.
 *
 * @param {string | Record<string, string>} schemas
 * @param {object} [options] Of the program.
 */
export function stage(schemas, options) {
  let chrome;
  let server;
  let windows = [];
  before(async () => {
    mkdirSync(SCREENSHOTS, { recursive: true });
    chrome = await browser();
  });
  after(async () => {
    await chrome?.close();
    assert.ok(taken.length === 0 || Math.min(...taken) <= SEEN_WITHIN, `changes were seen after ${taken.map(Math.round).join(', ')} ms`);
  });
  beforeEach(async () => {
    server = await new Tidewire(schemas, options).start();
  });
  afterEach(async () => {
    for (const page of windows) await page.context().close();
    windows = [];
    await server?.remove();
  });

  async function open(path, options) {
    const page = await openWindow(chrome, server.address + path, options);
    windows.push(page);
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
    return page;
  }
  return { open, chrome: () => chrome, server: () => server, windows: () => windows };
}

export const row = (page, text) => page.getByRole('row').filter({ hasText: text });
/** The first cell of a row has its box. */
export const cell = (page, text, column) => row(page, text).getByRole('gridcell').nth(column + 1);
export const noComplaints = (page, ...expected) => {
  const unexpected = page.complaints.filter((text) => !expected.some((pattern) => pattern.test(text)));
  assert.deepEqual(unexpected, []);
};

/**
 * When a text appears in, or (`gone`) leaves, a page: noticed inside the page, on the clock that both windows and this
 * test share. The result is an object, so that the wait is running before the click.
 */
export async function sees(page, text, { gone = false } = {}) {
  const handle = await page.evaluateHandle(
    ({ text, gone }) => {
      const done = () => document.querySelector('main').innerText.includes(text) !== gone;
      const moment = new Promise((resolve) => {
        const look = () => done() && (resolve(performance.timeOrigin + performance.now()), true);
        if (look()) return;
        const observer = new MutationObserver(() => look() && observer.disconnect());
        observer.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
      });
      return { moment };
    },
    { text, gone },
  );
  return { at: () => handle.evaluate(({ moment }) => moment) };
}

/** Acts in one window and measures until the other one shows it. How long that may take, the end of the file says. */
export async function measured(page, text, act, options) {
  const sight = await sees(page, text, options);
  const start = Date.now();
  await act();
  taken.push((await sight.at()) - start);
}

/** The form that adds a record, at the side of the table. */
export async function form(page) {
  const drawer = page.locator('#drawer');
  if (!(await drawer.isVisible())) await page.locator('#new').click();
  return drawer;
}

/** Fills in the form that adds a record. The button is what is left to press. */
export async function filled(page, fields) {
  const drawer = await form(page);
  for (const [name, value] of Object.entries(fields)) await drawer.getByLabel(name).fill(value);
  return drawer.getByRole('button', { name: /^Add / });
}

/** Adds a record, as a person does. Where the server takes it, the form closes. */
export async function add(page, fields) {
  await (await filled(page, fields)).click();
}

/** The same, up to the answer: a row can be seen before the form closes, and what is typed in between is in the old form. */
export async function added(page, fields) {
  await add(page, fields);
  await page.locator('#drawer').waitFor({ state: 'hidden' });
}

/** Deletes a record by the menu of its row. The dialog asks. */
export async function askToDelete(page, text) {
  await row(page, text).getByRole('button', { name: /^More about/ }).click();
  await page.getByRole('menuitem', { name: 'Delete…' }).click();
  return page.getByRole('dialog', { name: `Delete “${text}”?` });
}

/** Takes the pointer off the table: rows that wait for that are shown. */
export const lookAway = (page) => page.mouse.move(1, 1);
