/**
 * `/_/login`, `/_/register` and `/_/account`: one page, whose script shows what its address asks for. The secret of a link
 * stands behind `#` and leaves the address at once.
 */
import { login } from '../auth.js';
import { element, find, say, words } from './dom.js';
import { issuers, NAME, NEW_PASSWORD, OLD_PASSWORD, PASSWORD, userForm, wanted, withNext } from './entry.js';

const auth = login();
const main = find('main');
const link = location.hash.slice(1) || undefined;
history.replaceState(null, '', location.pathname + location.search);

const pages = { login: showLogin, register: showRegistration, account: showAccount };
pages[/** @type {keyof typeof pages} */ (location.pathname.split('/').at(-1))]();

/** @param {string} text @param {string} [lead] */
function head(text, lead) {
  document.title = `${text} · Tidewire`;
  find('h1').textContent = text;
  say(find('#lead'), lead ?? null);
}

/** @param {(Node | string)[]} children */
function note(...children) {
  main.append(element('p', { class: 'muted' }, ...children));
}

function showLogin() {
  head('Log in');
  main.append(userForm('Log in', [NAME, PASSWORD], async ({ name, password }) => {
    await auth.login(name, password);
    location.replace(wanted());
  }));
  const { pathname, search, hash } = new URL(wanted(), location.origin);
  main.append(issuers(pathname + search + hash));
  note('No account? ', element('a', { href: withNext('/_/register') }, 'Register'), ', if this server lets you.');
}

function showRegistration() {
  head('Register', link ? 'Your link lets you make an account, once. Choose a name and a password.' : 'Choose a name and a password.');
  main.append(userForm('Register', [NAME, NEW_PASSWORD], async ({ name, password }) => {
    await auth.register(name, password, link);
    location.replace(wanted());
  }));
  note('You have an account? ', element('a', { href: withNext('/_/login') }, 'Log in'), '.');
}

/** The user's password and sessions. With a link it sets a password that was lost. */
function showAccount() {
  if (link) return showReset(link);
  head('Your account');
  // Another user of another tab has another account.
  let shown = auth.user.value?.id;
  if (shown === undefined) return location.replace(withNext('/_/login', location.pathname));
  auth.user.listen((user) => {
    if (user?.id !== shown) location.replace(user ? location.href : withNext('/_/login', location.pathname));
    shown = user?.id;
  });
  const sessions = element('section', { hidden: true });
  main.append(userForm('Set the password', [OLD_PASSWORD, NEW_PASSWORD], async ({ old, password }) => {
    await auth.changePassword(old, password);
    say(find('#done'), 'The password is set, and all other sessions ended.');
    await showSessions(sessions);
  }), sessions, nameForm());
  showSessions(sessions).catch((error) => say(find('#problem'), words(error)));
}

/** The login name is no field of the record: what others see of the user stays. */
function nameForm() {
  const form = userForm('Set the login name', [{ ...NAME, label: 'New login name' }, PASSWORD], async ({ name, password }) => {
    await auth.rename(name, password);
    say(find('#done'), `From now on you log in as ${name}.`);
  });
  return element('section', {}, element('h2', {}, 'Your login name'), form);
}

/** @param {string} link */
function showReset(link) {
  head('Set your password');
  main.append(userForm('Set the password', [NEW_PASSWORD], async ({ password }) => {
    await auth.resetPassword(link, password);
    location.replace('/_/account');
  }));
}

/** @param {HTMLElement} section */
async function showSessions(section) {
  say(find('#lead'), auth.user.value ? `You are logged in as ${auth.user.value.name}.` : null);
  const { items } = await ask('GET', '');
  const again = () => showSessions(section);
  const act = (/** @type {string} */ path) => () => ask('DELETE', path).then(again).catch((error) => say(find('#problem'), words(error)));
  const row = (/** @type {{id: string, device: string, seenAt: string, current: boolean}} */ { id, device, seenAt, current }) => {
    const when = `last used ${new Date(seenAt).toLocaleString()}`;
    const end = element('button', { type: 'button', click: act(`/${id}`) }, 'End');
    return element('li', {}, element('span', {}, `${device || 'unknown program'}, ${when} `), current ? element('strong', {}, 'this one') : end);
  };
  section.replaceChildren(
    element('h2', {}, 'Where you are logged in'),
    element('ul', { class: 'lines' }, ...items.map(row)),
    element(
      'div',
      { class: 'actions' },
      element('button', { type: 'button', click: act('') }, 'Log out everywhere else'),
      element('button', { type: 'button', click: () => auth.logout() }, 'Log out here'),
    ),
  );
  section.hidden = false;
}

/** @param {string} method @param {string} path */
async function ask(method, path) {
  const send = (/** @type {string | undefined} */ token) =>
    fetch(`/api/auth/sessions${path}`, token ? { method, headers: { Authorization: `Bearer ${token}` }, credentials: 'omit' } : { method });
  let response = await send(await auth.token());
  if (response.status === 401) response = await send(await auth.token({ refresh: true }));
  const json = response.status === 204 ? null : await response.json();
  if (!response.ok) throw Object.assign(new Error(json.detail), json);
  return json;
}
