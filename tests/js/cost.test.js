/**
 * What a change costs in a long list: it must not grow with the list.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChannelSubscriber } from '../../static/channels.js';
import { settle, world } from './world.js';

const ROWS = 10_000;
const CHANGES = 200;

test('in a sorted list of 10,000 rows a change of one costs under a millisecond', async () => {
  const channel = 'entity:Task';
  let say;
  const rt = { subscribe: (_, callback, { onState }) => ((say = callback), onState('live'), () => {}) };
  const channels = new ChannelSubscriber(rt, { env: world().env });
  const list = channels.list('Task', { sort: '-title' });
  const row = (n, fields) => ({ id: `id${n}`, version: 1, title: `title ${String((n * 7919) % ROWS).padStart(6, '0')}`, done: false, note: 'x'.repeat(100), ...fields });
  say({ type: 'resync', channel, payload: { epoch: 'e', seq: 1 }, more: true });
  say({ type: 'snapshot', channel, seq: 1, payload: { rows: Array.from({ length: ROWS }, (_, n) => row(n)) }, more: true });
  say({ type: 'pong', channel, payload: { epoch: 'e', seq: 1 } });
  await settle();
  assert.equal(list.value.length, ROWS);
  const took = [];
  for (let n = 0; n < CHANGES; n++) {
    const before = list.value;
    const start = performance.now();
    say({ type: 'entity:updated', channel, seq: n + 2, payload: row(n, { version: 2, title: `title ${String((n * 104_729) % ROWS).padStart(6, '0')}b` }) });
    await null;
    await null;
    took.push(performance.now() - start);
    assert.notEqual(list.value, before);
  }
  const titles = list.value.map(({ title }) => title);
  assert.deepEqual(titles, [...titles].sort().reverse(), 'the order holds');
  // The machine that runs this has other things to do; the typical change tells what it costs.
  const typical = took.sort((a, b) => a - b)[CHANGES / 2];
  assert.ok(typical < 1, `${typical} ms`);
});
