/**
 * The records that a table shows as a file: all pages of them, in their order, and harmless for spreadsheets.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { noComplaints, stage } from './stage.js';

const { open, server } = stage({
  'task.toml': `entity = "Task"
label = "title"

[fields]
title = { type = "text", required = true, search = true }
status = { type = "enum", values = ["open", "done"], default = "open" }
priority = { type = "int", default = 3 }
`,
});
const create = (data) => server().request('POST', 'batch', { ops: data.map((one) => ({ op: 'create', entity: 'Task', data: one })) });

async function exported(page, format) {
  await page.getByRole('button', { name: 'Export' }).click();
  const dialog = page.getByRole('dialog', { name: 'Export tasks' });
  await dialog.getByLabel('Format').selectOption(format);
  const coming = page.waitForEvent('download');
  await dialog.getByRole('button', { name: 'Export' }).click();
  const download = await coming;
  await dialog.waitFor({ state: 'detached' });
  return { name: download.suggestedFilename(), text: await readFile(await download.path(), 'utf8') };
}

test('an export has the rows and columns that the table shows, and hostile texts are texts', async () => {
  await create([
    { title: '=HYPERLINK("http://evil.test","x")', priority: 5 },
    { title: 'One, "two"\nthree', priority: 4 },
    { title: 'Not asked for', priority: 1 },
  ]);
  const page = await open('/_/e/tasks?filter=priority.gte.4&sort=-priority&columns=title,priority');
  await page.getByText('2 rows match').waitFor();
  const csv = await exported(page, 'csv');
  assert.equal(csv.name, 'tasks.csv');
  const without = csv.text.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, 'ID');
  assert.equal(without, '\uFEFFid,title,priority\r\nID,"\'=HYPERLINK(""http://evil.test"",""x"")",5\r\nID,"One, ""two""\nthree",4\r\n');
  const json = await exported(page, 'jsonl');
  assert.equal(json.name, 'tasks.jsonl');
  const rows = json.text.trimEnd().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(rows.map(({ title }) => title), ['=HYPERLINK("http://evil.test","x")', 'One, "two"\nthree']);
  assert.equal(rows[0].status, 'open', 'a whole record');

  await page.getByRole('searchbox').fill('three');
  await page.getByText('1 row matches').waitFor();
  assert.match((await exported(page, 'csv')).text, /^\uFEFFid,title,priority\r\n[^,]+,"One, ""two""\nthree",4\r\n$/);
  noComplaints(page);
});

test('an export reads all pages, can be cancelled, and says why it failed', async () => {
  for (let made = 0; made < 2500; made += 500) await create(Array.from({ length: 500 }, (_, at) => ({ title: `Task ${made + at}` })));
  const page = await open('/_/e/tasks');
  await page.getByText('2,500 rows').waitFor();
  const { text } = await exported(page, 'jsonl');
  const titles = text.trimEnd().split('\n').map((line) => JSON.parse(line).title);
  assert.equal(new Set(titles).size, 2500);
  assert.equal(titles.length, 2500);

  // The second page waits, and is not asked for again.
  let asked = 0;
  let answer;
  const second = new Promise((resolve) => (answer = resolve));
  await page.route(/\/api\/tasks\?.*cursor=/, async (route) => {
    asked++;
    await second;
    await route.continue();
  });
  const downloads = [];
  page.on('download', (download) => downloads.push(download));
  await page.getByRole('button', { name: 'Export' }).click();
  const dialog = page.getByRole('dialog', { name: 'Export tasks' });
  await dialog.getByRole('button', { name: 'Export' }).click();
  await dialog.getByText('1,000 rows read').waitFor();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await dialog.waitFor({ state: 'detached' });
  const answered = page.waitForResponse(/cursor=/);
  answer();
  await (await answered).finished();
  await page.unrouteAll({ behavior: 'wait' });
  assert.equal(asked, 1);
  assert.equal(downloads.length, 0);

  await page.route(/\/api\/tasks\?/, (route) =>
    route.fulfill({ status: 403, contentType: 'application/problem+json', body: JSON.stringify({ code: 'FORBIDDEN', detail: 'Not for you.' }) }),
  );
  await page.getByRole('button', { name: 'Export' }).click();
  await dialog.getByRole('button', { name: 'Export' }).click();
  await dialog.getByRole('alert').filter({ hasText: 'Not for you.' }).waitFor();
  assert.ok(await dialog.getByRole('button', { name: 'Export' }).isEnabled());
  noComplaints(page, /403/);
});
