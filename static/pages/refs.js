/**
 * The names of the records that fields refer to. The newest records of each entity are kept live; the name of an older one is
 * read when it is shown. Knows no table.
 */
import { nameField } from './asked.js';
import { nameOf, short } from './fields.js';

/** Records of each entity whose names are kept live, and among which a form offers a choice. */
const KEPT = 500;
/** Records that are offered for a part of a name. */
const FOUND = 20;
/** Names that one request asks for. */
const BATCH = 100;
/** Names of older records that are remembered. */
const REMEMBERED = 5000;

/**
 * @typedef {import('../api.js').Entity} Entity
 *
 * @typedef {object} ReferenceOptions
 * @property {import('../api.js').Api} api
 * @property {import('../channels.js').ChannelSubscriber} channels
 * @property {Entity[]} entities
 * @property {(path: string) => string} link
 */

/** @param {Entity} entity Whose fields refer to others. @param {ReferenceOptions} options */
export function references(entity, { api, channels, entities, link }) {
  const names = new Set(entity.fields.filter(({ type }) => type === 'ref').map((field) => field.entity));
  const targets = new Map(
    entities.filter(({ name }) => names.has(name)).map((target) => [target.name, targetOf(target, { api, channels })]),
  );
  return {
    /** @param {string} name @param {string} id */
    name: (name, id) => targets.get(name)?.name(id) ?? short(id),
    /** Undefined: there are too many for a choice. @param {string} name */
    choices: (name) => targets.get(name)?.choices(),
    /** @param {string} name @param {string} text */
    find: async (name, text) => {
      const target = entities.find((each) => each.name === name);
      if (!target) return [];
      const field = nameField(target);
      const ask = (/** @type {object} */ where) => api.list(target.plural, { ...where, sort: '-id', limit: FOUND });
      const asked = field && text ? ['eq', 'contains'].map((op) => ask({ [field.name]: { [op]: text } })) : [ask({})];
      // The very name comes first, however many others have it in theirs.
      const rows = new Map((await Promise.all(asked)).flatMap(({ items }) => items).map((row) => [row.id, row]));
      return [...rows.values()].slice(0, FOUND).map((row) => ({ id: row.id, name: nameOf(target, row) }));
    },
    /** @param {string} name @param {string} id */
    href: (name, id) => {
      const target = entities.find((each) => each.name === name);
      return target ? link(`/_/e/${encodeURIComponent(target.plural)}/${encodeURIComponent(id)}`) : null;
    },
    /** @param {() => void} changed */
    listen: (changed) => {
      for (const { listen } of targets.values()) listen(changed);
    },
  };
}

/** @param {Entity} target @param {Pick<ReferenceOptions, 'api' | 'channels'>} options */
function targetOf(target, { api, channels }) {
  const list = channels.list(target.name, { sort: '-id', limit: KEPT });
  /** @type {Map<string, string>} */
  let live = new Map();
  /** @type {Map<string, string>} */
  const older = new Map();
  /** @type {Set<string>} */
  const wanted = new Set();
  /** @type {Set<() => void>} */
  const listeners = new Set();
  const tell = () => {
    for (const listener of listeners) listener();
  };
  list.listen((rows) => {
    live = new Map(rows.map((row) => [row.id, nameOf(target, row)]));
    tell();
  });
  // There is a choice, or there are too many for one; and the names of older ones are read.
  for (const signal of [list.hasMore, list.state]) signal.listen(tell);
  const read = async () => {
    const ids = [...wanted].filter((id) => !live.has(id)).slice(0, BATCH);
    wanted.clear();
    if (ids.length === 0) return;
    if (older.size > REMEMBERED) older.clear();
    // Also what is not found: it is not asked for again.
    for (const id of ids) older.set(id, short(id));
    try {
      const { items } = await api.list(target.plural, { id: { in: ids }, limit: BATCH });
      for (const row of items) older.set(row.id, nameOf(target, row));
      tell();
    } catch {
      // The end of the id stays, which is the name of a record without one.
    }
  };
  return {
    /** @param {string} id */
    name(id) {
      const known = live.get(id) ?? older.get(id);
      if (known === undefined && list.state.value === 'live') {
        if (wanted.size === 0) setTimeout(read);
        wanted.add(id);
      }
      return known;
    },
    choices: () => (list.hasMore.value ? undefined : Array.from(live, ([id, name]) => ({ id, name }))),
    /** @param {() => void} changed */
    listen: (changed) => void listeners.add(changed),
  };
}
