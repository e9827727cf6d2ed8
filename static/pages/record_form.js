/**
 * The form of one record. It follows the record where the user has typed nothing; what was typed stays, and the other value stands
 * beside it.
 */
import { same } from './cell.js';
import { element, plain, say, words } from './dom.js';
import { editor } from './editor.js';
import { labelOf, view } from './fields.js';

/**
 * @typedef {import('./fields.js').Field} Field
 * @typedef {import('./fields.js').Row} Row
 *
 * @typedef {object} FormContext
 * @property {(patch: Record<string, any>, base: Record<string, any>, version: number) => Promise<Row | null>} save
 * @property {(dirty: boolean) => void} edits Whether something is typed that is not saved.
 * @property {(field: string | null, writes: boolean) => void} at Where this user is.
 * @property {() => string | null} by Who changed the record last.
 * @property {() => void} remove
 */

export class RecordForm {
  #context;
  /** @type {FieldView[]} */
  #fields;
  /** @type {Row | null} */
  #row = null;
  #problem = element('p', { class: 'error', role: 'alert', hidden: true });
  #save = element('button', { class: 'primary', disabled: true }, 'Save');
  #reset = element('button', { type: 'button', disabled: true, click: () => this.#restore() }, 'Take back');
  #dirty = false;
  #busy = false;

  /**
   * @param {HTMLFormElement} form
   * @param {import('./fields.js').Entity} entity
   * @param {import('./fields.js').Refs} refs
   * @param {FormContext} context
   */
  constructor(form, entity, refs, context) {
    this.#context = context;
    this.#fields = entity.fields.map((field) => new FieldView(field, refs, context));
    const remove = element('button', { type: 'button', class: 'danger', click: context.remove }, 'Delete…');
    const actions = element('div', { class: 'actions' }, this.#save, this.#reset, element('span', { class: 'rest' }), remove);
    form.append(...this.#fields.map(({ box }) => box), this.#problem, actions);
    form.addEventListener('input', () => this.#look());
    form.addEventListener('change', () => this.#look());
    form.addEventListener('focusin', ({ target }) => {
      const field = this.#fields.find(({ box }) => box.contains(/** @type {Node} */ (target)));
      context.at(field?.field.name ?? null, field?.isDirty ?? false);
    });
    form.addEventListener('focusout', ({ relatedTarget }) => form.contains(/** @type {Node | null} */ (relatedTarget)) || context.at(null, false));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    form.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) form.requestSubmit();
      else if (event.key === 'Escape') this.#restore();
    });
  }

  get isDirty() {
    return this.#dirty;
  }

  /** @param {Row} row */
  update(row) {
    if (row === this.#row) return;
    this.#row = row;
    for (const field of this.#fields) field.update(row, this.#busy);
    this.#look();
  }

  /** The record is no longer there. What was typed stays, to be copied. */
  gone() {
    this.#row = null;
    this.#look();
  }

  drawRefs() {
    for (const field of this.#fields) if (field.field.type === 'ref' && this.#row) field.redraw();
  }

  /** @param {import('../presence.js').Person[]} others */
  visitors(others) {
    for (const field of this.#fields) field.visited(others.find(({ metadata }) => metadata.field === field.field.name) ?? null);
  }

  #look() {
    const dirty = this.#fields.some(({ isDirty }) => isDirty);
    this.#save.disabled = !dirty || !this.#row;
    this.#reset.disabled = !dirty;
    if (dirty !== this.#dirty) this.#context.edits(dirty);
    this.#dirty = dirty;
    const focused = this.#fields.find(({ box }) => box.contains(document.activeElement));
    if (focused) this.#context.at(focused.field.name, focused.isDirty);
  }

  #restore() {
    say(this.#problem, null);
    for (const field of this.#fields) field.restore();
    this.#look();
  }

  async #submit() {
    const row = this.#row;
    if (!row || this.#busy) return;
    say(this.#problem, null);
    /** @type {[string, any][]} */
    const patch = [];
    for (const field of this.#fields) {
      field.complain(null);
      try {
        if (field.isDirty) patch.push([field.field.name, field.read()]);
      } catch (error) {
        field.complain(words(error));
        return field.focus();
      }
    }
    if (patch.length === 0) return;
    this.#busy = true;
    this.#save.disabled = true;
    try {
      const base = Object.fromEntries(patch.map(([name]) => [name, this.#fields.find(({ field }) => field.name === name)?.base]));
      const saved = await this.#context.save(Object.fromEntries(patch), base, row.version);
      if (saved) {
        this.#row = saved;
        for (const field of this.#fields) field.accept(saved);
      }
    } catch (error) {
      const { errors = [] } = /** @type {{errors?: {field: string, message: string}[]}} */ (error);
      const known = this.#fields.filter(({ field }) => errors.some((each) => each.field === field.name));
      for (const each of known) each.complain(errors.filter(({ field }) => field === each.field.name).map(({ message }) => plain(message)).join(' '));
      known[0]?.focus();
      if (known.length === 0 || known.length < errors.length) say(this.#problem, words(error));
    }
    this.#busy = false;
    this.#look();
  }
}

/** One field: label, input, what is wrong, who else is there. */
class FieldView {
  field;
  box;
  /** The record's value as the user knows it. @type {any} */
  base = undefined;
  #refs;
  #context;
  #editor;
  #text = element('div', { class: 'given' });
  #error;
  #remote = element('p', { class: 'remote', role: 'status', hidden: true });
  #shown = false;

  /** @param {Field} field @param {import('./fields.js').Refs} refs @param {FormContext} context */
  constructor(field, refs, context) {
    this.field = field;
    this.#refs = refs;
    this.#context = context;
    const id = `field-${field.name}`;
    this.#error = element('p', { class: 'error', id: `${id}-error`, hidden: true });
    this.#editor = this.#make(undefined);
    const label = field.readonly ? element('span', { class: 'label' }, labelOf(field.name)) : element('label', { for: id }, labelOf(field.name), field.required ? ' *' : '');
    this.box = element('div', { class: 'field' }, label, field.readonly ? this.#text : this.#editor.input, this.#error, this.#remote);
  }

  /** @param {any} value */
  #make(value) {
    const id = `field-${this.field.name}`;
    return editor(this.field, value, this.#refs, { id, 'aria-describedby': `${id}-error`, 'aria-required': this.field.required });
  }

  get isDirty() {
    if (this.field.readonly || !this.#shown) return false;
    try {
      return !same(this.read(), this.base);
    } catch {
      return true;
    }
  }

  read() {
    return this.#editor.read();
  }

  focus() {
    this.#editor.input.focus();
  }

  /** @param {string | null} message */
  complain(message) {
    say(this.#error, message);
    if (message) this.#editor.input.setAttribute('aria-invalid', 'true');
    else this.#editor.input.removeAttribute('aria-invalid');
  }

  /** @param {Row} row @param {boolean} saving */
  update(row, saving) {
    const value = row[this.field.name];
    if (this.#shown && same(value, this.base)) return;
    const dirty = this.isDirty || document.activeElement === this.#editor.input;
    this.base = value;
    if (!this.#shown || !dirty) return this.#show();
    // The answer to the save tells the same.
    if (saving || !this.isDirty) return;
    const take = element('button', { type: 'button', click: () => this.restore() }, 'Use this value');
    const by = this.#context.by();
    this.#remote.replaceChildren(by ? `${by} changed this to ` : 'Changed elsewhere to ', element('strong', {}, view(this.field, value, this.#refs)), ' ', take);
    this.#remote.hidden = false;
  }

  /** It was saved. @param {Row} row */
  accept(row) {
    const typed = this.isDirty && document.activeElement === this.#editor.input ? this.#editor.read() : undefined;
    this.base = row[this.field.name];
    this.#remote.hidden = true;
    // Typed further while it was saved.
    if (typed === undefined || same(typed, this.base)) this.#show();
  }

  /** Back to the record's value. */
  restore() {
    this.complain(null);
    this.#remote.hidden = true;
    const focused = document.activeElement === this.#editor.input;
    this.#show();
    if (focused) this.focus();
    this.#editor.input.dispatchEvent(new Event('change', { bubbles: true }));
  }

  redraw() {
    if (!this.isDirty && document.activeElement !== this.#editor.input) this.#show();
  }

  #show() {
    this.#shown = true;
    if (this.field.readonly) return this.#text.replaceChildren(view(this.field, this.base, this.#refs));
    const focused = document.activeElement === this.#editor.input;
    const next = this.#make(this.base);
    this.#editor.input.replaceWith(next.input);
    this.#editor = next;
    if (focused) next.input.focus();
  }

  /** @param {import('../presence.js').Person | null} person */
  visited(person) {
    this.box.classList.toggle('theirs', person !== null);
    if (person) this.box.dataset.who = `${person.name || person.id} ${person.metadata.writes ? 'is editing' : 'is here'}`;
    else delete this.box.dataset.who;
  }
}
