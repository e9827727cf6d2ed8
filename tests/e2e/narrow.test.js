/**
 * Pages as wide as a phone: the table may scroll inside its frame, the page may not.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cell, noComplaints, row, stage } from './stage.js';
import { openWindow } from './tidewire.js';

const { open, chrome, server, windows } = stage('tests/fixtures/plain');
/** A user's name is one word. */
const LONG = 'bartholomew_maximilian_the_longest_name_of_all_users_here';
const PHONE = { viewport: { width: 390, height: 844 } };

/** How far the page can be scrolled sideways, and what stands out. */
const overhang = (page) =>
  page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.scrollingElement;
    window.scrollTo(10_000, 0);
    const wide = [...document.querySelectorAll('body *')].filter(
      (node) => node.getBoundingClientRect().right + window.scrollX > clientWidth && !node.closest('.scroll'),
    );
    return { by: scrollWidth - clientWidth, scrolled: window.scrollX, wide: wide.map((node) => node.outerHTML.slice(0, 80)) };
  });

test('no page scrolls sideways on a phone', async () => {
  const { id } = await server().post('tasks', { title: 'A title of some length, to fill the first column' }, LONG);
  await server().post('comments', { body: 'x'.repeat(300), task: id });
  for (const path of ['/_/e/tasks', '/_/e/comments', '/_/e/projects', '/_/e/users']) {
    const page = await open(path, PHONE);
    if (path.endsWith('tasks')) await row(page, 'A title of some length').waitFor();
    assert.deepEqual(await overhang(page), { by: 0, scrolled: 0, wide: [] }, path);
    noComplaints(page);
  }
  const home = await openWindow(chrome(), `${server().address}/_/`, PHONE);
  windows().push(home);
  await home.locator('#activity').getByText(LONG).first().waitFor();
  assert.deepEqual(await overhang(home), { by: 0, scrolled: 0, wide: [] });
});

test('on a phone, why a change was refused is read in full, and its buttons are in reach', async () => {
  await server().post('tasks', { title: 'Paint the shed' }, 'ada');
  await server().post('tasks', { title: 'The one below' }, 'ada');
  const page = await open('/_/e/tasks?as=ada&sort=title', PHONE);
  await cell(page, 'Paint the shed', 2).dblclick();
  await page.getByRole('gridcell').getByRole('textbox', { name: 'Priority' }).fill('99');
  await page.keyboard.press('Enter');
  const reason = page.getByRole('alert').filter({ hasText: 'Priority was not saved.' });
  await reason.waitFor();
  // The frame is scrolled to the cell.
  assert.ok((await page.locator('.scroll').evaluate((frame) => frame.scrollLeft)) > 0);
  const seen = ['Edit', 'Retry', 'Discard'].map((name) => page.getByRole('button', { name, exact: true }));
  for (const part of [reason, ...seen]) {
    const { x, width } = await part.boundingBox();
    assert.ok(x >= 16 && x + width <= 374, `${x} and ${width} pixels wide`);
  }
  assert.deepEqual(await reason.evaluate(({ scrollWidth, clientWidth, scrollHeight, clientHeight }) => [scrollWidth - clientWidth, scrollHeight - clientHeight]), [0, 0]);
  const [note, below] = [await page.locator('.note').boundingBox(), await row(page, 'The one below').boundingBox()];
  assert.equal(note.y + note.height, below.y, 'the layout knows how high it is');
  noComplaints(page, /status of 4\d\d/);
});
