/**
 * The pages of an entity whose fields are called as the parameters of requests are: they list, add, edit, delete, filter and sort
 * as those of any other.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askToDelete, cell, filled, form, lookAway, measured, noComplaints, row, stage } from './stage.js';

const WORDS = ['token', 'group', 'ticket', 'sort', 'fields', 'as', 'cursor', 'search', 'expand', 'view'];
const PASS = `entity = "Pass"
plural = "passes"
label = "token"
[fields]
${WORDS.map((word) => `${word} = { type = "text", max = 100${word === 'token' ? ', required = true' : ''} }`).join('\n')}
limit = { type = "int" }
since = { type = "bool", required = true, default = false }
wait = { type = "enum", values = ["short", "long"] }
channel = { type = "date" }
`;

const { open, server } = stage({ 'pass.toml': PASS });

test('a page of fields named like parameters lists, adds, edits and deletes, live in two windows', async () => {
  await server().post('passes', { token: 'There before' });
  const [one, two] = [await open('/_/e/passes'), await open('/_/e/passes?as=ada')];
  await one.getByRole('columnheader', { name: 'token' }).waitFor();
  const [, ...heads] = (await one.getByRole('columnheader').allInnerTexts()).map((text) => text.toLowerCase());
  for (const word of [...WORDS, 'limit', 'since', 'wait', 'channel']) assert.ok(heads.includes(word), `${word} in ${heads}`);

  const typed = Object.fromEntries(WORDS.slice(1).map((word) => [word, `my ${word}`]));
  await form(one);
  const label = (word) => one.locator('#add').getByLabel(new RegExp(`^${word}$`, 'i'));
  for (const [word, text] of Object.entries(typed)) await label(word).fill(text);
  await label('limit').fill('5');
  const pass = await filled(one, { 'token *': 'Boarding pass' });
  await measured(two, 'Boarding pass', () => pass.click());
  const made = (await server().list('passes')).find(({ token }) => token === 'Boarding pass');
  for (const [word, text] of Object.entries({ ...typed, limit: 5, since: false })) assert.equal(made[word], text, word);
  for (const text of Object.values(typed)) assert.ok((await row(two, 'Boarding pass').innerText()).includes(text), text);

  // A cell of each kind.
  await cell(two, 'Boarding pass', heads.indexOf('ticket')).dblclick();
  await two.getByRole('gridcell').getByRole('textbox', { name: 'ticket' }).fill('window seat');
  await measured(one, 'window seat', () => two.keyboard.press('Enter'));
  await cell(one, 'Boarding pass', heads.indexOf('limit')).dblclick();
  await one.getByRole('gridcell').getByRole('textbox', { name: 'limit' }).fill('4711');
  await measured(two, '4711', () => one.keyboard.press('Enter'));
  await cell(one, 'Boarding pass', heads.indexOf('wait')).dblclick();
  await one.getByRole('gridcell').getByRole('combobox', { name: 'wait' }).selectOption('long');
  await measured(two, 'long', () => one.keyboard.press('Enter'));

  await lookAway(one);
  await measured(one, 'Season ticket', () => server().post('passes', { token: 'Season ticket', as: 'ada', limit: 1 }));
  const dialog = await askToDelete(one, 'Season ticket');
  await measured(two, 'Season ticket', () => dialog.getByRole('button', { name: 'Delete' }).click(), { gone: true });
  for (const page of [one, two]) noComplaints(page);
});

test('a live list is filtered by fields named like parameters', async () => {
  const page = await open('/_/e/passes');
  for (const [token, as, limit] of [
    ['one', 'ada', 1],
    ['two', 'ben', 2],
    ['three', 'ada', 3],
  ])
    await server().post('passes', { token, as, limit });
  const handle = await page.evaluateHandle(async () => {
    const { connect } = await import('/static/client.js');
    const list = connect().channels.list('Pass', { where: { as: 'ada', limit: { gte: 1 } } });
    const until = (count) =>
      new Promise((resolve) => {
        list.subscribe((rows) => {
          const tokens = rows.map((row) => row.token).sort();
          if (tokens.length === count) resolve(tokens);
        });
      });
    return { until };
  });
  const until = (count) => handle.evaluate(({ until }, count) => until(count), count);
  assert.deepEqual(await until(2), ['one', 'three']);
  await server().post('passes', { token: 'four', as: 'ben', limit: 9 });
  await server().post('passes', { token: 'five', as: 'ada', limit: 5 });
  assert.deepEqual(await until(3), ['five', 'one', 'three']);
  noComplaints(page);
});
