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
import { RealtimeClient } from './realtime.js';
import { computed, signal } from './signal.js';

export { Api, ApiError, ChannelSubscriber, OfflineQueue, OptimisticManager, PresenceManager, RealtimeClient, computed, signal };

/**
 * @typedef {object} ConnectOptions
 * @property {string} [url] Of the server, when it is not the page's own: `https://tasks.example`.
 * @property {string | null} [as] A name in `tidewire dev`.
 * @property {import('./tokens.js').GetToken} [getToken]
 * @property {import('./tokens.js').Auth} [auth] A login, in place of `getToken`.
 * @property {import('./optimistic.js').Queue} [queue] Keeps unsent changes over a reload: `new OfflineQueue({ user })`, with a login `{ user: auth.user }`.
 * @property {import('./cache.js').RowCache} [cache] Keeps rows over a reload: `new RowCache({ user })`, with a login `{ user: auth.user }`.
 * @property {import('./optimistic.js').ConflictPolicy} [conflict]
 * @property {'fallback' | boolean} [shareConnection] True: tabs of one user share one socket.
 * @property {boolean} [enabled] False: no socket, changes are fetched.
 * @property {Partial<import('./env.js').Env>} [env]
 */

/**
 * Connects to the server, and makes what a page works with: the connection, lists, changes and requests.
 *
 * @param {ConnectOptions} [options]
 */
export function connect(options = {}) {
  const known = 'url as getToken auth queue cache conflict enabled shareConnection env';
  const { url = '', as = null, getToken, auth, queue, cache, conflict, enabled, shareConnection, env: given } = only('connect', options, known);
  const env = url ? { ...given, base: url } : given;
  if (!url && !given?.base && !globalThis.location) throw new TypeError("outside of a page, `connect` needs `url: 'https://…'`");
  const api = new Api('/api', { as, getToken, auth, env });
  const rt = new RealtimeClient(`/ws${as === null ? '' : `?as=${encodeURIComponent(as)}`}`, { getToken, auth, enabled, shareConnection, env });
  const channels = new ChannelSubscriber(rt, { api, cache, env });
  const db = new OptimisticManager(api, rt, { queue, conflict, auth, env });
  rt.connect();
  const close = () => {
    db.close();
    rt.disconnect();
  };
  return { rt, api, channels, db, close };
}
