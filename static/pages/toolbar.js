/**
 * The line above the table: search, filters as chips, the choice of columns. It changes what is asked for, and knows no rows.
 */
import { fieldOf, nameField, OP_WORDS } from './asked.js';
import { element } from './dom.js';
import { labelOf } from './fields.js';

/**
 * @typedef {import('./asked.js').Asked} Asked
 * @typedef {import('./asked.js').Filter} Filter
 * @typedef {import('./fields.js').Entity} Entity
 */

/** Milliseconds after the last letter of a search. */
const TYPED = 250;

/**
 * @param {HTMLElement} bar
 * @param {object} context
 * @param {Entity} context.entity
 * @param {import('./fields.js').Refs} context.refs
 * @param {Asked} context.asked At first.
 * @param {(asked: Asked, typed?: boolean) => void} context.ask `typed`: in the middle of a word.
 * @param {() => void} context.add
 * @param {() => void} context.exportRows
 * @param {(error: unknown) => void} context.failed A part could not be loaded.
 */
export function toolbar(bar, { entity, refs, asked, ask, add, exportRows, failed }) {
  const searches = entity.fields.some((field) => /** @type {any} */ (field).search) || nameField(entity) !== null;
  const find = element('input', { type: 'search', 'aria-label': 'Search', placeholder: 'Search', value: asked.find, maxlength: 256 });
  let timer = 0;
  find.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(() => change({ find: find.value.trim() }, true), TYPED);
  });
  // The search is done: the next letter begins another one.
  find.addEventListener('change', () => {
    clearTimeout(timer);
    change({ find: find.value.trim() });
  });
  const chips = element('span', { class: 'chips' });
  const filter = element('button', { type: 'button', 'aria-haspopup': 'dialog', click: () => openFilter() }, 'Filter');
  const columns = element('button', { type: 'button', 'aria-haspopup': 'dialog', click: () => openColumns() }, 'Columns');
  const file = element('button', { type: 'button', 'aria-haspopup': 'dialog', click: exportRows }, 'Export');
  const create = element('button', { type: 'button', id: 'new', class: 'primary', click: add }, `New ${entity.name}`);
  bar.append(...(searches ? [find] : []), filter, columns, file, chips, create);

  /** @param {Partial<Asked>} part @param {boolean} [typed] */
  function change(part, typed) {
    asked = { ...asked, ...part };
    draw();
    ask(asked, typed);
  }

  function draw() {
    const made = asked.filters.map((one, at) => {
      const text = inWords(one, entity, refs);
      const drop = () => {
        change({ filters: asked.filters.filter((_, place) => place !== at) });
        // The one in its place, or where filters are made.
        (chips.children[at]?.querySelector('button') ?? filter).focus();
      };
      const edit = () => openFilter(at);
      return element(
        'span',
        { class: 'chip' },
        element('button', { type: 'button', title: 'Change this filter', click: edit }, text),
        element('button', { type: 'button', 'aria-label': `Remove the filter ${text}`, click: drop }, '×'),
      );
    });
    chips.replaceChildren(...made);
  }

  /** What is not always needed is loaded when it is. @param {(picks: typeof import('./picks.js')) => void} open */
  async function pick(open) {
    try {
      // Not in quotes: these bytes are no part of the first page.
      open(await import(`/static/pages/picks.js`));
    } catch (error) {
      failed(error);
    }
  }

  /** @param {number} [at] Of the filter that is changed. */
  const openFilter = (at) =>
    pick(({ pickFilter }) => {
      const apply = (/** @type {Filter} */ made) => {
        const others = asked.filters.filter((one, place) => place !== at && (one.field !== made.field || one.op !== made.op));
        change({ filters: [...others, made] });
      };
      pickFilter(filter, { entity, refs, first: at === undefined ? undefined : asked.filters[at], apply });
    });

  const openColumns = () =>
    pick(({ pickColumns }) => {
      const shown = new Set(columnsOf(asked, entity).map(({ name }) => name));
      pickColumns(columns, { entity, shown, apply: (names) => change({ columns: names }) });
    });

  draw();
  return {
    /** @param {string} name Descending, ascending, as at first. */
    sort(name) {
      const next = asked.sort === `-${name}` ? undefined : asked.sort === name ? `-${name}` : name;
      change({ sort: next ?? '-created_at' });
    },
    focusSearch: () => find.focus(),
    /** What the address asks for now. @param {Asked} now */
    set(now) {
      clearTimeout(timer);
      asked = now;
      find.value = now.find;
      const within = chips.contains(document.activeElement);
      draw();
      if (within) filter.focus();
    },
    /** Names of records have changed. */
    draw,
    /** @param {boolean} denied */
    close: (denied) => void (bar.hidden = denied),
  };
}

/** The columns that are shown. @param {Asked} asked @param {Entity} entity */
export function columnsOf({ columns }, entity) {
  if (!columns) return [...entity.fields, /** @type {import('./fields.js').Field} */ (fieldOf(entity, 'updated_at'))];
  return columns.flatMap((name) => fieldOf(entity, name) ?? []);
}

/** @param {Filter} filter @param {Entity} entity @param {import('./fields.js').Refs} refs */
function inWords({ field, op, value }, entity, refs) {
  const known = fieldOf(entity, field);
  const label = labelOf(field);
  if (op === 'null') return `${label} ${value === 'false' ? 'is not empty' : 'is empty'}`;
  const shown = known?.type === 'ref' ? refs.name(known.entity ?? '', value) : known?.type === 'bool' ? (value === 'true' ? 'yes' : 'no') : value;
  return `${label} ${OP_WORDS[op]} ${shown === '' ? '“”' : shown}`;
}
