/**
 * The live table: draws the rows that the window shows, by id, touches only what changed, and moves by the keys of a grid. Rows
 * that others add wait while the user points at a row, edits or is scrolled, so that nothing jumps under the pointer.
 */
import { arrange, spacer, unread } from './body.js';
import { element } from './dom.js';
import { headOf } from './head.js';
import { Layout, ROW } from './layout.js';
import { mark } from './mark.js';
import { noteRow } from './note.js';
import { RowView } from './row.js';
import { Selection } from './selection.js';

/**
 * @typedef {import('./fields.js').Field} Field
 * @typedef {import('./fields.js').Row} Row
 * @typedef {import('../mutation.js').Mutation} Mutation
 * @typedef {import('./note.js').Refused} Refused
 * @typedef {{added: number, changed: number, removed: number}} Counts
 *
 * @typedef {import('./row.js').Context & {
 *   drawn: () => void,
 *   need: (rows: number) => void,
 *   held: (rows: number) => void,
 *   tell: (counts: Counts) => void,
 *   sort: (field: string) => void,
 *   compare: (mutation: Mutation) => void,
 *   selected: (ids: Set<string>) => void,
 *   removeSelected: () => void,
 * }} GridContext `drawn`: the table shows what the list has. `need`: so many rows are wanted. `held`: so many new ones wait. `tell`: what others changed.
 */

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
  /** @type {ReturnType<typeof headOf> | null} */
  #top = null;
  #selection = new Selection();
  #body = element('tbody');
  /** @type {Row[]} What the list has. */
  #latest = [];
  /** @type {Row[]} What the table shows of it, in the order that it shows. */
  #shown = [];
  /** Rows that the list has beyond those that are loaded. */
  #unread = 0;
  /** Drawn now. @type {Map<string, RowView>} */
  #views = new Map();
  /** @type {Map<string, Refused>} The refused change of a record. */
  #refused = new Map();
  /** @type {Map<string, {mutation: Refused, state: string, tr: HTMLTableRowElement}>} */
  #notes = new Map();
  #layout = new Layout(0, []);
  /** Rows that this user has just made: they do not wait. @type {Set<string>} */
  #awaited = new Set();
  /** Rows that are to be marked as new when they are drawn. @type {Set<string>} */
  #fresh = new Set();
  #quiet = true;
  #waits = false;
  #pointed = false;
  /** The user asked for the rows that wait. */
  #letIn = false;
  /** The cell that Tab reaches. */
  #current = { id: '', at: 0, column: 1 };

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
    this.#body.addEventListener('click', (event) => this.#clicked(event));
    // A range of rows, and none of text.
    this.#body.addEventListener('mousedown', (event) => event.shiftKey && !this.isEdited && event.preventDefault());
    this.#body.addEventListener('pointerenter', points(true));
    this.#body.addEventListener('pointerleave', points(false));
    scroll.addEventListener('scroll', () => this.#soon(), { passive: true });
    new ResizeObserver(() => this.#soon()).observe(scroll);
  }

  /** @param {Field[]} columns @param {string} sort @param {(field: Field) => boolean} sortable */
  setColumns(columns, sort, sortable) {
    this.#columns = columns;
    const sorted = [...this.#head.querySelectorAll('th')].findIndex((th) => th.contains(document.activeElement));
    const selectAll = (/** @type {boolean} */ all) => this.select(all ? this.#ids : []);
    this.#top = headOf(this.#table, { columns, order: sort, sortable, sort: this.#context.sort, selectAll });
    this.#cols.replaceChildren(...this.#top.cols);
    this.#head.replaceChildren(this.#top.row);
    this.#top.row.cells[sorted]?.querySelector('button')?.focus();
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
    this.#letIn = true;
    this.#scroll.scrollTop = 0;
    this.#pointed = false;
    this.#soon();
  }

  /** Changes that were refused have come or gone. @param {Refused[]} refused */
  refuse(refused) {
    this.#refused = new Map(refused.filter(({ changes }) => changes[0].op !== 'create').map((mutation) => [mutation.id, mutation]));
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

  /** @param {string} id */
  isSelected(id) {
    return this.#selection.ids.has(id);
  }

  /** Selects these rows alone. @param {string[]} ids */
  select(ids) {
    this.#selection.set(ids);
    this.#drawSelection();
  }

  /** Leads to a record, if it is loaded. @param {string} id */
  show(id) {
    this.#draw();
    const at = this.#shown.findIndex((row) => row.id === id);
    if (at >= 0) this.#go(at, 1);
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
    return this.#pointed || this.isEdited || this.#selection.ids.size > 0 || this.#scroll.scrollTop > 0;
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
    const holds = this.#holds && !this.#letIn;
    this.#letIn = false;
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
    if (this.#selection.keep((id) => now.has(id))) queueMicrotask(() => this.#drawSelection());
    const own = [...this.#awaited].filter((id) => now.has(id));
    const waits = holds && kept.length > 0 && own.length === 0;
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
        nodes.push(unread(this.#columns.length + 2, at));
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
    arrange(this.#body, nodes);
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
    view.select(this.#selection.ids.has(row.id));
    view.drawState();
    return view;
  }

  /** @param {Refused} mutation */
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
    const tr = noteRow(mutation, this.#columns.length + 2, { edit, compare: () => this.#context.compare(/** @type {Mutation} */ (mutation)) });
    this.#notes.set(id, { mutation, state, tr });
    return tr;
  }

  // Selecting.

  get #ids() {
    return this.#shown.filter(({ id }) => !this.#views.get(id)?.isGone).map(({ id }) => id);
  }

  /** @param {string} id */
  #toggle(id) {
    this.#selection.toggle(id);
    this.#drawSelection();
  }

  /** @param {string} from @param {string} to */
  #extend(from, to) {
    this.#selection.extend(from, to, this.#ids);
    this.#drawSelection();
  }

  #drawSelection() {
    const { ids } = this.#selection;
    for (const [id, view] of this.#views) view.select(ids.has(id));
    this.#top?.select(ids.size, this.#shown.length);
    this.#context.selected(ids);
    this.#settle();
  }

  /** A box selects its row; with Shift a row ends a range. @param {MouseEvent} event */
  #clicked({ target, shiftKey }) {
    const cell = target instanceof Element ? target.closest('td') : null;
    const found = [...this.#views].find(([, { tr }]) => tr === cell?.parentElement);
    const boxed = cell?.cellIndex === 0;
    if (!cell || !found || (!boxed && (!shiftKey || cell.classList.contains('editing') || /** @type {Element} */ (target).closest('a, button')))) return;
    const [id, { tr }] = found;
    if (shiftKey) this.#extend(this.#current.id, id);
    else this.#toggle(id);
    if (boxed) tr.cells[1].focus({ preventScroll: true });
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
    const cell = cells?.[Math.max(1, Math.min(column, cells.length - 1))];
    cell?.focus({ preventScroll: true });
    this.#inFrame(cell);
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
    this.#current = { id, at: placeOf(view.tr), column: Math.max(1, cell.cellIndex) };
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
    const [column, last, rows] = [cell.cellIndex, this.#columns.length + 1, this.#shown.length];
    /** @type {Record<string, [number, number] | undefined>} */
    const moves = {
      ArrowUp: [at - 1, column],
      ArrowDown: [at + 1, column],
      ArrowLeft: [at, column - 1],
      ArrowRight: [at, column + 1],
      PageUp: [Math.max(0, at - PAGE), column],
      PageDown: [Math.min(rows - 1, at + PAGE), column],
      Home: [whole ? 0 : at, 1],
      End: [whole ? rows - 1 : at, last],
    };
    const move = moves[event.key];
    if (move) {
      const to = this.#shown[move[0]]?.id;
      if (event.shiftKey && to && move[0] !== at) this.#extend(found.row.id, to);
      this.#go(move[0], move[1]);
    } else if (event.key === ' ' && event.target === cell) this.#toggle(found.row.id);
    else if (event.key === 'a' && whole) this.select(this.#ids);
    else if (event.key === 'Escape' && this.#selection.ids.size > 0) this.select([]);
    else if (event.key === 'Enter' || event.key === 'F2') {
      if (event.target !== cell) return;
      if (whole) cell.querySelector('a')?.click();
      else cell.dispatchEvent(new CustomEvent('activate'));
    } else if (event.key === 'Delete') this.#selection.ids.size > 0 ? this.#context.removeSelected() : this.#context.remove(found.row);
    else if (event.key === 'ContextMenu' || (event.key === 'F10' && event.shiftKey)) found.menu();
    else if (event.key === 'o' && !whole) location.assign(this.#context.href(found.row.id));
    else return;
    event.preventDefault();
  }
}

/** Its place in the list. @param {Element} tr */
const placeOf = (tr) => Number(tr.getAttribute('aria-rowindex')) - 2;
