/**
 * Changes that are seen at once, in front of the real program: through a line that delays, and cuts in the middle of answers;
 * and lists whose first rows come with the page.
 */
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import { IDBFactory } from 'fake-indexeddb';
import { Api } from '../../static/api.js';
import { RowCache } from '../../static/cache.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { OptimisticManager } from '../../static/optimistic.js';
import { RealtimeClient } from '../../static/realtime.js';
import { Tidewire } from './program.js';
import { seeded, world } from './world.js';

const SCHEMAS = {
  'note.toml': `
entity = "Note"
[fields]
title = { type = "text", max = 40 }
n = { type = "int", default = 0 }
done = { type = "bool", default = false }
[access]
read = "true"
create = "true"
update = "true"
delete = "true"
`,
};

let server;
before(async () => void (server = await new Tidewire(SCHEMAS).start()));
after(() => server?.remove());

async function becomes(look, what) {
  for (let turn = 0; turn < 2000; turn++) {
    if (await look()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`never: ${what ?? look}`);
}

/** A line to the server: bytes come late, and connections break with `cut`. */
async function line(random) {
  const pairs = new Set();
  const proxy = createServer((client) => {
    const upstream = connect(new URL(server.address).port, '127.0.0.1');
    const pair = { client, upstream };
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    for (const [from, to] of [[client, upstream], [upstream, client]]) {
      let ready = Promise.resolve();
      from.on('data', (chunk) => {
        // The server answers to its own name alone.
        const bytes = from === client ? Buffer.from(chunk.toString('latin1').replace(/^(host: )127\.0\.0\.1:\d+/im, `$1${new URL(server.address).host}`), 'latin1') : chunk;
        const late = new Promise((resolve) => setTimeout(resolve, random() * 20));
        ready = Promise.all([ready, late]).then(() => void to.write(bytes));
      });
      from.on('close', end);
      from.on('error', end);
    }
  });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${proxy.address().port}`,
    cut: () => pairs.forEach(({ client }) => client.destroy()),
    close: () => {
      proxy.close();
      pairs.forEach(({ client }) => client.destroy());
    },
  };
}

test('three people on a line that breaks: nothing is lost, nothing happens twice', { timeout: 60_000 }, async (t) => {
  const random = seeded(11);
  const int = (n) => Math.floor(random() * n);
  const proxy = await line(random);
  const people = ['ada', 'ben', 'cy'].map((name) => {
    const env = { base: proxy.address };
    const hasty = { ...env, setTimeout: (call, ms) => setTimeout(call, ms / 10) };
    const api = new Api('/api', { as: name, env });
    const rt = new RealtimeClient(`/ws?as=${name}`, { env, reconnectInterval: 50 }).connect();
    const channels = new ChannelSubscriber(rt, { api, env });
    return { name, rt, db: new OptimisticManager(api, rt, { env: hasty }), all: channels.list('Note'), open: channels.list('Note', { where: { done: false } }) };
  });
  t.after(() => {
    for (const { rt, db } of people) {
      rt.disconnect();
      db.close();
    }
    proxy.close();
  });
  for (const { all } of people) await becomes(() => all.state.value === 'live');
  const counter = people[0].db.create('Note', { title: 'counter' });
  await counter;
  const made = ['counter'];
  let likes = 0;
  for (let step = 0; step < 90; step++) {
    const { name, db, all } = people[step % 3];
    const [first, second] = [all.value[int(all.value.length)], all.value[int(all.value.length)]].filter((row) => row && row.id !== counter.id);
    const kind = int(5);
    if (kind === 0 || !first) {
      db.create('Note', { title: `${name} ${step}` });
      made.push(`${name} ${step}`);
    } else if (kind === 1) db.update('Note', first.id, { done: int(2) === 0 });
    else if (kind === 2) db.batch(() => [first, second].forEach((row) => row && db.update('Note', row.id, { title: row.title })));
    else if (kind === 3) db.update('Note', first.id, { title: 'x'.repeat(41) });
    likes++;
    db.update('Note', counter.id, (row) => ({ n: row.n + 1 }));
    if (step % 9 === 0) proxy.cut();
    await new Promise((resolve) => setTimeout(resolve, int(25)));
  }
  for (const { db, name } of people) await becomes(() => db.pending.value.length === 0, `${name} is done`);
  const refused = people.flatMap(({ db }) => db.failed.value.map(({ error }) => error.code));
  assert.deepEqual([...new Set(refused)], ['VALIDATION_FAILED']);
  const { items } = await new Api('/api', { env: { base: server.address } }).list('notes', { limit: 200, sort: 'id' });
  assert.equal(items.find(({ id }) => id === counter.id).n, likes);
  assert.deepEqual(items.map(({ title }) => title).sort(), made.sort());
  for (const { name, all, open } of people) {
    await becomes(() => JSON.stringify(all.value) === JSON.stringify(items), `${name} sees the rows`);
    await becomes(() => JSON.stringify(open.value) === JSON.stringify(items.filter(({ done }) => !done)), `${name} sees those that are open`);
  }
});

test('several changes of one record in one batch, some of them functions, are made over what others wrote', { timeout: 30_000 }, async (t) => {
  const env = { base: server.address };
  const api = new Api('/api', { env });
  const rt = new RealtimeClient('/ws', { env }).connect();
  const list = new ChannelSubscriber(rt, { api, env }).list('Note', { where: { n: { gte: 100 } } });
  // Another user is faster once, between the look at the record and the batch.
  let others = null;
  const send = async (batch) => {
    await others?.();
    others = null;
    return api.batch(batch.ops, { atomic: batch.atomic, mid: batch.mid, tries: 1 });
  };
  const db = new OptimisticManager(api, rt, { env, send });
  t.after(() => {
    db.close();
    rt.disconnect();
  });
  const like = ({ n }) => ({ n: n + 1 });
  let made;
  await db.batch(() => {
    made = db.create('Note', { title: 'several', n: 100 });
    db.update('Note', made.id, like);
    db.update('Note', made.id, { done: true }, { ifMatch: true });
  });
  await becomes(() => list.value[0]?.version === 3, 'its record is shown');
  assert.deepEqual([list.value[0].n, list.value[0].done], [101, true]);
  for (const first of [like, { done: false }]) {
    const before = await api.get('notes', made.id);
    others = () => api.update('notes', made.id, { n: 200 + before.n });
    const rows = await db.batch(() => {
      db.update('Note', made.id, first);
      db.update('Note', made.id, like);
      db.update('Note', made.id, like);
    });
    const likes = typeof first === 'function' ? 3 : 2;
    assert.equal((await api.get('notes', made.id)).n, 200 + before.n + likes);
    assert.equal(rows.length, 3);
    await becomes(() => list.value[0].n === 200 + before.n + likes, 'it is shown');
  }
  assert.deepEqual([db.failed.value, db.pending.value, (await api.get('notes', made.id)).done], [[], [], false]);
});

/** A socket that counts what it receives behind `connected`. */
function counting() {
  const seen = { bytes: 0, frames: [] };
  class Counting extends WebSocket {
    set onmessage(call) {
      super.onmessage = (event) => {
        const { type } = JSON.parse(event.data);
        if (type !== 'connected') seen.bytes += event.data.length;
        seen.frames.push(type);
        call?.(event);
      };
    }
  }
  return { seen, Counting };
}

test('a list whose rows came with the page is shown at once, and costs at most 500 bytes when nothing changed', { timeout: 30_000 }, async () => {
  const api = new Api('/api', { env: { base: server.address } });
  await api.batch(Array.from({ length: 50 }, (_, n) => ({ op: 'create', entity: 'Note', data: { title: `first ${n}`, n: 77 } })));
  const initial = await api.list('notes', { n: 77, limit: 200 });
  const { seen, Counting } = counting();
  const env = { base: server.address, WebSocket: Counting };
  const rt = new RealtimeClient('/ws', { env });
  const list = new ChannelSubscriber(rt, { api, env }).list('Note', { where: { n: 77 }, initial });
  assert.deepEqual([list.state.value, list.value.length], ['stale', 50]);
  const before = list.value;
  rt.connect();
  await becomes(() => list.state.value === 'live');
  assert.equal(list.value, before);
  assert.ok(seen.bytes <= 500 && !seen.frames.includes('snapshot'), `${seen.bytes} bytes: ${seen.frames}`);
  await api.create('notes', { title: 'later', n: 77 });
  await becomes(() => list.value.length === 51);
  rt.disconnect();
});

test('a page of a longer list is shown at once, and followed by all rows', { timeout: 30_000 }, async () => {
  const api = new Api('/api', { env: { base: server.address } });
  await api.batch(Array.from({ length: 30 }, (_, n) => ({ op: 'create', entity: 'Note', data: { title: `long ${n}`, n: 78 } })));
  const initial = await api.list('notes', { n: 78, limit: 10 });
  const env = { base: server.address };
  const rt = new RealtimeClient('/ws', { env });
  const list = new ChannelSubscriber(rt, { api, env }).list('Note', { where: { n: 78 }, initial });
  assert.equal(list.value.length, 10);
  rt.connect();
  await becomes(() => list.state.value === 'live');
  assert.equal(list.value.length, 30);
  rt.disconnect();
});

test('the rows of the last visit are shown at once, for their user; then comes what has changed', { timeout: 30_000 }, async () => {
  const api = new Api('/api', { env: { base: server.address } });
  const { id } = await api.create('notes', { title: 'kept', n: 79 });
  const indexedDB = new IDBFactory();
  const visit = (user) => {
    const { seen, Counting } = counting();
    const env = { base: server.address, WebSocket: Counting, setTimeout: (call, ms) => setTimeout(call, Math.min(ms, 50)) };
    const rt = new RealtimeClient('/ws', { env });
    const cache = new RowCache({ user, indexedDB });
    return { seen, rt, cache, list: new ChannelSubscriber(rt, { api, env, cache }).list('Note', { where: { n: 79 } }) };
  };
  const first = visit('ada');
  first.rt.connect();
  await becomes(() => first.list.state.value === 'live');
  await becomes(async () => (await first.cache.load('entity:Note?n=79')) !== null);
  first.rt.disconnect();
  await api.update('notes', id, { title: 'changed' });

  const second = visit('ada');
  await becomes(() => second.list.state.value === 'stale');
  assert.deepEqual(second.list.value.map(({ title }) => title), ['kept']);
  second.rt.connect();
  await becomes(() => second.list.state.value === 'live');
  assert.deepEqual(second.list.value.map(({ title }) => title), ['changed']);
  assert.ok(!second.seen.frames.includes('snapshot'));
  second.rt.disconnect();

  const other = visit('ben');
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.deepEqual([other.list.state.value, other.list.value], ['loading', []]);
  await second.cache.forget();
  assert.equal(await second.cache.load('entity:Note?n=79'), null);
});

test('a list that changes all the time is kept all the same', async () => {
  const cache = new RowCache({ user: 'ada', indexedDB: new IDBFactory() });
  const { clock, env } = world();
  const store = { follows: true, at: { epoch: 'e', seq: 0 }, rows: { filled: { last: null }, view: 'v' }, entries: [] };
  for (let seq = 1; seq <= 20; seq++) {
    store.at = { epoch: 'e', seq };
    cache.keepSoon('list', store, env);
    await clock.run(300);
  }
  let kept;
  while (!((kept = await cache.load('list'))?.seq > 10));
  assert.equal(clock.pending <= 1, true);
  assert.ok(kept.seq <= 20);
});

test('what was forgotten does not come back by a change that came before', async () => {
  const cache = new RowCache({ user: 'ada', indexedDB: new IDBFactory() });
  const timers = [];
  const env = { setTimeout: (call) => timers.push(call), clearTimeout: () => {} };
  const rows = { filled: { last: null }, view: 'v' };
  cache.keepSoon('list', { follows: true, at: { epoch: 'e', seq: 1 }, rows, entries: [] }, env);
  const saving = cache.save('other', { epoch: 'e', seq: 1, rows: [] });
  await cache.forget();
  await saving;
  for (const call of timers) call();
  await cache.save('third', { epoch: 'e', seq: 2, rows: [] });
  assert.deepEqual([await cache.load('list'), await cache.load('other'), (await cache.load('third')).seq], [null, null, 2]);
});

test('rows are kept of a hundred channels; one more, and it starts anew', async () => {
  const indexedDB = new IDBFactory();
  const [cache, other] = ['ada', 'ben'].map((user) => new RowCache({ user, indexedDB }));
  const kept = (seq) => ({ epoch: 'e', seq, rows: [] });
  await other.save('list', kept(1));
  for (let n = 0; n < 100; n++) await cache.save(`list ${n}`, kept(n));
  assert.equal((await cache.load('list 0')).seq, 0);
  await cache.save('list 100', kept(100));
  assert.deepEqual([await cache.load('list 0'), (await cache.load('list 100')).seq], [null, 100]);
  assert.equal((await other.load('list')).seq, 1);
});
