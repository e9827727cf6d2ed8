/**
 * Every documented maximum, taken through the real modules to the real program: what a page may ask for by the documents
 * arrives. One step further is refused by name, over a socket and by polling.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { channelOf } from '../../static/query.js';
import { RealtimeClient } from '../../static/realtime.js';
import { Tidewire } from './program.js';

const INTS = Array.from({ length: 12 }, (_, i) => `n${i}`);
const REFS = Array.from({ length: 10 }, (_, i) => `r${i}`);
const SCHEMAS = {
  'note.toml': `
entity = "Note"
[fields]
title = { type = "text", search = true }
${INTS.map((name) => `${name} = { type = "int" }`).join('\n')}
${REFS.map((name) => `${name} = { type = "ref", entity = "Note" }`).join('\n')}
[access]
read = "true"
create = "true"
update = "true"
delete = "true"
`,
  'user.toml': 'entity = "User"\n[fields]\nnick = { type = "text" }\n[access]\nread = "true"\ncreate = "true"\nupdate = "true"',
};
const TIMEOUT = { timeout: 120_000 };
const KIB = 1024;
const MIB = 1024 * KIB;

let server;
/** Ids of 1,000 records, in order; each refers to the first by every reference, and the first to itself. */
let ids;
before(async () => {
  server = await new Tidewire(SCHEMAS).start();
  const api = new Api('/api', { env: { base: server.address } });
  ids = Array.from({ length: 1000 }, () => api.newId());
  const refs = Object.fromEntries(REFS.map((name) => [name, ids[0]]));
  const data = (id, n) => ({ id, title: `word${n % 20}`, n0: n, n1: n % 2, ...(n === 0 ? {} : refs) });
  for (const start of [0, 500]) {
    const ops = ids.slice(start, start + 500).map((id, n) => ({ op: 'create', entity: 'Note', data: data(id, start + n) }));
    const { results } = await api.batch(ops);
    assert.equal(results.length, 500, 'as many operations as a batch may have');
  }
  await api.update('notes', ids[0], refs);
});
after(() => server?.remove());

/** How long a poll may take; it is no wait. */
const DEADLINE = 35_000;

/** A client of each kind; polls come at once, and the clock is real. */
function clients(as) {
  const blocked = class {
    constructor() {
      throw new Error('blocked');
    }
  };
  const env = { base: server.address };
  const hasty = { ...env, WebSocket: blocked, setTimeout: (call, ms) => setTimeout(call, ms === DEADLINE ? ms : Math.min(ms, 20)) };
  return Object.entries({ socket: env, polling: hasty }).map(([way, env]) => {
    const api = new Api('/api', { env, as });
    const rt = new RealtimeClient(as ? `/ws?as=${encodeURIComponent(as)}` : '/ws', { env, transports: ['ws', 'poll'] }).connect();
    return { way, api, rt, channels: new ChannelSubscriber(rt, { api, env }) };
  });
}

function becomes(signal, holds) {
  return new Promise((resolve) => {
    const stop = signal.subscribe((value) => {
      if (!holds(value)) return;
      queueMicrotask(() => stop());
      resolve(value);
    });
  });
}
const known = (list) => becomes(list.state, (state) => state === 'live' || state === 'error' || state === 'denied');
const badQuery = (words) => (error) => error.code === 'BAD_QUERY' && error.message.includes(words);
const client = () => new Api('/api', { env: { base: server.address } });

test('500 values of `in`, short and long, in lists and counts', TIMEOUT, async () => {
  const api = client();
  const some = ids.slice(0, 500);
  const page = await api.list('notes', { id: { in: some }, limit: 1000 });
  assert.deepEqual(page.items.map(({ id }) => id), some);
  assert.equal((await api.count('notes', { id: { in: some } })).count, 500);
  const texts = Array.from({ length: 499 }, (_, i) => `${i},\\${'ü'.repeat(500)}`);
  assert.equal((await api.count('notes', { title: { in: [...texts, 'word7'] } })).count, 50);
  for (const ask of ['list', 'count'])
    await assert.rejects(api[ask]('notes', { id: { in: ids.slice(0, 501) } }), badQuery('501 values; at most 500'));
  // Page by page, in the long form too.
  let [cursor, seen] = [undefined, []];
  do {
    const { items, next } = await api.list('notes', { id: { in: some }, sort: '-n0', limit: 200, cursor });
    [cursor, seen] = [next ?? undefined, [...seen, ...items.map(({ id }) => id)]];
  } while (cursor);
  assert.deepEqual(seen, [...some].reverse());
});

test('50 filters, 10 fields of a sort, 1,000 rows, 10 paths of 3 references, 20 words, 1,000 groups', TIMEOUT, async () => {
  const api = client();
  const all = INTS.slice(2).flatMap((name) => ['ne', 'gt', 'gte', 'lt', 'lte'].map((operator) => [name, operator]));
  const filters = (count) => {
    const where = {};
    for (const [name, operator] of all.slice(0, count)) (where[name] ??= {})[operator] = Number.MAX_SAFE_INTEGER;
    return where;
  };
  assert.deepEqual((await api.list('notes', filters(50))).items, []);
  await assert.rejects(api.list('notes', { ...filters(50), n0: 1 }), badQuery('more than 50 filters'));
  const ten = ['-title', ...INTS.slice(0, 9)];
  assert.equal((await api.list('notes', { sort: ten, limit: 1000 })).items.length, 1000);
  await assert.rejects(api.list('notes', { sort: [...ten, 'n9'] }), badQuery('more than 10 fields'));
  await assert.rejects(api.list('notes', { limit: 1001 }), badQuery('1 to 1000'));
  const paths = REFS.map((name) => `${name}.r1.r2`);
  const { items } = await api.list('notes', { expand: paths, limit: 2, sort: '-n0' });
  assert.ok(REFS.every((name) => items[0].expanded[name].expanded.r1.expanded.r2.id === ids[0]));
  await assert.rejects(api.list('notes', { expand: [...paths, 'r0'] }), badQuery('more than 10 paths'));
  await assert.rejects(api.list('notes', { expand: 'r0.r1.r2.r3' }), badQuery('more than 3 references'));
  const words = Array.from({ length: 20 }, (_, i) => `w${'orde'.slice(0, i % 3)}`);
  assert.equal((await api.count('notes', { search: words.join(' ') })).count, 1000);
  const twenty = Array.from({ length: 21 }, (_, i) => `v${i}`);
  assert.equal((await api.count('notes', { search: twenty.slice(0, 20).join(' ') })).count, 0);
  await assert.rejects(api.count('notes', { search: twenty.join(' ') }), badQuery('more than 20 words'));
  assert.equal((await api.count('notes', { search: '𝔞'.repeat(256) })).count, 0);
  await assert.rejects(api.count('notes', { search: 'a'.repeat(257) }), badQuery('more than 256 characters'));
  assert.equal((await api.count('notes', { group: 'n0' })).groups.length, 1000);
});

test('a body of 1 MiB, a key and an id of 128 characters, a role of 64', TIMEOUT, async () => {
  const longest = '🦀'.repeat(128);
  for (const { way, api, rt, channels } of clients(`${longest}:${'r'.repeat(64)}`)) {
    const title = 'x'.repeat(MIB - 200);
    const note = await api.create('notes', { title }, { mid: `${way}-${'~'.repeat(127 - way.length)}` });
    const record = channels.record('Note', note.id);
    await becomes(record, (row) => row?.title === title);
    await api.update('notes', note.id, { title: 'y'.repeat(MIB - 200) });
    await becomes(record, (row) => row?.title[0] === 'y');
    await assert.rejects(api.create('notes', { title: 'x'.repeat(MIB) }), { code: 'BODY_TOO_LARGE' });
    const user = channels.record('User', longest);
    await becomes(user, (row) => row?.id === longest);
    await api.update('users', longest, { nick: way });
    await becomes(user, (row) => row?.nick === way);
    await api.delete('notes', note.id);
    rt.disconnect();
  }
  await assert.rejects(client().create('users', { id: '🦀'.repeat(129) }), { code: 'VALIDATION_FAILED' });
});

test('50 channels with names of 4 KiB, each with its rows, over socket and polling', TIMEOUT, async () => {
  /** A question whose channel has exactly so many bytes. */
  const where = (n, bytes) => {
    const of = (fill) => ({ title: { in: [`news${n}`, `word${n % 20}`, 'x'.repeat(fill)] } });
    return of(bytes - channelOf('Note', of(0)).length);
  };
  for (const { way, api, rt, channels } of clients()) {
    const asked = Array.from({ length: 50 }, (_, n) => where(n, 4 * KIB));
    assert.ok(asked.every((each) => channelOf('Note', each).length === 4 * KIB));
    const lists = asked.map((each) => channels.list('Note', { where: each }));
    await Promise.all(lists.map((list) => becomes(list.state, (state) => state === 'live')));
    assert.ok(lists.every((list) => list.value.length === 50), way);
    const made = await api.batch(lists.map((_, n) => ({ op: 'create', entity: 'Note', data: { title: `news${n}` } })));
    await Promise.all(lists.map((list) => becomes(list, (rows) => rows.length === 51)));
    await api.batch(made.results.map(({ id }) => ({ op: 'delete', entity: 'Note', id })));
    await Promise.all(lists.map((list) => becomes(list, (rows) => rows.length === 50)));
    // One more is refused by a socket; polls take turns.
    const oneMore = channels.list('User');
    await known(oneMore);
    const refused = way === 'socket' ? ['error', 'SUBSCRIPTION_LIMIT'] : ['live', undefined];
    assert.deepEqual([oneMore.state.value, oneMore.error.value?.code], refused);
    assert.ok(lists.every((list) => list.value.length === 50), 'the others are as before');
    rt.disconnect();
  }
  for (const { way, rt, channels } of clients()) {
    const beyond = channels.list('Note', { where: where(50, 4 * KIB + 1) });
    await known(beyond);
    assert.deepEqual([beyond.state.value, beyond.error.value.code], ['error', 'BAD_CHANNEL'], way);
    rt.disconnect();
  }
});

test('a list of more records than a page has', TIMEOUT, async () => {
  for (const { way, rt, channels } of clients()) {
    const list = channels.list('Note', { sort: '-n0', limit: 1000 });
    await becomes(list.state, (state) => state === 'live');
    assert.deepEqual(list.value.map(({ id }) => id), [...ids].reverse(), way);
    rt.disconnect();
  }
});
