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

/** Calls `run` with a client, at once or after the user has signed in. */
export async function start(run, options = {}) {
  const as = new URLSearchParams(location.search).get('as') || null;
  const auth = as || options.getToken ? undefined : login();
  if (auth && !auth.user.value) return signIn(run, options);
  $('#signin').hidden = true;
  $('#app').hidden = false;
  const client = connect({ as, auth, ...options });
  showBadge(client.rt);
  $('#me').textContent = as ?? auth?.user.value.name ?? '';
  run({ ...client, as, token: options.getToken ?? auth?.token });
}

/** A name is enough for `tidewire dev`; `tidewire serve` has its own login page. */
async function signIn(run, options) {
  const { names } = await fetch('/api/auth/me').then((answer) => answer.json(), () => ({ names: true }));
  $('#signin').hidden = false;
  $('#by-name').hidden = !names;
  $('#by-login').hidden = names;
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

function showBadge(rt) {
  const badge = $('#status');
  rt.status.subscribe((status) => {
    const [shape, text] = BADGES[status];
    badge.dataset.status = status;
    badge.replaceChildren(h('span', { 'aria-hidden': 'true' }, shape), ` ${text}`);
  });
}

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
