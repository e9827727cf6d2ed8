/**
 * Polling while there is no socket: `/api/changes` for all channels at once. It runs beside the attempts to
 * connect, never instead of them, and ends only when every channel has come through on a socket. Knows no socket.
 */
import { delay, LONGEST_ADDRESS } from './env.js';
import { LIFTED_BY_RIGHTS, mayRetry, retryAfter } from './later.js';
import { readList, readRecord } from './reading.js';
import { Timers } from './timers.js';

/**
 * @typedef {import('./track.js').Subscription} Subscription
 *
 * @typedef {object} Host What the client lends to its bridge.
 * @property {import('./env.js').Env} env
 * @property {{reconnectInterval: number, maxReconnectInterval: number, pollInterval: number, maxPollInterval: number}} options
 * @property {URL} url Of the socket, with the name of the user in `tidewire dev`.
 * @property {(path: string) => URL} httpUrl
 * @property {Set<string>} DENIED Refusals after which the user's access is unknown.
 * @property {Map<string, Subscription>} channels
 * @property {import('./signal.js').Readable<boolean>} connected Whether a socket is there, which tells by itself when a refused channel opens.
 * @property {(refresh: boolean) => Promise<string | undefined>} token
 * @property {(subscription: Subscription, frame: import('./track.js').Frame) => void} refused
 * @property {() => void} changed `working` is another.
 *
 * @typedef {object} Answer
 * @property {string} epoch
 * @property {number} seq
 * @property {{channel: string, view?: string, recovered: boolean}[]} channels
 * @property {import('./track.js').Frame[]} events
 * @property {{channel: string, code: string}[]} [errors]
 * @property {boolean} [hasMore]
 */

/** A poll that is not answered for so long fails. */
const LATE = 35_000;
/** The largest number of channels in one poll. */
const MOST_CHANNELS = 50;

export class Bridge {
  running = false;
  /** Whether the last poll was answered. */
  working = false;
  #host;
  #url;
  #timers;
  /** Changes with every start and stop, so that an answer to an earlier run is known. */
  #run = 0;
  #failures = 0;
  #interval = 0;
  /** Something happened during a poll: the next one follows at once. */
  #hurry = false;
  /** Until when the server asked to stay away. Nothing that happens here shortens that. */
  #floor = 0;
  /** The last poll's token. */
  #refused = false;
  /** Where the next turn begins, of more channels than fit into one poll. */
  #turn = 0;
  /** Of the last answer. @type {string | undefined} */
  #epoch;
  /** @type {Set<Subscription>} Their position is lost and no listener can reload them; they wait for the socket. */
  #unable = new Set();

  /** @param {Host} host */
  constructor(host) {
    this.#host = host;
    this.#url = host.httpUrl('/changes');
    const as = host.url.searchParams.get('as');
    if (as !== null) this.#url.searchParams.set('as', as);
    this.#timers = new Timers(host.env);
  }

  start() {
    if (this.running) return;
    this.running = true;
    this.#unable.clear();
    this.#failures = 0;
    this.#interval = this.#host.options.pollInterval;
    this.#run++;
    if (this.#floor > this.#host.env.now()) this.#again(0);
    else this.#loop(this.#run);
  }

  stop() {
    if (!this.running) return;
    this.running = false;
    this.#run++;
    this.#timers.clear();
    this.#say(false);
  }

  /** The user looks at the page, or something happened: poll now instead of waiting for a long interval. */
  soon() {
    this.#interval = this.#host.options.pollInterval;
    if (this.#timers.has('poll')) this.#again(0);
    else this.#hurry = this.running;
  }

  /** @param {number} ms */
  #again(ms) {
    const run = this.#run;
    this.#timers.set('poll', Math.max(this.#hurry ? 0 : ms, this.#floor - this.#host.env.now()), () => this.#loop(run));
    this.#hurry = false;
  }

  /** @param {number} run */
  async #loop(run) {
    const { env, options } = this.#host;
    try {
      const more = await this.#round(run);
      if (run !== this.#run) return;
      this.#failures = 0;
      if (more === undefined) return this.#again(options.pollInterval);
      this.#say(true);
      if (run === this.#run) this.#again(more ? 0 : this.#interval);
    } catch (error) {
      if (run !== this.#run) return;
      this.#say(false);
      const { reconnectInterval: base, maxReconnectInterval: max } = options;
      const { after = 0 } = /** @type {{after?: number}} */ (error);
      this.#floor = env.now() + after;
      this.#again(delay(++this.#failures, { base, max, random: env.random }));
    }
  }

  /**
   * @param {number} run
   * @returns {Promise<boolean | undefined>} whether more is waiting; undefined when there is nothing to poll.
   */
  async #round(run) {
    for (const subscription of this.#unattached()) {
      if (subscription.track.point || !subscription.reload) continue;
      const most = subscription.part?.limit;
      const rows = await subscription.reload({ readList, readRecord }).catch((error) => this.#isolated(subscription, error));
      if (run !== this.#run) return undefined;
      // The socket may have come meanwhile and be sending the rows itself, or a list that needs more of them.
      if (rows && subscription.part?.limit === most && subscription.track.phase === 'idle') replaceRows(subscription, rows);
    }
    const asked = this.#standing();
    const points = asked.flatMap(({ track }) => track.point ?? []);
    const from = points.length > 0 ? points.reduce((a, b) => (b.seq < a.seq ? b : a)) : undefined;
    asked.push(...this.#closed().slice(0, MOST_CHANNELS - asked.length));
    if (asked.length === 0) return undefined;
    const answer = await this.#fetch(asked, from).catch((error) => {
      for (const subscription of asked) this.#isolated(subscription, error);
    });
    if (run !== this.#run || !answer) return undefined;
    return this.#apply(asked, from, answer);
  }

  /**
   * The channels of one epoch: in another one the same number is another change, so one `since` cannot speak for both. Those
   * of an epoch that is over come first, since the answer brings them into the present one.
   */
  #standing() {
    const standing = this.#unattached().filter(({ track }) => track.point);
    const epochs = standing.map(({ track }) => track.point?.epoch);
    const chosen = epochs.find((epoch) => epoch !== this.#epoch) ?? this.#epoch;
    const found = standing.filter((_, at) => epochs[at] === chosen);
    if (found.length <= MOST_CHANNELS) return found;
    // More than fit into one poll take turns.
    this.#turn = (this.#turn + MOST_CHANNELS) % found.length;
    return [...found.slice(this.#turn), ...found.slice(0, this.#turn)].slice(0, MOST_CHANNELS);
  }

  /**
   * A refused channel does not keep the others from being polled.
   *
   * @param {Subscription} subscription
   * @param {{code?: string, message?: string, hint?: string}} error
   */
  #isolated(subscription, error) {
    const { code = '', message, hint } = error;
    if (!code || (!this.#host.DENIED.has(code) && mayRetry({ code }))) throw error;
    this.#refuse(subscription, { code, message, hint });
  }

  /**
   * A socket may have taken the channel over while the question was under way.
   *
   * @param {Subscription | undefined} subscription
   * @param {object} payload
   */
  #refuse(subscription, payload) {
    if (subscription?.track.phase !== 'idle') return;
    this.#host.refused(subscription, { type: 'error', channel: subscription.name, payload });
  }

  /** Channels that no socket is serving. */
  #unattached() {
    return [...this.#host.channels.values()].filter(
      (subscription) => subscription.track.phase === 'idle' && !this.#unable.has(subscription),
    );
  }

  /** Channels that were refused. Each poll asks for them again, because they may be allowed now. */
  #closed() {
    if (this.#host.connected.peek()) return [];
    return [...this.#host.channels.values()].filter(
      ({ track, refusal }) => track.phase === 'refused' && LIFTED_BY_RIGHTS.has(refusal ?? ''),
    );
  }

  /**
   * @param {Subscription[]} asked
   * @param {import('./track.js').Point | undefined} from
   * @returns {Promise<Answer>}
   */
  async #fetch(asked, from) {
    let url = new URL(this.#url);
    const since = from && `${from.epoch}:${from.seq}`;
    const channels = asked.map(({ name, track }) => ({ channel: name, view: track.point?.view ?? '' }));
    if (since) url.searchParams.set('since', since);
    for (const { channel, view } of channels) {
      url.searchParams.append('channel', channel);
      url.searchParams.append('view', view);
    }
    /** @type {RequestInit & {headers: Record<string, string>}} */
    const init = { headers: {}, cache: 'no-store' };
    if (url.href.length > LONGEST_ADDRESS) {
      url = this.#url;
      init.method = 'POST';
      init.headers['Content-Type'] = 'application/json';
      init.body = JSON.stringify({ channels, since });
    }
    const token = await this.#host.token(this.#refused);
    if (token) init.headers.Authorization = `Bearer ${token}`;
    const abort = new AbortController();
    init.signal = abort.signal;
    this.#timers.set('late', LATE, () => abort.abort(new Error('a poll was not answered')));
    const response = await this.#host.env.fetch(url.href, init);
    this.#refused = response.status === 401;
    if (!response.ok) {
      const { status } = response;
      // The next poll asks for another token. A user who is refused stays refused.
      const { code, detail, hint } = status === 403 ? await response.json().catch(() => ({})) : {};
      const message = detail ?? `a poll got ${status}`;
      throw Object.assign(new Error(message), { after: retryAfter(response, this.#host.env.now()), code, hint });
    }
    const answer = await response.json();
    this.#timers.clear('late');
    return answer;
  }

  /**
   * @param {Subscription[]} asked
   * @param {import('./track.js').Point | undefined} from
   * @param {Answer} answer
   */
  #apply(asked, from, answer) {
    const { epoch, seq } = answer;
    this.#epoch = epoch;
    let reload = false;
    for (const { channel, view, recovered } of answer.channels) {
      const subscription = asked.find(({ name }) => name === channel);
      if (subscription?.track.phase === 'refused' && !this.#host.connected.peek()) {
        // It is allowed now: its rows are read in the next round.
        subscription.track.reopen();
        subscription.show('waiting');
        reload ||= subscription.reload !== undefined;
        continue;
      }
      // A socket may have taken it over while the poll was under way.
      if (subscription?.track.phase !== 'idle') continue;
      // Of this answer's history only `from` is known to be a part: what a channel has beyond it may be lost, so it asks itself.
      const { track } = subscription;
      const { point } = track;
      // Its rows were given up while the question was under way: a list wants more of them, and the next round reads them.
      if (!point) {
        reload ||= subscription.reload !== undefined;
        continue;
      }
      if (recovered && from && from.epoch !== epoch && point.seq > from.seq) continue;
      if (recovered && track.leadsTo(epoch)) this.#catchUp(subscription, { epoch, seq, view }, answer.events);
      else if (subscription.reload) {
        track.forget();
        reload = true;
      } else this.#unable.add(subscription);
    }
    for (const { channel, code } of answer.errors ?? [])
      this.#refuse(
        asked.find(({ name }) => name === channel),
        { code },
      );
    const { pollInterval, maxPollInterval } = this.#host.options;
    this.#interval = answer.events.length > 0 ? pollInterval : Math.min(maxPollInterval, this.#interval * 1.5);
    const elsewhere = this.#unattached().some(({ track }) => track.point && track.point.epoch !== epoch);
    return reload || elsewhere || answer.hasMore === true;
  }

  /**
   * Told as the frames of a resume, so that listeners know one way only.
   *
   * @param {Subscription} subscription
   * @param {import('./track.js').Point} to
   * @param {import('./track.js').Frame[]} events
   */
  #catchUp(subscription, to, events) {
    const { name, track } = subscription;
    // The question went from the oldest position of all channels, so this one may know some of the events.
    const known = track.point?.seq ?? 0;
    track.jump(to);
    subscription.deliver({ type: 'subscribed', channel: name, payload: { ...to, seq: known, recovered: true } });
    for (const event of events) {
      if (event.channel === name && (event.seq ?? Infinity) > known) subscription.deliver(event);
    }
    subscription.deliver({ type: 'pong', channel: name, payload: to });
    subscription.show('live');
  }

  /** @param {boolean} working */
  #say(working) {
    if (working === this.working) return;
    this.working = working;
    this.#host.changed();
  }
}

/**
 * Rows that were read over HTTP, told as the frames of a `resync`, so that listeners know one way only. The position
 * is that of the first page: what happened during the reading follows as events.
 *
 * @param {Subscription} subscription
 * @param {import('./reading.js').Reading} reading
 */
function replaceRows(subscription, { epoch, view, pages, next, most }) {
  const channel = subscription.name;
  const payload = { epoch, seq: pages[0].seq, view };
  subscription.deliver({ type: 'resync', channel, payload: { ...payload, reason: 'polling', limited: next !== null }, more: true, asked: most });
  for (const { seq, rows } of pages) subscription.deliver({ type: 'snapshot', channel, seq, payload: { rows }, more: true });
  subscription.track.jump(payload);
  subscription.track.ahead = Math.max(...pages.map(({ seq }) => seq));
  subscription.deliver({ type: 'pong', channel, payload });
}
