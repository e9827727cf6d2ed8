/**
 * Tabs on one connection in front of the real program: presence, rooms, lists with and without a limit, and changes.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect } from '../../static/client.js';
import { environment } from '../../static/env.js';
import { PresenceManager } from '../../static/presence.js';
import { Room } from '../../static/room.js';
import { Tidewire } from './program.js';
import { Browser } from './tabs.js';

let server;
before(async () => void (server = await new Tidewire('tests/fixtures/plain').start()));
after(() => server?.remove());

/** Resolves when what a signal holds is as it should be. */
function becomes(signal, holds) {
  return new Promise((resolve) => {
    const stop = signal.subscribe((value) => {
      if (!holds(value)) return;
      queueMicrotask(() => stop());
      resolve(value);
    });
  });
}
const ids = (users) => users.map(({ id }) => id).sort().join();
const connections = async () => {
  const response = await fetch(`${server.address}/api/admin/connections?as=root:admin`);
  return (await response.json()).items.filter(({ userId }) => userId === 'ada').length;
};

test('two tabs on one connection have presence, rooms, lists and changes as if each had its own', { timeout: 60_000 }, async () => {
  const env = { ...environment(), base: server.address };
  const browser = new Browser({ env });
  const tab = () => {
    const made = browser.tab();
    const own = { ...made.env, WebSocket: env.WebSocket, setTimeout: env.setTimeout };
    return { ...made, ...connect({ as: 'ada', shareConnection: true, env: own }), env: own };
  };
  const [one, two] = [tab(), tab()];
  const ben = connect({ as: 'ben', env });
  const all = [one, two, ben];
  await Promise.all(all.map(({ rt }) => becomes(rt.connected, Boolean)));
  assert.equal(await connections(), 1);

  // Presence: Ada is there while any of her tabs is, and one that watches goes on when the other one leaves.
  const seen = new PresenceManager(ben.rt, { env }).watch('lobby');
  const [here, there] = [one, two].map(({ rt, env }) => new PresenceManager(rt, { env }));
  const first = here.join('lobby', { tab: 1 });
  await becomes(first.state, (state) => state === 'live');
  // What was told last is shown.
  const second = there.join('lobby', { tab: 2 });
  await Promise.all([first, second, seen].map(({ users }) => becomes(users, (users) => ids(users) === 'ada')));
  await becomes(seen.users, ([ada]) => ada?.metadata.tab === 2);
  second.leave();
  await becomes(seen.users, ([ada]) => ada?.metadata.tab === 1);
  const watches = there.watch('lobby');
  await becomes(watches.users, (users) => ids(users) === 'ada');
  first.leave();
  await Promise.all([seen, watches].map(({ users }) => becomes(users, (users) => users.length === 0)));
  const bens = new PresenceManager(ben.rt, { env }).join('lobby', {});
  await becomes(watches.users, (users) => ids(users) === 'ben');
  bens.leave();

  // A room: each message once, to all but who sent it.
  const heard = [[], [], []];
  const rooms = all.map(({ rt }, at) => {
    const room = new Room(rt, 'lobby');
    room.on('*', (_, by, event) => heard[at].push(`${event} of ${by}`));
    return room;
  });
  await Promise.all(rooms.map(({ state }) => becomes(state, (state) => state === 'live')));
  await rooms[0].send('a');
  await rooms[2].send('b');
  await rooms[1].send('c');
  await rooms[2].send('d');
  // What Ben sent last has come, so all that was sent before has, too.
  while (!heard[0].includes('d of ben') || !heard[1].includes('d of ben') || !heard[2].includes('c of ada')) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(heard.map((each) => each.sort()), [
    ['b of ben', 'c of ada', 'd of ben'],
    ['a of ada', 'b of ben', 'd of ben'],
    ['a of ada', 'c of ada'],
  ]);

  // Lists: one wants the first rows, the other one all of them, and both write.
  for (let n = 0; n < 6; n++) await ben.api.create('tasks', { title: `Task ${n}` });
  const titles = (rows) => rows.map(({ title }) => title).join();
  const few = one.channels.list('Task', { sort: 'title', limit: 2 });
  await becomes(few, (rows) => titles(rows) === 'Task 0,Task 1');
  const many = two.channels.list('Task', { sort: 'title' });
  await becomes(many, (rows) => rows.length === 6);
  await two.db.create('Task', { title: 'A' });
  await one.db.update('Task', many.value.find(({ title }) => title === 'Task 5').id, { title: 'B' });
  await Promise.all([becomes(few, (rows) => titles(rows) === 'A,B'), becomes(many, (rows) => titles(rows) === 'A,B,Task 0,Task 1,Task 2,Task 3,Task 4')]);

  // The tab with the connection ends.
  one.close();
  await ben.api.create('tasks', { title: 'C' });
  await becomes(many, (rows) => titles(rows) === 'A,B,C,Task 0,Task 1,Task 2,Task 3,Task 4');
  await becomes(two.rt.detail, ({ sharing }) => sharing === 'leads');
  for (const { close } of [two, ben]) close();
});
