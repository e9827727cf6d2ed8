/**
 * One story of tabs on one connection, in front of a server that is cut and restarted, while tabs are opened, closed, frozen and
 * crash. A story is a seed: it throws when a promise of `convergence.test.js` is broken in any tab.
 */
import assert from 'node:assert/strict';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { RealtimeClient } from '../../static/realtime.js';
import { watch } from './convergence_story.js';
import { withLateParts } from './late.js';
import { Server } from './server.js';
import { Browser } from './tabs.js';
import { TROUBLE } from './trouble.js';
import { seeded, world } from './world.js';

export { busy } from './convergence_story.js';

const TABS = 4;
/** Rows of a list with a limit. */
const MOST = 4;

/** @param {number} seed @param {Record<string, number>} totals */
export const story = (seed, totals) => withLateParts(seed, () => tell(seed, totals));

async function tell(seed, totals) {
  const random = seeded(seed);
  const dice = { int: (n) => Math.floor(random() * n), chance: (p) => random() < p };
  const w = world({ random });
  const server = new Server(w, dice);
  const browser = new Browser(w);
  const stats = { opened: 0, closed: 0, crashed: 0, frozen: 0, leads: 0, follows: 0, alone: 0, limited: 0, shared: 0 };
  const tabs = [];
  const problems = [];

  const open = () => {
    const tab = browser.tab();
    const rt = new RealtimeClient('/ws?as=ada', { env: tab.env, shareConnection: true, linger: 100 }).connect();
    const api = new Api('/api', { env: tab.env });
    // Some want only the first rows, in one of two orders.
    const sort = dice.chance(0.3) ? (dice.chance(0.5) ? '-v' : 'id') : undefined;
    const list = new ChannelSubscriber(rt, { env: tab.env, api, linger: 100 }).list('Task', sort && { sort, limit: MOST });
    if (sort) stats.limited++;
    else problems.push(watch(list, server, () => rt.status.value));
    let before = null;
    rt.detail.listen(({ sharing }) => {
      if (sharing !== before && sharing) stats[sharing]++;
      before = sharing;
    });
    stats.opened++;
    tabs.push({ ...tab, rt, list, sort });
  };
  const end = (tab) => void tabs.splice(tabs.indexOf(tab), 1);
  const acts = [
    [4, () => tabs.length < TABS && open()],
    [1, (tab) => {
      stats.closed++;
      tab.rt.disconnect();
      end(tab);
    }],
    [1, (tab) => {
      stats.crashed++;
      tab.close();
      for (const socket of tab.sockets) server.forget(socket);
      end(tab);
    }],
    [1, (tab) => {
      if (tab.frozen) tab.thaw();
      else {
        stats.frozen++;
        tab.freeze();
      }
      tab.frozen = !tab.frozen;
    }],
  ].flatMap(([weight, act]) => Array(weight).fill(act));
  const bag = TROUBLE.flatMap(([weight, act]) => Array(weight).fill(act));

  open();
  for (let step = 0; step < 120; step++) {
    await w.clock.run(dice.int(600));
    if (server.connections === 1 && tabs.filter(({ rt }) => rt.connected.value).length > 1) stats.shared++;
    if (dice.chance(0.6)) server.random();
    else if (dice.chance(0.5)) await bag[dice.int(bag.length)](server, dice, w.clock);
    else if (tabs.length === 0) open();
    else acts[dice.int(acts.length)](tabs[dice.int(tabs.length)]);
  }

  server.up = server.sockets = true;
  for (const tab of tabs) if (tab.frozen) tab.thaw();
  open();
  await w.clock.run(60_000);
  server.calm();
  server.commit([{ set: 'last', v: 1 }]);
  await w.clock.run(60_000);
  for (const [at, { rt, list, sort }] of tabs.entries()) {
    assert.deepEqual(list.value, sort ? server.first(sort).slice(0, MOST) : server.shown(), `seed ${seed}, tab ${at}: the rows are those that the server shows`);
    assert.equal(list.state.value, 'live', `seed ${seed}, tab ${at}: the list is live`);
    assert.equal(rt.status.value, 'connected', `seed ${seed}, tab ${at}`);
  }
  assert.deepEqual(problems.flat(), [], `seed ${seed}: what was shown on the way`);
  for (const { rt } of tabs) rt.disconnect();
  for (const [name, count] of Object.entries({ ...server.stats, ...stats })) totals[name] = (totals[name] ?? 0) + count;
}
