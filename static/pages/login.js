/**
 * `/_/login`: a name and a password.
 */
import { login } from '../auth.js';
import { find, say, words } from './dom.js';

const auth = login();
const form = find('#form');

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const given = new FormData(/** @type {HTMLFormElement} */ (form));
  say(find('#problem'), null);
  try {
    await auth.login(String(given.get('name')), String(given.get('password')));
    location.replace('/_/account');
  } catch (error) {
    say(find('#problem'), words(error));
  }
});
