/**
 * Back and Forward over what the table shows: each filter, order and search is one step, and the typed letters of a search are none.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noComplaints, row, stage } from './stage.js';

const { open, server } = stage('tests/fixtures/plain');
const shows = (page, ...texts) =>
  page.waitForFunction((texts) => [...document.querySelectorAll('tbody tr[data-state] td:nth-child(2)')].map((td) => td.innerText).join('|') === texts, texts.join('|'));
const chips = (page) => page.locator('.chip > button:first-child').allInnerTexts();
const steps = (page) => page.evaluate(() => history.length);

async function opened() {
  for (const [title, priority] of [['Mend the fence', 4], ['Plant a tree', 2], ['Clean the gutters', 5]]) await server().post('tasks', { title, priority }, 'ada');
  const page = await open('/_/e/tasks?as=ada');
  await shows(page, 'Clean the gutters', 'Plant a tree', 'Mend the fence');
  return page;
}

async function filter(page, field, condition, value) {
  await page.getByRole('button', { name: 'Filter', exact: true }).click();
  await page.getByLabel('Field').selectOption(field);
  await page.getByLabel('Condition').selectOption(condition);
  await page.getByRole('textbox', { name: 'Value' }).fill(value);
  await page.keyboard.press('Enter');
}

test('Back undoes a filter and an order, Forward brings them back, and what others do is shown all the same', async () => {
  const page = await opened();
  await filter(page, 'priority', 'gte', '4');
  await shows(page, 'Clean the gutters', 'Mend the fence');
  await page.getByRole('button', { name: 'Title' }).click();
  await shows(page, 'Clean the gutters', 'Mend the fence');
  await page.getByRole('button', { name: 'Priority', exact: true }).click();
  await shows(page, 'Mend the fence', 'Clean the gutters');

  await page.goBack();
  await shows(page, 'Clean the gutters', 'Mend the fence');
  assert.equal(await page.getByRole('columnheader', { name: 'Title' }).getAttribute('aria-sort'), 'ascending');
  await page.goBack();
  await page.goBack();
  await shows(page, 'Clean the gutters', 'Plant a tree', 'Mend the fence');
  assert.deepEqual(await chips(page), []);
  assert.equal(new URL(page.url()).search, '?as=ada');
  // It is live again, and not as it was.
  await server().post('tasks', { title: 'Book the ferry', priority: 5 }, 'ben');
  await page.mouse.move(1, 1);
  await row(page, 'Book the ferry').waitFor();

  await page.goForward();
  await shows(page, 'Book the ferry', 'Clean the gutters', 'Mend the fence');
  assert.deepEqual(await chips(page), ['Priority is at least 4']);
  await page.goForward();
  await page.goForward();
  await shows(page, 'Mend the fence', 'Clean the gutters', 'Book the ferry');
  // A new step ends what was before Forward, and starts at what is shown.
  await page.goBack();
  await page.goBack();
  await page.getByRole('button', { name: 'Remove the filter Priority is at least 4' }).click();
  await shows(page, 'Book the ferry', 'Clean the gutters', 'Plant a tree', 'Mend the fence');
  await page.goBack();
  await shows(page, 'Book the ferry', 'Clean the gutters', 'Mend the fence');
  noComplaints(page);
});

test('a search is one step, however many letters were typed, and a column none', async () => {
  const page = await opened();
  const before = await steps(page);
  const search = page.getByRole('searchbox');
  await search.focus();
  for (const [letter, found] of [['t', 'Clean the gutters|Plant a tree|Mend the fence'], ['r', 'Plant a tree'], ['e', 'Plant a tree']]) {
    await page.keyboard.type(letter);
    await page.waitForFunction((find) => new URLSearchParams(location.search).get('find') === find, await search.inputValue());
    await shows(page, ...found.split('|'));
  }
  await page.keyboard.press('Enter');
  assert.equal(await steps(page), before + 1);
  await search.fill('fence');
  await shows(page, 'Mend the fence');
  assert.equal(await steps(page), before + 2);
  await page.getByRole('button', { name: 'Columns' }).click();
  await page.getByRole('checkbox', { name: 'Tags' }).uncheck();
  await page.keyboard.press('Escape');
  assert.equal(await steps(page), before + 2);

  await page.goBack();
  await shows(page, 'Plant a tree');
  assert.equal(await search.inputValue(), 'tre');
  await page.goBack();
  await shows(page, 'Clean the gutters', 'Plant a tree', 'Mend the fence');
  assert.equal(await search.inputValue(), '');
  await page.goForward();
  await shows(page, 'Plant a tree');
  // Another page, and back to what was shown.
  await page.getByRole('link', { name: 'Open Plant a tree' }).click();
  await page.getByRole('heading', { name: 'Plant a tree' }).waitFor();
  await page.goBack();
  await shows(page, 'Plant a tree');
  noComplaints(page);
});
