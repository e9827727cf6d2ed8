/**
 * One cell of the table while it is edited. A change from elsewhere never touches what is being typed: it is shown beside it.
 */
import { element, say, words } from './dom.js';
import { editor } from './editor.js';
import { labelOf, view } from './fields.js';

/** Room below and beside a cell that its editor needs, in pixels. */
const ROOM = { below: 170, beside: 300 };

export class CellEditor {
  #td;
  #field;
  #context;
  /** The field's value when the editor was opened or the user was told of another one. */
  #base;
  #row;
  #editor;
  #error = element('p', { class: 'error', role: 'alert', hidden: true });
  #remote = element('p', { class: 'remote', role: 'status', hidden: true });
  #lease = element('p', { class: 'muted', role: 'status', hidden: true });
  #gone = false;

  /**
   * @param {HTMLTableCellElement} td
   * @param {import('./fields.js').Field} field
   * @param {import('./fields.js').Row} row
   * @param {object} context
   * @param {import('./fields.js').Refs} context.refs
   * @param {any} [context.typed] What stands in the input at first, in place of the record's value.
   * @param {(value: any) => void} context.save Shows it at once, and sends it.
   * @param {() => string | null} context.by Who changed the record last.
   * @param {(focus: boolean) => void} context.close Called once, when the cell is to be drawn again.
   */
  constructor(td, field, row, context) {
    this.#td = td;
    this.#field = field;
    this.#row = row;
    this.#base = row[field.name];
    this.#context = context;
    const shown = context.typed === undefined ? this.#base : context.typed;
    this.#editor = editor(field, shown, context.refs, { 'aria-label': labelOf(field.name) });
    const button = (/** @type {string} */ text, /** @type {() => void} */ click, /** @type {string | null} */ name = null) =>
      element('button', { type: 'button', class: name, click }, text);
    const { right, bottom } = td.getBoundingClientRect();
    const frame = td.closest('.scroll')?.getBoundingClientRect();
    const box = element(
      'div',
      { class: 'editor', keydown: (/** @type {KeyboardEvent} */ event) => this.#key(event) },
      this.#editor.input,
      element('span', { class: 'actions' }, button('Save', () => this.#save(), 'primary'), button('Cancel', () => this.#close(true))),
      this.#error,
      this.#remote,
      this.#lease,
    );
    // Inside of the frame that scrolls, wherever the cell is.
    if (frame && frame.right - right < ROOM.beside - td.offsetWidth) box.classList.add('left');
    if (frame && frame.bottom - bottom < ROOM.below && td.getBoundingClientRect().top - frame.top > ROOM.below) box.classList.add('up');
    td.replaceChildren(box);
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
    if (!same(before, row[name])) this.#showRemote(row[name]);
  }

  /** @param {string | null} holder Another user who says that they edit the record. */
  leased(holder) {
    say(this.#lease, holder && `${holder} is editing this record.`);
  }

  /** @param {any} value */
  #showRemote(value) {
    // The user sees it now, so saving over it is a decision.
    this.#base = value;
    const take = element('button', { type: 'button', click: () => this.#close(true) }, 'Use this value');
    const by = this.#context.by();
    this.#tell(by ? `${by} changed this to ` : 'Changed elsewhere to ', element('strong', {}, view(this.#field, value, this.#context.refs)), ' ', take);
  }

  /** @param {(Node | string)[]} children */
  #tell(...children) {
    this.#remote.replaceChildren(...children);
    this.#remote.hidden = false;
  }

  #save() {
    if (this.#gone) return;
    say(this.#error, null);
    try {
      const value = this.#editor.read();
      if (!same(value, this.#base)) this.#context.save(value);
      this.#close(true);
    } catch (error) {
      // Not even a value yet.
      say(this.#error, words(error));
      this.#editor.input.setAttribute('aria-invalid', 'true');
      this.#editor.input.focus();
    }
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
    if (!this.#remote.hidden || this.#td.contains(/** @type {Node | null} */ (event.relatedTarget))) return;
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
