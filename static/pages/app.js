/**
 * What the pages of records share: the client, for the user who is logged in or named in the address, and the bar with the
 * connection status and the user.
 */
import { Api } from '/static/api.js';
import { login } from '/static/auth.js';
import { ChannelSubscriber } from '/static/channels.js';
import { RealtimeClient } from '/static/realtime.js';
import { element, find } from './dom.js';
import { waysOf } from './ways.js';
import { userOf } from './who.js';

/** A shape and a word for each status, because colour alone is not enough. */
const BADGES = {
  connected: ['●', 'Live'],
  polling: ['◐', 'Syncing'],
  connecting: ['◌', 'Connecting'],
  offline: ['○', 'Offline'],
};

/** Failures in a row after which the badge says Offline. The client goes on trying. */
const LOST = 3;

/** @param {(string | {text: string, path: string})[]} crumbs Where this page is, below the home page. The last one is this page. */
export function start(...crumbs) {
  const as = new URLSearchParams(location.search).get('as') || null;
  const query = as ? `?as=${encodeURIComponent(as)}` : '';
  // A name in the address is for `tidewire dev`, and stands for the login there.
  const auth = as === null ? login() : undefined;
  const api = new Api('/api', { as, auth });
  const rt = new RealtimeClient(`/ws${query}`, { auth }).connect();
  const channels = new ChannelSubscriber(rt, { api });
  /** An address of this server, under the same name. @param {string} path */
  const link = (path) => path + query;

  const { navs, inspector } = waysOf(link, crumbs);
  inspector.hidden = true;
  const knowRole = (/** @type {string | null | undefined} */ role) => void (inspector.hidden = role !== 'admin');
  const { me, refused } = userOf({ rt, channels, auth, as, isBusy, knowRole });
  find('.bar').append(...navs, badge(rt), me);
  followSchema(rt);
  return { api, rt, channels, auth, as, link, refused };
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

/** Whether a reload would lose what the user has typed. */
function isBusy() {
  /** @type {NodeListOf<HTMLInputElement | HTMLTextAreaElement>} */
  const fields = document.querySelectorAll('main :is(input:not([type=checkbox], [type=radio], [type=search]), textarea)');
  const typed = Array.from(fields).some(({ value, defaultValue }) => value !== defaultValue);
  return typed || document.querySelector('dialog:modal') !== null;
}

/** @param {RealtimeClient} rt */
function badge(rt) {
  const icon = element('span', { 'aria-hidden': 'true', class: 'icon' });
  const word = element('span');
  const status = element('span', { role: 'status', class: 'badge' }, icon, word);
  const again = element('button', { type: 'button', click: () => (rt.reconnectNow(), rt.connect()) }, 'Retry now');
  const draw = () => {
    const { attempt, refusal } = rt.detail.value;
    const now = rt.status.value === 'connecting' && (attempt >= LOST || !navigator.onLine) ? 'offline' : rt.status.value;
    const [shape, text] = BADGES[now];
    icon.textContent = shape;
    // Only a change is announced.
    if (word.textContent !== text) word.textContent = text;
    status.dataset.status = now;
    status.title = explain(rt);
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
