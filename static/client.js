/**
 * Everything for a page in one call, and in one place what most pages use. The server sends it together with all that it imports,
 * as one file. Knows nothing by itself.
 */
import { Api, ApiError } from './api.js';
import { ChannelSubscriber } from './channels.js';
import { only } from './env.js';
import { OptimisticManager } from './optimistic.js';
import { PresenceManager } from './presence.js';
import { OfflineQueue } from './queue.js';
import { OPTIONS, RealtimeClient } from './realtime.js';
import { computed, signal } from './signal.js';

export { Api, ApiError, ChannelSubscriber, OfflineQueue, OptimisticManager, PresenceManager, RealtimeClient, computed, signal };

/**
 * @typedef {object} PageOptions Of the page itself.
 * @property {string} [url] Of the server, when it is not the page's own: `https://tasks.example`.
 * @property {string | null} [as] A name in `tidewire dev`.
 * @property {import('./cache.js').RowCache} [cache] Keeps rows over a reload: `new RowCache({ user })`, with a login `{ user: auth.user }`.
 *
 * @typedef {PageOptions & import('./realtime.js').RealtimeOptions & Pick<import('./optimistic.js').OptimisticOptions, 'queue' | 'conflict' | 'ids'>} ConnectOptions
 * What the connection takes, and of changes what a page decides.
 */

/**
 * Connects to the server, and makes what a page works with: the connection, lists, changes and requests.
 *
 * @param {ConnectOptions} [options]
 */
export function connect(options = {}) {
  const known = `url:string as cache queue conflict ids ${OPTIONS}`;
  const { url = '', as = null, cache, queue, conflict, ids, ...line } = only('connect', options, known);
  const { getToken, auth, linger, apiBase = '/api', env: given } = line;
  const env = url ? { ...given, base: url } : given;
  if (!url && !given?.base && !globalThis.location) throw new TypeError("outside of a page, `connect` needs `url: 'https://…'`");
  const api = new Api(apiBase, { as, getToken, auth, env });
  const rt = new RealtimeClient(`/ws${as === null ? '' : `?as=${encodeURIComponent(as)}`}`, { ...line, env });
  const channels = new ChannelSubscriber(rt, { api, linger, cache, env });
  const db = new OptimisticManager(api, rt, { queue, conflict, ids, auth, env });
  rt.connect();
  const close = () => {
    db.close();
    rt.disconnect();
  };
  return { rt, api, channels, db, close };
}
