/**
 * A body that fits a JSON Schema: what a person begins with. Pure.
 */

/** Steps into a schema that refers to itself. */
const DEEPEST = 4;

/** @param {any} document @param {any} one */
export function resolved(document, one) {
  const path = /^#\/(.*)$/.exec(one?.$ref ?? '')?.[1];
  if (path === undefined) return one ?? {};
  return path.split('/').reduce((at, key) => at?.[key.replaceAll('~1', '/').replaceAll('~0', '~')], document) ?? {};
}

/** @param {any} document @param {any} given @param {number} [depth] @returns {any} */
export function exampleOf(document, given, depth = 0) {
  const schema = resolved(document, given);
  if (depth > DEEPEST) return null;
  if (schema.example !== undefined) return schema.example;
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  const [first] = schema.anyOf ?? schema.oneOf ?? schema.allOf ?? [];
  if (first) return exampleOf(document, first, depth + 1);
  const type = Array.isArray(schema.type) ? schema.type.find((/** @type {string} */ one) => one !== 'null') : schema.type;
  if (schema.properties) {
    const required = schema.required?.length > 0 ? schema.required : Object.keys(schema.properties).slice(0, 3);
    return Object.fromEntries(required.map((/** @type {string} */ name) => [name, exampleOf(document, schema.properties[name], depth + 1)]));
  }
  if (type === 'array') return schema.items ? [exampleOf(document, schema.items, depth + 1)] : [];
  if (type === 'object') return {};
  if (type === 'integer' || type === 'number') return schema.minimum ?? 1;
  if (type === 'boolean') return false;
  return schema.format === 'date' ? '2030-01-31' : schema.format === 'date-time' ? '2030-01-31T12:00:00Z' : 'text';
}
