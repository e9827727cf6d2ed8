/**
 * A server for the test of optimistic changes: one log, several clients with lines of their own, channels with and without
 * a filter, and mutation ids. It takes nothing from the modules that it judges. The network loses, delays, repeats and cuts
 * by the dice.
 */
const CODES = { 404: 'NOT_FOUND', 409: 'ID_TAKEN', 412: 'VERSION_CONFLICT', 422: 'VALIDATION_FAILED' };

export class Commons {
  epoch = 'e1';
  seq = 0;
  rows = new Map();
  /** `{seq, unit, mid, id, before, after}` */
  log = [];
  keys = new Map();
  /** Chance that a change is refused, that an answer is lost, that a request is, that an event is. */
  trouble = { refuse: 0, answer: 0, request: 0, event: 0, twice: 0, latency: 40 };
  stats = { refused: 0, lostAnswers: 0, lostRequests: 0, lostEvents: 0, doubled: 0, replays: 0, conflicts: 0, cuts: 0, left: 0, mutated: 0 };
  /** What `connected` says. Without it, changes go over HTTP. */
  limits = undefined;
  #unit = 0;
  #verdicts = new Map();
  #lines = new Set();

  constructor(clock, dice) {
    this.clock = clock;
    this.dice = dice;
  }

  /** The environment of one client. */
  line(randomBytes) {
    const commons = this;
    const line = { sockets: new Set() };
    this.#lines.add(line);
    const env = {
      WebSocket: class {
        constructor(url) {
          this.session = new Session(commons, this, url);
          line.sockets.add(this.session);
        }
        send(text) {
          this.session.hear(JSON.parse(text));
        }
        close() {
          this.session.gone = true;
        }
      },
      fetch: (url, init) => commons.#answer(line, new URL(url), init),
      // Another one for each page: by it the parts of a page are told apart (`late.js`).
      setTimeout: (call, ms) => this.clock.setTimeout(call, ms),
      clearTimeout: this.clock.clearTimeout,
      now: this.clock.now,
      random: this.dice.random,
      randomBytes,
      document: null,
      window: null,
      base: 'http://test.local/',
    };
    return {
      env,
      cut: () => {
        this.stats.cuts++;
        for (const session of line.sockets) session.cut();
        line.sockets.clear();
      },
      /** As a closed tab: whatever is on its way to it arrives nowhere. */
      close: () => {
        line.closed = true;
        for (const session of line.sockets) session.gone = true;
      },
    };
  }

  // Writing.

  #refuse(status, current) {
    return { status, error: { status, code: CODES[status], detail: `refused with ${status}`, ...(current ? { current } : {}) } };
  }

  /** The same change is refused each time, or never. */
  #unwanted(mid) {
    if (!this.#verdicts.has(mid)) this.#verdicts.set(mid, this.dice.chance(this.trouble.refuse));
    return this.#verdicts.get(mid);
  }

  /** One change on the rows as they would be, without touching them. */
  #try(rows, mid, { op, id, data, version }) {
    const before = rows.get(id) ?? null;
    if (op === 'create' && before) return this.#refuse(409);
    if (op !== 'create' && !before) return this.#refuse(404);
    if (version !== undefined && version !== before.version) {
      this.stats.conflicts++;
      return this.#refuse(412, before);
    }
    if (data?.title === 'refuse' || this.#unwanted(mid)) {
      this.stats.refused++;
      return this.#refuse(422);
    }
    const { id: _, ...fields } = data ?? {};
    const last = this.log.findLast((entry) => entry.id === id)?.version ?? 0;
    const after = op === 'delete' ? null : { n: 0, team: 0, ...before, id, ...fields, version: (before?.version ?? last) + 1 };
    const same = before && after && JSON.stringify({ ...after, version: before.version }) === JSON.stringify(before);
    rows.set(id, same ? before : after);
    if (!after) rows.delete(id);
    return { status: op === 'create' ? 201 : op === 'delete' ? 204 : 200, id, record: same ? before : (after ?? undefined), entry: same ? null : { id, before, after } };
  }

  /** One unit: all changes or none. */
  #commit(mid, ops) {
    const known = this.keys.get(mid);
    if (known) {
      this.stats.replays++;
      if (known.text !== JSON.stringify(ops)) return { error: { status: 422, code: 'IDEMPOTENCY_MISMATCH', detail: 'another request' } };
      return { seq: this.seq, replayed: true, results: known.results.map(({ status, id }) => ({ status, id, record: this.rows.get(id) })) };
    }
    const rows = new Map(this.rows);
    const results = [];
    for (const [at, op] of ops.entries()) {
      const result = this.#try(rows, mid, { ...op, id: op.id ?? op.data.id });
      if (result.error) return { error: { ...result.error, op: at } };
      results.push(result);
    }
    const entries = results.flatMap(({ entry }) => entry ?? []);
    const unit = ++this.#unit;
    for (const entry of entries) this.log.push({ ...entry, mid, unit, seq: ++this.seq, version: entry.after?.version ?? entry.before.version });
    this.rows = rows;
    this.keys.set(mid, { text: JSON.stringify(ops), results });
    for (const line of this.#lines) for (const session of line.sockets) session.fanOut(entries.length);
    return { seq: this.seq, results: results.map(({ status, id, record }) => ({ status, id, record })) };
  }

  /** As the body of a request. */
  batch(key, { atomic, ops }) {
    if (atomic) {
      const { error, ...done } = this.#commit(key, ops);
      return error ? { status: error.status, body: error } : { status: 200, body: { epoch: this.epoch, ...done } };
    }
    const results = ops.map(({ mid, ...op }) => {
      const { error, seq, results: [result] = [], replayed } = this.#commit(mid, [op]);
      return error ? { status: error.status, error } : { ...result, seq, replayed };
    });
    return { status: 200, body: { epoch: this.epoch, seq: this.seq, results } };
  }

  async #answer(line, url, init) {
    const later = () => new Promise((resolve) => this.clock.setTimeout(resolve, 1 + this.dice.int(this.trouble.latency)));
    const lost = (name) => {
      this.stats[name]++;
      throw new TypeError('fetch failed');
    };
    await later();
    if (line.closed) return new Promise(() => {});
    if (this.dice.chance(this.trouble.request)) lost('lostRequests');
    const body = init?.body && JSON.parse(init.body);
    const answer = structuredClone(this.#route(url, init, body));
    // A line may deliver a request twice.
    if (this.dice.chance(this.trouble.twice)) this.#route(url, init, body);
    await later();
    if (line.closed) return new Promise(() => {});
    if (this.dice.chance(this.trouble.answer)) lost('lostAnswers');
    return { ok: answer.status < 400, status: answer.status, headers: new Map(), json: async () => answer.body };
  }

  #route({ pathname, searchParams }, init, body) {
    if (pathname === '/api/tasks' && !init?.method?.startsWith('P')) {
      const { team, sort, limit } = Object.fromEntries(searchParams);
      const found = first([...this.rows.values()].filter(filterOf(team ? `entity:Task?team=${team}` : 'entity:Task')), sort);
      return { status: 200, body: { items: found.slice(0, Number(limit)), next: found.length > Number(limit) ? 'more' : null, epoch: this.epoch, seq: this.seq, view: 'v' } };
    }
    if (pathname === '/api/batch') return this.batch(init.headers['Idempotency-Key'], body);
    if (pathname === '/api/schema') return { status: 200, body: { entities: [{ name: 'Task', plural: 'tasks', fields: [] }] } };
    const op = { POST: 'create', PATCH: 'update', DELETE: 'delete' }[init?.method];
    if (op) {
      const id = pathname.split('/')[3] ?? `made-${this.seq}-${this.keys.size}`;
      const { error, results } = this.#commit(init.headers['Idempotency-Key'], [{ op, id, data: body }]);
      return error ? { status: error.status, body: error } : { status: results[0].status, body: results[0].record };
    }
    const found = /^\/api\/tasks\/(.+)$/.exec(pathname) && this.rows.get(decodeURIComponent(pathname.split('/').at(-1)));
    return found ? { status: 200, body: found } : { status: 404, body: { code: 'NOT_FOUND' } };
  }
}

/** What a channel is about, read from its name. */
function filterOf(channel) {
  const [, id, team] = /^entity:Task(?::([^?]+))?(?:\?team=(\d))?$/.exec(channel);
  return (row) => Boolean(row) && (id === undefined || row.id === decodeURIComponent(id)) && (team === undefined || row.team === Number(team));
}

/** By one text field, equal ones by id in the same direction. */
function first(rows, sort = 'id') {
  const [, minus, field] = /^(-?)(.*)$/.exec(sort);
  const sign = minus ? -1 : 1;
  const key = (row) => row[field] ?? '';
  return rows.sort((a, b) => sign * (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : a.id < b.id ? -1 : 1));
}

class Session {
  gone = false;
  #channels = new Map();
  #arrives = 0;
  #reaches = 0;

  constructor(commons, socket) {
    this.commons = commons;
    this.socket = socket;
    this.#later(() => {
      socket.onopen?.({});
      this.say({ type: 'connected', payload: { connectionId: 'c', userId: 'ada', epoch: commons.epoch, seq: commons.seq, limits: commons.limits } });
    });
  }

  cut() {
    if (this.gone) return;
    this.gone = true;
    this.socket.onclose?.({ code: 1006, reason: '' });
  }

  fanOut(count) {
    if (this.gone || count === 0) return;
    const { log } = this.commons;
    for (const [channel, state] of this.#channels) this.#events(channel, state, log.slice(-count));
  }

  /** Each entry as the channel sees it; all of a unit but the last with `more`. */
  #events(channel, state, entries) {
    const { dice, trouble, stats } = this.commons;
    const match = filterOf(channel);
    const heard = entries.flatMap(({ id, before, after, seq, unit, mid }) => {
      const [was, is] = [match(before), match(after)];
      if (!was && !is) return [];
      if (was && !is && after) stats.left++;
      const type = `entity:${is ? (was ? 'updated' : 'created') : 'deleted'}`;
      const cause = is && !was && before ? 'entered' : was && !is && after ? 'left' : undefined;
      return [{ type, channel, seq, unit, mid, cause, payload: is ? after : { id } }];
    });
    heard.forEach(({ unit, ...event }, at) => {
      const frame = { ...event, prev: state.prev, more: heard[at + 1]?.unit === unit || undefined };
      state.prev = event.seq;
      // A lost frame is a fault of a server; the client has to notice by the next one.
      if (dice.chance(trouble.event)) {
        state.hole = true;
        return void stats.lostEvents++;
      }
      state.hole = false;
      this.say(frame);
      if (!dice.chance(trouble.twice)) return;
      stats.doubled++;
      this.say(frame);
    });
  }

  /** From the client. */
  hear(frame) {
    this.#reaches = Math.max(this.#reaches, this.commons.clock.now() + this.commons.dice.int(this.commons.trouble.latency));
    this.commons.clock.setTimeout(() => !this.gone && this.#take(frame), this.#reaches - this.commons.clock.now());
  }

  #take({ type, channel, payload, requestId }) {
    const { epoch, seq, log, rows } = this.commons;
    if (type === 'ping') {
      const whole = [...this.#channels.values()].every(({ hole }) => !hole);
      return this.say({ type: 'pong', requestId, payload: whole && this.#channels.size > 0 ? { epoch, seq } : {} });
    }
    if (type === 'mutate') return this.#mutate(payload, requestId);
    if (type === 'unsubscribe') return void this.#channels.delete(channel);
    if (type !== 'subscribe') return;
    const since = payload?.since;
    const state = { prev: seq, hole: false };
    const answer = { type: 'subscribed', channel, requestId };
    if (since) {
      this.say({ ...answer, payload: { epoch, seq, view: 'v', recovered: true } });
      state.prev = since.seq;
      this.#events(channel, state, log.filter((entry) => entry.seq > since.seq));
      // The closing pong would hide what was lost here; the server does not send what it knows to be untrue.
      if (state.hole) return this.cut();
      state.prev = seq;
    } else {
      const { sort, limit } = payload ?? {};
      const all = first([...rows.values()].filter(filterOf(channel)), sort);
      this.say({ ...answer, payload: { epoch, seq, view: 'v', recovered: false, ...(limit ? { limited: true } : {}) }, more: true });
      this.say({ type: 'snapshot', channel, seq, payload: { rows: all.slice(0, limit) }, more: true });
    }
    this.say({ type: 'pong', channel, payload: { epoch, seq, view: 'v' } });
    this.#channels.set(channel, state);
  }

  /** The answer is lost only with the connection, before the change or after it. */
  #mutate({ mid, ...batch }, requestId) {
    const { commons } = this;
    const { dice, trouble, stats } = commons;
    const frame = ({ status, detail, ...payload }) => ({ ...payload, message: detail });
    stats.mutated++;
    if (dice.chance(trouble.request)) {
      stats.lostRequests++;
      return this.cut();
    }
    const { status, body } = structuredClone(commons.batch(mid, batch));
    if (dice.chance(trouble.answer)) {
      stats.lostAnswers++;
      return this.cut();
    }
    if (status >= 400) return this.say({ type: 'error', requestId, payload: frame(body) });
    for (const result of body.results) if (result.error) result.error = frame(result.error);
    this.say({ type: 'ack', requestId, payload: body });
  }

  say(frame) {
    const data = JSON.stringify({ timestamp: 0, ...frame });
    this.#later(() => this.socket.onmessage?.({ data }));
  }

  /** In order, and only while the socket lives. */
  #later(call) {
    const { clock, dice, trouble } = this.commons;
    this.#arrives = Math.max(this.#arrives, clock.now() + dice.int(trouble.latency));
    clock.setTimeout(() => !this.gone && call(), this.#arrives - clock.now());
  }
}
