/**
 * The example `board` in a real browser: two or three users move cards with the pointer and with keys, chat, follow what happens,
 * cut their network, have a change refused, and come in with a token.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inContext, logIn, PASSWORD } from './notes.js';
import { noComplaints, stage } from './stage.js';

const BOARD = ['examples/board/schemas', { pages: 'examples/board/public' }];
const { open, server } = stage(BOARD[0], { ...BOARD[1], settings: ['realtime.presence_hold=200ms'] });

const column = (page, name) => page.getByRole('list', { name, exact: true });
const card = (page, title) => page.locator('#columns').getByRole('listitem').filter({ hasText: title });
const grip = (page, title) => page.getByRole('button', { name: `Move ${title}` });
const feed = (page) => page.getByRole('list', { name: 'Activity' }).getByRole('listitem');

async function addCard(page, title) {
  await page.getByLabel('New card').fill(title);
  await page.getByRole('button', { name: 'Add card' }).click();
  await card(page, title).waitFor();
}

/** Waits until a column has these cards, in this order. */
const columnIs = (page, name, titles) =>
  page.waitForFunction(
    ({ name, titles }) => {
      const list = document.querySelector(`#columns ol[aria-label="${name}"]`);
      const found = [...list.querySelectorAll('.text')].map((text) => text.textContent);
      return JSON.stringify(found) === JSON.stringify(titles);
    },
    { name, titles },
  );

/** The board with three cards to do, in two windows. */
async function two() {
  const ada = await open('/?as=ada');
  await ada.getByRole('heading', { name: 'Our board' }).waitFor();
  const ben = await open('/?as=ben');
  for (const title of ['Paint the stage', 'Order lanterns', 'Draw the map']) await addCard(ada, title);
  for (const page of [ada, ben]) await columnIs(page, 'To do', ['Paint the stage', 'Order lanterns', 'Draw the map']);
  return { ada, ben };
}

/** Presses on a card, moves the pointer to a place, and lets go unless a key ends it. */
async function drag(page, title, to, { escape = false } = {}) {
  const from = await card(page, title).boundingBox();
  await page.mouse.move(from.x + from.width / 2, from.y + 12);
  await page.mouse.down();
  await page.mouse.move(to.x, to.y, { steps: 8 });
  if (escape) await page.keyboard.press('Escape');
  await page.mouse.up();
}

async function middle(locator, down = 0.5) {
  const { x, y, width, height } = await locator.boundingBox();
  return { x: x + width / 2, y: y + height * down };
}

test('a card that one user adds or drags is seen by the other at once, where it was dropped', async () => {
  const { ada, ben } = await two();
  await addCard(ada, 'Book the ferry');
  await ben.locator('main').getByText('Book the ferry').first().waitFor();
  await drag(ben, 'Paint the stage', await middle(column(ben, 'Doing')));
  for (const page of [ada, ben]) await columnIs(page, 'Doing', ['Paint the stage']);
  // Above the one that is there, and then between two.
  await drag(ada, 'Draw the map', await middle(card(ada, 'Paint the stage'), 0.1));
  for (const page of [ada, ben]) await columnIs(page, 'Doing', ['Draw the map', 'Paint the stage']);
  await drag(ada, 'Order lanterns', await middle(card(ada, 'Paint the stage'), 0.1));
  for (const page of [ada, ben]) {
    await columnIs(page, 'Doing', ['Draw the map', 'Order lanterns', 'Paint the stage']);
    await columnIs(page, 'To do', ['Book the ferry']);
  }
  // Escape while the pointer is down: it was never moved.
  await drag(ben, 'Book the ferry', await middle(column(ben, 'Done')), { escape: true });
  await columnIs(ben, 'To do', ['Book the ferry']);
  await card(ada, 'Book the ferry').getByRole('button', { name: 'Delete' }).click();
  await card(ben, 'Book the ferry').waitFor({ state: 'detached' });
  const stored = await server().request('GET', 'cards', undefined, 'ada');
  assert.deepEqual(stored.items.map(({ column }) => column), ['doing', 'doing', 'doing']);
  for (const page of [ada, ben]) noComplaints(page);
});

test('a card is moved with keys alone, and every step is said', async () => {
  const { ada, ben } = await two();
  const said = (text) => ada.locator('#said').filter({ hasText: text }).waitFor();
  const press = (key) => ada.keyboard.press(key);
  await grip(ada, 'Order lanterns').focus();
  await press('Space');
  await said('Order lanterns picked up');
  await press('ArrowUp');
  await said('To do, place 1');
  await press('Space');
  for (const page of [ada, ben]) await columnIs(page, 'To do', ['Order lanterns', 'Paint the stage', 'Draw the map']);
  await press('Space');
  await press('ArrowRight');
  await press('ArrowRight');
  await said('Done, place 1');
  await columnIs(ben, 'Done', []);
  await press('Enter');
  await said('dropped in Done');
  for (const page of [ada, ben]) await columnIs(page, 'Done', ['Order lanterns']);
  const focused = () => ada.evaluate(() => document.activeElement.getAttribute('aria-label'));
  assert.equal(await focused(), 'Move Order lanterns', 'the focus goes with the card');
  await press('Space');
  await press('ArrowLeft');
  await press('Escape');
  await said('put back');
  await columnIs(ada, 'Done', ['Order lanterns']);
  assert.equal(await focused(), 'Move Order lanterns');
  // A change of the other user does not take a card out of the hand, nor the focus.
  await press('Space');
  await press('ArrowLeft');
  await addCard(ben, 'Book the ferry');
  await feed(ada).filter({ hasText: 'Book the ferry' }).waitFor();
  await columnIs(ada, 'Doing', ['Order lanterns']);
  await press('Space');
  for (const page of [ada, ben]) await columnIs(page, 'Doing', ['Order lanterns']);
  await card(ada, 'Book the ferry').waitFor();
  assert.equal(await focused(), 'Move Order lanterns');
  for (const page of [ada, ben]) noComplaints(page);
});

test('the chat says who types, for as long as they do', async () => {
  const { ada, ben } = await two();
  const message = ben.getByLabel('Message', { exact: true });
  const typing = ada.locator('#typing');
  await message.pressSequentially('Which');
  await typing.filter({ hasText: 'ben is typing…' }).waitFor();
  // Whoever stops in the middle does not type for ever.
  await typing.filter({ hasNotText: 'typing' }).waitFor();
  await message.pressSequentially(' blue?');
  await typing.filter({ hasText: 'ben is typing…' }).waitFor();
  await message.press('Enter');
  await ada.locator('main').getByText('Which blue?').first().waitFor();
  await typing.filter({ hasNotText: 'typing' }).waitFor();
  assert.equal(await message.inputValue(), '');
  const said = ada.getByRole('list', { name: 'Messages' }).getByRole('listitem');
  assert.match(await said.innerText(), /^ben .+\s+Which blue\?$/);
  for (const page of [ada, ben]) noComplaints(page);
});

test('who comes late is counted, and sees what has happened, over server-sent events', async () => {
  const { ada, ben } = await two();
  for (const page of [ada, ben]) await page.getByText('2 people here').waitFor();
  await ben.getByLabel('Message', { exact: true }).fill('Hello');
  await ben.getByLabel('Message', { exact: true }).press('Enter');
  await drag(ben, 'Paint the stage', await middle(column(ben, 'Doing')));
  await feed(ada).filter({ hasText: 'ben moved card Paint the stage' }).waitFor();

  const cy = await open('/?as=cy');
  await feed(cy).filter({ hasText: 'ada added board Our board' }).waitFor();
  const happened = (page) => feed(page).evaluateAll((lines) => lines.map((line) => line.textContent.replace(/^\S+( [AP]M)? /, '')));
  assert.deepEqual(await happened(cy), [
    'ben moved card Paint the stage',
    'ben wrote in the chat',
    'ada added card Draw the map',
    'ada added card Order lanterns',
    'ada added card Paint the stage',
    'ada added board Our board',
  ]);
  assert.deepEqual(await happened(cy), await happened(ada), 'the same as for who was there');
  const streams = await cy.evaluate(() => performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname));
  assert.ok(!streams.includes('/api/activity'), 'not asked for over HTTP');
  await addCard(cy, 'Bring cake');
  for (const page of [ada, ben, cy]) {
    await page.getByText('3 people here').waitFor();
    await feed(page).first().filter({ hasText: 'cy added card Bring cake' }).waitFor();
  }
  for (const page of [ada, ben, cy]) noComplaints(page);
  await cy.context().close();
  for (const page of [ada, ben]) await page.getByText('2 people here').waitFor();
});

test('the activity changes its way, and no entry is lost or doubled', async () => {
  const { ada, ben } = await two();
  const asked = [];
  ada.on('request', (request) => asked.push(new URL(request.url()).pathname));
  const over = (text) => ada.locator('.over').filter({ hasText: `Arrives over ${text}.` }).waitFor();
  const choose = (name) => ada.getByRole('radio', { name, exact: true }).check();
  const { items: [{ id: board }] } = await server().request('GET', 'boards', undefined, 'ada');
  const titles = [];
  /** More than any way begins with. */
  const happens = async (name) => {
    const made = Array.from({ length: 55 }, (_, at) => `${name} ${at}`);
    titles.push(...made);
    const ops = made.map((title, position) => ({ op: 'create', entity: 'Card', data: { board, title, column: 'done', position } }));
    for (const op of ops.splice(0, 5)) await server().request('POST', 'batch', { ops: [op] }, 'ben');
    await server().request('POST', 'batch', { ops }, 'ben');
  };
  const complete = async () => {
    await feed(ada).filter({ hasText: titles.at(-1) }).waitFor();
    const shown = await feed(ada).locator('em').allInnerTexts();
    assert.deepEqual(shown.slice(0, titles.length), [...titles].reverse());
    const places = await feed(ada).evaluateAll((lines) => lines.map(({ dataset }) => Number(dataset.seq)));
    assert.equal(new Set(places).size, places.length, 'no entry twice');
    assert.equal(places.length, titles.length + 4, 'the board and its first cards stay');
  };
  await over('server-sent events');
  await happens('Before');
  await complete();
  // What happens while the new way is held up comes over the old one.
  let answer;
  const held = new Promise((resolve) => (answer = resolve));
  await ada.route(/\/api\/(changes|activity)/, async (route) => {
    await held;
    await route.continue();
  });
  await choose('Polling');
  await happens('Meanwhile');
  await complete();
  answer();
  await over('requests every few seconds');
  await ada.unrouteAll({ behavior: 'wait' });
  await server().request('POST', 'cards', { board, title: 'Polled', column: 'done', position: 99 }, 'ben');
  titles.push('Polled');
  await complete();
  assert.ok(asked.includes('/api/changes'));

  await choose('WebSocket');
  await over('the WebSocket');
  asked.length = 0;
  await happens('Socket');
  await complete();
  assert.deepEqual(asked.filter((path) => /changes|sse/.test(path)), [], 'the other ways have ended');
  await choose('SSE');
  await choose('Polling');
  await choose('SSE');
  await over('server-sent events');
  await server().request('POST', 'cards', { board, title: 'Streamed', column: 'done', position: 100 }, 'ben');
  titles.push('Streamed');
  await complete();
  for (const page of [ada, ben]) noComplaints(page);
});

test('a cut network keeps what the user does, and brings what the others did', async () => {
  const { ada, ben } = await two();
  await ada.getByText('2 people here').waitFor();
  await ada.getByRole('button', { name: 'Cut my network' }).click();
  await ada.getByRole('status').filter({ hasText: 'Offline' }).waitFor();
  await addCard(ada, 'Made without a network');
  await card(ada, 'Made without a network').filter({ hasText: 'Saving…' }).waitFor();
  await addCard(ben, 'Made meanwhile');
  await drag(ben, 'Paint the stage', await middle(column(ben, 'Done')));
  await columnIs(ben, 'Done', ['Paint the stage']);
  assert.equal(await card(ada, 'Made meanwhile').count(), 0);
  assert.equal(await feed(ada).filter({ hasText: 'Made meanwhile' }).count(), 0);
  assert.equal(await card(ben, 'Made without a network').count(), 0);

  await ada.getByRole('button', { name: 'Restore my network' }).click();
  await ada.getByRole('status').filter({ hasText: 'Live' }).waitFor();
  await card(ben, 'Made without a network').waitFor();
  await card(ada, 'Made meanwhile').waitFor();
  await columnIs(ada, 'Done', ['Paint the stage']);
  await card(ada, 'Made without a network').filter({ hasNotText: 'Saving…' }).waitFor();
  await feed(ada).filter({ hasText: 'ben moved card Paint the stage' }).waitFor();
  for (const title of ['Made meanwhile', 'Made without a network']) await feed(ada).filter({ hasText: title }).waitFor();
  const stored = await server().request('GET', 'cards?title=Made without a network', undefined, undefined).catch(() => null);
  assert.equal(stored, null, 'a caller without a name sees no card');
  for (const page of [ada, ben]) assert.equal(await card(page, 'Made without a network').count(), 1, 'once');
  noComplaints(ben);
});

test('a refused change is taken back and named, and can be tried again or given up', async () => {
  const { ada, ben } = await two();
  const fail = ada.getByRole('button', { name: /Fail my next write|My next write will fail/ });
  await fail.click();
  assert.equal(await fail.getAttribute('aria-pressed'), 'true');
  await drag(ada, 'Paint the stage', await middle(column(ada, 'Doing')));
  await columnIs(ada, 'Doing', ['Paint the stage']);
  await card(ada, 'Paint the stage').filter({ hasText: 'Saving…' }).waitFor();
  const refused = card(ada, 'Paint the stage').filter({ hasText: 'Not saved' });
  await refused.waitFor();
  await columnIs(ada, 'To do', ['Paint the stage', 'Order lanterns', 'Draw the map']);
  await ada.getByRole('alert').filter({ hasText: 'The server refused this change' }).waitFor();
  assert.equal(await fail.getAttribute('aria-pressed'), 'false', 'the next one only');
  await refused.getByRole('button', { name: 'Retry' }).click();
  for (const page of [ada, ben]) await columnIs(page, 'Doing', ['Paint the stage']);
  await card(ada, 'Paint the stage').filter({ hasNotText: 'Not saved' }).waitFor();

  await fail.click();
  await drag(ada, 'Order lanterns', await middle(column(ada, 'Done')));
  await card(ada, 'Order lanterns').getByRole('button', { name: 'Discard' }).click();
  await card(ada, 'Order lanterns').filter({ hasNotText: 'Not saved' }).waitFor();
  for (const page of [ada, ben]) await columnIs(page, 'To do', ['Order lanterns', 'Draw the map']);
  for (const page of [ada, ben]) noComplaints(page);
});

test.describe('for other people', () => {
  const { server, chrome } = stage(BOARD[0], { ...BOARD[1], command: 'serve', settings: ['realtime.presence_hold=200ms'] });

  test('a shared token opens the board for guests, each of them counted, in the memory of the page only', async () => {
    await server().found('ada', PASSWORD);
    const token = server().run('token', 'issue', 'page', '--shared');
    await inContext(chrome(), async (context) => {
      const ada = await context.newPage();
      await ada.goto(server().address);
      await ada.getByRole('link', { name: 'Log in' }).click();
      await logIn(ada, 'ada');
      await ada.getByRole('heading', { name: 'Our board' }).waitFor();
      await ada.getByRole('link', { name: 'ada' }).waitFor();

      const rooms = [await chrome().newContext(), await chrome().newContext()];
      const guests = [await rooms[0].newPage(), await rooms[1].newPage()];
      const [guest, other] = guests;
      const asked = [];
      for (const page of guests) page.on('request', (request) => asked.push(request.url()));
      await other.goto(server().address);
      await other.getByLabel('Or a token').fill('tws_wrong');
      await other.getByRole('button', { name: 'Open with the token' }).click();
      await other.getByRole('alert').filter({ hasText: /token/i }).waitFor();
      await other.reload();
      await other.getByLabel('Or a token').fill(token);
      await other.getByRole('button', { name: 'Open with the token' }).click();

      await other.getByText('2 people here').waitFor();
      await guest.goto(server().address);
      await guest.getByLabel('Or a token').fill(token);
      await guest.getByRole('button', { name: 'Open with the token' }).click();
      for (const page of [ada, guest, other]) await page.getByText('3 people here').waitFor();
      await ada.locator('#here').getByRole('img', { name: /^Guest \w{4}$/ }).nth(1).waitFor();
      await addCard(other, 'Bring cake');
      await card(ada, 'Bring cake').filter({ hasText: 'Guest' }).waitFor();
      await feed(ada).filter({ hasText: 'added card Bring cake' }).waitFor();
      await feed(other).filter({ hasText: 'ada added board Our board' }).waitFor();
      assert.ok(asked.every((url) => !url.includes(token)), 'the token is in no address');
      await other.reload();
      await other.getByLabel('Or a token').waitFor();
      for (const room of rooms) await room.close();
    });
  });
});
