/**
 * What the schema says of fields and entities, in words. Pure.
 */

/** @typedef {import('../api.js').Field & Record<string, any>} Field */

/** @type {Record<string, string>} */
const ON_DELETE = {
  restrict: 'a record that is referred to cannot be deleted',
  cascade: 'deleted together with the record that it refers to',
  set_null: 'empty after the record that it refers to is deleted',
};

/** @param {import('../api.js').Field} given */
export function wordsOf(given) {
  /** @type {Field} */
  const field = given;
  const { type, min, max } = field;
  const unit = type === 'text' ? ' characters' : '';
  const told = [
    field.required && 'required',
    field.readonly && 'written by the server alone',
    field.unique && (field.ignore_case ? 'unique, in any case' : 'unique'),
    min !== undefined && max !== undefined ? `${min} to ${max}${unit}` : min !== undefined ? `at least ${min}${unit}` : max !== undefined && `at most ${max}${unit}`,
    field.values && `one of ${field.values.join(', ')}`,
    field.pattern && `matches ${field.pattern}`,
    field.normalize && `stored as ${field.normalize.join(', ')}`,
    field.default !== undefined && `at first ${standard(field)}`,
    field.on_delete && (ON_DELETE[field.on_delete] ?? field.on_delete),
    field.search && 'found by search',
    field.find && 'found by its value',
    field.sequence && (field.sequence === true ? 'numbered' : `numbered for each ${field.sequence}`),
    field.from && `copied from ${field.from}`,
    field.read && `seen by ${whoOf(field.read).replace(/^[A-Z]/, (first) => first.toLowerCase())}`,
  ].filter(Boolean);
  const text = told.join('; ');
  return text === '' ? 'optional' : text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {Field} field */
function standard({ type, default: value }) {
  if (value === null || typeof value !== 'object' || type === 'json') return type === 'text' ? `“${value}”` : JSON.stringify(value);
  return value.from === 'user.id' ? 'the user who adds it' : value.from === 'random' ? 'a random text' : String(value.from);
}

/** What rules often say. @type {Record<string, string>} */
const WHO = {
  true: 'everyone',
  false: 'no one',
  'user != null': 'every user',
  "user.role == 'admin'": 'administrators',
  'owner == user.id': 'the owner',
  'author == user.id': 'the author',
  'id == user.id': 'the user whose record it is',
};

/** @type {Record<string, string>} */
const MAY = { read: 'read a record', list: 'see it in lists', create: 'add one', update: 'change one', delete: 'delete one' };

/** Only administrators are told. @param {Record<string, string | null> | undefined} access */
function accessOf(access) {
  if (!access) return [];
  if (Object.values(access).every((rule) => rule === null)) return ['There are no access rules: in development everyone may do everything, elsewhere no one.'];
  return Object.entries(access).map(([operation, rule]) => `${whoOf(rule)} may ${MAY[operation] ?? operation}.`);
}

/** @param {string | null} rule */
function whoOf(rule) {
  if (rule === null) return 'No one';
  const parts = rule.split('||').map((part) => WHO[part.trim()]);
  const text = parts.every((part) => part !== undefined) ? parts.join(' or ') : `a user for whom ${rule}`;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** @param {import('../api.js').Entity} given */
export function rulesOf(given) {
  /** @type {import('../api.js').Entity & Record<string, any>} */
  const entity = given;
  const rate = entity.rate;
  return [
    ...accessOf(entity.access),
    entity.label && `A record is called by its field ${entity.label}.`,
    ...(entity.unique ?? []).map((/** @type {string[]} */ fields) => `No two records have the same ${fields.join(' and ')}.`),
    entity.expires && `A record is deleted at the time in ${entity.expires}.`,
    entity.history && `The history of a record is kept ${entity.history === 'forever' ? 'forever' : `for ${entity.history}`}.`,
    rate && `One caller writes at most ${typeof rate === 'object' ? JSON.stringify(rate) : rate} times.`,
    entity.lease === 'required' && 'Only the user who holds the lease of a record changes it.',
    entity.activity === false && 'Changes are not shown in the activity.',
    ...(entity.on ?? []).map((/** @type {any} */ { event, then, entity: other }) => `After a ${event}, the server may ${then} records of ${other}.`),
  ].filter((rule) => typeof rule === 'string');
}
