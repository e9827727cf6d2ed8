/**
 * The form that adds a record: one input a field, errors under their fields in the server's words.
 */
import { element, plain, say, words } from './dom.js';
import { editor } from './editor.js';
import { labelOf } from './fields.js';

/**
 * @typedef {import('./fields.js').Field} Field
 */

/**
 * @param {HTMLFormElement} form
 * @param {object} context
 * @param {import('./fields.js').Entity} context.entity
 * @param {import('./fields.js').Refs} context.refs
 * @param {(data: object) => Promise<import('./fields.js').Row>} context.add
 * @param {(row: import('./fields.js').Row) => void} context.added
 * @returns {{drawRefs: () => void}}
 */
export function addForm(form, { entity, refs, add, added }) {
  const problem = element('p', { class: 'error', role: 'alert', hidden: true });
  const button = element('button', { class: 'primary' }, `Add ${entity.name}`);
  const inputs = entity.fields.filter(({ readonly }) => !readonly).map((field) => input(field, refs));
  form.append(...inputs.map(({ label }) => label), element('div', { class: 'actions' }, button, problem));

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    say(problem, null);
    for (const { complain } of inputs) complain(null);
    /** @type {[string, any][]} */
    const data = [];
    /** @type {(() => void) | null} */
    let wrong = null;
    for (const { field, read, complain, focus } of inputs) {
      try {
        const value = read();
        // The server fills an empty field with its default.
        if (value !== null && value !== '') data.push([field.name, value]);
      } catch (error) {
        wrong ??= focus;
        complain(words(error));
      }
    }
    if (wrong) return wrong();
    button.disabled = true;
    try {
      const row = await add(Object.fromEntries(data));
      if (row.version === undefined) say(problem, 'The record was added, but you have no access to it.');
      for (const { reset } of inputs) reset();
      inputs[0]?.focus();
      added(row);
    } catch (error) {
      const { errors = [] } = /** @type {{errors?: {field: string, message: string}[]}} */ (error);
      const known = inputs.filter(({ field }) => errors.some((each) => each.field === field.name));
      for (const each of known)
        each.complain(
          errors
            .filter(({ field }) => field === each.field.name)
            .map(({ message }) => plain(message))
            .join(' '),
        );
      known[0]?.focus();
      if (known.length === 0 || known.length < errors.length) say(problem, words(error));
    }
    button.disabled = false;
  });

  return {
    drawRefs: () => {
      for (const each of inputs) if (each.field.type === 'ref') each.redraw();
    },
  };
}

/**
 * @param {Field} field
 * @param {import('./fields.js').Refs} refs
 */
function input(field, refs) {
  const id = `add-${field.name}`;
  const error = element('p', { class: 'error', id: `${id}-error`, hidden: true });
  const make = (/** @type {any} */ value) =>
    editor(field, value, refs, {
      id,
      'aria-describedby': error.id,
      'aria-required': field.required,
      placeholder: hint(field),
    });
  let current = make(constant(field));
  const label = element(
    'div',
    { class: 'field' },
    element('label', { for: id }, labelOf(field.name), field.required ? ' *' : ''),
    current.input,
    error,
  );
  const replace = (/** @type {any} */ value) => {
    const next = make(value);
    current.input.replaceWith(next.input);
    current = next;
  };
  return {
    field,
    label,
    read: () => current.read(),
    focus: () => current.input.focus(),
    reset: () => replace(constant(field)),
    redraw: () => {
      if (document.activeElement !== current.input) replace(current.read());
    },
    complain: (/** @type {string | null} */ message) => {
      say(error, message);
      if (message) current.input.setAttribute('aria-invalid', 'true');
      else current.input.removeAttribute('aria-invalid');
    },
  };
}

/** What a choice starts with; a typed value shows its default as a hint instead. @param {Field} field */
function constant(field) {
  return field.type === 'enum' || field.type === 'bool' ? field.default : undefined;
}

/** @param {Field} field */
function hint({ type, default: value }) {
  if (value === undefined || value === null || type === 'enum' || type === 'bool') return undefined;
  if (typeof value === 'object' && type !== 'json') return value.from === 'user.id' ? 'you' : String(value.from);
  return type === 'json' ? JSON.stringify(value) : String(value);
}
