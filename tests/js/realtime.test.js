import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../../static/client.js';
import { delay } from '../../static/env.js';
import { RealtimeClient } from '../../static/realtime.js';
import { reply, world } from './world.js';

function client(options = {}, worldOptions = {}) {
  const w = world(worldOptions);
  const rt = new RealtimeClient('/ws', { ...options, env: w.env });
  return { ...w, w, rt };
}

/** Connected, trusted, with nothing unread. */
function connected(options, worldOptions) {
  const c = client(options, worldOptions);
  c.rt.connect();
  c.w.sockets[0].greet().say({ type: 'pong', payload: {} });
  c.w.sockets[0].inbox = [];
  return c;
}

const event = (seq, prev, extra = {}) => ({
  type: 'entity:updated',
  channel: 'entity:Task',
  seq,
  prev,
  payload: { id: `t${seq}` },
  ...extra,
});
const subscribed = (frame, payload, extra = {}) => ({
  type: 'subscribed',
  channel: frame.channel,
  requestId: frame.requestId,
  payload: { epoch: 'e1', view: 'v', ...payload },
  ...extra,
});

// Another schema.

test('it tells of another schema, whether it was connected when it came or not', () => {
  const { rt, w } = client();
  const told = [];
  rt.generation.listen((generation) => told.push(generation));
  rt.connect();
  w.socket.say({ type: 'connected', payload: { connectionId: 'c', generation: 3 } });
  w.socket.say({ type: 'schema:changed', payload: { generation: 4 } });
  assert.deepEqual(told, [3, 4]);
});

test('a channel whose entity is gone is refused, and asked for again when the schema changes', () => {
  const { rt, w } = connected();
  const frames = [];
  rt.subscribe('entity:Task', ({ type, payload }) => frames.push(payload?.code ?? type));
  const [asked] = w.socket.inbox.splice(0);
  w.socket.say(subscribed(asked, { seq: 4, recovered: false }));
  w.socket.say({ type: 'schema:changed', payload: { generation: 4 } });
  w.socket.say({ type: 'error', channel: 'entity:Task', payload: { code: 'UNKNOWN_ENTITY', message: 'gone', retry: false } });
  assert.deepEqual(frames, ['subscribed', 'UNKNOWN_ENTITY']);
  assert.deepEqual(w.socket.inbox, []);
  w.socket.say({ type: 'schema:changed', payload: { generation: 5 } });
  assert.deepEqual(
    w.socket.inbox.map(({ type, channel }) => [type, channel]),
    [['subscribe', 'entity:Task']],
  );
});

test('a channel that was closed is asked for again when rights change, and no channel that is live is', () => {
  const { rt, w } = connected();
  rt.subscribe('entity:Task', () => {});
  rt.subscribe('entity:Secret', () => {}, { snapshot: true });
  const [task, secret] = w.socket.take('subscribe');
  w.socket.say(subscribed(task, { seq: 4, recovered: false }));
  w.socket.say({ type: 'rights:changed', payload: {} });
  assert.deepEqual(w.socket.take('subscribe'), [], 'what waits for its answer will have it');
  const { requestId } = secret;
  w.socket.say({ type: 'error', channel: 'entity:Secret', requestId, payload: { code: 'UNKNOWN_ENTITY' } });
  w.socket.say({ type: 'rights:changed', payload: {} });
  const again = w.socket.take('subscribe').map(({ channel, payload }) => [channel, payload]);
  assert.deepEqual(again, [['entity:Secret', { snapshot: true }]]);
});

// Back-off.

test('the delay is full jitter between 250 ms and a doubling, capped spread', () => {
  const at = (attempt, random) => delay(attempt, { base: 1000, max: 30_000, random: () => random });
  assert.equal(at(1, 0), 250);
  assert.equal(at(1, 1), 1250);
  assert.equal(at(4, 1), 8250);
  assert.equal(at(50, 1), 30_250);
  assert.equal(at(5000, 0.5), 15_250);
});

test('what the server asks for is a floor of the next delay, once', async () => {
  const { rt, clock, w } = connected();
  w.socket.say({ type: 'drain', payload: { reconnectInMs: 9000 } });
  w.socket.cut(1012);
  assert.equal(rt.detail.value.nextRetryAt, clock.time + 9000);
  await clock.run(9000);
  assert.equal(w.sockets.length, 2);
  w.socket.cut();
  assert.equal(rt.detail.value.nextRetryAt, clock.time + 250 + 1000);
});

test('an error about the connection sets the floor and explains the loss', () => {
  const { rt, clock, w } = connected();
  w.socket.say({ type: 'error', payload: { code: 'RATE_LIMITED', message: 'too many frames', retryAfterMs: 7000 } });
  w.socket.cut(4029, 'too many messages');
  assert.equal(rt.detail.value.nextRetryAt, clock.time + 7000);
  assert.equal(rt.detail.value.reason, 'too many frames');
});

test('attempts are counted until the connection has proved itself, not until it opens', async () => {
  const { rt, clock, w } = client();
  rt.connect();
  for (let attempt = 1; attempt <= 4; attempt++) {
    w.socket.greet();
    w.socket.cut();
    assert.equal(rt.detail.value.attempt, attempt);
    await clock.run(rt.detail.value.nextRetryAt - clock.time);
  }
  w.socket.greet().say({ type: 'pong', payload: {} });
  assert.equal(rt.detail.value.attempt, 0);
  w.socket.cut();
  await clock.run(2000);
  w.socket.greet();
  await clock.run(4999);
  assert.equal(rt.detail.value.attempt, 1);
  await clock.run(1);
  assert.equal(rt.detail.value.attempt, 0);
});

test('it never gives up: after the last counted attempt it says offline and goes on at the cap', async () => {
  const { rt, clock, w } = client({ maxReconnectAttempts: 3, transports: ['ws', 'poll'] });
  rt.connect();
  const states = [];
  rt.status.listen((status) => states.push(status));
  for (let i = 0; i < 20; i++) {
    w.socket.cut();
    await clock.run(rt.detail.value.nextRetryAt - clock.time);
  }
  assert.equal(w.sockets.length, 21);
  assert.deepEqual(states, ['offline']);
  w.socket.greet();
  assert.equal(rt.status.value, 'connected');
});

test('an attempt without an answer is given up after the time limit', async () => {
  const { rt, clock, w } = client();
  rt.connect();
  const first = w.socket;
  first.onopen({});
  await clock.run(10_000);
  assert.equal(first.closedWith, 1000);
  assert.match(rt.detail.value.reason, /no answer/);
  await clock.run(2000);
  assert.equal(w.sockets.length, 2);
  assert.equal(first.onmessage, null, 'a dead socket cannot touch the next one');
});

test('close codes: which come back and which do not', async () => {
  for (const code of [1000, 1001, 1005, 1006, 1011, 1012, 1013, 4000, 4008, 4013, 4029, 4099, 3000]) {
    const { rt, clock, w } = connected();
    w.socket.cut(code);
    await clock.run(2000);
    assert.equal(w.sockets.length, 2, `${code} reconnects`);
    rt.disconnect();
  }
  for (const code of [1009, 4400, 4401, 4403, 4429, 4499]) {
    const { rt, clock, w, env } = connected();
    w.socket.cut(code, 'no');
    await clock.run(120_000);
    env.window.fire('focus');
    rt.reconnectNow();
    assert.equal(w.sockets.length, 1, `${code} stays away`);
    assert.equal(rt.status.value, 'offline');
    assert.deepEqual([rt.detail.value.code, rt.detail.value.reason], [code, 'no']);
    rt.connect();
    assert.equal(w.sockets.length, 2, 'until it is asked to');
  }
});

test('4401 fetches a fresh token once', async () => {
  const asked = [];
  const getToken = async ({ refresh }) => (asked.push(refresh), `t${asked.length}`);
  const { rt, clock, w } = client({ getToken });
  rt.connect();
  await clock.run(0);
  w.socket.onopen({});
  assert.deepEqual(
    w.socket.take('auth').map(({ payload }) => payload.token),
    ['t1'],
  );
  w.socket.cut(4401);
  await clock.run(2000);
  w.socket.onopen({});
  assert.deepEqual(
    w.socket.take('auth').map(({ payload }) => payload.token),
    ['t2'],
  );
  w.socket.cut(4401);
  await clock.run(60_000);
  assert.deepEqual(asked, [false, true]);
  assert.equal(rt.status.value, 'offline');
});

test('a disconnect while the token is being fetched opens nothing', async () => {
  let give;
  const { rt, clock, w } = client({ getToken: () => new Promise((resolve) => (give = resolve)) });
  rt.connect();
  rt.disconnect();
  give('late');
  await clock.run(60_000);
  assert.equal(w.sockets.length, 0);
  assert.equal(clock.pending, 0);
});

test('disconnect leaves no timer and no listener behind', async () => {
  const { rt, clock, w, env } = connected();
  rt.subscribe('entity:Task', () => {});
  rt.disconnect();
  assert.equal(w.socket.closedWith, 1000);
  assert.equal(clock.pending, 0);
  assert.equal(env.window.listening + env.document.listening, 0);
  assert.equal(rt.status.value, 'offline');
  assert.equal(rt.connected.value, false);
});

test('options that the server sends apply, unless the user set them', () => {
  const { rt, clock, w } = client({ maxReconnectInterval: 500 }, { random: () => 1 });
  rt.connect();
  w.socket.greet({ reconnectInterval: 40_000, maxReconnectInterval: 90_000 });
  w.socket.cut();
  assert.equal(rt.detail.value.nextRetryAt - clock.time, 750);
});

test('a relative address becomes a socket address', () => {
  const { rt, w } = client();
  rt.connect().connect();
  assert.deepEqual(
    w.sockets.map(({ url }) => url),
    ['ws://test.local/ws'],
  );
});

test('frames that are not frames are ignored', () => {
  const { rt, w } = connected();
  for (const text of [
    '',
    '{',
    'null',
    '[]',
    '7',
    '{"type":1}',
    '{"type":"pong"}',
    '{"type":"x","channel":"entity:Task"}',
  ])
    w.socket.say(text);
  assert.equal(rt.status.value, 'connected');
});

// Liveness.

test('silence: a ping after the heartbeat, the end ten seconds later', async () => {
  const { rt, clock, w } = connected();
  await clock.run(24_999);
  assert.equal(w.socket.take('ping').length, 0);
  await clock.run(1);
  assert.equal(w.socket.take('ping').length, 1);
  await clock.run(9_999);
  assert.equal(rt.connected.value, true);
  await clock.run(1);
  assert.equal(rt.connected.value, false);
  assert.match(rt.detail.value.reason, /silent/);
});

test('any frame counts as life', async () => {
  const { rt, clock, w } = connected();
  for (let i = 0; i < 20; i++) {
    await clock.run(20_000);
    w.socket.say({ type: 'whatever' });
  }
  assert.equal(w.socket.take('ping').length, 0);
  assert.equal(rt.connected.value, true);
});

test('after a sleep, what lies unread may still be read before the server counts as dead', async () => {
  const { rt, clock, w } = connected();
  await clock.sleep(600_000);
  assert.equal(rt.connected.value, true);
  w.socket.say({ type: 'pong', payload: {} });
  await clock.run(1500);
  assert.equal(rt.connected.value, true);
  await clock.sleep(600_000);
  await clock.run(1000);
  assert.equal(rt.connected.value, false);
});

test('waking up: an open socket must answer within two seconds', async () => {
  for (const [target, name] of [
    ['window', 'focus'],
    ['window', 'online'],
    ['window', 'offline'],
    ['document', 'visibilitychange'],
    ['window', 'pageshow'],
  ]) {
    const { rt, clock, w, env } = connected();
    env[target].fire(name);
    env[target].fire(name);
    assert.equal(w.socket.take('ping').length, 1, name);
    await clock.run(1999);
    assert.equal(rt.connected.value, true);
    await clock.run(1);
    assert.equal(rt.connected.value, false, name);
  }
  const { rt, clock, w, env } = connected();
  env.window.fire('focus');
  w.socket.say({ type: 'pong', payload: {} });
  await clock.run(3000);
  assert.equal(rt.connected.value, true);
});

test('waking up: a page that is still loading over a slow line is not cut, and a dead line is', async () => {
  const { rt, clock, w } = connected();
  rt.subscribe('entity:Task', () => {}, { snapshot: true });
  const [asked] = w.socket.take('subscribe');
  w.socket.say(subscribed(asked, { seq: 4, recovered: false }, { more: true }));
  w.env.window.fire('online');
  // A page of 256 KiB at 20 KB/s.
  await clock.run(13_000);
  assert.equal(rt.connected.value, true);
  w.socket.say({ type: 'snapshot', channel: 'entity:Task', seq: 4, payload: { rows: [] }, more: true });
  w.env.window.fire('online');
  await clock.run(20_000);
  assert.equal(rt.connected.value, false);
  assert.equal(rt.detail.value.reason, 'no answer after waking up');
});

test('waking up: a client that waits tries at once, from the first delay', async () => {
  const { rt, clock, w, env } = client();
  rt.connect();
  for (let i = 0; i < 6; i++) {
    w.socket.cut();
    await clock.run(rt.detail.value.nextRetryAt - clock.time);
  }
  w.socket.cut();
  env.document.visibilityState = 'hidden';
  env.document.fire('visibilitychange');
  assert.equal(w.sockets.length, 7, 'not while hidden');
  env.document.visibilityState = 'visible';
  env.document.fire('visibilitychange');
  env.window.fire('focus');
  assert.equal(w.sockets.length, 8);
  assert.equal(rt.detail.value.attempt, 0);
});

test('the back/forward cache: closed on the way in, open again on the way out', async () => {
  const { rt, clock, w, env } = connected();
  env.window.fire('pagehide', { persisted: false });
  assert.equal(rt.connected.value, true);
  env.window.fire('pagehide', { persisted: true });
  assert.equal(w.socket.closedWith, 1000);
  await clock.run(60_000);
  assert.equal(w.sockets.length, 1);
  env.window.fire('pageshow', { persisted: true });
  assert.equal(w.sockets.length, 2);
});

// Subscriptions.

test('a channel asked for before connecting is subscribed after the greeting', () => {
  const { rt, w } = client();
  const states = [];
  rt.subscribe('entity:Task', () => {}, { onState: (state) => states.push(state) });
  rt.connect();
  w.socket.onopen({});
  assert.equal(w.socket.take('subscribe').length, 0);
  w.socket.greet();
  const [ask] = w.socket.take('subscribe');
  assert.equal(ask.channel, 'entity:Task');
  assert.equal(ask.payload, undefined);
  w.socket.say(subscribed(ask, { seq: 3 }));
  assert.deepEqual(states, ['live']);
});

test('listeners share a subscription; it lingers a second after the last one left', async () => {
  const { rt, clock, w } = connected();
  const seen = [];
  const offA = rt.subscribe('entity:Task', (frame) => seen.push(['a', frame.seq]));
  const offB = rt.subscribe('entity:Task', (frame) => seen.push(['b', frame.seq]));
  const asks = w.socket.take('subscribe');
  assert.equal(asks.length, 1);
  w.socket.say(subscribed(asks[0], { seq: 1 }));
  seen.length = 0;
  w.socket.say(event(2, 1));
  offA();
  offA();
  w.socket.say(event(3, 2));
  assert.deepEqual(seen, [
    ['a', 2],
    ['b', 2],
    ['b', 3],
  ]);
  offB();
  await clock.run(999);
  const offC = rt.subscribe('entity:Task', () => {});
  await clock.run(5000);
  assert.deepEqual(w.socket.take('unsubscribe'), [], 'a subscriber came back in time');
  assert.deepEqual(w.socket.take('subscribe'), []);
  offC();
  await clock.run(1000);
  assert.equal(w.socket.take('unsubscribe').length, 1);
});

test('after a cut every channel resumes from its own last unit end', async () => {
  const { rt, clock, w } = connected();
  rt.subscribe('entity:Task', () => {});
  rt.subscribe('entity:Project', () => {}, { snapshot: true });
  const [task, project] = w.socket.take('subscribe');
  assert.deepEqual(project.payload, { snapshot: true });
  w.socket.say(subscribed(task, { seq: 10 }));
  w.socket.say(subscribed(project, { seq: 10, recovered: false }, { more: true }));
  w.socket.say(event(11, 10));
  w.socket.say(event(12, 11, { more: true }));
  w.socket.cut();
  await clock.run(2000);
  w.socket.greet();
  const again = w.socket.take('subscribe');
  assert.deepEqual(again[0].payload, { since: { epoch: 'e1', seq: 11, view: 'v' } }, '12 was in the middle of a unit');
  assert.deepEqual(again[1].payload, { snapshot: true }, 'its snapshot was not complete');
});

test('a pong without channel moves every live channel, and only those', async () => {
  const { rt, clock, w } = connected();
  rt.subscribe('entity:Task', () => {});
  rt.subscribe('entity:Project', () => {}, { snapshot: true });
  const [task, project] = w.socket.take('subscribe');
  w.socket.say(subscribed(task, { seq: 10 }));
  w.socket.say(subscribed(project, { seq: 10, recovered: false }, { more: true }));
  w.socket.say({ type: 'pong', payload: { epoch: 'e1', seq: 90 } });
  w.socket.say({ type: 'pong', payload: {} });
  w.socket.say({ type: 'pong', payload: { epoch: 'e1', seq: 50 } });
  w.socket.say(event(91, 90));
  assert.equal(w.socket.take('subscribe').length, 0, 'no gap after quiet seqs');
  w.socket.cut();
  await clock.run(2000);
  w.socket.greet();
  const again = w.socket.take('subscribe');
  assert.equal(again[0].payload.since.seq, 91);
  assert.deepEqual(again[1].payload, { snapshot: true });
});

test('a gap is asked for again from the position; frames until the answer are not trusted', () => {
  const { rt, w } = connected();
  const seen = [];
  rt.subscribe('entity:Task', (frame) => frame.seq && seen.push(frame.seq));
  w.socket.say(subscribed(w.socket.take('subscribe')[0], { seq: 10 }));
  w.socket.say(event(11, 10));
  w.socket.say(event(13, 12));
  const [again] = w.socket.take('subscribe');
  assert.deepEqual(again.payload, { since: { epoch: 'e1', seq: 11, view: 'v' } });
  w.socket.say(event(14, 13));
  w.socket.say(subscribed({ ...again, requestId: 'another' }, { seq: 11, recovered: true }));
  assert.deepEqual(seen, [11]);
  w.socket.say(subscribed(again, { seq: 11, recovered: true }));
  for (const seq of [12, 13, 14]) w.socket.say(event(seq, seq - 1));
  w.socket.say({ type: 'pong', channel: 'entity:Task', payload: { epoch: 'e1', seq: 14, view: 'v' } });
  w.socket.say(event(15, 14));
  assert.deepEqual(seen, [11, 12, 13, 14, 15]);
  assert.equal(w.socket.take('subscribe').length, 0);
});

test('a gap that does not heal slows down and then starts from the rows', async () => {
  const { rt, clock, w } = connected();
  rt.subscribe('entity:Task', () => {}, { snapshot: true });
  w.socket.say(subscribed(w.socket.take('subscribe')[0], { seq: 1, recovered: false }, { more: true }));
  w.socket.say({ type: 'pong', channel: 'entity:Task', payload: { epoch: 'e1', seq: 1, view: 'v' } });
  w.socket.say(event(9, 8));
  w.socket.say(subscribed(w.socket.take('subscribe')[0], { seq: 1, recovered: true }));
  w.socket.say(event(9, 8));
  assert.equal(w.socket.take('subscribe').length, 0, 'the second time it waits');
  await clock.run(2000);
  const [second] = w.socket.take('subscribe');
  assert.ok(second.payload.since);
  w.socket.say(subscribed(second, { seq: 1, recovered: true }));
  w.socket.say(event(9, 8));
  await clock.run(5000);
  assert.deepEqual(w.socket.take('subscribe')[0].payload, { snapshot: true });
});

test('an event in the middle of a unit counts as seen but not as position', () => {
  const { rt, w } = connected();
  rt.subscribe('entity:Task', () => {});
  w.socket.say(subscribed(w.socket.take('subscribe')[0], { seq: 1 }));
  w.socket.say(event(2, 1, { more: true }));
  w.socket.say(event(3, 2, { more: true }));
  w.socket.say(event(5, 4));
  assert.equal(w.socket.take('subscribe')[0].payload.since.seq, 1);
});

test('while a snapshot comes in, its events are no position', async () => {
  const { rt, clock, w } = connected();
  rt.subscribe('entity:Task', () => {}, { snapshot: true });
  w.socket.say(subscribed(w.socket.take('subscribe')[0], { seq: 10, recovered: false }));
  w.socket.say({ type: 'pong', channel: 'entity:Task', payload: { epoch: 'e1', seq: 10, view: 'v' } });
  w.socket.say({
    type: 'resync',
    channel: 'entity:Task',
    payload: { epoch: 'e1', seq: 20, view: 'v', reason: 'lagged' },
    more: true,
  });
  w.socket.say(event(21, 20));
  w.socket.cut();
  await clock.run(2000);
  w.socket.greet();
  assert.equal(w.socket.take('subscribe')[0].payload.since.seq, 10);
});

test('channels of different age share one poll, and each gets only what it does not know', async () => {
  const { rt, clock, w } = connected();
  const seen = [];
  const follow = (name) => rt.subscribe(name, (frame) => frame.seq && seen.push(`${name} ${frame.seq}`));
  follow('entity:Task');
  follow('entity:Project');
  const [task, project] = w.socket.take('subscribe');
  w.socket.say(subscribed(task, { seq: 20 }));
  w.socket.say(subscribed(project, { seq: 10 }));
  const of = (channel, seq) => ({ ...event(seq, 0), channel });
  const both = ['entity:Task', 'entity:Project'].map((channel) => ({ channel, view: 'v', recovered: true }));
  w.respond = () =>
    reply(200, {
      epoch: 'e1',
      seq: 30,
      channels: both,
      errors: [],
      events: [of('entity:Project', 15), of('entity:Task', 18), of('entity:Task', 25)],
    });
  w.socket.cut();
  await clock.run(3000);
  assert.equal(w.requests[0].url.searchParams.get('since'), 'e1:10');
  assert.deepEqual(seen, ['entity:Task 25', 'entity:Project 15']);
});

test('an event without seq moves nothing and is delivered', () => {
  const { rt, w } = connected();
  const seen = [];
  rt.subscribe('entity:Task', (frame) => seen.push(frame.type));
  w.socket.say(subscribed(w.socket.take('subscribe')[0], { seq: 10 }));
  w.socket.say({ type: 'entity:deleted', channel: 'entity:Task', at: 50, more: true, payload: { id: 'x' } });
  w.socket.say(event(11, 10));
  assert.deepEqual(seen, ['subscribed', 'entity:deleted', 'entity:updated']);
  assert.equal(w.socket.take('subscribe').length, 0);
});

test('a refused channel says so; one that may come later is asked for again', async () => {
  const { rt, clock, w } = connected();
  const states = [];
  const watch = (name) =>
    rt.subscribe(name, (frame) => states.push([name, frame.payload.code]), {
      onState: (state) => states.push([name, state]),
    });
  watch('entity:Secret');
  watch('entity:51st');
  watch('entity:Busy');
  const [secret, last, busy] = w.socket.take('subscribe');
  const refuse = (ask, payload) =>
    w.socket.say({ type: 'error', channel: ask.channel, requestId: ask.requestId, payload });
  refuse(secret, { code: 'UNKNOWN_ENTITY', retry: false });
  refuse(last, { code: 'SUBSCRIPTION_LIMIT' });
  refuse(busy, { code: 'OVERLOADED', retry: true, retryAfterMs: 3000 });
  assert.deepEqual(states, [
    ['entity:Secret', 'UNKNOWN_ENTITY'],
    ['entity:Secret', 'denied'],
    ['entity:51st', 'SUBSCRIPTION_LIMIT'],
    ['entity:51st', 'error'],
  ]);
  await clock.run(2999);
  assert.equal(w.socket.take('subscribe').length, 0);
  await clock.run(1);
  assert.deepEqual(
    w.socket.take('subscribe').map(({ channel }) => channel),
    ['entity:Busy'],
  );
  assert.equal(rt.status.value, 'connected');
});

test('a position that the server cannot read leads to a fresh start', async () => {
  const { rt, clock, w } = connected();
  rt.subscribe('entity:Task', () => {}, { snapshot: true });
  w.socket.say(subscribed(w.socket.take('subscribe')[0], { seq: 1, recovered: false }));
  w.socket.say({ type: 'pong', channel: 'entity:Task', payload: { epoch: 'e1', seq: 1, view: 'v' } });
  w.socket.cut();
  await clock.run(2000);
  w.socket.greet();
  const [resume] = w.socket.take('subscribe');
  w.socket.say({
    type: 'error',
    requestId: resume.requestId,
    channel: 'entity:Task',
    payload: { code: 'BAD_POSITION', retry: false },
  });
  assert.deepEqual(w.socket.take('subscribe')[0].payload, { snapshot: true });
});

test('a listener that throws disturbs nobody', (t) => {
  t.mock.method(console, 'error', () => {});
  const { rt, w } = connected();
  const seen = [];
  rt.subscribe('entity:Task', () => {
    throw new Error('mine');
  });
  rt.subscribe('entity:Task', (frame) => seen.push(frame.type));
  w.socket.say(subscribed(w.socket.take('subscribe')[0], { seq: 1 }));
  w.socket.say(event(2, 1));
  assert.deepEqual(seen, ['subscribed', 'entity:updated']);
});

test('`connect` hands each option to the part that knows it', async () => {
  const w = world();
  const silent = { env: w.env, bridgeAfter: 500, connectTimeout: 200, reconnectInterval: 100, maxReconnectInterval: 100, maxReconnectAttempts: 1, transports: ['ws', 'poll'], apiBase: '/v2', ids: 'temp' };
  const lost = connect(silent);
  const list = lost.channels.list('Task');
  assert.match(lost.db.create('Task', {}).id, /^temp_/);
  await w.clock.run(200);
  assert.deepEqual([lost.rt.detail.value.attempt, lost.rt.detail.value.nextRetryAt - w.clock.now()], [1, 300], 'connectTimeout, reconnectInterval');
  await w.clock.run(299);
  const before = w.requests.length;
  await w.clock.run(1);
  assert.ok(w.requests.length > before, 'bridgeAfter');
  assert.ok(w.requests.every(({ url }) => url.pathname.startsWith('/v2/')), 'apiBase');
  await w.clock.run(500);
  assert.equal(lost.rt.status.value, 'offline', 'maxReconnectAttempts');
  list.close();
  lost.close();

  const there = connect({ env: w.env, heartbeatInterval: 1000, heartbeatTimeout: 300, linger: 50 });
  await w.clock.run(0);
  const socket = w.socket.greet();
  socket.say({ type: 'pong', payload: {} });
  there.channels.list('Note').close();
  socket.take('ping');
  await w.clock.run(49);
  assert.equal(socket.take('unsubscribe').length, 0);
  await w.clock.run(1);
  assert.equal(socket.take('unsubscribe').length, 1, 'linger');
  await w.clock.run(949);
  assert.equal(socket.take('ping').length, 0);
  await w.clock.run(1);
  assert.equal(socket.take('ping').length, 1, 'heartbeatInterval');
  await w.clock.run(300);
  assert.equal(there.rt.connected.value, false, 'heartbeatTimeout');
  there.close();

  const opened = w.sockets.length;
  const asked = w.requests.length;
  const polling = connect({ env: w.env, transports: ['poll'] });
  polling.channels.list('Task');
  await w.clock.run(0);
  assert.deepEqual([w.sockets.length, w.requests.length > asked], [opened, true], 'transports');
  polling.close();
  assert.throws(() => connect({ env: w.env, heartbeatIntervall: 1 }), /^TypeError: connect has no option `heartbeatIntervall`\. Its options: url, .*heartbeatInterval, .*transports/);
  assert.throws(() => connect({ env: w.env, pollInterval: 0 }), /^TypeError: connect: `pollInterval` cannot be 0/);
});
