/**
 * One cell of the table while it is edited. A change from elsewhere never touches what is being typed: it is shown beside it.
 */
import { ApiError } from '/static/api.js';
import { element, say, words } from './dom.js';
import { editor, labelOf, view } from './fields.js';

/** How often a save is repeated when only other fields of the record changed under it. */
const REBASES = 5;

export class CellEditor {
  #td;
  #field;
  #context;
  /** The record as last seen; `#base` is the field's value when the editor was opened or the user was told. */
  #row;
  #base;
  #editor;
  #error = element('p', { class: 'error', role: 'alert', hidden: true });
  #remote = element('p', { class: 'remote', role: 'status', hidden: true });
  #busy = false;
  #gone = false;

  /**
   * @param {HTMLTableCellElement} td
   * @param {import('./fields.js').Field} field
   * @param {import('./fields.js').Row} row
   * @param {object} context
   * @param {import('./fields.js').Refs} context.refs
   * @param {(patch: object, ifMatch: number) => Promise<import('./fields.js').Row>} context.save
   * @param {(focus: boolean) => void} context.close Called once, when the cell is to be drawn again.
   */
  constructor(td, field, row, context) {
    this.#td = td;
    this.#field = field;
    this.#row = row;
    this.#base = row[field.name];
    this.#context = context;
    this.#editor = editor(field, this.#base, context.refs, { 'aria-label': labelOf(field.name) });
    const button = (/** @type {string} */ text, /** @type {() => void} */ click) =>
      element('button', { type: 'button', click }, text);
    td.replaceChildren(
      element(
        'div',
        { class: 'editor', keydown: (/** @type {KeyboardEvent} */ event) => this.#key(event) },
        this.#editor.input,
        element(
          'span',
          { class: 'actions' },
          button('Save', () => this.#save()),
          button('Cancel', () => this.#close(true)),
        ),
        this.#error,
        this.#remote,
      ),
    );
    td.classList.add('editing');
    td.addEventListener('focusout', this.#leave);
    this.#editor.input.focus({ preventScroll: true });
    if (this.#editor.input instanceof HTMLInputElement) this.#editor.input.select();
  }

  /** The record changed elsewhere, or (null) is gone. @param {import('./fields.js').Row | null} row */
  update(row) {
    if (!row) {
      this.#gone = true;
      this.#tell('This record was deleted, or you no longer have access to it. Copy your text: it cannot be saved.');
      return;
    }
    const { name } = this.#field;
    const before = this.#row[name];
    this.#row = row;
    if (this.#gone) this.#remote.hidden = true;
    this.#gone = false;
    if (!same(before, row[name]) && !this.#busy) this.#showRemote(row[name]);
  }

  /** @param {any} value */
  #showRemote(value) {
    // The user sees it now, so saving over it is a decision.
    this.#base = value;
    const take = element('button', { type: 'button', click: () => this.#close(true) }, 'Use this value');
    this.#tell('Changed elsewhere to ', element('strong', {}, view(this.#field, value, this.#context.refs)), ' ', take);
  }

  /** @param {(Node | string)[]} children */
  #tell(...children) {
    this.#remote.replaceChildren(...children);
    this.#remote.hidden = false;
  }

  async #save() {
    if (this.#busy) return;
    const { name } = this.#field;
    this.#busy = true;
    say(this.#error, null);
    try {
      const value = this.#editor.read();
      if (!same(value, this.#base)) await this.#send({ [name]: value }, REBASES);
      this.#close(true);
    } catch (error) {
      if (error instanceof ApiError && error.code === 'VERSION_CONFLICT' && error.current) {
        this.#row = error.current;
        this.#showRemote(error.current[name]);
      } else this.#fail(/** @type {any} */ (error));
    }
    this.#busy = false;
  }

  /**
   * Only over a version that the user has seen; but a change of other fields is no conflict.
   *
   * @param {object} patch
   * @param {number} tries
   * @returns {Promise<void>}
   */
  async #send(patch, tries) {
    try {
      await this.#context.save(patch, this.#row.version);
    } catch (error) {
      const current = error instanceof ApiError && error.code === 'VERSION_CONFLICT' ? error.current : null;
      if (!current || tries === 0 || !same(current[this.#field.name], this.#base)) throw error;
      this.#row = current;
      return this.#send(patch, tries - 1);
    }
  }

  /** @param {{message: string, hint?: string, errors?: {field: string, message: string}[]}} error */
  #fail(error) {
    const own = error.errors?.find(({ field }) => field === this.#field.name);
    say(this.#error, own ? own.message : words(error));
    this.#editor.input.setAttribute('aria-invalid', 'true');
    this.#editor.input.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    // The arrows and Enter of the table are the input's own in here.
    event.stopPropagation();
    if (event.key === 'Escape') this.#close(true);
    const lines = event.target instanceof HTMLTextAreaElement && !(event.ctrlKey || event.metaKey);
    if (event.key !== 'Enter' || lines || event.isComposing || event.target instanceof HTMLButtonElement) return;
    event.preventDefault();
    this.#save();
  }

  /** Leaving an editor in which nothing was changed closes it; otherwise what was typed stays. */
  #leave = (/** @type {FocusEvent} */ event) => {
    if (this.#busy || !this.#remote.hidden || this.#td.contains(/** @type {Node | null} */ (event.relatedTarget)))
      return;
    try {
      if (same(this.#editor.read(), this.#base)) this.#close(false);
    } catch {
      // Not even a value yet.
    }
  };

  /** @param {boolean} focus */
  #close(focus) {
    this.#td.removeEventListener('focusout', this.#leave);
    this.#td.classList.remove('editing');
    this.#context.close(focus);
  }
}

/**
 * @param {any} a
 * @param {any} b
 */
export function same(a, b) {
  return JSON.stringify(a ?? null) === JSON.stringify(b ?? null);
}
