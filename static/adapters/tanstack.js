/**
 * A live list as a collection of TanStack DB. This file imports none of it: the result goes into `createCollection`.
 */
import { only } from '../env.js';

/**
 * `createCollection(tidewireCollection({ channels, db, entity: 'Task' }))`. The collection shows its own changes until the
 * server has judged; `db` sends them, repeats them and merges them.
 *
 * @param {object} options
 * @param {import('../channels.js').ChannelSubscriber} options.channels
 * @param {import('../optimistic.js').OptimisticManager} options.db
 * @param {string} options.entity
 * @param {import('../query.js').Where} [options.where]
 */
export function tidewireCollection(options) {
  const { channels, db, entity, where } = only('tidewireCollection', options, 'channels db entity where');
  /** One mutation after the other in a transaction; several are a batch. @param {any} transaction @param {(mutation: any) => any} change */
  const send = async (transaction, change) => {
    const { mutations } = transaction;
    await (mutations.length === 1 ? change(mutations[0]) : db.batch(() => mutations.forEach(change)));
  };
  return {
    id: `tidewire:${entity}${where ? JSON.stringify(where) : ''}`,
    getKey: (/** @type {{id: string}} */ row) => row.id,
    sync: {
      /** @param {any} collection */
      sync({ begin, write, commit, markReady }) {
        /** @type {Map<string, any>} */
        let before = new Map();
        const list = channels.list(entity, { where });
        const follow = () => {
          const rows = list.value;
          const now = new Map(rows.map((row) => [row.id, row]));
          begin();
          for (const [id, value] of before) if (!now.has(id)) write({ type: 'delete', value });
          for (const [id, value] of now) if (before.get(id) !== value) write({ type: before.has(id) ? 'update' : 'insert', value });
          commit();
          before = now;
        };
        const stop = list.listen(follow);
        const ready = list.state.subscribe((state) => {
          // One that is refused is ready, too: it is empty, or shows what was known.
          if (state === 'loading' || state === 'stale') return;
          follow();
          markReady();
        });
        return () => {
          stop();
          ready();
          list.close();
        };
      },
      rowUpdateMode: /** @type {const} */ ('full'),
    },
    onInsert: (/** @type {any} */ { transaction }) => send(transaction, ({ modified }) => db.create(entity, modified)),
    onUpdate: (/** @type {any} */ { transaction }) => send(transaction, ({ key, changes }) => db.update(entity, key, changes)),
    onDelete: (/** @type {any} */ { transaction }) => send(transaction, ({ key }) => db.delete(entity, key)),
  };
}
