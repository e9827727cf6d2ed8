/**
 * What is live beside records: the activity, rooms and leases.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { activity } from '../../static/activity.js';
import { Api } from '../../static/api.js';
import { Lease } from '../../static/lease.js';
import { RealtimeClient } from '../../static/realtime.js';
import { Room } from '../../static/room.js';
import { reply, settle, world } from './world.js';

function page() {
  const w = world();
  const rt = new RealtimeClient('/ws', { env: w.env, linger: 0 }).connect();
  w.socket.greet({ userId: 'ada' });
  const say = async (frame) => {
    w.socket.say(frame);
    await settle();
  };
  const again = () => {
    w.socket.cut(1006);
    rt.reconnectNow();
    w.socket.greet({ userId: 'ada' });
  };
  /** Answers the last frame of a type. */
  const answer = async (type, frame) => say({ requestId: w.socket.take(type).at(-1).requestId, ...frame });
  return { w, rt, say, again, answer };
}

test('the activity: the newest first, then each as it happens, and older ones when asked', async () => {
  const { w, rt, say, answer } = page();
  const CHANNEL = 'activity?entity=Task';
  const entry = (seq) => ({ seq, at: '2026-11-21T08:00:00.000Z', by: 'ada', op: 'update', entity: 'Task', id: '1', changed: ['title'] });
  const list = activity(rt, new Api('/api', { env: w.env }), { entities: ['Task'], limit: 2 });
  const seqs = () => list.value.map(({ seq }) => seq).join();
  assert.equal(list.state.value, 'loading');
  const [ask] = w.socket.inbox.filter(({ type }) => type === 'subscribe');
  assert.deepEqual([ask.channel, ask.payload], [CHANNEL, { snapshot: true, limit: 2 }]);
  await answer('subscribe', { type: 'subscribed', channel: CHANNEL, payload: { epoch: 'e1', seq: 8, view: 'v', recovered: false, limited: true }, more: true });
  await say({ type: 'snapshot', channel: CHANNEL, seq: 8, more: true, payload: { rows: [entry(8), entry(6)] } });
  assert.equal(seqs(), '', 'as one step');
  await say({ type: 'pong', channel: CHANNEL, payload: { epoch: 'e1', seq: 8, view: 'v' } });
  assert.deepEqual([list.state.value, seqs()], ['live', '8,6']);
  await say({ type: 'activity', channel: CHANNEL, prev: 8, seq: 9, payload: entry(9), more: true });
  assert.equal(seqs(), '8,6', 'half of a unit');
  await say({ type: 'activity', channel: CHANNEL, prev: 9, seq: 10, payload: entry(10) });
  assert.equal(seqs(), '10,9,8,6');
  w.respond = ({ search }) => {
    assert.equal(search, '?entity=Task&limit=2&before=6');
    return reply(200, { items: [entry(4), entry(3)], next: null, epoch: 'e1', seq: 10, view: 'v' });
  };
  assert.equal(await list.more(), false);
  assert.equal(seqs(), '10,9,8,6,4,3');
  await say({ type: 'activity', channel: CHANNEL, prev: 11, seq: 12, payload: entry(12) });
  assert.deepEqual(w.socket.take('subscribe').map(({ payload }) => payload.since.seq), [10], 'a hole is asked for');
  await say({ type: 'resync', channel: CHANNEL, payload: { epoch: 'e1', seq: 20, view: 'w', reason: 'rights' }, more: true });
  list.close();
});

test('after a change of rights the entries are those of the new page', async () => {
  const { w, rt, say, answer } = page();
  const list = activity(rt, new Api('/api', { env: w.env }));
  const entry = (seq) => ({ seq, entity: 'Task', id: '1', op: 'create' });
  const fill = async (seq, ...found) => {
    await say({ type: 'snapshot', channel: 'activity', seq, more: true, payload: { rows: found.map(entry) } });
    await say({ type: 'pong', channel: 'activity', payload: { epoch: 'e1', seq, view: 'v' } });
  };
  await answer('subscribe', { type: 'subscribed', channel: 'activity', payload: { epoch: 'e1', seq: 5, view: 'v', recovered: false }, more: true });
  await fill(5, 5, 4, 3);
  await say({ type: 'resync', channel: 'activity', payload: { epoch: 'e1', seq: 7, view: 'w', reason: 'rights' }, more: true });
  await fill(7, 7, 4);
  assert.equal(list.value.map(({ seq }) => seq).join(), '7,4');
  await say({ type: 'error', channel: 'activity', payload: { code: 'UNKNOWN_ENTITY', message: 'closed' } });
  assert.deepEqual([list.value, list.state.value, list.error.value.code], [[], 'denied', 'UNKNOWN_ENTITY']);
});

test('a room: joined again by itself, and nothing is sent twice', async () => {
  const { w, rt, say, again, answer } = page();
  const room = new Room(rt, 'project/7 a');
  const CHANNEL = 'room:project/7%20a';
  const heard = [];
  const stop = room.on('typing', (data, by) => heard.push([data.field, by]));
  room.on('*', (_, by, event) => heard.push([event, by]));
  await answer('subscribe', { type: 'subscribed', channel: CHANNEL, payload: {} });
  assert.equal(room.state.value, 'live');
  const sent = room.send('typing', { field: 'title' });
  await answer('message', { type: 'ack', channel: CHANNEL, payload: {} });
  await sent;
  await say({ type: 'message', channel: CHANNEL, by: 'ben', payload: { event: 'typing', data: { field: 'due' } } });
  await say({ type: 'message', channel: 'room:other', by: 'ben', payload: { event: 'typing', data: {} } });
  stop();
  await say({ type: 'message', channel: CHANNEL, payload: { event: 'typing', data: { field: 'x' } } });
  assert.deepEqual(heard, [['due', 'ben'], ['typing', 'ben'], ['typing', null]]);
  const lost = assert.rejects(room.send('typing'), { code: 'NO_ANSWER' });
  again();
  await lost;
  assert.deepEqual([room.state.value, w.socket.take('message')], ['stale', []]);
  await answer('subscribe', { type: 'error', channel: CHANNEL, payload: { code: 'FORBIDDEN_CHANNEL', message: 'no' } });
  assert.deepEqual([room.state.value, room.error.value.code], ['denied', 'FORBIDDEN_CHANNEL']);
  await say({ type: 'rights:changed', payload: {} });
  await answer('subscribe', { type: 'subscribed', channel: CHANNEL, payload: {} });
  assert.deepEqual([room.state.value, room.error.value], ['live', null]);
  room.close();
  assert.deepEqual(w.socket.take('unsubscribe').map(({ channel }) => channel), [CHANNEL]);
  const own = new Room(rt, 'ada/x', { kind: 'user' });
  assert.equal(w.socket.take('subscribe')[0].channel, 'user:ada%2Fx');
  own.close();
});

test('a lease is renewed while it is held, and its end is told', async () => {
  const { w, rt, say, again, answer } = page();
  const resource = 'Task/a%20b';
  const lease = new Lease(rt, 'Task', 'a b', { env: w.env });
  const held = (fence) => ({ type: 'lease:held', payload: { resource, fence, until: '2026-11-21T08:05:00.000Z' } });
  const refused = assert.rejects(lease.acquire(), { code: 'LEASE_HELD' });
  await answer('lease:acquire', { type: 'error', payload: { code: 'LEASE_HELD', message: 'ben' } });
  await refused;
  assert.equal(lease.state.value, 'free');
  const asked = lease.acquire();
  await answer('lease:acquire', held(7));
  await asked;
  assert.deepEqual([lease.state.value, lease.fence], ['held', 7]);
  for (let minute = 0; minute < 3; minute++) {
    for (let part = 0; part < 6; part++) {
      await w.clock.run(10_000);
      w.socket.say({ type: 'pong', payload: {} });
    }
    assert.deepEqual(w.socket.inbox.filter(({ type }) => type === 'lease:renew').map(({ payload }) => payload), [{ resource, fence: 7 }]);
    await answer('lease:renew', held(7));
  }
  again();
  await answer('lease:renew', held(7));
  assert.equal(lease.state.value, 'held');
  await say({ type: 'lease:lost', payload: { resource, fence: 6 } });
  assert.equal(lease.state.value, 'held', 'an earlier one');
  await say({ type: 'lease:lost', payload: { resource, fence: 7 } });
  assert.deepEqual([lease.state.value, lease.fence], ['lost', null]);
  await say(held(9));
  const passing = lease.pass('ben');
  await answer('lease:pass', { type: 'lease:held', payload: { resource: 'Task/a%20b', fence: 10, until: '' } });
  await passing;
  assert.deepEqual([lease.state.value, lease.fence], ['free', null]);
  await say(held(11));
  lease.close();
  assert.deepEqual(w.socket.take('lease:release').map(({ payload }) => payload.fence), [11]);
});
