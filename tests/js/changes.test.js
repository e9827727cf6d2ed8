/**
 * Changes one at a time: what people see of each from the click to the verdict, and what they can do about a refusal.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { verdicts } from '../../static/mutation.js';
import { OptimisticManager } from '../../static/optimistic.js';
import { RealtimeClient } from '../../static/realtime.js';
import { signal } from '../../static/signal.js';
import { reply, settle, world } from './world.js';

const EPOCH = 'e1';
const row = (id, fields = {}) => ({ id, version: 1, ...fields });

/** A connected page whose server is the test: `posts` are the batches that wait for an answer. */
async function open(options = {}, { online = true } = {}) {
  const w = world();
  const posts = [];
  w.respond = (url, init) => {
    if (url.pathname === '/api/schema') return reply(200, { entities: [{ name: 'Task', plural: 'tasks', fields: options.fields ?? [] }] });
    if (init.method !== 'POST') return options.get ? options.get(url) : reply(404, { code: 'NOT_FOUND' });
    return new Promise((resolve, reject) => {
      const body = JSON.parse(init.body);
      posts.push({
        ...body,
        key: init.headers['Idempotency-Key'],
        answer: async (seq, ...results) => (resolve(reply(200, { epoch: EPOCH, seq, results })), settle()),
        refuse: async (status, problem, headers) => (resolve(reply(status, problem, headers)), settle()),
        lose: async () => (reject(new TypeError('fetch failed')), settle()),
      });
    });
  };
  const { fields, get, ...given } = options;
  const rt = new RealtimeClient('/ws', { env: w.env });
  const channels = new ChannelSubscriber(rt, { env: w.env });
  const db = new OptimisticManager(new Api('/api', { env: { ...w.env, randomBytes: (bytes) => bytes.fill(1) } }), rt, { env: w.env, ...given });
  if (online) {
    rt.connect();
    w.socket.greet().say({ type: 'pong', payload: {} });
  }
  const seqs = new Map();
  /** Opens a list and answers its subscription. */
  const list = async (rows, where = {}, more = {}) => {
    const made = channels.list('Task', { where, ...more });
    await settle();
    const { requestId, channel } = w.socket.take('subscribe').at(-1);
    w.socket.say({ type: 'subscribed', channel, requestId, payload: { epoch: EPOCH, seq: 10, view: 'v', recovered: false }, more: true });
    w.socket.say({ type: 'snapshot', channel, seq: 10, payload: { rows }, more: true });
    w.socket.say({ type: 'pong', channel, payload: { epoch: EPOCH, seq: 10, view: 'v' } });
    await settle();
    seqs.set(made, { channel, prev: 10 });
    return made;
  };
  const event = async (of, type, payload, seq, extra = {}) => {
    const state = seqs.get(of);
    w.socket.say({ type: `entity:${type}`, channel: state.channel, payload, seq, prev: state.prev, ...extra });
    state.prev = seq;
    await settle();
  };
  return { w, rt, db, channels, posts, list, event };
}

const error = (status, code, more = {}) => ({ status, error: { status, code, detail: code, ...more } });
const shown = (list) => list.value.map(({ id, title, _optimistic }) => `${title ?? id}${_optimistic ? '*' : ''}`).join(' ');

test('what was created, changed and deleted is seen at once, and marked until the server confirms it', async () => {
  const { db, posts, list } = await open();
  const tasks = await list([row('a', { title: 'one' }), row('b', { title: 'two' })]);
  const made = db.create('Task', { title: 'three' });
  db.update('Task', 'a', { title: 'uno' });
  db.delete('Task', 'b');
  assert.equal(shown(tasks), 'three* uno*');
  assert.deepEqual([tasks.meta('a').state, tasks.meta(made.id).state, db.pending.value.length], ['pending', 'pending', 3]);
  assert.match(made.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/);
  await settle();
  assert.equal(posts.length, 1, 'one request for all that was done in one go');
  assert.deepEqual(posts[0].ops.map(({ op, id, data }) => [op, id, data]), [
    ['create', made.id, { title: 'three' }],
    ['update', 'a', { title: 'uno' }],
    ['delete', 'b', undefined],
  ]);
  await posts[0].answer(
    13,
    { status: 201, id: made.id, seq: 11, record: row(made.id, { title: 'three' }) },
    { status: 200, id: 'a', seq: 12, record: row('a', { title: 'uno', version: 2 }) },
    { status: 204, id: 'b', seq: 13 },
  );
  assert.equal(shown(tasks), 'three uno', 'the list is not there yet, and shows it');
  assert.deepEqual([db.pending.value, tasks.meta('a').state], [[], 'synced']);
  assert.equal((await made).version, 1);
});

test('an answer before the event, after it, alone, and the event alone show the same', async () => {
  const states = [];
  for (const order of ['answer event', 'event answer', 'answer', 'event', 'event event']) {
    const { db, posts, list, event } = await open();
    const tasks = await list([row('a', { title: 'old', n: 1 })]);
    const seen = [];
    tasks.listen(() => seen.push(tasks.value[0].title));
    const changed = db.update('Task', 'a', { title: 'new' });
    await settle();
    const after = row('a', { title: 'new', n: 1, version: 2 });
    for (const step of order.split(' ')) {
      if (step === 'answer') await posts[0].answer(11, { status: 200, id: 'a', seq: 11, record: after });
      else await event(tasks, 'updated', after, 11, { mid: changed.mid });
    }
    assert.equal(await changed.then((found) => found.version), 2, order);
    assert.deepEqual([...new Set(seen)], ['new'], `${order}: never the old value again`);
    states.push(tasks.value);
    await event(tasks, 'updated', row('a', { title: 'later', n: 1, version: 3 }), 12);
    assert.equal(shown(tasks), 'later', order);
  }
  for (const state of states) assert.deepEqual(state, [row('a', { title: 'new', n: 1, version: 2 })]);
});

test('an answer that comes when the list is further writes nothing: rule A', async () => {
  const { db, posts, list, event } = await open();
  const tasks = await list([]);
  const made = db.create('Task', { title: 'mine' });
  await settle();
  await event(tasks, 'created', row(made.id, { title: 'mine' }), 11);
  await event(tasks, 'deleted', { id: made.id }, 12);
  await posts[0].answer(11, { status: 201, id: made.id, seq: 11, record: row(made.id, { title: 'mine' }) });
  assert.deepEqual([tasks.value, db.pending.value], [[], []]);
});

test('a snapshot from before a confirmation does not take the record away: rule B', async () => {
  const { w, db, posts, list } = await open();
  const tasks = await list([]);
  const made = db.create('Task', { title: 'mine' });
  await settle();
  await posts[0].answer(12, { status: 201, id: made.id, seq: 12, record: row(made.id, { title: 'mine' }) });
  w.socket.say({ type: 'resync', channel: 'entity:Task', payload: { epoch: EPOCH, seq: 11, view: 'v', reason: 'backlog' }, more: true });
  w.socket.say({ type: 'snapshot', channel: 'entity:Task', seq: 11, payload: { rows: [] }, more: true });
  w.socket.say({ type: 'pong', channel: 'entity:Task', payload: { epoch: EPOCH, seq: 11, view: 'v' } });
  await settle();
  assert.equal(shown(tasks), 'mine');
});

test('a refused change disappears alone; it can be sent again, or given up', async () => {
  const { db, posts, list } = await open();
  const tasks = await list([row('a', { title: 'one', n: 1 })]);
  const first = db.update('Task', 'a', { title: 'no' }, { ifMatch: true });
  const second = db.update('Task', 'a', { n: 2 });
  await settle();
  assert.equal(shown(tasks), 'no*');
  await posts[0].answer(10, error(422, 'VALIDATION_FAILED', { hint: 'shorter' }));
  assert.deepEqual([tasks.value[0].title, tasks.value[0].n], ['one', 2], 'the other change stays');
  const meta = tasks.meta('a');
  assert.deepEqual([meta.state, meta.error.code, meta.error.hint, db.failed.value], ['failed', 'VALIDATION_FAILED', 'shorter', [first]]);
  await assert.rejects(Promise.resolve(first), { code: 'VALIDATION_FAILED' });
  await posts[1].answer(11, { status: 200, id: 'a', seq: 11, record: row('a', { title: 'one', n: 2, version: 2 }) });
  assert.equal((await second).n, 2);
  first.retry();
  await settle();
  assert.equal(shown(tasks), 'no*');
  assert.deepEqual([posts[2].ops[0].mid, posts[2].ops[0].version], [first.mid, 1]);
  await posts[2].answer(11, error(422, 'VALIDATION_FAILED'));
  assert.equal(first.discard(), true);
  assert.deepEqual([db.failed.value, tasks.meta('a').state, shown(tasks)], [[], 'synced', 'one']);
});

test('however often a change is sent again, nothing more is left to end', async () => {
  const { use } = verdicts;
  let ended = 0;
  verdicts.use = (...args) => {
    const end = use(...args);
    return () => (ended++, end());
  };
  try {
    const { db, posts } = await open();
    const bad = db.create('Task', { title: 'bad' });
    for (let time = 0; time < 20; time++) {
      await settle();
      await posts[time].answer(10, error(422, 'VALIDATION_FAILED'));
      bad.retry();
    }
    db.close();
    assert.equal(ended, 0, 'the part was there all the time');
  } finally {
    verdicts.use = use;
  }
});

test('what needs a record that could not be created is refused with it, and sent again with it', async () => {
  const { db, posts, list } = await open();
  const tasks = await list([row('a', { title: 'a' })]);
  const project = db.create('Task', { title: 'project' });
  const part = db.create('Task', { title: 'part', of: project.id });
  const other = db.update('Task', 'a', { title: 'b' });
  await settle();
  assert.deepEqual(posts[0].ops.map(({ data }) => data.title), ['project'], 'what follows waits');
  await posts[0].answer(10, error(403, 'FORBIDDEN'));
  assert.deepEqual(db.failed.value.map(({ error }) => error.code), ['FORBIDDEN', 'DEPENDS_ON']);
  assert.equal(shown(tasks), 'b*');
  assert.deepEqual(posts[1].ops.map(({ id }) => id), ['a'], 'the rest goes on');
  await posts[1].answer(11, { status: 200, id: 'a', seq: 11, record: row('a', { title: 'b', version: 2 }) });
  await other;
  project.retry();
  assert.equal(shown(tasks).split(' ').length, 3);
  await settle();
  await posts[2].answer(12, { status: 201, id: project.id, seq: 12, record: row(project.id, { title: 'project' }) });
  await settle();
  assert.deepEqual(posts[3].ops.map(({ mid, data }) => [mid, data.of]), [[part.mid, project.id]]);
});

test('unsent changes of one record become one; what is created and deleted again is never sent', async () => {
  const { db, posts, list } = await open();
  const tasks = await list([row('a')]);
  const made = db.create('Task', { title: 'x' });
  assert.equal(db.update('Task', made.id, { title: 'y' }), made);
  db.update('Task', 'a', { n: 1 });
  db.update('Task', 'a', { m: 2 });
  const gone = db.create('Task', { title: 'gone' });
  db.delete('Task', gone.id);
  await settle();
  assert.deepEqual(posts[0].ops.map(({ op, data }) => [op, data]), [
    ['create', { title: 'y' }],
    ['update', { n: 1, m: 2 }],
  ]);
  assert.equal(await gone, null);
  assert.equal(tasks.value.length, 2);
});

test('`debounce` waits for a pause, another change ends the wait', async () => {
  const { w, db, posts, list } = await open();
  await list([row('a'), row('b')]);
  for (const title of ['t', 'ti', 'tit']) {
    db.update('Task', 'a', { title }, { debounce: 300 });
    await w.clock.run(200);
  }
  assert.equal(posts.length, 0);
  await w.clock.run(100);
  assert.deepEqual(posts.map(({ ops }) => ops.map(({ data }) => data)), [[{ title: 'tit' }]]);
  await posts[0].answer(11, { status: 200, id: 'a', seq: 11, record: row('a', { title: 'tit' }) });
  db.update('Task', 'a', { title: 'title' }, { debounce: 300 });
  db.update('Task', 'b', { n: 1 });
  await settle();
  assert.deepEqual(posts[1].ops.map(({ id }) => id), ['a', 'b'], 'in the order in which they were made');
});

test('a function is called again on every new row, and sent with the version that it saw', async () => {
  const { db, posts, list, event } = await open();
  const tasks = await list([row('a', { likes: 1 })]);
  const like = (of) => ({ likes: of.likes + 1 });
  db.update('Task', 'a', like);
  db.update('Task', 'a', like);
  assert.equal(tasks.value[0].likes, 3);
  await settle();
  assert.deepEqual(posts[0].ops.map(({ data, version }) => [data, version]), [[{ likes: 2 }, 1]]);
  await event(tasks, 'updated', row('a', { likes: 11, version: 2 }), 11);
  assert.equal(tasks.value[0].likes, 13);
  await posts[0].answer(11, error(412, 'VERSION_CONFLICT', { current: row('a', { likes: 11, version: 2 }) }));
  assert.deepEqual(posts[1].ops.map(({ data, version, mid }) => [data, version, mid]), [[{ likes: 12 }, 2, posts[0].ops[0].mid]]);
  await posts[1].answer(12, { status: 200, id: 'a', seq: 12, record: row('a', { likes: 12, version: 3 }) });
  assert.deepEqual(posts[2].ops.map(({ data, version }) => [data, version]), [[{ likes: 13 }, 3]]);
});

test('a function for which others are faster fifty times waits ever longer, and is done in the end', async () => {
  const { w, db, posts, list } = await open();
  await list([row('a', { likes: 1 })]);
  const like = db.update('Task', 'a', (of) => ({ likes: of.likes + 1 }));
  await settle();
  let waited = 0;
  for (let version = 2; version <= 51; version++) {
    const sent = posts.length;
    await posts.at(-1).answer(version, error(412, 'VERSION_CONFLICT', { current: row('a', { likes: version, version }) }));
    for (; posts.length === sent && waited < 60_000; waited++) await w.clock.run(1);
  }
  assert.equal(like.state, 'sent');
  assert.ok(waited > 1000, `${waited} ms`);
  await posts.at(-1).answer(52, { status: 200, id: 'a', seq: 52, record: row('a', { likes: 52, version: 52 }) });
  assert.equal((await like).likes, 52);
});

test('a change keeps a copy: what becomes of its data, or of the row that a function gets, changes nothing', async () => {
  const { w, db, posts, list } = await open();
  const tasks = await list([row('a', { tags: [] })]);
  const meta = { n: 1 };
  db.create('Task', { meta });
  await settle();
  meta.n = 2;
  await posts[0].lose();
  for (let turn = 0; turn < 20 && posts.length < 2; turn++) await w.clock.run(1000);
  assert.deepEqual(posts.map(({ ops }) => ops[0].data), [{ meta: { n: 1 } }, { meta: { n: 1 } }]);
  await posts.at(-1).answer(11, { status: 201, id: posts[0].ops[0].id, seq: 11 });
  db.update('Task', 'a', (of) => {
    of.tags.push('x');
    return { tags: of.tags };
  });
  await settle();
  assert.deepEqual([posts.at(-1).ops[0].data, tasks.value.find(({ id }) => id === 'a').tags], [{ tags: ['x'] }, ['x']]);
  await posts.at(-1).answer(11, error(422, 'VALIDATION_FAILED'));
  assert.deepEqual(tasks.value.find(({ id }) => id === 'a').tags, [], 'the row of the server is what it was');
  assert.throws(() => db.create('Task', { n: 1n }), TypeError);
});

test('a function that fails fails its change; the row stays', async () => {
  const { db, list } = await open();
  const tasks = await list([row('a', { n: 1 })]);
  const bad = db.update('Task', 'a', (of) => ({ n: of.missing.n }));
  assert.equal(tasks.value[0].n, 1);
  await assert.rejects(Promise.resolve(bad), { code: 'FUNCTION_FAILED' });
  assert.equal(db.failed.value.length, 1);
});

test('a version that the caller names is compared with what others wrote since, whatever the list shows by now', async () => {
  const theirs = row('a', { title: 'theirs', n: 5, version: 2 });
  for (const shown of [true, false]) {
    const page = await open();
    // The list is further than the form that the user has open.
    if (shown) await page.list([theirs]);
    const change = page.db.update('Task', 'a', { title: 'mine' }, { ifMatch: 1 });
    await settle();
    assert.equal(page.posts[0].ops[0].version, 1);
    await page.posts[0].answer(10, error(412, 'VERSION_CONFLICT', { current: theirs }));
    assert.deepEqual([page.posts.length, change.state, change.conflict], [1, 'conflict', { mine: { title: 'mine' }, theirs: { title: 'theirs' }, base: { title: undefined } }]);
    change.retry();
    await settle();
    assert.deepEqual([page.posts[1].ops[0].version, page.posts[1].ops[0].data], [2, { title: 'mine' }]);
  }
  // What others wrote to other fields, or the same value, is no conflict where the version is the one that is shown.
  const page = await open();
  await page.list([row('a', { title: 'base', n: 1, version: 1 })]);
  page.db.update('Task', 'a', { done: true }, { ifMatch: 1 });
  await settle();
  await page.posts[0].answer(10, error(412, 'VERSION_CONFLICT', { current: theirs }));
  assert.deepEqual([page.posts[1].ops[0].version, page.posts[1].ops[0].data], [2, { done: true }]);
});

test('in a batch, a version that the caller names is not given up for another one', async () => {
  const page = await open();
  const batch = page.db.batch(() => {
    page.db.update('Task', 'a', { title: 'mine' }, { ifMatch: 1 });
    page.db.update('Task', 'b', { title: 'mine' }, { ifMatch: 1 });
  });
  await settle();
  await page.posts[0].refuse(412, { code: 'VERSION_CONFLICT', op: 0, current: row('a', { title: 'mine', version: 2 }) });
  await settle();
  assert.deepEqual(page.posts[1]?.ops.map(({ version }) => version), [2, 1]);
  batch.catch(() => {});
});

test('what a function computed before a reload is a conflict when others wrote the field, also the same value', async () => {
  const left = { mid: '0190a000-0000-7000-8000-000000000001', changes: [{ op: 'update', entity: 'Task', id: 'a', data: { n: 2 }, computed: true }], guards: [{ version: 1, base: { n: 1 } }], state: 'queued', attempts: 1, error: null };
  const queue = { problem: signal(null), open: ({ adopt }) => adopt([left]), put: () => {}, remove: () => {}, close: () => {} };
  const { list, db, posts } = await open({ queue });
  await list([row('a', { n: 2, version: 2 })]);
  await posts[0].answer(10, error(412, 'VERSION_CONFLICT', { current: row('a', { n: 2, version: 2 }) }));
  assert.deepEqual([posts.length, db.failed.value[0]?.conflict], [1, { mine: { n: 2 }, theirs: { n: 2 }, base: { n: 1 } }]);
});

test('in a batch, a delete of a version is not made over what others wrote', async () => {
  const page = await open();
  const tasks = await page.list([row('a'), row('b')]);
  const batch = page.db.batch(() => {
    page.db.update('Task', 'a', { done: true }, { ifMatch: 1 });
    page.db.delete('Task', 'b', { ifMatch: 1 });
  });
  await settle();
  // The list knows by now what others wrote.
  await page.event(tasks, 'updated', row('b', { title: 'theirs', version: 2 }), 50);
  await page.posts[0].refuse(412, { code: 'VERSION_CONFLICT', op: 0, current: row('a', { title: 'theirs', version: 2 }) });
  assert.deepEqual(page.posts[1].ops.map(({ op, version }) => [op, version]), [['update', 2], ['delete', 1]]);
  await page.posts[1].refuse(412, { code: 'VERSION_CONFLICT', op: 1, current: row('b', { title: 'theirs', version: 2 }) });
  assert.deepEqual([page.posts.length, batch.state], [2, 'conflict']);
});

test('a function with a version is made on the newest record, also of one that no list shows', async () => {
  const page = await open({ get: () => reply(200, row('z', { n: 4, version: 5 })) });
  page.db.update('Task', 'z', (of) => ({ n: of.n + 1 }), { ifMatch: 3 });
  await settle();
  assert.deepEqual(page.posts[0].ops.map(({ version, data }) => [version, data]), [[5, { n: 5 }]]);
});

test('a function that returns a promise, or nothing, fails its change and says why', async () => {
  for (const make of [async () => ({ n: 1 }), () => {}, () => null]) {
    const { list, db } = await open();
    const tasks = await list([row('a', { n: 1 })]);
    const bad = db.update('Task', 'a', make);
    assert.equal(tasks.value[0].n, 1);
    const refused = await bad.catch((error) => error);
    assert.deepEqual([refused.code, /the fields to write, at once/.test(refused.message)], ['FUNCTION_FAILED', true]);
  }
});

test('others changed other fields: merged; the same field: as the policy says', async () => {
  const theirs = row('a', { title: 'theirs', n: 5, version: 2 });
  const run = async (conflict, data, current = theirs) => {
    const page = await open({ conflict });
    const tasks = await page.list([row('a', { title: 'base', n: 1 })]);
    const change = page.db.update('Task', 'a', data, { ifMatch: true });
    await settle();
    assert.equal(page.posts[0].ops[0].version, 1);
    await page.posts[0].answer(10, error(412, 'VERSION_CONFLICT', { current }));
    return { ...page, tasks, change };
  };
  const merged = await run('merge', { done: true });
  assert.deepEqual([merged.posts[1].ops[0].version, merged.posts[1].ops[0].data], [2, { done: true }]);
  const same = await run('merge', { title: 'theirs' });
  assert.equal(same.posts.length, 2, 'the same value is no conflict');

  const met = await run('merge', { title: 'mine', n: 1 });
  assert.equal(met.posts.length, 1);
  assert.deepEqual([met.tasks.meta('a').state, met.change.conflict], [
    'conflict',
    { mine: { title: 'mine', n: 1 }, theirs: { title: 'theirs', n: 5 }, base: { title: 'base', n: 1 } },
  ]);
  await assert.rejects(Promise.resolve(met.change), { code: 'VERSION_CONFLICT' });
  met.change.retry();
  await settle();
  assert.equal(met.posts[1].ops[0].version, 2, 'over their change');

  const client = await run('client', { title: 'mine' });
  assert.deepEqual([client.posts[1].ops[0].version, client.posts[1].ops[0].data.title], [2, 'mine']);
  const server = await run('server', { title: 'mine' });
  assert.deepEqual([server.posts.length, server.db.pending.value, server.db.failed.value, shown(server.tasks)], [1, [], [], 'base']);
  const asked = [];
  const word = await run((conflict) => (asked.push(conflict), { title: 'both' }), { title: 'mine' });
  assert.deepEqual([asked.length, asked[0].mine, asked[0].theirs, word.posts[1].ops[0].data], [1, { title: 'mine' }, { title: 'theirs' }, { title: 'both' }]);
});

test('a batch is one request and one verdict', async () => {
  const { db, posts, list, event } = await open();
  const tasks = await list([row('a', { title: 'a' }), row('b', { title: 'b' })]);
  let part;
  const seen = [];
  tasks.listen(() => seen.push(shown(tasks)));
  const both = db.batch(() => {
    part = db.update('Task', 'a', { title: 'x' });
    db.update('Task', 'b', { title: 'y' });
  });
  await settle();
  assert.deepEqual(seen, ['x* y*'], 'seen in one step');
  assert.deepEqual([posts[0].atomic, posts[0].key, posts[0].ops.length], [true, both.mid, 2]);
  await event(tasks, 'updated', row('a', { title: 'x', version: 2 }), 11, { mid: both.mid, more: true });
  assert.equal(shown(tasks), 'x* y*');
  await event(tasks, 'updated', row('b', { title: 'y', version: 2 }), 12, { mid: both.mid });
  assert.equal(shown(tasks), 'x y');
  assert.equal((await part).version, 2);
  const refused = db.batch(() => {
    db.delete('Task', 'a');
    db.create('Task', { title: 'z' });
  });
  await settle();
  assert.equal(shown(tasks).split(' ').length, 2);
  await posts[1].refuse(422, { code: 'VALIDATION_FAILED', op: 1 });
  assert.equal(shown(tasks), 'x y');
  await assert.rejects(Promise.resolve(refused), { code: 'VALIDATION_FAILED' });
  assert.throws(() => db.batch(() => {}), TypeError);
});

test('a part of a batch is sent again and given up only with the others, and a batch does not wait', async () => {
  const { db, posts, list } = await open();
  const tasks = await list([row('a', { title: 'a' }), row('b', { title: 'b' })]);
  const pair = () => {
    let part;
    const whole = db.batch(() => {
      part = db.update('Task', 'a', { title: 'x' });
      db.update('Task', 'b', { title: 'y' });
    });
    return { part, whole };
  };
  const given = pair();
  assert.equal(given.part.discard(), true);
  await settle();
  assert.deepEqual([posts.length, db.pending.value, shown(tasks)], [0, [], 'a b'], 'no half of it is sent');
  const { part, whole } = pair();
  await settle();
  await posts[0].refuse(422, { code: 'VALIDATION_FAILED', op: 1 });
  part.retry();
  assert.equal(shown(tasks), 'x* y*');
  await settle();
  assert.deepEqual([posts[1].atomic, posts[1].key, posts[1].ops.length], [true, whole.mid, 2]);
  await posts[1].refuse(422, { code: 'VALIDATION_FAILED', op: 1 });
  assert.deepEqual([part.discard(), db.failed.value], [true, []]);
  assert.throws(() => db.batch(async () => db.create('Task', {})), TypeError);
  assert.deepEqual(db.pending.value, []);
});

test('in a batch, a record that is made in it needs no version, and a function is made of what the batch makes of it', async () => {
  const { db, posts, list } = await open();
  const tasks = await list([]);
  let made;
  const all = db.batch(() => {
    made = db.create('Task', { title: 'one', n: 1 });
    db.update('Task', made.id, (of) => ({ n: of.n + 1 }));
    db.update('Task', made.id, (of) => ({ n: of.n * 10, title: `${of.title}!` }));
    db.update('Task', made.id, { done: true }, { ifMatch: true });
  });
  const look = () => tasks.value.map(({ title, n, done }) => [title, n, done]);
  assert.deepEqual(look(), [['one!', 20, true]]);
  await settle();
  assert.deepEqual(db.failed.value, []);
  const data = [{ title: 'one', n: 1 }, { n: 2 }, { n: 20, title: 'one!' }, { done: true }];
  assert.deepEqual(posts[0].ops.map((op) => [op.op, op.data, op.version]), data.map((fields, at) => [at === 0 ? 'create' : 'update', fields, undefined]));
  let record = { id: made.id };
  await posts[0].answer(14, ...data.map((fields, at) => ({ status: at === 0 ? 201 : 200, id: made.id, record: (record = { ...record, ...fields, version: at + 1 }) })));
  assert.deepEqual([look(), (await all).length, db.pending.value], [[['one!', 20, true]], 4, []]);
  // One that is deleted in it is there no longer.
  const gone = db.batch(() => {
    db.delete('Task', made.id);
    db.update('Task', made.id, (of) => ({ n: of.n + 1 }));
  });
  assert.equal((await gone.catch((refusal) => refusal)).code, 'NOT_FOUND');
});

test('of all changes of one record in a batch, the first is sent with the version, and all are made again when it is over', async () => {
  for (const first of [(of) => ({ n: of.n + 1 }), { title: 'mine' }]) {
    const plain = typeof first !== 'function';
    const { db, posts, list } = await open();
    const tasks = await list([row('a', { n: 1 })]);
    const seen = [];
    tasks.listen(() => seen.push(tasks.value[0].n));
    db.batch(() => {
      db.update('Task', 'a', first);
      db.update('Task', 'a', (of) => ({ n: of.n + 1 }));
      db.update('Task', 'a', { done: true }, { ifMatch: true });
    });
    await settle();
    const ops = (n, version) => [[plain ? { title: 'mine' } : { n }, version], [{ n: n + (plain ? 0 : 1) }, undefined], [{ done: true }, undefined]];
    assert.deepEqual(posts[0].ops.map(({ data, version }) => [data, version]), ops(2, 1));
    await posts[0].refuse(412, { code: 'VERSION_CONFLICT', op: 0, current: row('a', { n: 11, version: 2 }) });
    assert.deepEqual(posts[1]?.ops.map(({ data, version }) => [data, version]), ops(12, 2));
    let record = { id: 'a', n: 11 };
    await posts[1].answer(13, ...ops(12, 2).map(([data], at) => ({ status: 200, id: 'a', record: (record = { ...record, ...data, version: at + 3 }) })));
    assert.deepEqual([tasks.value[0].n, tasks.value[0].done, seen.at(-1), db.failed.value], [plain ? 12 : 13, true, plain ? 12 : 13, []]);
  }
});

test('a batch that is confirmed by its events is what all of them have left', async () => {
  const { db, list, event, w } = await open();
  const tasks = await list([row('a'), row('b')]);
  const other = await list([row('a'), row('b')], { done: false });
  const seen = [];
  other.listen(() => seen.push(other.value.find(({ id }) => id === 'a')?.title));
  const all = db.batch(() => {
    db.update('Task', 'a', { title: 'first', done: false });
    db.update('Task', 'b', { title: 'b' });
    db.update('Task', 'a', { title: 'last' });
    db.update('Task', 'c', { n: 1 });
    db.delete('Task', 'c');
  });
  await settle();
  const a = row('a', { title: 'last', done: false, version: 3 });
  const b = row('b', { title: 'b', version: 2 });
  const more = { mid: all.mid, more: true };
  await event(tasks, 'updated', { ...a, title: 'first', version: 2 }, 11, more);
  await event(tasks, 'updated', b, 12, more);
  await event(tasks, 'updated', a, 13, more);
  await event(tasks, 'updated', row('c', { n: 1 }), 14, more);
  await event(tasks, 'deleted', { id: 'c' }, 15, { mid: all.mid });
  assert.deepEqual([await all, other.value.map(({ title }) => title), [...new Set(seen)]], [[a, b, a, null, null], ['last', 'b'], ['last']]);
  db.close();
  w.clock.run(0);
});

test('a batch that is in conflict twice over one record asks twice', async () => {
  const { db, posts, list } = await open();
  await list([row('a', { title: 'old', n: 1 })]);
  const both = db.batch(() => {
    db.update('Task', 'a', { title: 'mine' }, { ifMatch: true });
    db.update('Task', 'a', { n: 2 }, { ifMatch: true });
  });
  await settle();
  assert.deepEqual(posts[0].ops.map(({ version }) => version), [1, undefined]);
  const theirs = { code: 'VERSION_CONFLICT', op: 0, current: row('a', { title: 'theirs', n: 5, version: 2 }) };
  await posts[0].refuse(412, theirs);
  assert.deepEqual([posts.length, both.state, both.conflict.mine], [1, 'conflict', { title: 'mine' }]);
  both.retry();
  await settle();
  assert.deepEqual(posts[1].ops.map(({ version }) => version), [1, undefined], 'of the other field nothing was said');
  await posts[1].refuse(412, theirs);
  assert.deepEqual([posts.length, both.state, both.conflict], [2, 'conflict', { mine: { n: 2 }, theirs: { n: 5 }, base: { n: 1 } }]);
  both.retry();
  await settle();
  assert.deepEqual(posts[2].ops.map(({ version, data }) => [version, data]), [[2, { title: 'mine' }], [undefined, { n: 2 }]]);
});

test('a batch of functions that change nothing is done, and so is each of them', async () => {
  const { db, posts, list } = await open();
  await list([row('a'), row('b')]);
  const parts = [];
  const both = db.batch(() => parts.push(db.update('Task', 'a', () => ({})), db.update('Task', 'b', () => ({}))));
  await settle();
  assert.deepEqual([parts.map(({ state }) => state), await both, posts, db.pending.value], [['done', 'done'], [null, null], [], []]);
});

test('a card that is moved leaves one list and appears in the other at once, and comes back if it may not', async () => {
  const { db, posts, list } = await open();
  const todo = await list([row('a', { title: 'a', column: 'open' })], { column: 'open' });
  const done = await list([row('b', { title: 'b', column: 'done' })], { column: 'done' });
  db.update('Task', 'a', { column: 'done' });
  assert.deepEqual([shown(todo), shown(done)], ['', 'a* b']);
  await settle();
  await posts[0].answer(10, error(403, 'FORBIDDEN'));
  assert.deepEqual([shown(todo), shown(done)], ['a', 'b']);
});

test('a signal that no list fills shows the changes too, and gets its rows back', async () => {
  const { db, posts } = await open();
  const rows = signal([row('a', { title: 'a' }), row('b', { title: 'b' })]);
  const made = db.create('Task', { title: 'c' }, rows);
  db.update('Task', 'a', { title: 'x' }, rows);
  db.delete('Task', 'b', rows);
  assert.equal(shown(rows), 'x* c*');
  await settle();
  rows.value = [...rows.value, row('d', { title: 'd' })];
  await posts[0].answer(
    12,
    { status: 201, id: made.id, seq: 11, record: row(made.id, { title: 'c' }) },
    { status: 200, id: 'a', seq: 12, record: row('a', { title: 'x', version: 2 }) },
    error(409, 'RESTRICTED'),
  );
  assert.deepEqual([...rows.value].map(({ title, _optimistic }) => [title, _optimistic]).sort(), [['b'], ['c'], ['d'], ['x']].map(([title]) => [title, undefined]));
  assert.equal(db.failed.value.length, 1);
  db.failed.value[0].discard();
  rows.value = [row('a', { title: 'replaced' })];
  const one = signal(row('z', { title: 'z' }));
  db.update('Task', 'z', { title: 'zz' }, one);
  assert.deepEqual([one.value.title, one.value._optimistic], ['zz', true]);
  assert.equal(shown(rows), 'replaced');
});

test('ids of the server: until it gives one, the record has a key that stays', async () => {
  const { db, posts, list, event } = await open({ ids: 'temp' });
  const tasks = await list([]);
  const made = db.create('Task', { title: 'x' });
  const part = db.create('Task', { title: 'y', of: made.id });
  assert.match(made.id, /^temp_/);
  const key = made.id;
  await settle();
  assert.deepEqual(posts[0].ops.map(({ id, data }) => [id, data]), [[undefined, { title: 'x' }]]);
  await event(tasks, 'created', row('0190', { title: 'x' }), 11, { mid: made.mid });
  assert.deepEqual([made.id, tasks.value[0]._key, tasks.value.length], ['0190', key, 2]);
  await posts[0].answer(11, { status: 201, id: '0190', seq: 11, record: row('0190', { title: 'x' }) });
  assert.deepEqual(posts[1].ops.map(({ data }) => data.of), ['0190'], 'a record that referred to it refers to its id');
  assert.equal((await made).id, '0190');
  await posts[1].answer(12, { status: 201, id: '0191', seq: 12, record: row('0191', { title: 'y' }) });
  assert.equal((await part).id, '0191');
  assert.equal(tasks.value.length, 2);
});

test('no answer is no verdict: the same ids again, in the same order, until there is one', async () => {
  const { w, db, posts, list } = await open();
  const tasks = await list([row('a')]);
  db.update('Task', 'a', { title: 'x' });
  await settle();
  await posts[0].lose();
  await w.clock.run(1000);
  await posts[1].lose();
  assert.equal(db.stuck.value.code, 'NO_ANSWER');
  assert.equal(tasks.meta('a').state, 'pending');
  await w.clock.run(3000);
  await posts[2].refuse(503, { code: 'OVERLOADED' }, { 'Retry-After': '20' });
  await w.clock.run(19_000);
  const mids = posts.map(({ ops }) => ops[0].mid);
  assert.equal(new Set(mids).size, 1);
  const before = posts.length;
  await w.clock.run(60_000);
  assert.ok(posts.length > before);
  await posts.at(-1).answer(11, { status: 200, id: 'a', seq: 11, record: row('a', { title: 'x', version: 2 }) });
  assert.deepEqual([db.pending.value, db.stuck.value, shown(tasks)], [[], null, 'x']);
});

test('one change at which the server breaks does not keep the others waiting for ever', async () => {
  const { w, db, posts, list } = await open();
  await list([row('a'), row('b')]);
  const poison = db.update('Task', 'a', { title: 'poison' });
  const good = db.update('Task', 'b', { title: 'good' });
  for (let at = 0, looks = 0; looks < 400 && db.pending.value.length > 0; looks++) {
    for (; at < posts.length; at++) {
      const { ops, answer, refuse } = posts[at];
      if (ops.some(({ data }) => data.title === 'poison')) await refuse(500, { code: 'INTERNAL' });
      else await answer(11, ...ops.map(({ id }) => ({ status: 200, id, seq: 11, record: row(id, { title: 'good', version: 2 }) })));
    }
    await w.clock.run(1000);
  }
  assert.deepEqual([db.failed.value, (await good).title], [[poison], 'good']);
});

test('a change that cannot be prepared is refused alone, before the others and behind them', async () => {
  for (const place of [0, 1]) {
    const { db, posts } = await open({ get: () => reply(403, { code: 'FORBIDDEN' }) });
    const make = [() => db.update('Task', 'x', ({ n }) => ({ n: n + 1 })), () => db.create('Task', { title: 'good' })];
    if (place === 1) make.reverse();
    const made = make.map((one) => one());
    const [bad, good] = place === 1 ? made.reverse() : made;
    for (let turn = 0; turn < 20 && posts.length === 0; turn++) await settle();
    assert.deepEqual(posts.map(({ ops }) => ops.map(({ id }) => id)), [[good.id]]);
    await posts[0].answer(11, { status: 201, id: good.id, seq: 11, record: row(good.id, { title: 'good' }) });
    await assert.rejects(Promise.resolve(bad), { code: 'FORBIDDEN' });
    assert.deepEqual([(await good).title, db.pending.value, db.failed.value], ['good', [], [bad]]);
  }
});

test('what is not to be guessed is shown when the server has it', async () => {
  const { db, posts, list, event } = await open();
  const tasks = await list([]);
  const made = db.create('Task', { title: 'invoice' }, { optimistic: false });
  assert.deepEqual([tasks.value, db.pending.value.length], [[], 1]);
  await settle();
  await posts[0].answer(11, { status: 201, id: made.id, seq: 11, record: row(made.id, { title: 'invoice', number: 7 }) });
  assert.equal((await made).number, 7);
  await event(tasks, 'created', row(made.id, { title: 'invoice', number: 7 }), 11, { mid: made.mid });
  assert.equal(shown(tasks), 'invoice');
});

test('a new record stands where it will stand: with its defaults, and now as its time', async () => {
  const fields = [
    { name: 'priority', type: 'int', default: 3 },
    { name: 'due', type: 'date' },
  ];
  const { db, list, w } = await open({ fields });
  const tasks = await list([row('a', { priority: 5, created_at: '2020-01-01T00:00:00.000Z' }), row('b', { priority: 1, created_at: '2020-01-01T00:00:00.000Z' })], {}, { sort: '-priority,-created_at' });
  // The defaults are known before the first one is made.
  db.create('Task', { title: 'first' });
  await w.clock.run(1);
  db.create('Task', { title: 'second' });
  assert.deepEqual([tasks.state.value, tasks.value.map(({ title, priority }) => title ?? priority)], ['live', [5, 'second', 'first', 1]]);
});

test('a delete of what is gone is done', async () => {
  const { db, posts, list } = await open();
  await list([row('a')]);
  const gone = db.delete('Task', 'a');
  await settle();
  await posts[0].answer(10, error(404, 'NOT_FOUND'));
  assert.deepEqual([await gone, db.failed.value, db.pending.value], [null, [], []]);
});

test('without lists and without a socket, changes are sent all the same', async () => {
  const { db, posts } = await open({}, { online: false });
  const made = db.create('Task', { title: 'x' });
  await settle();
  await posts[0].answer(1, { status: 201, id: made.id, seq: 1, record: row(made.id, { title: 'x' }) });
  assert.equal((await made).title, 'x');
});

test('a record that the server does not show leaves as soon as the list is at the position of the answer', async () => {
  const { w, db, posts, list } = await open();
  const tasks = await list([], { team: 1 });
  const made = db.create('Task', { title: 'x', team: 1 });
  await settle();
  await posts[0].answer(11, { status: 201, id: made.id, seq: 11, record: row(made.id, { title: 'x', team: 1 }) });
  assert.equal(shown(tasks), 'x');
  await w.clock.run(1000);
  assert.equal(w.socket.take('ping').length, 2, 'the greeting, and the question how far the server is');
  w.socket.say({ type: 'pong', payload: { epoch: EPOCH, seq: 11 } });
  await settle();
  assert.equal(shown(tasks), '');
});

test('who leaves the page is asked only while something would be lost', async () => {
  const { w, db, posts, list } = await open();
  await list([row('a')]);
  const leaves = () => {
    const event = { asked: false, preventDefault: () => (event.asked = true) };
    w.env.window.fire('beforeunload', event);
    return event.asked;
  };
  assert.equal(leaves(), false);
  db.update('Task', 'a', { title: 'x' });
  assert.equal(leaves(), true);
  await settle();
  await posts[0].answer(11, { status: 200, id: 'a', seq: 11, record: row('a', { title: 'x', version: 2 }) });
  assert.equal(leaves(), false);
});

test('a confirmed change whose row is unknown is not laid over a later row', async () => {
  const { db, posts, list, event } = await open();
  const all = await list([row('a', { team: 0, x: 0 })]);
  const team = await list([row('a', { team: 0, x: 0 })], { team: 0 });
  const first = db.update('Task', 'a', { team: 1, x: 1 });
  await settle();
  await event(team, 'deleted', { id: 'a' }, 11, { mid: first.mid, cause: 'left' });
  assert.deepEqual([first.state, all.value[0].x, team.value], ['done', 1, []]);
  db.update('Task', 'a', { x: 2 });
  await settle();
  await posts[1].answer(12, { status: 200, id: 'a', seq: 12, record: row('a', { team: 1, x: 2, version: 3 }) });
  assert.deepEqual(all.value, [row('a', { team: 1, x: 2, version: 3 })]);
});

test('a login that is over keeps the changes; they go out with the next connection', async () => {
  const { w, db, posts, list } = await open();
  const tasks = await list([row('a')]);
  db.update('Task', 'a', { title: 'x' });
  await settle();
  await posts[0].refuse(401, { code: 'UNAUTHENTICATED' });
  assert.deepEqual([db.stuck.value.code, db.pending.value.length, db.failed.value, shown(tasks)], ['UNAUTHENTICATED', 1, [], 'x*']);
  await w.clock.run(5000);
  assert.equal(posts.length, 1, 'it does not ask again and again');
  w.socket.cut();
  await w.clock.run(3000);
  assert.equal(posts.length, 1);
  w.socket.greet();
  await settle();
  assert.equal(posts[1].ops[0].mid, posts[0].ops[0].mid);
});
