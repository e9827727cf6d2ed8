/**
 * What a change costs in a long list: it must not grow with the list. Counted, because the machine that runs this has other
 * things to do; `node tests/js/cost.test.js` also says how long it took.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { OptimisticManager } from '../../static/optimistic.js';
import { RealtimeClient } from '../../static/realtime.js';
import { Rows } from '../../static/rows.js';
import { seeded, settle, world } from './world.js';

const ROWS = 10_000;
const CHANGES = 200;
const channel = 'entity:Task';

/** Times that a field of a row was read: comparing, copying and writing down all read fields. */
let reads = 0;
const titled = (fields, title) =>
  Object.defineProperty(fields, 'title', {
    enumerable: true,
    get: () => {
      reads++;
      return title;
    },
  });
const row = (n, fields, mark = '') => titled({ id: `id${n}`, version: 1, done: false, note: 'x'.repeat(100), ...fields }, `title ${String((n * 7919) % ROWS).padStart(6, '0')}${mark}`);

async function list() {
  let say;
  const w = world();
  const rt = { connected: { peek: () => false, listen: () => () => {} }, subscribe: (_, callback, { onState }) => ((say = (frame) => callback(frame, Rows)), onState('live'), () => {}) };
  const channels = new ChannelSubscriber(rt, { env: w.env });
  const found = channels.list('Task', { sort: '-title' });
  say({ type: 'resync', channel, payload: { epoch: 'e', seq: 1 }, more: true });
  say({ type: 'snapshot', channel, seq: 1, payload: { rows: Array.from({ length: ROWS }, (_, n) => row(n)) }, more: true });
  say({ type: 'pong', channel, payload: { epoch: 'e', seq: 1 } });
  await settle();
  assert.equal(found.value.length, ROWS);
  return { w, rt, list: found, say };
}

test("in a sorted list of 10,000 rows another's change of one reads a handful of rows", async (t) => {
  const { list: found, say } = await list();
  const took = [];
  let most = 0;
  for (let n = 0; n < CHANGES; n++) {
    const before = found.value;
    const changed = row((n * 104_729) % ROWS, { version: 2 }, 'b');
    reads = 0;
    const start = performance.now();
    say({ type: 'entity:updated', channel, seq: n + 2, payload: changed });
    await null;
    await null;
    took.push(performance.now() - start);
    most = Math.max(most, reads);
    assert.notEqual(found.value, before);
  }
  const titles = found.value.map(({ title }) => title);
  assert.deepEqual(titles, [...titles].sort().reverse(), 'the order holds');
  t.diagnostic(`${took.sort((a, b) => a - b)[CHANGES / 2]} ms, ${most} reads`);
  assert.ok(most < 150, `${most} reads`);
});

test('a change of this page reads nothing else', async (t) => {
  const { w, rt, list: found } = await list();
  const api = { schema: async () => ({ entities: [] }), newId: () => 'new', batch: () => new Promise(() => {}) };
  const db = new OptimisticManager(api, rt, { env: w.env });
  reads = 0;
  db.update('Task', 'id77', { done: true });
  t.diagnostic(`${reads} reads`);
  assert.equal(found.value.find(({ id }) => id === 'id77').done, true);
  assert.ok(reads < 300, `${reads} reads`);
  db.close();
});

test('one change more looks at none of those that wait', async () => {
  const w = world({ random: seeded(3) });
  const random = seeded(4);
  const env = { ...w.env, randomBytes: (bytes) => bytes.map(() => random() * 256) };
  const db = new OptimisticManager(new Api('/api', { env }), new RealtimeClient('/ws', { env }), { env });
  const made = Array.from({ length: 100 }, (_, at) => db.create('Task', { title: `${at}` }));
  await settle();
  let looks = 0;
  for (const mutation of made.slice(0, -1)) {
    const { changes } = mutation;
    Object.defineProperty(mutation, 'changes', { get: () => ((looks += 1), changes) });
  }
  db.create('Task', { title: 'last' });
  assert.equal(looks, 0);
  db.close();
});
