/**
 * Trouble on request: what a page looks like on a bad line can be tried without one.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from '../../static/client.js';
import { devtools } from '../../static/devtools.js';
import { RealtimeClient } from '../../static/realtime.js';
import { Commons } from './commons.js';
import { Clock, seeded } from './world.js';

/** A server, and a socket of the browser, which has accessors as a fake of plain fields has not. */
function line() {
  const random = seeded(5);
  const clock = new Clock();
  const commons = new Commons(clock, { random, int: (n) => Math.floor(random() * n), chance: () => false });
  const { env } = commons.line((bytes) => bytes.map((_, at) => (bytes[at] = random() * 256)) && bytes);
  // A socket of the browser has accessors, which a fake of plain fields has not.
  class Socket extends env.WebSocket {
    #call = null;
    set onmessage(call) {
      this.#call = call;
    }
    get onmessage() {
      return this.#call;
    }
  }
  return { clock, commons, env: { ...env, WebSocket: Socket } };
}

test('delays, losses and refusals are simulated, told, and over when they are ended', async () => {
  const { clock, commons, env } = line();
  const told = [];
  const dev = devtools({ log: ({ type, data }) => told.push(`${type} ${data.type ?? data.method}`), env });
  const { rt, channels, db, close } = connect({ env: dev.env });
  const list = channels.list('Task');
  await clock.run(1000);
  assert.deepEqual([rt.status.value, list.state.value], ['connected', 'live']);

  dev.simulate({ reject: 1 });
  db.create('Task', { title: 'refused' });
  await clock.run(1000);
  assert.equal(db.failed.value[0].error.hint, 'simulate({}) ends it');
  db.failed.value[0].discard();

  rt.simulate({ delay: 3000 });
  db.create('Task', { title: 'slow' });
  await clock.run(2000);
  assert.equal(list.value[0]._optimistic, true);
  await clock.run(8000);
  assert.equal(list.value[0]._optimistic, undefined);

  dev.simulate({ drop: 1 });
  db.create('Task', { title: 'lost' });
  await clock.run(20_000);
  assert.equal(db.pending.value.length, 1);
  dev.simulate({});
  await clock.run(60_000);
  assert.deepEqual([rt.status.value, db.pending.value.length, commons.rows.size], ['connected', 0, 2]);
  for (const entry of ['sent subscribe', 'received connected', 'request POST', 'answer POST', 'rejected POST', 'lost POST']) assert.ok(told.includes(entry), entry);
  close();
  assert.throws(() => new RealtimeClient('/ws', { env }).simulate({}), TypeError);
});

test('changes that go over the socket are refused as well, alone and as a whole', async () => {
  const { clock, commons, env } = line();
  commons.limits = { frameBytes: 65_536, messagesPerSecond: 100, messageBurst: 200 };
  const told = [];
  const dev = devtools({ log: ({ type, data }) => told.push(`${type} ${data.type ?? data.method}`), env });
  const { rt, db, close } = connect({ env: dev.env });
  await clock.run(1000);
  assert.equal(rt.status.value, 'connected');
  dev.simulate({ reject: 1 });
  const alone = db.create('Task', { title: 'refused' });
  await clock.run(1000);
  await assert.rejects(async () => alone, { code: 'VALIDATION_FAILED', message: 'simulated: the server refuses this', hint: 'simulate({}) ends it' });
  const batch = db.batch(() => {
    db.create('Task', { title: 'one' });
    db.create('Task', { title: 'two' });
  });
  await clock.run(1000);
  await assert.rejects(async () => batch, { code: 'VALIDATION_FAILED', hint: 'simulate({}) ends it' });
  assert.deepEqual([told.filter((entry) => entry === 'rejected mutate').length, commons.rows.size], [2, 0]);
  assert.ok(!told.includes('sent mutate') && !told.includes('request POST'), told.join(', '));
  close();
});

test('with `enabled: false` there is no socket, and lists live by polling', async () => {
  const clock = new Clock();
  const requests = [];
  const env = {
    WebSocket: class {
      constructor() {
        assert.fail('a socket was opened');
      }
    },
    fetch: async (url) => {
      const { pathname } = new URL(url);
      requests.push(pathname);
      const answers = {
        '/api/schema': { entities: [{ name: 'Task', plural: 'tasks', fields: [] }] },
        '/api/tasks': { items: [{ id: 'a', version: 1, title: 'one' }], next: null, epoch: 'e1', seq: 1, view: 'v' },
        '/api/changes': { epoch: 'e1', seq: 1, channels: [{ channel: 'entity:Task', view: 'v', recovered: true }], events: [], errors: [], hasMore: false },
      };
      return { ok: true, status: 200, headers: new Map(), json: async () => answers[pathname] };
    },
    setTimeout: clock.setTimeout,
    clearTimeout: clock.clearTimeout,
    now: clock.now,
    random: () => 0.5,
    document: null,
    window: null,
    base: 'http://test.local/',
  };
  const { rt, channels, close } = connect({ enabled: false, env });
  const list = channels.list('Task');
  await clock.run(1000);
  assert.deepEqual([rt.status.value, list.state.value, list.value.length], ['polling', 'live', 1]);
  await clock.run(10_000);
  assert.ok(requests.filter((path) => path === '/api/changes').length > 1);
  close();
  const before = requests.length;
  await clock.run(120_000);
  assert.equal(requests.length, before);
});
