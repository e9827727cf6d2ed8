/**
 * What opens below the line above the table: a filter is made or changed, and columns are chosen. Loaded when it is asked for.
 */
import { fieldOf, operatorsOf, OP_WORDS, OWN_FIELDS } from './asked.js';
import { element } from './dom.js';
import { editor } from './editor.js';
import { labelOf } from './fields.js';
import { place } from './menu.js';

/**
 * @typedef {import('./asked.js').Filter} Filter
 * @typedef {import('./fields.js').Entity} Entity
 */

/**
 * @param {HTMLElement} button Where it opens.
 * @param {object} context
 * @param {Entity} context.entity
 * @param {import('./fields.js').Refs} context.refs
 * @param {Filter | undefined} context.first The one that is changed.
 * @param {(made: Filter) => void} context.apply
 */
export function pickFilter(button, { entity, refs, first, apply }) {
  const fields = [...entity.fields, ...OWN_FIELDS].filter((field) => operatorsOf(field).length > 0);
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
    box.hidePopover();
    apply(made);
  };
  const form = element('form', { class: 'pick', submit }, element('h2', {}, first ? 'Change the filter' : 'Show only records whose'), field, op, value, element('button', { class: 'primary' }, 'Apply'));
  const box = popover(button, form);
  field.focus();
}

/**
 * @param {HTMLElement} button Where it opens.
 * @param {object} context
 * @param {Entity} context.entity
 * @param {Set<string>} context.shown
 * @param {(names: string[] | null) => void} context.apply Null: as at first.
 */
export function pickColumns(button, { entity, shown, apply }) {
  const boxes = [...entity.fields, ...OWN_FIELDS].map(({ name }) =>
    element('label', {}, element('input', { type: 'checkbox', value: name, checked: shown.has(name) }), ' ', labelOf(name) || name),
  );
  const change = () => {
    const names = boxes.flatMap((box) => {
      const input = /** @type {HTMLInputElement} */ (box.querySelector('input'));
      return input.checked ? [input.value] : [];
    });
    if (names.length > 0) apply(names);
  };
  const again = () => {
    box.hidePopover();
    apply(null);
  };
  const form = element('form', { class: 'pick', change }, element('h2', {}, 'Columns'), ...boxes, element('button', { type: 'button', click: again }, 'As at first'));
  const box = popover(button, form);
  boxes[0].querySelector('input')?.focus();
}

/** @param {string} value @param {string} type */
const typedOf = (value, type) => (type === 'bool' ? value === 'true' : value);

/** @param {string} op */
function options(op) {
  if (op !== 'null') return [element('option', { value: op }, OP_WORDS[op])];
  return [element('option', { value: 'null' }, 'is empty'), element('option', { value: 'null.false' }, 'is not empty')];
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
