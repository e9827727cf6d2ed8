/**
 * Modules that are loaded behind the start of a page, and may not come: what is asked of them waits, in a bounded place, and ends with
 * who asked.
 */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { part } from '../../static/parts.js';
import { signal } from '../../static/signal.js';
import { ROOT } from './program.js';
import { settle, world } from './world.js';

test('a part is loaded once; one that could not be loaded is loaded by the next call', async () => {
  const asked = [];
  const load = part(() => new Promise((resolve, reject) => asked.push({ resolve, reject })));
  const [one, two] = [load(), load()];
  assert.equal(asked.length, 1);
  asked[0].reject(new Error('no line'));
  await assert.rejects(one, /no line/);
  await assert.rejects(two, /no line/);
  const three = load();
  asked[1].resolve('the module');
  assert.deepEqual([await three, await load(), load.loaded, asked.length], ['the module', 'the module', 'the module', 2]);
});

/** A copy of the modules of its own, to which one of them does not come until `arrive`. */
function without(name) {
  const folder = mkdtempSync(join(tmpdir(), 'tidewire-parts-'));
  cpSync(join(ROOT, 'static'), folder, { recursive: true, filter: (path) => !path.endsWith(`/${name}`) && !/pages$|types$/.test(path) });
  return {
    load: (module) => import(pathToFileURL(join(folder, module)).href),
    arrive: () => cpSync(join(ROOT, 'static', name), join(folder, name)),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A page of its own, to which `attendance.js` does not come until `arrive`. */
async function page() {
  const { load, arrive, remove } = without('attendance.js');
  const { PresenceManager } = await load('presence.js');
  const w = world();
  const frames = [];
  const rt = {
    connected: signal(true),
    detail: signal({ userId: 'ada' }),
    on: () => () => {},
    request: (type, payload, channel) => {
      frames.push([type, channel, payload]);
      return new Promise(() => {});
    },
  };
  const presence = new PresenceManager(rt, { env: w.env });
  /** Until a load has failed, and the next one is due. */
  const failed = () => until(() => w.clock.pending === 1);
  return { w, rt, frames, presence, arrive, failed, remove };
}

/** The files have their own pace. */
async function until(look) {
  for (let turn = 0; turn < 2000; turn++) {
    if (look()) return settle();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.fail(`never: ${look}`);
}

test('while the part of presence cannot be loaded, the last of each thing waits, and is told when it comes', async () => {
  const { w, frames, presence, arrive, failed, remove } = await page();
  try {
    const here = presence.join('Task/7', { field: null, a: 1 });
    const gone = presence.join('Task/8');
    presence.join('Task/8');
    presence.watch('Task/9');
    const only = presence.count('lobby');
    for (let x = 0; x < 1000; x++) here.update({ x, field: x < 999 ? 'title' : null }, 'idle');
    here.update({ y: 1 }, 'away');
    only.update({ never: true });
    gone.leave();
    gone.leave();
    assert.deepEqual([gone.state.value, here.state.value], ['left', 'joining']);
    for (let time = 0; time < 3; time++) {
      await failed();
      await w.clock.run(1000);
    }
    await failed();
    assert.deepEqual(frames, []);
    arrive();
    await w.clock.run(1000);
    await until(() => frames.length >= 4);
    await w.clock.run(1000);
    assert.deepEqual(frames, [
      ['presence:join', 'presence:Task/7', { metadata: { a: 1, x: 999, y: 1 }, state: undefined }],
      ['presence:update', 'presence:Task/7', { metadata: {}, state: 'away' }],
      ['subscribe', 'presence:Task/9', undefined],
      ['subscribe', 'presence:lobby', { count: true }],
    ]);
    presence.close();
  } finally {
    remove();
  }
});

test('a presence that is closed loads nothing more; one that is used again does', async () => {
  const { w, frames, presence, arrive, failed, remove } = await page();
  try {
    const here = presence.join('Task/7');
    await failed();
    presence.close();
    assert.deepEqual([w.clock.pending, here.state.value], [0, 'left']);
    presence.close();
    here.update({ a: 1 });
    here.leave();
    // One that is closed while the part is on its way.
    presence.join('Task/7');
    presence.close();
    arrive();
    await w.clock.run(10_000);
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([w.clock.pending, w.env.document.listening, frames], [0, 0, []]);
    presence.join('Task/8', { b: 2 });
    await until(() => frames.length > 0);
    assert.deepEqual(frames, [['presence:join', 'presence:Task/8', { metadata: { b: 2 }, state: undefined }]]);
    presence.close();
    assert.equal(w.env.document.listening, 0);
  } finally {
    remove();
  }
});

/** A client of its own, to which `link.js` does not come until `arrive`. */
async function client(options = {}) {
  const { load, arrive, remove } = without('link.js');
  const modules = Object.assign({}, ...(await Promise.all(['realtime.js', 'channels.js', 'optimistic.js'].map(load))));
  const w = world();
  const rt = new modules.RealtimeClient('/ws', { env: w.env, ...options });
  return { w, rt, modules, arrive, remove };
}

test('while the part that connects cannot be loaded, the page is shown and can be changed, and the rest is done when it comes', async () => {
  const { w, rt, modules, arrive, remove } = await client({ getToken: () => 'one' });
  try {
    assert.equal(rt.status.value, 'offline');
    rt.connect();
    const rows = [{ id: 'a', title: 'A', version: 1 }, { id: 'b', title: 'B', version: 1 }];
    const list = new modules.ChannelSubscriber(rt, { env: w.env }).list('Task', { initial: { items: rows, next: null, epoch: 'e1', seq: 7, view: 'v' } });
    const db = new modules.OptimisticManager(null, rt, { env: w.env });
    assert.deepEqual([list.value, list.state.value, rt.status.value], [rows, 'stale', 'connecting']);
    const heard = [];
    const leave = rt.subscribe('entity:Note', (frame) => heard.push(frame));
    rt.subscribe('entity:Tag', (frame) => heard.push(frame.type));
    rt.subscribe('entity:Tag', (frame) => heard.push(frame.type))();
    const told = [];
    const deaf = rt.on('frame', () => told.push('never'));
    rt.on('frame', ({ type }) => told.push(type));
    leave();
    deaf();
    const closed = new modules.ChannelSubscriber(rt, { env: w.env }).list('Word');
    closed.close();
    const lost = rt.request('presence:join', {}, 'presence:lobby');
    lost.catch(() => {});
    db.update('Task', 'a', { title: 'mine' });
    assert.deepEqual(list.value.map(({ title }) => title), ['mine', 'B']);
    rt.setToken('two');
    for (let time = 1; time <= 11; time++) {
      await until(() => rt.detail.value.attempt === time);
      assert.equal(rt.status.value, time <= 10 ? 'connecting' : 'offline');
      await w.clock.run(1000);
    }
    assert.match(rt.detail.value.reason, /link\.js/);
    assert.equal(w.sockets.length, 0);
    arrive();
    await until(() => (w.clock.run(1000), w.sockets.length === 1));
    await assert.rejects(lost, ({ code }) => code === 'NO_ANSWER');
    assert.deepEqual([rt.status.value, rt.detail.value.attempt, rt.detail.value.pending], ['connecting', 0, 1]);
    w.socket.greet();
    assert.deepEqual(w.socket.take('auth').map(({ payload }) => payload), [{ token: 'one' }, { token: 'two' }]);
    assert.deepEqual(
      w.socket.take('subscribe').map(({ channel, payload }) => [channel, payload?.since]).sort(),
      [['entity:Tag', undefined], ['entity:Task', { epoch: 'e1', seq: 7, view: 'v' }]],
    );
    w.socket.say({ type: 'lease:changed' });
    assert.deepEqual([told, rt.status.value, rt.detail.value.reason, heard], [['lease:changed'], 'connected', '', []]);
    rt.disconnect();
  } finally {
    remove();
  }
});

test('a client that is stopped, or used by another user, before it could connect', async () => {
  const user = signal({ id: 'u1' });
  const { w, rt, modules, arrive, remove } = await client({ auth: { user, token: () => 'a token' } });
  try {
    rt.connect();
    const list = new modules.ChannelSubscriber(rt, { env: w.env }).list('Task', { initial: { items: [{ id: 'a' }], next: null, epoch: 'e1', seq: 7, view: 'v' } });
    rt.api.list('tasks').catch(() => {});
    user.value = { id: 'u2' };
    rt.disconnect();
    assert.equal(rt.status.value, 'offline');
    arrive();
    await until(() => (w.clock.run(1000), list.state.value === 'denied'));
    assert.deepEqual([list.value, list.error.value.code, rt.status.value], [[], 'OTHER_USER', 'offline']);
    assert.deepEqual(w.sockets.filter(({ closedWith }) => closedWith === null), []);
    await until(() => (w.clock.run(1000), w.requests.length > 0));
  } finally {
    remove();
  }
});
