/**
 * One story of a reader and a server that is cut, restarted and closed. A story is a seed: it throws when a promise of
 * `convergence.test.js` is broken. Knows no test harness, so that `chaos.js` can tell thousands of them.
 */
import assert from 'node:assert/strict';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { RealtimeClient } from '../../static/realtime.js';
import { withLateParts } from './late.js';
import { Server } from './server.js';
import { TROUBLE } from './trouble.js';
import { seeded, world } from './world.js';

/** Beside what may happen to all: the reader to whom the entity was closed is given the right to read. */
const MORE = [...TROUBLE, [2, (server) => server.open()]];

/** @param {number} seed @param {Record<string, number>} totals */
export const story = (seed, totals) => withLateParts(seed, () => tell(seed, totals));

async function tell(seed, totals) {
  const random = seeded(seed);
  const dice = { int: (n) => Math.floor(random() * n), chance: (p) => random() < p };
  const w = world({ random });
  const server = new Server(w, dice);
  // To every fourth reader the entity is closed at first, and opens while the list is there.
  server.closed = seed % 4 === 0;
  const bag = MORE.flatMap(([weight, act]) => Array(weight).fill(act));

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
export function watch(list, server, status) {
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

/** A story that nothing happens in proves nothing. @param {Record<string, number>} totals Of many stories. */
export function busy(totals) {
  for (const [name, count] of Object.entries(totals)) assert.ok(count > 20, `${name} took place ${count} times`);
}
