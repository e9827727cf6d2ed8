/**
 * A list with a `limit` is a window: whatever is written, cut, restarted or taken from its reader, in the end it shows what
 * the server's own list has first, and on the way it never shows rows that no such list ever had.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { OptimisticManager } from '../../static/optimistic.js';
import { RealtimeClient } from '../../static/realtime.js';
import { Server } from './server.js';
import { busy, story } from './windows_story.js';
import { reply, settle, world } from './world.js';

const SEEDS = process.env.SEED ? [Number(process.env.SEED)] : Array.from({ length: Number(process.env.SEEDS ?? 200) }, (_, i) => i + 1);
const ids = (rows) => rows.map(({ id }) => id).join();

test(`${SEEDS.length} stories: a window shows what the server's list has first`, async () => {
  const totals = {};
  for (const seed of SEEDS) await story(seed, totals);
  if (SEEDS.length < 100) return;
  busy(totals);
});

/** A window of two rows, which is filled by hand. */
function byHand() {
  const w = world();
  const rt = new RealtimeClient('/ws', { env: w.env }).connect();
  const channels = new ChannelSubscriber(rt, { env: w.env, api: new Api('/api', { env: w.env }) });
  let answer;
  w.respond = ({ pathname }) => (pathname === '/api/schema' ? reply(200, { entities: [{ name: 'Task', plural: 'tasks', fields: [] }] }) : new Promise((resolve) => (answer = resolve)));
  w.socket.greet();
  w.socket.say({ type: 'pong', payload: {} });
  const list = channels.list('Task', { sort: '-v', limit: 2 });
  const say = async (type, payload, extra = {}) => {
    w.socket.say({ type, channel: 'entity:Task', payload, ...extra });
    await settle();
  };
  const begin = async (rows) => {
    const { requestId, payload } = w.socket.take('subscribe').at(-1);
    assert.deepEqual(payload, { snapshot: true, sort: '-v', limit: 3 });
    await say('subscribed', { epoch: 'e1', seq: 10, view: 'v', recovered: false, limited: true }, { requestId, more: true });
    await say('snapshot', { rows }, { seq: 10, more: true });
    await say('pong', { epoch: 'e1', seq: 10, view: 'v' });
  };
  const page = async (seq, items, next = null) => {
    answer(reply(200, { items, next, epoch: 'e1', seq, view: 'v' }));
    await settle();
  };
  return { w, rt, channels, list, say, begin, page };
}
const row = (v, fields) => ({ id: `r${v}`, version: 1, v, ...fields });

test('rows that were read after their position, and lost by a restart of the server, are read again', async () => {
  await story(1862, {});
});

test('a list without a limit that is opened while a poll reads the first rows gets all of them', async () => {
  await story(2400, {});
});

test('a list without a limit that is opened while a poll asks for events gets all rows', async () => {
  await story(16264, {});
});

test('a window asks for its rows and one more, moves that one up, and reads further ones', async () => {
  const { w, list, say, begin, page } = byHand();
  await begin([row(99), row(98), row(97)]);
  assert.deepEqual([ids(list.value), list.hasMore.value, w.requests.length], ['r99,r98', true, 0]);
  await say('entity:deleted', { id: 'r99' }, { seq: 11, prev: 10 });
  assert.equal(ids(list.value), 'r98,r97');
  assert.equal(w.requests.at(-1).url.search, '?sort=-v&limit=12');
  const twelve = Array.from({ length: 12 }, (_, at) => 98 - at);
  await page(11, twelve.map((v) => row(v)), 'behind');
  // Known, and behind what is known without a hole.
  await say('entity:created', row(1), { seq: 12, prev: 11 });
  list.more(9);
  assert.deepEqual([ids(list.value), list.hasMore.value, w.requests.length], [twelve.slice(0, 11).map((v) => `r${v}`).join(), true, 2]);
  list.more();
  await settle();
  assert.equal(w.requests.at(-1).url.search, '?sort=-v&cursor=behind&limit=11');
  assert.deepEqual([list.value.length, list.hasMore.value], [12, true]);
  await page(12, [row(4), row(1)]);
  assert.equal(ids(list.value).slice(-6), 'r87,r4');
  list.more(5);
  assert.deepEqual([ids(list.value.slice(-2)), list.hasMore.value, list.state.value], ['r4,r1', false, 'live']);
  for (const wrong of [0, -1, 1.5, 'x']) assert.throws(() => list.more(wrong), TypeError);
});

test('a row that is deleted while a window is read does not come back', async () => {
  const { list, say, begin, page } = byHand();
  await begin([row(9), row(8), row(7)]);
  await say('entity:deleted', { id: 'r9' }, { seq: 11, prev: 10 });
  await say('entity:deleted', { id: 'r8' }, { seq: 12, prev: 11 });
  await say('entity:updated', row(7, { version: 2 }), { seq: 13, prev: 12 });
  await page(11, [row(8), row(7), row(6)]);
  assert.deepEqual(list.value, [row(7, { version: 2 }), row(6)]);
});

test('a row that is read early waits until the list is as far', async () => {
  const { w, list, say, begin, page } = byHand();
  await begin([row(9), row(8), row(7)]);
  await say('entity:deleted', { id: 'r9' }, { seq: 11, prev: 10 });
  w.socket.take('ping');
  await page(13, [row(8, { version: 3 }), row(6)]);
  assert.deepEqual(list.value, [row(8), row(7)], 'the server never had both at once');
  await w.clock.run(0);
  assert.equal(w.socket.take('ping').length, 1, 'it asks how far the server is');
  await say('entity:deleted', { id: 'r7' }, { seq: 12, prev: 11 });
  assert.deepEqual(list.value, [row(8)]);
  await say('entity:updated', row(8, { version: 3 }), { seq: 13, prev: 12 });
  assert.deepEqual(list.value, [row(8, { version: 3 }), row(6)]);
});

test('a page that came with the document is the beginning of a window', async () => {
  const w = world();
  const rt = new RealtimeClient('/ws', { env: w.env }).connect();
  const channels = new ChannelSubscriber(rt, { env: w.env, api: new Api('/api', { env: w.env }) });
  const initial = { items: [row(9), row(8), row(7)], next: 'c', epoch: 'e1', seq: 10, view: 'v' };
  const list = channels.list('Task', { sort: '-v', limit: 2, initial });
  assert.deepEqual([ids(list.value), list.state.value, list.hasMore.value], ['r9,r8', 'stale', true]);
  w.socket.greet();
  const [{ payload }] = w.socket.take('subscribe');
  assert.deepEqual(payload, { since: { epoch: 'e1', seq: 10, view: 'v' }, sort: '-v', limit: 3 });
});

test('rows that events bring beside a window do not pile up', async () => {
  const { w, say, begin } = byHand();
  await begin([row(9), row(8), row(7)]);
  const write = async (count, from) => {
    for (let at = 0; at < count; at++) w.socket.say({ type: 'entity:created', channel: 'entity:Task', payload: row(-from - at), seq: from + at, prev: from + at - 1 });
    await settle();
  };
  await write(1000, 11);
  assert.equal(w.socket.take('subscribe').length, 0);
  await write(1, 1011);
  const [{ payload, requestId }] = w.socket.take('subscribe');
  assert.deepEqual(payload, { snapshot: true, sort: '-v', limit: 3 });
  await say('subscribed', { epoch: 'e1', seq: 1011, view: 'v', recovered: false, limited: true }, { requestId, more: true });
  await say('snapshot', { rows: [row(9), row(8), row(7)] }, { seq: 1011, more: true });
  await say('pong', { epoch: 'e1', seq: 1011, view: 'v' });
  await write(1000, 1012);
  assert.equal(w.socket.take('subscribe').length, 0, 'the others were forgotten');
});

test('a list without a limit beside one with a limit: the server forgets the limit', async () => {
  const { w, channels, list, begin } = byHand();
  const asked = () => w.socket.inbox.splice(0).filter(({ type }) => type !== 'ping').map(({ type, payload }) => [type, payload]);
  await begin([row(9), row(8), row(7)]);
  assert.deepEqual(asked(), []);
  const all = channels.list('Task');
  assert.deepEqual(asked(), [['unsubscribe', undefined], ['subscribe', { snapshot: true }]]);
  assert.deepEqual([ids(list.value), all.state.value], ['r9,r8', 'loading']);
  // A new connection has no limit that could be forgotten.
  w.socket.cut();
  await w.clock.run(2000);
  w.socket.greet();
  assert.deepEqual(asked(), [['subscribe', { snapshot: true }]]);
});

test('a record that is made on a machine whose clock is slow stands where the server will put it', async () => {
  const w = world();
  const hour = 3_600_000;
  const rt = new RealtimeClient('/ws', { env: w.env }).connect();
  const api = new Api('/api', { env: w.env });
  const db = new OptimisticManager(api, rt, { env: w.env });
  const list = new ChannelSubscriber(rt, { env: w.env, api }).list('Task', { sort: '-created_at', limit: 1 });
  const at = (ms) => new Date(w.clock.now() + hour + ms).toISOString();
  w.socket.onopen();
  w.socket.say({ type: 'connected', payload: {}, timestamp: w.clock.now() + hour });
  const [{ requestId }] = w.socket.take('subscribe');
  const channel = 'entity:Task';
  w.socket.say({ type: 'subscribed', channel, requestId, payload: { epoch: 'e1', seq: 1, view: 'v', recovered: false, limited: true }, more: true });
  w.socket.say({ type: 'snapshot', channel, seq: 1, payload: { rows: [-60_000, -120_000].map((ms) => ({ id: `r${ms}`, created_at: at(ms) })) }, more: true });
  w.socket.say({ type: 'pong', channel, payload: { epoch: 'e1', seq: 1, view: 'v' } });
  await settle();
  assert.equal(ids(list.value), 'r-60000');
  const made = db.create('Task', { title: 'now' });
  assert.equal(ids(list.value), made.id);
});

test('a window of thousands of rows is not asked for again and again', async () => {
  const { w, list, say, begin, page } = byHand();
  await begin([row(9000), row(8999), row(8998)]);
  list.more(3000);
  await settle();
  for (let from = 9000; from > 9000 - 3012; from -= 200) {
    const items = Array.from({ length: Math.min(200, from - 9000 + 3012) }, (_, at) => row(from - at));
    await page(10, items, 'more');
  }
  assert.equal(list.value.length, 3002);
  await say('entity:updated', row(9000, { version: 2 }), { seq: 11, prev: 10 });
  assert.equal(list.value[0].version, 2);
  assert.equal(w.socket.take('subscribe').length, 0);
});

test('a window that cannot be read is read no longer once the client is at rest, and again when it is back', async () => {
  const { w, rt, list, say, begin } = byHand();
  await begin([row(9), row(8), row(7)]);
  w.respond = ({ pathname }) => {
    if (pathname === '/api/schema') return reply(200, { entities: [{ name: 'Task', plural: 'tasks', fields: [] }] });
    throw new TypeError('fetch failed');
  };
  await say('entity:deleted', { id: 'r9' }, { seq: 11, prev: 10 });
  const reads = () => w.requests.filter(({ url }) => url.searchParams.has('sort')).length;
  await w.clock.run(60_000);
  assert.ok(reads() > 1, 'it tries again');
  rt.disconnect();
  await w.clock.run(60_000);
  const count = reads();
  await w.clock.run(600_000);
  assert.deepEqual([reads() - count, ids(list.value)], [0, 'r8,r7']);
  rt.connect();
  w.socket.greet({ seq: 11 });
  const [{ requestId, payload }] = w.socket.take('subscribe');
  assert.deepEqual(payload.since, { epoch: 'e1', seq: 11, view: 'v' });
  await say('subscribed', { epoch: 'e1', seq: 11, view: 'v', recovered: true, limited: true }, { requestId });
  await say('pong', { epoch: 'e1', seq: 11, view: 'v' });
  await w.clock.run(100);
  assert.ok(reads() > count, 'it is read again');
});

test('an order that the server refuses is an error of the list that asked for it, and of no other', async () => {
  const { w, list, channels, say } = byHand();
  const other = channels.list('Task', { sort: 'v', limit: 1 });
  w.respond = ({ pathname, searchParams }) => {
    if (pathname === '/api/schema') return reply(200, { entities: [{ name: 'Task', plural: 'tasks', fields: [] }] });
    if (searchParams.get('sort') === '-v') return reply(400, { code: 'BAD_QUERY', detail: 'no such order' });
    return reply(200, { items: [row(7), row(8)], next: null, epoch: 'e1', seq: 10, view: 'v' });
  };
  const [{ requestId, payload }] = w.socket.take('subscribe');
  assert.equal(payload.sort, '-v');
  await say('error', { code: 'BAD_CHANNEL', retry: false }, { requestId });
  const [again] = w.socket.take('subscribe');
  assert.deepEqual(again.payload, { snapshot: true, limit: 3 });
  await say('subscribed', { epoch: 'e1', seq: 10, view: 'v', recovered: false, limited: true }, { requestId: again.requestId, more: true });
  await say('snapshot', { rows: [row(7), row(8), row(9)] }, { seq: 10, more: true });
  await say('pong', { epoch: 'e1', seq: 10, view: 'v' });
  await settle();
  assert.deepEqual([list.state.value, list.error.value.code], ['error', 'BAD_QUERY']);
  assert.deepEqual([other.state.value, ids(other.value)], ['live', 'r7']);
});

/** A page with a server of twelve rows, without trouble. */
async function calmly() {
  const w = world();
  const server = new Server(w, { int: () => 0, chance: () => false });
  for (let v = 1; v <= 12; v++) server.commit([{ set: `t${v}`, v }]);
  const rt = new RealtimeClient('/ws', { env: w.env }).connect();
  const api = new Api('/api', { env: w.env });
  const channels = new ChannelSubscriber(rt, { env: w.env, api });
  /** What `GET` answers; one page of the server is three rows, so these are read together. */
  const get = (sort = 'id', limit = 100) => {
    const all = server.first(sort);
    return { items: structuredClone(all.slice(0, limit)), next: all.length > limit ? 'behind' : null, epoch: server.epoch, seq: server.seq, view: server.view };
  };
  await w.clock.run(100);
  return { w, server, rt, api, channels, get };
}
const six = (channels) => channels.list('Task', { sort: '-v', limit: 6 });

/** What is open, what happens before the answer was read and after, and the list that gets the answer. */
const BROUGHT = [
  ['nothing is open', {}, {}],
  ['nothing is open, and there are further rows', {}, { sort: '-v', limit: 4 }, 5],
  ['nothing is open, and the answer is shorter than the list', {}, { sort: '-v', limit: 8 }, 5],
  ['a window that is live, and all rows', { open: six, runs: 5000 }, {}],
  ['a window that is live, and all rows in its order', { open: six, runs: 5000 }, { sort: '-v' }],
  ['a window that is live, and the first rows of all', { open: six, runs: 5000 }, {}, 5],
  ['a window that is loading', { open: six }, {}],
  ['a window that is loading, and a longer one', { open: six }, { sort: '-v', limit: 9 }, 10],
  ['a window that is live, and a longer one', { open: six, runs: 5000 }, { sort: '-v', limit: 9 }, 10],
  ['a window that is live, and a shorter one', { open: six, runs: 5000 }, { sort: '-v', limit: 2 }, 3],
  ['a window that is live, and one in another order', { open: six, runs: 5000 }, { sort: 'v', limit: 4 }, 5],
  ['a window that is live, and one with all rows', { open: six, runs: 5000 }, { sort: '-v', limit: 50 }],
  ['a window that was closed a moment ago', { open: (channels) => six(channels).close(), runs: 500 }, {}],
  ['a list of all rows that is loading', { open: (channels) => channels.list('Task') }, {}],
  ['two lists with answers', { open: (channels, get) => channels.list('Task', { sort: '-v', limit: 2, initial: get('-v', 3) }) }, { sort: '-v', limit: 5 }, 6],
  ['two lists with answers that are live', { open: (channels, get) => channels.list('Task', { sort: '-v', limit: 2, initial: get('-v', 3) }), runs: 5000 }, { sort: '-v', limit: 5 }, 6],
  ['a list with all rows of an answer, and one with some', { open: (channels, get) => channels.list('Task', { initial: get() }) }, { sort: '-v', limit: 5 }, 6],
  ['a list with some rows of an answer, and one with all', { open: (channels, get) => channels.list('Task', { sort: '-v', limit: 2, initial: get('-v', 3) }) }, {}],
  ['a window that is behind the answer', { open: six, runs: 5000, late: [{ set: 't20', v: 20 }, { delete: 't3' }] }, { sort: '-v', limit: 5 }, 6],
  ['all rows, behind the answer', { open: (channels) => channels.list('Task'), runs: 5000, late: [{ set: 't20', v: 20 }, { delete: 't3' }] }, { sort: '-v' }],
  ['all rows, behind the answer to another question', { open: (channels) => channels.list('Task'), runs: 5000, elsewhere: true }, {}],
  ['a window that is further than the answer', { open: six, runs: 5000, since: [{ set: 't20', v: 20 }, { set: 't3', v: 30 }] }, {}],
];

for (const [name, { open, runs, late, since, elsewhere }, options, most] of BROUGHT) {
  test(`rows that come with the page are shown at once, and are never gone: ${name}`, async () => {
    const { w, server, channels, get, rt } = await calmly();
    const other = open?.(channels, get);
    if (runs) await w.clock.run(runs);
    const others = [];
    other?.listen((rows) => others.push(ids(rows)));
    if (late) server.commit(late);
    // A change of another list: the position moves, and no event tells this channel.
    if (elsewhere) server.seq += 1;
    const initial = get(options.sort, most);
    if (since) {
      server.commit(since);
      await w.clock.run(100);
      others.length = 0;
    }
    const list = channels.list('Task', { ...options, initial });
    const { limit = Infinity } = options;
    const own = initial.items.slice(0, limit);
    if (since) for (const { id } of own) assert.ok(list.value.some((row) => row.id === id), id);
    else assert.deepEqual([ids(list.value), list.hasMore.value], [ids(own), limit < Infinity && initial.next !== null]);
    assert.ok(['stale', 'live'].includes(list.state.value), list.state.value);
    const shown = [];
    list.listen((rows) => shown.push(rows.map(({ id }) => id)));
    const states = [];
    list.state.listen((state) => states.push(state));
    // Where nothing happens, it asks how far the server is.
    await w.clock.run(elsewhere ? 100 : 20_000);
    for (const rows of shown) for (const { id } of own) assert.ok(late || since || rows.includes(id), `${id} is gone for a moment`);
    for (const rows of shown) assert.ok(rows.length >= own.length, `${rows} of ${ids(own)}`);
    const all = server.first(options.sort);
    assert.deepEqual([list.value, list.state.value, list.hasMore.value], [all.slice(0, limit), 'live', all.length > limit]);
    assert.ok(!states.includes('loading'), states.join());
    if (!late) assert.deepEqual(others.filter((rows) => !rows), [], 'nor does another list lose its rows');
    if (!late && runs === 5000) assert.deepEqual(others, [], 'which sees nothing of it');
    rt.disconnect();
  });
}

test('what this page changes is seen in rows that wait for those of the channel, and no row of them stays for another user', async () => {
  const { w, server, rt, api, channels, get } = await calmly();
  const db = new OptimisticManager(api, rt, { env: w.env });
  six(channels);
  await w.clock.run(5000);
  server.up = server.sockets = false;
  server.cutAll(1006);
  await w.clock.run(100);
  const list = channels.list('Task', { initial: get() });
  db.update('Task', 't3', { v: 33 });
  db.delete('Task', 't4');
  const made = db.create('Task', { v: 44 });
  const seen = new Map(list.value.map((row) => [row.id, row.v]));
  assert.deepEqual([seen.get('t3'), seen.has('t4'), seen.get(made.id), list.value.length, list.state.value], [33, false, 44, 14, 'stale']);
  rt.setToken('of another user');
  rt.setToken(null);
  for (let time = 0; time < 2; time++) {
    await settle();
    assert.deepEqual(list.value.filter(({ _optimistic }) => !_optimistic), []);
    db.create('Task', { v: 45 });
  }
  db.close();
  rt.disconnect();
});

test('what this page changed and the server confirmed stays so in rows that wait for those of the channel', async () => {
  for (const options of [{ sort: 'v', limit: 9 }, {}]) {
    const { w, server, rt, api, channels, get } = await calmly();
    const db = new OptimisticManager(api, rt, { env: w.env });
    six(channels);
    await w.clock.run(5000);
    const { respond } = w;
    // What is read takes its time.
    w.respond = (url, init) => {
      if (url.pathname === '/api/tasks') return new Promise(() => {});
      if (url.pathname !== '/api/batch') return respond(url, init);
      const { ops } = JSON.parse(init.body);
      server.commit(ops.map(({ op, id, data }) => (op === 'delete' ? { delete: id } : { set: id, ...data })));
      const { epoch, seq } = server;
      return reply(200, { epoch, seq, results: ops.map(({ op, id }) => ({ seq, id, status: op === 'delete' ? 204 : 200, record: server.rows.get(id) })) });
    };
    const list = channels.list('Task', { ...options, initial: get(options.sort, options.limit && 10) });
    const seen = [];
    list.listen((rows) => seen.push(ids(rows)));
    const made = db.create('Task', { v: 0 });
    db.delete('Task', 't2');
    db.update('Task', 't3', { v: 2.5 });
    await w.clock.run(5000);
    assert.deepEqual([made.state, db.pending.value], ['done', []]);
    server.commit([{ delete: 't1' }, { set: 'new', v: 0.5 }]);
    await w.clock.run(5000);
    const found = new Map(list.value.map(({ id, v }) => [id, v]));
    assert.deepEqual([found.get(made.id), found.get('new'), found.has('t1'), found.has('t2')], [0, 0.5, false, false]);
    const first = seen.findIndex((rows) => rows.includes(made.id) && !rows.includes('t2'));
    for (const rows of seen.slice(first)) assert.deepEqual([rows.includes(made.id), /t2\b/.test(rows)], [true, false], rows);
    rt.disconnect();
    db.close();
  }
});

test('many lists with rows of the page ask the server once how far it is', async () => {
  const { w, channels, begin } = byHand();
  await begin([row(99), row(98), row(97)]);
  await w.clock.run(1000);
  w.socket.take('ping');
  const initial = { items: [row(1)], next: null, epoch: 'e1', seq: 12, view: 'v' };
  for (let at = 0; at < 300; at++) channels.list('Task', { sort: 'v', limit: 5, initial });
  await w.clock.run(0);
  assert.equal(w.socket.take('ping').length, 1);
});

test('rows of the page are ahead of their channel until it has come as far', async () => {
  const { channels, list, say, begin } = byHand();
  await begin([row(99), row(98), row(97)]);
  const initial = { items: [row(1), row(98, { version: 3 })], next: null, epoch: 'e1', seq: 12, view: 'v' };
  const other = channels.list('Task', { sort: 'v', limit: 5, initial });
  const look = () => [ids(list.value), ids(other.value), other.value.at(-1).version];
  assert.deepEqual(look(), ['r99,r98', 'r1,r98', 3]);
  await say('entity:deleted', { id: 'r98' }, { seq: 11, prev: 10 });
  assert.deepEqual(look(), ['r99,r97', 'r1,r98', 3], 'it is made again before the page was');
  await say('entity:created', row(98, { version: 3 }), { seq: 12, prev: 11 });
  await say('entity:updated', row(98, { version: 4 }), { seq: 13, prev: 12 });
  await say('entity:deleted', { id: 'r1' }, { seq: 14, prev: 13 });
  assert.deepEqual([ids(list.value), ids(other.value), other.value[0].version, other.state.value], ['r99,r98', 'r98', 4, 'stale']);
});

test('rows of a filter and of a record are of channels of their own', async () => {
  const { channels, get, rt } = await calmly();
  six(channels);
  const record = channels.record('Task', 't3');
  const initial = get();
  initial.items = initial.items.filter(({ id }) => id === 't3');
  for (const where of [{ id: 't3' }, { v: 3 }]) {
    const list = channels.list('Task', { where, initial });
    assert.deepEqual([ids(list.value), list.state.value, record.value], ['t3', 'stale', undefined]);
  }
  rt.disconnect();
});
