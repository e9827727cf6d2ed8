/**
 * Writes over the socket in front of the real program.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect } from '../../static/client.js';
import { Tidewire } from './program.js';

const LIMIT = { timeout: 30_000 };
let server;
before(async () => void (server = await new Tidewire('tests/fixtures/plain').start()));
after(() => server?.remove());

const until = async (look) => {
  while (!look()) await new Promise((resolve) => setTimeout(resolve, 5));
};

/** A page of a user, that counts its requests. */
async function page(t, as) {
  const requests = [];
  const env = { fetch: (url, init) => (requests.push(`${init?.method ?? 'GET'} ${new URL(url).pathname}`), fetch(url, init)) };
  const app = connect({ url: server.address, as, env });
  t.after(app.close);
  await until(() => app.rt.status.value === 'connected');
  return { ...app, requests };
}

test('changes go over the socket, refusals come back over it, and a batch is one', LIMIT, async (t) => {
  const { api, db, channels, requests } = await page(t, 'ada');
  const tasks = channels.list('Task');
  await until(() => tasks.state.value === 'live');
  const { id } = await db.create('Task', { title: 'over the socket' });
  await db.update('Task', id, { title: 'changed' });
  await assert.rejects(async () => db.update('Task', id, { title: 7 }), { code: 'VALIDATION_FAILED' });
  assert.equal(db.failed.value[0].error.errors[0].field, 'title');
  const [made] = await db.batch(() => {
    db.create('Task', { title: 'one of two' });
    db.delete('Task', id);
  });
  const [late, early] = [db.update('Task', made.id, (row) => ({ title: `${row.title}!` })), db.update('Task', made.id, (row) => ({ title: `${row.title}?` }))];
  await Promise.all([late, early]);
  assert.equal((await api.get('tasks', made.id)).title, 'one of two!?');
  assert.equal(await db.delete('Task', id), null, 'it is gone already');
  assert.deepEqual(requests.filter((one) => one.startsWith('POST')), []);
});
