/**
 * Forms by which users show who they are, and the way to them and back. Knows no page: each says what its form does.
 */
import { element, say, words } from './dom.js';

/** @typedef {{label: string, name: string, [attribute: string]: any}} Input */

/** @type {Input} */
export const NAME = { label: 'Name', name: 'name', autocomplete: 'username', maxlength: 128, autocapitalize: 'none', spellcheck: 'false' };
/** @type {Input} */
export const PASSWORD = { label: 'Password', name: 'password', type: 'password', autocomplete: 'current-password' };
/** @type {Input} */
export const OLD_PASSWORD = { ...PASSWORD, label: 'Old password', name: 'old' };
/** @type {Input} */
export const NEW_PASSWORD = { ...PASSWORD, label: 'New password', autocomplete: 'new-password', minlength: 8 };

/**
 * @param {string} button What it does.
 * @param {Input[]} inputs
 * @param {(given: Record<string, string>) => Promise<void>} act A failure is shown under the form.
 */
export function userForm(button, inputs, act) {
  const problem = element('p', { class: 'error', role: 'alert', hidden: true });
  const submit = element('button', { class: 'primary' }, button);
  const form = element(
    'form',
    { class: 'login' },
    ...inputs.map(({ label, ...attributes }) => element('label', {}, label, element('input', { required: true, ...attributes }))),
    submit,
    problem,
  );
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (submit.disabled) return;
    submit.disabled = true;
    say(problem, null);
    try {
      await act(Object.fromEntries(Array.from(new FormData(form), ([name, value]) => [name, String(value)])));
      form.reset();
    } catch (error) {
      say(problem, words(error));
    }
    submit.disabled = false;
  });
  return form;
}

/** The page from which the user was sent here: an address of this server, or the home page. */
export function wanted() {
  const next = new URLSearchParams(location.search).get('next');
  const url = next !== null && URL.canParse(next, location.origin) ? new URL(next, location.origin) : null;
  // An address of another server would take the user there, with the login fresh in mind.
  return url?.href.startsWith(`${location.origin}/`) ? url.href : '/_/';
}

/** The address of a page that leads back. @param {string} path @param {string | null} [next] */
export function withNext(path, next = new URLSearchParams(location.search).get('next')) {
  return next === null ? path : `${path}?next=${encodeURIComponent(next)}`;
}

/**
 * Links to the issuers at which users of this server can log in.
 *
 * @param {string} back The path to which the login leads back.
 * @param {Record<string, string>} [attributes] Of the links.
 */
export function issuers(back, attributes = {}) {
  const list = element('p', { class: 'actions', hidden: true });
  const link = (/** @type {{title: string, login: string}} */ { title, login }) =>
    element('a', { class: 'button', href: `${login}?return=${encodeURIComponent(back)}`, ...attributes }, `Log in with ${title}`);
  const show = async () => {
    const response = await fetch('/api/auth/issuers', { credentials: 'omit' });
    const { items } = response.ok ? await response.json() : { items: [] };
    list.append(...items.map(link));
    list.hidden = items.length === 0;
  };
  // The password is there all the same.
  show().catch(() => {});
  return list;
}

/** The login, which leads back to this page. */
export function loginAddress() {
  return withNext('/_/login', location.pathname + location.search + location.hash);
}
