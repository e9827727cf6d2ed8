/**
 * The live table: draws rows by id, touches only what changed, and moves by the keys of a grid.
 */
import { CellEditor, same } from './cell.js';
import { element } from './dom.js';
import { copyButton, labelOf, nameOf, view } from './fields.js';
import { avatar } from './here.js';

/**
 * @typedef {import('./fields.js').Field} Field
 * @typedef {import('./fields.js').Row} Row
 *
 * @typedef {object} Context
 * @property {import('./fields.js').Entity} entity
 * @property {import('./fields.js').Refs} refs
 * @property {(id: string, patch: object, ifMatch: number) => Promise<Row>} save
 * @property {(row: Row) => void} remove Asks first.
 * @property {() => void} left A deleted record that was still being edited has gone now.
 * @property {(id: string) => import('./here.js').Visitor[]} visitors Who else is at a record.
 * @property {(id: string | null, field: string | null, writes: boolean) => void} go Where this user is.
 */

/** Written by the server, shown last. @type {Field} */
const UPDATED = { name: 'updated_at', type: 'datetime', readonly: true };

export class LiveTable {
  #context;
  #columns;
  #body = element('tbody');
  /** @type {Map<string, RowView>} */
  #rows = new Map();
  /** The one cell that Tab reaches. @type {HTMLElement | null} */
  #current = null;

  /**
   * @param {HTMLTableElement} table
   * @param {Context} context
   */
  constructor(table, context) {
    this.#context = context;
    this.#columns = [...context.entity.fields, UPDATED];
    const heads = this.#columns.map(({ name }) => element('th', { scope: 'col' }, labelOf(name)));
    const actions = element('th', { scope: 'col' }, element('span', { class: 'hidden' }, 'Actions'));
    table.append(element('thead', {}, element('tr', {}, ...heads, actions)), this.#body);
    table.addEventListener('keydown', (event) => this.#key(event));
    table.addEventListener('focusin', (event) => this.#focused(/** @type {HTMLElement} */ (event.target)));
    table.addEventListener('focusout', ({ relatedTarget }) => {
      if (table.contains(/** @type {Node | null} */ (relatedTarget)) || table.querySelector('.editing')) return;
      context.go(null, null, false);
    });
  }

  /**
   * @param {Row[]} rows in their order
   * @param {{quiet?: boolean}} [options] Quiet: nothing is marked as new.
   * @returns {{added: number, changed: number, removed: number}}
   */
  draw(rows, { quiet = false } = {}) {
    const count = { added: 0, changed: 0, removed: 0 };
    const ids = new Set(rows.map(({ id }) => id));
    for (const [id, rowView] of this.#rows) if (!ids.has(id)) count.removed += this.#remove(id, rowView);

    // Before any row moves: a row that moves loses the focus.
    for (const row of rows) this.#rows.get(row.id)?.returned(row);

    let next = this.#body.firstElementChild;
    for (const row of rows) {
      let rowView = this.#rows.get(row.id);
      if (!rowView) {
        rowView = new RowView(row, this.#columns, this.#context);
        this.#rows.set(row.id, rowView);
        count.added++;
        if (!quiet) mark(rowView.tr);
      } else if (rowView.update(row)) count.changed++;
      // A deleted record stays where it is while a user edits it.
      while (next instanceof HTMLElement && next.dataset.gone !== undefined) next = next.nextElementSibling;
      if (rowView.tr === next) next = next.nextElementSibling;
      else this.#body.insertBefore(rowView.tr, next);
    }
    this.#reachable();
    return count;
  }

  get isEmpty() {
    return this.#rows.size === 0;
  }

  /** Names of referenced records have changed. */
  drawRefs() {
    for (const rowView of this.#rows.values()) rowView.drawRefs();
  }

  /** Other users have come, moved or gone. */
  drawVisitors() {
    for (const rowView of this.#rows.values()) rowView.drawVisitors();
  }

  /** Leads to a record, if it is shown. @param {string} id */
  show(id) {
    const tr = this.#rows.get(id)?.tr;
    tr?.scrollIntoView({ block: 'center' });
    if (tr?.cells[0]) this.#go(tr.cells[0]);
  }

  /**
   * @param {string} id
   * @param {RowView} rowView
   * @returns {number} records that are gone now
   */
  #remove(id, rowView) {
    if (rowView.tr.dataset.gone !== undefined) return 0;
    const away = () => {
      this.#rows.delete(id);
      const { tr } = rowView;
      const neighbour = /** @type {HTMLTableRowElement | null} */ (tr.nextElementSibling ?? tr.previousElementSibling);
      const column = [...tr.cells].findIndex((cell) => cell.contains(document.activeElement));
      tr.remove();
      if (column >= 0 && neighbour) this.#go(neighbour.cells[column]);
      this.#reachable();
    };
    const edited = rowView.gone(() => {
      away();
      this.#context.left();
    });
    if (!edited) away();
    return 1;
  }

  /** @param {HTMLElement} target */
  #focused(target) {
    const cell = target.closest('td');
    if (!cell) return;
    for (const rowView of this.#rows.values()) if (rowView.tr === cell.parentElement) rowView.place(cell);
    if (cell === this.#current) return;
    if (this.#current) this.#current.tabIndex = -1;
    cell.tabIndex = 0;
    this.#current = cell;
  }

  /** Some cell is always reachable by Tab. */
  #reachable() {
    if (this.#current?.isConnected) return;
    const first = this.#body.rows[0]?.cells[0];
    if (first) first.tabIndex = 0;
    this.#current = first ?? null;
  }

  /** @param {HTMLElement | undefined} cell */
  #go(cell) {
    cell?.focus({ preventScroll: false });
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const cell = event.target instanceof HTMLElement ? event.target.closest('td') : null;
    const tr = cell?.parentElement;
    if (!cell || !(tr instanceof HTMLTableRowElement) || event.altKey) return;
    const whole = event.ctrlKey || event.metaKey;
    const { rows } = this.#body;
    const [row, column, last] = [tr.sectionRowIndex, cell.cellIndex, tr.cells.length - 1];
    /** @type {Record<string, [number, number] | undefined>} */
    const moves = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      PageUp: [Math.max(0, row - 10), column],
      PageDown: [Math.min(rows.length - 1, row + 10), column],
      Home: [whole ? 0 : row, 0],
      End: [whole ? rows.length - 1 : row, last],
    };
    const move = moves[event.key];
    if (move) this.#go(rows[move[0]]?.cells[move[1]]);
    else if (event.key === 'Enter' || event.key === 'F2') cell.dispatchEvent(new CustomEvent('activate'));
    else return;
    event.preventDefault();
  }
}

/** One record. */
class RowView {
  tr = element('tr');
  #row;
  /** The newest that the list gave, drawn or not. */
  #latest;
  #columns;
  #context;
  #visitors = element('span', { class: 'visitors' });
  /** @type {Map<string, CellEditor>} by field */
  #editors = new Map();
  /** Version that our own write made, until it comes back: older words are not shown over it. */
  #ahead = 0;
  /** @type {(() => void) | null} */
  #away = null;

  /**
   * @param {Row} row
   * @param {Field[]} columns
   * @param {Context} context
   */
  constructor(row, columns, context) {
    this.#row = this.#latest = row;
    this.#columns = columns;
    this.#context = context;
    for (const field of columns) {
      const open = () => this.#edit(field);
      const readonly = field.readonly ?? false;
      this.tr.append(
        element('td', { role: 'gridcell', tabindex: -1, 'aria-readonly': readonly, activate: open, dblclick: open }),
      );
    }
    const remove = () => this.#context.remove(this.#row);
    const name = nameOf(context.entity, row);
    const button = element(
      'button',
      { type: 'button', class: 'quiet', tabindex: -1, 'aria-label': `Delete ${name}`, click: remove },
      'Delete',
    );
    const copy = copyButton(row.id, `Copy the id of ${name}`, 'Copy id');
    this.tr.append(element('td', { role: 'gridcell', tabindex: -1, activate: remove }, this.#visitors, copy, button));
    columns.forEach((_, at) => this.#draw(at));
    this.drawVisitors();
  }

  /** Who else is here, and in which field they write. */
  drawVisitors() {
    const visitors = this.#context.visitors(this.#row.id);
    if (visitors.length === 0 && this.#visitors.childElementCount === 0) return;
    const does = (/** @type {import('./here.js').Visitor} */ { field, writes }) =>
      writes && field ? `edits ${labelOf(field)}` : 'is here';
    this.#visitors.replaceChildren(...visitors.map((visitor) => avatar(visitor.person, does(visitor))));
    this.#columns.forEach(({ name }, at) => {
      const writer = visitors.find(({ field, writes }) => writes && field === name);
      const cell = this.tr.cells[at];
      cell.classList.toggle('theirs', writer !== undefined);
      if (writer) cell.dataset.who = writer.person.name || writer.person.id;
      else delete cell.dataset.who;
    });
  }

  /** Where in this record the user is: the field of a cell, and whether they write. @param {Element} cell */
  place(cell) {
    const field = this.#columns[[...this.tr.cells].findIndex((td) => td.contains(cell))]?.name ?? null;
    this.#context.go(this.#row.id, field, field !== null && this.#editors.has(field));
  }

  /**
   * @param {Row} row
   * @returns {boolean} whether another user changed anything
   */
  update(row) {
    this.#latest = row;
    if (row === this.#row) return false;
    const own = row.version <= this.#ahead;
    const before = this.#row;
    // The same version with other fields is no older word: a field may have become hidden.
    if (row.version < this.#ahead && row.version !== before.version) return false;
    this.#row = row;
    this.#columns.forEach((field, at) => {
      if (same(before[field.name], row[field.name])) return;
      if (this.#draw(at) && !own && field !== UPDATED) mark(this.tr.cells[at]);
    });
    for (const editing of this.#editors.values()) editing.update(row);
    const name = nameOf(this.#context.entity, row);
    const [, copy, remove] = this.tr.cells[this.#columns.length].children;
    copy?.setAttribute('aria-label', `Copy the id of ${name}`);
    remove?.setAttribute('aria-label', `Delete ${name}`);
    return !own;
  }

  drawRefs() {
    this.#columns.forEach(({ type }, at) => type === 'ref' && this.#draw(at));
  }

  /**
   * The record was deleted.
   *
   * @param {() => void} away Called when its last editor closes.
   * @returns {boolean} whether a user does
   */
  gone(away) {
    if (this.#editors.size === 0) return false;
    this.tr.dataset.gone = '';
    this.#away = away;
    for (const editing of this.#editors.values()) editing.update(null);
    return true;
  }

  /** It is there again, such as after a login. @param {Row} row */
  returned(row) {
    if (this.tr.dataset.gone === undefined) return;
    delete this.tr.dataset.gone;
    this.#away = null;
    for (const editing of this.#editors.values()) editing.update(row);
  }

  /**
   * @param {number} at
   * @returns {boolean} false when the cell is being edited
   */
  #draw(at) {
    const field = this.#columns[at];
    if (this.#editors.has(field.name)) return false;
    this.tr.cells[at].replaceChildren(view(field, this.#row[field.name], this.#context.refs));
    return true;
  }

  /** @param {Field} field */
  #edit(field) {
    if (field.readonly || this.#editors.has(field.name)) return;
    const at = this.#columns.indexOf(field);
    const editing = new CellEditor(this.tr.cells[at], field, this.#row, {
      refs: this.#context.refs,
      save: (patch, ifMatch) => this.#save(patch, ifMatch),
      close: (focus) => {
        this.#editors.delete(field.name);
        this.#context.go(this.#row.id, field.name, false);
        this.#draw(at);
        if (focus) this.tr.cells[at].focus({ preventScroll: true });
        if (this.#editors.size === 0) this.#away?.();
      },
    });
    this.#editors.set(field.name, editing);
    this.#context.go(this.#row.id, field.name, true);
  }

  /**
   * @param {object} patch
   * @param {number} ifMatch
   */
  async #save(patch, ifMatch) {
    // The change often comes back by the socket before the answer does.
    this.#ahead = ifMatch + 1;
    try {
      const row = await this.#context.save(this.#row.id, patch, ifMatch);
      if (row.version > this.#row.version) this.update(row);
      return row;
    } catch (error) {
      this.#ahead = 0;
      this.update(this.#latest);
      throw error;
    }
  }
}

/** Lets something changed fade. @param {HTMLElement} changed */
function mark(changed) {
  changed.classList.remove('changed');
  // Reading a size makes the browser notice that the class was gone, so that the fade starts again.
  void changed.offsetWidth;
  changed.classList.add('changed');
  changed.addEventListener('animationend', () => changed.classList.remove('changed'), { once: true });
}
