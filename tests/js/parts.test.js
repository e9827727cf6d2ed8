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
import { Rows } from '../../static/rows.js';
import { signal } from '../../static/signal.js';
import { ROOT } from './program.js';
import { reply, settle, world } from './world.js';

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
      await w.clock.run(10_000);
    }
    await failed();
    assert.deepEqual(frames, []);
    arrive();
    await w.clock.run(30_000);
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
    // The attempt from before the close may still be under way, and fail.
    await until(() => (w.clock.run(1000), frames.length > 0));
    assert.deepEqual(frames, [['presence:join', 'presence:Task/8', { metadata: { b: 2 }, state: undefined }]]);
    presence.close();
    assert.equal(w.env.document.listening, 0);
  } finally {
    remove();
  }
});

/** A client of its own, to which `link.js` or another part does not come until `arrive`. */
async function client(options = {}, part = 'link.js') {
  const { load, arrive, remove } = without(part);
  const modules = Object.assign({}, ...(await Promise.all(['realtime.js', 'channels.js', 'optimistic.js', 'parts.js'].map(load))));
  modules.api = async () => (await load('link.js')).api();
  const w = world();
  const rt = new modules.RealtimeClient('/ws', { env: w.env, ...options });
  return { w, rt, modules, arrive, remove };
}

test('while the part that connects cannot be loaded, the page is shown and can be changed, and the rest is done when it comes', async () => {
  const { w, rt, modules, arrive, remove } = await client({ getToken: () => 'one', maxReconnectAttempts: 3 });
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
    await assert.rejects(rt.request('presence:join', {}, 'presence:lobby'), ({ code }) => code === 'NO_ANSWER');
    db.update('Task', 'a', { title: 'mine' });
    db.create('Task', { title: 'C' });
    assert.deepEqual([list.value.map(({ title }) => title), rt.detail.value.pending], [['C', 'mine', 'B'], 2]);
    for (const token of ['two', 'three', 'four']) rt.setToken(token);
    const seen = [];
    rt.status.listen((status) => seen.push(status));
    for (let time = 1; time <= 5; time++) {
      await until(() => rt.detail.value.attempt === time);
      assert.equal(rt.status.value, time <= 3 ? 'connecting' : 'offline');
      rt.connect();
      // It waits longer each time, at random, and all who need the part wait for the same attempt.
      const wait = 250 + 0.5 * 1000 * 2 ** (time - 1);
      await w.clock.run(wait - 1);
      for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
      assert.equal(rt.detail.value.attempt, time);
      await w.clock.run(1);
    }
    assert.deepEqual(seen, ['offline']);
    assert.match(rt.detail.value.reason, /link\.js/);
    assert.equal(w.sockets.length, 0);
    arrive();
    await until(() => (w.clock.run(1000), w.sockets.length === 1));
    assert.deepEqual([rt.status.value, rt.detail.value.attempt, rt.detail.value.pending], ['connecting', 0, 2]);
    w.socket.greet();
    assert.deepEqual(w.socket.take('auth').map(({ payload }) => payload), [{ token: 'four' }]);
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

test('when the user changes, lists wait for the next one with no row of the last, whether the part that connects is there or not', async () => {
  const told = [];
  for (const there of [true, false]) {
    const user = signal({ id: 'u1' });
    const { w, rt, modules, arrive, remove } = await client({ auth: { user, token: () => 'a token' } });
    try {
      if (there) {
        arrive();
        await modules.link().catch(() => modules.link());
      }
      rt.connect();
      const channels = new modules.ChannelSubscriber(rt, { env: w.env });
      const list = channels.list('Task', { initial: { items: [{ id: 'a' }], next: null, epoch: 'e1', seq: 7, view: 'v' } });
      const [record, notes] = [channels.record('Task', 'a'), channels.list('Note')];
      const says = [list, record, notes].flatMap((one) => [one, one.state, one.error]);
      /** What each of them has ever said. */
      const heard = says.map(() => []);
      says.forEach((one, at) => one.subscribe((value) => heard[at].push(value)));
      await settle();
      user.value = { id: 'u2' };
      assert.deepEqual(list.value, [], 'in the same moment');
      await settle();
      assert.deepEqual(says.map(({ value }) => value), [[], 'loading', null, undefined, 'loading', null, [], 'loading', null]);
      assert.deepEqual([channels.list('Task').value, channels.list('Task').state.value], [[], 'loading']);
      arrive();
      await until(() => (w.clock.run(1000), w.sockets.length === (there ? 2 : 1)));
      await settle();
      w.socket.greet();
      await settle();
      const asked = w.socket.take('subscribe');
      // Nothing is resumed from what the first user had.
      assert.deepEqual(
        asked.map(({ channel, payload }) => [channel, payload]).sort(),
        [['entity:Note', { snapshot: true }], ['entity:Task', { snapshot: true }], ['entity:Task:a', { snapshot: true }]],
      );
      assert.deepEqual([list.value, list.state.value, list.error.value], [[], 'loading', null]);
      const [{ requestId }] = asked.filter(({ channel }) => channel === 'entity:Task');
      const channel = 'entity:Task';
      w.socket.say({ type: 'subscribed', channel, requestId, payload: { epoch: 'e1', seq: 9, view: 'w', recovered: false }, more: true });
      w.socket.say({ type: 'snapshot', channel, seq: 9, payload: { rows: [{ id: 'b' }] }, more: true });
      w.socket.say({ type: 'pong', channel, payload: { epoch: 'e1', seq: 9, view: 'w' } });
      await settle();
      user.value = null;
      await settle();
      assert.deepEqual([list.value, list.state.value, list.error.value], [[], 'loading', null], 'and once more, when it was live');
      told.push(heard.map((values) => JSON.stringify(values)));
      rt.disconnect();
    } finally {
      remove();
    }
  }
  assert.deepEqual(told[0], told[1], 'step by step');
  const [rows, states] = told[0].map((text) => JSON.parse(text));
  assert.deepEqual([rows, states], [[[{ id: 'a' }], [], [{ id: 'b' }], []], ['stale', 'loading', 'live', 'loading']]);
});

test('what is asked over HTTP before the part is there is not done for the next user', async () => {
  const user = signal({ id: 'u1' });
  const { w, rt, modules, arrive, remove } = await client({ auth: { user, token: () => `token of ${user.peek()?.id}` } });
  try {
    rt.connect();
    const db = new modules.OptimisticManager(null, rt, { env: w.env, auth: { user, token: () => '' } });
    const asked = rt.api.list('tasks');
    const made = db.create('Task', { title: 'of u1' });
    user.value = { id: 'u2' };
    await assert.rejects(asked, ({ code }) => code === 'OTHER_USER');
    assert.equal((await made.catch((error) => error)).code, 'OTHER_USER');
    arrive();
    await until(() => (w.clock.run(1000), w.sockets.length === 1));
    await w.clock.run(60_000);
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(w.requests.filter(({ url }) => url.pathname !== '/api/changes' && url.pathname !== '/sse' && url.pathname !== '/api/schema').map(({ url }) => url.pathname), []);
    rt.disconnect();
    db.close();
  } finally {
    remove();
  }
});

test('what is asked over HTTP while the part that connects cannot be loaded has no answer, and a change is sent once at last', async () => {
  const { w, rt, modules, arrive, remove } = await client({ maxReconnectAttempts: 3 });
  try {
    await assert.rejects(rt.api.list('tasks'), { code: 'NO_ANSWER', status: 0 });
    rt.connect();
    const db = new modules.OptimisticManager(null, rt, { env: w.env });
    const made = db.create('Task', { title: 'x' });
    // What sends is a file as well.
    await until(() => (w.clock.run(1000), rt.detail.value.attempt >= 12 && db.stuck.value));
    assert.deepEqual([db.stuck.value.code, db.pending.value], ['NO_ANSWER', [made]]);
    w.respond = ({ pathname }) => reply(200, pathname === '/api/batch' ? { epoch: 'e1', seq: 1, results: [{ status: 201, id: made.id }] } : { entities: [] });
    arrive();
    // Only the files take their time here: a load over which much time passes is asked again.
    await modules.link();
    await modules.api();
    await w.clock.run(62_000);
    assert.equal(made.state, 'done');
    await w.clock.run(120_000);
    assert.deepEqual([w.requests.filter(({ url }) => url.pathname === '/api/batch').length, db.stuck.value], [1, null]);
    rt.disconnect();
    db.close();
  } finally {
    remove();
  }
});

test('a change whose record cannot be read, because the part that reads does not come, waits', async () => {
  const { w, rt, modules, arrive, remove } = await client({}, 'api.js');
  try {
    const db = new modules.OptimisticManager(null, rt, { env: w.env });
    const like = db.update('Task', 'a', ({ n }) => ({ n: n + 1 }));
    await until(() => (w.clock.run(1000), db.stuck.value));
    assert.deepEqual([db.stuck.value.code, db.pending.value, db.failed.value], ['NO_ANSWER', [like], []]);
    const answers = {
      '/api/schema': { entities: [{ name: 'Task', plural: 'tasks', fields: [] }] },
      '/api/tasks/a': { id: 'a', version: 1, n: 4 },
      '/api/batch': { epoch: 'e1', seq: 1, results: [{ status: 200, id: 'a', record: { id: 'a', version: 2, n: 5 } }] },
    };
    w.respond = ({ pathname }) => reply(200, answers[pathname]);
    arrive();
    await until(() => (w.clock.run(1000), like.state === 'done'));
    assert.equal((await like).n, 5);
    db.close();
  } finally {
    remove();
  }
});

test('what was stuck while the part that sends did not come is so no longer when it is there', async () => {
  for (const state of ['failed', 'queued']) {
    const { w, rt, modules, arrive, remove } = await client({}, 'verdicts.js');
    try {
      const left = { mid: '0190a000-0000-7000-8000-000000000001', changes: [{ op: 'update', entity: 'Task', id: 'a', data: { n: 2 } }], guards: [null], state, attempts: 1, error: { code: 'FORBIDDEN' } };
      let host;
      const queue = { problem: signal(null), ready: settle(), open: (given) => (host = given).release(false), put: () => {}, remove: () => {}, close: () => {} };
      const db = new modules.OptimisticManager(null, rt, { env: w.env, queue });
      const changes = () => [...db.pending.value, ...db.failed.value].length;
      host.adopt([left]);
      host.release(true);
      await until(() => db.stuck.value);
      assert.match(String(db.stuck.value), /verdicts\.js/);
      const told = [];
      db.stuck.listen((problem) => told.push(problem === null ? null : (problem.code ?? 'no part')));
      arrive();
      await until(() => (w.clock.run(1000), changes() === 1 && told.includes(null)));
      assert.equal(told.filter((problem) => problem !== 'no part')[0], null);
      db.close();
    } finally {
      remove();
    }
  }
});

test('a client that is stopped before it could connect loads nothing more, until it is started again', async () => {
  const { w, rt, arrive, remove } = await client();
  try {
    rt.connect();
    await until(() => w.clock.pending === 1);
    rt.disconnect();
    assert.deepEqual([w.clock.pending, rt.status.value], [0, 'offline']);
    arrive();
    await w.clock.run(60_000);
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([w.clock.pending, w.sockets.length, rt.status.value], [0, 0, 'offline']);
    // HTTP needs the part, and no connection.
    rt.api.list('tasks').catch(() => {});
    await until(() => (w.clock.run(1000), w.requests.length > 0));
    assert.equal(w.sockets.length, 0);
    rt.connect();
    assert.equal(w.sockets.length, 1);
    rt.disconnect();
  } finally {
    remove();
  }
});

test('a list reads frames with what comes with them, and loads nothing for that', async () => {
  const { w, modules, remove } = await client();
  try {
    // A connection of another copy of the modules, which has all of its parts.
    const rt = {
      subscribe(channel, take, { onState }) {
        const say = (frame) => take({ channel, ...frame }, Rows);
        say({ type: 'subscribed', payload: { epoch: 'e1', seq: 5, recovered: false }, more: true });
        say({ type: 'snapshot', seq: 5, payload: { rows: [{ id: 'a', title: 'A' }] } });
        say({ type: 'pong', payload: { epoch: 'e1', seq: 5 } });
        onState('live');
        say({ type: 'entity:updated', seq: 6, payload: { id: 'a', title: 'B' } });
        return () => {};
      },
    };
    const list = new modules.ChannelSubscriber(rt, { env: w.env }).list('Task');
    await settle();
    assert.deepEqual([list.value, list.state.value], [[{ id: 'a', title: 'B' }], 'live']);
    list.close();
  } finally {
    remove();
  }
});

test('all who need a part share its attempts, and the last one who stops waiting ends them', async () => {
  const { clock, env } = world();
  let asked = 0;
  const load = part(async () => {
    asked++;
    throw new Error('no line');
  });
  const failures = [0, 0, 0];
  const ends = failures.map((_, at) => load.use(env, () => assert.fail('never'), () => failures[at]++));
  await settle();
  assert.deepEqual([asked, failures, clock.pending], [1, [1, 1, 1], 1]);
  ends[0]();
  await clock.run(750);
  assert.deepEqual([asked, failures], [2, [1, 2, 2]]);
  ends[0]();
  ends[1]();
  ends[2]();
  await clock.run(600_000);
  assert.deepEqual([asked, clock.pending], [2, 0]);
  // Who stops and starts again during an attempt, and when it fails, begins no second one.
  const restless = part(async () => {
    asked++;
    throw new Error('no line');
  });
  asked = 0;
  let end = restless.use(env, () => {});
  end();
  let told = 0;
  const again = () => {
    told++;
    end();
    end = restless.use(env, () => {}, again);
  };
  end = restless.use(env, () => {}, again);
  await settle();
  assert.deepEqual([asked, told, clock.pending], [1, 1, 1]);
  end();
  assert.equal(clock.pending, 0);
  // One that comes while an attempt is under way.
  let arrive;
  const late = part(() => new Promise((resolve) => (arrive = resolve)));
  const came = [];
  late.use(env, () => came.push('first'))();
  late.use(env, (loaded) => came.push(loaded));
  arrive('the module');
  await settle();
  late.use(env, (loaded) => came.push(`${loaded}, at once`));
  assert.deepEqual(came, ['the module', 'the module, at once']);
});
