/**
 * Requests of the inspector, as the user who is logged in or named in the address. It opens no connection of its own, so that it
 * shows only those of others.
 */
import { login } from '/static/auth.js';

const as = new URLSearchParams(location.search).get('as') || null;
const auth = as === null ? login() : undefined;

/** An address of this server, under the same name. @param {string} path */
export const link = (path) => (as === null ? path : `${path}?as=${encodeURIComponent(as)}`);

/** Whether a login would help: no user is known. */
export const isAnonymous = () => auth !== undefined && !auth.user.value;

/**
 * @param {string} path Below `/api/admin/`.
 * @param {Record<string, string | number | null>} [query] What is null or empty is left out.
 * @param {string} [method]
 * @returns {Promise<any>} `null` of an answer without a body. Throws the words of the server.
 */
export async function ask(path, query = {}, method = 'GET') {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...query, as })) if (value !== null && value !== '') params.set(name, String(value));
  const token = await auth?.token();
  const headers = token ? { Authorization: `Bearer ${token}` } : undefined;
  const response = await fetch(`/api/admin/${path}?${params}`, { method, headers }).catch(() => null);
  if (!response) throw new Error('The server does not answer. This page asks again in two seconds.');
  if (response.status === 204) return null;
  const json = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(json.detail ?? `the server answered ${response.status}`), json);
  return json;
}
