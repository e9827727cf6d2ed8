/**
 * The inspector in a real browser: an administrator sees who is connected and asks why; every other user reads the server's refusal.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noComplaints, stage } from './stage.js';
import { openWindow } from './tidewire.js';

const SCHEMAS = {
  'note.toml': `entity = "Note"
[fields]
text = { type = "text" }
owner = { type = "ref", entity = "User", on_delete = "set_null" }
[access]
read = "true"
create = "owner == user.id"
update = "owner == user.id"
`,
};
const { server, chrome, windows } = stage(SCHEMAS);

/** @param {string} path */
async function open(path) {
  const page = await openWindow(chrome(), server().address + path);
  windows().push(page);
  return page;
}

const call = async (path, method, body) => {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(server().address + path, { method, headers, body: JSON.stringify(body) });
  return response.json();
};

test('an administrator sees connections, channels and events, and asks why a change was refused', async () => {
  const text = '<img src=x onerror="document.title=1">';
  const note = await call('/api/notes?as=ada', 'POST', { text, owner: 'ada' });
  const ada = await open('/_/e/notes?as=ada');
  await ada.getByRole('status').filter({ hasText: 'Live' }).waitFor();
  const page = await open('/_/inspect?as=root:admin');
  const table = (name) => page.getByRole('table', { name });
  const connection = table('Connections').getByRole('row').filter({ hasText: 'ada' });
  await connection.waitFor();
  assert.equal(await table('Connections').getByRole('row').count(), 2, 'the inspector has no connection of its own');
  await connection.getByRole('button', { name: 'Subscriptions' }).click();
  await page.getByText('Subscriptions of ada').waitFor();
  await page.locator('#subscriptions li').filter({ hasText: 'entity:Note live, events after' }).first().waitFor();
  await table('Channels').getByRole('row').filter({ hasText: 'entity:Note' }).first().waitFor();
  await table('Events').getByRole('row').filter({ hasText: JSON.stringify(text) }).waitFor();

  const refused = await call(`/api/notes/${note.id}?as=ben`, 'PATCH', { text: 'mine' });
  const id = page.getByLabel('Id of a refusal');
  await id.fill(refused.requestId);
  await page.getByRole('button', { name: 'Ask' }).click();
  await page.locator('#answer').getByText(`“ben” may not update Note “${note.id}”, because “owner == user.id” is false`).waitFor();
  await page.locator('#answer li').filter({ hasText: 'owner = "ada", user.id = "ben"' }).waitFor();
  const row = table('Refusals').getByRole('row').filter({ hasText: 'FORBIDDEN' });
  await row.getByRole('button', { name: 'Why?' }).click();
  assert.equal(await id.inputValue(), refused.requestId);

  await page.getByLabel('As user').fill('ada');
  const explain = page.locator('#explain');
  await explain.getByLabel('Operation').selectOption('update');
  await explain.getByLabel('Entity').fill('Note');
  await explain.getByLabel('Record').fill(note.id);
  await page.getByRole('button', { name: 'Explain' }).click();
  await page.getByText('by the rights of now, “ada” may update Note').waitFor();

  await call(`/api/notes/${note.id}?as=ada`, 'PATCH', { text: 'second' });
  const event = table('Events').getByRole('row').filter({ hasText: '→ "second"' });
  await event.waitFor();
  const [of, seq] = await Promise.all([connection.locator('code').textContent(), event.getByRole('cell').first().textContent()]);
  await id.fill(`${of}:${seq}`);
  await page.getByRole('button', { name: 'Ask' }).click();
  await page.locator('#answer').getByText('the connection was sent “entity:updated”').waitFor();
  await connection.getByRole('button', { name: 'End' }).click();
  await connection.getByRole('button', { name: 'End it?' }).click();
  await connection.waitFor({ state: 'detached' });
  assert.equal(await page.title(), 'Inspector · Tidewire');
  noComplaints(page);
});

test('more changes at once than are shown are counted, and the log has a size', async () => {
  const page = await open('/_/inspect?as=root:admin');
  await page.getByRole('table', { name: 'Events' }).waitFor({ state: 'attached' });
  await page.getByText('About bytes').waitFor();
  const op = (text) => ({ op: 'create', entity: 'Note', data: { text, owner: 'ada' } });
  const ops = Array.from({ length: 450 }, (_, at) => op(`flood ${at}`));
  const written = await call('/api/batch?as=ada', 'POST', { ops });
  assert.ok(written.results, JSON.stringify(written));
  await page.getByText('passed over, because they came faster than this page shows them').waitFor();
  const rows = page.getByRole('table', { name: 'Events' }).getByRole('row');
  assert.equal(await rows.count(), 201, 'with the head of the table');
  await rows.nth(1).filter({ hasText: 'flood 449' }).waitFor();
  noComplaints(page);
});

test('a user without the role reads that only administrators may look', async () => {
  const page = await open('/_/inspect?as=ada');
  await page.getByRole('alert').filter({ hasText: 'Only the role “admin” may look at the server itself' }).waitFor();
  assert.equal(await page.getByRole('row').count(), 0);
  noComplaints(page, /403/);
});
