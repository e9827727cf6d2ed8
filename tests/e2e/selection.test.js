/**
 * Rows of the table that are selected, with keys and with the pointer: together they are deleted, or saved as a file.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { lookAway, noComplaints, row, stage } from './stage.js';
import { SCREENSHOTS } from './tidewire.js';

const { open, server } = stage({
  'task.toml': `entity = "Task"
label = "title"
[fields]
title = { type = "text", required = true }
owner = { type = "ref", entity = "User", default = "user.id" }
[access]
read = "true"
create = "user != null"
update = "true"
delete = "owner == user.id"
`,
  'page.toml': 'entity = "Page"\nlabel = "title"\nlease = "required"\n[fields]\ntitle = { type = "text", required = true }\ntext = { type = "text" }\n',
});

const bar = (page) => page.getByRole('group', { name: 'The selected rows' });
const box = (page, text) => row(page, text).getByRole('checkbox');
const all = (page) => page.getByRole('checkbox', { name: 'Select all rows that are loaded' });
const selected = (page) => page.locator('tbody tr[aria-selected="true"] td:nth-child(2)').allInnerTexts();
const focused = (page) => page.evaluate(() => document.activeElement.closest('tr')?.cells[1].innerText);

/** Tasks in the order of the table: the newest first. */
async function table(titles, { who = () => 'ada', path = '/_/e/tasks?as=ada' } = {}) {
  for (const title of [...titles].reverse()) await server().post('tasks', { title }, who(title));
  const page = await open(path);
  await row(page, titles[0]).waitFor();
  await lookAway(page);
  return page;
}

async function remove(page, question) {
  const dialog = page.getByRole('dialog', { name: question });
  await dialog.waitFor();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await dialog.waitFor({ state: 'detached' });
}

test('keys select a row, a range and all, and Delete asks once for all of them', async () => {
  const page = await table(['One', 'Two', 'Three', 'Four', 'Five']);
  const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
  await page.locator('td[tabindex="0"]').focus();
  await press('ArrowDown', 'Space');
  await bar(page).getByText('1 selected').waitFor();
  assert.deepEqual(await selected(page), ['Two']);
  await press('Shift+ArrowDown', 'Shift+ArrowDown');
  assert.deepEqual(await selected(page), ['Two', 'Three', 'Four']);
  // The range becomes shorter from its end.
  await press('Shift+ArrowUp');
  assert.deepEqual(await selected(page), ['Two', 'Three']);
  assert.equal(await focused(page), 'Three');
  await press('Space');
  assert.deepEqual(await selected(page), ['Two']);
  await press('Escape');
  assert.deepEqual(await selected(page), []);
  await bar(page).waitFor({ state: 'hidden' });
  await press('Control+a');
  assert.equal((await selected(page)).length, 5);
  assert.ok(await all(page).isChecked());
  assert.equal(await page.getByRole('grid').getAttribute('aria-multiselectable'), 'true');
  await press('Control+Home', 'Space', 'Delete');
  const dialog = page.getByRole('dialog', { name: 'Delete 4 tasks?' });
  await dialog.getByText('Deleted for everyone: “Two”, “Three”, “Four” and 1 more.').waitFor();
  await page.screenshot({ path: join(SCREENSHOTS, 'selection-delete.png') });
  await press('Escape');
  await dialog.waitFor({ state: 'detached' });
  assert.equal((await server().list('tasks')).length, 5, 'not without an answer');
  await press('Delete');
  await remove(page, 'Delete 4 tasks?');
  await row(page, 'Two').waitFor({ state: 'detached' });
  await bar(page).waitFor({ state: 'hidden' });
  assert.equal(await focused(page), 'One');
  await page.waitForFunction(() => fetch('/api/tasks').then((answer) => answer.json()).then(({ items }) => items.length === 1));
  noComplaints(page);
});

test('the pointer selects by boxes and with Shift, nothing jumps, and a row that goes is selected no longer', async () => {
  const page = await table(['One', 'Two', 'Three', 'Four']);
  await box(page, 'One').check();
  await bar(page).getByText('1 selected').waitFor();
  await box(page, 'Three').click({ modifiers: ['Shift'] });
  assert.deepEqual(await selected(page), ['One', 'Two', 'Three']);
  assert.equal(await all(page).evaluate(({ indeterminate }) => indeterminate), true);
  // With Shift, any place of a row is the end of the range, and nothing opens.
  await row(page, 'Two').getByRole('gridcell').nth(1).click({ modifiers: ['Shift'] });
  assert.deepEqual(await selected(page), ['One', 'Two']);
  await page.screenshot({ path: join(SCREENSHOTS, 'selection.png') });
  await lookAway(page);
  const before = await row(page, 'One').boundingBox();
  await server().post('tasks', { title: 'New' }, 'ben');
  await page.getByRole('button', { name: '1 new row: show' }).waitFor();
  assert.deepEqual(await row(page, 'One').boundingBox(), before);
  await page.getByRole('button', { name: '1 new row: show' }).click();
  await row(page, 'New').waitFor();
  assert.deepEqual(await selected(page), ['One', 'Two']);
  const { id } = (await server().list('tasks')).find(({ title }) => title === 'Two');
  await server().request('DELETE', `tasks/${id}`, undefined, 'ada');
  await bar(page).getByText('1 selected').waitFor();
  await bar(page).getByRole('button', { name: 'Clear' }).click();
  await bar(page).waitFor({ state: 'hidden' });
  await all(page).check();
  assert.deepEqual(await selected(page), ['New', 'One', 'Three', 'Four']);
  // Of other rows, none is selected.
  await page.getByRole('button', { name: 'Title' }).click();
  await bar(page).waitFor({ state: 'hidden' });
  noComplaints(page);
});

test('what may not be deleted comes back with the reason below it, until it is dismissed', async () => {
  const page = await table(['First', 'His', 'Last'], { who: (title) => (title === 'His' ? 'ben' : 'ada') });
  await all(page).check();
  await bar(page).getByRole('button', { name: 'Delete…' }).click();
  await remove(page, 'Delete 3 tasks?');
  await page.getByText('1 record was not deleted. The reason stands below each.').waitFor();
  const note = page.getByRole('row').filter({ hasText: 'It was not deleted.' });
  await note.waitFor();
  assert.deepEqual((await server().list('tasks')).map(({ title }) => title), ['His']);
  assert.equal(await page.locator('tbody tr[data-state] td:nth-child(2)').innerText(), 'His');
  await page.screenshot({ path: join(SCREENSHOTS, 'selection-refused.png') });
  await note.getByRole('button', { name: 'Dismiss' }).click();
  await note.waitFor({ state: 'detached' });
  await page.locator('#problem').waitFor({ state: 'hidden' });
  assert.equal(await row(page, 'His').count(), 1);
  noComplaints(page, /status of 4\d\d/);
});

test('where a lease is required, what another user holds is kept and named, and can be tried again', async () => {
  const held = await server().post('pages', { title: 'Held' }, 'ada');
  for (const title of ['Free', 'Free too']) await server().post('pages', { title }, 'ada');
  const form = await open(`/_/e/pages/${held.id}?as=ada`);
  await form.getByLabel('Text').fill('half written');
  const ben = await open('/_/e/pages?as=ben');
  const notice = (await open(`/_/e/pages/${held.id}?as=cy`)).getByText('ada is editing this.');
  await notice.waitFor();
  await all(ben).check();
  await bar(ben).getByRole('button', { name: 'Delete…' }).click();
  await remove(ben, 'Delete 3 pages?');
  const note = ben.getByRole('row').filter({ hasText: 'It was not deleted.' });
  await note.waitFor();
  await ben.getByText('1 record was not deleted.').waitFor();
  assert.deepEqual((await server().list('pages')).map(({ title }) => title), ['Held']);
  await form.getByLabel('Text').fill('');
  await notice.waitFor({ state: 'hidden' });
  await note.getByRole('button', { name: 'Retry' }).click();
  await row(ben, 'Held').waitFor({ state: 'detached' });
  await ben.locator('#problem').waitFor({ state: 'hidden' });
  assert.deepEqual(await server().list('pages'), []);
});

test('the selected rows alone are saved as a file, in the order of the table', async () => {
  const page = await table(Array.from({ length: 150 }, (_, at) => `Task ${at}`));
  await page.locator('.scroll').evaluate((frame) => (frame.scrollTop = frame.scrollHeight));
  await row(page, 'Task 149').waitFor();
  await page.locator('.scroll').evaluate((frame) => (frame.scrollTop = 0));
  await row(page, 'Task 0').waitFor();
  await all(page).check();
  await bar(page).getByText('150 selected').waitFor();
  await box(page, 'Task 1').first().click();
  await bar(page).getByText('149 selected').waitFor();
  await bar(page).getByRole('button', { name: 'Export…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Export 149 selected rows' });
  const coming = page.waitForEvent('download');
  await dialog.getByRole('button', { name: 'Export' }).click();
  const text = await readFile(await (await coming).path(), 'utf8');
  const titles = text.trimEnd().split('\r\n').slice(1).map((line) => line.split(',')[1]);
  assert.deepEqual(titles, Array.from({ length: 150 }, (_, at) => `Task ${at}`).filter((title) => title !== 'Task 1'));
  noComplaints(page);
});
