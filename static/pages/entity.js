/**
 * `/_/e/{plural}`: one entity as a live table.
 */
import { PresenceManager } from '/static/presence.js';
import { start } from './app.js';
import { element, find, say, words } from './dom.js';
import { labelOf, nameOf } from './fields.js';
import { addForm } from './form.js';
import { whoIsHere } from './here.js';
import { LiveTable } from './table.js';

/** Rows drawn at most. */
const SHOWN = 1000;
/** The live region speaks at most this often. */
const QUIET = 5000;

const plural = decodeURIComponent(location.pathname.split('/').filter(Boolean).at(-1) ?? '');
const title = labelOf(plural);
const { api, rt, channels, refused } = start(title);
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
  const refs = references(entity, entities);
  const ask = confirmation();
  const here = whoIsHere(new PresenceManager(rt).join(entity.name), find('#here'), () => table.drawVisitors());
  /** @type {HTMLTableElement} */
  const grid = find('#rows');
  const table = new LiveTable(grid, {
    entity,
    refs,
    save: (id, patch, ifMatch) => api.update(plural, id, patch, { ifMatch }),
    remove: (row) => ask(nameOf(entity, row), () => api.delete(plural, row.id)),
    left: () => describe(),
    visitors: (id) => here.at(id),
    go: (id, field, writes) => here.go(id, field, writes),
  });
  const form = addForm(find('#add'), { entity, refs, add: (data) => api.create(plural, data) });
  refs.listen(() => {
    table.drawRefs();
    form.drawRefs();
  });

  const list = channels.list(entity.name, { sort: '-created_at' });
  const tell = announcer();
  let drawn = false;
  list.listen((rows) => {
    const counts = table.draw(rows.slice(0, SHOWN), { quiet: !drawn });
    if (drawn) tell(counts);
    if (!drawn && location.hash) table.show(decodeURIComponent(location.hash.slice(1)));
    drawn = true;
  });
  const describe = () => {
    const state = list.state.value;
    const { length } = list.value;
    const loading = state === 'loading';
    const denied = state === 'denied';
    grid.setAttribute('aria-busy', String(state !== 'live'));
    grid.hidden = find('#keys').hidden = table.isEmpty;
    say(
      find('#empty'),
      !table.isEmpty || denied ? null : loading ? 'Loading…' : `No ${plural} yet, or none that you may see.`,
    );
    const shown = length > SHOWN ? `, the newest ${SHOWN.toLocaleString()} shown` : '';
    const old = state === 'stale' ? ' · catching up…' : '';
    find('#add').hidden = denied;
    const rows = `${length.toLocaleString()} ${length === 1 ? 'row' : 'rows'}${shown}${old}`;
    find('#count').textContent = loading || denied ? '' : rows;
    const { value: error } = list.error;
    const closed = error?.code === 'UNKNOWN_ENTITY';
    say(find('#problem'), closed ? `You have no access to ${plural}.` : error && words(error));
    if (closed) refused();
  };
  for (const source of [list, list.state, list.error]) source.listen(describe);
  describe();
}

/**
 * The records that this entity's fields refer to, by name.
 *
 * @param {import('../api.js').Entity} entity
 * @param {import('../api.js').Entity[]} entities
 */
function references(entity, entities) {
  const targets = new Set(entity.fields.filter(({ type }) => type === 'ref').map((field) => field.entity));
  const lists = new Map(
    entities
      .filter(({ name }) => targets.has(name))
      .map((target) => [target.name, { target, list: channels.list(target.name) }]),
  );
  /** @type {Map<string, Map<string, string>>} */
  const names = new Map();
  const read = (/** @type {string} */ name) => {
    const found = lists.get(name);
    if (found) names.set(name, new Map(found.list.value.map((row) => [row.id, nameOf(found.target, row)])));
  };
  return {
    name: (/** @type {string} */ name, /** @type {string} */ id) => names.get(name)?.get(id) ?? `…${id.slice(-8)}`,
    choices: (/** @type {string} */ name) => Array.from(names.get(name) ?? [], ([id, text]) => ({ id, name: text })),
    listen: (/** @type {() => void} */ changed) => {
      for (const [name, { list }] of lists) {
        list.listen(() => {
          read(name);
          changed();
        });
      }
    },
  };
}

/** @returns {(name: string, act: () => Promise<unknown>) => void} asks before it acts; stays open while that fails. */
function confirmation() {
  /** @type {HTMLDialogElement} */
  const dialog = find('#confirm');
  const problem = find('.error', dialog);
  /** @type {HTMLButtonElement} */
  const button = find('.danger', dialog);
  let action = async () => {};
  button.addEventListener('click', async () => {
    button.disabled = true;
    try {
      await action();
      dialog.close();
    } catch (error) {
      say(problem, words(error));
    }
    button.disabled = false;
  });
  return (name, act) => {
    find('h2', dialog).textContent = `Delete “${name}”?`;
    say(problem, null);
    action = async () => void (await act());
    dialog.showModal();
  };
}

/** Tells a screen reader what changed: one sentence for everything within a few seconds. */
function announcer() {
  const news = find('#news');
  const sum = { added: 0, changed: 0, removed: 0 };
  let waiting = false;
  return (/** @type {{added: number, changed: number, removed: number}} */ counts) => {
    sum.added += counts.added;
    sum.changed += counts.changed;
    sum.removed += counts.removed;
    if (waiting || sum.added + sum.changed + sum.removed === 0) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      const parts = Object.entries(sum).filter(([, count]) => count > 0);
      news.replaceChildren(element('span', {}, parts.map(([what, count]) => `${count} ${what}`).join(', ')));
      sum.added = sum.changed = sum.removed = 0;
    }, QUIET);
  };
}
