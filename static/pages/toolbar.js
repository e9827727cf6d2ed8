/**
 * The line above the table: search, filters as chips, the choice of columns. It changes what is asked for, and knows no rows.
 */
import { fieldOf, nameField, operatorsOf, OP_WORDS, OWN_FIELDS } from './asked.js';
import { element } from './dom.js';
import { editor, labelOf } from './fields.js';
import { place } from './menu.js';

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
 */
export function toolbar(bar, { entity, refs, asked, ask, add, exportRows }) {
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

  /** @param {number} [at] Of the filter that is changed. */
  function openFilter(at) {
    const fields = [...entity.fields, ...OWN_FIELDS].filter((field) => operatorsOf(field).length > 0);
    const first = at === undefined ? undefined : asked.filters[at];
    const field = element('select', { 'aria-label': 'Field' }, ...fields.map(({ name }) => element('option', { value: name }, labelOf(name))));
    if (first) field.value = first.field;
    const op = element('select', { 'aria-label': 'Condition' });
    const value = element('span', { class: 'value' });
    let read = () => '';
    const drawOps = () => {
      const known = fieldOf(entity, field.value);
      const ops = known ? operatorsOf(known) : [];
      op.replaceChildren(...ops.flatMap((name) => options(name)));
      drawValue();
    };
    const drawValue = () => {
      const known = fieldOf(entity, field.value);
      value.replaceChildren();
      read = () => (op.value === 'null.false' ? 'false' : 'true');
      if (!known || op.value.startsWith('null')) return;
      const before = first?.field === known.name ? typedOf(first.value, known.type) : undefined;
      const made = editor({ ...known, required: true, max: 1 }, before, refs, { 'aria-label': 'Value' });
      value.append(made.input);
      read = () => {
        const given = made.read();
        return given === null || given === undefined ? '' : String(given);
      };
    };
    field.addEventListener('change', drawOps);
    op.addEventListener('change', drawValue);
    drawOps();
    if (first) {
      op.value = first.op === 'null' && first.value === 'false' ? 'null.false' : first.op;
      drawValue();
    }
    const submit = (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      const made = { field: field.value, op: op.value.split('.')[0], value: read() };
      const others = asked.filters.filter((one, place) => place !== at && (one.field !== made.field || one.op !== made.op));
      box.hidePopover();
      change({ filters: [...others, made] });
    };
    const form = element('form', { class: 'pick', submit }, element('h2', {}, first ? 'Change the filter' : 'Show only records whose'), field, op, value, element('button', { class: 'primary' }, 'Apply'));
    const box = popover(filter, form);
    field.focus();
  }

  function openColumns() {
    const all = [...entity.fields, ...OWN_FIELDS];
    const shown = new Set(columnsOf(asked, entity).map(({ name }) => name));
    const boxes = all.map(({ name }) =>
      element('label', {}, element('input', { type: 'checkbox', value: name, checked: shown.has(name) }), ' ', labelOf(name) || name),
    );
    const apply = () => {
      const names = boxes.flatMap((box) => {
        const input = /** @type {HTMLInputElement} */ (box.querySelector('input'));
        return input.checked ? [input.value] : [];
      });
      if (names.length > 0) change({ columns: names });
    };
    const again = () => {
      box.hidePopover();
      change({ columns: null });
    };
    const form = element('form', { class: 'pick', change: apply }, element('h2', {}, 'Columns'), ...boxes, element('button', { type: 'button', click: again }, 'As at first'));
    const box = popover(columns, form);
    boxes[0].querySelector('input')?.focus();
  }

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

/** @param {string} value @param {string} type */
const typedOf = (value, type) => (type === 'bool' ? value === 'true' : value);

/** @param {string} op */
function options(op) {
  if (op !== 'null') return [element('option', { value: op }, OP_WORDS[op])];
  return [element('option', { value: 'null' }, 'is empty'), element('option', { value: 'null.false' }, 'is not empty')];
}

/** @param {Filter} filter @param {Entity} entity @param {import('./fields.js').Refs} refs */
function inWords({ field, op, value }, entity, refs) {
  const known = fieldOf(entity, field);
  const label = labelOf(field);
  if (op === 'null') return `${label} ${value === 'false' ? 'is not empty' : 'is empty'}`;
  const shown = known?.type === 'ref' ? refs.name(known.entity ?? '', value) : known?.type === 'bool' ? (value === 'true' ? 'yes' : 'no') : value;
  return `${label} ${OP_WORDS[op]} ${shown === '' ? '“”' : shown}`;
}

/** @param {HTMLElement} button @param {HTMLFormElement} form */
function popover(button, form) {
  const box = element('div', { class: 'popover', popover: 'auto', role: 'dialog', 'aria-label': form.querySelector('h2')?.textContent }, form);
  box.addEventListener('toggle', (event) => {
    if (/** @type {ToggleEvent} */ (event).newState === 'closed') box.remove();
  });
  document.body.append(box);
  box.showPopover();
  place(box, button);
  return box;
}
