/**
 * The table of an entity that requires a lease: a cell is saved under one, and not while another user holds it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askToDelete, cell, noComplaints, row, stage } from './stage.js';

const { open, server } = stage({
  'page.toml': `entity = "Page"
label = "title"
lease = "required"
[fields]
title = { type = "text", required = true }
text = { type = "text", max = 200 }
`,
});

async function write(page, title, text) {
  await cell(page, title, 1).dblclick();
  await page.getByRole('gridcell').getByRole('textbox', { name: 'Text' }).fill(text);
  await page.keyboard.press('Enter');
}

test('a cell is saved under a lease that is given back, and not while another user holds it', async () => {
  const { id } = await server().post('pages', { title: 'First', text: 'old' }, 'ada');
  const [ada, ben] = [await open('/_/e/pages?as=ada'), await open('/_/e/pages?as=ben')];
  for (const page of [ada, ben]) await row(page, 'First').waitFor();
  await write(ada, 'First', 'by ada');
  for (const page of [ada, ben]) await row(page, 'by ada').waitFor();
  await write(ben, 'First', 'by ben');
  for (const page of [ada, ben]) await row(page, 'by ben').waitFor();

  const form = await open(`/_/e/pages/${id}?as=ada`);
  await form.getByLabel('Text').fill('half written');
  // The lease is hers when the others are told.
  const other = await open(`/_/e/pages/${id}?as=ben`);
  await other.getByText('ada is editing this. You can save when they have finished.').waitFor();
  await write(ben, 'First', 'in between');
  await ben.getByRole('alert').filter({ hasText: 'First was not saved.' }).waitFor();
  assert.equal((await server().list('pages'))[0].text, 'by ben');
  await form.getByRole('button', { name: 'Save' }).click();
  await form.getByText('Saved.').waitFor();
  await row(ben, 'half written').waitFor();
  await write(ben, 'First', 'after that');
  await row(ada, 'after that').waitFor();
  await ben.locator('#problem').waitFor({ state: 'hidden' });
  for (const page of [ada, ben, form]) noComplaints(page, /status of 4\d\d/);
});

test('a record is deleted under a lease, and not while another user holds it', async () => {
  const first = await server().post('pages', { title: 'Table' }, 'ada');
  const second = await server().post('pages', { title: 'Form' }, 'ada');
  const form = await open(`/_/e/pages/${first.id}?as=ada`);
  await form.getByLabel('Text').fill('half written');
  const ben = await open('/_/e/pages?as=ben');
  const notice = (await open(`/_/e/pages/${first.id}?as=ben`)).getByText('ada is editing this. You can save when they have finished.');
  await notice.waitFor();
  const dialog = await askToDelete(ben, 'Table');
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await dialog.getByRole('alert').waitFor();
  assert.ok((await server().list('pages')).some(({ id }) => id === first.id));
  // Nothing is written any longer, so the lease is given back.
  await form.getByLabel('Text').fill('');
  await notice.waitFor({ state: 'hidden' });
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await row(ben, 'Table').waitFor({ state: 'detached' });

  const own = await open(`/_/e/pages/${second.id}?as=ada`);
  await own.getByLabel('Text').fill('in the middle of it');
  await own.getByRole('button', { name: 'Delete…' }).click();
  await own.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await row(ben, 'Form').waitFor({ state: 'detached' });
});
