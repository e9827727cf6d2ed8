/**
 * What happened to a record, newest first, with what each change made of which field.
 */
import { element, say, words } from './dom.js';
import { labelOf, moment, view } from './fields.js';

/** Changes that are read at once. */
const PAGE = 10;
/** @type {Record<string, string>} */
const DID = { create: 'created it', update: 'changed', delete: 'deleted it' };

/**
 * @param {HTMLElement} section
 * @param {object} context
 * @param {import('../api.js').Api} context.api
 * @param {import('./fields.js').Entity} context.entity
 * @param {string} context.id
 * @param {import('./fields.js').Refs} context.refs
 * @param {boolean} context.teaches The user can change the schema file.
 */
export function pastOf(section, { api, entity, id, refs, teaches }) {
  const list = /** @type {HTMLElement} */ (section.querySelector('ol'));
  const note = /** @type {HTMLElement} */ (section.querySelector('p'));
  const older = /** @type {HTMLButtonElement} */ (section.querySelector('button'));
  const keeps = /** @type {any} */ (entity).history !== undefined;
  /** @type {import('../api.js').PastChange[]} */
  let changes = [];
  /** @type {string | null} */
  let next = null;
  let version = 0;
  let reads = false;

  const draw = () => {
    list.replaceChildren(...changes.map((change) => entry(change, entity, refs)));
    older.hidden = next === null;
  };
  const read = async (/** @type {boolean} */ further) => {
    if (reads) return;
    reads = true;
    const seen = version;
    try {
      const page = await api.history(entity.plural, id, { limit: PAGE, ...(further && next ? { cursor: next } : {}) });
      const newest = changes[0]?.seq ?? 0;
      if (further) changes = [...changes, ...page.items];
      // What is loaded already stays, unless there is a gap before it.
      else if (page.items.some(({ seq }) => seq <= newest)) changes = [...page.items.filter(({ seq }) => seq > newest), ...changes];
      else changes = page.items;
      if (further || changes.length === page.items.length) next = page.next;
      say(note, changes.length === 0 ? 'Nothing is known of it.' : null);
      draw();
    } catch (error) {
      say(note, words(error));
    }
    reads = false;
    if (version !== seen) read(false);
  };
  older.addEventListener('click', () => read(true));
  if (!keeps) {
    const code = (/** @type {string} */ text) => element('code', {}, text);
    const how = teaches ? [' To keep it, write ', code('history = "30d"'), ' in the schema file, below ', code(`entity = "${entity.name}"`), '.'] : [];
    note.replaceChildren(`${labelOf(entity.plural)} keep no history.`, ...how);
    note.hidden = false;
  }
  return {
    draw,
    /** The record has this version. @param {number} now */
    follow(now) {
      if (!keeps || now === version) return;
      version = now;
      read(false);
    },
  };
}

/**
 * @param {import('../api.js').PastChange} change
 * @param {import('./fields.js').Entity} entity
 * @param {import('./fields.js').Refs} refs
 */
function entry({ op, at, by, changed = [], before = {}, after }, entity, refs) {
  const time = element('time', { datetime: at, title: at }, moment(new Date(at), new Date()));
  const names = changed.filter((name) => name !== 'updated_at');
  const what = op === 'update' ? `${DID.update} ${names.map((name) => labelOf(name)).join(', ') || 'something you may not see'}` : DID[op];
  const diffs = op === 'update' ? names.map((name) => diff(name, before[name], after?.[name], entity, refs, names.length > 1)) : [];
  return element('li', {}, element('p', {}, element('strong', {}, by ?? 'An anonymous user'), ` ${what} `, time), ...diffs);
}

/**
 * @param {string} name
 * @param {any} before
 * @param {any} after
 * @param {import('./fields.js').Entity} entity
 * @param {import('./fields.js').Refs} refs
 * @param {boolean} named One of several.
 */
function diff(name, before, after, entity, refs, named) {
  const field = entity.fields.find((each) => each.name === name) ?? { name, type: /** @type {const} */ ('text') };
  return element('p', { class: 'diff' }, named ? `${labelOf(name)}: ` : '', element('del', {}, view(field, before, refs)), ' → ', element('ins', {}, view(field, after, refs)));
}
