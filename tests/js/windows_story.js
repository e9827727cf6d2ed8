/**
 * One story of windows on a list that is written, cut, restarted and taken from its reader. A story is a seed: it throws when
 * a promise of `windows.test.js` is broken. Knows no test harness, so that `chaos.js` can tell thousands of them.
 */
import assert from 'node:assert/strict';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { RealtimeClient } from '../../static/realtime.js';
import { withLateParts } from './late.js';
import { Server } from './server.js';
import { TROUBLE } from './trouble.js';
import { seeded, world } from './world.js';

const BAG = TROUBLE.flatMap(([weight, act]) => Array(weight).fill(act));
const ids = (rows) => rows.map(({ id }) => id).join();

/** @param {number} seed @param {Record<string, number>} totals */
export const story = (seed, totals) => withLateParts(seed, () => tell(seed, totals));

async function tell(seed, totals) {
  const random = seeded(seed);
  const dice = { int: (n) => Math.floor(random() * n), chance: (p) => random() < p };
  const w = world({ random });
  const server = new Server(w, dice);
  // Every third server knows no order, and gives the first rows by id.
  server.windows = seed % 3 > 0;
  server.ids = 60;
  for (let at = 0; at < 40; at++) server.random();
  const rt = new RealtimeClient('/ws', { env: w.env });
  const channels = new ChannelSubscriber(rt, { env: w.env, api: new Api('/api', { env: w.env }) });
  const windows = [];
  const open = (sort, limit) => {
    const list = channels.list('Task', { sort, limit });
    windows.push({ list, sort, shown: limit });
    list.listen((rows) => {
      if (new Set(rows.map(({ id }) => id)).size < rows.length) problems.push('one id twice');
      const text = rows.map(({ v }) => v);
      if (sort !== 'id' && String([...text].sort((a, b) => (sort === 'v' ? a - b : b - a))) !== String(text)) problems.push(`out of order: ${text}`);
      // Two reads that were not at one time make no state; a window that is live was one.
      if (list.state.value === 'live' && rt.status.value === 'connected' && !rows.every((row) => server.stands(row))) problems.push(`never there: ${JSON.stringify(rows)}`);
      if (rows.length > windows.find((one) => one.list === list).shown) problems.push('more than were asked for');
    });
  };
  const problems = [];
  open('-v', 1 + dice.int(3));
  rt.connect();
  for (let step = 0; step < 100; step++) {
    await w.clock.run(dice.int(600));
    if (dice.chance(0.75)) server.random();
    else await BAG[dice.int(BAG.length)](server, dice, w.clock);
    if (step === 20) open(dice.chance(0.5) ? 'v' : '-v', 1 + dice.int(5));
    if (step === 60 && dice.chance(0.3)) open('id', dice.chance(0.5) ? 2 : Infinity);
    if (step === 80 && dice.chance(0.3)) windows.splice(0, 1)[0].list.close();
    const chosen = windows[dice.int(windows.length)];
    if (dice.chance(0.05) && chosen.shown < Infinity) {
      const count = 1 + dice.int(3);
      chosen.shown += count;
      chosen.list.more(count);
    }
  }
  server.up = server.sockets = true;
  await w.clock.run(60_000);
  server.calm();
  server.commit([{ set: 'last', v: 1 }]);
  await w.clock.run(60_000);

  for (const { list, sort, shown } of windows) {
    const all = server.first(sort);
    const what = `seed ${seed}: ${sort}, ${shown} rows`;
    assert.equal(ids(list.value), ids(all.slice(0, shown)), what);
    assert.deepEqual(list.value, all.slice(0, shown), what);
    assert.deepEqual([list.state.value, list.hasMore.value], ['live', all.length > shown], what);
  }
  assert.deepEqual(problems, [], `seed ${seed}: what was shown on the way`);
  rt.disconnect();
  totals.reads = (totals.reads ?? 0) + w.requests.filter(({ url }) => url.searchParams.has('sort')).length;
  totals.further = (totals.further ?? 0) + w.requests.filter(({ url }) => url.searchParams.has('sort') && url.searchParams.has('cursor')).length;
  for (const [name, count] of Object.entries(server.stats)) totals[name] = (totals[name] ?? 0) + count;
}

/** A story that nothing happens in proves nothing. @param {Record<string, number>} totals Of many stories. */
export function busy(totals) {
  for (const name of ['reads', 'further', 'resumes', 'snapshots', 'resyncs', 'polls', 'cuts', 'rights', 'lost', 'entered']) assert.ok(totals[name] > 50, `${name}: ${totals[name]}`);
}
