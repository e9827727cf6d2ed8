/**
 * The page of the board: cards in columns, a chat, who is here and who types. The order of the cards is theirs, and moving one
 * changes that one only: its position is between those of its neighbours.
 */
import { OptimisticManager, PresenceManager } from '/static/client.js';
import { devtools } from '/static/devtools.js';
import { feed } from './feed.js';
import { movable } from './moving.js';
import { $, avatar, complain, h, nameOfMachine, onSubmit, start, time } from './page.js';

const COLUMNS = { todo: 'To do', doing: 'Doing', done: 'Done' };
/** How long a user who stopped typing still seems to type, in milliseconds. */
const TYPING = 4000;
let cut = false;
const dev = devtools({ env: { fetch: (...request) => (cut ? Promise.reject(new TypeError('The network is cut')) : fetch(...request)) } });

start(open, { env: dev.env });

async function open({ rt, api, channels, as, token }) {
  const db = new OptimisticManager(api, rt, { send: sender(api) });
  const board = await theBoard(api).catch(complain);
  if (!board) return;
  $('#name').textContent = board.name;
  const users = channels.list('User', {});
  /** Guests write without a record of their own. */
  const nameOf = (id) => (id ? users.value.find((user) => user.id === id)?.name ?? nameOfMachine(id) : 'Guest');
  const cards = channels.list('Card', { where: { board: board.id }, sort: 'position' });
  const columns = showCards(db, cards, nameOf);
  onSubmit($('#add'), ({ title }) => db.create('Card', { board: board.id, title, column: 'todo', position: columns.end('todo') }));
  const chat = showChat(channels, db, board.id, nameOf);
  showPeople(rt, board.id);
  const happened = feed({ rt, api, env: dev.env, as, token, nameOf }, $('#activity'));
  users.listen(() => [columns, chat, happened].forEach(({ draw }) => draw()));

  $('#cut').addEventListener('click', ({ currentTarget: button }) => {
    cut = !cut;
    pressed(button, cut, 'Restore my network', 'Cut my network');
    dev.simulate(cut ? { drop: 1 } : {});
    happened.cut(cut);
    // The open socket goes now, and not with its next message.
    rt.disconnect();
    rt.connect();
  });
}

/** The first board, which the first user makes. */
async function theBoard(api) {
  const { items } = await api.list('boards', { sort: 'created_at', limit: 1 });
  if (items[0]) return items[0];
  await api.create('boards', { name: 'Our board' });
  // Of two users who come first at once, both see the older board.
  return theBoard(api);
}

function pressed(button, on, during, otherwise) {
  button.setAttribute('aria-pressed', on);
  button.textContent = on ? during : otherwise;
}

/** Sends changes, and answers the next one with a refusal when the button asks for it: what a user sees is the real thing. */
function sender(api) {
  let fails = false;
  const button = $('#fail');
  const show = () => pressed(button, fails, 'My next write will fail', 'Fail my next write');
  button.addEventListener('click', () => {
    fails = !fails;
    show();
  });
  return async ({ ops, atomic, mid }) => {
    if (!fails) return api.batch(ops, { atomic, mid });
    fails = false;
    show();
    await new Promise((resolve) => setTimeout(resolve, 900));
    const error = { code: 'VALIDATION_FAILED', status: 422, message: 'The server refused this change', hint: 'You asked for it with “Fail my next write”' };
    return { epoch: '', seq: 0, results: ops.map(() => ({ status: 422, error })) };
  };
}

function showCards(db, cards, nameOf) {
  /** Elements by id, so that a card that moves keeps its focus. */
  const shown = new Map();
  const lists = new Map();
  for (const [column, text] of Object.entries(COLUMNS)) {
    const list = h('ol', { 'data-column': column, 'aria-label': text });
    lists.set(column, { list, count: h('span', { class: 'muted' }) });
    $('#columns').append(h('section', { class: 'column' }, h('h2', {}, `${text} `, lists.get(column).count), list));
  }
  const of = (column) => cards.value.filter((card) => card.column === column);

  /** Between the neighbours at a place of a column, without the card itself. */
  const positionAt = (column, at, id) => {
    const others = of(column).filter((card) => card.id !== id);
    const [before, after] = [others[at - 1]?.position, others[at]?.position];
    if (before === undefined) return after === undefined ? 0 : after - 1;
    return after === undefined ? before + 1 : (before + after) / 2;
  };
  const move = (id, column, at) => {
    const card = cards.value.find((card) => card.id === id);
    const place = of(column).findIndex((card) => card.id === id);
    if (!card || place === at) return draw();
    db.update('Card', id, { column, position: positionAt(column, at, id) }).then(() => complain(null), complain);
  };
  const moving = movable($('#columns'), { names: COLUMNS, move, say: (text) => void ($('#said').textContent = text), redraw: () => draw() });

  const draw = () => {
    const focused = document.activeElement;
    for (const [column, { list, count }] of lists) {
      const rows = of(column);
      count.textContent = String(rows.length);
      const items = rows.map((row) => cardOf(row));
      if (!moving.holds()) list.replaceChildren(...items);
    }
    const there = new Set(cards.value.map(({ id }) => id));
    for (const id of shown.keys()) if (!there.has(id)) shown.delete(id);
    // An element that is put elsewhere loses the focus.
    if (focused !== document.activeElement && focused?.isConnected) focused.focus({ preventScroll: true });
  };
  const cardOf = (row) => {
    const card = shown.get(row.id) ?? newCard(row.id);
    shown.set(row.id, card);
    const { state, error, mutations } = cards.meta(row.id);
    card.dataset.state = state;
    card.querySelector('.text').textContent = row.title;
    card.querySelector('.grip').setAttribute('aria-label', `Move ${row.title}`);
    card.querySelector('.remove').setAttribute('aria-label', `Delete ${row.title}`);
    card.querySelector('.note').replaceChildren(...note(row, state, error, mutations));
    return card;
  };
  const newCard = (id) =>
    h('li', { class: 'card', 'data-id': id },
      h('button', { class: 'grip', type: 'button' }, '⠿'),
      h('span', { class: 'text' }),
      h('button', { class: 'remove quiet', type: 'button', click: () => db.delete('Card', id).then(() => complain(null), complain) }, '×'),
      h('p', { class: 'note muted' }));
  const note = ({ author }, state, error, mutations) => {
    if (state === 'pending') return ['Saving…'];
    const failed = mutations.find((mutation) => mutation.state === 'failed' || mutation.state === 'conflict');
    if (!failed) return [nameOf(author)];
    return [`Not saved: ${error?.message ?? ''} `, h('button', { type: 'button', click: () => failed.retry() }, 'Retry'), ' ', h('button', { type: 'button', click: () => failed.discard() }, 'Discard')];
  };
  cards.subscribe(draw);
  // A verdict changes how a card stands, and not always its values.
  for (const signal of [db.pending, db.failed]) signal.listen(() => draw());
  return { draw, end: (column) => positionAt(column, of(column).length) };
}

function showChat(channels, db, board, nameOf) {
  const list = $('#chat');
  const newest = channels.list('Message', { where: { board }, sort: '-created_at', limit: 100 });
  const draw = () => {
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.replaceChildren(...[...newest.value].reverse().map(({ author, text, created_at, _optimistic }) =>
      h('li', { 'data-state': _optimistic && 'pending' }, h('strong', {}, nameOf(author)), ' ', time(created_at), h('p', {}, text))));
    if (atEnd) list.scrollTop = list.scrollHeight;
  };
  newest.subscribe(draw);
  onSubmit($('#say'), ({ text }) => db.create('Message', { board, text }));
  return { draw };
}

/** How many are here, who they are, and who of them writes a message. */
function showPeople(rt, board) {
  const here = new PresenceManager(rt).join(`Board/${board}`, {});
  here.users.subscribe((users) => {
    $('#count').textContent = users.length === 1 ? '1 person here' : `${users.length} people here`;
    $('#here').replaceChildren(...users.map(({ id, name, state }) => avatar(name || id, state)));
  });
  here.others.subscribe((others) => {
    const names = others.filter(({ metadata }) => metadata.typing).map(({ id, name }) => name || id);
    $('#typing').textContent = names.length === 0 ? '' : `${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} typing…`;
  });
  let timer = 0;
  const type = (typing) => {
    clearTimeout(timer);
    here.update({ typing: typing || null });
    if (typing) timer = setTimeout(() => type(false), TYPING);
  };
  $('#say').addEventListener('input', () => type($('#say').elements.text.value !== ''));
  $('#say').addEventListener('submit', () => type(false));
}
