/**
 * Who looks at the same list: avatars beside the title and beside each record, and the field in which someone writes. Knows
 * presence and nothing of the table.
 *
 * The place of a user is a short hash of the record's id. Who has the record finds it; who may not see it learns no id.
 */
import { element } from './dom.js';
import { hueOf, placeOf } from './mark.js';

/**
 * @typedef {import('../presence.js').Person} Person
 * @typedef {{person: Person, field: string | null, writes: boolean}} Visitor Another user at a record.
 */

/** Avatars beside the title. */
const MOST = 5;

/**
 * @param {import('../presence.js').Presence} presence
 * @param {HTMLElement} stack Where the avatars of all stand.
 * @param {() => void} changed The visitors of the records are others.
 */
export function whoIsHere(presence, stack, changed) {
  /** @type {Map<string, Visitor[]>} by place */
  let places = new Map();
  const draw = () => {
    const people = presence.others.value;
    places = new Map();
    for (const person of people) {
      const { at, field = null, writes = false } = person.metadata;
      if (typeof at === 'string') places.set(at, [...(places.get(at) ?? []), { person, field, writes }]);
    }
    const shown = people.slice(0, MOST).map((person) => avatar(person, person.state === 'active' ? 'looks at this list' : person.state ?? ''));
    if (people.length > MOST) shown.push(element('span', { class: 'avatar' }, `+${people.length - MOST}`));
    stack.replaceChildren(...shown);
    stack.classList.toggle('stale', presence.state.value === 'stale');
    changed();
  };
  presence.others.listen(draw);
  presence.state.listen(draw);
  return {
    /** @param {string} id */
    at: (id) => places.get(placeOf(id)) ?? [],
    /** Tells the others where this user is. @param {string | null} id @param {string | null} field @param {boolean} writes */
    go: (id, field, writes) => presence.update({ at: id && placeOf(id), field, writes: writes || null }),
  };
}

/** @param {Person} person @param {string} does */
export function avatar({ id, name, state }, does) {
  const text = name || id;
  const made = element('span', { class: 'avatar', role: 'img', 'aria-label': `${text} ${does}`, title: `${text} ${does}`, 'data-state': state }, initials(text));
  made.style.setProperty('--hue', String(hueOf(id)));
  return made;
}

/** @param {string} name */
function initials(name) {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : [name];
  return letters.map((word) => [...word][0]?.toUpperCase() ?? '').join('');
}
