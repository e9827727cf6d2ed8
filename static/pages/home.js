/**
 * `/_/`: the entities, each with its newest records.
 */
import { start } from './app.js';
import { element, find, say, words } from './dom.js';
import { nameOf } from './fields.js';

/** Records shown for an entity. */
const NEWEST = 5;
/** Entities that are kept live: a connection has 50 subscriptions. */
const LIVE = 40;

const { api, rt, link, refused } = start();
const list = find('#entities');

try {
  const { entities } = await api.schema();
  list.append(...entities.map(card));
} catch (error) {
  say(find('#problem'), words(error));
  if (/** @type {import('../api.js').ApiError} */ (error).status === 401) refused();
}
list.removeAttribute('aria-busy');

/**
 * @param {import('../api.js').Entity} entity
 * @param {number} place
 */
function card(entity, place) {
  const href = link(`/_/e/${encodeURIComponent(entity.plural)}`);
  const rows = element('ol', { class: 'newest', 'aria-label': `Newest ${entity.plural}` });
  const note = element('p', { class: 'muted' }, 'Loading…');
  const update = follow(entity, rows, note, href);
  if (place < LIVE) rt.subscribe(`entity:${entity.name}`, update);
  update();
  return element(
    'li',
    { class: 'card' },
    element('h2', {}, element('a', { href }, entity.name)),
    element('p', { class: 'muted' }, `/api/${entity.plural} · ${entity.fields.map(({ name }) => name).join(', ')}`),
    rows,
    note,
  );
}

/**
 * Reads the newest records again after every change. Changes during one read cause only one more read.
 *
 * @param {import('../api.js').Entity} entity
 * @param {HTMLElement} rows
 * @param {HTMLElement} note
 * @param {string} href
 */
function follow(entity, rows, note, href) {
  let reading = false;
  let again = false;
  return async function update(/** @type {{type?: string}} */ { type } = {}) {
    if (type === 'pong') return;
    again = true;
    if (reading) return;
    reading = true;
    while (again) {
      again = false;
      try {
        const { items } = await api.list(entity.plural, { sort: '-id', limit: NEWEST });
        rows.replaceChildren(
          ...items.map((row) =>
            element('li', {}, element('a', { href: `${href}#${encodeURIComponent(row.id)}` }, nameOf(entity, row))),
          ),
        );
        say(note, items.length === 0 ? 'None yet.' : null);
      } catch (error) {
        // Rows that the user can no longer see must go. After any other error the old rows may stay.
        const { status, code } = /** @type {import('../api.js').ApiError} */ (error);
        if (status === 403 || status === 404) rows.replaceChildren();
        say(note, code === 'UNKNOWN_ENTITY' ? 'You have no access.' : words(error));
      }
    }
    reading = false;
  };
}
