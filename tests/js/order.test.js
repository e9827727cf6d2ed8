/**
 * The order of the browser modules against that of the real server: random records, random sorts, random limits.
 * `SEED=…` repeats a run.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { Api, ApiError } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { RealtimeClient } from '../../static/realtime.js';
import { Tidewire } from './program.js';
import { seeded } from './world.js';

const SEED = Number(process.env.SEED ?? 20_261_121);
const ROWS = 240;
const SORTS = 150;

const SCHEMAS = {
  'item.toml': `
entity = "Item"
[fields]
word = { type = "text" }
note = { type = "text" }
kind = { type = "enum", values = ["b", "B", "a", "ä", "Z", "-"] }
number = { type = "int" }
ratio = { type = "float" }
on = { type = "bool" }
day = { type = "date" }
at = { type = "datetime" }
key = { type = "uuid" }
folder = { type = "ref", entity = "Folder" }
keeper = { type = "ref", entity = "User" }
extra = { type = "json" }
[access]
read = "true"
create = "true"
update = "true"
`,
  'folder.toml': 'entity = "Folder"\n[fields]\nname = { type = "text" }\n[access]\nread = "true"\ncreate = "true"',
  'user.toml': 'entity = "User"\n[fields]\nnick = { type = "text" }\n[access]\nread = "true"\ncreate = "true"',
};

/** Where orders differ: cases, accents, normal forms, beginnings, digits, and what UTF-16 puts elsewhere than UTF-8. */
const TEXTS = ['', ' ', 'a', 'A', 'aa', 'ab', 'B', 'b', 'ä', 'a\u0308', 'z', 'Zebra', '10', '9', '-1', 'ß', 'ss', 'İ', 'ı'];
TEXTS.push('\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{1f980}', '\u{1f980}a', '\u{10ffff}', 'a\u{1f980}', 'a\uffee', 'a\u200d');
const USERS = ['ada', 'Ada', 'ben', 'ben ', '\u{1f980}', '\uff21', 'é', '0', '-'];
const POOLS = {
  word: TEXTS,
  note: TEXTS,
  kind: ['b', 'B', 'a', 'ä', 'Z', '-'],
  number: [0, -0, 1, -1, 2, 9, 10, -10, 2 ** 53 - 1, 1 - 2 ** 53],
  ratio: [0, -0, 0.1, 0.1 + 0.2, 0.3, 1, -1.5, 1e-300, 1e300, -1e300, 5e-324, 2 ** 53],
  on: [true, false],
  day: ['0001-01-01', '0999-12-31', '2026-02-28', '2026-03-01', '9999-12-31'],
  at: [
    '2026-11-21T09:00:00+01:00',
    '2026-11-21T08:00:00Z',
    '2026-11-21T08:00:00.001Z',
    '2026-11-21T01:30:00-07:00',
    '0999-01-01T00:00:00Z',
    '9999-12-31T23:59:59.999Z',
  ],
  key: ['0190A000-0000-7000-8000-00000000000A', '0190a000-0000-7000-8000-00000000000b', 'ffffffff-ffff-4fff-bfff-ffffffffffff'],
  extra: [1, 'a', [1], { a: 1 }],
};
const COLUMNS = [...Object.keys(POOLS), 'folder', 'keeper', 'id', 'version', 'created_at', 'updated_at'];

const random = seeded(SEED);
const below = (end) => Math.floor(random() * end);
const pick = (of) => of[below(of.length)];

let server;
let api;
let rt;
before(async () => {
  server = await new Tidewire(SCHEMAS).start();
  const env = { base: server.address };
  api = new Api('/api', { env });
  rt = new RealtimeClient('/ws', { env }).connect();
});
after(async () => {
  rt?.disconnect();
  await server?.remove();
});

async function fill() {
  for (const id of USERS) await api.create('users', { id, nick: pick(TEXTS) });
  const folders = [];
  for (let i = 0; i < 5; i++) folders.push((await api.create('folders', { name: String(i) })).id);
  const pools = { ...POOLS, folder: folders, keeper: USERS };
  const made = () => {
    const data = {};
    // Few values, so that most orders are decided by later fields and by the id.
    for (const [name, pool] of Object.entries(pools)) data[name] = random() < 0.25 ? null : pick(random() < 0.5 ? pool.slice(0, 3) : pool);
    return data;
  };
  const { results } = await api.batch(Array.from({ length: ROWS }, () => ({ op: 'create', entity: 'Item', data: made() })));
  const changed = results.filter(() => random() < 0.3);
  await api.batch(changed.map(({ id }) => ({ op: 'update', entity: 'Item', id, data: { number: pick(POOLS.number) } })));
}

/** The rows of a list once they are known. */
function shown(list) {
  return new Promise((resolve) => {
    const stop = list.state.subscribe((state) => {
      if (state !== 'live' && state !== 'error') return;
      queueMicrotask(() => stop());
      resolve({ state, ids: list.value.map(({ id }) => id), error: list.error.value });
    });
  });
}

test(`a list in the browser shows the rows that the server's list has first (seed ${SEED})`, async () => {
  await fill();
  const channels = new ChannelSubscriber(rt, { api });
  let refused = 0;
  for (let round = 0; round < SORTS; round++) {
    const fields = COLUMNS.map((name) => [random(), name]).sort(([a], [b]) => a - b);
    const named = fields.slice(0, 1 + Math.min(below(6), below(6))).map(([, name]) => (random() < 0.5 ? `-${name}` : name));
    const sort = round === 0 ? '-number,word' : named.join();
    const limit = pick([1, 7, 50, 1000]);
    const list = channels.list('Item', { sort, limit });
    const mine = await shown(list);
    const theirs = await api.list('items', { sort, limit }).catch((error) => error);
    const what = `SEED=${SEED}, sort ${sort}, limit ${limit}`;
    if (theirs instanceof ApiError) {
      refused++;
      assert.deepEqual([theirs.code, mine.state, mine.error?.code], ['BAD_QUERY', 'error', 'BAD_QUERY'], what);
    } else assert.deepEqual([mine.state, mine.ids], ['live', theirs.items.map(({ id }) => id)], what);
    list.close();
  }
  assert.ok(refused > 3 && refused < SORTS / 2, `${refused} sorts were refused`);
});

test('ids that are texts are ordered as the server orders them', async () => {
  const channels = new ChannelSubscriber(rt, { api });
  for (const sort of ['id', '-id', 'nick', '-nick', 'nick,-id', '-nick,id']) {
    const list = channels.list('User', { sort });
    const mine = await shown(list);
    const theirs = await api.list('users', { sort, limit: 1000 });
    assert.ok(theirs.items.length >= USERS.length);
    assert.deepEqual(mine.ids, theirs.items.map(({ id }) => id), sort);
    list.close();
  }
});

test(`windows stay what the server's list has first, whatever is written (seed ${SEED})`, async () => {
  const channels = new ChannelSubscriber(rt, { api });
  const orderable = COLUMNS.filter((name) => name !== 'json');
  const windows = [];
  for (let at = 0; at < 8; at++) {
    const named = Array.from({ length: 1 + below(2) }, () => pick(orderable)).filter((name, at, all) => all.indexOf(name) === at);
    const sort = named.map((name) => (random() < 0.5 ? `-${name}` : name)).join();
    const limit = pick([1, 3, 10, 30]);
    // A filter of its own makes a channel of its own; the others share one.
    const where = at < 4 ? {} : { number: { [pick(['gte', 'ne'])]: pick(POOLS.number) } };
    const list = channels.list('Item', { sort, limit, where });
    const refused = await api.list('items', { ...where, sort, limit: 1 }).then(() => false, () => true);
    if (refused) list.close();
    else windows.push({ list, sort, shown: limit, where });
  }
  assert.ok(windows.length > 3, `${windows.length} windows`);
  const known = (await api.list('items', { limit: 200 })).items.map(({ id }) => id);
  for (let round = 0; round < 12; round++) {
    const ops = Array.from({ length: 5 }, () => {
      const data = Object.fromEntries(COLUMNS.filter((name) => name in POOLS && random() < 0.3).map((name) => [name, random() < 0.2 ? null : pick(POOLS[name])]));
      const dice = random();
      if (dice < 0.4 && known.length > 20) return { op: 'delete', entity: 'Item', id: known.splice(below(known.length), 1)[0] };
      if (dice < 0.7) return { op: 'update', entity: 'Item', id: pick(known), data };
      return { op: 'create', entity: 'Item', data };
    });
    const { results } = await api.batch(ops, { atomic: false });
    for (const [at, { id, error }] of results.entries()) if (!error && ops[at].op === 'create') known.push(id);
    const chosen = pick(windows);
    if (random() < 0.4) {
      chosen.shown += 5;
      chosen.list.more(5);
    }
    for (const { list, sort, shown, where } of windows) {
      const { items } = await api.list('items', { ...where, sort, limit: shown });
      const theirs = items.map(({ id }) => id).join();
      const settled = () => list.state.value === 'live' && isDeepStrictEqual(list.value, items);
      // Its events and its reading may be on their way; what it comes to in the end is compared.
      for (let patience = 0; !settled() && patience < 200; patience++) await new Promise((resolve) => setTimeout(resolve, 10));
      assert.deepEqual([list.state.value, list.value.map(({ id }) => id).join()], ['live', theirs], `SEED=${SEED}, round ${round}, sort ${sort}, ${shown} rows of ${JSON.stringify(where)}`);
      assert.deepEqual(list.value, items);
    }
  }
});
