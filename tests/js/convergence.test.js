/**
 * Whatever the network does: in the end the rows are the server's, and on the way they were never fewer or older than
 * they ought to be. One seed is one story; a failing one prints its number, and `SEED=n` runs it alone.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { RealtimeClient } from '../../static/realtime.js';
import { busy, story } from './convergence_story.js';
import { CHANNEL, Server } from './server.js';
import { world } from './world.js';

const SEEDS = process.env.SEED
  ? [Number(process.env.SEED)]
  : Array.from({ length: Number(process.env.SEEDS ?? 200) }, (_, i) => i + 1);

test(`${SEEDS.length} stories converge without flicker`, async () => {
  const totals = {};
  for (const seed of SEEDS) await story(seed, totals);
  if (SEEDS.length < 100) return;
  busy(totals);
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
