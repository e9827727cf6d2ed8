/**
 * Changes that go over the socket: which ones, what an answer means, and what happens where a server or a line does not take them.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../../static/api.js';
import { OptimisticManager } from '../../static/optimistic.js';
import { RealtimeClient } from '../../static/realtime.js';
import { reply, settle, world } from './world.js';

const LIMITS = { frameBytes: 65_536, messagesPerSecond: 100, messageBurst: 200 };

function page(limits = LIMITS) {
  const w = world();
  const posts = [];
  w.respond = ({ pathname }, init) => {
    if (pathname !== '/api/batch') return reply(200, { entities: [] });
    posts.push(JSON.parse(init.body));
    const results = JSON.parse(init.body).ops.map(({ id, data }) => ({ status: 201, id: id ?? data?.id, seq: 1, record: { version: 1, ...data } }));
    return reply(200, { epoch: 'e1', seq: 1, results });
  };
  const rt = new RealtimeClient('/ws', { env: w.env }).connect();
  const db = new OptimisticManager(new Api('/api', { env: w.env }), rt, { env: w.env });
  const greet = () => {
    w.socket.greet({ limits });
    w.socket.say({ type: 'pong', payload: {} });
  };
  greet();
  const frames = () => w.socket.take('mutate');
  const ack = ({ requestId, payload: { ops } }, change = () => ({})) =>
    w.socket.say({
      type: 'ack',
      requestId,
      payload: { epoch: 'e1', seq: 5, results: ops.map((op, at) => ({ status: 201, id: op.id, seq: 5, record: { id: op.id, version: 1, ...op.data }, ...change(op, at) })) },
    });
  return { w, rt, db, posts, greet, frames, ack };
}

test('changes go over the socket in one frame, and the answer confirms each', async () => {
  const { w, db, posts, frames, ack } = page();
  const made = [db.create('Task', { title: 'one' }), db.create('Task', { title: 'two' })];
  await settle();
  const [frame, ...others] = frames();
  assert.deepEqual([frame.payload.atomic, frame.payload.ops.map(({ mid, data }) => [mid, data.title]), others], [false, made.map(({ mid }, at) => [mid, ['one', 'two'][at]]), []]);
  const error = { code: 'VALIDATION_FAILED', message: 'too long', hint: 'shorten it', retry: false, errors: [{ field: 'title', code: 'too_long', message: 'too long' }] };
  ack(frame, (_, at) => (at === 1 ? { status: 422, error } : {}));
  assert.equal((await made[0]).title, 'one');
  await assert.rejects(async () => made[1], { code: 'VALIDATION_FAILED', message: 'too long' });
  assert.deepEqual([db.failed.value[0].error.errors[0].field, db.failed.value[0].error.hint], ['title', 'shorten it']);
  const batch = db.batch(() => {
    db.update('Task', made[0].id, { title: 'three' });
    db.create('Task', { title: 'four' });
  });
  await settle();
  const [atomic] = frames();
  assert.deepEqual([atomic.payload.atomic, atomic.payload.mid], [true, batch.mid]);
  w.socket.say({ type: 'error', requestId: atomic.requestId, payload: { code: 'FORBIDDEN', message: 'not yours', op: 1, retry: false } });
  await assert.rejects(async () => batch, { code: 'FORBIDDEN' });
  assert.deepEqual(posts, []);
});

test('a delete of what is gone is done; a login that has ended keeps the change', async () => {
  const { w, db, frames, ack } = page();
  const gone = db.delete('Task', '1');
  await settle();
  const [first] = frames();
  ack(first, () => ({ error: { code: 'NOT_FOUND', message: 'no such record', retry: false } }));
  assert.equal(await gone, null);
  db.update('Task', '2', { title: 'kept' });
  await settle();
  const [{ requestId }] = frames();
  w.socket.say({ type: 'error', requestId, payload: { code: 'UNAUTHENTICATED', message: 'log in', retry: false } });
  await settle();
  assert.deepEqual([db.pending.value.length, db.failed.value.length, db.stuck.value.code], [1, 0, 'UNAUTHENTICATED']);
});

test('a connection that is lost before the answer: the same ids again, over the next one or over HTTP', async () => {
  const { w, rt, db, posts, greet, frames, ack } = page();
  const made = db.create('Task', { title: 'one' });
  await settle();
  const [lost] = frames();
  w.socket.cut(1006);
  await settle();
  rt.reconnectNow();
  greet();
  await settle();
  const [again] = frames();
  assert.deepEqual(again.payload, lost.payload, 'word for word');
  ack(again);
  assert.equal((await made).title, 'one');
  const other = db.create('Task', { title: 'two' });
  await settle();
  const [second] = frames();
  w.socket.cut(1006);
  assert.equal((await Promise.all([other, w.clock.run(60_000)]))[0].title, 'two');
  assert.deepEqual(posts, [{ atomic: false, ops: second.payload.ops }], 'without a socket over HTTP');
});

test('what does not fit into a frame, and what an older server does not know, goes over HTTP', async () => {
  const { w, db, posts, frames } = page({ ...LIMITS, frameBytes: 2000 });
  db.create('Task', { title: 'é'.repeat(700) });
  await settle();
  assert.deepEqual([frames(), posts.length], [[], 1]);
  const small = db.create('Task', { title: 'small' });
  await settle();
  const [{ requestId }] = frames();
  w.socket.say({ type: 'error', requestId, payload: { code: 'UNKNOWN_MESSAGE_TYPE', message: 'no', retry: false } });
  assert.equal((await small).title, 'small');
  assert.deepEqual(posts.map(({ ops }) => ops[0].data.title.length), [700, 5]);
  const silent = page({});
  silent.db.create('Task', { title: 'x' });
  await settle();
  assert.deepEqual([silent.frames(), silent.posts.length], [[], 1], 'a server that names no size');
});
