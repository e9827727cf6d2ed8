/**
 * A field that refers to one of thousands of records: it is found by a part of its name, in the form, in a cell, in the page of a record
 * and in a filter.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { cell, form, noComplaints, row, stage } from './stage.js';
import { SCREENSHOTS } from './tidewire.js';

const { open, server } = stage('tests/fixtures/plain');

/** Types a part of a name until the record is offered, and takes it. */
async function take(page, input, part, name) {
  await input.fill(part);
  await page.locator('datalist option').first().waitFor({ state: 'attached' });
  await input.fill(name);
  await page.locator(`datalist option[value="${name}"]`).waitFor({ state: 'attached' });
}

test('one of three thousand records is found by its name wherever a reference is written, and shown by it', async () => {
  for (let made = 0; made < 3000; made += 500)
    await server().request('POST', 'batch', { ops: Array.from({ length: 500 }, (_, at) => ({ op: 'create', entity: 'Project', data: { name: `Project ${made + at}` } })) });
  for (const name of ['Twins', 'Twins']) await server().post('projects', { name });
  const page = await open('/_/e/tasks?as=ada');
  const drawer = await form(page);
  await drawer.getByLabel('Title *').fill('Old one');
  await take(page, drawer.getByLabel('Project'), 'ject 12', 'Project 12');
  assert.ok((await page.locator('datalist option').count()) <= 20);
  await page.screenshot({ path: join(SCREENSHOTS, 'many-refs.png') });
  await drawer.getByRole('button', { name: 'Add Task' }).click();
  await row(page, 'Old one').filter({ hasText: 'Project 12' }).waitFor();

  const heads = await page.getByRole('columnheader').allInnerTexts();
  await cell(page, 'Old one', heads.indexOf('Project') - 1).dblclick();
  const input = page.getByRole('gridcell').getByRole('combobox', { name: 'Project' });
  assert.equal(await input.inputValue(), 'Project 12', 'by its name, and not by its id');
  await take(page, input, '2345', 'Project 2345');
  await page.keyboard.press('Enter');
  await row(page, 'Old one').filter({ hasText: 'Project 2345' }).waitFor();

  await row(page, 'Old one').getByRole('link', { name: 'Open Old one' }).click();
  const field = page.getByLabel('Project', { exact: true });
  await field.and(page.locator('[value="Project 2345"]')).waitFor();
  assert.ok(await page.getByRole('button', { name: 'Save' }).isDisabled(), 'nothing is changed');
  // Two of one name are two choices.
  await field.fill('Twins');
  await page.locator('datalist option').nth(1).waitFor({ state: 'attached' });
  const [first, second] = await page.locator('datalist option').evaluateAll((options) => options.map(({ value }) => value));
  assert.deepEqual([first, second.replace(/…\w+$/, '…')], ['Twins', 'Twins …']);
  await field.fill(second);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Saved.').waitFor();
  const [{ project }] = await server().list('tasks');
  assert.ok(second.endsWith(project.slice(-8)));

  await page.goBack();
  await row(page, 'Old one').waitFor();
  await page.getByRole('button', { name: 'Filter', exact: true }).click();
  await page.getByLabel('Field').selectOption('project');
  await take(page, page.getByLabel('Value'), '77', 'Project 77');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Remove the filter Project is Project 77' }).waitFor();
  await page.getByText('No tasks match.').waitFor();
  noComplaints(page);
});
