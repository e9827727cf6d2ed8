/**
 * The example `todo` in a real browser: two users see each other's tasks at once, and a change that the rules refuse is taken back.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noComplaints, stage } from './stage.js';
import { openWindow } from './tidewire.js';

const { server, chrome, windows } = stage('examples/todo/schemas', { pages: 'examples/todo/public' });

async function open(as) {
  const page = await openWindow(chrome(), `${server().address}/?as=${as}`);
  windows().push(page);
  return page;
}
const task = (page, title) => page.getByRole('listitem').filter({ hasText: title });
const tick = (page, title) => page.getByRole('checkbox', { name: title });

test('two users see what the other adds and does, and what is refused is taken back', async () => {
  const [ada, ben] = [await open('ada'), await open('ben')];
  await ada.getByLabel('What to do').fill('Buy oat milk');
  await ada.getByRole('button', { name: 'Add' }).click();
  await ben.locator('main').getByText('Buy oat milk').first().waitFor();
  assert.equal(await ada.getByLabel('What to do').inputValue(), '');
  await task(ben, 'Buy oat milk').filter({ hasText: 'ada' }).waitFor();
  await tick(ada, 'Buy oat milk').focus();
  await ada.keyboard.press('Space');
  await ben.getByRole('checkbox', { name: 'Buy oat milk', checked: true }).waitFor();
  await task(ben, 'Buy oat milk').locator('s').waitFor();
  assert.ok(await tick(ada, 'Buy oat milk').evaluate((box) => box === document.activeElement), 'the focus stays');

  await tick(ben, 'Buy oat milk').click();
  await ben.getByRole('alert').filter({ hasText: 'you may read this Task, but not update it' }).waitFor();
  await ben.getByRole('checkbox', { name: 'Buy oat milk', checked: true }).waitFor();
  assert.equal((await server().list('tasks'))[0].status, 'done');
  await ben.getByLabel('What to do').fill('Feed the cat');
  await ben.keyboard.press('Enter');
  await task(ada, 'Feed the cat').waitFor();
  assert.ok(await ben.getByRole('alert').isHidden(), 'what goes right takes the problem away');
  noComplaints(ada);
  noComplaints(ben, /403/);
});
