/**
 * `/_/e/{plural}/{id}`: one record, with a form of its fields, who is at it, and what happened to it.
 */
import { Lease } from '/static/lease.js';
import { PresenceManager } from '/static/presence.js';
import { start } from './app.js';
import { confirmDelete, removeRecord } from './confirm.js';
import { element, find, say, words } from './dom.js';
import { copyButton, labelOf, moment, nameOf } from './fields.js';
import { keys } from './help.js';
import { avatar } from './here.js';
import { pastOf } from './past.js';
import { RecordForm } from './record_form.js';
import { references } from './refs.js';
import { saver } from './saver.js';

const [plural, id] = location.pathname.split('/').filter(Boolean).slice(-2).map(decodeURIComponent);
const list = `/_/e/${encodeURIComponent(plural)}`;
const { api, rt, channels, as, link, refused } = start({ text: labelOf(plural), path: list });

try {
  const { entities } = await api.schema();
  const entity = entities.find((each) => each.plural === plural);
  if (entity) show(entity, entities);
  else say(find('#problem'), `There is no entity at the address ${plural}, or you have no access to it.`);
} catch (error) {
  say(find('#problem'), words(error));
  if (/** @type {import('../api.js').ApiError} */ (error).status === 401) refused();
}

/** @param {import('../api.js').Entity} entity @param {import('../api.js').Entity[]} entities */
function show(entity, entities) {
  const record = channels.record(entity.name, id);
  const refs = references(entity, { api, channels, entities, link });
  const lease = new Lease(rt, entity.name, id);
  const presence = new PresenceManager(rt).join(`${entity.name}/${encodeURIComponent(id)}`, {});
  // Names in the address are for `tidewire dev`, and rules are told to administrators.
  const teaches = as !== null || /** @type {any} */ (entity).access !== undefined;
  const past = pastOf(find('#history'), { api, entity, id, refs, teaches });
  const save = saver({ api, entity, id, refs, lease, by: () => record.meta(id).by });
  const form = new RecordForm(find('#fields'), entity, refs, {
    save: async (patch, base, version) => {
      const saved = await save(patch, base, version);
      if (saved) say(find('#done'), 'Saved.');
      return saved;
    },
    edits: (dirty) => {
      if (!dirty) return void lease.release();
      say(find('#done'), null);
      // The name of its holder stands above the form. One may write all the same, where the schema does not require a lease.
      if (lease.state.value === 'free') lease.acquire().catch(() => {});
    },
    at: (field, writes) => presence.update({ field, writes: writes || null }),
    by: () => record.meta(id).by,
    remove: () => remove(),
  });

  const remove = async () => {
    const row = record.value;
    const done = row && (await confirmDelete(nameOf(entity, row), () => removeRecord({ rt, api, entity }, row.id)));
    if (done) location.assign(link(list));
  };

  const draw = () => {
    const row = record.value;
    const { value: error } = record.error;
    const closed = error?.code === 'UNKNOWN_ENTITY';
    const state = record.state.value;
    const missing = state !== 'loading' && state !== 'stale' && row === null;
    if (row) form.update(row);
    else if (missing) form.gone();
    find('.two').hidden = !row && !form.isDirty;
    const none = form.isDirty
      ? 'This record was deleted, or you no longer have access to it. Copy your text: it cannot be saved.'
      : `There is no record ${id} here, or you may not see it.`;
    say(find('#problem'), closed ? `You have no access to ${plural}.` : error && error.code !== 'NOT_FOUND' ? words(error) : missing || error ? none : null);
    if (closed) refused();
    const name = row ? nameOf(entity, row) : labelOf(plural);
    find('h1').textContent = name;
    document.title = `${name} · ${labelOf(plural)} · Tidewire`;
    if (!row) return;
    find('#json').textContent = JSON.stringify(row, null, 2);
    drawFacts(row, record.meta(id).by);
    past.follow(row.version);
  };
  for (const source of [record, record.state, record.error]) source.listen(draw);
  refs.listen(() => {
    form.drawRefs();
    past.draw();
  });
  const look = () => {
    const others = presence.others.value;
    form.visitors(others);
    find('#here').replaceChildren(...others.map((person) => avatar(person, person.metadata.writes && person.metadata.field ? `edits ${labelOf(person.metadata.field)}` : 'looks at this record')));
    const holder = presence.lease.value?.holder;
    const other = holder && holder !== rt.detail.value.userId ? holder : null;
    const named = other && (presence.users.value.find((user) => user.id === other)?.name ?? other);
    const required = /** @type {any} */ (entity).lease === 'required';
    say(find('#lease'), named && `${named} is editing this. ${required ? 'You can save when they have finished.' : 'You can still write: changes of different fields are merged.'}`);
  };
  for (const source of [presence.others, presence.lease]) source.subscribe(look);
  keys('record');
  related(entity, entities);
  draw();
}

/** @param {import('../rows.js').Row} row @param {string | null} by */
function drawFacts(row, by) {
  const time = (/** @type {string} */ at) => element('time', { datetime: at, title: at }, moment(new Date(at), new Date()));
  /** @type {[string, Node | string][]} */
  const facts = [
    ['Id', copyButton(row.id, `Copy the id ${row.id}`, row.id)],
    ['Version', String(row.version)],
    ['Created', time(row.created_at)],
    ['Updated', by ? element('span', {}, time(row.updated_at), ` by ${by}`) : time(row.updated_at)],
  ];
  find('#facts').replaceChildren(...facts.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]));
}

/** The ways to the records that refer to this one. @param {import('../api.js').Entity} entity @param {import('../api.js').Entity[]} entities */
async function related(entity, entities) {
  const fields = entities.flatMap((other) => other.fields.filter((field) => field.type === 'ref' && field.entity === entity.name).map((field) => ({ other, field })));
  const rows = await Promise.all(
    fields.map(async ({ other, field }) => {
      const { count } = await api.count(other.plural, { [field.name]: { eq: id } });
      const query = new URLSearchParams({ filter: `${field.name}.eq.${id}` });
      const path = link(`/_/e/${encodeURIComponent(other.plural)}`);
      const href = `${path}${path.includes('?') ? '&' : '?'}${query}`;
      return element('li', {}, element('a', { href }, `${labelOf(other.plural)} (${count.toLocaleString()})`), ` by ${labelOf(field.name)}`);
    }).map((asked) => asked.catch(() => null)),
  );
  // What this user may not count is not for them.
  const shown = rows.filter((row) => row !== null);
  find('#related').hidden = shown.length === 0;
  find('#related ul').replaceChildren(...shown);
}
