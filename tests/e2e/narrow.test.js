/**
 * Pages as wide as a phone: the table may scroll inside its frame, the page may not.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noComplaints, row, stage } from './stage.js';
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
