/**
 * What the table shows, as it stands in the address of the page: filters, a search, the order, the columns. Who sends the
 * address to another person shows them the same. Knows no page.
 */

/**
 * @typedef {import('../api.js').Entity} Entity
 * @typedef {import('../api.js').Field} Field
 *
 * @typedef {{field: string, op: string, value: string}} Filter
 *
 * @typedef {object} Asked
 * @property {Filter[]} filters All of them must be true.
 * @property {string} find
 * @property {string} sort `title`, or `-title` for descending.
 * @property {string[] | null} columns Null: all of them.
 */

/** The newest first. */
export const DEFAULT_SORT = '-created_at';

/** What every record has beside its fields. @type {Field[]} */
export const OWN_FIELDS = [
  { name: 'id', type: 'text', readonly: true },
  { name: 'created_at', type: 'datetime', readonly: true },
  { name: 'updated_at', type: 'datetime', readonly: true },
];

const TEXT_OPS = ['eq', 'ne', 'contains', 'starts', 'ends', 'null'];
const ORDER_OPS = ['eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'null'];
/** @type {Record<Field['type'], string[]>} */
const OPS = {
  text: TEXT_OPS,
  uuid: ['eq', 'ne', 'starts', 'null'],
  enum: ['eq', 'ne', 'null'],
  bool: ['eq', 'ne', 'null'],
  ref: ['eq', 'ne', 'null'],
  int: ORDER_OPS,
  float: ORDER_OPS,
  date: ORDER_OPS,
  datetime: ['gt', 'gte', 'lt', 'lte', 'null'],
  json: ['null'],
};

/** @type {Record<string, string>} */
export const OP_WORDS = {
  eq: 'is',
  ne: 'is not',
  contains: 'contains',
  starts: 'begins with',
  ends: 'ends with',
  gt: 'is more than',
  gte: 'is at least',
  lt: 'is less than',
  lte: 'is at most',
  null: 'is empty',
};

/** @param {Field} field */
export const operatorsOf = (field) => OPS[field.type] ?? [];

/** @param {Entity} entity @param {string} name */
export const fieldOf = (entity, name) => [...entity.fields, ...OWN_FIELDS].find((field) => field.name === name);

/**
 * @param {URLSearchParams} params
 * @param {Entity} entity
 * @returns {Asked & {unknown: string[]}} `unknown`: filters of the address that this entity does not have. Without them more is shown
 * than was asked for, so the page says so.
 */
export function askedOf(params, entity) {
  /** @type {Filter[]} */
  const filters = [];
  const unknown = [];
  for (const text of params.getAll('filter')) {
    const [, name = '', op = '', value = ''] = /^(\w+)\.(\w+)\.([^]*)$/.exec(text) ?? [];
    const field = fieldOf(entity, name);
    if (field && operatorsOf(field).includes(op)) filters.push({ field: name, op, value });
    else unknown.push(text);
  }
  const sort = params.get('sort') ?? DEFAULT_SORT;
  const sortable = fieldOf(entity, sort.replace(/^-/, '')) !== undefined;
  const columns = params.get('columns')?.split(',').filter((name) => fieldOf(entity, name)) ?? null;
  return { filters, unknown, find: params.get('find') ?? '', sort: sortable ? sort : DEFAULT_SORT, columns: columns?.length ? columns : null };
}

/**
 * @param {Asked} asked
 * @param {URLSearchParams} params Of the page now: what is not ours stays.
 */
export function addressOf({ filters, find, sort, columns }, params) {
  const next = new URLSearchParams([...params].filter(([name]) => !['filter', 'find', 'sort', 'columns'].includes(name)));
  for (const { field, op, value } of filters) next.append('filter', `${field}.${op}.${value}`);
  if (find) next.set('find', find);
  if (sort !== DEFAULT_SORT) next.set('sort', sort);
  if (columns) next.set('columns', columns.join());
  return next;
}

/**
 * The filters as a live list takes them. Two of one field with one operator cannot both be asked: the later one counts.
 *
 * @param {Asked} asked
 * @param {Entity} entity
 * @returns {import('../query.js').Where}
 */
export function whereOf({ filters }, entity) {
  /** @type {Map<string, Map<string, any>>} */
  const where = new Map();
  for (const { field, op, value } of filters) {
    const known = fieldOf(entity, field);
    if (!known) continue;
    const ops = where.get(field) ?? new Map();
    where.set(field, ops.set(op, op === 'null' ? value !== 'false' : typed(known, value)));
  }
  return Object.fromEntries([...where].map(([field, ops]) => [field, Object.fromEntries(ops)]));
}

/** A value as the server takes it. What is no number goes as it is, and the server says so. @param {Field} field @param {string} value */
function typed({ type }, value) {
  if (type === 'bool') return value === 'true';
  if (type !== 'int' && type !== 'float') return value;
  const number = Number(value);
  return value.trim() !== '' && Number.isFinite(number) ? number : value;
}

/**
 * Where a search looks that the server does not offer for this entity: the text that names a record.
 *
 * @param {Entity} entity
 */
export function nameField(entity) {
  const label = entity.fields.find(({ name }) => name === entity.label);
  return label?.type === 'text' ? label : (entity.fields.find(({ type }) => type === 'text') ?? null);
}
