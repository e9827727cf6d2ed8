import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../../static/api.js';
import { ChannelSubscriber } from '../../static/channels.js';
import { RealtimeClient } from '../../static/realtime.js';
import { comparator } from '../../static/order.js';
import { signal } from '../../static/signal.js';
import { reply, settle, world } from './world.js';

const TASK = 'entity:Task';

/** A connected client, and a short way to say things on a channel. */
function open({ api = false } = {}) {
  const w = world();
  const rt = new RealtimeClient('/ws', { env: w.env }).connect();
  const channels = new ChannelSubscriber(rt, { env: w.env, api: api ? new Api('/api', { env: w.env }) : undefined });
  w.socket.greet().say({ type: 'pong', payload: {} });
  const say = async (type, payload, extra = {}) => {
    w.socket.say({ type, channel: TASK, payload, ...extra });
    await settle();
  };
  /** Answers the newest `subscribe` with these rows. */
  const fill = async (rows, { seq = 10, epoch = 'e1' } = {}) => {
    const { requestId } = w.socket.take('subscribe').at(-1);
    await say('subscribed', { epoch, seq, view: 'v', recovered: false }, { requestId, more: true });
    await say('snapshot', { rows }, { seq, more: true });
    await say('pong', { epoch, seq, view: 'v' });
  };
  const back = async () => {
    w.socket.cut();
    await w.clock.run(2000);
    w.socket.greet().say({ type: 'pong', payload: {} });
  };
  return { w, rt, channels, say, fill, back };
}
const row = (id, fields = {}) => ({ id, version: 1, ...fields });
const ids = (list) => list.value.map(({ id }) => id);
/** Everything that a list ever showed, as ids. */
function history(list) {
  const seen = [];
  list.listen((rows) => seen.push(rows.map(({ id }) => id).join('')));
  return seen;
}

test('a list loads, lives, and follows created, updated and deleted', async () => {
  const { channels, say, fill } = open();
  const list = channels.list('Task');
  assert.equal(list.state.value, 'loading');
  await fill([row('a'), row('b')]);
  assert.deepEqual([list.state.value, ids(list)], ['live', ['a', 'b']]);
  await say('entity:created', row('c'), { seq: 11, prev: 10 });
  await say('entity:updated', row('a', { title: 'x' }), { seq: 12, prev: 11 });
  await say('entity:deleted', { id: 'b' }, { seq: 13, prev: 12 });
  assert.deepEqual(list.value, [row('a', { title: 'x' }), row('c')]);
});

test('created of a known id and updated of an unknown one both set the row', async () => {
  const { channels, say, fill } = open();
  const list = channels.list('Task');
  await fill([row('a')]);
  await say('entity:created', row('a', { version: 2 }), { seq: 11, prev: 10 });
  await say('entity:updated', row('z'), { seq: 12, prev: 11 });
  await say('entity:deleted', { id: 'nobody' }, { seq: 13, prev: 12 });
  assert.deepEqual(list.value, [row('a', { version: 2 }), row('z')]);
});

test('an empty snapshot is live and empty', async () => {
  const { w, channels, say } = open();
  const list = channels.list('Task');
  const [{ requestId }] = w.socket.take('subscribe');
  await say('subscribed', { epoch: 'e1', seq: 0, view: 'v', recovered: false }, { requestId });
  await say('pong', { epoch: 'e1', seq: 0, view: 'v' });
  assert.deepEqual([list.state.value, list.value], ['live', []]);
});

test('a snapshot in pages: changes between the pages, each row once and newest', async () => {
  const { w, channels, say } = open();
  const list = channels.list('Task');
  const shown = history(list);
  const [{ requestId }] = w.socket.take('subscribe');
  await say('subscribed', { epoch: 'e1', seq: 10, view: 'v', recovered: false }, { requestId, more: true });
  await say('snapshot', { rows: [row('a'), row('b')] }, { seq: 10, more: true });
  // Between the pages: a updated (11), b deleted (12), c updated (13), d created (14) and then e deleted (15).
  await say('snapshot', { rows: [row('c', { version: 2 }), row('d')] }, { seq: 15, more: true });
  await say('entity:updated', row('a', { version: 2 }), { seq: 11, prev: 10, more: true });
  await say('entity:deleted', { id: 'b' }, { seq: 12, prev: 11, more: true });
  await say('entity:updated', row('c', { version: 2, stale: true }), { seq: 13, prev: 12, more: true });
  await say('entity:created', row('d'), { seq: 14, prev: 13, more: true });
  await say('entity:deleted', { id: 'e' }, { seq: 15, prev: 14, more: true });
  assert.deepEqual(shown, [], 'nothing is shown before the end');
  await say('pong', { epoch: 'e1', seq: 15, view: 'v' });
  assert.deepEqual(list.value, [row('a', { version: 2 }), row('c', { version: 2 }), row('d')]);
  assert.deepEqual(shown, ['acd']);
});

test('a unit is shown as a whole', async () => {
  const { channels, say, fill } = open();
  const list = channels.list('Task');
  await fill([row('a'), row('b'), row('c')]);
  const shown = history(list);
  await say('entity:deleted', { id: 'a' }, { seq: 11, prev: 10, more: true });
  await say('entity:deleted', { id: 'b' }, { seq: 12, prev: 11, more: true });
  await say('entity:deleted', { id: 'c' }, { seq: 13, prev: 12 });
  assert.deepEqual(shown, ['']);
});

test('frames that arrive together are shown together, but never half of the next unit', async () => {
  const { w, channels, say, fill } = open();
  const list = channels.list('Task');
  await fill([row('a')]);
  const shown = history(list);
  w.socket.say({ type: 'entity:created', channel: TASK, payload: row('b'), seq: 11, prev: 10 });
  w.socket.say({ type: 'entity:created', channel: TASK, payload: row('c'), seq: 12, prev: 11 });
  w.socket.say({ type: 'entity:created', channel: TASK, payload: row('d'), seq: 13, prev: 12, more: true });
  await settle();
  assert.deepEqual(shown, ['abc']);
  await say('entity:created', row('e'), { seq: 14, prev: 13 });
  assert.deepEqual(shown, ['abc', 'abcde']);
});

test('a cut in the middle of a unit shows neither half, and the resume shows it once', async () => {
  const { w, channels, say, fill, back } = open();
  const list = channels.list('Task');
  await fill([row('a'), row('b')]);
  const shown = history(list);
  await say('entity:deleted', { id: 'a' }, { seq: 11, prev: 10, more: true });
  await back();
  assert.deepEqual([list.state.value, ids(list)], ['stale', ['a', 'b']]);
  const [{ requestId, payload }] = w.socket.take('subscribe');
  assert.equal(payload.since.seq, 10);
  await say('subscribed', { epoch: 'e2', seq: 10, view: 'v', recovered: true }, { requestId });
  await say('entity:deleted', { id: 'a' }, { seq: 11, prev: 10, more: true });
  await say('entity:deleted', { id: 'b' }, { seq: 12, prev: 11 });
  await say('entity:created', row('c'), { seq: 13, prev: 12 });
  await say('entity:created', row('d'), { seq: 14, prev: 13 });
  await say('pong', { epoch: 'e2', seq: 14, view: 'v' });
  assert.deepEqual(shown, ['cd'], 'a replay is one step forward');
  assert.equal(list.state.value, 'live');
});

test('half a unit that the server itself lost with its power is forgotten', async () => {
  const { w, channels, say, fill, back } = open();
  const list = channels.list('Task');
  await fill([row('a')]);
  await say('entity:updated', row('a', { version: 2, title: 'lost' }), { seq: 11, prev: 10, more: true });
  await back();
  const [{ requestId }] = w.socket.take('subscribe');
  await say('subscribed', { epoch: 'e2', seq: 10, view: 'v', recovered: true }, { requestId });
  await say('entity:updated', row('a', { version: 2, title: 'kept' }), { seq: 11, prev: 10 });
  await say('pong', { epoch: 'e2', seq: 11, view: 'v' });
  assert.equal(list.value[0].title, 'kept');
});

test('resync keeps the old rows until the new ones are complete, and removes what is gone', async () => {
  const { channels, say, fill } = open();
  const list = channels.list('Task');
  await fill([row('a'), row('b')]);
  const [a] = list.value;
  const shown = history(list);
  await say('entity:created', row('new'), { seq: 11, prev: 10 });
  await say('resync', { epoch: 'e1', seq: 20, view: 'v2', reason: 'lagged' }, { more: true });
  assert.deepEqual([list.state.value, ids(list)], ['stale', ['a', 'b', 'new']]);
  await say('snapshot', { rows: [row('a'), row('c')] }, { seq: 20, more: true });
  await say('pong', { epoch: 'e1', seq: 20, view: 'v2' });
  assert.deepEqual(shown, ['abnew', 'ac']);
  assert.equal(list.value[0], a, 'an equal row keeps its identity');
});

test('a row that came after S_1 is not removed by a snapshot that could not know it', async () => {
  const { w, channels, say } = open();
  const list = channels.list('Task');
  const [{ requestId }] = w.socket.take('subscribe');
  await say('subscribed', { epoch: 'e1', seq: 10, view: 'v', recovered: false }, { requestId, more: true });
  await say('snapshot', { rows: [row('b')] }, { seq: 10, more: true });
  await say('entity:created', row('a'), { seq: 11, prev: 10, more: true });
  await say('pong', { epoch: 'e1', seq: 11, view: 'v' });
  assert.deepEqual(ids(list), ['a', 'b']);
});

test('another epoch may count from lower numbers', async () => {
  const { w, channels, say, fill, back } = open();
  const list = channels.list('Task');
  await fill([row('a', { title: 'lost' }), row('b')], { seq: 900 });
  await back();
  await fill([row('a', { title: 'restored' })], { seq: 5, epoch: 'e2' });
  assert.deepEqual(list.value, [row('a', { title: 'restored' })]);
  await say('entity:updated', row('a', { title: 'new' }), { seq: 6, prev: 5 });
  assert.deepEqual(list.value, [row('a', { title: 'new' })]);
  await back();
  assert.deepEqual(w.socket.take('subscribe')[0].payload.since, { epoch: 'e2', seq: 6, view: 'v' });
});

test('an older word about a row is ignored, whatever its version says', async () => {
  const { channels, say, fill } = open();
  const list = channels.list('Task');
  await fill([row('a', { version: 7 })]);
  await say('entity:deleted', { id: 'a' }, { seq: 11, prev: 10 });
  await say('entity:created', row('a', { version: 1 }), { seq: 12, prev: 11 });
  assert.deepEqual(list.value, [row('a', { version: 1 })], 'made again under the same id');
  await say('entity:updated', row('a', { version: 6 }), { at: 12, more: true });
  await say('pong', { epoch: 'e1', seq: 12, view: 'v' });
  assert.deepEqual(list.value, [row('a', { version: 1 })]);
});

// Rights.

test('a change of rights: rows guarded by `at`, shown at the closing pong, whose view goes into the next resume', async () => {
  const { w, channels, say, fill, back } = open();
  const list = channels.list('Task');
  await fill([row('a'), row('b')]);
  const shown = history(list);
  await say('entity:deleted', { id: 'a' }, { at: 15, more: true });
  await say('entity:created', row('c'), { at: 15, more: true, cause: 'entered' });
  assert.deepEqual([shown, list.state.value], [[], 'stale'], 'half a difference is no state');
  await say('pong', { epoch: 'e1', seq: 15, view: 'v2' });
  assert.deepEqual([shown, list.state.value], [['bc'], 'live']);
  await say('entity:updated', row('b', { title: 'x' }), { seq: 16, prev: 15 });
  assert.deepEqual(list.value, [row('b', { title: 'x' }), row('c')]);
  assert.deepEqual(w.socket.take('subscribe'), [], 'no gap');
  await back();
  assert.deepEqual(w.socket.take('subscribe')[0].payload.since, { epoch: 'e1', seq: 16, view: 'v2' });
});

test('a difference never goes back behind a newer row, nor a row behind the difference', async () => {
  const { channels, say, fill } = open();
  const list = channels.list('Task');
  await fill([row('a'), row('b')]);
  await say('entity:updated', row('a', { title: 'at 14' }), { seq: 14, prev: 10 });
  await say('entity:updated', row('a', { title: 'at 13' }), { at: 13, more: true });
  await say('entity:deleted', { id: 'a' }, { at: 14, more: true });
  await say('entity:updated', row('b', { title: 'at 20' }), { at: 20, more: true });
  await say('pong', { epoch: 'e1', seq: 20, view: 'v2' });
  await say('entity:updated', row('b', { title: 'at 19' }), { seq: 19, prev: 14 });
  assert.deepEqual(list.value, [row('a', { title: 'at 14' }), row('b', { title: 'at 20' })]);
});

test('a socket lost in the middle of a difference: back to the old position and view, and the snapshot sets it right', async () => {
  const { w, channels, say, fill, back } = open();
  const list = channels.list('Task');
  await fill([row('a'), row('b'), row('c')]);
  const shown = history(list);
  await say('entity:deleted', { id: 'a' }, { at: 15, more: true });
  w.socket.say({ type: 'pong', payload: { epoch: 'e1', seq: 15 } });
  await back();
  assert.deepEqual([list.state.value, ids(list)], ['stale', ['a', 'b', 'c']]);
  assert.deepEqual(w.socket.inbox[1].payload.since, { epoch: 'e1', seq: 10, view: 'v' });
  await fill([row('c'), row('d')], { seq: 17 });
  assert.deepEqual([list.state.value, shown], ['live', ['cd']]);
});

test('two changes of rights, one after the other and one within the other', async () => {
  const { channels, say, fill } = open();
  const list = channels.list('Task');
  await fill([row('a')]);
  await say('entity:deleted', { id: 'a' }, { at: 11, more: true });
  await say('pong', { epoch: 'e1', seq: 11, view: 'v2' });
  await say('entity:created', row('a'), { at: 12, more: true, cause: 'entered' });
  await say('entity:created', row('b'), { at: 12, more: true, cause: 'entered' });
  await say('entity:deleted', { id: 'b' }, { at: 13, more: true });
  await say('pong', { epoch: 'e1', seq: 13, view: 'v3' });
  assert.deepEqual(ids(list), ['a']);
});

test('a resync because of rights replaces what a difference had begun', async () => {
  const { channels, say, fill } = open();
  const list = channels.list('Task');
  await fill([row('a'), row('b')]);
  const shown = history(list);
  await say('entity:deleted', { id: 'b' }, { at: 15, more: true });
  await say('resync', { epoch: 'e1', seq: 16, view: 'v2', reason: 'rights' }, { more: true });
  await say('snapshot', { rows: [row('b')] }, { seq: 16, more: true });
  await say('pong', { epoch: 'e1', seq: 16, view: 'v2' });
  assert.deepEqual(shown, ['b']);
});

test('a row comes into sight and leaves it, with and without a word why', async () => {
  const { channels, say, fill } = open();
  const list = channels.list('Task');
  await fill([row('a'), row('b')]);
  await say('entity:created', row('c', { version: 8 }), { seq: 11, prev: 10, cause: 'entered', by: 'ben', mid: 'm' });
  assert.deepEqual(ids(list), ['a', 'b', 'c']);
  await say('entity:deleted', { id: 'a' }, { seq: 12, prev: 11, cause: 'left', by: 'ben', mid: 'm2' });
  await say('entity:deleted', { id: 'b' }, { seq: 13, prev: 12 });
  assert.deepEqual(ids(list), ['c']);
  await say('entity:created', row('a', { version: 1 }), { seq: 14, prev: 13, cause: 'entered' });
  assert.deepEqual(ids(list), ['a', 'c']);
});

test('a field that became hidden leaves nothing behind', async () => {
  const { channels, say, fill } = open();
  const list = channels.list('Task');
  await fill([row('a', { title: 'x', salary: 5 }), row('b', { salary: 6 })]);
  await say('entity:updated', row('a', { title: 'x' }), { at: 11, more: true });
  await say('pong', { epoch: 'e1', seq: 11, view: 'v2' });
  await say('entity:updated', row('b'), { seq: 12, prev: 11, changed: [] });
  assert.deepEqual(list.value, [row('a', { title: 'x' }), row('b')]);
});

/** A list with one row, refused when it comes back. */
async function refusedOnReturn(payload) {
  const all = open();
  const list = all.channels.list('Task');
  await all.fill([row('a')]);
  await all.back();
  const [{ requestId }] = all.w.socket.take('subscribe');
  await all.say('error', payload, { requestId });
  return { ...all, list };
}

test('a denied channel empties its list and says why; it comes back with the rights', async () => {
  const { list, fill, back } = await refusedOnReturn({ code: 'UNKNOWN_ENTITY', message: 'no Task here' });
  assert.deepEqual([list.state.value, list.value, list.error.value.message], ['denied', [], 'no Task here']);
  await back();
  await fill([row('b')]);
  assert.deepEqual([list.state.value, ids(list), list.error.value], ['live', ['b'], null]);
});

test('a channel over the limit is an error that keeps what is shown', async () => {
  const { list } = await refusedOnReturn({ code: 'SUBSCRIPTION_LIMIT', message: '50 is the limit' });
  assert.deepEqual([list.state.value, ids(list)], ['error', ['a']]);
});

test('a subscription that ends takes its rows along and no other, and is not asked for again by itself', async () => {
  for (const payload of [
    { code: 'RULE_LIMIT', message: 'too many', retry: false },
    { code: 'QUERY_LIMIT', message: 'too many queries', retry: true, retryAfterMs: 100 },
    { code: 'UNKNOWN_ENTITY', message: 'gone', retry: false },
    { code: 'BAD_CHANNEL', message: '`status` is not a field of Task any longer: it is now called `state`', retry: false },
    { code: 'QUERY_TOO_BROAD', message: 'too many records', retry: false },
  ]) {
    const { w, rt, channels, say, fill, back } = open();
    const tasks = channels.list('Task');
    await fill([row('a')]);
    const projects = channels.list('Project');
    const [{ requestId }] = w.socket.take('subscribe');
    const project = (type, body, extra) => w.socket.say({ type, channel: 'entity:Project', payload: body, ...extra });
    project('subscribed', { epoch: 'e1', seq: 10, view: 'v', recovered: false }, { requestId });
    project('pong', { epoch: 'e1', seq: 10, view: 'v' });
    // In the middle of a unit, even.
    await say('entity:created', row('half'), { seq: 11, prev: 10, more: true });
    await say('error', payload);
    await say('entity:created', row('late'), { seq: 12, prev: 11 });
    assert.deepEqual([tasks.state.value, tasks.value, tasks.error.value.code], ['denied', [], payload.code]);
    await w.clock.run(20_000);
    assert.deepEqual(w.socket.take('subscribe'), [], payload.code);
    project('entity:created', row('p'), { seq: 11, prev: 10 });
    await settle();
    assert.deepEqual([projects.state.value, ids(projects), rt.status.value], ['live', ['p'], 'connected']);
    await back();
    const [asked] = w.socket.take('subscribe');
    assert.deepEqual([asked.channel, asked.payload], [TASK, { snapshot: true }], 'what was dropped is asked for anew');
  }
});

test('a disabled account: every list is emptied and says so, and nothing is tried again', async () => {
  const { w, rt, channels, fill, say } = open({ api: true });
  const list = channels.list('Task');
  await fill([row('a')]);
  w.respond = () => reply(200, {});
  w.socket.say({ type: 'error', payload: { code: 'ACCOUNT_DISABLED', message: 'ada is disabled', hint: 'Ask.' } });
  w.socket.cut(4403, 'connection refused');
  await settle();
  assert.deepEqual([list.state.value, list.value], ['denied', []]);
  assert.equal(list.error.value.message, 'ada is disabled');
  assert.deepEqual(
    [rt.status.value, rt.detail.value.code, rt.detail.value.reason, rt.detail.value.refusal],
    ['offline', 4403, 'ada is disabled', 'ACCOUNT_DISABLED'],
  );
  await w.clock.run(600_000);
  assert.deepEqual([w.sockets.length, w.requests.length], [1, 0]);
  // Until a caller asks for it.
  rt.connect();
  w.socket.greet().say({ type: 'pong', payload: {} });
  assert.equal(rt.detail.value.refusal, null);
  await fill([row('b')]);
  assert.deepEqual([list.state.value, ids(list), list.error.value], ['live', ['b'], null]);
  await say('entity:created', row('c'), { seq: 11, prev: 10 });
  assert.deepEqual(ids(list), ['b', 'c']);
});

test('while polling, a disabled account ends it for every channel', async () => {
  const { w, channels, fill } = open({ api: true });
  const list = channels.list('Task');
  await fill([row('a')]);
  w.respond = () => reply(403, { code: 'ACCOUNT_DISABLED', detail: 'ada is disabled' });
  w.socket.cut();
  await w.clock.run(3000);
  assert.deepEqual([list.state.value, list.value, list.error.value.message], ['denied', [], 'ada is disabled']);
  await w.clock.run(60_000);
  assert.equal(w.requests.length, 1);
});

test('while polling, neither a closed entity nor a wrong question keeps another list from being read', async () => {
  const w = world();
  w.env.WebSocket = class {
    constructor() {
      throw new Error('blocked');
    }
  };
  const rt = new RealtimeClient('/ws', { env: w.env }).connect();
  const channels = new ChannelSubscriber(rt, { env: w.env, api: new Api('/api', { env: w.env }) });
  const entities = ['Secret', 'Task'].map((name) => ({ name, plural: `${name.toLowerCase()}s`, fields: [] }));
  w.respond = ({ pathname, searchParams }) => {
    if (pathname === '/api/schema') return reply(200, { entities });
    if (pathname === '/api/secrets') return reply(404, { code: 'UNKNOWN_ENTITY', detail: 'There is no such entity.' });
    if (searchParams.has('nope')) return reply(400, { code: 'BAD_QUERY', detail: 'nope is not a field of Task' });
    const channel = searchParams.get('channel');
    if (channel) return reply(200, { epoch: 'e1', seq: 5, channels: [{ channel, view: 'v', recovered: true }], events: [] });
    return reply(200, { items: [row('a')], next: null, epoch: 'e1', seq: 5, view: 'v' });
  };
  const secrets = channels.list('Secret');
  const wrong = channels.list('Task', { where: { nope: 1 } });
  const tasks = channels.list('Task');
  await w.clock.run(3000);
  // One read after the other takes its turns.
  await settle();
  await settle();
  assert.deepEqual([secrets.state.value, secrets.error.value.message], ['denied', 'There is no such entity.']);
  assert.deepEqual([wrong.state.value, wrong.error.value.message], ['error', 'nope is not a field of Task']);
  assert.deepEqual([tasks.state.value, ids(tasks)], ['live', ['a']]);
});

// Live queries.

test('a live query: a channel of its own with rows of its own; what leaves it goes when the server says so', async () => {
  const { w, channels } = open();
  const open3 = channels.list('Task', { where: { status: 'open', priority: { gte: 3 } } });
  const same = channels.list('Task', { where: { priority: { gte: 3 }, status: { eq: 'open' } }, sort: '-id' });
  const all = channels.list('Task');
  const asked = w.socket.take('subscribe');
  assert.deepEqual(
    asked.map(({ channel }) => channel),
    ['entity:Task?priority[gte]=3&status=open', TASK],
  );
  const say = (at, type, payload, extra) => w.socket.say({ type, channel: asked[at].channel, payload, ...extra });
  const rows = [[row('a', { status: 'open' })], [row('a', { status: 'open' }), row('b', { status: 'done' })]];
  for (const [at, { requestId }] of asked.entries()) {
    say(at, 'subscribed', { epoch: 'e1', seq: 10, view: 'v', recovered: false }, { requestId, more: true });
    say(at, 'snapshot', { rows: rows[at] }, { seq: 10, more: true });
    say(at, 'pong', { epoch: 'e1', seq: 10, view: 'v' });
  }
  await settle();
  assert.deepEqual([ids(open3), ids(same), ids(all)], [['a'], ['a'], ['a', 'b']]);
  // The same change, first as the whole entity hears of it.
  const shown = history(open3);
  say(1, 'entity:updated', row('a', { status: 'done', version: 2 }), { seq: 11, prev: 10, mid: 'm' });
  await settle();
  assert.deepEqual([shown, open3.value[0].status], [[], 'open'], 'membership follows the server, and nothing flickers');
  say(0, 'entity:deleted', { id: 'a' }, { seq: 11, prev: 10, mid: 'm', cause: 'left' });
  say(0, 'entity:created', row('b', { status: 'open' }), { seq: 12, prev: 11, cause: 'entered' });
  await settle();
  assert.deepEqual([ids(open3), ids(same), ids(all)], [['b'], ['b'], ['a', 'b']]);
});

test('a live query is polled and read under its own text', async () => {
  const w = world();
  w.env.WebSocket = class {
    constructor() {
      throw new Error('blocked');
    }
  };
  const rt = new RealtimeClient('/ws', { env: w.env }).connect();
  const channels = new ChannelSubscriber(rt, { env: w.env, api: new Api('/api', { env: w.env }) });
  w.respond = ({ pathname, searchParams }) => {
    if (pathname === '/api/schema') return reply(200, schema);
    const channel = searchParams.get('channel');
    if (channel) return reply(200, { epoch: 'e1', seq: 5, channels: [{ channel, view: 'v', recovered: true }], events: [] });
    return reply(200, { items: [row('a,b')], next: null, epoch: 'e1', seq: 5, view: 'v' });
  };
  const list = channels.list('Task', { where: { id: { in: ['c', 'a,b'] } } });
  await w.clock.run(3000);
  assert.deepEqual(ids(list), ['a,b']);
  const [, read, poll] = w.requests.map(({ url }) => url);
  assert.equal(read.searchParams.get('id[in]'), 'c,a\\,b');
  assert.equal(poll.searchParams.get('channel'), 'entity:Task?id[in]=a%5C%2Cb%2Cc');
});

test('lists of one entity share a subscription and rows, each with its own order and limit', async () => {
  const { w, channels, fill } = open({ api: true });
  const newest = channels.list('Task', { sort: '-n', limit: 2 });
  await fill([row('a', { n: 1 }), row('b', { n: 3 }), row('c', { n: 2 })]);
  const all = channels.list('Task');
  // Two rows were enough for the first list.
  assert.deepEqual(w.socket.inbox.filter(({ type }) => type === 'subscribe').map(({ payload }) => payload), [{ snapshot: true }]);
  await fill([row('a', { n: 1 }), row('b', { n: 3 }), row('c', { n: 2 })]);
  assert.deepEqual([ids(newest), ids(all), all.state.value], [['b', 'c'], ['a', 'b', 'c'], 'live']);
  assert.equal(newest.value[0], all.value[1]);
});

test('rows linger a second after the last list closed, then the channel is left', async () => {
  const { w, channels, say, fill } = open();
  const first = channels.list('Task');
  await fill([row('a')]);
  first.close();
  first.close();
  await w.clock.run(900);
  await say('entity:created', row('b'), { seq: 11, prev: 10 });
  const second = channels.list('Task');
  assert.deepEqual([second.state.value, ids(second)], ['live', ['a', 'b']]);
  assert.deepEqual(ids(first), ['a'], 'a closed list stands still');
  second.close();
  await w.clock.run(1000);
  assert.equal(w.socket.take('unsubscribe').length, 1);
  const third = channels.list('Task');
  assert.equal(third.state.value, 'loading');
  assert.deepEqual(w.socket.take('subscribe')[0].payload, { snapshot: true });
});

test('a record is undefined while loading, null when there is none, and follows', async () => {
  const { w, channels } = open();
  const record = channels.record('Task', 'a/b');
  const channel = 'entity:Task:a%2Fb';
  const [ask] = w.socket.take('subscribe');
  assert.equal(ask.channel, channel);
  assert.equal(record.value, undefined);
  const say = async (type, payload, extra) => (w.socket.say({ type, channel, payload, ...extra }), settle());
  await say('subscribed', { epoch: 'e1', seq: 1, view: 'v', recovered: false }, { requestId: ask.requestId });
  await say('pong', { epoch: 'e1', seq: 1, view: 'v' });
  assert.equal(record.value, null);
  await say('entity:created', row('a/b'), { seq: 2, prev: 1 });
  assert.deepEqual(record.value, row('a/b'));
  await say('entity:deleted', { id: 'a/b' }, { seq: 3, prev: 2 });
  assert.equal(record.value, null);
});

test('a new array for each change, the same objects for rows that did not change, nothing for no change', async () => {
  const { channels, say, fill } = open();
  const mine = signal([]);
  const list = channels.list('Task', { into: mine });
  await fill([row('a'), row('b')]);
  const before = list.value;
  await say('entity:updated', row('b', { version: 2 }), { seq: 11, prev: 10 });
  assert.notEqual(list.value, before);
  assert.equal(list.value[0], before[0]);
  assert.equal(mine.value, list.value);
  const after = list.value;
  await say('pong', { epoch: 'e1', seq: 11, view: 'v' });
  assert.equal(list.value, after);
});

test('records with the names of prototypes are data like any other', async () => {
  const { w, channels, fill } = open();
  const list = channels.list('Task');
  const hostile = JSON.parse(
    '[{"id":"__proto__","__proto__":{"polluted":1}},{"id":"constructor","toString":"x"},{"id":"hasOwnProperty"}]',
  );
  await fill(hostile);
  assert.equal({}.polluted, undefined);
  assert.deepEqual(ids(list), ['__proto__', 'constructor', 'hasOwnProperty']);
  w.socket.say('{"type":"entity:deleted","channel":"entity:Task","seq":11,"prev":10,"payload":{"id":"__proto__"}}');
  w.socket.say('{"type":"entity:created","channel":"__proto__","seq":12,"prev":11,"payload":{"id":"x"}}');
  await settle();
  assert.deepEqual(ids(list), ['constructor', 'hasOwnProperty']);
});

test('the order: nulls first, text by code points, equal ones by id in the direction of the last field', () => {
  const rows = [
    row('1', { a: 'b', n: 1 }),
    row('2', { a: null, n: 2 }),
    row('3', { a: 'B', n: 3 }),
    row('4', { a: 'b', n: 1 }),
    row('5', { a: '\u{1f980}', n: 3 }),
    row('6', { a: '\uffff', n: 3 }),
  ];
  const sorted = (sort) =>
    [...rows]
      .sort(comparator(sort))
      .map(({ id }) => id)
      .join('');
  for (const [sort, order] of [
    ['a', '231465'],
    ['-a', '564132'],
    ['a,-id', '234165'],
    ['-n,a', '365214'],
    ['n,-a', '412563'],
    [['-n', 'a'], '365214'],
    ['', '123456'],
    ['-id', '654321'],
  ])
    assert.equal(sorted(sort), order, String(sort));
});

test('an order that the server would refuse is refused', async () => {
  const eleven = Array.from({ length: 11 }, (_, i) => `f${i}`);
  const { channels, fill, say } = open();
  for (const sort of ['a,', ',', '-', '--a', '+a', 'a b', 'a,a', 'a,-a', 'a.b', eleven.join(), eleven, undefined + ',', ' '])
    assert.throws(() => channels.list('Task', { sort }), { name: 'TypeError', message: /sorted by/ }, String(sort));
  for (const limit of [0, -1, 1.5, Number.NaN, '5', null, -Infinity, {}, Symbol('5'), 5n])
    assert.throws(() => channels.list('Task', { limit }), { name: 'TypeError', message: /`limit`/ });
  for (const where of [{ at: new Date('no') }, { a: undefined }, { a: {} }])
    assert.throws(() => channels.list('Task', { where }), { name: 'TypeError', message: /cannot be asked/ });
  // What the fields are is known with the rows.
  const lists = ['data', 'secret', 'nope', 'title,data', '__proto__'].map((sort) => channels.list('Task', { sort }));
  const good = channels.list('Task', { sort: '-title' });
  await fill([row('a', { title: 'a', data: {}, secret: 1 }), row('b', { title: 'b', data: null })]);
  for (const list of lists) {
    assert.deepEqual([list.state.value, list.error.value.code, list.value], ['error', 'BAD_QUERY', []]);
    assert.match(list.error.value.message, /cannot be sorted by/);
  }
  assert.deepEqual([good.state.value, good.error.value, ids(good)], ['live', null, ['b', 'a']]);
  await say('entity:updated', row('a', { title: 'a', data: 1, secret: 1 }), { seq: 11, prev: 10 });
  assert.deepEqual([lists[0].state.value, lists[0].error.value, ids(lists[0])], ['live', null, ['b', 'a']]);
});

test('a question that is changed after it was asked stays what it was', async () => {
  const w = world();
  const rt = new RealtimeClient('/ws', { env: w.env }).connect();
  const channels = new ChannelSubscriber(rt, { env: w.env, api: new Api('/api', { env: w.env }) });
  w.respond = ({ pathname }) =>
    pathname === '/api/schema'
      ? reply(200, schema)
      : reply(200, { items: [], next: null, epoch: 'e1', seq: 5, view: 'v', channels: [], events: [] });
  const where = { id: { in: ['a'] }, at: { gte: new Date(0) } };
  channels.list('Task', { where });
  where.id.in.push('b');
  where.at.gte.setTime(1);
  await w.clock.run(3000);
  const read = w.requests.find(({ url }) => url.pathname === '/api/tasks').url;
  assert.deepEqual(
    [...read.searchParams].slice(0, 2),
    [
      ['id[in]', 'a'],
      ['at[gte]', '1970-01-01T00:00:00.000Z'],
    ],
  );
});

// Without a socket.

const schema = {
  entities: [
    { name: 'Task', plural: 'tasks', fields: [] },
    { name: 'Project', plural: 'projects', fields: [] },
  ],
};

test('without a socket, polling starts after three seconds and ends when the channels came through', async () => {
  const { w, rt, channels, fill } = open({ api: true });
  const list = channels.list('Task');
  await fill([row('a')]);
  const answers = [
    {
      epoch: 'e1',
      seq: 12,
      channels: [{ channel: TASK, view: 'v', recovered: true }],
      errors: [],
      hasMore: false,
      events: [
        { type: 'entity:created', channel: TASK, seq: 11, prev: 10, more: true, payload: row('b') },
        { type: 'entity:deleted', channel: TASK, seq: 12, prev: 11, payload: { id: 'a' } },
      ],
    },
    {
      epoch: 'e1',
      seq: 12,
      channels: [{ channel: TASK, view: 'v', recovered: true }],
      errors: [],
      hasMore: false,
      events: [],
    },
  ];
  w.respond = () => reply(200, answers.length > 1 ? answers.shift() : answers[0]);
  w.env.WebSocket = class {
    constructor() {
      throw new Error('blocked');
    }
  };
  const shown = history(list);
  const statuses = [];
  rt.status.listen((status) => statuses.push(status));
  w.socket.cut();
  await w.clock.run(2999);
  assert.equal(w.requests.length, 0);
  await w.clock.run(1);
  const [{ url }] = w.requests;
  assert.equal(url.pathname, '/api/changes');
  assert.deepEqual(
    [...url.searchParams],
    [
      ['since', 'e1:10'],
      ['channel', TASK],
      ['view', 'v'],
    ],
  );
  assert.deepEqual([shown, list.state.value, rt.status.value], [['b'], 'live', 'polling']);
  // Quiet polls come ever more rarely: 3, 4.5, 6.75 s...
  await w.clock.run(3000);
  assert.equal(w.requests.length, 2);
  await w.clock.run(4499);
  assert.equal(w.requests.length, 2);
  await w.clock.run(1);
  assert.equal(w.requests.length, 3);
});

test('the socket is back: polling goes on until it is trusted and every channel is live', async () => {
  const { w, rt, channels, fill } = open({ api: true });
  channels.list('Task');
  await fill([row('a')]);
  w.respond = () =>
    reply(200, {
      epoch: 'e1',
      seq: 10,
      channels: [{ channel: TASK, view: 'v', recovered: true }],
      errors: [],
      events: [],
    });
  w.socket.cut();
  await w.clock.run(2000);
  const socket = w.socket;
  await w.clock.run(2000);
  assert.equal(rt.status.value, 'polling');
  socket.greet();
  assert.equal(rt.status.value, 'connected');
  const [{ requestId, payload }] = socket.take('subscribe');
  assert.equal(payload.since.seq, 10);
  socket.say({ type: 'pong', payload: {} });
  socket.say({
    type: 'subscribed',
    channel: TASK,
    requestId,
    payload: { epoch: 'e1', seq: 10, view: 'v', recovered: true },
  });
  socket.say({ type: 'pong', channel: TASK, payload: { epoch: 'e1', seq: 10, view: 'v' } });
  const polls = w.requests.length;
  socket.cut();
  await w.clock.run(2900);
  assert.equal(w.requests.length, polls, 'the next bridge begins anew');
});

test('polling a channel that never had rows, or lost its position, reads the list page by page', async () => {
  const w = world();
  w.env.WebSocket = class {
    constructor() {
      throw new Error('blocked');
    }
  };
  const rt = new RealtimeClient('/ws?as=ada', { env: w.env }).connect();
  const channels = new ChannelSubscriber(rt, { env: w.env, api: new Api('/api', { env: w.env, as: 'ada' }) });
  let epoch = 'e1';
  let rows = [[row('a')], [row('b'), row('c')]];
  w.respond = ({ pathname, searchParams }) => {
    if (pathname === '/api/schema') return reply(200, schema);
    if (pathname === '/api/tasks') {
      const page = Number(searchParams.get('cursor') ?? 0);
      return reply(200, {
        items: rows[page],
        next: page + 1 < rows.length ? String(page + 1) : null,
        epoch,
        seq: 20 + page,
        view: 'v',
      });
    }
    const recovered = searchParams.get('since') === `${epoch}:20`;
    const events = recovered
      ? [{ type: 'entity:deleted', channel: TASK, seq: 21, prev: 20, payload: { id: 'a' } }]
      : [];
    return reply(200, { epoch, seq: 21, channels: [{ channel: TASK, view: 'v', recovered }], errors: [], events });
  };
  const list = channels.list('Task');
  const shown = history(list);
  await w.clock.run(3000);
  assert.deepEqual(shown.slice(-1), ['bc']);
  assert.ok(w.requests.every(({ url }) => url.searchParams.get('as') === 'ada'));
  epoch = 'e2';
  rows = [[row('b'), row('d')]];
  await w.clock.run(10_000);
  assert.deepEqual(shown.slice(-1), ['bd']);
  assert.ok(!shown.includes(''), 'never empty in between');
});

test('polls that fail are repeated ever more rarely, as the server asks, and say so', async () => {
  const { w, rt, channels, fill } = open({ api: true });
  channels.list('Task');
  await fill([row('a')]);
  w.env.WebSocket = class {
    constructor() {
      throw new Error('blocked');
    }
  };
  w.respond = () => reply(503, {}, { 'Retry-After': '20' });
  w.socket.cut();
  await w.clock.run(3000);
  assert.equal(w.requests.length, 1);
  await w.clock.run(19_999);
  assert.equal(w.requests.length, 1);
  await w.clock.run(1);
  assert.equal(w.requests.length, 2);
  assert.notEqual(rt.status.value, 'polling');
});

test('a poll or a list that is answered after the socket took over changes nothing', async () => {
  const { w, rt, channels, say, fill } = open({ api: true });
  const list = channels.list('Task');
  await fill([row('a'), row('b')]);
  const held = [];
  w.respond = ({ pathname }) =>
    pathname === '/api/schema' ? reply(200, schema) : new Promise((resolve) => held.push({ pathname, resolve }));
  const away = async () => {
    w.socket.cut();
    await w.clock.run(1300);
    const socket = w.socket;
    await w.clock.run(2000);
    socket.greet().say({ type: 'pong', payload: {} });
    return socket.take('subscribe')[0];
  };
  // The poll was asked at 10; meanwhile the socket says that b was deleted at 11.
  let ask = await away();
  await say('subscribed', { epoch: 'e1', seq: 10, view: 'v', recovered: true }, { requestId: ask.requestId });
  await say('entity:deleted', { id: 'b' }, { seq: 11, prev: 10 });
  await say('pong', { epoch: 'e1', seq: 11, view: 'v' });
  assert.equal(held[0].pathname, '/api/changes');
  const late = { type: 'entity:updated', channel: TASK, seq: 11, prev: 10, payload: row('b') };
  held[0].resolve(
    reply(200, { epoch: 'e1', seq: 11, channels: [{ channel: TASK, view: 'v', recovered: true }], events: [late] }),
  );
  await settle();
  assert.deepEqual(ids(list), ['a']);
  // The same with a list that was read because the position was lost.
  held.length = 0;
  ask = await away();
  held[0].resolve(
    reply(200, { epoch: 'e1', seq: 11, channels: [{ channel: TASK, view: 'v', recovered: false }], events: [] }),
  );
  await settle();
  assert.equal(list.state.value, 'stale', 'the socket was asked and has not answered');
  await say('subscribed', { epoch: 'e1', seq: 11, view: 'v', recovered: true }, { requestId: ask.requestId });
  await say('pong', { epoch: 'e1', seq: 11, view: 'v' });
  assert.deepEqual([list.state.value, ids(list)], ['live', ['a']], 'the position was not forgotten under the socket');
  // And with good news, while the socket's answer is on its way.
  held.length = 0;
  ask = await away();
  held[0].resolve(
    reply(200, { epoch: 'e1', seq: 11, channels: [{ channel: TASK, view: 'v', recovered: true }], events: [] }),
  );
  await settle();
  assert.equal(list.state.value, 'stale');
  assert.equal(rt.status.value, 'connected');
});

test('a list read while polling is not used once the socket sends the rows itself', async () => {
  const w = world();
  let held;
  w.respond = ({ pathname }) =>
    pathname === '/api/schema' ? reply(200, schema) : new Promise((resolve) => (held = resolve));
  const rt = new RealtimeClient('/ws', { env: w.env }).connect();
  const list = new ChannelSubscriber(rt, { env: w.env, api: new Api('/api', { env: w.env }) }).list('Task');
  await w.clock.run(3000);
  w.socket.greet();
  const { requestId } = w.socket.take('subscribe')[0];
  const say = async (type, payload, extra) => (w.socket.say({ type, channel: TASK, payload, ...extra }), settle());
  await say('subscribed', { epoch: 'e1', seq: 10, view: 'v', recovered: false }, { requestId, more: true });
  await say('snapshot', { rows: [row('a')] }, { seq: 10, more: true });
  await say('pong', { epoch: 'e1', seq: 10, view: 'v' });
  held(reply(200, { items: [row('a'), row('deleted')], next: null, epoch: 'e1', seq: 9, view: 'v' }));
  await settle();
  assert.deepEqual(ids(list), ['a']);
});
