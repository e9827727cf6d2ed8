/**
 * A small server for the property test: a log, units, epochs, snapshots in pages, resumes, polling, and one reader whose rights
 * change. It follows SEMANTICS P1 to P9 and R1 to R5 and misbehaves only as networks and machines do, by the dice that it is
 * given.
 */
import { reply } from './world.js';

export const CHANNEL = 'entity:Task';
const PAGE = 3;

export class Server {
  /** Changes, and changes of rights, which have a `sight` and nothing else. */
  log = [];
  /** What the reader may see: rows of these teams and of none; the field `secret` or not. */
  sight = { teams: [0, 1], secret: true };
  /** The reader may not know of the entity; `open` ends that. */
  closed = false;
  /** The states that the reader's rows have ever had, as texts. */
  states = new Set();
  /** Rows that every reader must see at any time, and of which each unit changes both. */
  twins = ['twin-1', 'twin-2'];
  rows = new Map();
  seq = 0;
  epochs = [{ name: 'e1', from: 0 }];
  /** Seq of the last entry that was trimmed. */
  floor = 0;
  /** Whether sockets get through, and whether anything does. */
  sockets = true;
  up = true;
  /** Whether a subscription may ask for the first rows in an order; without, it gets the first by id. */
  windows = true;
  /** How many records there may be, beside the twins. */
  ids = 8;
  /** How often history was undone; versions may go back then. */
  restores = 0;
  stats = { cuts: 0, rights: 0, resumes: 0, snapshots: 0, resyncs: 0, polls: 0, drops: 0, duplicates: 0, rebinds: 0, lost: 0, entered: 0 };
  #sessions = new Set();
  #next = 1;
  #unit = 0;

  constructor(world, dice) {
    this.world = world;
    this.dice = dice;
    this.commit([
      { set: 'twin-1', v: 0 },
      { set: 'twin-2', v: 0 },
    ]);
    world.onSocket = (socket) => this.#accept(socket);
    world.respond = (url) => this.#respond(url);
  }

  get epoch() {
    return this.epochs.at(-1).name;
  }

  // Writing.

  /** One unit. `{set: id, ...fields}` creates or updates, `{delete: id}` deletes. */
  commit(ops) {
    const entries = [];
    for (const op of ops) {
      const id = op.set ?? op.delete;
      const before = this.rows.get(id);
      if (op.delete !== undefined && !before) continue;
      const { set, delete: _, ...fields } = op;
      const version = (before?.version ?? this.#lastVersion(id)) + 1;
      const row = set === undefined ? null : { ...before, id, ...fields, version };
      if (row) this.rows.set(id, row);
      else this.rows.delete(id);
      entries.push({ seq: ++this.seq, unit: this.#unit, id, before: before ?? null, row, sight: null, last: false });
    }
    this.#unit++;
    if (entries.length === 0) return;
    entries.at(-1).last = true;
    this.log.push(...entries);
    this.states.add(JSON.stringify(this.shown()));
    for (const session of this.#sessions) session.fanOut(entries);
  }

  /** A unit of its own that gives the reader another sight from its seq on. */
  changeRights() {
    this.stats.rights++;
    const before = this.sight;
    const teams = [0, 1, 2].filter(() => this.dice.chance(0.5));
    this.sight = { teams, secret: this.dice.chance(0.5) };
    this.log.push({ seq: ++this.seq, unit: this.#unit++, id: '', before: null, row: null, sight: this.sight, last: true });
    this.states.add(JSON.stringify(this.shown()));
    for (const session of this.#sessions) session.rebind(before);
  }

  /** The reader is given the right to read: a rights entry like any other. */
  open() {
    if (!this.closed) return;
    this.closed = false;
    this.log.push({ seq: ++this.seq, unit: this.#unit++, id: '', before: null, row: null, sight: this.sight, last: true });
    this.states.add(JSON.stringify(this.shown()));
    for (const session of this.#sessions) session.tellRights();
  }

  /** What the reader may see, in the order of ids. */
  shown() {
    const rows = [...this.rows.values()].map((row) => see(row, this.sight)).filter(Boolean);
    return rows.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  get view() {
    return `${this.sight.teams.join('')}${this.sight.secret}`;
  }

  /** A deleted id that is made again goes on with its version. */
  #lastVersion(id) {
    return this.log.findLast((entry) => entry.id === id && entry.row)?.row.version ?? 0;
  }

  random() {
    const id = () => `t${this.dice.int(this.ids)}`;
    const one = () => {
      if (this.dice.chance(0.3)) return { delete: id() };
      return { set: id(), v: this.#next++, team: this.dice.int(3), secret: this.dice.int(3) };
    };
    if (this.dice.chance(0.3)) {
      const v = this.#next++;
      this.commit([{ set: 'twin-1', v }, one(), { set: 'twin-2', v }]);
    } else this.commit(Array.from({ length: 1 + this.dice.int(3) }, one));
  }

  // Trouble.

  cutAll(code) {
    if (this.#sessions.size > 0) this.stats.cuts++;
    for (const session of [...this.#sessions]) session.cut(code);
  }

  restart({ lose = 0 } = {}) {
    this.cutAll(1012);
    if (lose > 0) this.#restore(lose);
    this.epochs.push({ name: `e${this.epochs.length + 1}`, from: this.seq });
  }

  /** The end of history is gone, as after a restore or a power cut without fsync. */
  #restore(lose) {
    const keep = this.log.slice(0, Math.max(2, this.log.length - lose));
    while (!keep.at(-1).last) keep.pop();
    this.restores++;
    this.log = keep;
    this.seq = keep.at(-1).seq;
    this.floor = Math.min(this.floor, this.seq);
    this.epochs = this.epochs.map((epoch) => ({ ...epoch, from: Math.min(epoch.from, this.seq) }));
    this.rows = new Map();
    this.sight = keep.findLast(({ sight }) => sight)?.sight ?? { teams: [0, 1], secret: true };
    for (const { id, row } of keep) row ? this.rows.set(id, row) : this.rows.delete(id);
  }

  trim() {
    this.floor =
      this.log.findLast((entry) => entry.last && entry.seq <= this.seq - this.dice.int(10))?.seq ?? this.floor;
  }

  resync() {
    for (const session of this.#sessions) session.resync();
  }

  beat() {
    for (const session of this.#sessions) session.pong();
  }

  /** The network swallows the next event, though TCP would not: what a fault in the server looks like. */
  /** From now on no event gets lost: what was lost before shows with the next one. */
  calm() {
    for (const session of this.#sessions) session.dropNext = false;
  }

  dropNext() {
    for (const session of this.#sessions) session.dropNext = true;
  }

  repeatOne() {
    for (const session of this.#sessions) session.repeatOne();
  }

  // Reading.

  /** SEMANTICS P5 and P7. */
  recovers(since) {
    if (since?.view !== this.view || this.log.some(({ seq, sight }) => sight && seq > since.seq)) return false;
    const at = this.epochs.findIndex(({ name }) => name === since?.epoch);
    if (at < 0 || since.seq < this.floor || since.seq > this.seq) return false;
    const next = this.epochs[at + 1];
    return !next || since.seq <= next.from;
  }

  /** Events in (since, to] with the envelope's `prev`. No change of rights lies between. */
  events(since, to = this.seq, more) {
    return this.frames(
      this.log.filter(({ seq }) => seq > since && seq <= to),
      since,
      more,
    );
  }

  /** What the reader hears of these changes. */
  frames(entries, prev, more = false) {
    const heard = entries.flatMap(({ seq, unit, id, before, row }) => {
      const event = this.#event(id, see(before, this.sight), see(row, this.sight), before !== null, row !== null);
      return event ? [{ channel: CHANNEL, seq, unit, ...event }] : [];
    });
    return heard.map(({ unit, ...event }, at) => {
      const frame = { ...event, prev, ...(more || heard[at + 1]?.unit === unit ? { more: true } : {}) };
      prev = event.seq;
      return frame;
    });
  }

  /** `existed` and `exists`: of the record itself, whatever the reader sees of it. */
  #event(id, before, after, existed, exists) {
    if (after && before) return { type: 'entity:updated', payload: after };
    if (after) {
      if (existed) this.stats.entered++;
      return { type: 'entity:created', payload: after, ...(existed ? { cause: 'entered' } : {}) };
    }
    if (before && exists) this.stats.lost++;
    return before ? { type: 'entity:deleted', payload: { id } } : null;
  }

  /** What a change of rights makes of the rows: SEMANTICS R3. */
  difference(from) {
    return [...this.rows.values()].flatMap((row) => {
      const [before, after] = [see(row, from), see(row, this.sight)];
      if (JSON.stringify(before) === JSON.stringify(after)) return [];
      return [{ channel: CHANNEL, at: this.seq, more: true, ...this.#event(row.id, before, after, true, true) }];
    });
  }

  /** Whether the reader was ever shown exactly this row. */
  stands(row) {
    const text = JSON.stringify(row);
    return [...this.states].some((state) => state.includes(text));
  }

  /** What the reader may see, in an order of their own. */
  first(sort = 'id') {
    const [, minus, field] = /^(-?)(.*)$/.exec(sort);
    const sign = minus ? -1 : 1;
    return this.shown().sort((a, b) => sign * (a[field] < b[field] ? -1 : a[field] > b[field] ? 1 : a.id < b.id ? -1 : 1));
  }

  /** A page behind a row, which need not be there any more. */
  page(cursor, sort = 'id', most = PAGE) {
    const [, minus, field] = /^(-?)(.*)$/.exec(sort);
    const from = cursor && JSON.parse(cursor);
    const behind = (row) => {
      if (!from) return true;
      if (row[field] === from[field]) return minus ? row.id < from.id : row.id > from.id;
      return minus ? row[field] < from[field] : row[field] > from[field];
    };
    const found = this.first(sort).filter(behind);
    const rows = found.slice(0, Math.min(PAGE, most));
    return { rows, next: found.length > rows.length ? JSON.stringify(rows.at(-1)) : null, seq: this.seq };
  }

  #accept(socket) {
    const session = new Session(this, socket);
    this.world.clock.setTimeout(() => {
      if (!this.up || !this.sockets) return socket.cut(1006);
      if (socket.closedWith !== null) return;
      this.#sessions.add(session);
      session.start();
    }, this.dice.int(200));
  }

  /** The other end is gone without a word. */
  forget(socket) {
    for (const session of this.#sessions) if (session.socket === socket) this.#sessions.delete(session);
  }

  /** Connections that live. */
  get connections() {
    return this.#sessions.size;
  }

  leave(session) {
    this.#sessions.delete(session);
  }

  async #respond(url) {
    await new Promise((resolve) => this.world.clock.setTimeout(resolve, 1 + this.dice.int(100)));
    if (!this.up) throw new TypeError('fetch failed');
    if (url.pathname === '/api/schema')
      return reply(200, { entities: [{ name: 'Task', plural: 'tasks', fields: [] }] });
    if (url.pathname === '/api/tasks') {
      if (this.closed) return reply(404, { code: 'UNKNOWN_ENTITY', detail: 'there is no such entity' });
      const get = (name) => url.searchParams.get(name);
      const { rows, next, seq } = this.page(get('cursor'), get('sort') ?? undefined, Number(get('limit')));
      return reply(200, { items: rows, next, epoch: this.epoch, seq, view: this.view });
    }
    this.stats.polls++;
    if (this.closed) {
      const errors = url.searchParams.getAll('channel').map((channel) => ({ channel, code: 'UNKNOWN_ENTITY' }));
      return reply(200, { epoch: this.epoch, seq: this.seq, channels: [], events: [], errors, hasMore: false });
    }
    const [epoch, seq] = url.searchParams.get('since')?.split(':') ?? [];
    const recovered = this.recovers({ epoch, seq: Number(seq), view: url.searchParams.get('view') });
    return reply(200, {
      epoch: this.epoch,
      seq: this.seq,
      channels: url.searchParams.getAll('channel').map((channel) => ({ channel, view: this.view, recovered })),
      events: recovered ? this.events(Number(seq)) : [],
      errors: [],
      hasMore: false,
    });
  }
}

/** The row as the reader sees it, or null. */
function see(row, { teams, secret }) {
  if (!row || (row.team !== undefined && !teams.includes(row.team))) return null;
  const { secret: hidden, ...rest } = row;
  return secret && hidden !== undefined ? { ...rest, secret: hidden } : rest;
}

/** One socket's server end: what is sent arrives later, in order, unless the socket is cut before. */
class Session {
  dropNext = false;
  /** A channel was refused, and other rights have not been told of since. */
  #waits = false;
  #queue = [];
  /** The last few events, to repeat one of them. */
  #sent = [];
  /** The group's last seq, while the channel is attached. */
  #prev = null;
  /** The rows that are enough. */
  #part = {};
  /** Whether the pages of a snapshot are under way. */
  #paging = false;
  /** A lost event not yet followed by another: no pong may pass over it. */
  #hole = false;
  #arrives = 0;

  constructor(server, socket) {
    this.server = server;
    this.socket = socket;
    socket.onClientFrame = (frame) => this.#later(() => this.#take(frame));
  }

  start() {
    this.socket.onopen?.({});
    this.#send({
      type: 'connected',
      payload: { connectionId: 'c', userId: null, epoch: this.server.epoch, seq: this.server.seq },
    });
  }

  cut(code = 1006) {
    this.server.leave(this);
    this.#queue = null;
    this.#prev = null;
    this.socket.cut(code);
  }

  fanOut(entries) {
    if (this.#prev === null) return;
    for (const frame of this.server.frames(entries, this.#prev)) {
      this.#prev = frame.seq;
      if (this.dropNext) {
        this.dropNext = false;
        this.#hole = true;
        this.server.stats.drops++;
        continue;
      }
      this.#hole = false;
      this.#sent = [...this.#sent.slice(-9), frame];
      this.#send(frame);
    }
  }

  repeatOne() {
    if (this.#prev === null || this.#sent.length === 0) return;
    this.server.stats.duplicates++;
    this.#send(this.#sent[this.server.dice.int(this.#sent.length)]);
  }

  resync(reason = 'lagged') {
    if (this.#prev === null && !this.#paging) return;
    this.server.stats.resyncs++;
    this.#prev = null;
    this.#hole = false;
    const { epoch, seq, view } = this.server;
    this.#send({ type: 'resync', channel: CHANNEL, payload: { epoch, seq, view, reason }, more: true });
    this.#pages(seq);
  }

  /** A live channel gets the difference, one whose rows are on their way gets them anew. */
  rebind(from) {
    // A lost event may lie before: what the network swallowed is no part of the difference.
    const always = this.#part.limit !== undefined && this.server.windows;
    if (this.#prev === null && !this.#paging) return;
    if (always || this.#paging || this.#hole || this.server.dice.chance(0.2)) return this.resync('rights');
    if (this.#prev === null) return;
    this.server.stats.rebinds++;
    for (const frame of this.server.difference(from)) this.#send(frame);
    this.#close();
  }

  tellRights() {
    if (this.#waits) this.#send({ type: 'rights:changed', payload: {} });
    this.#waits = false;
  }

  pong(requestId) {
    if (this.#hole && requestId === undefined) return;
    const { epoch, seq } = this.server;
    this.#send({ type: 'pong', requestId, payload: this.#prev === null || this.#hole ? {} : { epoch, seq } });
  }

  #take(frame) {
    if (frame.type === 'ping') return this.pong(frame.requestId);
    if (frame.type === 'unsubscribe') return void ([this.#prev, this.#part] = [null, {}]);
    if (frame.type !== 'subscribe') return;
    if (this.server.closed) {
      this.#waits = true;
      const payload = { code: 'UNKNOWN_ENTITY', retry: false };
      return this.#send({ type: 'error', channel: CHANNEL, requestId: frame.requestId, payload });
    }
    const { epoch, seq, view } = this.server;
    const { since, sort, limit } = frame.payload ?? {};
    this.#part = limit === undefined ? this.#part : { sort: this.server.windows ? sort : undefined, limit };
    const limited = this.#part.limit !== undefined && this.server.windows ? { limited: true } : {};
    const answer = { type: 'subscribed', channel: CHANNEL, requestId: frame.requestId };
    this.#prev = null;
    this.#hole = this.#paging = false;
    this.#generation++;
    if (since && this.server.recovers(since)) {
      this.server.stats.resumes++;
      this.#send({ ...answer, payload: { epoch, seq, view, recovered: true, ...limited } });
      for (const event of this.server.events(since.seq)) this.#send(event);
      this.#close();
    } else {
      this.server.stats.snapshots++;
      this.#send({ ...answer, payload: { epoch, seq, view, recovered: false, ...limited }, more: true });
      this.#pages(seq);
    }
  }

  #generation = 0;

  /** Page by page, each its own read, with writes in between. */
  #pages(s1, cursor = null, left = this.#part.limit ?? Infinity, generation = ++this.#generation) {
    if (this.#queue === null || generation !== this.#generation) return;
    this.#paging = true;
    const { rows, next, seq } = this.server.page(cursor, this.#part.sort, left);
    this.#send({ type: 'snapshot', channel: CHANNEL, seq, payload: { rows }, more: true });
    const rest = left - rows.length;
    if (next && rest > 0)
      return this.server.world.clock.setTimeout(() => this.#pages(s1, next, rest, generation), this.server.dice.int(300));
    for (const event of this.server.events(s1, seq, true)) this.#send(event);
    this.#close();
  }

  /** From here on live. */
  #close() {
    const { epoch, seq, view } = this.server;
    this.#send({ type: 'pong', channel: CHANNEL, payload: { epoch, seq, view } });
    this.#prev = seq;
    this.#paging = false;
  }

  #send(frame) {
    const text = JSON.stringify({ timestamp: 0, ...frame });
    this.#later(() => this.socket.say(text));
  }

  /** In order, and only while the socket lives. */
  #later(call) {
    const { clock } = this.server.world;
    this.#arrives = Math.max(this.#arrives, clock.now() + this.server.dice.int(80));
    clock.setTimeout(() => {
      if (this.#queue !== null && this.socket.closedWith === null) call();
    }, this.#arrives - clock.now());
  }
}
