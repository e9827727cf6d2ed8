/**
 * `/_/e/{plural}`: one entity as a live table.
 */
import { OptimisticManager } from '/static/optimistic.js';
import { PresenceManager } from '/static/presence.js';
import { announcer } from './announcer.js';
import { start } from './app.js';
import { addressOf, askedOf } from './asked.js';
import { confirmDelete, removeRecord } from './confirm.js';
import { find, say, words } from './dom.js';
import { drawer } from './drawer.js';
import { labelOf, nameOf } from './fields.js';
import { Grid } from './grid.js';
import { keys } from './help.js';
import { whoIsHere } from './here.js';
import { references } from './refs.js';
import { Source } from './source.js';
import { columnsOf, toolbar } from './toolbar.js';

const plural = decodeURIComponent(location.pathname.split('/').filter(Boolean).at(-1) ?? '');
const title = labelOf(plural);
const { api, rt, channels, auth, link, refused } = start(title);
document.title = `${title} · Tidewire`;
find('h1').textContent = title;

try {
  const schema = await api.schema();
  const entity = schema.entities.find((each) => each.plural === plural);
  if (entity) show(entity, schema.entities);
  else say(find('#problem'), `There is no entity at the address ${plural}, or you have no access to it.`);
} catch (error) {
  say(find('#problem'), words(error));
  if (/** @type {import('../api.js').ApiError} */ (error).status === 401) refused();
}

/**
 * @param {import('../api.js').Entity} entity
 * @param {import('../api.js').Entity[]} entities
 */
function show(entity, entities) {
  const db = new OptimisticManager(api, rt, { auth });
  const refs = references(entity, { api, channels, entities, link });
  const presence = new PresenceManager(rt);
  const here = whoIsHere(presence.join(entity.name), find('#here'), () => grid.drawVisitors());
  const href = (/** @type {string} */ id) => link(`/_/e/${encodeURIComponent(plural)}/${encodeURIComponent(id)}`);
  /** Why the last change under a lease was not saved. @type {string | null} */
  let unsaved = null;
  /** The order and the columns that the head shows. */
  let drawn = '';
  /** Records that could not be deleted without the lease of another user. @type {import('./note.js').Refused[]} */
  let kept = [];
  /** What is done with selected rows. @type {Promise<ReturnType<typeof import('./bulk.js').bulkBar> | null> | null} */
  let bar = null;
  /** The last change of what is asked for was a typed letter: the next one is no step for Back of its own. */
  let typing = false;
  let { unknown, ...asked } = askedOf(new URLSearchParams(location.search), entity);
  /** @type {HTMLTableElement} */
  const table = find('#rows');
  const fresh = find('#fresh');
  const grid = new Grid(find('.scroll'), table, {
    entity,
    refs,
    change: (id, patch) => void (leases ? leased(id, patch) : db.update(entity.name, id, patch, { ifMatch: true })),
    meta: (id) => source.meta(id),
    remove: (row) => confirmDelete(nameOf(entity, row), () => removeRecord({ rt, api, entity }, row.id)).then(() => grid.refocus()),
    left: () => describe(),
    href,
    visitors: (id) => here.at(id),
    go: (id, field, writes) => here.go(id, field, writes),
    lease: (id, told) => followLease(presence, `${entity.name}/${encodeURIComponent(id)}`, told),
    drawn: () => describe(),
    need: (rows) => source.need(rows),
    held: (rows) => say(fresh, rows > 0 ? `${rows.toLocaleString()} new ${rows === 1 ? 'row' : 'rows'}: show` : null),
    tell: announcer(find('#news')),
    sort: (name) => tools.sort(name),
    compare: (mutation) => decide(mutation),
    selected,
    removeSelected: () => bulk().then((made) => made?.ask()),
  });
  fresh.addEventListener('click', () => grid.release());

  const source = new Source({ api, rt, channels, entity }, (quiet) => {
    grid.update(source.rows, source.unread, quiet);
    // A refusal is shown although nothing is drawn.
    if (source.rows.length === 0) describe();
  });
  const side = drawer(find('#tools'));
  find('#drawer-title').textContent = `New ${entity.name}`;
  /** @type {Promise<ReturnType<typeof import('./form.js').addForm>> | null} */
  let form = null;
  async function add() {
    const made = async () => {
      // Not in quotes: these bytes are no part of the first page.
      const { addForm } = await import(`/static/pages/form.js`);
      return addForm(find('#add'), {
        entity,
        refs,
        add: (/** @type {object} */ data) => api.create(plural, data),
        added: (/** @type {import('./fields.js').Row} */ row) => {
          if (row.version === undefined) return;
          grid.expect(row.id);
          side.close();
        },
      });
    };
    try {
      await (form ??= made());
      side.open();
    } catch (error) {
      form = null;
      failed(error);
    }
  }
  const tools = toolbar(find('#tools'), { entity, refs, asked, ask, add, exportRows: () => exportRows(null), failed });
  refs.listen(() => {
    grid.drawRefs();
    form?.then(({ drawRefs }) => drawRefs(), () => {});
    tools.draw();
  });
  for (const changes of [db.pending, db.failed]) changes.listen(refuse);
  keys('table', { n: add, '/': () => tools.focusSearch() });

  addEventListener('popstate', () => {
    typing = false;
    ({ unknown, ...asked } = askedOf(new URLSearchParams(location.search), entity));
    tools.set(asked);
    follow();
  });

  /** @param {import('./asked.js').Asked} next @param {boolean} [typed] In the middle of a word: its letters are one step for Back. */
  function ask(next, typed = false) {
    const goesOn = typing && next.find !== asked.find;
    typing = typed;
    asked = next;
    unknown = [];
    const address = addressOf(asked, new URLSearchParams(location.search));
    const search = address.size > 0 ? `?${address}` : '';
    const step = source.asks(asked) && !goesOn;
    history[step ? 'pushState' : 'replaceState'](null, '', location.pathname + search + location.hash);
    follow();
  }

  /** Shows what is asked for now. */
  function follow() {
    const columns = columnsOf(asked, entity);
    const head = `${asked.sort} ${columns.map(({ name }) => name)}`;
    if (head !== drawn) grid.setColumns(columns, asked.sort, sortable);
    else grid.clear();
    drawn = head;
    // Rows that are known already come at once.
    if (!source.ask(asked)) return grid.update(source.rows, source.unread, true);
    // Of other rows, none is selected, and none was refused.
    grid.select([]);
    kept = [];
    unsaved = null;
    for (const mutation of db.failed.value) if (mutation.changes[0].op === 'delete') mutation.discard();
    refuse();
  }

  function refuse() {
    grid.refuse([...db.failed.value, ...kept]);
    describe();
  }

  /** A part of the page could not be loaded. @param {unknown} error */
  function failed(error) {
    unsaved = words(error);
    describe();
  }

  const leases = /** @type {any} */ (entity).lease === 'required';
  function bulk() {
    const made = async () => {
      // Not in quotes: as above.
      const { bulkBar } = await import(`/static/pages/bulk.js`);
      return bulkBar(find('.stage'), {
        entity,
        exportRows,
        clear: () => grid.select([]),
        remove: (/** @type {string} */ id) => db.delete(entity.name, id),
        removeLeased: leases ? (/** @type {string} */ id) => removeRecord({ rt, api, entity }, id) : null,
        kept: (/** @type {import('./note.js').Refused[]} */ rows) => {
          kept = rows;
          refuse();
        },
        closed: () => grid.refocus(),
      });
    };
    bar ??= made().catch((error) => {
      bar = null;
      failed(error);
      return null;
    });
    return bar;
  }

  async function selected(/** @type {Set<string>} */ ids) {
    if (ids.size > 0 || bar) (await bulk())?.draw(source.rows.filter(({ id }) => grid.isSelected(id)));
  }

  /** Shown when the server has it: without the lease it would be refused. @param {string} id @param {Record<string, any>} patch */
  async function leased(id, patch) {
    const row = source.rows.find((each) => each.id === id);
    if (!row) return;
    try {
      const { changeLeased } = await import(`/static/pages/leased.js`);
      await changeLeased({ rt, api, entity, refs }, row, patch, source.meta(id).by);
      unsaved = null;
    } catch (error) {
      unsaved = `${nameOf(entity, row)} was not saved. ${words(error)}`;
    }
    describe();
  }

  let opens = false;
  /** @param {string[] | null} ids Null: all rows. */
  async function exportRows(ids) {
    if (opens) return;
    opens = true;
    try {
      // Not in quotes: as above.
      const { openExport } = await import(`/static/pages/export.js`);
      // A search is not known to the list before.
      await source.first;
      openExport({ api, plural, query: source.query, ids, names: ['id', ...columnsOf(asked, entity).map(({ name }) => name).filter((name) => name !== 'id')] });
    } catch (error) {
      say(find('#problem'), words(error));
    }
    opens = false;
  }

  /** @param {import('../mutation.js').Mutation} mutation */
  async function decide(mutation) {
    const { compare } = await import(`/static/pages/compare.js`);
    const { conflict } = mutation;
    if (!conflict) return mutation.retry();
    const chosen = await compare(conflict, entity.fields, refs, source.meta(mutation.id).by);
    if (chosen === null) return;
    const { id } = mutation;
    mutation.discard();
    if (Object.keys(chosen).length > 0) db.update(entity.name, id, chosen, { ifMatch: true });
  }

  function describe() {
    const { state, error, count, rows } = source;
    const denied = state === 'denied';
    const loading = state === 'loading';
    table.setAttribute('aria-busy', String(state !== 'live'));
    table.hidden = rows.length === 0 && grid.isEmpty;
    const filtered = asked.filters.length > 0 || asked.find !== '';
    const none = filtered ? `No ${plural} match.` : `No ${plural} yet, or none that you may see.`;
    say(find('#empty'), !table.hidden || denied || error ? null : loading ? 'Loading…' : none);
    find('.scroll').hidden = table.hidden;
    tools.close(denied);
    const old = state === 'stale' ? ' · not up to date' : '';
    const total = count === null ? `more than ${rows.length.toLocaleString()}` : count.toLocaleString();
    find('#count').textContent = loading || denied ? '' : `${total} ${count === 1 ? 'row' : 'rows'}${filtered ? (count === 1 ? ' matches' : ' match') : ''}${old}`;
    const closed = error?.code === 'UNKNOWN_ENTITY';
    const held = kept.length + db.failed.value.filter(({ changes }) => changes[0].op === 'delete').length;
    const stays = held > 0 ? `${held.toLocaleString()} ${held === 1 ? 'record was' : 'records were'} not deleted. The reason stands below each.` : null;
    const missing = unknown.length > 0 ? `The address has a filter that ${plural} do not have: ${unknown.join(', ')}.` : null;
    say(find('#problem'), closed ? `You have no access to ${plural}.` : error ? words(error) : unsaved ?? stays ?? missing);
    if (closed) refused();
  }

  follow();
  const wanted = decodeURIComponent(location.hash.slice(1));
  if (wanted) source.first.then(() => grid.show(wanted));
  describe();
}

/** @param {import('./fields.js').Field} field */
function sortable({ type }) {
  return type !== 'json';
}

/**
 * @param {PresenceManager} presence
 * @param {string} resource
 * @param {(holder: string | null) => void} told
 */
function followLease(presence, resource, told) {
  const place = presence.watch(resource);
  const me = () => rt.detail.value.userId;
  const stop = place.lease.subscribe((lease) => {
    const holder = lease && lease.holder !== me() ? lease.holder : null;
    told(holder && (place.users.value.find(({ id }) => id === holder)?.name ?? holder));
  });
  return () => {
    stop();
    place.leave();
  };
}
