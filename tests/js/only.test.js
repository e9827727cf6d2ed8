/**
 * An option that does not exist throws where it is given, and the error names those that there are.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { activity } from '../../static/activity.js';
import { tidewireCollection } from '../../static/adapters/tanstack.js';
import { Api } from '../../static/api.js';
import { login } from '../../static/auth.js';
import { RowCache } from '../../static/cache.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { connect } from '../../static/client.js';
import { devtools } from '../../static/devtools.js';
import { reactHooks } from '../../static/hooks.js';
import { Lease } from '../../static/lease.js';
import { OptimisticManager } from '../../static/optimistic.js';
import { PresenceManager } from '../../static/presence.js';
import { OfflineQueue } from '../../static/queue.js';
import { RealtimeClient } from '../../static/realtime.js';
import { Room } from '../../static/room.js';
import { signal } from '../../static/signal.js';
import { ROOT } from './program.js';
import { settle, world } from './world.js';

const { env } = world();
const api = new Api('/api', { env });
const rt = new RealtimeClient('/ws', { env });
const channels = new ChannelSubscriber(rt, { api, env });
const db = new OptimisticManager(api, rt, { env });
const room = new Room(rt, 'lobby');
const React = { useMemo: (make) => make(), useSyncExternalStore: (_, look) => look() };

/** What takes options, by the name that its error says; a call with these options, and one with those that there are. */
const CALLS = [
  ['connect', (given) => connect({ env, enabled: false, ...given })],
  ['RealtimeClient', (given) => new RealtimeClient('/ws', { env, heartbeatInterval: 1, shareConnection: false, ...given })],
  ['rt.subscribe', (given) => rt.subscribe('entity:Task', () => {}, { linger: 1, ...given })],
  ['ChannelSubscriber', (given) => new ChannelSubscriber(rt, { linger: 1, ...given })],
  ['channels.list', (given) => channels.list('Task', { where: {}, sort: 'id', limit: 5, ...given })],
  ['channels.list', (given) => reactHooks(React).useList(channels, 'Task', given)],
  ['OptimisticManager', (given) => new OptimisticManager(api, rt, { conflict: 'merge', env, ...given })],
  ['a change', (given) => db.create('Task', {}, given)],
  ['a change', (given) => db.create('Task', {}, signal([]), given)],
  ['a change', (given) => db.update('Task', 'x', {}, { ifMatch: true, ...given })],
  ['a change', (given) => db.delete('Task', 'x', null, given)],
  ['db.batch', (given) => db.batch(() => db.create('Task', {}), { debounce: 5, ...given })],
  ['PresenceManager', (given) => new PresenceManager(rt, { env, throttle: 50, ...given })],
  ['Room', (given) => new Room(rt, 'lobby', { kind: 'room', ...given })],
  ['room.send', (given) => room.send('x', null, { echo: true, ...given })],
  ['Lease', (given) => new Lease(rt, 'Task', 'x', { env, ...given })],
  ['activity', (given) => activity(rt, api, { limit: 5, ...given })],
  ['OfflineQueue', (given) => new OfflineQueue({ user: 'ada', locks: null, ...given })],
  ['RowCache', (given) => new RowCache({ user: 'ada', ...given })],
  ['login', (given) => login({ storage: { getItem: () => null }, events: env.window, ...given })],
  ['Api', (given) => new Api('/api', { tries: 1, env, ...given })],
  ['a write', (given) => api.create('tasks', {}, { tries: 1, ...given })],
  ['api.batch', (given) => api.batch([], { tries: 1, ...given })],
  ['api.schema', (given) => api.schema({ fresh: true, ...given })],
  ['devtools', (given) => devtools({ env, ...given })],
  ['simulate', (given) => devtools({ env }).simulate({ drop: 0, ...given })],
  ['tidewireCollection', (given) => tidewireCollection({ channels, db, entity: 'Task', ...given })],
];

test('an option that does not exist throws, and says which there are', async () => {
  for (const [name, call] of CALLS) {
    const thrown = await assert.rejects(async () => call({ filter: {} }), TypeError, name).then(() => call({ filter: {} })).catch((error) => error);
    assert.match(thrown.message, new RegExp(`^${name} has no option \`filter\`\\. Its options: \\w+(, \\w+)*$`));
  }
});

test('the options that there are do not throw', async () => {
  const mistakes = [];
  // Some of them wait for a server that is not there, so only what fails at once counts.
  for (const [name, call] of CALLS) (async () => call({}))().catch((error) => /no option/.test(error.message) && mistakes.push(name));
  await settle();
  assert.deepEqual(mistakes, []);
});

test('a change with a wrong option is not made', () => {
  const { size: before } = db.pendingMutations;
  assert.throws(() => db.update('Task', 'x', { title: 'y' }, { debonce: 5 }), /`debonce`/);
  assert.throws(() => db.batch(() => db.create('Task', {}), { ifMatch: 3 }), /db\.batch has no option `ifMatch`/);
  assert.equal(db.pendingMutations.size, before);
});

test('each module that takes options is in the table', () => {
  const names = ['activity', 'adapters/tanstack', 'api', 'auth', 'cache', 'channels', 'client', 'devtools', 'lease', 'optimistic', 'presence', 'queue', 'realtime', 'room'];
  const called = new Set([...CALLS.map(([name]) => name), 'rt.on']);
  const found = names.flatMap((name) => [...readFileSync(join(ROOT, `static/${name}.js`), 'utf8').matchAll(/only\('(.*?)'/g)].map(([, where]) => where));
  assert.deepEqual([...called].sort(), [...new Set(found)].sort());
});

test('options that are no object throw, and the error says which there are', async () => {
  const takes = [
    (given) => connect(given),
    (given) => new RealtimeClient('/ws', given),
    (given) => rt.subscribe('entity:Task', () => {}, given),
    (given) => channels.list('Task', given),
    (given) => new ChannelSubscriber(rt, given),
    (given) => new OptimisticManager(api, rt, given),
    (given) => db.create('Task', {}, null, given ?? 0),
    (given) => new PresenceManager(rt, given),
    (given) => new Api('/api', given),
  ];
  for (const call of takes) for (const given of [null, 5, 'x', true, () => {}]) assert.throws(() => call(given), /^TypeError: .* has no option `.*`\. Its options: \w+, /s, `${call} ${given}`);
});

test('a change that names no record, or no fields, throws, and is not made', () => {
  const { size: before } = db.pendingMutations;
  const wrong = [undefined, null, '', 5, true, {}, [], () => ({}), Promise.resolve({})];
  for (const value of wrong) {
    const calls = [() => db.create(value, {}), () => db.update(value, 'x', {}), () => db.update('Task', value, {}), () => db.delete('Task', value), () => db.delete(value, 'x')];
    for (const call of calls) assert.throws(call, /a change names a record and fields/, `${call} ${String(value)}`);
  }
  for (const data of [undefined, null, '', 5, true, [], new Map(), new Date(), Promise.resolve({}), { id: 5 }, { id: {} }]) {
    assert.throws(() => db.create('Task', data), /a change names a record and fields/, `create ${String(data)}`);
    if (!data?.id) assert.throws(() => db.update('Task', 'x', data), /a change names a record and fields/, `update ${String(data)}`);
  }
  assert.throws(() => db.create('Task', () => ({})), /a change names a record and fields/);
  assert.equal(db.pendingMutations.size, before);
});

/** Values that are wrong for an option, by what the option is. */
const WRONG = {
  number: [NaN, -1, '5', null, true, {}, () => 5],
  above: [0, NaN, -1, '5', null],
  truth: [0, 1, 'true', null, {}],
  call: ['x', null, 5, {}, Promise.resolve()],
};

/** A call, what its errors begin with, and its options with wrong values. */
const VALUES = [
  [
    'RealtimeClient',
    (given) => new RealtimeClient('/ws', { env, ...given }),
    {
      reconnectInterval: WRONG.above,
      maxReconnectInterval: WRONG.above,
      heartbeatInterval: WRONG.above,
      heartbeatTimeout: WRONG.above,
      connectTimeout: WRONG.above,
      pollInterval: WRONG.above,
      maxPollInterval: WRONG.above,
      maxReconnectAttempts: WRONG.number,
      bridgeAfter: WRONG.number,
      linger: WRONG.number,
      apiBase: [5, null, true],
      enabled: WRONG.truth,
      shareConnection: ['yes', 'true', 1, null],
      transports: ['websocket', ['ws', 'SSE'], 5, [null], [['ws']], {}, null],
      getToken: WRONG.call,
    },
  ],
  ['rt.subscribe', (given) => rt.subscribe('entity:Task', () => {}, given), { snapshot: WRONG.truth, linger: WRONG.number, onState: WRONG.call, reload: WRONG.call }],
  ['ChannelSubscriber', (given) => new ChannelSubscriber(rt, { env, ...given }), { linger: WRONG.number }],
  [
    'OptimisticManager',
    (given) => new OptimisticManager(api, rt, { env, ...given }),
    { conflict: ['mine', 'theirs', true, null, {}], ids: ['uuid7', 'temporary', true, null], send: WRONG.call },
  ],
  ['a change', (given) => db.create('Task', {}, null, given), { optimistic: WRONG.truth, debounce: WRONG.number, ifMatch: [NaN, -1, '3', null, {}] }],
  ['db.batch', (given) => db.batch(() => db.create('Task', {}), given), { optimistic: WRONG.truth, debounce: WRONG.number }],
  ['PresenceManager', (given) => new PresenceManager(rt, { env, ...given }), { throttle: WRONG.number }],
  ['Room', (given) => new Room(rt, 'lobby', given), { kind: ['rooms', 5, null] }],
  ['Api', (given) => new Api('/api', { env, ...given }), { tries: WRONG.number, getToken: WRONG.call }],
  ['api.schema', (given) => api.schema(given), { fresh: WRONG.truth }],
  ['devtools', (given) => devtools({ env, ...given }), { log: WRONG.call }],
  ['simulate', (given) => devtools({ env }).simulate(given), { drop: WRONG.number, delay: WRONG.number, reject: WRONG.number }],
  ['activity', (given) => activity(rt, api, given), { limit: WRONG.number }],
];

test('an option with a wrong value throws, and the error says what it may be', () => {
  const { size: before } = db.pendingMutations;
  for (const [name, call, options] of VALUES) {
    for (const [option, values] of Object.entries(options)) {
      for (const value of values) {
        const pattern = new RegExp(`^TypeError: ${name}: \`${option}\` cannot be .*\\. Give: [\\w ]+$`, 's');
        assert.throws(() => call({ [option]: value }), pattern, `${name} ${option} ${String(value)}`);
      }
    }
  }
  assert.equal(db.pendingMutations.size, before);
});

test('a right value of an option does not throw', () => {
  const right = { maxReconnectAttempts: Infinity, linger: Infinity, bridgeAfter: 0, heartbeatInterval: Infinity, shareConnection: true, enabled: false, transports: [] };
  for (const [option, value] of Object.entries(right)) new RealtimeClient('/ws', { env, [option]: value });
  for (const conflict of ['merge', 'client', 'server', () => 'mine', undefined]) new OptimisticManager(api, rt, { env, conflict });
  for (const transports of ['poll', ['sse', 'ws']]) new RealtimeClient('/ws', { env, transports });
});

test('what is called needs a function, and a name that there is', () => {
  for (const call of [undefined, null, 'x', {}]) {
    assert.throws(() => rt.subscribe('entity:Task', call), /^TypeError: rt\.subscribe: `callback` cannot be .+\. Give: function$/);
    assert.throws(() => rt.on('error', call), /^TypeError: rt\.on: `error` cannot be .+\. Give: function$/);
    assert.throws(() => db.batch(call), /^TypeError: db\.batch: `make` cannot be .+\. Give: function$/);
  }
  for (const name of ['errors', 'open', '', undefined, null, 5]) {
    assert.throws(() => rt.on(name, () => {}), /^TypeError: rt\.on has no option `.*`\. Its options: error, resync, frame$/, String(name));
  }
});
