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
  const called = new Set(CALLS.map(([name]) => name));
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

test('a subscription without a function, and a way that there is not, throw', () => {
  for (const call of [undefined, null, 'x', {}]) assert.throws(() => rt.subscribe('entity:Task', call), /^TypeError: rt\.subscribe needs a function$/);
  for (const transports of [[], ['websocket'], ['ws', 'SSE'], 'ws', 5, [null], [['ws']], {}, null]) {
    assert.throws(() => new RealtimeClient('/ws', { env, transports }), /^TypeError: `transports` is a list of ws,sse,poll$/, `${JSON.stringify(transports)}`);
  }
});
