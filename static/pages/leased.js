/**
 * A change or the end of a record whose entity requires a lease: it is taken for this alone, and given back. It is loaded when it
 * is needed.
 */
import { Lease } from '/static/lease.js';
import { saver } from './saver.js';

/**
 * Rejects with `LEASE_HELD` while another user holds it.
 *
 * @param {object} context
 * @param {import('../realtime.js').RealtimeClient} context.rt
 * @param {import('../api.js').Api} context.api
 * @param {import('./fields.js').Entity} context.entity
 * @param {import('./fields.js').Refs} context.refs
 * @param {import('./fields.js').Row} row As the user saw it.
 * @param {Record<string, any>} patch
 * @param {string | null} by Who changed it last.
 */
export async function changeLeased({ rt, api, entity, refs }, row, patch, by) {
  const lease = new Lease(rt, entity.name, row.id);
  try {
    await lease.acquire();
    await saver({ api, entity, id: row.id, refs, lease, by: () => by })(patch, row, /** @type {number} */ (row.version));
  } finally {
    lease.close();
  }
}

/**
 * Rejects with `LEASE_HELD` while another user holds it.
 *
 * @param {object} context
 * @param {import('../realtime.js').RealtimeClient} context.rt
 * @param {import('../api.js').Api} context.api
 * @param {import('./fields.js').Entity} context.entity
 * @param {string} id
 */
export async function deleteLeased({ rt, api, entity }, id) {
  const lease = new Lease(rt, entity.name, id);
  try {
    await lease.acquire();
    /** @type {any} */
    const op = { op: 'delete', entity: entity.name, id, lease: lease.fence };
    await api.batch([op]);
  } finally {
    lease.close();
  }
}
