/**
 * What happened in all records that the user may list, newest first, live: who changed what, and no values. Knows entries, and
 * no rows.
 */
import { only } from './env.js';
import { computed, signal } from './signal.js';

/**
 * @typedef {object} Entry
 * @property {number} seq
 * @property {string} at
 * @property {string | null} by
 * @property {'create' | 'update' | 'delete'} op
 * @property {string} entity
 * @property {string} id
 * @property {string} [label] The record's name after the change.
 * @property {string[]} [changed] The names of the fields.
 * @property {'expired'} [cause]
 *
 * @typedef {object} ActivityOptions
 * @property {string[]} [entities] Only of these.
 * @property {number} [limit] The newest ones that are loaded: 50. Later ones are added to them.
 */

/**
 * @param {import('./realtime.js').RealtimeClient} rt
 * @param {Pick<import('./api.js').Api, 'list'>} api
 * @param {ActivityOptions} [options]
 */
export function activity(rt, api, options = {}) {
  const { entities, limit = 50 } = only('activity', options, 'entities limit:number');
  const entity = entities?.join();
  const channel = `activity${entity ? `?entity=${entity}` : ''}`;
  const shown = signal(/** @type {Entry[]} */ ([]));
  const state = signal(/** @type {import('./track.js').ChannelState} */ ('waiting'));
  const error = signal(/** @type {any} */ (null));
  /** @type {Map<number, Entry>} */
  let entries = new Map();
  /** Frames that belong together. @type {import('./track.js').Frame[]} */
  let held = [];
  /** From the start of a snapshot to its closing pong: S_1, and the entries on its pages. @type {{epoch: string, seq: number, seen: Set<number>} | null} */
  let filling = null;
  let epoch = '';

  const show = () => void (shown.value = [...entries.values()].sort((a, b) => b.seq - a.seq));
  const apply = (/** @type {import('./track.js').Frame} */ { type, payload }) => {
    if (type === 'snapshot') {
      for (const entry of payload.rows) {
        entries.set(entry.seq, entry);
        filling?.seen.add(entry.seq);
      }
    } else if (type === 'activity') entries.set(payload.seq, payload);
    else if (type === 'pong' && filling) {
      const { seq, seen } = filling;
      // Numbers of another history mean something else.
      if (filling.epoch !== epoch) entries = new Map([...entries].filter(([at]) => seen.has(at) || at > seq));
      for (const at of entries.keys()) if (at <= seq && !seen.has(at)) entries.delete(at);
      epoch = filling.epoch;
      filling = null;
    }
  };
  const take = (/** @type {import('./track.js').Frame} */ frame) => {
    const { type, payload, more } = frame;
    if (type === 'error') {
      error.value = payload;
      entries.clear();
      return show();
    }
    if (type === 'subscribed' || type === 'resync') {
      held = [];
      if (payload.recovered === true) epoch = payload.epoch;
      filling = payload.recovered === true ? null : { epoch: payload.epoch, seq: payload.seq, seen: new Set() };
      return;
    }
    held.push(frame);
    if (more || (filling && type !== 'pong')) return;
    held.forEach(apply);
    held = [];
    error.value = null;
    show();
  };
  const read = async (/** @type {Record<string, any>} */ page) => api.list('activity', /** @type {any} */ ({ entity, limit, ...page }));
  const reload = async () => {
    const { epoch, view, seq, items, next } = await read({});
    return { epoch, view, pages: [{ seq, rows: items }], next, most: limit };
  };
  const onState = (/** @type {import('./track.js').ChannelState} */ now) => {
    // It begins anew, perhaps for another user.
    if (state.peek() === 'denied') error.value = null;
    state.value = now;
  };
  const stop = rt.subscribe(channel, take, { snapshot: true, part: { limit }, onState, reload });
  const status = computed([state], (now) => (now === 'waiting' ? (shown.peek().length > 0 ? 'stale' : 'loading') : now));
  return {
    get value() {
      return shown.peek();
    },
    peek: shown.peek,
    listen: shown.listen,
    subscribe: shown.subscribe,
    /** `loading`, `live`, `stale`, `denied` or `error`, as of a list. */
    state: status,
    error,
    /** Loads older ones. @returns {Promise<boolean>} whether there are further ones. */
    async more() {
      const before = shown.peek().at(-1)?.seq;
      const { items, next, epoch: from } = await read(before === undefined ? {} : { before });
      if (from !== epoch && epoch) return true;
      for (const entry of /** @type {any[]} */ (items)) entries.set(entry.seq, entry);
      show();
      return next !== null;
    },
    close: () => {
      stop();
      status.dispose();
    },
  };
}
