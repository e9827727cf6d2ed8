/**
 * The browser modules in front of the real program, over a socket and by polling: what is asked is what is answered.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { RealtimeClient } from '../../static/realtime.js';
import { Tidewire } from './program.js';

const SCHEMAS = {
  'note.toml': `
entity = "Note"
[fields]
title = { type = "text" }
n = { type = "int" }
at = { type = "datetime" }
day = { type = "date" }
[access]
read = "true"
create = "true"
update = "true"
delete = "true"
`,
  'user.toml': 'entity = "User"\n[fields]\nnick = { type = "text" }\n[access]\nread = "true"\ncreate = "true"\nupdate = "true"',
};

let server;
before(async () => void (server = await new Tidewire(SCHEMAS).start()));
after(() => server?.remove());

/** How long a poll may take; it is no wait. */
const DEADLINE = 35_000;

/** Both ways to the server; polls come at once, and the clock is real. */
function clients() {
  const env = { base: server.address };
  const blocked = class {
    constructor() {
      throw new Error('blocked');
    }
  };
  const hasty = { ...env, WebSocket: blocked, setTimeout: (call, ms) => setTimeout(call, ms === DEADLINE ? ms : Math.min(ms, 20)) };
  return Object.entries({ socket: env, polling: hasty }).map(([way, env]) => {
    const api = new Api('/api', { env });
    const rt = new RealtimeClient('/ws', { env }).connect();
    return { way, api, rt, channels: new ChannelSubscriber(rt, { api, env }) };
  });
}

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
const known = (list) => becomes(list.state, (state) => state === 'live' || state === 'error' || state === 'denied');
const titles = (rows) => rows.map(({ title }) => title);

test('a record shows itself under every spelling of its id', { timeout: 60_000 }, async () => {
  for (const { way, api, rt, channels } of clients()) {
    const { id } = await api.create('notes', { title: 'first' });
    const bare = id.replaceAll('-', '');
    const spellings = [id, id.toUpperCase(), bare, bare.toUpperCase(), `{${id}}`, `urn:uuid:${id}`];
    const records = spellings.map((spelling) => channels.record('Note', spelling));
    for (const record of records) await becomes(record, (row) => row?.title === 'first');
    await api.update('notes', id.toUpperCase(), { title: 'second' });
    for (const record of records) await becomes(record, (row) => row?.title === 'second');
    assert.ok(records.every(({ value }) => value.id === id), way);
    await api.delete('notes', id);
    for (const record of records) await becomes(record, (row) => row === null);
    rt.disconnect();
  }
});

test('the id of a user is a text of which every letter counts', { timeout: 60_000 }, async () => {
  for (const { way, api, rt, channels } of clients()) {
    const name = `0190A000-0000-7000-8000-00000000000${way === 'socket' ? 'A' : 'B'}`;
    await api.create('users', { id: name });
    const [as, other] = [name, name.toLowerCase()].map((id) => channels.record('User', id));
    await becomes(as, (row) => row?.id === name);
    await known(other);
    assert.equal(other.value, null);
    rt.disconnect();
  }
});

test('times, empty lists and texts are asked for as they were meant', { timeout: 60_000 }, async () => {
  const writer = new Api('/api', { env: { base: server.address } });
  const noon = new Date('2026-11-21T12:00:00+01:00');
  await writer.batch([
    { op: 'create', entity: 'Note', data: { title: 'noon', n: 1, at: noon, day: '2026-11-21' } },
    { op: 'create', entity: 'Note', data: { title: '', n: 2, at: '2026-11-21T13:00:00+01:00' } },
    { op: 'create', entity: 'Note', data: { title: ',\\', n: 3, at: '2026-11-20T12:00:00Z' } },
    { op: 'create', entity: 'Note', data: { n: 4 } },
  ]);
  const questions = [
    [{ at: noon }, ['noon']],
    [{ at: { gt: noon } }, ['']],
    [{ at: { lte: noon } }, ['noon', ',\\']],
    [{ at: { in: [noon, new Date(0)] } }, ['noon']],
    [{ at: null }, [null]],
    [{ title: { in: [] } }, []],
    [{ n: { in: [] } }, []],
    [{ at: { in: [] } }, []],
    [{ title: { in: [''] } }, ['']],
    [{ title: { in: ['', ',\\'] } }, ['', ',\\']],
    [{ title: '' }, ['']],
    [{ title: { ne: '' } }, ['noon', ',\\']],
    [{ title: null }, [null]],
    [{ n: { gte: 2, lt: 4 }, title: { starts: ',' } }, [',\\']],
  ];
  for (const { way, api, rt, channels } of clients()) {
    for (const [where, expected] of questions) {
      const what = `${way}: ${JSON.stringify(where)}`;
      const list = channels.list('Note', { where, sort: 'n' });
      await known(list);
      assert.deepEqual([list.state.value, titles(list.value)], ['live', expected], what);
      assert.deepEqual(titles((await api.list('notes', { ...where, sort: 'n' })).items), expected, what);
      assert.equal((await api.count('notes', where)).count, expected.length, what);
      list.close();
    }
    // A date field is a day and no moment.
    const list = channels.list('Note', { where: { day: noon } });
    await known(list);
    assert.deepEqual([list.state.value, list.value], [way === 'socket' ? list.state.value : 'error', []], way);
    assert.notEqual(list.state.value, 'live');
    await assert.rejects(api.list('notes', { day: noon }), { code: 'BAD_QUERY' });
    rt.disconnect();
  }
});
