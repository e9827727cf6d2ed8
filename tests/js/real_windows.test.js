/**
 * Windows in front of the real program, for a reader whose rights come and go, on a connection that is cut: they come to what
 * the server's own list has first for this reader. `SEED=…` repeats a run.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Api } from '../../static/api.js';
import { connect } from '../../static/client.js';
import { Tidewire } from './program.js';
import { seeded } from './world.js';

const SEED = Number(process.env.SEED ?? 20_261_128);
const random = seeded(SEED);
const below = (end) => Math.floor(random() * end);
const pick = (of) => of[below(of.length)];

let server;
let admin;
let app;
let sockets = [];
before(async () => {
  server = await new Tidewire('tests/e2e/schemas').start();
  admin = new Api('/api', { as: 'root:admin', env: { base: server.address } });
  class Socket extends WebSocket {
    constructor(url) {
      super(url);
      sockets.push(this);
    }
  }
  app = connect({ url: server.address, as: 'ada', env: { WebSocket: Socket } });
});
after(async () => {
  app?.close();
  await server?.remove();
});

test(`windows follow rights, writes and cuts (seed ${SEED})`, { timeout: 120_000 }, async () => {
  const { api, channels, rt } = app;
  const projects = [];
  for (const name of ['one', 'two', 'three']) projects.push((await admin.create('projects', { name })).id);
  const tasks = [];
  const write = async () => {
    const dice = random();
    if (tasks.length > 20 && dice < 0.3) return admin.delete('tasks', tasks.splice(below(tasks.length), 1)[0]);
    const data = { title: `${below(40)}`, project: pick(projects) };
    if (tasks.length > 20 && dice < 0.6) return admin.update('tasks', pick(tasks), data);
    tasks.push((await admin.create('tasks', data)).id);
  };
  for (let n = 0; n < 40; n++) await write();
  const memberships = new Map();
  const turn = async (project) => {
    const known = memberships.get(project);
    if (known) {
      memberships.delete(project);
      return admin.delete('memberships', known);
    }
    memberships.set(project, (await admin.create('memberships', { person: 'ada', project })).id);
  };
  await turn(projects[0]);
  const windows = [
    { sort: '-created_at', shown: 5 },
    { sort: 'title', shown: 3 },
    { sort: '-title', shown: 4, where: { project: projects[0] } },
  ].map((asked) => ({ ...asked, list: channels.list('Task', { sort: asked.sort, limit: asked.shown, where: asked.where }) }));
  const happened = { turns: 0, cuts: 0, grown: 0 };
  for (let round = 0; round < 25; round++) {
    for (let n = below(4); n > 0; n--) await write();
    if (random() < 0.5) {
      happened.turns++;
      await turn(pick(projects));
    }
    if (random() < 0.3) {
      happened.cuts++;
      for (const socket of sockets.splice(0)) socket.close();
    }
    const chosen = pick(windows);
    if (random() < 0.3) {
      happened.grown++;
      chosen.shown += 2;
      chosen.list.more(2);
    }
    for (const { list, sort, where, shown } of windows) {
      const { items, next } = await api.list('tasks', { ...where, sort, limit: shown });
      const there = () => list.state.value === 'live' && isDeepStrictEqual(list.value, items) && list.hasMore.value === (next !== null);
      for (let patience = 0; !there() && patience < 1000; patience++) await new Promise((resolve) => setTimeout(resolve, 10));
      assert.deepEqual(
        { state: list.state.value, rows: list.value, more: list.hasMore.value, status: rt.status.value },
        { state: 'live', rows: items, more: next !== null, status: 'connected' },
        `SEED=${SEED}, round ${round}, sort ${sort}, ${shown} rows`,
      );
    }
  }
  for (const [what, count] of Object.entries(happened)) assert.ok(count > 0, `SEED=${SEED}: no ${what}`);
});
