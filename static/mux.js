/**
 * Many tabs on one connection: what each of them asks goes out once, and what comes in goes to those whom it concerns. Each tab sees
 * the protocol as if the connection were its own. Pure: knows neither sockets nor tabs, only their ids.
 *
 * One question about a channel is on its way at a time, and what waits is joined into the next one. A question starts the channel
 * over, for all tabs that have it: with a position they hear some events again, which their seq shows, and from no later one than
 * where they stand; without one it is a `resync` for them. The connection's end is the end of all, so positions are the tabs' own.
 *
 * Presence is that of the user: present while any of the tabs is, as active as the most active one, with the metadata that was told
 * last. Messages that a tab sends into a room reach the other tabs from here. Leases belong to the user already.
 */

import { merged } from './attendance.js';

/**
 * @typedef {import('./track.js').Frame} Frame
 * @typedef {{client: string, id: string | undefined, payload: any}} Ask
 *
 * @typedef {object} Channel
 * @property {Map<string, any>} members Tabs that have the channel, with the payload of their last question.
 * @property {Ask[]} waiting
 * @property {{asks: Ask[], id: string, plain: boolean} | null} asked On its way; `plain` without rows. Who asked may have left meanwhile.
 * @property {import('./track.js').Point | null} end Up to where all members have it. Null while they do not: rows are on their way.
 * @property {boolean} open A unit is not complete.
 * @property {boolean} limited What the server remembers of it.
 * @property {Set<string>} behind Members that have only a part of the rows: a question came between.
 *
 * @typedef {object} Out
 * @property {(type: string, channel: string | undefined, payload: any, id: string) => void} ask The server.
 * @property {(clients: string[], frame: Frame) => void} tell
 * @property {(client: string) => void} full There is no room for this tab on the connection.
 */

/** A refused question with one of these ends the channel for all. */
const ENDS = ['FORBIDDEN_CHANNEL', 'RULE_LIMIT', 'UNKNOWN_ENTITY', 'BAD_CHANNEL', 'QUERY_TOO_BROAD', 'QUERY_LIMIT'];
/** Of a connection, and so of all tabs together. */
const FULL = ['SUBSCRIPTION_LIMIT', 'PRESENCE_LIMIT'];
const ATTENTION = ['active', 'idle', 'away'];

export class Mux {
  /** @type {Set<string>} */
  clients = new Set();
  #out;
  #ids = 0;
  /** Who waits for an answer. @type {Map<string, {client: string, id?: string, heard?: (frame: Frame) => void}>} */
  #asked = new Map();
  /** The channels of questions that are on their way. @type {Map<string, string>} */
  #questions = new Map();
  /** With records. @type {Map<string, Channel>} */
  #channels = new Map();
  /** Who watches presence or is in a room. @type {Map<string, Map<string, any>>} */
  #places = new Map();
  /** Who is shown, and with what. @type {Map<string, Map<string, {metadata: any, state?: string}>>} */
  #shown = new Map();

  /** @param {Out} out */
  constructor(out) {
    this.#out = out;
  }

  /** @param {string} client */
  leave(client) {
    if (!this.clients.delete(client)) return;
    for (const [id, ask] of this.#asked) if (ask.client === client) this.#asked.delete(id);
    for (const channel of [...this.#channels.keys()]) this.#drop(client, channel);
    for (const channel of [...this.#shown.keys()]) this.#hide(client, channel);
    for (const channel of [...this.#places.keys()]) this.#exit(client, channel);
  }

  /** A frame of a tab. @param {string} client @param {Frame} frame */
  take(client, { type, channel = '', payload, requestId: id }) {
    const answer = (/** @type {string} */ type) => id !== undefined && this.#out.tell([client], { type, channel, requestId: id, payload: {} });
    const place = /^(presence|room|user):/.test(channel);
    if (type === 'subscribe' && !place) {
      const found = this.#channels.get(channel) ?? fresh();
      this.#channels.set(channel, found);
      found.waiting.push({ client, id, payload });
      return this.#pump(channel, found);
    }
    if (type === 'subscribe') {
      const there = this.#places.get(channel) ?? new Map();
      this.#places.set(channel, there.set(client, payload));
      // Who wants names sees the number, too.
      const all = [...there.values()].every((payload) => payload?.count);
      return void this.#ask(type, channel, all ? payload : undefined, client, id, (frame) => {
        if (frame.type !== 'error') return;
        there.delete(client);
        if (there.size === 0 && this.#places.get(channel) === there) this.#places.delete(channel);
      });
    }
    if (type === 'unsubscribe') {
      if (place) this.#exit(client, channel);
      else this.#drop(client, channel);
      return answer('unsubscribed');
    }
    if (type === 'presence:leave') {
      this.#hide(client, channel);
      return answer('ack');
    }
    if (type.startsWith('presence:')) return this.#show(type, client, channel, payload, id);
    if (type === 'message' && payload?.echo === false) return this.#say(client, channel, payload, id);
    this.#ask(type, channel || undefined, payload, client, id);
  }

  /** A frame of the server. @param {Frame} frame */
  hear(frame) {
    const { type, channel, requestId } = frame;
    const asked = requestId === undefined ? undefined : this.#asked.get(requestId);
    if (requestId !== undefined) this.#asked.delete(requestId);
    if (type === 'pong' && !channel) this.#stand(frame);
    const question = requestId === undefined ? undefined : this.#questions.get(requestId);
    if (question !== undefined) {
      this.#questions.delete(/** @type {string} */ (requestId));
      const found = this.#channels.get(question);
      if (found && found.asked?.id === requestId) this.#answered(question, found, frame);
      return;
    }
    const found = this.#channels.get(channel ?? '');
    if (asked) {
      if (type === 'error' && this.#overflows(asked.client, frame)) return;
      asked.heard?.(frame);
      this.#out.tell([asked.client], { ...frame, requestId: asked.id });
      // Of two questions at once the server answers the later one, with the list for both.
      const others = type === 'presence:sync' ? this.#present(channel, asked.client) : [];
      if (others.length > 0) this.#out.tell(others, { ...frame, requestId: undefined });
      return;
    }
    // The answer to a question whose tab is gone.
    if (requestId !== undefined && type !== 'pong') return;
    if (channel !== undefined && found) return this.#follow(channel, found, frame);
    const there = channel === undefined ? [...this.clients] : this.#present(channel);
    if (type === 'error' && channel !== undefined) {
      // Who may no longer be shown may still watch.
      if (!channel.startsWith('presence:')) this.#places.delete(channel);
      this.#shown.delete(channel);
    }
    const { requestId: _, ...rest } = frame;
    if (there.length > 0) this.#out.tell(there, rest);
  }

  /**
   * @param {string} type
   * @param {string | undefined} channel
   * @param {any} payload
   * @param {string} [client] Who gets the answer.
   * @param {string} [id]
   * @param {(frame: Frame) => void} [heard]
   */
  #ask(type, channel, payload, client, id, heard) {
    const own = `${++this.#ids}`;
    if (client !== undefined) this.#asked.set(own, { client, id, heard });
    this.#out.ask(type, channel, payload, own);
    return own;
  }

  /** @param {string} client @param {Frame} frame */
  #overflows(client, { payload }) {
    if (!FULL.includes(payload?.code) || this.clients.size === 1) return false;
    this.leave(client);
    this.#out.full(client);
    return true;
  }

  // Channels with records.

  /** Asks for those who wait. @param {string} name @param {Channel} channel */
  #pump(name, channel) {
    const { members, waiting, end } = channel;
    if (channel.asked || waiting.length === 0 || (members.size > 0 && !end)) return;
    let asks = waiting.filter(({ payload }) => payload);
    if (asks.length === 0 && members.size > 0) {
      // Nothing changes by them: they are told where the channel stands.
      for (const { client, id, payload } of waiting.splice(0)) {
        members.set(client, payload);
        this.#out.tell([client], { type: 'subscribed', channel: name, requestId: id, payload: { ...end, recovered: true } });
      }
      return;
    }
    /** @type {any} */
    let payload;
    if (asks.length === 0) asks = waiting.slice(0, 1);
    else {
      const [first] = asks.map(({ payload }) => payload.since);
      if (asks.every(({ payload }) => payload.since)) {
        const since = { ...first };
        // Of two positions in an epoch that is over, the later one may be of a history that was lost.
        const present = end?.epoch === first.epoch;
        asks = asks.filter(({ payload: { since: other } }) => other.epoch === first.epoch && other.view === first.view && (present || other.seq === first.seq));
        for (const { payload } of asks) since.seq = Math.min(since.seq, payload.since.seq);
        // What lies behind it was sent to those who asked before, or is on its way to them.
        if (end && present) since.seq = Math.min(since.seq, end.seq);
        payload = { since };
      } else payload = { snapshot: true };
      const part = this.#part([...members.values(), ...asks.map(({ payload }) => payload)]);
      if (!part && channel.limited) this.#ask('unsubscribe', name, undefined);
      payload = { ...payload, ...part };
    }
    channel.waiting = waiting.filter((ask) => !asks.includes(ask));
    const id = this.#ask('subscribe', name, payload);
    this.#questions.set(id, name);
    channel.asked = { asks, id, plain: !payload };
  }

  /** The rows that are enough for all of them. @param {any[]} payloads */
  #part(payloads) {
    const wants = payloads.filter(Boolean);
    const sort = wants[0]?.sort;
    if (wants.length === 0 || wants.some((one) => one.limit === undefined || one.sort !== sort)) return undefined;
    return { sort, limit: Math.max(...wants.map(({ limit }) => limit)) };
  }

  /** @param {string} name @param {Channel} channel @param {Frame} frame */
  #answered(name, channel, frame) {
    const { asks, plain } = /** @type {NonNullable<Channel['asked']>} */ (channel.asked);
    const { behind } = channel;
    channel.asked = null;
    const { type, payload } = frame;
    const askers = new Set(asks.map(({ client }) => client));
    const own = askers.delete('');
    const others = [...channel.members.keys()].filter((client) => !askers.has(client));
    if (type === 'error') {
      for (const client of askers) channel.members.delete(client);
      const ends = ENDS.includes(payload?.code);
      for (const { client, id } of asks) if (client && !this.#overflows(client, frame)) this.#out.tell([client], { ...frame, requestId: id });
      const ended = ends ? others : own ? [...behind] : [];
      for (const client of ended) channel.members.delete(client);
      this.#settle(channel);
      if (ended.length > 0) this.#out.tell(ended, { type, channel: name, payload });
      return this.#tidy(name, channel);
    }
    const { epoch, seq, view, recovered } = payload;
    channel.limited = payload.limited === true;
    for (const { client, id, payload } of asks.filter(({ client }) => client)) {
      behind.delete(client);
      channel.members.set(client, payload);
      this.#out.tell([client], { ...frame, requestId: id });
    }
    // Rows were on their way to the others, and what comes now ends as if these were all.
    if (recovered === true && !channel.end && others.length > 0) {
      for (const client of others) behind.add(client);
      channel.waiting.unshift({ client: '', id: undefined, payload: { snapshot: true, ...this.#part(others.map((client) => channel.members.get(client))) } });
    }
    if (recovered !== true) behind.clear();
    channel.open = false;
    channel.end = plain ? { epoch, seq, view } : null;
    if (recovered !== true && !plain && others.length > 0)
      this.#out.tell(others, { type: 'resync', channel: name, payload: { epoch, seq, view, limited: channel.limited, reason: 'shared' }, more: frame.more });
    if (plain) this.#pump(name, channel);
  }

  /** @param {string} name @param {Channel} channel @param {Frame} frame */
  #follow(name, channel, frame) {
    const { type, payload, seq, more } = frame;
    if (type === 'resync' || type === 'error') this.#settle(channel);
    const members = [...channel.members.keys()].filter((client) => type !== 'pong' || !channel.behind.has(client));
    if (members.length > 0) this.#out.tell(members, frame);
    if (type === 'error') channel.members.clear();
    if (type === 'error' || type === 'resync' || frame.at !== undefined) channel.end = null;
    else if (type === 'pong') channel.end = { epoch: payload.epoch, seq: payload.seq, view: payload.view };
    else if (channel.end && seq !== undefined) {
      channel.open = more === true;
      if (!channel.open) channel.end.seq = Math.max(channel.end.seq, seq);
    }
    this.#tidy(name, channel);
  }

  /** No rows are asked for again on the hub's own account. @param {Channel} channel */
  #settle(channel) {
    channel.behind.clear();
    channel.waiting = channel.waiting.filter(({ client }) => client);
  }

  /** A `pong` says that all has been sent up to there. @param {Frame} frame */
  #stand({ payload }) {
    for (const { end, open } of this.#channels.values())
      if (end && !open && end.epoch === payload?.epoch) end.seq = Math.max(end.seq, payload.seq);
  }

  /** @param {string} client @param {string} name */
  #drop(client, name) {
    const channel = this.#channels.get(name);
    if (!channel) return;
    channel.members.delete(client);
    channel.behind.delete(client);
    channel.waiting = channel.waiting.filter((ask) => ask.client !== client);
    if (channel.asked) channel.asked.asks = channel.asked.asks.filter((ask) => ask.client !== client);
    if (channel.members.size > 0 || [...channel.waiting, ...(channel.asked?.asks ?? [])].some((ask) => ask.client)) return this.#pump(name, channel);
    this.#channels.delete(name);
    this.#ask('unsubscribe', name, undefined);
  }

  /** @param {string} name @param {Channel} channel */
  #tidy(name, channel) {
    if (channel.members.size + channel.waiting.length === 0 && !channel.asked) this.#channels.delete(name);
    else this.#pump(name, channel);
  }

  // Presence and rooms.

  /** Who is in a room, watches or is shown. @param {string} [channel] @param {string} [but] @returns {string[]} */
  #present(channel = '', but) {
    const there = new Set([...(this.#places.get(channel)?.keys() ?? []), ...(this.#shown.get(channel)?.keys() ?? [])]);
    return [...there].filter((client) => client !== but);
  }

  /** @param {string} client @param {string} channel */
  #exit(client, channel) {
    const there = this.#places.get(channel);
    if (!there?.delete(client) || there.size > 0) return;
    this.#places.delete(channel);
    this.#ask('unsubscribe', channel, undefined);
  }

  /** @param {string} type @param {string} client @param {string} channel @param {any} payload @param {string | undefined} id */
  #show(type, client, channel, payload, id) {
    const shown = this.#shown.get(channel) ?? new Map();
    const before = shown.get(client)?.metadata ?? {};
    const metadata = merged(type === 'presence:join' ? {} : before, payload?.metadata ?? {});
    // Who tells something is the last one from here on.
    if (payload?.metadata) shown.delete(client);
    this.#shown.set(channel, shown.set(client, { metadata, state: payload?.state }));
    const { state, ...rest } = payload ?? {};
    const most = this.#attention(channel);
    this.#ask(type, channel, { ...rest, state: most }, client, id, (frame) => {
      if (frame.type !== 'error' || type !== 'presence:join') return;
      shown.delete(client);
      if (shown.size === 0) this.#shown.delete(channel);
    });
  }

  /** As active as the most active tab. @param {string} channel */
  #attention(channel) {
    const states = [...(this.#shown.get(channel)?.values() ?? [])].map(({ state = 'active' }) => ATTENTION.indexOf(state));
    return ATTENTION[Math.min(...states)];
  }

  /** @param {string} client @param {string} channel */
  #hide(client, channel) {
    const shown = this.#shown.get(channel);
    const told = [...(shown?.keys() ?? [])].at(-1) === client;
    if (!shown?.delete(client)) return;
    const last = [...shown.values()].at(-1);
    // Another tab of the user is still there, and what it tells is shown when this one told last.
    if (last && told) return void this.#ask('presence:join', channel, { metadata: last.metadata, state: this.#attention(channel) });
    if (last) return void this.#ask('presence:update', channel, { metadata: {}, state: this.#attention(channel) });
    this.#shown.delete(channel);
    this.#ask('presence:leave', channel, undefined);
  }

  /** The server does not send it back to this connection. @param {string} client @param {string} channel @param {any} payload @param {string | undefined} id */
  #say(client, channel, payload, id) {
    this.#ask('message', channel, payload, client, id, ({ type, timestamp }) => {
      const others = [...(this.#places.get(channel)?.keys() ?? [])].filter((other) => other !== client);
      if (type !== 'ack' || others.length === 0) return;
      this.#out.tell(others, { type: 'message', channel, by: this.user, timestamp, payload: { event: payload.event, data: payload.data ?? null } });
    });
  }

  /** Of the connection. @type {string | undefined} */
  user;
}

/** @returns {Channel} */
function fresh() {
  return { members: new Map(), waiting: [], asked: null, end: null, open: false, limited: false, behind: new Set() };
}
