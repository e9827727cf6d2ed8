/**
 * The user of a page: who it is, how to become another one, and what happens when a login ends while the page is used. Knows
 * no records.
 */
import { element, find, say } from './dom.js';
import { issuers, loginAddress, NAME, PASSWORD, userForm } from './entry.js';

/**
 * @typedef {ReturnType<typeof import('../auth.js').login>} Login
 *
 * @typedef {object} UserOptions
 * @property {import('../realtime.js').RealtimeClient} rt
 * @property {import('../channels.js').ChannelSubscriber} channels
 * @property {Login | undefined} auth Unless a name is in the address.
 * @property {string | null} as The name in the address.
 * @property {() => boolean} isBusy Whether to leave the page would lose what the user has typed.
 * @property {(role: string | null | undefined) => void} knowRole Hears the role of the user.
 */

/** @param {UserOptions} options */
export function userOf(options) {
  const { rt, auth, as, isBusy } = options;
  const exit = wayOut();
  const me = element('div', { class: 'who' }, whoAmI(options));
  // Without a token in the request, the server tells of the session in a cookie.
  const names = fetch('/api/auth/me').then(
    async (response) => {
      const known = response.ok ? await response.json() : {};
      if (known.user) auth?.adopt(known);
      return known.names === true;
    },
    () => false,
  );
  // Only `tidewire dev` believes names. A login counts there, too.
  names.then((names) => {
    if (auth) me.append(account(auth, !names, exit));
    if (names) me.append(nameForm(as));
  });
  if (auth) followLogin(auth, isBusy, exit);

  /** What this page shows is refused to an anonymous caller: a login may help. */
  const refused = async () => {
    if (!auth || auth.user.value || (await names)) return;
    if (!isBusy()) exit.go();
  };
  let told = false;
  rt.detail.listen(({ refusal, reason }) => {
    // The badge has room for one word only.
    if (refusal !== null || told) say(find('#problem'), refusal && reason);
    told = refusal !== null;
    if (refusal === 'UNAUTHENTICATED') refused();
  });
  return { me, refused };
}

/**
 * The way to the login page, taken once: a logout is heard by the button, the login's signal and the socket, and each further
 * navigation would break off the one before.
 *
 * @typedef {ReturnType<typeof wayOut>} WayOut
 */
function wayOut() {
  let taken = false;
  // Back from the browser's cache, the page may leave again.
  addEventListener('pageshow', () => void (taken = false));
  return {
    isTaken: () => taken,
    go() {
      if (!taken) location.replace(loginAddress());
      taken = true;
    },
    /** @param {() => Promise<void>} work Done before the page leaves. */
    async after(work) {
      taken = true;
      await work();
      location.assign(loginAddress());
    },
  };
}

/**
 * The ways in and out.
 *
 * @param {Login} auth
 * @param {boolean} needed Whether a login is the only way to have a name.
 * @param {WayOut} exit
 */
function account(auth, needed, exit) {
  const area = element('span', { class: 'who' });
  const leave = () => exit.after(auth.logout);
  // The address changes while the page is used.
  const enter = (/** @type {MouseEvent} */ event) => {
    event.preventDefault();
    location.assign(loginAddress());
  };
  auth.user.subscribe((user) => {
    const inside = [element('a', { href: '/_/account' }, 'Account'), element('button', { type: 'button', click: leave }, 'Log out')];
    const outside = needed ? [element('a', { href: '/_/login', click: enter }, 'Log in')] : [];
    area.replaceChildren(...(user ? inside : outside));
  });
  return area;
}

/**
 * A login that ends here or in another tab takes the records off the screen. What was typed stays: the page asks for the
 * password, and goes on when it is right.
 *
 * @param {Login} auth
 * @param {() => boolean} isBusy
 * @param {WayOut} exit
 */
function followLogin(auth, isBusy, exit) {
  let last = auth.user.value;
  /** @type {HTMLDialogElement | undefined} */
  let dialog;
  auth.user.listen((user) => {
    if (user) {
      // What was typed belongs to the user before. Of an anonymous caller it stays.
      if (user.id !== last?.id && (last || !isBusy())) return location.reload();
      last = user;
    } else if (exit.isTaken() || !isBusy()) return exit.go();
    // Closed, it gives the focus back.
    dialog?.close();
    dialog?.remove();
    dialog = user ? undefined : loginDialog(auth, last?.name ?? '');
  });
}

/** @param {Login} auth @param {string} name */
function loginDialog(auth, name) {
  const form = userForm('Log in', [{ ...NAME, value: name }, { ...PASSWORD, autofocus: true }], async ({ name, password }) => {
    await auth.login(name, password);
  });
  const title = element('h2', { id: 'again' }, 'You are logged out');
  const text = element('p', {}, 'Log in again to go on. What you typed is still here.');
  // In a tab of its own: this one goes on when the login is there.
  const elsewhere = issuers('/_/', { target: '_blank', rel: 'opener' });
  const close = element('button', { type: 'button', class: 'quiet', click: () => dialog.close() }, 'Not now');
  const dialog = element('dialog', { 'aria-labelledby': title.id }, title, text, form, elsewhere, close);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Name and role as the server takes them; a role in the address wins over that of the record.
 *
 * @param {UserOptions} options
 */
function whoAmI({ rt, channels, auth, as, knowRole }) {
  const text = element('span', { class: 'me' }, '…');
  /** @type {string | null | undefined} */
  let shown;
  /** @type {import('../channels.js').LiveRecord | null} */
  let record = null;
  const draw = () => {
    const { userId, everConnected } = rt.detail.value;
    if (!everConnected) return;
    // The server may still look at the token.
    if (userId === null) {
      knowRole(null);
      return text.replaceChildren(auth?.user.value ? '…' : 'You are anonymous');
    }
    const given = as?.startsWith(`${userId}:`) ? as.slice(userId.length + 1) : null;
    const login = auth?.user.value?.id === userId ? auth.user.value : null;
    const role = given ?? record?.value?.role ?? login?.role;
    knowRole(role);
    const name = login ? (record?.value?.name ?? login.name ?? userId) : userId;
    text.replaceChildren('You are ', element('strong', {}, name), role ? `, ${role}` : '');
  };
  rt.detail.subscribe(({ userId, everConnected }) => {
    if (!everConnected || userId === shown) return;
    shown = userId;
    record?.close();
    record = userId === null ? null : channels.record('User', userId);
    record?.listen(draw);
    draw();
  });
  return text;
}

/** A plain form: it loads this page again with `?as=`, and everything starts under that name. @param {string | null} as */
function nameForm(as) {
  const input = element('input', {
    name: 'as',
    value: as ?? '',
    maxlength: 200,
    title: 'A name, or name:role',
    autocomplete: 'off',
    size: 10,
    placeholder: 'anonymous',
  });
  const submit = () => void (input.disabled = input.value === '');
  return element('form', { class: 'who', method: 'get', action: location.pathname, submit }, element('label', {}, 'Switch user ', input), element('button', {}, 'Go'));
}
