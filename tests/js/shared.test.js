/**
 * One connection for all tabs of a user: who holds it, what happens when that tab ends, crashes or freezes, and what each tab sees.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OptimisticManager } from '../../static/optimistic.js';
import { PresenceManager } from '../../static/presence.js';
import { RealtimeClient } from '../../static/realtime.js';
import { Room } from '../../static/room.js';
import { signal } from '../../static/signal.js';
import { busy, story } from './shared_story.js';
import { Browser } from './tabs.js';
import { settle, world } from './world.js';

/** Tabs of a browser in front of sockets whose other end is the test. */
function tabs() {
  const w = world();
  const browser = new Browser(w);
  const open = (options = {}, url = '/ws?as=ada', change = {}) => {
    const tab = browser.tab();
    const rt = new RealtimeClient(url, { env: { ...tab.env, ...change }, shareConnection: true, linger: 0, ...options }).connect();
    return { ...tab, rt };
  };
  return { w, open };
}
const sharing = (list) => list.map(({ rt }) => rt.detail.value.sharing);
const transports = (list) => list.map(({ rt }) => rt.detail.value.transport);
/** What a tab hears of a channel. */
function hears({ rt }, channel, options) {
  const frames = [];
  rt.subscribe(channel, ({ type, seq, payload }) => frames.push(type === 'snapshot' ? `snapshot ${payload.rows.length}` : seq ? `${type} ${seq}` : type), options);
  return frames;
}

const TASKS = 'entity:Task';
const answer = (socket, asked, payload, more) => socket.say({ type: 'subscribed', channel: asked.channel, requestId: asked.requestId, payload: { epoch: 'e1', seq: 5, view: 'v', ...payload }, more });
const event = (socket, seq, prev) => socket.say({ type: 'entity:updated', channel: TASKS, seq, prev, payload: { id: 'a' } });
const close = (socket, seq) => socket.say({ type: 'pong', channel: TASKS, payload: { epoch: 'e1', seq, view: 'v' } });

test('three tabs open one socket, and each is connected', async () => {
  const { w, open } = tabs();
  const all = [open(), open(), open()];
  await settle();
  assert.equal(w.sockets.length, 1);
  w.socket.greet({ userId: 'ada', connectionId: 'c7', limits: { frameBytes: 1000, messagesPerSecond: 100 } });
  await settle();
  assert.deepEqual(sharing(all), ['leads', 'follows', 'follows']);
  assert.deepEqual(transports(all), ['ws', 'ws', 'ws']);
  assert.deepEqual(all.map(({ rt }) => [rt.detail.value.userId, rt.detail.value.connectionId]), Array(3).fill(['ada', 'c7']));
  assert.ok(all.every(({ rt }) => rt.frameBytes < 1000), 'a frame may grow by the ids of the hub');
  // One more, later.
  const late = open();
  await settle();
  assert.equal(late.rt.connected.value, true);
  assert.equal(w.sockets.length, 1);
});

test('a channel that several tabs follow is subscribed once, and each event is told to all of them', async () => {
  const { w, open } = tabs();
  const [one, two] = [open(), open()];
  await settle();
  w.socket.greet();
  await settle();
  const first = hears(one, TASKS, { snapshot: true });
  const [asked, ...no] = w.socket.take('subscribe');
  assert.deepEqual([asked.payload, no], [{ snapshot: true }, []]);
  answer(w.socket, asked, { recovered: false }, true);
  // It waits until the rows are there.
  const second = hears(two, TASKS, { since: { epoch: 'e1', seq: 9, view: 'v' } });
  await settle();
  assert.deepEqual(w.socket.take('subscribe'), []);
  w.socket.say({ type: 'snapshot', channel: TASKS, seq: 5, payload: { rows: [{ id: 'a' }] }, more: true });
  close(w.socket, 6);
  await settle();
  assert.deepEqual(first, ['subscribed', 'snapshot 1', 'pong']);
  // From where the first one stands, which misses nothing then, and the second one hears nothing twice.
  const [again] = w.socket.take('subscribe');
  assert.deepEqual(again.payload, { since: { epoch: 'e1', seq: 6, view: 'v' } });
  answer(w.socket, again, { recovered: true, seq: 10 });
  for (const seq of [7, 8, 9, 10]) event(w.socket, seq, seq - 1);
  close(w.socket, 10);
  await settle();
  assert.deepEqual(first.slice(3), ['entity:updated 7', 'entity:updated 8', 'entity:updated 9', 'entity:updated 10', 'pong']);
  assert.deepEqual(second, ['subscribed', 'entity:updated 10', 'pong']);
  event(w.socket, 11, 10);
  await settle();
  assert.deepEqual([first.at(-1), second.at(-1)], Array(2).fill('entity:updated 11'));
});

test('positions of a run of the server that is over are asked one by one, for one may be of a history that was lost', async () => {
  const { w, open } = tabs();
  const all = [open(), open(), open()];
  await settle();
  w.socket.greet();
  await settle();
  const since = (seq) => ({ since: { epoch: 'e0', seq, view: 'v' } });
  const [first, second, third] = [9, 7, 9].map((seq, at) => hears(all[at], TASKS, since(seq)));
  await settle();
  const asked = [];
  for (const recovered of [false, true, false]) {
    const [question, ...no] = w.socket.take('subscribe');
    assert.deepEqual(no, []);
    asked.push(question.payload.since.seq);
    answer(w.socket, question, { recovered, seq: 8 });
    close(w.socket, 8);
    await settle();
    if (asked.length === 2) break;
  }
  assert.deepEqual([asked, w.socket.take('subscribe').map(({ payload }) => payload.since.seq)], [[9, 7], [9]]);
  assert.deepEqual([first, second, third], [['subscribed', 'pong', 'pong'], ['subscribed', 'pong'], []]);
});

test('rows that one tab asks for are a resync for the others', async () => {
  const { w, open } = tabs();
  const [one, two] = [open(), open()];
  await settle();
  w.socket.greet();
  await settle();
  const first = hears(one, TASKS, { snapshot: true, part: { sort: '-v', limit: 3 } });
  const [asked] = w.socket.take('subscribe');
  answer(w.socket, asked, { recovered: false, limited: true });
  close(w.socket, 5);
  const second = hears(two, TASKS, { snapshot: true });
  await settle();
  // The server would remember the limit.
  const [gone] = w.socket.take('unsubscribe');
  const [again] = w.socket.take('subscribe');
  assert.deepEqual([gone.channel, again.payload], [TASKS, { snapshot: true }]);
  answer(w.socket, again, { recovered: false, seq: 8 }, true);
  w.socket.say({ type: 'snapshot', channel: TASKS, seq: 8, payload: { rows: [{ id: 'a' }] }, more: true });
  close(w.socket, 8);
  await settle();
  assert.deepEqual(first.slice(2), ['resync', 'snapshot 1', 'pong']);
  assert.deepEqual(second, ['subscribed', 'snapshot 1', 'pong']);
});

test('a tab leaves a channel, and the others keep it; with the last one it ends', async () => {
  const { w, open } = tabs();
  const all = [open(), open()];
  await settle();
  w.socket.greet();
  await settle();
  const leaves = all.map(({ rt }) => rt.subscribe(TASKS, () => {}));
  await settle();
  const [asked] = w.socket.take('subscribe');
  answer(w.socket, asked, { recovered: false });
  await w.clock.run(10);
  assert.deepEqual(w.socket.take('subscribe'), [], 'the second one is told where the channel stands');
  leaves[0]();
  await w.clock.run(10);
  assert.deepEqual(w.socket.take('unsubscribe'), []);
  leaves[1]();
  await w.clock.run(10);
  assert.equal(w.socket.take('unsubscribe').length, 1);
});

test('a refusal that ends a channel ends it for all; another one concerns who asked', async () => {
  const { w, open } = tabs();
  const [one, two] = [open(), open()];
  await settle();
  w.socket.greet();
  await settle();
  const first = hears(one, TASKS, { snapshot: true });
  answer(w.socket, w.socket.take('subscribe')[0], { recovered: false });
  close(w.socket, 5);
  const second = hears(two, TASKS, { snapshot: true });
  await settle();
  const [asked] = w.socket.take('subscribe');
  w.socket.say({ type: 'error', channel: TASKS, requestId: asked.requestId, payload: { code: 'BAD_QUERY' } });
  await settle();
  assert.deepEqual([first, second], [['subscribed', 'pong'], ['error']]);
  const [third] = [hears(open(), TASKS, { snapshot: true })];
  await settle();
  const [last] = w.socket.take('subscribe');
  w.socket.say({ type: 'error', channel: TASKS, requestId: last.requestId, payload: { code: 'UNKNOWN_ENTITY' } });
  await settle();
  assert.deepEqual([first.at(-1), third], ['error', ['error']]);
});

test('a tab asks for rows and is gone before they come: the others get them as a resync', async () => {
  const { w, open } = tabs();
  const [one, two] = [open(), open()];
  await settle();
  w.socket.greet();
  await settle();
  const heard = hears(one, TASKS, { snapshot: true });
  answer(w.socket, w.socket.take('subscribe')[0], { recovered: false });
  close(w.socket, 5);
  hears(two, TASKS, { snapshot: true });
  await settle();
  const [asked] = w.socket.take('subscribe');
  two.rt.disconnect();
  await settle();
  answer(w.socket, asked, { recovered: false, seq: 8 }, true);
  w.socket.say({ type: 'snapshot', channel: TASKS, seq: 8, payload: { rows: [{ id: 'a' }] }, more: true });
  close(w.socket, 8);
  await settle();
  assert.deepEqual(heard.slice(2), ['resync', 'snapshot 1', 'pong']);
});

test('rows that are on their way while another tab asks are asked for again', async () => {
  const { w, open } = tabs();
  const [one, two] = [open(), open()];
  await settle();
  w.socket.greet();
  await settle();
  const heard = hears(one, TASKS, { snapshot: true });
  answer(w.socket, w.socket.take('subscribe')[0], { recovered: false });
  close(w.socket, 5);
  const second = hears(two, TASKS, { since: { epoch: 'e1', seq: 5, view: 'v' } });
  await settle();
  // The server had begun when the question arrived, and gives up what it had begun.
  w.socket.say({ type: 'resync', channel: TASKS, payload: { epoch: 'e1', seq: 6, view: 'v', reason: 'rights' }, more: true });
  w.socket.say({ type: 'snapshot', channel: TASKS, seq: 6, payload: { rows: [{ id: 'a' }] }, more: true });
  answer(w.socket, w.socket.take('subscribe')[0], { recovered: true, seq: 6 });
  close(w.socket, 6);
  await settle();
  assert.deepEqual([heard.slice(2), second], [['resync', 'snapshot 1'], ['subscribed', 'pong']], 'half of the rows are not all of them');
  const [again] = w.socket.take('subscribe');
  assert.deepEqual(again.payload, { snapshot: true });
  answer(w.socket, again, { recovered: false, seq: 6 }, true);
  w.socket.say({ type: 'snapshot', channel: TASKS, seq: 6, payload: { rows: [{ id: 'a' }, { id: 'b' }] }, more: true });
  close(w.socket, 6);
  await settle();
  assert.deepEqual(heard.slice(4), ['resync', 'snapshot 2', 'pong']);
  assert.deepEqual(second.slice(2), ['resync', 'snapshot 2', 'pong']);
});

test('rows that cannot be asked for again end the channel of the tab that waits for them', async () => {
  const { w, open } = tabs();
  const [one, two] = [open(), open()];
  await settle();
  w.socket.greet();
  await settle();
  const heard = hears(one, TASKS, { snapshot: true });
  answer(w.socket, w.socket.take('subscribe')[0], { recovered: false });
  close(w.socket, 5);
  hears(two, TASKS, { since: { epoch: 'e1', seq: 5, view: 'v' } });
  await settle();
  w.socket.say({ type: 'resync', channel: TASKS, payload: { epoch: 'e1', seq: 6, view: 'v', reason: 'rights' }, more: true });
  answer(w.socket, w.socket.take('subscribe')[0], { recovered: true, seq: 6 });
  close(w.socket, 6);
  await settle();
  const [again] = w.socket.take('subscribe');
  w.socket.say({ type: 'error', channel: TASKS, requestId: again.requestId, payload: { code: 'OVERLOADED', retry: true, retryAfterMs: 100 } });
  await settle();
  await w.clock.run(5000);
  assert.equal(heard.at(-1), 'resync');
  assert.deepEqual(w.socket.take('subscribe').map(({ payload }) => payload), [{ since: { epoch: 'e1', seq: 5, view: 'v' } }], 'it asks itself, later');
});

test('answers go to the tab that asked, though all tabs use the same ids', async () => {
  const { w, open } = tabs();
  const all = [open(), open()];
  await settle();
  w.socket.greet();
  await settle();
  const acks = Promise.all(all.map(({ rt }, at) => rt.request('mutate', { op: 'create', at })));
  await settle();
  const asked = w.socket.take('mutate');
  for (const { requestId, payload } of asked.reverse()) w.socket.say({ type: 'ack', requestId, payload: { at: payload.at } });
  assert.deepEqual((await acks).map(({ payload }) => payload.at), [0, 1]);
});

test('a change whose answer was lost with the tab that holds the connection is sent again under its id', async () => {
  const { w, open } = tabs();
  const [one, two] = [open(), open()];
  await settle();
  w.socket.greet({ limits: { frameBytes: 65_536 } });
  await settle();
  const db = new OptimisticManager(null, two.rt, { env: two.env });
  const made = db.create('Task', { title: 'x' });
  await w.clock.run(10);
  const [first] = w.socket.take('mutate');
  assert.ok(first.payload.mid ?? first.payload.ops[0].mid);
  one.close();
  await w.clock.run(1500);
  assert.equal(made.state, 'sent');
  w.socket.greet({ limits: { frameBytes: 65_536 } });
  await w.clock.run(5000);
  const [second] = w.socket.take('mutate');
  assert.deepEqual(second.payload, first.payload);
  w.socket.say({ type: 'ack', requestId: second.requestId, payload: { epoch: 'e1', seq: 7, results: [{ status: 201, id: made.id, record: { id: made.id, title: 'x' } }] } });
  assert.equal((await made).title, 'x');
  db.close();
});

for (const how of ['disconnect', 'close'])
  test(`the tab with the connection ends (${how}): another one takes over, and channels go on from their positions`, async () => {
    const { w, open } = tabs();
    const all = [open(), open(), open()];
    await settle();
    w.socket.greet();
    await settle();
    const heard = hears(all[1], TASKS, { snapshot: true });
    await settle();
    answer(w.socket, w.socket.take('subscribe')[0], { recovered: false });
    close(w.socket, 5);
    event(w.socket, 6, 5);
    await settle();
    if (how === 'close') all[0].close();
    else all[0].rt.disconnect();
    await w.clock.run(1500);
    assert.equal(w.sockets.length, 2);
    w.socket.greet();
    await settle();
    assert.deepEqual(sharing(all.slice(1)).sort(), ['follows', 'leads']);
    const [asked] = w.socket.take('subscribe');
    assert.deepEqual(asked.payload, { since: { epoch: 'e1', seq: 6, view: 'v' } });
    answer(w.socket, asked, { recovered: true, seq: 7 });
    event(w.socket, 7, 6);
    close(w.socket, 7);
    await settle();
    assert.deepEqual(heard, ['subscribed', 'pong', 'entity:updated 6', 'subscribed', 'entity:updated 7', 'pong']);
  });

test('the connection is lost: every tab hears the code, and they come back on one', async () => {
  const { w, open } = tabs();
  const all = [open(), open()];
  await settle();
  w.socket.greet();
  await settle();
  w.socket.say({ type: 'drain', payload: { reconnectInMs: 5000 } });
  w.socket.cut(1012, 'restart');
  await settle();
  assert.deepEqual(all.map(({ rt }) => rt.detail.value.code), [1012, 1012]);
  await w.clock.run(4900);
  assert.equal(w.sockets.length, 1, 'each keeps away as long as the server asked for');
  await w.clock.run(3000);
  assert.equal(w.sockets.length, 2);
  w.socket.greet();
  await settle();
  assert.deepEqual(transports(all), ['ws', 'ws']);
});

test('the tab with the connection freezes: the others see it by a sign of life and open their own', async () => {
  const { w, open } = tabs();
  const all = [open(), open()];
  await settle();
  w.socket.greet();
  await settle();
  all[0].freeze();
  await w.clock.run(9000);
  assert.deepEqual(transports(all), ['ws', 'ws'], 'it has not been asked for long enough');
  await w.clock.run(5000);
  assert.equal(w.sockets.length, 2);
  w.socket.greet();
  await settle();
  assert.deepEqual([all[1].rt.detail.value.sharing, all[1].rt.connected.value], ['alone', true]);
  // A tab that is opened now waits for the greeting of the frozen one, and no longer.
  const late = open();
  await w.clock.run(1900);
  assert.equal(w.sockets.length, 2);
  await w.clock.run(200);
  assert.equal(w.sockets.length, 3);
  late.rt.disconnect();
  assert.equal(w.socket.closedWith, 1000);
});

test('a follower whose own timers came late does not blame the tab with the connection', async () => {
  const { w, open } = tabs();
  const all = [open(), open()];
  await settle();
  w.socket.greet();
  await settle();
  await w.clock.sleep(120_000);
  w.socket.say({ type: 'pong', payload: {} });
  await w.clock.run(4000);
  assert.equal(all[1].rt.detail.value.sharing, 'follows');
});

test('tabs share only where their users are known to be the same', async () => {
  const { w, open } = tabs();
  const user = signal({ id: 'ada' });
  const auth = (user) => ({ auth: { user, token: () => `token of ${user.value.id}` } });
  const other = signal({ id: 'ben' });
  open(auth(user), '/ws');
  const second = open(auth(user), '/ws');
  const ben = open(auth(other), '/ws');
  await settle();
  assert.equal(w.sockets.length, 2);
  for (const socket of w.sockets) {
    socket.greet({ userId: null });
    const [{ payload }] = socket.take('auth');
    socket.say({ type: 'auth:ok', payload: { userId: payload.token.slice('token of '.length) } });
  }
  await settle();
  assert.deepEqual([second.rt.detail.value.userId, ben.rt.detail.value.userId], ['ada', 'ben']);
  // Another user logs in: the tab leaves the others.
  user.value = { id: 'ben' };
  await settle();
  await w.clock.run(100);
  assert.equal(ben.rt.detail.value.sharing, 'leads');
  assert.equal(second.rt.detail.value.userId, 'ben');
  // A token or a cookie alone may be another user's in each tab.
  const tokens = [open({ getToken: () => 'x' }, '/ws'), open({}, '/ws')];
  const before = w.sockets.length;
  await settle();
  assert.deepEqual([sharing(tokens), w.sockets.length - before], [['alone', 'alone'], 2]);
});

test('without locks a tab has its own connection, and says so', async () => {
  const { w, open } = tabs();
  const all = [open({}, undefined, { locks: null }), open({}, undefined, { BroadcastChannel: null })];
  await settle();
  assert.deepEqual([sharing(all), w.sockets.length], [['alone', 'alone'], 2]);
});

test('a tab for which there is no room has its own connection', async () => {
  const { w, open } = tabs();
  const all = [open(), open()];
  await settle();
  w.socket.greet();
  await settle();
  hears(all[1], TASKS, { snapshot: true });
  await settle();
  const [{ requestId }] = w.socket.take('subscribe');
  w.socket.say({ type: 'error', channel: TASKS, requestId, payload: { code: 'SUBSCRIPTION_LIMIT', retry: false } });
  await w.clock.run(1500);
  assert.deepEqual([sharing(all), w.sockets.length], [['leads', 'alone'], 2]);
  w.socket.greet();
  assert.equal(w.socket.take('subscribe').length, 1);
});

test('presence is that of the user: a tab that leaves or is hidden does not end it for another', async () => {
  const { w, open } = tabs();
  const [one, two] = [open(), open()];
  await settle();
  w.socket.greet({ userId: 'ada' });
  await settle();
  const [here, there] = [one, two].map(({ rt, env }) => new PresenceManager(rt, { env: { ...env, document: null } }).join('lobby', { field: 'title' }));
  await settle();
  const joins = w.socket.take('presence:join');
  assert.equal(joins.length, 2);
  for (const { requestId, channel } of joins) w.socket.say({ type: 'presence:sync', channel, requestId, payload: { users: [{ id: 'ada' }, { id: 'ben' }] } });
  await settle();
  assert.deepEqual([here, there].map(({ others }) => others.value.map(({ id }) => id)), [['ben'], ['ben']]);
  here.update({ field: null }, 'away');
  await settle();
  assert.deepEqual(w.socket.take('presence:update').map(({ payload }) => payload.state), ['active'], 'the other tab is active');
  w.socket.say({ type: 'presence:leave', channel: 'presence:lobby', payload: { users: [{ id: 'ben' }] } });
  await settle();
  assert.deepEqual([here, there].map(({ others }) => others.value), [[], []]);
  there.leave();
  await settle();
  assert.deepEqual([w.socket.take('presence:leave'), w.socket.take('presence:join')], [[], []]);
  assert.deepEqual(w.socket.take('presence:update').map(({ payload }) => payload), [{ metadata: {}, state: 'away' }], 'the other tab told last, and is away');
  here.leave();
  await settle();
  assert.equal(w.socket.take('presence:leave').length, 1);
});

test('what is shown of a user is what a tab told last, until that tab leaves', async () => {
  const { w, open } = tabs();
  const three = [open(), open(), open()];
  await settle();
  w.socket.greet({ userId: 'ada' });
  await settle();
  const [a, b, c] = three.map(({ rt, env }, at) => new PresenceManager(rt, { env: { ...env, document: null } }).join('lobby', { field: 'abc'[at] }));
  await settle();
  a.update({ note: 'a', field: null });
  await settle();
  w.socket.take('presence:join');
  b.leave();
  await settle();
  assert.deepEqual(w.socket.take('presence:join'), [], 'it told less lately than another');
  a.leave();
  await settle();
  assert.deepEqual(w.socket.take('presence:join').map(({ payload }) => payload.metadata), [{ field: 'c' }]);
  c.leave();
  await settle();
  assert.equal(w.socket.take('presence:leave').length, 1);
});

test('a tab that is closed leaves what it was in, though it says nothing', async () => {
  const { w, open } = tabs();
  const [one, two] = [open(), open()];
  await settle();
  w.socket.greet({ userId: 'ada' });
  await settle();
  hears(two, TASKS);
  new PresenceManager(two.rt, { env: { ...two.env, document: null } }).join('lobby');
  await settle();
  assert.equal(w.socket.take('presence:join').length, 1);
  two.close();
  await settle();
  assert.deepEqual([w.socket.take('presence:leave').length, w.socket.take('unsubscribe').length], [1, 1]);
  assert.equal(one.rt.connected.value, true);
});

test('a room that is refused leaves nothing behind', async () => {
  const { w, open } = tabs();
  const one = open();
  await settle();
  w.socket.greet({ userId: 'ada' });
  await settle();
  hears(one, 'room:secret');
  await settle();
  const [asked] = w.socket.take('subscribe');
  w.socket.say({ type: 'error', channel: asked.channel, requestId: asked.requestId, payload: { code: 'FORBIDDEN_CHANNEL' } });
  await settle();
  one.rt.disconnect();
  await settle();
  assert.deepEqual([w.socket.take('unsubscribe'), one.rt.detail.value.sharing], [[], null]);
});

test('two tabs join at once, and the server answers the later one: both see who is there', async () => {
  const { w, open } = tabs();
  const both = [open(), open()];
  await settle();
  w.socket.greet({ userId: 'ada' });
  await settle();
  const joined = both.map(({ rt, env }) => new PresenceManager(rt, { env: { ...env, document: null } }).join('lobby', {}));
  await settle();
  const { requestId, channel } = w.socket.take('presence:join').at(-1);
  w.socket.say({ type: 'presence:sync', channel, requestId, payload: { users: [{ id: 'ada' }, { id: 'ben' }] } });
  await settle();
  assert.deepEqual(joined.map(({ state, users }) => [state.value, users.value.length]), Array(2).fill(['live', 2]));
});

test('a message into a room reaches the other tabs too, once, and not the one that sent it', async () => {
  const { w, open } = tabs();
  const both = [open(), open()];
  await settle();
  w.socket.greet({ userId: 'ada' });
  await settle();
  const heard = [[], []];
  const rooms = both.map(({ rt }, at) => {
    const room = new Room(rt, 'lobby');
    room.on('*', (data, by, event) => heard[at].push([event, data, by]));
    return room;
  });
  await settle();
  for (const { requestId, channel } of w.socket.take('subscribe')) w.socket.say({ type: 'subscribed', channel, requestId, payload: {} });
  const sent = rooms[1].send('typing', { on: true });
  await settle();
  const [{ requestId, payload }] = w.socket.take('message');
  assert.equal(payload.echo, false);
  w.socket.say({ type: 'ack', requestId, payload: {} });
  await sent;
  w.socket.say({ type: 'message', channel: 'room:lobby', by: 'ben', payload: { event: 'hello', data: null } });
  await settle();
  assert.deepEqual(heard, [[['typing', { on: true }, 'ada'], ['hello', null, 'ben']], [['hello', null, 'ben']]]);
  rooms[0].close();
  await settle();
  assert.deepEqual(w.socket.take('unsubscribe'), []);
  rooms[1].close();
  await settle();
  assert.equal(w.socket.take('unsubscribe').length, 1);
});

test('stories: tabs that come, go, crash and freeze show what the server shows', { timeout: 600_000 }, async () => {
  const totals = {};
  const stories = Number(process.env.SEEDS ?? 60);
  for (let seed = 1; seed <= stories; seed++) await story(seed, totals);
  if (stories >= 60) busy(totals);
});
