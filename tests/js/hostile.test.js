/**
 * What the code of a page does wrong costs that code, and nothing else: functions and signals that throw, answers of a way of its own
 * to the server, calls at the wrong moment.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tidewireCollection } from '../../static/adapters/tanstack.js';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { Lease } from '../../static/lease.js';
import { OptimisticManager } from '../../static/optimistic.js';
import { PresenceManager } from '../../static/presence.js';
import { RealtimeClient } from '../../static/realtime.js';
import { Room } from '../../static/room.js';
import { reply, settle, world } from './world.js';

/** A page without a socket. `answer` makes the results of a batch; each batch is noted. */
function page(options = {}, answer = ({ id, data }) => ({ status: 200, id, seq: 11, record: { id, version: 2, ...data } })) {
  const w = world();
  const posts = [];
  w.respond = (url, init) => {
    if (url.pathname === '/api/schema') return reply(200, { entities: [{ name: 'Task', plural: 'tasks', fields: [] }] });
    if (init.method !== 'POST') return reply(200, { id: url.pathname.split('/').at(-1), version: 1, title: 'theirs' });
    const body = JSON.parse(init.body);
    posts.push(body);
    return reply(200, { epoch: 'e1', seq: 11, results: body.ops.map(answer) });
  };
  const db = new OptimisticManager(new Api('/api', { env: w.env }), null, { env: w.env, ...options });
  return { w, db, posts };
}

/** What is reported of an error in a listener. */
function reports() {
  const found = [];
  const before = globalThis.reportError;
  globalThis.reportError = (error) => found.push(String(error));
  return { found, end: () => (globalThis.reportError = before) };
}

const CURRENT = { id: 'a', version: 5, title: 'theirs' };
const conflicting = ({ id, data, version }) =>
  id === 'a' && version !== 5
    ? { status: 409, error: { status: 409, code: 'VERSION_CONFLICT', detail: 'others', current: CURRENT } }
    : { status: 200, id, seq: 11, record: { id, version: 6, ...data } };

test('a function `conflict` that throws, or returns what it may not, fails its change alone and says why', async () => {
  const functions = [
    [() => { throw new Error('oops'); }, 'Error: oops'],
    [async () => 'theirs', 'a promise'],
    [() => 'ours', '"ours"'],
    [() => 7, '7'],
    [() => ['title'], '["title"]'],
  ];
  for (const [conflict, said] of functions) {
    const { w, db, posts } = page({ conflict }, conflicting);
    const [one, before, two] = [db.update('Task', 'b', { title: 'b' }), db.update('Task', 'a', { title: 'mine' }, null, { ifMatch: 1 }), db.update('Task', 'c', { title: 'c' })];
    before.guards[0].base = { title: 'old' };
    await w.clock.run(0);
    assert.deepEqual([(await one).title, (await two).title, posts.length], ['b', 'c', 1], said);
    assert.deepEqual([before.state, before.error.code], ['failed', 'FUNCTION_FAILED']);
    assert.ok(before.error.message.includes(said), before.error.message);
    assert.match(before.error.hint, /'mine', 'theirs'/);
    // It can be sent over theirs, or given up, as after any refusal.
    assert.deepEqual([db.failed.value, before.discard(), db.failed.value], [[before], true, []]);
    db.close();
  }
});

test('a function `conflict` decides by a word or by fields, of which a copy is sent', async () => {
  for (const [word, title] of [['mine', 'mine'], [{ title: 'both' }, 'both']]) {
    const { w, db, posts } = page({ conflict: () => word }, conflicting);
    const change = db.update('Task', 'a', { title: 'mine' }, null, { ifMatch: 1 });
    change.guards[0].base = { title: 'old' };
    await w.clock.run(1000);
    assert.deepEqual([(await change).title, posts.at(-1).ops[0].version], [title, 5]);
    db.close();
  }
});

test('what is given up inside of a batch, and what needs it, is no part of it', async () => {
  const { w, db, posts } = page();
  const parts = [];
  const whole = db.batch(() => {
    const made = db.create('Task', { title: 'given up' });
    parts.push(db.update('Task', 'a', { title: 'x' }), made, db.update('Task', made.id, { title: 'y' }), db.update('Task', 'b', { parent: made.id }), db.delete('Task', 'c'));
    assert.equal(made.discard(), true);
    assert.equal(made.discard(), false);
    made.retry();
  });
  await w.clock.run(0);
  assert.deepEqual(posts[0].ops.map(({ op, id }) => [op, id]), [['update', 'a'], ['delete', 'c']]);
  const settled = await Promise.all(parts.map((part) => part.then(() => 'done', ({ code }) => code)));
  assert.deepEqual(settled, ['done', 'DISCARDED', 'DISCARDED', 'DISCARDED', 'done']);
  assert.equal((await whole).length, 2);
  assert.throws(() => db.batch(() => db.create('Task', {}).discard()), /changes nothing/);
  assert.deepEqual([db.pending.value, db.failed.value], [[], []]);
});

test('a change before a batch that is given up inside of it takes the parts along that need it', async () => {
  const { w, db, posts } = page();
  const made = db.create('Task', { title: 'x' });
  db.batch(() => {
    db.update('Task', made.id, { title: 'y' });
    db.update('Task', 'a', { title: 'z' });
    made.discard();
  });
  await w.clock.run(0);
  assert.deepEqual(posts.map(({ ops }) => ops.map(({ id }) => id)), [['a']]);
});

test('a batch that throws leaves no change, and none of its parts waits for ever', async () => {
  const { w, db, posts } = page();
  let part;
  const fails = () => db.batch(() => {
    part = db.update('Task', 'a', { title: 'x' });
    throw new Error('oops');
  });
  assert.throws(fails, /oops/);
  assert.equal(await part.then(() => 'done', ({ code }) => code), 'DISCARDED');
  db.update('Task', 'b', { title: 'y' });
  await w.clock.run(0);
  assert.deepEqual(posts.map(({ ops }) => ops.map(({ id }) => id)), [['b']]);
});

test('a way to the server that fails without saying why is no verdict: what it was to send is sent again', async () => {
  const fine = { epoch: 'e1', seq: 3, results: [{ status: 200, id: 'a', seq: 3, record: { id: 'a', version: 2 } }] };
  const tries = [
    () => { throw new TypeError('fetch failed'); },
    async () => { throw undefined; },
    async () => { throw 'offline'; },
    async () => undefined,
    async () => ({ epoch: 'e1', seq: 1 }),
    async () => ({ epoch: 'e1', seq: 1, results: [] }),
    async () => fine,
  ];
  const sent = [];
  const stuck = [];
  const { w, db } = page({ send: (batch) => (sent.push(batch.ops[0].mid), tries[sent.length - 1]()) });
  db.stuck.listen((problem) => stuck.push(problem?.code));
  const change = db.update('Task', 'a', { title: 'x' });
  await w.clock.run(0);
  assert.equal(sent.length, 1, 'no storm');
  await w.clock.run(300_000);
  assert.deepEqual([sent.length, new Set(sent).size, (await change).version], [7, 1, 2]);
  assert.deepEqual([...new Set(stuck)], ['NO_ANSWER', undefined]);
  db.close();
});

/** A signal whose listeners may throw at the one who writes, as those of Preact do. */
function explosive(initial) {
  let current = initial;
  return {
    get value() {
      return current;
    },
    set value(next) {
      current = next;
      throw new Error('an effect failed');
    },
  };
}

test('a signal of the page that throws when it is written stops neither the change nor the list', async () => {
  const { found, end } = reports();
  try {
    const { w, db, posts } = page();
    const rows = explosive([{ id: 'a', title: 'old' }]);
    db.update('Task', 'a', { title: 'new' }, rows);
    assert.equal(rows.value[0].title, 'new');
    await w.clock.run(0);
    assert.deepEqual([posts.length, db.pending.value], [1, []]);

    const rt = new RealtimeClient('/ws', { env: w.env }).connect();
    w.socket.greet().say({ type: 'pong', payload: {} });
    const into = explosive([]);
    const list = new ChannelSubscriber(rt, { env: w.env }).list('Task', { into });
    const { requestId, channel } = w.socket.take('subscribe')[0];
    w.socket.say({ type: 'subscribed', channel, requestId, payload: { epoch: 'e1', seq: 1, view: 'v', recovered: false }, more: true });
    w.socket.say({ type: 'snapshot', channel, seq: 1, payload: { rows: [{ id: 'a', version: 1 }] }, more: true });
    w.socket.say({ type: 'pong', channel, payload: { epoch: 'e1', seq: 1, view: 'v' } });
    await settle();
    assert.deepEqual([list.state.value, list.value.length, into.value.length], ['live', 1, 1]);
    assert.ok(found.length >= 2 && found.every((text) => text.includes('an effect failed')), found.join());
    rt.disconnect();
  } finally {
    end();
  }
});

/** A connected page, whose socket the test answers. */
function connected(limits = {}) {
  const w = world();
  const rt = new RealtimeClient('/ws', { env: w.env, linger: 0 }).connect();
  w.socket.greet({ limits }).say({ type: 'pong', payload: {} });
  return { w, rt, channels: new ChannelSubscriber(rt, { env: w.env }) };
}

test('a frame that is too large is refused here, and the connection goes on', async () => {
  const { w, rt, channels } = connected({ frameBytes: 2000 });
  const errors = [];
  rt.on('error', ({ code, channel }) => errors.push([code, channel?.slice(0, 11)]));
  // Three bytes for each letter.
  await assert.rejects(new Room(rt, 'lobby').send('say', '€'.repeat(650)), { code: 'FRAME_TOO_LARGE', message: /2000 bytes/ });
  const list = channels.list('Task', { where: { id: { in: Array.from({ length: 300 }, (_, at) => `id-${at}`) } } });
  await settle();
  assert.deepEqual([list.state.value, list.error.value.code], ['error', 'FRAME_TOO_LARGE']);
  assert.deepEqual(errors, [['FRAME_TOO_LARGE', 'entity:Task']]);
  assert.deepEqual([rt.status.value, w.socket.take('message'), w.socket.take('subscribe').length], ['connected', [], 1]);
  rt.request('message', { event: 'e', data: 'x'.repeat(1500) }, 'room:lobby').catch(() => {});
  assert.equal(w.socket.take('message').length, 1);
  rt.disconnect();
});

test('a change that is sent again has another verdict, and so have the parts of a batch', async () => {
  let refuse = true;
  const answer = ({ id, data }) => (refuse && id === 'a' ? { status: 422, error: { status: 422, code: 'VALIDATION_FAILED' } } : { status: 200, id, seq: 11, record: { id, version: 2, ...data } });
  const { w, db } = page({}, answer);
  const change = db.update('Task', 'a', { title: 'x' });
  await w.clock.run(0);
  await assert.rejects(async () => change, { code: 'VALIDATION_FAILED' });
  refuse = false;
  change.retry();
  const row = change.then((found) => found.title);
  await w.clock.run(0);
  assert.deepEqual([await row, change.state], ['x', 'done']);

  let bad = true;
  w.respond = (url, init) => {
    if (url.pathname === '/api/schema') return reply(200, { entities: [] });
    const { ops } = JSON.parse(init.body);
    if (bad) return reply(422, { code: 'VALIDATION_FAILED', op: 0 });
    return reply(200, { epoch: 'e1', seq: 12, results: ops.map(({ id, data }) => ({ status: 200, id, record: { id, version: 3, ...data } })) });
  };
  const parts = [];
  const whole = db.batch(() => parts.push(db.update('Task', 'b', { title: 'b' }), db.update('Task', 'c', { title: 'c' })));
  await w.clock.run(0);
  assert.deepEqual([whole, ...parts].map(({ state, error: { code } }) => `${state} ${code}`), Array(3).fill('failed VALIDATION_FAILED'));
  bad = false;
  parts[1].retry();
  assert.deepEqual([whole, ...parts].map(({ state, error }) => [state, error]), Array(3).fill(['queued', null]));
  const titles = Promise.all(parts.map((part) => part.then(({ title }) => title)));
  await w.clock.run(0);
  assert.deepEqual([await titles, parts.map(({ state }) => state)], [['b', 'c'], ['done', 'done']]);
});

test('after the end a change throws, and nothing of the list or of a lease goes on', async () => {
  const { db } = page();
  db.close();
  db.close();
  for (const act of [() => db.create('Task', {}), () => db.update('Task', 'a', {}), () => db.delete('Task', 'a'), () => db.batch(() => db.delete('Task', 'a'))])
    assert.throws(act, /is closed/);
  assert.deepEqual([db.pending.value, db.failed.value], [[], []]);

  const { w, rt, channels } = connected();
  const list = channels.list('Task', { limit: 2, where: { a: 1 } });
  await settle();
  list.close();
  list.close();
  await w.clock.run(2000);
  w.socket.inbox = [];
  list.more(Infinity);
  list.more();
  await w.clock.run(2000);
  assert.deepEqual(w.socket.inbox.filter(({ type }) => type !== 'ping'), []);

  // A lease that was given up before its answer came is given back.
  for (const end of ['close', 'release']) {
    const lease = new Lease(rt, 'Task', '7', { env: w.env });
    const asked = lease.acquire();
    const { requestId } = w.socket.take('lease:acquire')[0];
    lease[end]();
    w.socket.say({ type: 'lease:held', requestId, payload: { resource: 'Task/7', fence: 4 } });
    await settle();
    const [given] = w.socket.take('lease:release');
    assert.deepEqual([given?.payload, lease.state.value, lease.fence], [{ resource: 'Task/7', fence: 4 }, 'free', null]);
    w.socket.say({ type: 'ack', requestId: given.requestId });
    await asked;
  }
  await w.clock.run(120_000);
  assert.deepEqual(w.socket.take('lease:renew'), []);
  rt.disconnect();
});

test('who stops listening inside a callback, of itself or of another, is not called again', async () => {
  const { w, rt } = connected();
  const calls = [];
  const first = rt.subscribe('activity', () => {
    calls.push('first');
    first();
    first();
    second();
  });
  const second = rt.subscribe('activity', () => calls.push('second'));
  const { requestId } = w.socket.take('subscribe')[0];
  w.socket.say({ type: 'subscribed', channel: 'activity', requestId, payload: { epoch: 'e1', seq: 1, view: 'v' } });
  assert.deepEqual(calls, ['first']);
  await w.clock.run(1);
  assert.equal(w.socket.take('unsubscribe').length, 1);
  rt.disconnect();
});

test('a presence without the name of a resource throws, and harms no other', async () => {
  const { w, rt } = connected();
  const presence = new PresenceManager(rt, { env: w.env });
  for (const resource of [undefined, null, 7, {}]) assert.throws(() => presence.join(resource), { name: 'TypeError', message: /resource/ });
  presence.join('Task/7');
  assert.deepEqual(w.socket.take('presence:join').map(({ channel }) => channel), ['presence:Task/7']);
  presence.close();
  rt.disconnect();
});

test('a collection of TanStack whose list is refused is ready, and empty', async () => {
  const { w, rt, channels } = connected();
  const { sync } = tidewireCollection({ channels, db: null, entity: 'Task' }).sync;
  let ready = 0;
  const stop = sync({ begin() {}, write() {}, commit() {}, markReady: () => (ready += 1) });
  const [{ requestId, channel }] = w.socket.take('subscribe');
  assert.equal(ready, 0);
  w.socket.say({ type: 'error', channel, requestId, payload: { code: 'FORBIDDEN_CHANNEL', message: 'no' } });
  await settle();
  assert.equal(ready, 1);
  stop();
  rt.disconnect();
});

test('a poll that is not answered fails after a while, and the next one follows', async () => {
  const w = world();
  const rt = new RealtimeClient('/ws', { env: w.env, enabled: false }).connect();
  let hang = false;
  let polls = 0;
  w.respond = ({ pathname }, { signal } = {}) => {
    if (pathname === '/api/schema') return reply(200, { entities: [{ name: 'Task', plural: 'tasks', fields: [] }] });
    if (pathname === '/api/tasks') return reply(200, { epoch: 'e1', view: 'v', seq: 1, items: [], next: null });
    polls += 1;
    if (hang) return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    return reply(200, { epoch: 'e1', seq: 1, channels: [{ channel: 'entity:Task', view: 'v', recovered: true }], events: [] });
  };
  new ChannelSubscriber(rt, { env: w.env }).list('Task');
  await w.clock.run(10);
  assert.equal(rt.status.value, 'polling');
  hang = true;
  await w.clock.run(45_000);
  hang = false;
  const before = polls;
  assert.notEqual(rt.status.value, 'polling');
  await w.clock.run(40_000);
  assert.ok(polls > before);
  assert.equal(rt.status.value, 'polling');
  rt.disconnect();
});
