/**
 * How long the server asked to wait: in both forms of `Retry-After`, in every place that reads it, and whatever happens on the page
 * meanwhile.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { retryAfter } from '../../static/later.js';
import { OptimisticManager } from '../../static/optimistic.js';
import { RealtimeClient } from '../../static/realtime.js';
import { reply, settle, world } from './world.js';

const NOW = Date.UTC(2026, 10, 29, 10, 0, 0);
const asked = (text) => retryAfter(reply(503, {}, text === undefined ? {} : { 'Retry-After': text }), NOW);

test('`Retry-After` is seconds or a date in any of its three ways; anything else counts as none', () => {
  const waits = [
    ['0', 0],
    ['7', 7000],
    [' 120 ', 120_000],
    ['Sun, 29 Nov 2026 10:00:30 GMT', 30_000],
    ['Sunday, 29-Nov-26 10:00:30 GMT', 30_000],
    ['Sun Nov 29 10:00:30 2026', 30_000],
    ['Sun, 29 Nov 2026 09:00:00 GMT', 0],
    ['Sun, 29 Nov 2099 10:00:00 GMT', 3_600_000],
    ['99999999999999999999', 3_600_000],
  ];
  for (const [text, wait] of waits) assert.equal(asked(text), wait, text);
  for (const text of [undefined, '', '-5', '1.5', '1e3', 'soon', '7 seconds', 'Infinity', 'Sun, 99 Foo 2026 10:00:30 GMT']) assert.equal(asked(text), undefined, text);
});

/** The date that lies so many milliseconds ahead. */
const at = (w, ms) => new Date(w.clock.now() + ms).toUTCString();

test('a request is repeated at the date that the server named, and not at all without a date that can be read', async () => {
  const w = world();
  const api = new Api('/api', { env: w.env });
  const date = at(w, 30_000);
  w.respond = () => reply(503, { code: 'OVERLOADED' }, { 'Retry-After': date });
  api.create('tasks', {}).catch(() => {});
  await w.clock.run(29_999);
  assert.equal(w.requests.length, 1);
  await w.clock.run(1);
  assert.equal(w.requests.length, 2);
  w.respond = () => reply(503, { code: 'OVERLOADED' }, { 'Retry-After': 'soon' });
  const error = await api.create('tasks', {}).catch((problem) => problem);
  assert.deepEqual([error.status, error.after], [503, 0]);
});

/** A page whose socket does not get through, and that polls. */
async function polling(options = { enabled: false }) {
  const w = world();
  const rt = new RealtimeClient('/ws', { env: w.env, transports: ['ws', 'poll'], ...options }).connect();
  w.respond = ({ pathname }) => {
    if (pathname === '/api/schema') return reply(200, { entities: [{ name: 'Task', plural: 'tasks', fields: [] }] });
    if (pathname === '/api/tasks') return reply(200, { epoch: 'e1', view: 'v', seq: 1, items: [], next: null });
    return reply(200, { epoch: 'e1', seq: 1, channels: [{ channel: 'entity:Task', view: 'v', recovered: true }], events: [] });
  };
  const list = new ChannelSubscriber(rt, { env: w.env }).list('Task');
  await w.clock.run(10);
  assert.equal(list.state.value, 'live');
  return { w, rt, list };
}

test('polls wait until the date that the server named, and neither a look at the page nor a new list makes them come sooner', async () => {
  const { w, rt } = await polling();
  const date = at(w, 60_000);
  w.respond = () => reply(503, {}, { 'Retry-After': date });
  await w.clock.run(20_000);
  const before = w.requests.length;
  w.env.window.fire('focus');
  rt.subscribe('entity:Note', () => {});
  rt.disconnect();
  rt.connect();
  await w.clock.run(39_000);
  assert.equal(w.requests.length, before);
  await w.clock.run(2000);
  assert.ok(w.requests.length > before);
  rt.disconnect();
});

test('a look at the page, and `reconnectNow`, shorten our own back-off, and not what a `drain` asked for', async () => {
  const w = world();
  const rt = new RealtimeClient('/ws', { env: w.env }).connect();
  const wakes = [() => w.env.window.fire('online'), () => w.env.document.fire('visibilitychange'), () => rt.reconnectNow()];
  for (const wake of wakes) {
    w.socket.greet().say({ type: 'pong', payload: {} });
    w.socket.cut();
    const sockets = w.sockets.length;
    wake();
    assert.equal(w.sockets.length, sockets + 1, 'our own');
    w.socket.greet().say({ type: 'pong', payload: {} });
    w.socket.say({ type: 'drain', payload: { reconnectInMs: 9000 } });
    w.socket.cut(1012);
    await w.clock.run(4000);
    wake();
    assert.deepEqual([w.sockets.length, rt.detail.value.nextRetryAt], [sockets + 1, w.clock.time + 5000]);
    await w.clock.run(4999);
    wake();
    assert.equal(w.sockets.length, sockets + 1);
    await w.clock.run(1);
    assert.equal(w.sockets.length, sockets + 2);
  }
  rt.disconnect();
});

test('a page that comes out of the back/forward cache waits for what a `drain` asked, and keeps a refused token in mind', async () => {
  const w = world();
  const asked = [];
  const rt = new RealtimeClient('/ws', { env: w.env, getToken: async ({ refresh }) => (asked.push(refresh), 't') }).connect();
  await settle();
  w.socket.greet().say({ type: 'drain', payload: { reconnectInMs: 9000 } });
  w.socket.cut(4401);
  w.env.window.fire('pagehide', { persisted: true });
  await w.clock.run(3000);
  w.env.window.fire('pageshow');
  await w.clock.run(5999);
  assert.equal(w.sockets.length, 1);
  await w.clock.run(1);
  assert.deepEqual([w.sockets.length, asked], [2, [false, true]]);
  rt.disconnect();
});

test('a stream that is refused is tried again no sooner than its answer says', async () => {
  const w = world();
  const opened = [];
  w.onSocket = (socket) => queueMicrotask(() => socket.cut());
  w.respond = (url) => {
    if (url.pathname !== '/sse') throw new TypeError('fetch failed');
    opened.push(w.clock.time);
    return reply(503, { code: 'OVERLOADED' }, { 'Retry-After': '120' });
  };
  const rt = new RealtimeClient('/ws', { env: w.env, maxReconnectAttempts: 1, transports: ['ws', 'sse'], shareConnection: false }).connect();
  await w.clock.run(10_000);
  assert.equal(opened.length, 1);
  const sockets = w.sockets.length;
  await w.clock.run(109_000);
  assert.equal(w.sockets.length, sockets);
  await w.clock.run(20_000);
  assert.equal(w.sockets.length, sockets + 1);
  rt.disconnect();
});

test('changes wait as long as the server asked, also when a connection comes meanwhile', async () => {
  const w = world();
  let posts = 0;
  w.respond = ({ pathname }) => {
    if (pathname === '/api/schema') return reply(200, { entities: [] });
    posts += 1;
    return reply(429, { code: 'RATE_LIMITED' }, { 'Retry-After': '60' });
  };
  const rt = new RealtimeClient('/ws', { env: w.env });
  const db = new OptimisticManager(new Api('/api', { env: w.env }), rt, { env: w.env });
  db.update('Task', 'a', { title: 'x' });
  await w.clock.run(40_000);
  assert.equal(posts, 1, 'although an answer may take only half a minute');
  rt.connect();
  w.socket.greet().say({ type: 'pong', payload: {} });
  await w.clock.run(19_000);
  assert.equal(posts, 1);
  await w.clock.run(2000);
  assert.equal(posts, 2);
  db.close();
  rt.disconnect();
});

test('a client with `poll` alone opens neither a socket nor a stream', async () => {
  const { w, rt } = await polling({ transports: ['poll'] });
  await w.clock.run(120_000);
  assert.deepEqual([rt.status.value, w.sockets.length], ['polling', 0]);
  assert.deepEqual([...new Set(w.requests.map(({ url }) => url.pathname))].sort(), ['/api/changes', '/api/schema', '/api/tasks']);
  rt.disconnect();
});
