/**
 * `/_/register`: a new account, perhaps by a link. The secret of the link stands behind `#` and leaves the address at once.
 */
import { login } from '../auth.js';
import { find, say, words } from './dom.js';

const auth = login();
const form = find('#form');
const link = location.hash.slice(1) || undefined;
history.replaceState(null, '', location.pathname);
if (link) find('#lead').textContent = 'Your link lets you make an account, once. Choose a name and a password.';

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const given = new FormData(/** @type {HTMLFormElement} */ (form));
  say(find('#problem'), null);
  try {
    await auth.register(String(given.get('name')), String(given.get('password')), link);
    location.replace('/_/account');
  } catch (error) {
    say(find('#problem'), words(error));
  }
});
