/**
 * What both pages share: the client, for the user named in the address, and the bar with the connection status and the user.
 */
import { Api } from '/static/api.js';
import { ChannelSubscriber } from '/static/channels.js';
import { RealtimeClient } from '/static/realtime.js';
import { element, find, say } from './dom.js';

/** A shape and a word for each status, because colour alone is not enough. */
const BADGES = {
  connected: ['●', 'Live'],
  polling: ['◐', 'Syncing'],
  connecting: ['◌', 'Connecting'],
  offline: ['○', 'Offline'],
};

/** @param {string[]} crumbs Where this page is, below the home page. */
export function start(...crumbs) {
  const as = new URLSearchParams(location.search).get('as');
  const query = as ? `?as=${encodeURIComponent(as)}` : '';
  const api = new Api('/api', { as });
  const rt = new RealtimeClient(`/ws${query}`).connect();
  const channels = new ChannelSubscriber(rt, { api });
  /** An address of this server, under the same name. @param {string} path */
  const link = (path) => path + query;

  const brand = element('a', { class: 'brand', href: link('/_/') }, 'Tidewire');
  const trail = crumbs.map((crumb) => element('span', { 'aria-current': 'page' }, crumb));
  const nav = element('nav', { 'aria-label': 'Where you are' }, brand, ...trail);
  find('.bar').append(nav, badge(rt), nameForm(as, whoAmI(rt, channels, as)));
  followSchema(rt);
  followRefusal(rt);
  return { api, rt, channels, link };
}

/**
 * A page shows the fields that the entity had when it was opened. When the fields change, the page reloads: at once if
 * nothing was typed, otherwise when the user asks for it.
 *
 * @param {RealtimeClient} rt
 */
function followSchema(rt) {
  /** @type {number | null} */
  let shown = null;
  rt.generation.subscribe((generation) => {
    shown ??= generation;
    if (generation === shown) return;
    if (!isBusy()) return location.reload();
    if (document.querySelector('.reshaped')) return;
    const again = element('button', { type: 'button', click: () => location.reload() }, 'Show the new fields');
    const text = element('span', {}, 'The schema has changed. This page still shows the old fields. ');
    find('main').prepend(element('p', { class: 'reshaped', role: 'status' }, text, again));
  });
}

/**
 * The server refuses this user. The page says why in a sentence, because the badge has room for one word only.
 *
 * @param {RealtimeClient} rt
 */
function followRefusal(rt) {
  let told = false;
  rt.detail.listen(({ refusal, reason }) => {
    if (refusal !== null || told) say(find('#problem'), refusal && reason);
    told = refusal !== null;
  });
}

/**
 * Name and role as the server takes them; a role in the address wins over that of the record.
 *
 * @param {RealtimeClient} rt
 * @param {ChannelSubscriber} channels
 * @param {string | null} as
 */
function whoAmI(rt, channels, as) {
  const text = element('span', { class: 'me' }, '…');
  /** @type {string | null | undefined} */
  let shown;
  /** @type {import('../channels.js').LiveRecord | null} */
  let record = null;
  const draw = () => {
    const { userId, everConnected } = rt.detail.value;
    if (!everConnected) return;
    if (userId === null) return void text.replaceChildren('You are anonymous');
    const given = as?.startsWith(`${userId}:`) ? as.slice(userId.length + 1) : null;
    const role = given ?? record?.value?.role;
    text.replaceChildren('You are ', element('strong', {}, userId), role ? `, ${role}` : '');
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

/** Whether a reload would lose what the user has typed. */
function isBusy() {
  /** @type {NodeListOf<HTMLInputElement | HTMLTextAreaElement>} */
  const fields = document.querySelectorAll('main input:not([type=checkbox]), main textarea');
  const typed = Array.from(fields).some(({ value, defaultValue }) => value !== defaultValue);
  return typed || document.querySelector('dialog[open]') !== null;
}

/** @param {RealtimeClient} rt */
function badge(rt) {
  const icon = element('span', { 'aria-hidden': 'true', class: 'icon' });
  const word = element('span');
  const status = element('span', { role: 'status', class: 'badge' }, icon, word);
  const again = element('button', { type: 'button', click: () => (rt.reconnectNow(), rt.connect()) }, 'Retry now');
  const draw = () => {
    const [shape, text] = BADGES[rt.status.value];
    icon.textContent = shape;
    // Only a change is announced.
    if (word.textContent !== text) word.textContent = text;
    status.dataset.status = rt.status.value;
    status.title = explain(rt);
    const { attempt, refusal } = rt.detail.value;
    again.hidden = rt.status.value === 'connected' || (attempt < 2 && refusal === null);
  };
  rt.status.listen(draw);
  rt.detail.subscribe(draw);
  return element('div', { class: 'status' }, status, again);
}

/** @param {RealtimeClient} rt */
function explain({ status, detail }) {
  const { attempt, reason, nextRetryAt } = detail.value;
  if (status.value === 'connected') return 'Changes arrive at once.';
  const why = reason && `Reason: ${reason}. `;
  const when = nextRetryAt ? `Attempt ${attempt + 1} is at ${new Date(nextRetryAt).toLocaleTimeString()}.` : '';
  if (status.value === 'polling') return `There is no WebSocket connection, so changes are fetched every few seconds. ${why}${when}`;
  return `This page may be out of date. ${why}${when}`;
}

/**
 * @param {string | null} as
 * @param {HTMLElement} me
 */
function nameForm(as, me) {
  const input = element('input', {
    name: 'as',
    value: as ?? '',
    maxlength: 200,
    title: 'A name, or name:role',
    autocomplete: 'off',
    size: 10,
    placeholder: 'anonymous',
  });
  // A plain form: it loads this page again with ?as=, and everything starts under that name.
  return element(
    'form',
    {
      class: 'who',
      method: 'get',
      action: location.pathname,
      submit: () => void (input.disabled = input.value === ''),
    },
    me,
    element('label', {}, 'Switch user ', input),
    element('button', {}, 'Go'),
  );
}
