/**
 * The live table: draws the rows that the window shows, by id, touches only what changed, and moves by the keys of a grid. Rows
 * that others add wait while the user points at a row, edits or is scrolled, so that nothing jumps under the pointer.
 */
import { element } from './dom.js';
import { labelOf } from './fields.js';
import { Layout, ROW } from './layout.js';
import { mark } from './mark.js';
import { noteRow } from './note.js';
import { RowView } from './row.js';

/**
 * @typedef {import('./fields.js').Field} Field
 * @typedef {import('./fields.js').Row} Row
 * @typedef {import('../mutation.js').Mutation} Mutation
 * @typedef {{added: number, changed: number, removed: number}} Counts
 *
 * @typedef {import('./row.js').Context & {
 *   drawn: () => void,
 *   need: (rows: number) => void,
 *   held: (rows: number) => void,
 *   tell: (counts: Counts) => void,
 *   sort: (field: string) => void,
 *   compare: (mutation: Mutation) => void,
 * }} GridContext `drawn`: the table shows what the list has. `need`: so many rows are wanted. `held`: so many new ones wait. `tell`: what others changed.
 */

/** Widths of columns in pixels, by type. @type {Record<string, number>} */
const WIDTHS = { text: 210, int: 96, float: 96, bool: 90, enum: 112, date: 118, datetime: 118, uuid: 130, ref: 150, json: 150 };
const ACTIONS = matchMedia('(max-width: 600px)').matches ? 48 : 128;
/** A page up or down. */
const PAGE = 10;

export class Grid {
  #scroll;
  #table;
  #context;
  /** @type {Field[]} */
  #columns = [];
  #cols = element('colgroup');
  #head = element('thead');
  #body = element('tbody');
  /** @type {Row[]} What the list has. */
  #latest = [];
  /** @type {Row[]} What the table shows of it, in the order that it shows. */
  #shown = [];
  /** Rows that the list has beyond those that are loaded. */
  #unread = 0;
  /** Drawn now. @type {Map<string, RowView>} */
  #views = new Map();
  /** @type {Map<string, Mutation>} The refused change of a record. */
  #refused = new Map();
  /** @type {Map<string, {mutation: Mutation, state: string, tr: HTMLTableRowElement}>} */
  #notes = new Map();
  #layout = new Layout(0, []);
  /** Rows that this user has just made: they do not wait. @type {Set<string>} */
  #awaited = new Set();
  /** Rows that are to be marked as new when they are drawn. @type {Set<string>} */
  #fresh = new Set();
  #quiet = true;
  #waits = false;
  #pointed = false;
  /** The cell that Tab reaches. */
  #current = { id: '', at: 0, column: 0 };

  /**
   * @param {HTMLElement} scroll The frame that scrolls.
   * @param {HTMLTableElement} table
   * @param {GridContext} context
   */
  constructor(scroll, table, context) {
    this.#scroll = scroll;
    this.#table = table;
    this.#context = context;
    table.append(this.#cols, this.#head, this.#body);
    table.addEventListener('keydown', (event) => this.#key(event));
    table.addEventListener('focusin', (event) => this.#focused(/** @type {HTMLElement} */ (event.target)));
    table.addEventListener('focusout', ({ relatedTarget }) => {
      if (table.contains(/** @type {Node | null} */ (relatedTarget)) || this.isEdited) return;
      context.go(null, null, false);
    });
    const points = (/** @type {boolean} */ pointed) => (/** @type {PointerEvent} */ { pointerType }) => {
      this.#pointed = pointed && pointerType === 'mouse';
      this.#settle();
    };
    this.#body.addEventListener('pointerenter', points(true));
    this.#body.addEventListener('pointerleave', points(false));
    scroll.addEventListener('scroll', () => this.#soon(), { passive: true });
    new ResizeObserver(() => this.#soon()).observe(scroll);
  }

  /** @param {Field[]} columns @param {string} sort @param {(field: Field) => boolean} sortable */
  setColumns(columns, sort, sortable) {
    this.#columns = columns;
    const width = (/** @type {Field} */ { type }) => WIDTHS[type] ?? WIDTHS.text;
    const cols = columns.map((field) => colOf(width(field)));
    this.#cols.replaceChildren(...cols, colOf(ACTIONS));
    this.#table.style.minWidth = `${columns.reduce((sum, field) => sum + width(field), ACTIONS)}px`;
    const heads = columns.map((field) => {
      const { name } = field;
      const order = sort === name ? 'ascending' : sort === `-${name}` ? 'descending' : null;
      const label = sortable(field) ? element('button', { type: 'button', class: 'sort', click: () => this.#context.sort(name) }, labelOf(name)) : labelOf(name);
      return element('th', { scope: 'col', 'aria-sort': order }, label);
    });
    const actions = element('th', { scope: 'col' }, element('span', { class: 'hidden' }, 'Actions'));
    this.#head.replaceChildren(element('tr', {}, ...heads, actions));
    this.clear();
  }

  /** Another list is about to be shown. */
  clear() {
    this.#views.clear();
    this.#notes.clear();
    this.#fresh.clear();
    this.#body.replaceChildren();
    this.#latest = this.#shown = [];
    this.#quiet = true;
    this.#scroll.scrollTop = 0;
    this.#soon();
  }

  get isEmpty() {
    return this.#shown.length === 0;
  }

  get isEdited() {
    return [...this.#views.values()].some(({ isEdited }) => isEdited);
  }

  /** @param {string} id */
  view(id) {
    return this.#views.get(id);
  }

  /**
   * @param {Row[]} rows in their order
   * @param {number} unread How many there are beyond.
   * @param {boolean} quiet Nothing of it is news: it was read, not heard.
   */
  update(rows, unread, quiet) {
    this.#latest = rows;
    this.#unread = unread;
    this.#quiet ||= quiet;
    this.#soon();
  }

  /** This user has made a record, which is shown wherever it belongs. @param {string} id */
  expect(id) {
    this.#awaited.add(id);
    this.#soon();
  }

  /** Shows the rows that wait. */
  release() {
    this.#scroll.scrollTop = 0;
    this.#pointed = false;
    this.#soon();
  }

  /** Changes that were refused have come or gone. @param {Mutation[]} refused */
  refuse(refused) {
    this.#refused = new Map(refused.filter(({ changes }) => changes[0].op === 'update').map((mutation) => [mutation.id, mutation]));
    this.#soon();
  }

  /** Names of referenced records have changed. */
  drawRefs() {
    for (const view of this.#views.values()) view.drawRefs();
  }

  /** Other users have come, moved or gone. */
  drawVisitors() {
    for (const view of this.#views.values()) view.drawVisitors();
  }

  /** Leads to a record, if it is loaded. @param {string} id */
  show(id) {
    this.#draw();
    const at = this.#shown.findIndex((row) => row.id === id);
    if (at >= 0) this.#go(at, 0);
  }

  // Drawing: once for everything that happens before the next picture.

  #soon() {
    if (this.#waits) return;
    this.#waits = true;
    // A hidden page draws nothing; its rows are drawn when it is looked at.
    requestAnimationFrame(() => this.#draw());
  }

  /** Rows must not move at the moment. */
  get #holds() {
    return this.#pointed || this.isEdited || this.#scroll.scrollTop > 0;
  }

  #settle() {
    if (!this.#holds) this.#soon();
  }

  #draw() {
    this.#waits = false;
    const counts = { added: 0, changed: 0, removed: 0 };
    this.#merge(counts);
    const places = new Map();
    if (this.#refused.size > 0) this.#shown.forEach(({ id }, at) => this.#refused.has(id) && places.set(id, at));
    const loaded = this.#shown.length;
    this.#layout = new Layout(loaded + this.#unread, [...places.values()]);
    const { scrollTop, clientHeight } = this.#scroll;
    const [from, to] = this.#layout.window(scrollTop, clientHeight);
    this.#place(from, to, counts);
    if (to > loaded && this.#unread > 0) this.#context.need(to);
    this.#table.setAttribute('aria-rowcount', String(this.#layout.count + 1));
    if (!this.#quiet) this.#context.tell(counts);
    this.#quiet = false;
    this.#context.drawn();
  }

  /** Takes what the list has into the table, or lets it wait. @param {Counts} counts */
  #merge(counts) {
    const latest = this.#latest;
    const before = this.#shown;
    const stays = latest.length === before.length && latest.every(({ id }, at) => id === before[at].id);
    if (stays) {
      this.#shown = latest;
      this.#context.held(0);
      return;
    }
    const known = new Set(before.map(({ id }) => id));
    const now = new Map(latest.map((row) => [row.id, row]));
    const kept = before.flatMap(({ id }) => now.get(id) ?? this.#pinned(id));
    counts.removed = before.filter(({ id }) => !now.has(id) && !this.#views.get(id)?.isGone).length;
    const own = [...this.#awaited].filter((id) => now.has(id));
    const waits = this.#holds && kept.length > 0 && own.length === 0;
    let end = latest.length - 1;
    while (end >= 0 && !known.has(latest[end].id)) end--;
    // What follows the last known row moves none.
    this.#shown = waits ? [...kept, ...latest.slice(end + 1)] : this.#withPinned(latest, kept);
    const added = latest.filter(({ id }) => !known.has(id));
    this.#context.held(waits ? added.length - (latest.length - end - 1) : 0);
    if (!this.#quiet) {
      counts.added = added.length;
      if (added.length < 100) for (const { id } of added) this.#fresh.add(id);
    }
    for (const id of own) {
      this.#awaited.delete(id);
      const at = this.#shown.findIndex((row) => row.id === id);
      queueMicrotask(() => this.#reveal(at));
    }
  }

  /** A deleted record that is being edited stays where it is. @param {string} id @returns {Row[]} */
  #pinned(id) {
    const view = this.#views.get(id);
    if (!view) return [];
    if (view.isGone) return [view.row];
    const away = () => {
      this.#shown = this.#shown.filter((row) => row.id !== id);
      this.#soon();
      this.#context.left();
    };
    return view.gone(away) ? [view.row] : [];
  }

  /** @param {Row[]} latest @param {Row[]} kept */
  #withPinned(latest, kept) {
    const gone = kept.flatMap(({ id }, at) => (this.#views.get(id)?.isGone ? [{ row: kept[at], at }] : []));
    if (gone.length === 0) return latest;
    const rows = [...latest];
    for (const { row, at } of gone) if (!rows.some(({ id }) => id === row.id)) rows.splice(at, 0, row);
    return rows;
  }

  /** @param {number} from @param {number} to @param {Counts} counts */
  #place(from, to, counts) {
    const rows = this.#shown;
    const places = Array.from({ length: to - from }, (_, i) => from + i);
    // A row with an editor or the focus stays in the page, wherever the window is.
    for (const [id, view] of this.#views) {
      if (!view.isEdited && !view.tr.contains(document.activeElement)) continue;
      const at = rows.findIndex((row) => row.id === id);
      if (at >= 0 && (at < from || at >= to)) places.push(at);
    }
    places.sort((a, b) => a - b);
    /** @type {HTMLElement[]} */
    const nodes = [];
    const wanted = new Set();
    let y = 0;
    for (const at of places) {
      const top = this.#layout.top(at);
      if (top > y) nodes.push(spacer(top - y));
      y = this.#layout.top(at + 1);
      const row = rows[at];
      if (!row) {
        nodes.push(unread(this.#columns.length + 1, at));
        continue;
      }
      wanted.add(row.id);
      nodes.push(this.#viewOf(row, at, counts).tr);
      const mutation = this.#refused.get(row.id);
      if (mutation) nodes.push(this.#noteOf(mutation));
    }
    const bottom = this.#layout.top(this.#layout.count);
    if (bottom > y) nodes.push(spacer(bottom - y));
    const focused = /** @type {HTMLElement | null} */ (document.activeElement);
    const within = this.#body.contains(focused);
    const lost = this.#dropped(wanted, focused);
    let next = this.#body.firstElementChild;
    const keep = new Set(nodes);
    for (const node of nodes) {
      while (next && !keep.has(/** @type {HTMLElement} */ (next))) {
        const gone = next;
        next = next.nextElementSibling;
        gone.remove();
      }
      if (node === next) next = next.nextElementSibling;
      else this.#body.insertBefore(node, next);
    }
    while (next) {
      const gone = next;
      next = next.nextElementSibling;
      gone.remove();
    }
    if (lost >= 0 && rows.length > 0) this.#go(Math.min(lost, rows.length - 1), this.#current.column);
    // A row that has moved has lost the focus.
    else if (within && focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
    this.#reachable();
  }

  /**
   * Lets go of the rows that are no longer drawn.
   *
   * @param {Set<string>} wanted
   * @param {Element | null} focused
   * @returns {number} Where the row with the focus was, when it is gone; -1 otherwise.
   */
  #dropped(wanted, focused) {
    let lost = -1;
    for (const [id, view] of this.#views) {
      if (wanted.has(id)) continue;
      if (view.tr.contains(focused)) lost = placeOf(view.tr);
      this.#views.delete(id);
    }
    for (const id of this.#notes.keys()) if (!this.#refused.has(id)) this.#notes.delete(id);
    return lost;
  }

  /** @param {Row} row @param {number} at @param {Counts} counts */
  #viewOf(row, at, counts) {
    let view = this.#views.get(row.id);
    if (!view) {
      view = new RowView(row, this.#columns, this.#context, () => this.#settle());
      this.#views.set(row.id, view);
      if (this.#fresh.has(row.id)) mark(view.tr, this.#context.meta(row.id).by);
    } else if (view.isGone) {
      if (this.#latest.some(({ id }) => id === row.id)) view.returned(row);
    } else if (view.update(row)) counts.changed++;
    this.#fresh.delete(row.id);
    view.tr.setAttribute('aria-rowindex', String(at + 2));
    view.drawState();
    return view;
  }

  /** @param {Mutation} mutation */
  #noteOf(mutation) {
    const { id, state } = mutation;
    const known = this.#notes.get(id);
    if (known?.mutation === mutation && known.state === state) return known.tr;
    const edit = () => {
      const [name, typed] = Object.entries(mutation.changes[0].data ?? {})[0] ?? [];
      const field = this.#columns.find((each) => each.name === name);
      mutation.discard();
      if (field) this.#views.get(id)?.edit(field, typed);
    };
    const tr = noteRow(mutation, this.#columns.length + 1, { edit, compare: this.#context.compare });
    this.#notes.set(id, { mutation, state, tr });
    return tr;
  }

  // Moving.

  /** A dialog has closed. It cannot give the focus back to a row that has gone meanwhile: the row in its place gets it. */
  refocus() {
    if (document.activeElement === document.body) this.#go(Math.min(this.#current.at, this.#shown.length - 1), this.#current.column);
  }

  /** Scrolls a row into the window. @param {number} at */
  #reveal(at) {
    const top = this.#layout.top(at);
    const { scrollTop, clientHeight } = this.#scroll;
    const head = this.#head.offsetHeight;
    if (top < scrollTop) this.#scroll.scrollTop = top;
    else if (top + ROW + head > scrollTop + clientHeight) this.#scroll.scrollTop = top + ROW + head - clientHeight;
  }

  /** @param {number} at @param {number} column */
  #go(at, column) {
    const row = this.#shown[at];
    if (!row) return;
    this.#reveal(at);
    if (!this.#views.has(row.id)) this.#draw();
    const cells = this.#views.get(row.id)?.tr.cells;
    cells?.[Math.max(0, Math.min(column, cells.length - 1))].focus({ preventScroll: true });
    this.#inFrame(cells?.[column]);
  }

  /** A cell that is cut off at the side. @param {HTMLElement | undefined} cell */
  #inFrame(cell) {
    if (!cell) return;
    const { offsetLeft, offsetWidth } = cell;
    const { scrollLeft, clientWidth } = this.#scroll;
    if (offsetLeft < scrollLeft) this.#scroll.scrollLeft = offsetLeft;
    else if (offsetLeft + offsetWidth > scrollLeft + clientWidth) this.#scroll.scrollLeft = offsetLeft + offsetWidth - clientWidth;
  }

  /** @param {HTMLElement} target */
  #focused(target) {
    const cell = target.closest('td');
    const found = cell && [...this.#views].find(([, { tr }]) => tr === cell.parentElement);
    if (!found) return;
    const [id, view] = found;
    view.place(cell);
    this.#current = { id, at: placeOf(view.tr), column: cell.cellIndex };
    this.#reachable();
  }

  /** Some cell is always reachable by Tab. */
  #reachable() {
    const { id, column } = this.#current;
    const first = this.#views.get(id) ?? this.#views.get(this.#shown.find((row) => this.#views.has(row.id))?.id ?? '');
    const cell = first?.tr.cells[Math.min(column, first.tr.cells.length - 1)];
    if (!cell || cell.tabIndex === 0) return;
    for (const other of this.#body.querySelectorAll('td[tabindex="0"]')) /** @type {HTMLElement} */ (other).tabIndex = -1;
    cell.tabIndex = 0;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const cell = event.target instanceof HTMLElement ? event.target.closest('td') : null;
    const tr = cell?.parentElement;
    const found = tr && [...this.#views.values()].find((view) => view.tr === tr);
    if (!cell || !found || event.altKey) return;
    const at = placeOf(tr);
    const whole = event.ctrlKey || event.metaKey;
    const [column, last, rows] = [cell.cellIndex, this.#columns.length, this.#shown.length];
    /** @type {Record<string, [number, number] | undefined>} */
    const moves = {
      ArrowUp: [at - 1, column],
      ArrowDown: [at + 1, column],
      ArrowLeft: [at, column - 1],
      ArrowRight: [at, column + 1],
      PageUp: [Math.max(0, at - PAGE), column],
      PageDown: [Math.min(rows - 1, at + PAGE), column],
      Home: [whole ? 0 : at, 0],
      End: [whole ? rows - 1 : at, last],
    };
    const move = moves[event.key];
    if (move) this.#go(move[0], move[1]);
    else if (event.key === 'Enter' || event.key === 'F2') {
      if (event.target !== cell) return;
      if (whole) cell.querySelector('a')?.click();
      else cell.dispatchEvent(new CustomEvent('activate'));
    } else if (event.key === 'Delete') this.#context.remove(found.row);
    else if (event.key === 'ContextMenu' || (event.key === 'F10' && event.shiftKey)) found.menu();
    else if (event.key === 'o' && !whole) location.assign(this.#context.href(found.row.id));
    else return;
    event.preventDefault();
  }
}

/** Its place in the list. @param {Element} tr */
const placeOf = (tr) => Number(tr.getAttribute('aria-rowindex')) - 2;

/** @param {number} width */
function colOf(width) {
  const col = element('col');
  col.style.width = `${width}px`;
  return col;
}

/** Room of rows that are not drawn. @param {number} height */
function spacer(height) {
  const td = element('td');
  td.style.height = `${height}px`;
  return element('tr', { class: 'space', 'aria-hidden': true }, td);
}

/** A row that is on its way. @param {number} columns @param {number} at */
function unread(columns, at) {
  return element('tr', { class: 'unread', 'aria-rowindex': at + 2 }, element('td', { colspan: columns, role: 'gridcell' }, '…'));
}
