/**
 * Tokens: read at each attempt, renewed before they end and after a refusal, once; and what the client tells of refusals.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { RealtimeClient } from '../../static/realtime.js';
import { signal } from '../../static/signal.js';
import { Timers } from '../../static/timers.js';
import { dueIn } from '../../static/tokens.js';
import { reply, settle, world } from './world.js';

const open = (options) => {
  const w = world();
  const rt = new RealtimeClient('/ws', { ...options, env: w.env }).connect();
  const { clock } = w;
  const sent = () => w.socket.take('auth').map(({ payload }) => payload.token);
  const greet = (payload) => {
    w.socket.greet({ userId: 'ada', ...payload });
    w.socket.say({ type: 'pong', payload: {} });
  };
  return { w, rt, clock, sent, greet };
};
/** Counts its answers: `t1`, and `t2!` after a refusal. */
const counter = () => {
  let count = 0;
  return ({ refresh }) => `t${++count}${refresh ? '!' : ''}`;
};

test('a token is renewed in the open connection at 80 % of its life, by the clock of the server', async () => {
  const { w, rt, clock, sent, greet } = open({ getToken: counter() });
  await settle();
  const hour = 3_600_000;
  greet({ expiresAt: new Date(hour).toISOString() });
  assert.deepEqual(sent(), ['t1']);
  const beat = async (ms) => {
    for (let left = ms; left > 0; left -= 20_000) {
      await clock.run(Math.min(20_000, left));
      w.socket.say({ type: 'pong', payload: {} });
    }
  };
  await beat(0.8 * hour - 1000);
  assert.deepEqual(sent(), []);
  await beat(1000);
  assert.deepEqual(sent(), ['t2!']);
  w.socket.say({ type: 'auth:ok', payload: { userId: 'ada', expiresAt: 2 * hour }, timestamp: 1.5 * hour });
  await beat(0.4 * hour);
  assert.deepEqual([sent(), w.sockets.length, rt.detail.value.userId], [['t3!'], 1, 'ada']);
});

test('the user is that of the token; while the server looks at it, they do not count as anonymous', async () => {
  const { w, rt, clock, sent } = open({ getToken: counter() });
  const users = [];
  rt.detail.listen(({ userId, everConnected }) => everConnected && users.at(-1) !== userId && users.push(userId));
  await settle();
  w.socket.greet();
  assert.deepEqual(sent(), ['t1']);
  w.socket.say({ type: 'auth:ok', payload: { userId: 'ada' } });
  assert.deepEqual(users, [null, 'ada']);
  w.socket.cut(1006);
  await clock.run(2000);
  w.socket.greet();
  w.socket.say({ type: 'auth:ok', payload: { userId: 'ada' } });
  assert.deepEqual([w.sockets.length, users], [2, [null, 'ada']], 'nothing in between');
});

test('a renewal that fails leaves the connection to the server, and the next attempt asks again', async () => {
  const asked = [];
  const getToken = async ({ refresh }) => {
    asked.push(refresh);
    if (asked.length === 2) throw new Error('no login');
    return `t${asked.length}`;
  };
  const { w, clock, sent, greet } = open({ getToken });
  await settle();
  greet({ expiresAt: 10_000 });
  await clock.run(8000);
  assert.deepEqual([asked, sent(), w.sockets.length], [[false, true], ['t1'], 1]);
  w.socket.cut(4401);
  await clock.run(2000);
  greet();
  assert.deepEqual([asked, sent()], [[false, true, true], ['t3']]);
});

test('a renewal that hangs keeps neither requests nor the next renewal waiting', async () => {
  const w = world();
  const asked = [];
  const getToken = ({ refresh }) => {
    asked.push(refresh);
    // The request for the second token is never answered.
    return asked.length === 2 ? new Promise(() => {}) : `t${asked.length}`;
  };
  const rt = new RealtimeClient('/ws', { env: w.env, getToken, transports: ['ws'] }).connect();
  await settle();
  w.socket.greet().say({ type: 'pong', payload: {} });
  w.socket.cut(4401);
  for (let seconds = 0; seconds < 60 && w.sockets.length < 2; seconds++) await w.clock.run(1000);
  assert.deepEqual([w.sockets.length, asked], [2, [false, true, true]]);
  w.socket.onopen?.({});
  assert.deepEqual(w.socket.take('auth').map(({ payload }) => payload.token), ['t3']);
  rt.disconnect();
});

test('a timer beyond what timers count to waits as long as it can', () => {
  const set = [];
  const timers = new Timers({ setTimeout: (_, ms) => set.push(ms), clearTimeout: () => {} });
  for (const ms of [5, 1e12, Infinity]) timers.set('x', ms, () => {});
  assert.deepEqual(set, [5, 2 ** 31 - 1, 2 ** 31 - 1]);
});

test('when the next token is due', () => {
  assert.equal(dueIn(1000, 0), 800);
  assert.equal(dueIn('1970-01-01T00:00:01Z', 0), 800);
  assert.equal(dueIn(0, 1000), 0);
  assert.equal(dueIn('never', 0), Infinity);
});

test('who needs a token while another one is fetched waits for that one', async () => {
  const asked = [];
  let give;
  const getToken = ({ refresh }) => (asked.push(refresh), refresh ? new Promise((resolve) => (give = resolve)) : 'old');
  const { w, clock, greet } = open({ getToken });
  const api = new Api('/api', { getToken, env: w.env });
  await settle();
  greet();
  const tokens = [];
  w.respond = (_, { headers }) => {
    tokens.push(headers.Authorization);
    return headers.Authorization === 'Bearer old' ? reply(401, {}) : reply(200, { items: [] });
  };
  const first = api.list('tasks');
  await settle();
  w.socket.cut(4401);
  await clock.run(2000);
  const second = api.list('notes');
  await settle();
  give('new');
  await Promise.all([first, second]);
  assert.deepEqual(asked.filter(Boolean), [true], 'one renewal for all');
  assert.deepEqual(tokens, ['Bearer old', 'Bearer new', 'Bearer new']);
});

test('a token that is set renews an open connection; refused there, it opens one more, and no third', async () => {
  const { w, rt, clock, sent, greet } = open();
  greet();
  rt.setToken('bens');
  assert.deepEqual(sent(), ['bens']);
  w.socket.cut(4401);
  await clock.run(2000);
  w.socket.onopen();
  assert.deepEqual([w.sockets.length, sent()], [2, ['bens']]);
  w.socket.cut(4401);
  await clock.run(120_000);
  assert.deepEqual([w.sockets.length, rt.status.value], [2, 'offline']);
  rt.setToken('cleos');
  await settle();
  w.socket.onopen();
  assert.deepEqual([w.sockets.length, sent()], [3, ['cleos']]);
});

test('another user begins anew: nothing of the last one is shown or resumed', async () => {
  const user = signal({ id: 'ada' });
  const auth = { user, token: () => user.peek() && `of ${user.peek().id}` };
  const { w, rt, clock, sent, greet } = open({ auth });
  const list = new ChannelSubscriber(rt, { env: w.env }).list('Task');
  const fill = async (rows) => {
    const [{ requestId, payload }] = w.socket.take('subscribe');
    assert.deepEqual(payload, { snapshot: true });
    const at = { epoch: 'e1', seq: 5, view: 'v' };
    w.socket.say({ type: 'subscribed', channel: 'entity:Task', requestId, payload: { ...at, recovered: false }, more: true });
    w.socket.say({ type: 'snapshot', channel: 'entity:Task', seq: 5, payload: { rows }, more: true });
    w.socket.say({ type: 'pong', channel: 'entity:Task', payload: at });
    await settle();
  };
  await settle();
  greet();
  await fill([{ id: 'adas' }]);
  assert.deepEqual([list.value, sent()], [[{ id: 'adas' }], ['of ada']]);
  user.value = { id: 'ada', name: 'Ada' };
  assert.equal(w.sockets.length, 1, 'the same user');
  user.value = { id: 'ben' };
  await settle();
  assert.deepEqual([list.value, w.sockets.length], [[], 2]);
  greet({ userId: 'ben' });
  await fill([{ id: 'bens' }]);
  assert.deepEqual([list.value, sent(), list.state.value], [[{ id: 'bens' }], ['of ben'], 'live']);
  user.value = null;
  await clock.run(0);
  assert.deepEqual([list.value, w.sockets.length], [[], 3]);
});

test('a poll whose token was refused asks for another', async () => {
  const asked = [];
  const { w, rt, clock } = open({ enabled: false, getToken: ({ refresh }) => (asked.push(refresh), refresh ? 'new' : 'old') });
  w.respond = (_, { headers }) => (headers.Authorization === 'Bearer old' ? reply(401, {}) : reply(200, { epoch: 'e1', seq: 1, channels: [], events: [] }));
  rt.subscribe('entity:Task', () => {}, { since: { epoch: 'e1', seq: 1, view: 'v' } });
  await clock.run(5000);
  assert.deepEqual([asked.slice(0, 2), rt.status.value], [[false, true], 'polling']);
});

test('errors and new beginnings are told to who asks, until they ask no longer', async () => {
  const { w, rt, greet } = open();
  const told = [];
  const stops = [rt.on('error', ({ code, channel }) => told.push([code, channel])), rt.on('resync', (...about) => told.push(about))];
  greet();
  rt.subscribe('entity:Task', () => {}, { snapshot: true });
  const [{ requestId }] = w.socket.take('subscribe');
  w.socket.say({ type: 'subscribed', channel: 'entity:Task', requestId, payload: { epoch: 'e1', seq: 1, view: 'v', recovered: false } });
  w.socket.say({ type: 'resync', channel: 'entity:Task', payload: { epoch: 'e1', seq: 2, view: 'v', reason: 'rights' }, more: true });
  w.socket.say({ type: 'error', payload: { code: 'RATE_LIMITED', message: 'slower' } });
  for (const stop of stops) stop();
  w.socket.say({ type: 'error', payload: { code: 'OVERLOADED' } });
  assert.deepEqual(told, [['entity:Task', 'rights'], ['RATE_LIMITED', undefined]]);
});

test('a token is renewed when the server says that it ends soon', async () => {
  const { w, sent, greet } = open({ getToken: counter() });
  await settle();
  greet({ expiresAt: 1e13 });
  assert.deepEqual(sent(), ['t1']);
  w.socket.say({ type: 'auth:expiring', payload: { expiresAt: 1e13 } });
  await settle();
  assert.deepEqual(sent(), ['t2!']);
});

test('a token of another user opens a connection of its own, whether the server closes this one or not', async () => {
  const { w, rt, sent, greet } = open();
  greet();
  rt.setToken('bens');
  const [{ requestId }] = w.socket.inbox.filter(({ type }) => type === 'auth');
  w.socket.say({ type: 'error', requestId, payload: { code: 'UNAUTHENTICATED' } });
  await settle();
  assert.equal(w.sockets.length, 2);
  w.socket.onopen();
  assert.deepEqual(sent(), ['bens']);
  w.socket.say({ type: 'error', payload: { code: 'UNAUTHENTICATED' } });
  assert.equal(w.sockets.length, 2);
});

test('a token that is set while the connection opens is the one it begins with, and null takes it back', async () => {
  for (const [token, auths] of [['two', [{ token: 'two' }]], [null, []]]) {
    const w = world();
    const rt = new RealtimeClient('/ws', { env: w.env });
    rt.setToken('one');
    rt.connect();
    await w.clock.run(0);
    rt.setToken(token);
    // A request over HTTP does not use it up.
    w.respond = () => reply(200, { entities: [] });
    await rt.api.schema();
    assert.equal(w.requests[0].headers.Authorization, token ? 'Bearer two' : undefined);
    await w.clock.run(10);
    assert.equal(w.sockets.filter(({ closedWith }) => closedWith === null).length, 1);
    w.socket.greet();
    await w.clock.run(10);
    assert.deepEqual(w.socket.take('auth').map(({ payload }) => payload), auths);
    rt.disconnect();
  }
});

test('a token that is taken back while the line is gone takes the rows along', async () => {
  const w = world();
  const rt = new RealtimeClient('/ws', { env: w.env });
  rt.setToken('of ada');
  rt.connect();
  const list = new ChannelSubscriber(rt, { env: w.env }).list('Task', { initial: { items: [{ id: 'a' }], next: null, epoch: 'e1', seq: 7, view: 'v' } });
  await w.clock.run(0);
  w.socket.greet();
  w.socket.cut();
  await settle();
  assert.deepEqual([list.value.length, list.state.value], [1, 'stale']);
  rt.setToken(null);
  await settle();
  assert.deepEqual([list.value, list.state.value], [[], 'loading']);
  await w.clock.run(10);
  w.socket.greet();
  assert.deepEqual(w.socket.take('subscribe').map(({ payload }) => payload), [{ snapshot: true }]);
  rt.disconnect();
});

test('the same token once more opens no other socket', async () => {
  const w = world();
  const rt = new RealtimeClient('/ws', { env: w.env });
  rt.setToken('one');
  rt.connect();
  await w.clock.run(0);
  for (let time = 0; time < 20; time++) rt.setToken('one');
  await w.clock.run(10);
  assert.equal(w.sockets.length, 1);
  rt.disconnect();
});
