/**
 * What was not sent outlives its page: over reloads, crashes and closed tabs, for its own user alone, in order, once.
 */
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IDBFactory } from 'fake-indexeddb';
import { Api } from '../../static/api.js';
import { RowCache } from '../../static/cache.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { OptimisticManager } from '../../static/optimistic.js';
import { OfflineQueue } from '../../static/queue.js';
import { RealtimeClient } from '../../static/realtime.js';
import { signal } from '../../static/signal.js';
import { Locks } from './locks.js';
import { reply, seeded, settle, world } from './world.js';

/** The storage has its own pace. */
async function until(look) {
  for (let turn = 0; turn < 500; turn++) {
    if (await look()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.fail(`never: ${look}`);
}
/** Long enough for whatever would happen. */
async function rest() {
  for (let turn = 0; turn < 60; turn++) await new Promise((resolve) => setImmediate(resolve));
}

function browser({ withLocks = true } = {}) {
  const indexedDB = new IDBFactory();
  const locks = new Locks();
  const random = seeded(7);
  const w = world({ random });
  const server = { up: false, sent: [], rows: new Map(), refuse: new Set() };
  w.respond = (url, init) => {
    if (!server.up) throw new TypeError('fetch failed');
    if (url.pathname === '/api/schema') return reply(200, { entities: [] });
    const results = JSON.parse(init.body).ops.map(({ mid, op, id, data }) => {
      server.sent.push({ mid, op, id, title: data?.title, as: url.searchParams.get('as') });
      if (server.refuse.has(data?.title)) return { status: 422, error: { code: 'VALIDATION_FAILED' } };
      return { status: 200, id, seq: server.sent.length, record: { id, version: 1, ...data } };
    });
    if (server.deaf) throw new TypeError('fetch failed');
    return reply(200, { epoch: 'e1', seq: server.sent.length, results });
  };
  const open = async (user = 'ada', rt = null) => {
    const tab = withLocks ? locks.tab() : { locks: null, close: () => {} };
    const env = { ...w.env, randomBytes: (bytes) => bytes.map((_, at) => (bytes[at] = random() * 256)) && bytes };
    // A page that is gone sets no timers.
    let gone = false;
    env.setTimeout = (call, ms) => w.env.setTimeout(() => gone || call(), ms);
    const queue = new OfflineQueue({ user, indexedDB, locks: tab.locks, env });
    const db = new OptimisticManager(new Api('/api', { as: user, env }), rt, { env, queue });
    await queue.ready;
    return {
      db,
      queue,
      /** As a crash: nothing is said to anybody. */
      crash: () => {
        gone = true;
        db.close();
        tab.close();
      },
    };
  };
  return { w, server, open, indexedDB };
}

test('what was made offline is sent by the next page, in order, under the same ids', async () => {
  const { w, server, open } = browser();
  const first = await open();
  const made = first.db.create('Task', { title: 'one' });
  await w.clock.run(10);
  first.db.create('Task', { title: 'two' });
  first.db.update('Task', made.id, { title: 'three' });
  await until(async () => (await first.queue.unsent()) === 3);
  first.crash();

  const second = await open();
  await until(() => second.db.pending.value.length === 3);
  assert.deepEqual(second.db.pending.value.map(({ changes: [{ data }] }) => data.title), ['one', 'two', 'three']);
  const later = second.db.create('Task', { title: 'four' });
  server.up = true;
  await w.clock.run(60_000);
  await rest();
  await w.clock.run(1000);
  assert.deepEqual(server.sent.map(({ title }) => title), ['one', 'two', 'three', 'four']);
  assert.equal(server.sent[0].mid, made.mid);
  assert.equal((await later).title, 'four');
  await until(async () => (await second.queue.unsent()) === 0);
  second.crash();
});

test('what an earlier page may have sent is repeated word for word, and later changes are others', async () => {
  const { w, server, open } = browser();
  Object.assign(server, { up: true, deaf: true });
  const first = await open();
  const made = first.db.create('Task', { title: 'sent' });
  await w.clock.run(10);
  await rest();
  assert.equal(server.sent.length, 1, 'the server has it, and the page does not know');
  first.crash();
  // Nothing goes out yet, so the next change could still be joined with what is waiting.
  const detail = signal({ userId: 'ben' });
  const second = await open('ada', { connected: signal(false), detail, ping: () => {} });
  second.db.update('Task', made.id, { title: 'later' });
  server.deaf = false;
  detail.value = { userId: 'ada' };
  await w.clock.run(60_000);
  await rest();
  await w.clock.run(60_000);
  const requests = new Set(server.sent.map(({ mid, op, title }) => `${mid === made.mid} ${op} ${title}`));
  assert.deepEqual([...requests], ['true create sent', 'false update later']);
  second.crash();
});

test('what the server refused is still there after a reload, and can be given up', async () => {
  const { w, server, open } = browser();
  server.up = true;
  server.refuse.add('bad');
  const first = await open();
  first.db.create('Task', { title: 'bad' });
  await w.clock.run(100);
  assert.equal(first.db.failed.value[0].error.code, 'VALIDATION_FAILED');
  await until(async () => (await first.queue.unsent()) === 1);
  await rest();
  first.crash();
  const second = await open();
  await until(() => second.db.failed.value.length === 1);
  assert.deepEqual([second.db.failed.value[0].error.code, second.db.pending.value], ['VALIDATION_FAILED', []]);
  second.db.failed.value[0].discard();
  await until(async () => (await second.queue.unsent()) === 0);
  second.crash();
});

test('after a reload a refused change tells and offers what it did before', async () => {
  const { w, server, open } = browser();
  server.up = true;
  const errors = { bad: { code: 'VALIDATION_FAILED', detail: 'no', hint: 'do', errors: [{ field: 'title', code: 'TOO_LONG', message: 'too long' }] } };
  const { respond } = w;
  w.respond = async (url, init) => {
    const answer = await respond(url, init);
    return url.pathname !== '/api/batch' ? answer : { ...answer, json: async () => {
      const body = await answer.json();
      JSON.parse(init.body).ops.forEach(({ data, version }, at) => {
        const error = version === 3 ? { code: 'VERSION_CONFLICT', current: { id: 'r', version: 9, title: 'theirs' } } : errors[data?.title];
        if (error) body.results[at] = { status: error.current ? 409 : 422, error };
      });
      return body;
    } };
  };
  const tell = ({ failed }) => failed.value.map(({ mid: own, state, conflict, optimistic, error: { code, message, hint, status, errors, current, mid } }) =>
    JSON.parse(JSON.stringify({ own, state, conflict, optimistic, code, message, hint, status, errors, current, mid })));
  const first = await open();
  const row = signal({ id: 'r', version: 3, title: 'old' });
  const made = first.db.create('Task', { title: 'bad' }, { optimistic: false });
  const needs = first.db.update('Task', made.id, { title: 'further' });
  first.db.update('Task', 'r', { title: 'mine' }, row, { ifMatch: 3 });
  await w.clock.run(1000);
  const before = tell(first.db);
  assert.deepEqual(before.map(({ state, code }) => [state, code]), [['failed', 'VALIDATION_FAILED'], ['failed', 'DEPENDS_ON'], ['conflict', 'VERSION_CONFLICT']]);
  assert.deepEqual([before[0].errors.length, before[1].own, before[1].mid, before[2].conflict], [1, needs.mid, made.mid, { mine: { title: 'mine' }, theirs: { title: 'theirs' }, base: { title: 'old' } }]);
  await until(async () => (await first.queue.unsent()) === 3);
  await rest();
  first.crash();

  const second = await open();
  await until(() => second.db.failed.value.length === 3);
  assert.deepEqual(tell(second.db), before);
  const [create, , conflict] = second.db.failed.value;
  // What it is sent with again takes along what needs it, and what is in conflict goes over theirs.
  delete errors.bad;
  create.retry();
  conflict.retry();
  await w.clock.run(1000);
  assert.deepEqual(server.sent.slice(-3).map(({ op, id }) => [op, id]), [['create', made.id], ['update', made.id], ['update', 'r']]);
  assert.deepEqual([second.db.failed.value, second.db.pending.value], [[], []]);
  second.crash();
});

test('another user neither sees nor sends it; a logout deletes it', async () => {
  const { w, server, open } = browser();
  const ada = await open('ada');
  ada.db.create('Task', { title: 'of ada' });
  await until(async () => (await ada.queue.unsent()) === 1);
  ada.crash();
  server.up = true;
  const ben = await open('ben');
  ben.db.create('Task', { title: 'of ben' });
  await w.clock.run(60_000);
  await rest();
  assert.deepEqual(server.sent.map(({ title, as }) => [title, as]), [['of ben', 'ben']]);
  ben.crash();
  server.up = false;
  const again = await open('ada');
  await until(() => again.db.pending.value.length === 1);
  await again.queue.forget();
  assert.equal(await again.queue.unsent(), 0);
  again.crash();
});

test('a page that the server knows as another user sends nothing', async () => {
  const { w, server, open } = browser();
  server.up = true;
  const detail = signal({ userId: 'ben' });
  const page = await open('ada', { connected: signal(false), detail, ping: () => {} });
  page.db.create('Task', { title: 'of ada' });
  await w.clock.run(60_000);
  assert.deepEqual([server.sent, page.queue.problem.value.code], [[], 'OTHER_USER']);
  detail.value = { userId: 'ada' };
  await w.clock.run(60_000);
  assert.deepEqual([server.sent.length, page.queue.problem.value], [1, null]);
  page.crash();
});

for (const withLocks of [true, false]) {
  test(`of two tabs one takes over what the other left, ${withLocks ? 'at once' : 'when its lease is over'}`, async () => {
    const { w, server, open } = browser({ withLocks });
    const [one, two] = [await open(), await open()];
    one.db.create('Task', { title: 'one' });
    two.db.create('Task', { title: 'two' });
    await until(async () => (await two.queue.unsent()) === 2);
    await w.clock.run(20_000);
    await rest();
    assert.deepEqual(two.db.pending.value.length, 1, 'a living tab keeps its own');
    two.queue.ready.then(() => {});
    one.crash();
    if (withLocks) {
      const three = await open();
      await until(() => three.db.pending.value.length + two.db.pending.value.length === 2);
      three.crash();
    }
    for (let seconds = 0; !withLocks && seconds < 150; seconds += 5) {
      await w.clock.run(5000);
      await rest();
    }
    await until(() => two.db.pending.value.length === 2);
    server.up = true;
    await w.clock.run(60_000);
    await rest();
    // What this tab was sending at that moment may go first.
    assert.deepEqual(server.sent.map(({ title }) => title).sort(), ['one', 'two']);
    await until(async () => (await two.queue.unsent()) === 0);
    two.crash();
  });
}

test('a storage that fails costs no change, and says so', async () => {
  const { w, server } = browser();
  server.up = true;
  const broken = { open: () => { throw new Error('quota'); } };
  const queue = new OfflineQueue({ user: 'ada', indexedDB: broken, locks: null, env: w.env });
  const db = new OptimisticManager(new Api('/api', { env: w.env }), null, { env: w.env, queue });
  const made = db.create('Task', { title: 'x' });
  await queue.ready;
  await w.clock.run(1000);
  assert.equal((await made).title, 'x');
  assert.equal(queue.problem.value.code, 'STORAGE_FAILED');
  db.close();
  assert.throws(() => new OfflineQueue({}), TypeError);
});

const failing = { request: () => { throw new Error('not here'); } };
for (const [what, indexedDB, locks] of [['never answers', { open: () => ({}) }, null], ['is blocked by locks that fail', new IDBFactory(), failing]]) {
  test(`a storage that ${what} costs no change either`, async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { w, server } = browser();
    server.up = true;
    const queue = new OfflineQueue({ user: 'ada', indexedDB, locks, env: w.env });
    const db = new OptimisticManager(new Api('/api', { env: w.env }), null, { env: w.env, queue });
    const made = db.create('Task', { title: 'x' });
    let ready = false;
    queue.ready.then(() => (ready = true));
    await rest();
    t.mock.timers.tick(5000);
    await until(() => ready);
    await w.clock.run(1000);
    assert.equal((await made).title, 'x');
    db.close();
  });
}

test('rows that a storage does not give up keep no list waiting', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const cache = new RowCache({ user: 'ada', indexedDB: { open: () => ({}) } });
  let rows;
  cache.load('entity:Task').then((found) => (rows = found));
  await rest();
  assert.equal(rows, undefined);
  t.mock.timers.tick(5000);
  await rest();
  assert.equal(rows, null);
});

test('a function does not outlive its page: what it computed is sent with the version, and is a conflict if that is over', async () => {
  const { w, server, open } = browser();
  const first = await open();
  const row = signal({ id: 'a', version: 3, likes: 5 });
  first.db.update('Task', 'a', (of) => ({ likes: of.likes + 1 }), row);
  assert.equal(row.value.likes, 6);
  await until(async () => (await first.queue.unsent()) === 1);
  first.crash();
  const second = await open();
  await until(() => second.db.pending.value.length === 1);
  const [{ changes, guards }] = second.db.pending.value;
  assert.deepEqual([changes[0].data, changes[0].computed, guards[0].base], [{ likes: 6 }, true, { likes: 5 }]);
  assert.equal(server.sent.length, 0);
  second.crash();
  await w.clock.run(0);
});

/** A cache that has these rows, and keeps none. */
const cacheOf = (kept) => Object.assign(new RowCache({ user: '', indexedDB: new IDBFactory() }), { load: async () => kept, keepSoon: () => {} });

test('a function that had computed nothing before its page was gone is refused, and so is one on top of others; nothing counts as done', async () => {
  const { w, server, open } = browser();
  const like = (of) => ({ likes: of.likes + 1 });
  const first = await open();
  const row = signal({ id: 'a', version: 3, likes: 5 });
  const unseen = first.db.update('Task', 'z', like);
  const broken = first.db.update('Task', 'a', (of) => ({ likes: of.no.likes }), row);
  let made;
  const batch = first.db.batch(() => {
    made = first.db.create('Task', { title: 'made' });
    first.db.update('Task', 'a', { likes: 7 }, row);
    first.db.update('Task', 'a', like, row);
  });
  const needs = first.db.update('Task', made.id, { title: 'further' });
  first.db.create('Task', { title: 'good' });
  await until(async () => (await first.queue.unsent()) === 5);
  first.crash();
  server.up = true;
  const second = await open();
  await until(() => second.db.failed.value.length === 4);
  const failed = () => second.db.failed.value.map(({ mid, error }) => [mid, error.code]);
  const lost = [[unseen.mid, 'FUNCTION_LOST'], [broken.mid, 'FUNCTION_LOST'], [batch.mid, 'FUNCTION_LOST'], [needs.mid, 'DEPENDS_ON']];
  assert.deepEqual(failed(), lost);
  const [one, , , dependent] = second.db.failed.value;
  assert.match(`${one.error.message} ${one.error.hint}`, /Task z.*did not survive.*make it again/);
  await w.clock.run(60_000);
  await rest();
  assert.deepEqual(server.sent.map(({ title }) => title), ['good']);
  one.retry();
  await w.clock.run(60_000);
  await rest();
  assert.deepEqual([server.sent.length, failed()], [1, lost]);
  assert.equal(dependent.error.mid, batch.mid);
  await until(async () => (await second.queue.unsent()) === 4);
  for (const mutation of second.db.failed.value) mutation.discard();
  await until(async () => (await second.queue.unsent()) === 0);
  assert.deepEqual(second.db.failed.value, []);
  second.crash();
});

test('a list does not wait for long for a queue that hangs, and not for one that fails', async () => {
  for (const ready of [new Promise(() => {}), Promise.reject(new Error('no storage'))]) {
    const w = world();
    ready.catch(() => {});
    const queue = { problem: signal(null), ready, open: () => {}, put: () => {}, remove: () => {}, close: () => {} };
    const rt = new RealtimeClient('/ws', { env: w.env }).connect();
    const list = new ChannelSubscriber(rt, { env: w.env, cache: cacheOf(null) }).list('Task');
    const db = new OptimisticManager(null, rt, { env: w.env, queue });
    await w.clock.run(0);
    w.socket.greet();
    await w.clock.run(1000);
    assert.deepEqual(w.socket.take('subscribe').map(({ channel }) => channel), ['entity:Task']);
    db.close();
    list.close();
    rt.disconnect();
  }
});

test('when the user changes before the queue is ready, the rows of the one before are not shown', async () => {
  const w = world();
  let tell;
  const ready = new Promise((resolve) => (tell = resolve));
  const indexedDB = new IDBFactory();
  const user = signal({ id: 'ada' });
  const cache = new RowCache({ user, indexedDB });
  await cache.save('entity:Task', { epoch: 'e1', seq: 1, rows: [{ row: { id: 'a', title: 'of ada' }, seq: 1 }] });
  const rt = new RealtimeClient('/ws', { env: w.env });
  const list = new ChannelSubscriber(rt, { env: w.env, cache }).list('Task');
  const queue = { problem: signal(null), ready, open: () => {}, put: () => {}, remove: () => {}, close: () => {} };
  const db = new OptimisticManager(null, rt, { env: w.env, queue });
  await settle();
  user.value = { id: 'ben' };
  tell();
  await until(async () => (await cache.load('entity:Task')) === null);
  for (let turn = 0; turn < 20; turn++) await rest();
  assert.deepEqual(list.value, []);
  db.close();
  list.close();
});

test('the rows of the last visit wait for what was changed in it, and are shown without a queue that fails', async () => {
  for (const fails of [false, true]) {
    const w = world();
    let tell;
    const ready = new Promise((resolve) => (tell = resolve));
    const left = { mid: '0190a000-0000-7000-8000-000000000001', changes: [{ op: 'update', entity: 'Task', id: 'a', data: { title: 'mine' } }], guards: [null], state: 'queued', attempts: 1, error: null };
    let host;
    const queue = { problem: signal(null), ready, open: (given) => (host = given).release(false), put: () => {}, remove: () => {}, close: () => {} };
    const cache = cacheOf({ epoch: 'e1', seq: 1, rows: [{ row: { id: 'a', title: 'old' }, seq: 1 }] });
    const rt = new RealtimeClient('/ws', { env: w.env });
    const list = new ChannelSubscriber(rt, { env: w.env, cache }).list('Task');
    const db = new OptimisticManager(null, rt, { env: w.env, queue });
    const shown = [];
    list.subscribe((rows) => shown.push(rows.map(({ title }) => title).join()));
    await settle();
    assert.deepEqual(shown, ['']);
    if (!fails) host.adopt([left]);
    tell();
    await settle();
    assert.deepEqual(shown, ['', fails ? 'old' : 'mine']);
    db.close();
    list.close();
  }
});
