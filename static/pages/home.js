/**
 * `/_/`: the entities with the number and the newest of their records, who is here, and what happens.
 */
import { activity } from '/static/activity.js';
import { PresenceManager } from '/static/presence.js';
import { start } from './app.js';
import { counter } from './count.js';
import { element, find, say, words } from './dom.js';
import { labelOf, moment, nameOf } from './fields.js';
import { avatar } from './here.js';
import { mark } from './mark.js';

/** Records shown for an entity. */
const NEWEST = 3;
/** Entities whose visitors are shown: a connection has 50 subscriptions. */
const WATCHED = 40;
/** Lines of the ticker. */
const LINES = 20;
/** @type {Record<string, string>} */
const DID = { create: 'added', update: 'changed', delete: 'deleted' };

const { api, rt, link, refused } = start();
const presence = new PresenceManager(rt);

try {
  const { entities } = await api.schema();
  const cards = new Map(entities.map((entity) => [entity.name, cardOf(entity)]));
  find('#entities').append(...Array.from(cards.values(), ({ card }) => card));
  follow(entities, cards);
  visitors(entities.slice(0, WATCHED));
} catch (error) {
  say(find('#problem'), words(error));
  if (/** @type {import('../api.js').ApiError} */ (error).status === 401) refused();
}
find('#entities').removeAttribute('aria-busy');

/** @param {import('../api.js').Entity} entity */
function cardOf(entity) {
  const href = link(`/_/e/${encodeURIComponent(entity.plural)}`);
  const rows = element('ol', { class: 'newest', 'aria-label': `Newest ${entity.plural}` });
  const note = element('p', { class: 'muted' }, 'Loading…');
  const total = element('span', { class: 'total' });
  const read = async () => {
    try {
      const [{ items, seq, view }, count] = await Promise.all([api.list(entity.plural, { sort: '-id', limit: NEWEST }), api.count(entity.plural)]);
      rows.replaceChildren(...items.map((row) => element('li', {}, element('a', { href: recordAddress(entity.plural, row.id) }, nameOf(entity, row)))));
      const text = count.count.toLocaleString();
      if (total.textContent !== '' && total.textContent !== text) mark(total);
      total.textContent = text;
      say(note, items.length === 0 ? 'None yet.' : null);
      return { ...count, seq: Math.min(seq, count.seq), view };
    } catch (error) {
      // Rows that the user can no longer see must go. After any other error the old rows may stay.
      const { status, code } = /** @type {import('../api.js').ApiError} */ (error);
      if (status === 403 || status === 404) rows.replaceChildren();
      if (status === 403 || status === 404) total.textContent = '';
      say(note, code === 'UNKNOWN_ENTITY' ? 'You have no access.' : words(error));
      throw error;
    }
  };
  const again = counter(read, () => {});
  again.read();
  const heading = element('h2', {}, element('a', { href }, labelOf(entity.plural)), total);
  const card = element('li', { class: 'card' }, heading, element('p', { class: 'muted' }, entity.fields.map(({ name }) => labelOf(name)).join(', ')), rows, note);
  return { card, read: again.read };
}

/** @param {string} plural @param {string} id */
function recordAddress(plural, id) {
  return link(`/_/e/${encodeURIComponent(plural)}/${encodeURIComponent(id)}`);
}

/**
 * The ticker, which tells the cards what to read again.
 *
 * @param {import('../api.js').Entity[]} entities
 * @param {Map<string, {read: (at?: import('./count.js').Position) => void}>} cards
 */
function follow(entities, cards) {
  const plurals = new Map(entities.map(({ name, plural }) => [name, plural]));
  const list = find('#activity');
  const events = activity(rt, api, { limit: LINES });
  /** @type {Map<number, HTMLElement>} */
  let lines = new Map();
  let known = false;
  const all = () => {
    for (const { read } of cards.values()) read();
  };
  // Entities without a line in the activity, and rights that change, are told by their own channels. A card that was read behind the
  // beginning of its channel has missed nothing.
  for (const { name } of entities.slice(0, WATCHED)) rt.subscribe(`entity:${name}`, ({ type, payload }) => type !== 'pong' && cards.get(name)?.read(type === 'subscribed' ? payload : undefined));
  const draw = () => {
    const shown = events.value.slice(0, LINES);
    const next = new Map(shown.map((entry) => [entry.seq, lines.get(entry.seq) ?? lineOf(entry, plurals.get(entry.entity))]));
    const fresh = [...next].filter(([seq]) => known && !lines.has(seq));
    lines = next;
    list.replaceChildren(...next.values());
    for (const [seq, line] of fresh) mark(line, shown.find((entry) => entry.seq === seq)?.by ?? null);
    known = events.state.value === 'live';
    say(find('#quiet'), shown.length > 0 ? null : events.state.value === 'loading' ? 'Loading…' : 'Nothing has happened lately.');
  };
  for (const source of [events, events.state]) source.listen(draw);
  rt.on('frame', ({ type }) => type === 'rights:changed' && all());
  draw();
}

/** @param {import('../activity.js').Entry} entry @param {string | undefined} plural */
function lineOf({ at, by, op, entity, id, label, changed = [], cause }, plural) {
  const who = element('strong', {}, by ?? (cause ? 'The server' : 'An anonymous user'));
  const name = label ?? `${entity} …${id.slice(-8)}`;
  const what = op === 'delete' || !plural ? element('span', {}, name) : element('a', { href: recordAddress(plural, id) }, name);
  const fields = op === 'update' && changed.length > 0 ? `: ${changed.filter((field) => field !== 'updated_at').map(labelOf).join(', ')}` : '';
  const time = element('time', { datetime: at, title: at }, moment(new Date(at), new Date()));
  return element('li', {}, element('p', {}, who, ` ${DID[op]} `, what, `${fields} `, time));
}

/** Who is at which list. @param {import('../api.js').Entity[]} entities */
function visitors(entities) {
  const places = entities.map(({ name, plural }) => ({ plural, place: presence.watch(name) }));
  const draw = () => {
    /** @type {Map<string, {person: import('../presence.js').Person, at: string[]}>} */
    const people = new Map();
    for (const { plural, place } of places) {
      for (const person of place.others.value) {
        const known = people.get(person.id);
        if (known) known.at.push(labelOf(plural));
        else people.set(person.id, { person, at: [labelOf(plural)] });
      }
    }
    find('#here').replaceChildren(...Array.from(people.values(), ({ person, at }) => avatar(person, `is at ${at.join(', ')}`)));
  };
  for (const { place } of places) place.others.listen(draw);
}
