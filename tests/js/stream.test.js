/**
 * A stream of events in place of a socket: the client over it is the client over a socket.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RealtimeClient } from '../../static/realtime.js';
import { settle, world } from './world.js';

/** A client whose sockets are refused, and a server that streams. */
async function streaming({ refuse = true } = {}) {
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
      stream.posts.push([url.pathname.split('/').at(-1), frame]);
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
  const rt = new RealtimeClient('/ws', { env: w.env, maxReconnectAttempts: 1, transports: ['ws', 'sse'], getToken: async () => 't1' }).connect();
  if (refuse) {
    for (let tries = 0; tries < 20 && stream.opened === 0; tries++) {
      await w.clock.run(1000);
      await rest();
    }
    assert.equal(stream.opened, 1);
    await stream.say({ type: 'welcome', payload: { session: 's1', connectionId: 'c1', userId: 'ada', epoch: 'e1', seq: 0 } });
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
