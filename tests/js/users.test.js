/**
 * Another user of the same page: what the one before did is neither shown nor sent, and waits for them in the storage.
 */
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDBFactory } from 'fake-indexeddb';
import { Api } from '../../static/api.js';
import { RowCache } from '../../static/cache.js';
import { OptimisticManager } from '../../static/optimistic.js';
import { OfflineQueue } from '../../static/queue.js';
import { signal } from '../../static/signal.js';
import { Locks } from './locks.js';
import { reply, seeded, world } from './world.js';

/** The storage has its own pace. */
async function until(look) {
  for (let turn = 0; turn < 500; turn++) {
    if (await look()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.fail(`never: ${look}`);
}

/** A page with a login, whose server says for whom it did what. */
function page() {
  const random = seeded(3);
  const w = world({ random });
  const server = { up: false, done: [], waiting: null };
  w.respond = async (url, init) => {
    if (!server.up) throw new TypeError('fetch failed');
    if (url.pathname === '/api/schema') return reply(200, { entities: [] });
    if (server.held) await server.held;
    const who = init.headers.Authorization;
    const results = JSON.parse(init.body).ops.map(({ mid, id, data }) => {
      server.done.push([who, data.title, mid]);
      return { status: 200, id, seq: server.done.length, record: { id, version: 1, ...data } };
    });
    return reply(200, { epoch: 'e1', seq: server.done.length, results });
  };
  const user = signal({ id: 'ada' });
  const auth = { user, token: async () => user.peek()?.id };
  const env = { ...w.env, randomBytes: (bytes) => bytes.map((_, at) => (bytes[at] = random() * 256)) && bytes };
  const indexedDB = new IDBFactory();
  const locks = new Locks();
  const queue = () => new OfflineQueue({ user, indexedDB, locks: locks.tab().locks, env });
  return { w, server, user, auth, env, indexedDB, queue, api: new Api('/api', { auth, env }) };
}
const titles = (list) => list.map(({ changes: [{ data }] }) => data.title);
const done = ({ done }) => done.map(([who, title]) => `${who} ${title}`);

test('unsent changes leave with their user, and come back with them', async () => {
  const { w, server, user, auth, env, queue: made, api } = page();
  const queue = made();
  const db = new OptimisticManager(api, null, { env, queue, auth });
  await queue.ready;
  const shown = signal([]);
  const own = db.create('Task', { title: 'of ada' }, shown);
  const refused = assert.rejects(async () => own, { code: 'OTHER_USER' });
  await until(async () => (await queue.unsent()) === 1);
  assert.equal(shown.value.length, 1);

  user.value = { id: 'ben' };
  assert.deepEqual([db.pending.value, db.failed.value, shown.value], [[], [], []], 'in the same moment');
  await refused;
  await queue.ready;
  server.up = true;
  db.create('Task', { title: 'of ben' });
  await w.clock.run(60_000);
  await until(() => server.done.length === 1);
  await w.clock.run(60_000);
  assert.deepEqual(done(server), ['Bearer ben of ben']);

  user.value = null;
  await queue.ready;
  await w.clock.run(60_000);
  assert.deepEqual([db.pending.value, server.done.length], [[], 1]);
  server.up = false;
  user.value = { id: 'ada' };
  await until(() => db.pending.value.length === 1);
  assert.deepEqual(titles(db.pending.value), ['of ada']);
  server.up = true;
  await w.clock.run(60_000);
  await until(() => server.done.length === 2);
  assert.deepEqual([done(server)[1], server.done[1][2]], ['Bearer ada of ada', own.mid]);
  db.close();
});

test('what was changed before the queue was loaded is kept for the user who changed it, as it was, also when another one came by then', async () => {
  const { w, server, user, auth, env, queue: made, api } = page();
  const queue = made();
  const db = new OptimisticManager(api, null, { env, queue, auth });
  const own = db.create('Task', { title: 'of ada' });
  const refused = assert.rejects(async () => own, { code: 'OTHER_USER' });
  user.value = { id: 'ben' };
  await refused;
  server.up = true;
  const other = db.create('Task', { title: 'of ben' });
  for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
  await w.clock.run(60_000);
  await until(() => other.state === 'done');
  assert.deepEqual([done(server), db.pending.value, db.failed.value], [['Bearer ben of ben'], [], []]);
  assert.equal(await queue.unsent(), 0);
  user.value = { id: 'ada' };
  await until(async () => (await w.clock.run(1000), server.done.length === 2));
  assert.deepEqual([server.done[1], db.failed.value], [['Bearer ada', 'of ada', own.mid], []]);
  db.close();
});

test('a request that waits for its turn is never sent with the token of another user', async () => {
  const { w, server, user, auth, env, api } = page();
  const db = new OptimisticManager(api, null, { env, auth });
  const own = db.create('Task', { title: 'of ada' });
  const refused = assert.rejects(async () => own, { code: 'OTHER_USER' });
  // The first attempt has failed, and the next one waits.
  await w.clock.run(1);
  assert.ok(w.requests.some(({ method }) => method === 'POST'));
  server.up = true;
  user.value = { id: 'ben' };
  await refused;
  await w.clock.run(120_000);
  assert.deepEqual(server.done, []);
  db.create('Task', { title: 'of ben' });
  await w.clock.run(1000);
  assert.deepEqual(done(server), ['Bearer ben of ben']);
  db.close();
});

test('a request that the server puts off is never repeated with the token of another user', async () => {
  const { w, user, api } = page();
  const tokens = [];
  w.respond = (_, { headers }) => {
    tokens.push(headers.Authorization);
    return reply(503, {}, { 'Retry-After': '2' });
  };
  const asked = assert.rejects(api.create('tasks', { title: 'of ada' }), { code: 'OTHER_USER' });
  await w.clock.run(1000);
  user.value = { id: 'ben' };
  await w.clock.run(120_000);
  await asked;
  assert.deepEqual(tokens, ['Bearer ada']);
});

test('an answer that comes for the user before shows nothing to the next one', async () => {
  const { w, server, user, auth, env, api } = page();
  const db = new OptimisticManager(api, null, { env, auth });
  let answer;
  server.held = new Promise((resolve) => (answer = resolve));
  server.up = true;
  const shown = signal([]);
  const own = db.create('Task', { title: 'of ada' }, shown);
  own.then(null, () => {});
  await w.clock.run(1);
  user.value = { id: 'ben' };
  answer();
  await w.clock.run(1000);
  assert.deepEqual(done(server), ['Bearer ada of ada'], 'it was sent for ada');
  assert.deepEqual([shown.value, db.pending.value, db.failed.value], [[], [], []]);
  db.close();
});

test('rows that are kept belong to the user who saw them, and go when another one comes', async () => {
  const { user, indexedDB } = page();
  const cache = new RowCache({ user, indexedDB });
  const of = (id) => new RowCache({ user: id, indexedDB });
  const kept = (title) => ({ epoch: 'e1', seq: 1, rows: [{ row: { id: '1', title }, seq: 1 }] });
  await cache.save('entity:Task', kept('of ada'));
  assert.ok(await of('ada').load('entity:Task'));
  const late = cache.load('entity:Task');
  const saving = cache.save('entity:Note', kept('late, of ada'));
  user.value = { id: 'ben' };
  assert.equal(await late, null, 'what was asked for ada is not shown to ben');
  await saving;
  assert.equal(await cache.load('entity:Note'), null);
  await cache.save('entity:Task', kept('of ben'));
  await until(async () => (await of('ada').load('entity:Task')) === null);
  assert.equal(await of('ada').load('entity:Note'), null);
  assert.equal((await cache.load('entity:Task')).rows[0].row.title, 'of ben');
  assert.throws(() => new RowCache({ indexedDB }), /belongs to a user/);
  assert.throws(() => new OfflineQueue({ user: {}, indexedDB }), /belongs to a user/);
});
