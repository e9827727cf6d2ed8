/**
 * Who is here, in a real browser: two users see each other beside the list, at the record and in the field; who closes the window
 * leaves within the hold time, and a reconnect shows nothing.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { cell, noComplaints, row, stage } from './stage.js';
import { SCREENSHOTS } from './tidewire.js';

/** How long a user whose connection broke stays, and how much later the other one may see it. */
const HOLD = 1500;
const { open, server } = stage('tests/e2e/schemas', { settings: [`realtime.presence_hold=${HOLD}ms`] });
const shot = (page, name) => page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
const here = (page, name) => page.locator('#here').getByRole('img', { name });

/** Two windows on the same list, with a task in it. */
async function two() {
  const project = await server().post('projects', { name: 'Garden' }, 'ada:admin');
  await server().post('tasks', { title: 'Plant a tree', project: project.id, estimate: 4 }, 'ada:admin');
  const [ada, ben] = [await open('/_/e/tasks?as=ada:admin'), await open('/_/e/tasks?as=ben:admin')];
  for (const page of [ada, ben]) await row(page, 'Plant a tree').waitFor();
  return { ada, ben };
}

test('two users see each other at the list, at a record and in a field, until one closes the window', async () => {
  const { ada, ben } = await two();
  await here(ada, 'ben').waitFor();
  await here(ben, 'ada').waitFor();
  assert.equal(await here(ada, 'ada').count(), 0, 'a user does not see their own avatar');
  await cell(ben, 'Plant a tree', 0).click();
  await row(ada, 'Plant a tree').getByRole('img', { name: 'ben is here' }).waitFor();
  await cell(ben, 'Plant a tree', 0).dblclick();
  await row(ada, 'Plant a tree').getByRole('img', { name: 'ben edits Title' }).waitFor();
  assert.equal(await cell(ada, 'Plant a tree', 0).getAttribute('data-who'), 'ben');
  await shot(ada, 'presence-list');
  await ben.keyboard.press('Escape');
  await row(ada, 'Plant a tree').getByRole('img', { name: 'ben is here' }).waitFor();
  assert.equal(await cell(ada, 'Plant a tree', 0).getAttribute('data-who'), null);
  for (const page of [ada, ben]) noComplaints(page);
  const start = Date.now();
  await ben.context().close();
  await here(ada, 'ben').waitFor({ state: 'detached' });
  assert.ok(Date.now() - start >= HOLD, 'not before the hold is over');
  assert.equal(await ada.locator('td .avatar').count(), 0);
});

test('a reconnect shows nothing: no avatar goes or comes', async () => {
  const { ada, ben } = await two();
  await here(ada, 'ben').waitFor();
  await here(ben, 'ada').waitFor();
  for (const page of [ada, ben])
    await page.evaluate(() => {
      window.steps = [];
      const look = () => window.steps.push(document.querySelectorAll('#here .avatar').length);
      new MutationObserver(look).observe(document.querySelector('#here'), { childList: true });
    });
  const again = ben.waitForEvent('websocket');
  await ben.evaluate(() => dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true })));
  await ben.evaluate(() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true })));
  await again;
  await ben.getByRole('status').filter({ hasText: 'Live' }).waitFor();
  await cell(ben, 'Plant a tree', 0).click();
  await row(ada, 'Plant a tree').getByRole('img', { name: 'ben is here' }).waitFor();
  for (const page of [ada, ben]) assert.deepEqual((await page.evaluate(() => window.steps)).filter((count) => count !== 1), [], 'the other one was there all the time');
});
