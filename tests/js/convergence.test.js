/**
 * Whatever the network does: in the end the rows are the server's, and on the way they were never fewer or older than
 * they ought to be. One seed is one story; a failing one prints its number, and `SEED=n` runs it alone.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { RealtimeClient } from '../../static/realtime.js';
import { CHANNEL, Server } from './server.js';
import { seeded, world } from './world.js';

const SEEDS = process.env.SEED
  ? [Number(process.env.SEED)]
  : Array.from({ length: Number(process.env.SEEDS ?? 200) }, (_, i) => i + 1);

/** What may happen, and how often beside the writes. `poll`: whether polling may be needed. */
const TROUBLE = [
  [6, (server) => server.changeRights()],
  // Behind the change, the socket is lost in the middle of what it makes.
  [4, (server, dice, clock) => (server.changeRights(), clock.run(dice.int(100)).then(() => server.cutAll()))],
  [6, (server, dice) => server.cutAll(dice.chance(0.5) ? 1006 : 1001)],
  [2, (server) => server.restart()],
  [2, (server, dice) => server.restart({ lose: 1 + dice.int(6) })],
  [3, (server) => server.trim()],
  [3, (server) => server.resync()],
  [4, (server) => server.dropNext()],
  [4, (server) => server.repeatOne()],
  [6, (server) => server.beat()],
  [2, (server) => ((server.up = false), server.cutAll())],
  [5, (server) => (server.up = true)],
  [2, (server) => ((server.sockets = false), server.cutAll())],
  [3, (server) => (server.sockets = true)],
  [2, (server) => server.open()],
];

async function story(seed, totals) {
  const random = seeded(seed);
  const dice = { int: (n) => Math.floor(random() * n), chance: (p) => random() < p };
  const w = world({ random });
  const server = new Server(w, dice);
  // To every fourth reader the entity is closed at first, and opens while the list is there.
  server.closed = seed % 4 === 0;
  const bag = TROUBLE.flatMap(([weight, act]) => Array(weight).fill(act));

  const rt = new RealtimeClient('/ws', { env: w.env });
  const channels = new ChannelSubscriber(rt, { env: w.env, api: new Api('/api', { env: w.env }) });
  const list = channels.list('Task');
  const problems = watch(list, server, () => rt.status.value);
  rt.connect();

  for (let step = 0; step < 120; step++) {
    await w.clock.run(dice.int(600));
    if (dice.chance(0.7)) server.random();
    else await bag[dice.int(bag.length)](server, dice, w.clock);
  }

  // The storm is over; one more change shows a gap that nothing else would.
  server.up = server.sockets = true;
  await w.clock.run(60_000);
  if (server.closed) assert.deepEqual([list.state.value, list.value], ['denied', []], `seed ${seed}: it is closed`);
  server.open();
  server.calm();
  server.commit([{ set: 'last', v: 1 }]);
  await w.clock.run(60_000);

  assert.deepEqual(list.value, server.shown(), `seed ${seed}: the rows are those that the server shows`);
  assert.equal(list.state.value, 'live', `seed ${seed}: the list is live`);
  assert.deepEqual(problems, [], `seed ${seed}: what was shown on the way`);
  rt.disconnect();
  for (const [name, count] of Object.entries(server.stats)) totals[name] = (totals[name] ?? 0) + count;
}

const text = (rows) => JSON.stringify(rows);

/** Looks at every state that the list shows. */
function watch(list, server, status) {
  const problems = [];
  let loaded = false;
  let restores = 0;
  let versions = new Map();
  list.listen((rows) => {
    const byId = new Map(rows.map((row) => [row.id, row]));
    if (byId.size !== rows.length) problems.push('one id twice');
    if (loaded && rows.length === 0) problems.push('flickers to empty');
    if (status() === 'connected' && !server.states.has(text(rows))) problems.push(`never a state: ${text(rows)}`);
    if (server.twins.some((id) => !byId.has(id))) problems.push('a row vanishes that was never deleted');
    // A list read over HTTP is several reads; only its next poll makes it one state.
    const [one, two] = server.twins.map((id) => byId.get(id)?.v);
    if (status() === 'connected' && one !== two) problems.push(`half of a unit: ${one} and ${two}`);
    if (server.restores !== restores) {
      restores = server.restores;
      versions = new Map();
    }
    for (const { id, version } of rows) {
      if (version < (versions.get(id) ?? 0)) problems.push(`${id} goes back from ${versions.get(id)} to ${version}`);
      versions.set(id, version);
    }
    loaded = true;
  });
  return problems;
}

test(`${SEEDS.length} stories converge without flicker`, async () => {
  const totals = {};
  for (const seed of SEEDS) await story(seed, totals);
  if (SEEDS.length < 100) return;
  // A story that nothing happens in proves nothing.
  for (const name of Object.keys(totals)) {
    assert.ok(totals[name] > 20, `${name} took place ${totals[name]} times`);
  }
});

test('a list that was closed to its reader fills by itself when they are given the right to read', async () => {
  for (const sockets of [true, false]) {
    const w = world();
    const server = new Server(w, { int: () => 0, chance: () => false });
    Object.assign(server, { closed: true, sockets });
    const rt = new RealtimeClient('/ws', { env: w.env });
    const channels = new ChannelSubscriber(rt, { env: w.env, api: new Api('/api', { env: w.env }) });
    const list = channels.list('Task');
    const shown = [];
    list.state.listen((state) => state === 'live' && shown.push(list.value.map(({ id }) => id)));
    rt.connect();
    await w.clock.run(10_000);
    assert.deepEqual([rt.status.value, list.state.value, list.value], [sockets ? 'connected' : 'polling', 'denied', []]);
    server.open();
    await w.clock.run(sockets ? 100 : 40_000);
    assert.deepEqual(shown[0], ['twin-1', 'twin-2']);
    // From here on it is followed as any other.
    server.commit([{ set: 'twin-3', v: 1 }]);
    await w.clock.run(sockets ? 100 : 40_000);
    assert.deepEqual([list.value.length, rt.status.value], [3, sockets ? 'connected' : 'polling']);
    rt.disconnect();
  }
});

test('polling takes over and gives back without losing an event', async () => {
  const w = world();
  const dice = { int: () => 0, chance: () => false };
  const server = new Server(w, dice);
  const rt = new RealtimeClient('/ws', { env: w.env });
  const seen = [];
  rt.subscribe(CHANNEL, (frame) => frame.seq && seen.push(frame.seq), { snapshot: true });
  rt.connect();
  await w.clock.run(100);
  server.sockets = false;
  server.cutAll();
  server.commit([
    { set: 'a', v: 1 },
    { set: 'b', v: 1 },
  ]);
  await w.clock.run(3100);
  assert.equal(rt.status.value, 'polling');
  assert.deepEqual(seen.slice(-2), [3, 4]);
  server.sockets = true;
  server.commit([{ set: 'c', v: 1 }]);
  await w.clock.run(40_000);
  assert.equal(rt.status.value, 'connected');
  assert.deepEqual([...new Set(seen)].slice(-3), [3, 4, 5]);
});
