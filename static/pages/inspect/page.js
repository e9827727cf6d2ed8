/**
 * `/_/inspect`: what the server does at this moment, and why. For administrators.
 */
import { element, find, plain, say } from '../dom.js';
import { loginAddress } from '../entry.js';
import { waysOf } from '../ways.js';
import { answered } from './answer.js';
import { ask, isAnonymous, link } from './ask.js';
import { Rates, keyOf, spark } from './spark.js';
import { table } from './table.js';
import { Tail } from './tail.js';

/** Milliseconds between two looks. A page that no one sees does not look. */
const EVERY = 2000;
/** Connections and channels that are shown. */
const MOST_ROWS = 200;
/** Resources of presence that are shown. */
const MOST_RESOURCES = 100;

const rates = new Rates();
const tail = new Tail((query) => ask('inspect/events', query));
let paused = false;

find('.bar').append(...waysOf(link, ['Inspector']).navs);

const time = (/** @type {string} */ at) => element('time', { datetime: at, title: at }, new Date(at).toLocaleTimeString());
const user = (/** @type {string | null} */ id) => id ?? element('span', { class: 'muted' }, 'anonymous');

const draw = {
  connections: table(
    find('#connections'),
    'Connections',
    [
      ['User', ({ userId }) => user(userId)],
      ['Transport', ({ transport }) => transport],
      ['Age', ({ openedAt }) => age(openedAt)],
      ['Round trip', ({ roundTripMs }) => (roundTripMs === null ? '' : `${roundTripMs.toFixed(1)} ms`)],
      ['Subscriptions', ({ subscriptions }) => subscriptions],
      ['Waiting', ({ waitingBatches, waitingBytes, lagging }) => `${waitingBatches} (${waitingBytes} B)${lagging ? ', lagging' : ''}`],
      ['Id', ({ id }) => element('code', {}, id)],
      ['', connectionButtons],
    ],
    ({ id }) => id,
  ),
  channels: table(
    find('#channels'),
    'Channels',
    [
      ['Channel', (/** @type {any} */ { channel }) => element('code', {}, channel)],
      ['Subscribers', ({ subscribers }) => subscribers],
      ['Events a second', (group) => spark(rates.of(group))],
      ['Events', ({ events }) => events],
      ['Position', ({ position }) => position],
    ],
    (group) => keyOf(group),
  ),
  presence: table(
    find('#presence'),
    'Presence',
    [
      ['Resource', ({ resource }) => element('code', {}, resource)],
      ['Users', ({ users }) => users],
      ['Connections', ({ connections }) => connections],
    ],
    ({ resource }) => resource,
  ),
  events: table(
    find('#events'),
    'Events',
    [
      ['Seq', ({ seq }) => seq],
      ['Change', ({ op, entity }) => `${op} ${entity}`],
      ['What changed', difference],
      ['By', ({ by, cause }) => by ?? cause ?? ''],
      ['When', ({ at }) => time(at)],
      ['Record', ({ recordId }) => element('code', {}, recordId)],
    ],
    ({ seq }) => String(seq),
  ),
  refusals: table(
    find('#refusals'),
    'Refusals',
    [
      ['When', ({ at }) => time(at)],
      ['User', (refusal) => user(refusal.user)],
      ['Answer', ({ answer }) => plain(answer)],
      ['Code', ({ code }) => element('code', {}, code)],
      ['', ({ id }) => (id ? element('button', { type: 'button', click: () => why(id) }, 'Why?') : '')],
    ],
    ({ id, at, op }) => `${id} ${at} ${op ?? ''}`,
  ),
};

/** @param {string} since */
function age(since) {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(since)) / 1000));
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** @param {any} change */
function difference({ op, diff, hidden }) {
  if (hidden) return element('span', { class: 'muted' }, 'You may not read this record.');
  const one = (/** @type {any} */ { field, before, after }) => {
    const old = op === 'create' ? [] : [element('del', {}, JSON.stringify(before))];
    const now = op === 'delete' ? [] : [element('ins', {}, JSON.stringify(after))];
    return element('div', {}, `${field}: `, ...old, ...(op === 'update' ? [' → '] : []), ...now);
  };
  return element('div', {}, ...(diff ?? []).map(one));
}

/** @param {any} connection */
function connectionButtons({ id }) {
  const show = element('button', { type: 'button', click: () => subscriptions(id) }, 'Subscriptions');
  const end = element('button', { type: 'button', class: 'danger', click: () => (end.dataset.sure ? kick(id) : makeSure(end)) }, 'End');
  return element('span', { class: 'actions' }, show, end);
}

/** The second click ends it. @param {HTMLButtonElement} button */
function makeSure(button) {
  button.dataset.sure = 'yes';
  button.textContent = 'End it?';
}

/** @param {string} id */
async function subscriptions(id) {
  await tried(async () => {
    const { userId, channels } = await ask(`connections/${id}`);
    const one = (/** @type {any} */ { channel, phase, since, sent }) =>
      element('li', {}, element('div', {}, element('code', {}, channel), ` ${phase}, events after ${since ?? '…'}, sent up to ${sent}`));
    const title = element('h3', {}, `Subscriptions of ${userId ?? 'an anonymous caller'}`);
    find('#subscriptions').replaceChildren(title, element('ul', {}, ...channels.map(one)));
  });
}

/** @param {string} id */
async function kick(id) {
  await tried(() => ask(`connections/${id}`, {}, 'DELETE'));
  await look();
}

/** @param {string} id */
async function why(id) {
  /** @type {HTMLFormElement} */ (find('#why')).reset();
  /** @type {HTMLInputElement} */ (find('#why input')).value = id;
  await show(() => ask(`why/${encodeURIComponent(id)}`));
}

/** @param {() => Promise<any>} asking */
async function show(asking) {
  const where = find('#answer');
  try {
    where.replaceChildren(answered(await asking()));
  } catch (error) {
    where.replaceChildren(element('p', { class: 'error' }, plain(/** @type {Error} */ (error).message)));
  }
  where.scrollIntoView({ block: 'nearest' });
}

/** Does it, and says what went wrong. @param {() => Promise<any>} act */
async function tried(act) {
  const problem = find('#problem');
  try {
    await act();
    say(problem, null);
  } catch (error) {
    const text = plain(/** @type {Error} */ (error).message);
    if (problem.dataset.text === text && !problem.hidden) return;
    problem.dataset.text = text;
    say(problem, text);
    if (isAnonymous()) problem.append(' ', element('a', { href: loginAddress() }, 'Log in'));
  }
}

/** @param {any} whole */
function numbers({ now, stats, log, queues, delay, limits }) {
  const card = (/** @type {string} */ title, /** @type {Record<string, number>} */ values) => {
    const facts = Object.entries(values).flatMap(([name, value]) => [element('dt', {}, heading(name)), element('dd', {}, value.toLocaleString())]);
    const list = facts.length > 0 ? element('dl', { class: 'facts' }, ...facts) : element('p', { class: 'muted' }, 'None.');
    return element('div', { class: 'card' }, element('h3', {}, title), list);
  };
  find('#numbers').replaceChildren(
    card('From the write to the outboxes, in ms', delay),
    card('Queues', queues),
    card('Log', log),
    card('Limits that were reached', limits),
    card('Connections and deliveries', stats),
  );
  say(find('#moment'), `as of ${new Date(now).toLocaleTimeString()}`);
}

/** `outboxBytes` is "Outbox bytes"; codes stay as they are. @param {string} name */
function heading(name) {
  if (name === name.toUpperCase()) return name;
  const text = name.replaceAll('_', ' ').replace(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

async function look() {
  await tried(async () => {
    const [whole, connections, channels, presence, refusals] = await Promise.all([
      ask('inspect'),
      ask('connections', { limit: MOST_ROWS }),
      ask('inspect/channels', { limit: MOST_ROWS }),
      ask('presence', { limit: MOST_RESOURCES }),
      ask('inspect/refusals', { limit: 50 }),
    ]);
    find('#inspector').hidden = false;
    numbers(whole);
    rates.learn(channels.items, Date.parse(whole.now));
    draw.connections(connections.items);
    say(find('#connections-more'), connections.next ? `There are more. The oldest ${MOST_ROWS} are shown.` : null);
    draw.channels(channels.items);
    const [shown, count] = [channels.items.length, channels.count];
    say(find('#channels-more'), count > shown ? `The ${shown} with the most subscribers are shown, of ${count.toLocaleString()}.` : null);
    draw.presence(presence.resources);
    say(find('#presence-more'), presence.resources.length === MOST_RESOURCES ? `There may be more. ${MOST_RESOURCES} are shown.` : null);
    draw.refusals(refusals.items);
    if (!paused) await follow();
  });
}

async function follow() {
  await tail.follow();
  draw.events(tail.items);
  const passed = tail.leftOut.toLocaleString();
  say(find('#left-out'), tail.leftOut > 0 ? `The newest are shown. ${passed} changes were passed over, because they came faster than this page shows them.` : null);
}

/** @param {SubmitEvent} event @returns {Record<string, string>} */
function fields(event) {
  event.preventDefault();
  const form = new FormData(/** @type {HTMLFormElement} */ (event.target));
  return Object.fromEntries([...form].map(([name, value]) => [name, String(value).trim()]));
}

find('#why').addEventListener('submit', (event) => {
  const { id, ...more } = fields(event);
  show(() => ask(`why/${encodeURIComponent(id)}`, more));
});
find('#explain').addEventListener('submit', (event) => {
  const asked = fields(event);
  show(() => ask('explain', asked));
});
find('#filter').addEventListener('submit', (event) => {
  tail.filter(fields(event));
  tried(follow);
});
find('#pause').addEventListener('click', () => {
  paused = !paused;
  find('#pause').setAttribute('aria-pressed', String(paused));
  find('#pause').textContent = paused ? 'Go on' : 'Pause';
});

for (;;) {
  if (!document.hidden) await look();
  await new Promise((done) => setTimeout(done, EVERY));
}
