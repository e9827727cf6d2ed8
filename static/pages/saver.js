/**
 * Saves the changed fields of a record, over the version that the user has seen. When others changed the same fields meanwhile, the
 * user decides.
 */
import { collision } from '/static/verdicts.js';

/** How often a save is repeated when only other fields of the record changed under it. */
const REBASES = 5;

/**
 * @param {object} context
 * @param {import('../api.js').Api} context.api
 * @param {import('./fields.js').Entity} context.entity
 * @param {string} context.id
 * @param {import('./fields.js').Refs} context.refs
 * @param {import('../lease.js').Lease} context.lease
 * @param {() => string | null} context.by
 */
export function saver({ api, entity, id, refs, lease, by }) {
  /** @param {Record<string, any>} patch @param {number} version @returns {Promise<import('./fields.js').Row>} */
  const send = async (patch, version) => {
    if (lease.fence === null) return api.update(entity.plural, id, patch, { ifMatch: version });
    /** @type {any} */
    const op = { op: 'update', entity: entity.name, id, data: patch, version, lease: lease.fence };
    try {
      const { results } = await api.batch([op]);
      return /** @type {import('./fields.js').Row} */ (results[0].record);
    } catch (given) {
      const error = /** @type {any} */ (given);
      // The fields of a batch are named with the place of their operation.
      if (error.errors) error.errors = error.errors.map((/** @type {{field: string}} */ { field, ...told }) => ({ ...told, field: field.replace(/^ops\[0\]\./, '') }));
      throw error;
    }
  };

  /**
   * @param {Record<string, any>} patch
   * @param {Record<string, any>} base The fields as the user saw them.
   * @param {number} version
   * @param {number} [tries]
   * @returns {Promise<import('./fields.js').Row | null>} Null: the user has not decided.
   */
  return async function save(patch, base, version, tries = REBASES) {
    try {
      return await send(patch, version);
    } catch (given) {
      const error = /** @type {any} */ (given);
      const current = error.code === 'VERSION_CONFLICT' ? error.current : null;
      if (!current || tries === 0) throw error;
      const both = collision(base, patch, current);
      if (!both) return save(patch, base, current.version, tries - 1);
      // Not in quotes: these bytes are no part of a first page.
      const { compare } = await import(`/static/pages/compare.js`);
      const chosen = await compare(both, entity.fields, refs, by());
      if (!chosen) return null;
      const rest = Object.entries(patch).filter(([name]) => !(name in both.mine));
      const next = { ...Object.fromEntries(rest), ...chosen };
      if (Object.keys(next).length === 0) return current;
      return save(next, { ...base, ...both.theirs }, current.version, tries - 1);
    }
  };
}
