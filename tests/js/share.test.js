/**
 * Few tabs hold a stream, and the others poll when one of these says so.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { place } from '../../static/share.js';
import { Locks } from './locks.js';
import { settle, world } from './world.js';

/** A browser: tabs with one clock, the same locks, and channels that reach every other tab. */
function browser() {
  const w = world();
  const locks = new Locks();
  const open = new Set();
  class Channel {
    constructor(name) {
      this.name = name;
      open.add(this);
    }
    postMessage(data) {
      for (const other of open)
        if (other !== this && other.name === this.name) queueMicrotask(() => open.has(other) && other.onmessage?.({ data: structuredClone(data) }));
    }
    close() {
      open.delete(this);
    }
  }
  const tab = (channels = ['entity:Task'], url = 'ws://test.local/ws') => {
    const end = new AbortController();
    const { locks: mine, close } = locks.tab();
    const made = { listens: new Map(), polls: 0, got: undefined, end: () => end.abort() };
    made.crash = () => {
      open.delete(made.channel);
      close();
    };
    class OwnChannel extends Channel {
      constructor(name) {
        super(name);
        made.channel = this;
      }
    }
    const host = {
      env: { ...w.env, locks: mine, BroadcastChannel: OwnChannel },
      url: new URL(url),
      options: { shareConnection: 'fallback', transports: ['ws', 'sse', 'poll'] },
      signal: end.signal,
      channels: new Map(channels.map((name) => [name, {}])),
      listen: (channel, call) => {
        made.listens.set(channel, call);
        return () => made.listens.delete(channel);
      },
      soon: () => made.polls++,
    };
    place(host).then((got) => (made.got = got));
    return made;
  };
  return { w, tab };
}

const THREE = ['a', 'b', 'c'];

test('three tabs hold a stream, the fourth waits, and the first one tells it when to poll', async () => {
  const { w, tab } = browser();
  const holders = THREE.map(() => tab());
  await settle();
  for (const { got } of holders) assert.equal(typeof got, 'function');
  const [first] = holders;
  const late = tab(['entity:Task', 'entity:Project']);
  const other = tab(['entity:User']);
  await settle();
  assert.deepEqual([late.got, other.got], [undefined, undefined]);
  assert.deepEqual([...first.listens.keys()].sort(), ['entity:Project', 'entity:Task', 'entity:User']);
  assert.equal(holders[1].listens.size + holders[2].listens.size, 0, 'one tells them');

  for (const type of ['subscribed', 'snapshot', 'pong', 'error']) first.listens.get('entity:Task')({ type });
  await w.clock.run(100);
  assert.equal(late.polls, 0, 'nothing has changed');
  for (let seq = 1; seq < 50; seq++) first.listens.get('entity:Task')({ type: 'entity:updated', seq });
  await w.clock.run(100);
  assert.deepEqual([late.polls, other.polls], [1, 0], 'changes that come together are told once, and to those they concern');
});

test('another address has places of its own', async () => {
  const { tab } = browser();
  for (const each of THREE) tab([each]);
  const elsewhere = tab(['entity:Task'], 'ws://test.local/ws?as=ben');
  await settle();
  assert.equal(typeof elsewhere.got, 'function');
});

test('the first tab ends: the one that waited takes over, and the others say again what they want', async () => {
  const { w, tab } = browser();
  for (const end of ['end', 'crash']) {
    const [first, ...others] = THREE.map(() => tab());
    await settle();
    const [next, last] = [tab(['entity:Task']), tab(['entity:Project'])];
    await settle();
    first[end]();
    await settle();
    assert.equal(typeof next.got, 'function', end);
    assert.equal(last.got, undefined, end);
    if (end === 'end') assert.equal(first.listens.size, 0, 'it listens for no one any longer');
    assert.deepEqual([...next.listens.keys()].includes('entity:Project'), true, end);
    next.listens.get('entity:Project')({ type: 'entity:deleted', seq: 1 });
    await w.clock.run(100);
    assert.equal(last.polls, 1, end);
    for (const each of [...others, next, last]) each.end();
    await settle();
  }
});

test('a tab that is closed is forgotten, and one that waits is not', async () => {
  const { w, tab } = browser();
  const [first] = THREE.map(() => tab());
  await settle();
  const [gone] = [tab(['entity:Task']), tab(['entity:Project'])];
  await settle();
  gone.end();
  await settle();
  assert.equal(gone.got, null, 'it waits no longer');
  await w.clock.run(200_000);
  assert.deepEqual([...first.listens.keys()], ['entity:Project']);
});

test('one tab listens to a bounded number of channels for the others', async () => {
  const { tab } = browser();
  const [first] = THREE.map(() => tab());
  await settle();
  for (let at = 0; at < 3; at++) tab(Array.from({ length: 15 }, (_, n) => `entity:E${at}x${n}`));
  await settle();
  assert.equal(first.listens.size, 20);
});

test('a socket gets through to one tab: no other waits any longer', async () => {
  const { w, tab } = browser();
  const [, second] = THREE.map(() => tab());
  await settle();
  const waiting = [tab(), tab()];
  await settle();
  second.got();
  await settle();
  assert.deepEqual(waiting.map(({ got }) => got), [null, null]);
  const before = w.clock.pending;
  for (const each of waiting) each.end();
  assert.equal(w.clock.pending, before, 'no timer is left of them');
});

test('a wait that is given up leaves its turn to the next', async () => {
  const { tab } = browser();
  const [first] = THREE.map(() => tab());
  await settle();
  const [impatient, patient] = [tab(), tab()];
  await settle();
  impatient.end();
  first.end();
  await settle();
  assert.equal(impatient.got, null);
  assert.equal(typeof patient.got, 'function');
});

test('a browser without locks shares nothing', async () => {
  const { w } = browser();
  const host = { env: { ...w.env, locks: null, BroadcastChannel: null }, url: new URL('ws://test.local/ws'), signal: new AbortController().signal };
  assert.equal(typeof (await place(host)), 'function');
});
