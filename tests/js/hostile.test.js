/**
 * What the code of a page does wrong costs that code, and nothing else: functions and signals that throw, answers of a way of its own
 * to the server, calls at the wrong moment.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { OptimisticManager } from '../../static/optimistic.js';
import { RealtimeClient } from '../../static/realtime.js';
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
