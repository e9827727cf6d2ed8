/**
 * Lists and records in the frameworks that people use, each with the real library: what it draws follows the list.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { effect as preactEffect, signal as preactSignal } from '@preact/signals-core';
import { createCollection } from '@tanstack/db';
import React from 'react';
import renderer from 'react-test-renderer';
import { createRoot, from } from 'solid-js/dist/solid.js';
import { get } from 'svelte/store';
import { effectScope, onScopeDispose, ref, shallowRef, watchEffect } from 'vue';
import { tidewireCollection } from '../../static/adapters/tanstack.js';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { reactHooks } from '../../static/hooks.js';
import { OptimisticManager } from '../../static/optimistic.js';
import { RealtimeClient } from '../../static/realtime.js';
import { Clock, seeded, settle } from './world.js';
import { Commons } from './commons.js';

async function stage() {
  const random = seeded(3);
  const clock = new Clock();
  const commons = new Commons(clock, { random, int: (n) => Math.floor(random() * n), chance: () => false });
  const { env } = commons.line((bytes) => bytes.map((_, at) => (bytes[at] = random() * 256)) && bytes);
  const rt = new RealtimeClient('/ws', { env }).connect();
  const api = new Api('/api', { env });
  const channels = new ChannelSubscriber(rt, { api, env });
  const db = new OptimisticManager(api, rt, { env });
  db.create('Task', { title: 'one', team: 0 });
  await clock.run(1000);
  return { clock, commons, rt, channels, db };
}
const titles = (rows) => rows.map(({ title }) => title).join();

test('Svelte: a list is a store', async () => {
  const { clock, channels, db } = await stage();
  const list = channels.list('Task');
  const seen = [];
  const stop = list.subscribe((rows) => seen.push(titles(rows)));
  await clock.run(1000);
  assert.equal(titles(get(list)), 'one');
  db.create('Task', { title: 'two', team: 0 });
  assert.deepEqual([seen[0], seen.at(-1)], ['', 'one,two']);
  stop();
});

test('React: hooks, also under StrictMode', async () => {
  globalThis.IS_REACT_ACT_ENVIRONMENT = true;
  const { clock, channels, db, rt } = await stage();
  const { useList, useRecord, useSignal } = reactHooks(React);
  let id;
  const Board = () => {
    const { rows, state } = useList(channels, 'Task', { where: { team: 0 } });
    const status = useSignal(rt.status);
    return React.createElement('p', null, `${status} ${state}: ${titles(rows)}`);
  };
  const Card = () => React.createElement('b', null, useRecord(channels, 'Task', id).row?.title ?? '…');
  let board;
  await React.act(async () => {
    board = renderer.create(React.createElement(React.StrictMode, null, React.createElement(Board)));
  });
  await React.act(() => clock.run(1000));
  assert.deepEqual(board.toJSON().children, ['connected live: one']);
  await React.act(async () => void (id = db.create('Task', { title: 'two', team: 0 }).id));
  assert.deepEqual(board.toJSON().children, ['connected live: one,two']);
  await React.act(async () => board.update(React.createElement(Card)));
  await React.act(() => clock.run(1000));
  assert.deepEqual(board.toJSON().children, ['two']);
  await React.act(async () => board.unmount());
});

test('Vue: a shallowRef that follows, and a ref as the signal of a change', async () => {
  const { clock, channels, db } = await stage();
  const scope = effectScope();
  const seen = [];
  scope.run(() => {
    const list = channels.list('Task');
    const rows = shallowRef(list.value);
    onScopeDispose(list.listen((value) => (rows.value = value)));
    watchEffect(() => seen.push(titles(rows.value)), { flush: 'sync' });
  });
  await clock.run(1000);
  assert.equal(seen.at(-1), 'one');
  scope.stop();
  const own = ref([]);
  db.create('Task', { title: 'own' }, own);
  assert.equal(titles(own.value), 'own');
});

test('Solid: `from` makes a signal of a list', async () => {
  const { clock, channels, db } = await stage();
  const list = channels.list('Task');
  await clock.run(1000);
  let rows;
  const dispose = createRoot((dispose) => {
    rows = from(list);
    return dispose;
  });
  assert.equal(titles(rows()), 'one');
  db.create('Task', { title: 'two' });
  assert.equal(titles(rows()), 'one,two');
  dispose();
});

test('Preact: a signal of its own is filled with `into`, and takes changes', async () => {
  const { clock, channels, db } = await stage();
  const rows = preactSignal([]);
  const seen = [];
  preactEffect(() => void seen.push(titles(rows.value)));
  channels.list('Task', { into: rows });
  await clock.run(1000);
  db.create('Task', { title: 'two' }, rows);
  assert.equal(seen.at(-1), 'one,two');
  await clock.run(1000);
  assert.equal(titles(rows.value), 'one,two');
});

test('TanStack DB: a collection that follows, and sends what is changed in it', async () => {
  const { clock, channels, db, commons } = await stage();
  const tasks = createCollection(tidewireCollection({ channels, db, entity: 'Task', where: { team: 0 } }));
  tasks.startSyncImmediate();
  await clock.run(1000);
  assert.deepEqual(tasks.toArray.map(({ title }) => title), ['one']);
  const [{ id }] = tasks.toArray;
  tasks.update(id, (draft) => void (draft.title = 'uno'));
  assert.equal(tasks.get(id).title, 'uno');
  tasks.insert({ id: '01900000-0000-7000-8000-000000000009', title: 'two', team: 0 });
  await settle();
  await clock.run(2000);
  await new Promise((resolve) => setTimeout(resolve, 10));
  await clock.run(2000);
  assert.deepEqual([...commons.rows.values()].map(({ title }) => title).sort(), ['two', 'uno']);
  assert.deepEqual(tasks.toArray.map(({ title }) => title).sort(), ['two', 'uno']);
  tasks.delete(id);
  await settle();
  await clock.run(2000);
  assert.equal(commons.rows.size, 1);
});
