/**
 * `/_/schema`: the entities and their references as a picture, and every field with its constraints in words.
 */
import { start } from './app.js';
import { element, find, say, words } from './dom.js';
import { labelOf } from './fields.js';
import { pictureOf } from './picture.js';
import { rulesOf, wordsOf } from './told.js';

/** @typedef {import('../api.js').Entity} Entity */

const { api, link, refused } = start('Schema');

try {
  const { entities } = await api.schema();
  const href = (/** @type {Entity} */ { plural }) => link(`/_/e/${encodeURIComponent(plural)}`);
  if (entities.length > 0) find('#picture').append(pictureOf(entities, href));
  find('#entities').append(...entities.map((entity) => sheet(entity, href(entity), entities)));
} catch (error) {
  say(find('#problem'), words(error));
  if (/** @type {import('../api.js').ApiError} */ (error).status === 401) refused();
}

/** @param {Entity} entity @param {string} href @param {Entity[]} entities */
function sheet(entity, href, entities) {
  const rows = entity.fields.map((field) => {
    const target = entities.find(({ name }) => name === field.entity);
    const kind = target ? element('span', {}, 'ref to ', element('a', { href: `#${target.name}` }, target.name)) : field.type;
    return element('tr', {}, element('th', { scope: 'row' }, labelOf(field.name), ' ', element('code', {}, field.name)), element('td', {}, kind), element('td', {}, wordsOf(field)));
  });
  const heads = ['Field', 'Type', 'Rules'].map((text) => element('th', { scope: 'col' }, text));
  const table = element('table', {}, element('thead', {}, element('tr', {}, ...heads)), element('tbody', {}, ...rows));
  const rules = element('ul', { class: 'rules lines' }, ...rulesOf(entity).map((rule) => element('li', {}, rule)));
  return element(
    'section',
    { id: entity.name, class: 'panel', 'aria-label': entity.name },
    element('h2', {}, entity.name),
    element('p', { class: 'actions' }, element('a', { class: 'button', href }, `Open ${entity.plural}`), element('code', {}, `/api/${entity.plural}`)),
    element('div', { class: 'wide', tabindex: 0, role: 'group', 'aria-label': `Fields of ${entity.name}` }, table),
    rules,
  );
}
