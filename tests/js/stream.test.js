/**
 * A stream of events in place of a socket: the client over it is the client over a socket.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RealtimeClient } from '../../static/realtime.js';
import { settle, world } from './world.js';

/** A client whose sockets are refused, and a server that streams. */
async function streaming({ refuse = true, getToken = async () => 't1', life, transports = ['ws', 'sse'] } = {}) {
  const w = world();
  const stream = { posts: [], opened: 0 };
  if (refuse) w.onSocket = (socket) => queueMicrotask(() => socket.cut());
  w.respond = (url, init) => {
    if (url.pathname === '/sse') {
      stream.opened++;
      stream.headers = init.headers;
      const body = new ReadableStream({ start: (controller) => (stream.controller = controller) });
      init.signal.addEventListener('abort', () => (stream.aborted = true));
      return { ok: true, status: 200, body };
    }
    if (url.pathname.startsWith('/api/realtime/session/s1/')) {
      const frame = JSON.parse(init.body);
      stream.posts.push([url.pathname.split('/').at(-1), frame, init.headers.Authorization]);
      const status = stream.answer ?? 202;
      return { ok: status < 400, status, headers: new Map(), json: async () => ({ code: 'BAD_FRAME', detail: 'wrong' }) };
    }
    throw new TypeError('fetch failed');
  };
  stream.bytes = (bytes) => stream.controller.enqueue(bytes);
  stream.say = async (frame) => {
    stream.bytes(new TextEncoder().encode(`event: ${frame.type}\ndata: ${JSON.stringify(frame)}\n\n`));
    await rest();
  };
  const rt = new RealtimeClient('/ws', { env: w.env, maxReconnectAttempts: 1, transports, getToken }).connect();
  if (refuse) {
    for (let tries = 0; tries < 20 && stream.opened === 0; tries++) {
      await w.clock.run(1000);
      await rest();
    }
    assert.equal(stream.opened, 1);
    await stream.say({ type: 'welcome', payload: { session: 's1', connectionId: 'c1', userId: 'ada', epoch: 'e1', seq: 0, expiresAt: life && w.clock.now() + life } });
    await rest();
  }
  return { w, rt, stream };
}

/** What a stream of the platform does takes turns of the loop. */
const rest = async () => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  await settle();
};

test('after sockets that do not get through, channels and requests go over a stream and its session', async () => {
  const { w, rt, stream } = await streaming();
  assert.deepEqual([rt.status.value, rt.detail.value.transport, rt.detail.value.userId], ['connected', 'sse', 'ada']);
  assert.equal(stream.headers.Authorization, 'Bearer t1');
  const seen = [];
  rt.subscribe('entity:Task', ({ type, seq }) => seen.push([type, seq]), { snapshot: true });
  const acked = rt.request('mutate', { mid: 'm1' });
  await rest();
  const [subscribe, mutate] = stream.posts.filter(([action]) => action !== 'ping');
  assert.deepEqual([subscribe[0], subscribe[1].channel, mutate[0]], ['subscribe', 'entity:Task', 'mutate']);
  await stream.say({ type: 'subscribed', channel: 'entity:Task', requestId: subscribe[1].requestId, payload: { epoch: 'e1', seq: 1, recovered: false }, more: true });
  await stream.say({ type: 'pong', channel: 'entity:Task', payload: { epoch: 'e1', seq: 1 } });
  await stream.say({ type: 'ack', requestId: mutate[1].requestId, payload: { results: [] } });
  assert.equal((await acked).type, 'ack');
  assert.deepEqual(seen, [['subscribed', undefined], ['pong', undefined]]);
  rt.disconnect();
  await w.clock.run(0);
  assert.equal(stream.aborted, true, 'nothing stays open');
});

test('a running stream is sent the next token before the last one ends, and goes on', async () => {
  const asked = [];
  const getToken = async ({ refresh }) => (asked.push(refresh), `t${asked.filter(Boolean).length + 1}`);
  const { w, rt, stream } = await streaming({ getToken, life: 50_000 });
  const auths = () => stream.posts.filter(([action]) => action === 'auth');
  const before = asked.length;
  const turn = async (ms) => {
    for (let left = ms; left > 0; left -= 1000) {
      await w.clock.run(1000);
      await stream.say({ type: 'pong', payload: {} });
    }
  };
  await turn(38_000);
  assert.deepEqual(auths(), []);
  await turn(3000);
  assert.deepEqual(asked.slice(before), [true], 'asked once');
  const [[, frame, bearer], ...others] = auths();
  assert.deepEqual([frame.payload, bearer, others], [{ token: 't2' }, 'Bearer t2', []]);
  // Of the new end the server tells on the stream, and before that another one is sent.
  await stream.say({ type: 'auth:ok', requestId: frame.requestId, payload: { userId: 'ada', expiresAt: w.clock.now() + 50_000 } });
  await turn(41_000);
  assert.deepEqual(auths().map(([, { payload }]) => payload.token), ['t2', 't3']);
  const acked = rt.request('mutate', { mid: 'm1' });
  await rest();
  const [action, mutate, later] = stream.posts.at(-1);
  assert.deepEqual([action, later, stream.opened, rt.detail.value.connectionId], ['mutate', 'Bearer t3', 1, 'c1']);
  await stream.say({ type: 'ack', requestId: mutate.requestId, payload: { results: [] } });
  await acked;
  rt.disconnect();
});

test('a stream that does not take the token of another user gives way to one of that user', async () => {
  const { w, rt, stream } = await streaming({ getToken: undefined });
  stream.answer = 404;
  rt.setToken('bens');
  await rest();
  assert.deepEqual([stream.posts.at(-1)[0], stream.aborted], ['auth', true]);
  for (let tries = 0; tries < 20 && stream.opened === 1; tries++) {
    await w.clock.run(1000);
    await rest();
  }
  assert.deepEqual([stream.opened, stream.headers.Authorization], [2, 'Bearer bens']);
  rt.disconnect();
});

test('an event may come in pieces, also in the middle of a letter', async () => {
  const { rt, stream } = await streaming();
  const heard = [];
  rt.on('frame', (frame) => heard.push(frame.payload.text));
  const bytes = new TextEncoder().encode('data: {"type":"note","payload":{"text":"gr\u00fc\u00dfe"}}\n\n: still here\n\ndata: {"type":"note","payload":{"text":"two"}}\r\n\r\n');
  for (const byte of bytes) stream.bytes(Uint8Array.of(byte));
  for (let i = 0; i < 60; i++) await rest();
  assert.deepEqual(heard, ['gr\u00fc\u00dfe', 'two']);
  rt.disconnect();
});

test('a frame that the session refuses is refused as on a socket, and the stream goes on', async () => {
  const { rt, stream } = await streaming();
  stream.answer = 400;
  await assert.rejects(rt.request('mutate', { mid: 'm1' }), ({ code, message }) => code === 'BAD_FRAME' && message === 'wrong');
  assert.equal(rt.status.value, 'connected');
  // A session that is over ends the stream: what it was told may be lost.
  stream.answer = 404;
  await assert.rejects(rt.request('mutate', { mid: 'm2' }), ({ code }) => code === 'NO_ANSWER');
  assert.notEqual(rt.status.value, 'connected');
  rt.disconnect();
});

test('a stream looks for a socket now and then, and one that lives takes its place', async () => {
  const { w, rt } = await streaming();
  await w.clock.run(5000);
  const before = w.sockets.length;
  w.onSocket = null;
  await w.clock.run(20_000);
  assert.equal(w.sockets.length, before + 1, 'a look for a socket');
  w.socket.greet();
  assert.equal(rt.detail.value.transport, 'sse');
  await w.clock.run(5000);
  await w.clock.run(1000);
  await rest();
  w.socket.greet();
  w.socket.say({ type: 'pong', payload: {} });
  assert.deepEqual([rt.status.value, rt.detail.value.transport], ['connected', 'ws']);
  rt.disconnect();
});

test('a stream whose first event does not come is given up: a proxy keeps it back', async () => {
  const { w, rt, stream } = await streaming({ refuse: false });
  await rest();
  w.onSocket = (socket) => queueMicrotask(() => socket.cut());
  w.socket.cut();
  for (let tries = 0; tries < 20 && stream.opened === 0; tries++) {
    await w.clock.run(1000);
    await rest();
  }
  assert.equal(stream.opened, 1);
  await w.clock.run(5000);
  assert.equal(stream.aborted, true);
  assert.match(rt.detail.value.reason, /did not begin in time/);
  rt.disconnect();
});

test('a client without `ws` begins with a stream, comes back with one, and never opens a socket', async () => {
  const { w, rt, stream } = await streaming({ transports: ['sse'] });
  assert.deepEqual([rt.status.value, rt.detail.value.transport], ['connected', 'sse']);
  // Long enough to look for a socket many times.
  for (let minute = 0; minute < 15; minute++) {
    await w.clock.run(10_000);
    await stream.say({ type: 'pong', payload: {} });
  }
  assert.equal(stream.opened, 1);
  stream.controller.close();
  for (let tries = 0; tries < 20 && stream.opened === 1; tries++) {
    await rest();
    await w.clock.run(1000);
  }
  assert.deepEqual([stream.opened, w.sockets.length], [2, 0]);
  rt.disconnect();
});
