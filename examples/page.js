/**
 * What the example pages share: elements without markup, the sign-in, the connection badge and the avatars. Knows no entity.
 */
import { login } from '/static/auth.js';
import { connect } from '/static/client.js';

/** A shape and a word for each status, because colour alone is not enough. */
const BADGES = {
  connected: ['●', 'Live'],
  polling: ['◐', 'Syncing'],
  connecting: ['◌', 'Connecting'],
  offline: ['○', 'Offline'],
};

export const $ = (selector) => document.querySelector(selector);

/** An element. Whatever a record holds, it can only become text. A function listens to the event of its name. */
export function h(name, props = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (typeof value === 'function') made.addEventListener(key, value);
    else if (value === true) made.setAttribute(key, '');
    else if (value !== false && value != null) made.setAttribute(key, String(value));
  }
  made.append(...children);
  return made;
}

/** What a link named behind its `#`, kept while the user logs in on another page. No server gets it. */
const AFTER = 'after-login';
/** Failures in a row after which the badge says Offline. The client goes on trying. */
const LOST = 3;

/** Calls `run` with a client, at once or after the user has signed in. */
export async function start(run, options = {}) {
  const as = new URLSearchParams(location.search).get('as') || null;
  const auth = as || options.getToken ? undefined : login();
  if (auth && !auth.user.value) {
    // A login at an issuer is in a cookie, where only the server sees it.
    const known = await fetch('/api/auth/me').then((answer) => answer.json()).catch(() => ({ names: true }));
    if (known.user) auth.adopt(known);
    if (!auth.user.value) return signIn(run, options, known.names);
  }
  const after = sessionStorage.getItem(AFTER);
  sessionStorage.removeItem(AFTER);
  if (after && !location.hash) location.hash = after;
  $('#signin').hidden = true;
  $('#app').hidden = false;
  const client = connect({ as, auth, ...options });
  const { rt } = client;
  // While the page polls, no socket has said who the user is.
  const me = () => rt.detail.value.userId ?? auth?.user.value?.id ?? as?.split(':')[0] ?? null;
  showBadge(rt);
  if (auth) $('#me').replaceChildren(h('a', { href: '/_/account' }, auth.user.value.name ?? 'Account'));
  else rt.detail.subscribe(() => void ($('#me').textContent = nameOfMachine(me() ?? rt.detail.value.guest ?? '')));
  // Another user, or none: what is shown is not theirs.
  auth?.user.listen(() => location.reload());
  run({ ...client, as, me, token: options.getToken ?? auth?.token });
}

/** A name is enough for `tidewire dev`; `tidewire serve` has its own login page. */
function signIn(run, options, names) {
  $('#signin').hidden = false;
  $('#by-name').hidden = !names;
  $('#by-login').hidden = names;
  if (location.hash) sessionStorage.setItem(AFTER, location.hash);
  $('#by-name').addEventListener('submit', (event) => {
    event.preventDefault();
    location.search = `?as=${encodeURIComponent(event.target.elements.as.value.trim())}`;
  });
  const byToken = $('#by-token');
  byToken?.addEventListener('submit', (event) => {
    event.preventDefault();
    // Only in the memory of this page: a reload asks again.
    const token = byToken.elements.token.value.trim();
    byToken.reset();
    start(run, { ...options, getToken: () => token });
  });
}

function showBadge({ status, detail }) {
  const badge = $('#status');
  const draw = () => {
    const now = status.value === 'connecting' && detail.value.attempt >= LOST ? 'offline' : status.value;
    // Only a change is announced.
    if (badge.dataset.status === now) return;
    const [shape, text] = BADGES[now];
    badge.dataset.status = now;
    badge.replaceChildren(h('span', { 'aria-hidden': 'true' }, shape), ` ${text}`);
    badge.hidden = false;
  };
  status.listen(draw);
  detail.subscribe(draw);
}

/** Machines and guests have no record with a name: `service:printer` is the printer. */
export const nameOfMachine = (id) => (id.startsWith('guest:') ? `Guest ${id.slice(-4).toUpperCase()}` : id.replace(/^service:/, ''));

/** The first letters of a name, in a colour that stays the same. */
export function avatar(name, state = 'active') {
  const made = h('span', { class: 'avatar', role: 'img', 'aria-label': name, title: `${name} (${state})`, 'data-state': state }, [...name].slice(0, 2).join('').toUpperCase());
  const hue = [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  made.style.setProperty('--hue', String(hue));
  return made;
}

/** What went wrong, in the server's words, until something goes right. */
export const complain = (error) => {
  $('#problem').textContent = [error?.message, error?.hint].filter(Boolean).join('. ');
  $('#problem').hidden = !error;
};

/** Sends a form's fields to `act` and empties the form. What was refused stays in the form. */
export function onSubmit(form, act) {
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const fields = Object.fromEntries(new FormData(form));
    if (Object.values(fields).some((text) => !String(text).trim())) return;
    form.reset();
    try {
      await act(fields);
      complain(null);
    } catch (error) {
      complain(error);
      for (const [name, text] of Object.entries(fields)) form.elements[name].value ||= text;
    }
  });
}

export const time = (at) => h('time', { datetime: at, title: new Date(at).toLocaleString() }, new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }));
