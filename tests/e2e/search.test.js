/**
 * The search of a table whose entity has an index of words: words in any field and any order, and rows that come and go with them.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lookAway, noComplaints, stage } from './stage.js';

const { open, server } = stage({
  'plant.toml': `entity = "Plant"
label = "name"
[fields]
name = { type = "text", required = true, search = true }
text = { type = "text", search = true }
place = { type = "text" }
`,
});
const shows = (page, ...names) =>
  page.waitForFunction((names) => [...document.querySelectorAll('tbody tr[data-state] td:nth-child(2)')].map((td) => td.innerText).join('|') === names, names.join('|'));

test('a search by words finds them in every field that is searched, follows what changes, and stands in the address', async () => {
  for (const data of [
    { name: 'Red clover', text: 'Good for bees', place: 'meadow' },
    { name: 'White clover', text: 'Grows low', place: 'lawn with bees' },
    { name: 'Oak', text: 'Acorns and shade', place: 'meadow' },
  ])
    await server().post('plants', data, 'ada');
  const page = await open('/_/e/plants?as=ada');
  await shows(page, 'Oak', 'White clover', 'Red clover');
  const search = page.getByRole('searchbox');

  await search.fill('clov');
  await shows(page, 'White clover', 'Red clover');
  await page.getByText('2 rows match').waitFor();
  // Words of two fields, in any order and case. `place` is not searched.
  await search.fill('BEES clover');
  await shows(page, 'Red clover');
  assert.equal(new URL(page.url()).searchParams.get('find'), 'BEES clover');
  await search.fill('unheard of');
  await page.getByText('No plants match.').waitFor();
  await shows(page);

  // The address alone is enough. A row comes and goes with its words.
  await page.goto(`${server().address}/_/e/plants?as=ada&find=bees`);
  await shows(page, 'Red clover');
  await lookAway(page);
  const { id } = await server().post('plants', { name: 'Linden', text: 'Full of bees' }, 'ben');
  await shows(page, 'Linden', 'Red clover');
  await server().request('PATCH', `plants/${id}`, { text: 'Full of birds' }, 'ben');
  await shows(page, 'Red clover');
  await search.fill('');
  await shows(page, 'Linden', 'Oak', 'White clover', 'Red clover');
  // A server that takes no more words says so.
  await search.fill('a b c d e f g h i j k l m n o p q r s t u v');
  await page.locator('#problem:not([hidden])').filter({ hasText: '20' }).waitFor();
  await search.fill('oak');
  await shows(page, 'Oak');
  noComplaints(page, /status of 400/);
});

test('of a search that finds more than can be followed, the first ones are shown, and that there are more', async () => {
  const ops = Array.from({ length: 300 }, (_, n) => ({ op: 'create', entity: 'Plant', data: { name: `Fern ${String(n).padStart(3, '0')}` } }));
  await server().request('POST', 'batch', { ops }, 'ada');
  const page = await open('/_/e/plants?as=ada&find=fern&sort=name');
  await page.getByText(/^more than \d+ rows match$/).waitFor();
  const names = await page.locator('tbody tr[data-state] td:nth-child(2)').allInnerTexts();
  assert.deepEqual(names.slice(0, 3), ['Fern 000', 'Fern 001', 'Fern 002']);
  await page.getByRole('searchbox').fill('fern 299');
  await page.getByText('1 row matches').waitFor();
  noComplaints(page);
});
