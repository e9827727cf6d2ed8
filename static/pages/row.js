/**
 * One record in the table: its cells, the editors in them, who else is there, and how its changes stand.
 */
import { CellEditor, same } from './cell.js';
import { element } from './dom.js';
import { labelOf, nameOf, view } from './fields.js';
import { avatar } from './here.js';
import { mark } from './mark.js';
import { openMenu } from './menu.js';

/**
 * @typedef {import('./fields.js').Field} Field
 * @typedef {import('./fields.js').Row} Row
 *
 * @typedef {object} Context What a page says to its table.
 * @property {import('./fields.js').Entity} entity
 * @property {import('./fields.js').Refs} refs
 * @property {(id: string, patch: Record<string, any>) => void} change Shows it at once, and sends it.
 * @property {(id: string) => import('../channels.js').Meta} meta
 * @property {(row: Row) => unknown} remove Asks first.
 * @property {() => void} left A deleted record that was still being edited has gone now.
 * @property {(id: string) => string} href The page of a record.
 * @property {(id: string) => import('./here.js').Visitor[]} visitors Who else is at a record.
 * @property {(id: string | null, field: string | null, writes: boolean) => void} go Where this user is.
 * @property {(id: string, told: (holder: string | null) => void) => () => void} lease Who holds the lease of a record, until the end.
 */

export class RowView {
  tr = element('tr', { 'aria-selected': false });
  #box = element('input', { type: 'checkbox', tabindex: -1 });
  #row;
  #columns;
  #context;
  #visitors = element('span', { class: 'visitors' });
  #saving = element('span', { class: 'saving', hidden: true }, 'Saving…');
  #open;
  #more;
  /** @type {Map<string, {editor: CellEditor, end: () => void}>} by field */
  #editors = new Map();
  /** What this user wrote: when it comes back it is no news. @type {Map<string, any>} by field */
  #own = new Map();
  /** @type {(() => void) | null} */
  #away = null;

  /**
   * @param {Row} row
   * @param {Field[]} columns
   * @param {Context} context
   * @param {() => void} settled An editor was opened or closed.
   */
  constructor(row, columns, context, settled) {
    this.#row = row;
    this.#columns = columns;
    this.#context = context;
    this.settled = settled;
    this.tr.append(element('td', { role: 'gridcell', class: 'box' }, this.#box));
    for (const field of columns) {
      const open = () => this.edit(field);
      const readonly = field.readonly ?? false;
      this.tr.append(element('td', { role: 'gridcell', tabindex: -1, 'aria-readonly': readonly, activate: open, dblclick: open }));
    }
    this.#open = element('a', { class: 'quiet', tabindex: -1 }, 'Open');
    const menu = () => this.menu();
    this.#more = element('button', { type: 'button', class: 'quiet more', tabindex: -1, 'aria-haspopup': 'menu', 'aria-expanded': false, click: menu }, '⋯');
    this.tr.append(element('td', { role: 'gridcell', tabindex: -1, activate: menu }, this.#saving, this.#visitors, this.#open, this.#more));
    columns.forEach((_, at) => this.#draw(at));
    this.#name();
    this.drawVisitors();
    this.drawState();
  }

  /** Of a column: the first cell is the box. @param {number} at */
  #cell(at) {
    return this.tr.cells[at + 1];
  }

  /** @param {boolean} selected */
  select(selected) {
    this.#box.checked = selected;
    this.tr.setAttribute('aria-selected', String(selected));
  }

  get row() {
    return this.#row;
  }

  get isEdited() {
    return this.#editors.size > 0;
  }

  get isGone() {
    return this.#away !== null;
  }

  #name() {
    const name = nameOf(this.#context.entity, this.#row);
    this.#open.href = this.#context.href(this.#row.id);
    this.#open.setAttribute('aria-label', `Open ${name}`);
    this.#more.setAttribute('aria-label', `More about ${name}`);
    this.#box.setAttribute('aria-label', `Select ${name}`);
  }

  /** Everything that can be done with the record. */
  menu() {
    const { entity, href, remove } = this.#context;
    const { id } = this.#row;
    const name = nameOf(entity, this.#row);
    const copied = () => {
      this.#more.textContent = 'Copied';
      setTimeout(() => (this.#more.textContent = '⋯'), 1500);
    };
    openMenu(this.#more, `More about ${name}`, [
      { text: 'Open the record', href: href(id) },
      { text: 'Copy the id', act: () => void navigator.clipboard?.writeText(id).then(copied, () => {}) },
      { text: 'Delete…', danger: true, act: () => remove(this.#row) },
    ]);
  }

  /** Who else is here, and in which field they write. */
  drawVisitors() {
    const visitors = this.#context.visitors(this.#row.id);
    if (visitors.length === 0 && this.#visitors.childElementCount === 0) return;
    const does = (/** @type {import('./here.js').Visitor} */ { field, writes }) => (writes && field ? `edits ${labelOf(field)}` : 'is here');
    this.#visitors.replaceChildren(...visitors.map((visitor) => avatar(visitor.person, does(visitor))));
    this.#columns.forEach(({ name }, at) => {
      const writer = visitors.find(({ field, writes }) => writes && field === name);
      const cell = this.#cell(at);
      cell.classList.toggle('theirs', writer !== undefined);
      if (writer) cell.dataset.who = writer.person.name || writer.person.id;
      else delete cell.dataset.who;
    });
  }

  /** Whether its changes are on their way, or were refused. */
  drawState() {
    const { state } = this.#context.meta(this.#row.id);
    if (this.tr.dataset.state === state) return;
    this.tr.dataset.state = state;
    this.#saving.hidden = state !== 'pending';
  }

  /** Where in this record the user is: the field of a cell, and whether they write. @param {Element} cell */
  place(cell) {
    const field = this.#columns[[...this.tr.cells].findIndex((td) => td.contains(cell)) - 1]?.name ?? null;
    this.#context.go(this.#row.id, field, field !== null && this.#editors.has(field));
  }

  /**
   * @param {Row} row
   * @returns {boolean} whether another user changed anything
   */
  update(row) {
    if (row === this.#row) return false;
    const before = this.#row;
    this.#row = row;
    let theirs = false;
    const { by } = this.#context.meta(row.id);
    this.#columns.forEach((field, at) => {
      const { name } = field;
      if (same(before[name], row[name])) return;
      const own = this.#own.has(name) && same(this.#own.get(name), row[name]);
      const server = name === 'updated_at';
      if (!own && !server) theirs = true;
      if (this.#draw(at) && !own && !server) mark(this.#cell(at), by);
    });
    if (this.#context.meta(row.id).state === 'synced') this.#own.clear();
    for (const { editor } of this.#editors.values()) editor.update(row);
    this.#name();
    return theirs;
  }

  drawRefs() {
    this.#columns.forEach(({ type }, at) => type === 'ref' && this.#draw(at));
  }

  /**
   * The record was deleted.
   *
   * @param {() => void} away Called when its last editor closes.
   * @returns {boolean} whether the user edits it
   */
  gone(away) {
    if (this.#editors.size === 0) return false;
    this.tr.dataset.gone = '';
    this.#away = away;
    for (const { editor } of this.#editors.values()) editor.update(null);
    return true;
  }

  /** It is there again, such as after a login. @param {Row} row */
  returned(row) {
    delete this.tr.dataset.gone;
    this.#away = null;
    for (const { editor } of this.#editors.values()) editor.update(row);
  }

  /**
   * @param {number} at
   * @returns {boolean} false when the cell is being edited
   */
  #draw(at) {
    const field = this.#columns[at];
    if (this.#editors.has(field.name)) return false;
    const cell = this.#cell(at);
    const value = this.#row[field.name];
    cell.replaceChildren(view(field, value, this.#context.refs));
    // The cell has one line.
    if (typeof value === 'string' && field.type === 'text') cell.title = value;
    return true;
  }

  /** @param {Field} field @param {any} [typed] What stands in the editor at first. */
  edit(field, typed) {
    const { id } = this.#row;
    const at = this.#columns.indexOf(field);
    if (at < 0 || field.readonly || this.#editors.has(field.name)) return;
    const editor = new CellEditor(this.#cell(at), field, this.#row, {
      refs: this.#context.refs,
      typed,
      by: () => this.#context.meta(id).by,
      save: (value) => {
        this.#own.set(field.name, value);
        this.#context.change(id, { [field.name]: value });
      },
      close: (focus) => {
        this.#editors.get(field.name)?.end();
        this.#editors.delete(field.name);
        this.#context.go(id, field.name, false);
        this.#draw(at);
        if (focus) this.#cell(at).focus({ preventScroll: true });
        if (this.#editors.size === 0) this.#away?.();
        this.settled();
      },
    });
    const end = this.#context.lease(id, (holder) => editor.leased(holder));
    this.#editors.set(field.name, { editor, end });
    this.#context.go(id, field.name, true);
    this.settled();
  }
}
