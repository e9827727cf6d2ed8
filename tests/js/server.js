/**
 * A small server for the property test: a log, units, epochs, snapshots in pages, resumes, polling. It follows
 * SEMANTICS P1 to P9 and misbehaves only as networks and machines do, by the dice that it is given.
 */
import { reply } from './world.js';

export const CHANNEL = 'entity:Task';
const PAGE = 3;

export class Server {
  /** @type {{seq: number, type: string, id: string, row: object | null, last: boolean}[]} */
  log = [];
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
  /** How often history was undone; versions may go back then. */
  restores = 0;
  stats = { resumes: 0, snapshots: 0, resyncs: 0, polls: 0, drops: 0, duplicates: 0 };
  #sessions = new Set();
  #next = 1;

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
      const row = set === undefined ? null : { id, ...fields, version: (before?.version ?? this.#lastVersion(id)) + 1 };
      const type = row ? (before ? 'entity:updated' : 'entity:created') : 'entity:deleted';
      if (row) this.rows.set(id, row);
      else this.rows.delete(id);
      entries.push({ seq: ++this.seq, type, id, row, last: false });
    }
    if (entries.length === 0) return;
    entries.at(-1).last = true;
    this.log.push(...entries);
    for (const session of this.#sessions) session.fanOut(entries);
  }

  /** A deleted id that is made again goes on with its version. */
  #lastVersion(id) {
    return this.log.findLast((entry) => entry.id === id && entry.row)?.row.version ?? 0;
  }

  random() {
    const id = () => `t${this.dice.int(8)}`;
    const one = () => (this.dice.chance(0.3) ? { delete: id() } : { set: id(), v: this.#next++ });
    if (this.dice.chance(0.3)) {
      const v = this.#next++;
      this.commit([{ set: 'twin-1', v }, one(), { set: 'twin-2', v }]);
    } else this.commit(Array.from({ length: 1 + this.dice.int(3) }, one));
  }

  // Trouble.

  cutAll(code) {
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
  dropNext() {
    for (const session of this.#sessions) session.dropNext = true;
  }

  repeatOne() {
    for (const session of this.#sessions) session.repeatOne();
  }

  // Reading.

  /** SEMANTICS P5 and P7. */
  recovers(since) {
    const at = this.epochs.findIndex(({ name }) => name === since?.epoch);
    if (at < 0 || since.seq < this.floor || since.seq > this.seq) return false;
    const next = this.epochs[at + 1];
    return !next || since.seq <= next.from;
  }

  /** Events in (since, to] with the envelope's `prev`. */
  events(since, to = this.seq, more) {
    let prev = since;
    return this.log
      .filter(({ seq }) => seq > since && seq <= to)
      .map((entry) => {
        const frame = this.frame(entry, prev, more);
        prev = entry.seq;
        return frame;
      });
  }

  frame({ seq, type, id, row, last }, prev, more = !last) {
    return { type, channel: CHANNEL, seq, prev, payload: row ?? { id }, ...(more ? { more } : {}) };
  }

  page(cursor) {
    const ids = [...this.rows.keys()].filter((id) => id > cursor).sort();
    const rows = ids.slice(0, PAGE).map((id) => this.rows.get(id));
    return { rows, next: ids.length > PAGE ? rows.at(-1).id : null, seq: this.seq };
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

  leave(session) {
    this.#sessions.delete(session);
  }

  async #respond(url) {
    await new Promise((resolve) => this.world.clock.setTimeout(resolve, 1 + this.dice.int(100)));
    if (!this.up) throw new TypeError('fetch failed');
    if (url.pathname === '/api/schema')
      return reply(200, { entities: [{ name: 'Task', plural: 'tasks', fields: [] }] });
    if (url.pathname === '/api/tasks') {
      const { rows, next, seq } = this.page(url.searchParams.get('cursor') ?? '');
      return reply(200, { items: rows, next, epoch: this.epoch, seq, view: 'v' });
    }
    this.stats.polls++;
    const [epoch, seq] = url.searchParams.get('since').split(':');
    const recovered = this.recovers({ epoch, seq: Number(seq) });
    return reply(200, {
      epoch: this.epoch,
      seq: this.seq,
      channels: url.searchParams.getAll('channel').map((channel) => ({ channel, view: 'v', recovered })),
      events: recovered ? this.events(Number(seq)) : [],
      errors: [],
      hasMore: false,
    });
  }
}

/** One socket's server end: what is sent arrives later, in order, unless the socket is cut before. */
class Session {
  dropNext = false;
  #queue = [];
  /** The last few events, to repeat one of them. */
  #sent = [];
  /** The group's last seq, while the channel is attached. */
  #prev = null;
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
    for (const entry of entries) {
      const frame = this.server.frame(entry, this.#prev);
      this.#prev = entry.seq;
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

  resync() {
    if (this.#prev === null) return;
    this.server.stats.resyncs++;
    this.#prev = null;
    const { epoch, seq } = this.server;
    this.#send({ type: 'resync', channel: CHANNEL, payload: { epoch, seq, view: 'v', reason: 'lagged' }, more: true });
    this.#pages(seq, '');
  }

  pong() {
    if (this.#hole) return;
    const { epoch, seq } = this.server;
    this.#send({ type: 'pong', payload: this.#prev === null ? {} : { epoch, seq } });
  }

  #take(frame) {
    if (frame.type === 'ping') return this.pong();
    if (frame.type === 'unsubscribe') return void (this.#prev = null);
    if (frame.type !== 'subscribe') return;
    const { epoch, seq } = this.server;
    const { since } = frame.payload ?? {};
    const answer = { type: 'subscribed', channel: CHANNEL, requestId: frame.requestId };
    this.#prev = null;
    this.#hole = false;
    this.#generation++;
    if (since && this.server.recovers(since)) {
      this.server.stats.resumes++;
      this.#send({ ...answer, payload: { epoch, seq: since.seq, view: 'v', recovered: true } });
      for (const event of this.server.events(since.seq)) this.#send(event);
      this.#close();
    } else {
      this.server.stats.snapshots++;
      this.#send({ ...answer, payload: { epoch, seq, view: 'v', recovered: false }, more: true });
      this.#pages(seq, '');
    }
  }

  #generation = 0;

  /** Page by page, each its own read, with writes in between. */
  #pages(s1, cursor, generation = ++this.#generation) {
    if (this.#queue === null || generation !== this.#generation) return;
    const { rows, next, seq } = this.server.page(cursor);
    this.#send({ type: 'snapshot', channel: CHANNEL, seq, payload: { rows }, more: true });
    if (next)
      return this.server.world.clock.setTimeout(() => this.#pages(s1, next, generation), this.server.dice.int(300));
    for (const event of this.server.events(s1, seq, true)) this.#send(event);
    this.#close();
  }

  /** From here on live. */
  #close() {
    const { epoch, seq } = this.server;
    this.#send({ type: 'pong', channel: CHANNEL, payload: { epoch, seq, view: 'v' } });
    this.#prev = seq;
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
