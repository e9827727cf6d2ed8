/**
 * `/_/account`: the user's password and sessions. With a link behind `#` it sets a password that was lost.
 */
import { login } from '../auth.js';
import { element, find, say, words } from './dom.js';

const auth = login();
const form = find('#form');
const link = location.hash.slice(1) || undefined;
history.replaceState(null, '', location.pathname);

find('#old').hidden = link !== undefined;
if (!link && !auth.user.value) location.replace('/_/login');
auth.user.listen((user) => user ?? location.replace('/_/login'));
if (!link) show().catch((error) => say(find('#problem'), words(error)));

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const given = new FormData(/** @type {HTMLFormElement} */ (form));
  const password = String(given.get('password'));
  say(find('#problem'), null);
  say(find('#done'), null);
  try {
    if (link) {
      await auth.resetPassword(link, password);
      location.replace('/_/account');
      return;
    }
    await auth.changePassword(String(given.get('old')), password);
    say(find('#done'), 'The password is set, and all other sessions ended.');
    await show();
  } catch (error) {
    say(find('#problem'), words(error));
  }
});

find('#logout').addEventListener('click', () => auth.logout());
find('#others').addEventListener('click', async () => {
  await ask('DELETE', '').catch((error) => say(find('#problem'), words(error)));
  await show();
});

/** @param {string} method @param {string} id */
async function ask(method, id) {
  const headers = { Authorization: `Bearer ${await auth.token()}` };
  const response = await fetch(`/api/auth/sessions${id}`, { method, headers, credentials: 'omit' });
  if (response.status === 401) await auth.logout();
  const json = response.status === 204 ? null : await response.json();
  if (!response.ok) throw Object.assign(new Error(json.detail), json);
  return json;
}

async function show() {
  find('#who').textContent = auth.user.value ? `You are logged in as ${auth.user.value.name}.` : '';
  const { items } = await ask('GET', '');
  find('#list').replaceChildren(...items.map(row));
  find('#sessions').hidden = false;
}

/** @param {{id: string, device: string, seenAt: string, current: boolean}} session */
function row({ id, device, seenAt, current }) {
  const when = `last used ${new Date(seenAt).toLocaleString()}`;
  const end = element('button', { type: 'button', click: () => ask('DELETE', `/${id}`).then(show) }, 'End');
  return element('li', {}, `${device || 'unknown program'}, ${when} `, current ? element('strong', {}, 'this one') : end);
}
