/**
 * Who is here: what goes out, what comes in, and what stays on the screen while the connection is away.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PresenceManager } from '../../static/presence.js';
import { RealtimeClient } from '../../static/realtime.js';
import { settle, world } from './world.js';

const ADA = { id: 'ada', name: 'Ada', state: 'active', connections: 1, metadata: {} };
const BEN = { id: 'ben', name: 'Ben', state: 'active', connections: 1, metadata: {} };
const CLEO = { id: 'cleo', name: 'Cleo', state: 'idle', connections: 2, metadata: { field: 'title' } };
const CHANNEL = 'presence:Task/7';

function page() {
  const w = world();
  const rt = new RealtimeClient('/ws', { env: w.env }).connect();
  const presence = new PresenceManager(rt, { env: w.env });
  const greet = (userId = 'ada') => w.socket.greet({ userId });
  const take = () => {
    const found = w.socket.inbox.filter(({ type }) => type !== 'ping');
    w.socket.inbox = [];
    return found.map(({ type, channel, payload }) => [type, channel, payload]);
  };
  const say = async (type, users, extra = {}) => {
    w.socket.say({ type, channel: CHANNEL, payload: { users }, ...extra });
    await settle();
  };
  const refuse = async (code) => {
    const { requestId } = w.socket.inbox.filter(({ channel }) => channel === CHANNEL).at(-1);
    w.socket.say({ type: 'error', channel: CHANNEL, requestId, payload: { code, message: 'no', retry: false } });
    await settle();
  };
  return { w, rt, presence, greet, take, say, refuse };
}
const ids = (list) => list.value.map(({ id }) => id).join();

test('a user joins, sees the others come, change and go, and leaves', async () => {
  const { presence, greet, take, say } = page();
  const here = presence.join('Task/7', { field: null, place: 1 });
  greet();
  assert.deepEqual(take(), [['presence:join', CHANNEL, { metadata: { place: 1 } }]]);
  await say('presence:sync', [ADA], { more: true });
  assert.deepEqual([here.state.value, ids(here.users)], ['joining', ''], 'a list in parts is shown as one');
  await say('presence:sync', [BEN]);
  assert.deepEqual([here.state.value, ids(here.users), ids(here.others)], ['live', 'ada,ben', 'ben']);
  const seen = [];
  here.others.listen((users) => seen.push(users.map(({ id, state }) => `${id} ${state}`).join()));
  await say('presence:join', [CLEO]);
  await say('presence:update', [{ ...BEN, state: 'away' }]);
  await say('presence:update', [{ ...BEN, state: 'away' }]);
  await say('presence:leave', [{ id: 'cleo' }]);
  assert.deepEqual(seen, ['ben active,cleo idle', 'ben away,cleo idle', 'ben away']);
  here.leave();
  here.leave();
  assert.deepEqual([take(), here.state.value, ids(here.users)], [[['presence:leave', CHANNEL, undefined]], 'left', '']);
});

test('many updates are few frames, and the last one is told', async () => {
  const { w, presence, greet, take, say } = page();
  greet();
  const here = presence.join('Task/7');
  await say('presence:sync', [ADA]);
  take();
  for (let x = 1; x <= 50; x++) {
    here.update({ x, field: x < 50 ? 'title' : null });
    await w.clock.run(10);
  }
  await w.clock.run(1000);
  const frames = take();
  assert.ok(frames.length <= 7, `${frames.length} frames`);
  assert.deepEqual(frames[0], ['presence:update', CHANNEL, { metadata: { x: 1, field: 'title' } }]);
  assert.deepEqual(frames.at(-1)[2].metadata, { x: 50, field: null });
});

test('during a reconnect the list stays; the next one replaces it, without a step in between', async () => {
  const { w, rt, presence, greet, take, say } = page();
  greet();
  const here = presence.join('Task/7', { a: 1 });
  await say('presence:sync', [ADA, BEN, CLEO]);
  here.update({ b: 2 });
  const before = here.others.value;
  const seen = [];
  here.others.listen((users) => seen.push(users.length));
  w.socket.cut(1006);
  assert.deepEqual([here.state.value, ids(here.users)], ['stale', 'ada,ben,cleo']);
  here.update({ c: 3 });
  rt.reconnectNow();
  greet();
  assert.deepEqual(take(), [['presence:join', CHANNEL, { metadata: { a: 1, b: 2, c: 3 } }]], 'all of it again');
  await say('presence:sync', [ADA, BEN, CLEO]);
  assert.deepEqual([here.state.value, here.others.value === before, seen], ['live', true, []], 'equal users are the same objects');
  await say('presence:sync', [ADA, CLEO]);
  assert.deepEqual([ids(here.others), seen], ['cleo', [1]]);
});

test('who may not join watches, and who may not watch sees nothing', async () => {
  const { w, rt, presence, greet, take, say, refuse } = page();
  greet(null);
  const here = presence.join('Task/7', { a: 1 });
  await refuse('UNAUTHENTICATED');
  assert.deepEqual(take().map(([type]) => type), ['presence:join', 'subscribe']);
  await say('presence:sync', [BEN]);
  assert.deepEqual([here.state.value, ids(here.others), here.error.value.code], ['live', 'ben', 'UNAUTHENTICATED']);
  here.update({ a: 2 });
  await w.clock.run(1000);
  assert.deepEqual(take(), [], 'it is not there, so it tells nothing');
  w.socket.cut(1006);
  rt.reconnectNow();
  greet('ada');
  assert.deepEqual([ids(here.others), take().map(([type]) => type)], ['', ['presence:join']], 'what one user saw is not for the next');
  await say('presence:sync', [ADA]);
  assert.equal(here.error.value, null);
  w.socket.say({ type: 'error', channel: CHANNEL, payload: { code: 'FORBIDDEN_CHANNEL', message: 'no longer yours' } });
  await settle();
  await refuse('FORBIDDEN_CHANNEL');
  assert.deepEqual([here.state.value, ids(here.users), rt.detail.value.reason], ['denied', '', '']);
});

test('a guest of a shared token does not see itself among the others', async () => {
  const { w, rt, presence, take, say } = page();
  w.socket.greet({ userId: null, guest: 'guest:1' });
  const here = presence.join('Task/7');
  assert.deepEqual(take().map(([type]) => type), ['presence:join']);
  await say('presence:sync', [{ ...ADA, id: 'guest:1', name: 'Guest 1' }, BEN]);
  assert.deepEqual([rt.detail.value.guest, ids(here.users), ids(here.others)], ['guest:1', 'guest:1,ben', 'ben']);
});

test('who holds the lease is shown, and no longer when it ends or the page may not see it', async () => {
  const { w, presence, greet, say, refuse } = page();
  greet();
  const here = presence.join('Task/7');
  const seen = [];
  here.lease.listen((lease) => seen.push(lease?.holder ?? null));
  const moves = async (type, lease) => {
    w.socket.say({ type, channel: CHANNEL, payload: { users: [ADA, BEN], lease } });
    await settle();
  };
  await moves('presence:sync', { holder: 'ben' });
  await moves('presence:lease', { holder: 'ben' });
  await moves('presence:lease', { holder: 'cleo' });
  await moves('presence:lease', null);
  await moves('presence:lease', { holder: 'ben' });
  await say('presence:update', [BEN]);
  await say('presence:sync', [ADA, BEN]);
  await moves('presence:lease', { holder: 'ben' });
  // The answer to a join whose long list follows says nothing of the lease.
  await say('presence:sync', [], { more: true });
  await moves('presence:sync', { holder: 'ben' });
  w.socket.say({ type: 'error', channel: CHANNEL, payload: { code: 'FORBIDDEN_CHANNEL', message: 'no longer yours' } });
  await settle();
  await refuse('FORBIDDEN_CHANNEL');
  assert.deepEqual([here.state.value, seen], ['denied', ['ben', 'cleo', null, 'ben', null, 'ben', null]]);
});

test('a page that only counts is told of numbers, and of names once it asks for them', async () => {
  const { w, rt, presence, greet, take, say } = page();
  greet();
  const here = presence.count('Task/7');
  assert.deepEqual(take(), [['subscribe', CHANNEL, { count: true }]]);
  const seen = [];
  here.counts.listen(({ users, connections }) => seen.push([users, connections]));
  const count = async (users, connections) => {
    w.socket.say({ type: 'presence:count', channel: CHANNEL, payload: { users, connections } });
    await settle();
  };
  await count(12, 14);
  await count(12, 14);
  assert.deepEqual([here.state.value, ids(here.users), seen], ['live', '', [[12, 14]]]);
  w.socket.cut(1006);
  assert.deepEqual([here.state.value, here.counts.value.users], ['stale', 12]);
  rt.reconnectNow();
  greet();
  assert.deepEqual(take(), [['subscribe', CHANNEL, { count: true }]]);
  await count(13, 15);
  presence.watch('Task/7');
  assert.deepEqual(take(), [['subscribe', CHANNEL, undefined]]);
  await say('presence:sync', [ADA, CLEO]);
  await count(99, 99);
  assert.deepEqual([ids(here.users), seen], ['ada,cleo', [[12, 14], [13, 15], [2, 3]]], 'the list says how many');
  here.leave();
  here.leave();
  assert.deepEqual([take(), here.counts.value], [[['unsubscribe', CHANNEL, undefined]], { users: 0, connections: 0 }]);
});

test('a list in parts that a cut connection left unfinished is forgotten', async () => {
  const { w, rt, presence, greet, say } = page();
  greet();
  const here = presence.join('Task/7');
  await say('presence:sync', [], { more: true });
  await say('presence:sync', [CLEO], { more: true });
  w.socket.cut(1006);
  rt.reconnectNow();
  greet();
  await say('presence:sync', [], { more: true });
  await say('presence:sync', [ADA], { more: true });
  await say('presence:sync', [BEN]);
  assert.equal(ids(here.users), 'ada,ben');
});

test('two joins are one presence; a watcher who joins is there', async () => {
  const { presence, greet, take, say } = page();
  greet();
  const [watching, one, two] = [presence.watch('Task/7'), presence.join('Task/7', { a: 1 }), presence.join('Task/7', { b: 2 })];
  assert.ok(watching === one && one === two);
  assert.deepEqual(take().map(([type]) => type), ['subscribe', 'presence:join', 'presence:update']);
  await say('presence:sync', [ADA]);
  one.leave();
  two.leave();
  assert.deepEqual(take(), []);
  watching.leave();
  assert.deepEqual(take().map(([type]) => type), ['presence:leave']);
  const odd = presence.join('User/ada löwe');
  assert.equal(take()[0][1], 'presence:User/ada%20l%C3%B6we');
  presence.close();
  assert.deepEqual([odd.state.value, take().map(([type]) => type)], ['left', ['presence:leave']]);
});

test('a hidden page is away, and a user at work is heard of now and then', async () => {
  const { w, presence, greet, take, say } = page();
  greet();
  presence.join('Task/7');
  await say('presence:sync', [ADA]);
  take();
  w.env.document.visibilityState = 'hidden';
  w.env.document.fire('visibilitychange');
  await w.clock.run(200);
  w.env.document.visibilityState = 'visible';
  w.env.document.fire('visibilitychange');
  await w.clock.run(200);
  for (let key = 0; key < 20; key++) w.env.window.fire('keydown');
  assert.deepEqual(take().map(([type, , payload]) => [type, payload?.state]), [['presence:update', 'away'], ['presence:update', undefined], ['presence:heartbeat', undefined]], 'who says nothing more becomes idle');
  presence.close();
  const listening = w.env.window.listening;
  w.env.window.fire('keydown');
  assert.ok(listening < 8);
});
