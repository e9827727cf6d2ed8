/**
 * The example `drafts` in a real browser: three users hold and pass the ring, one of them behind a network without WebSocket, and
 * all of them while the server is away.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { noComplaints, stage } from './stage.js';
import { openWindow } from './tidewire.js';

const { open, server, chrome, windows } = stage('examples/drafts/schemas', {
  pages: 'examples/drafts/public',
  settings: ['realtime.presence_hold=200ms'],
});

const editor = (page) => page.getByLabel('Next segment');
const badge = (page, text) => page.locator('#status').filter({ hasText: text }).waitFor();
const holds = (page, text) => page.locator('#holder').filter({ hasText: text }).waitFor();
const waitsFor = (page, name) => page.locator('#waiting').filter({ hasText: `Waiting for @${name}` }).waitFor();
const passable = (page) => page.getByLabel('Pass the ring to').locator('option').allInnerTexts();
const segments = (page) => page.locator('#segments p').allInnerTexts();
const openDraft = (page) => page.getByRole('link', { name: 'The lighthouse', exact: true }).click();

async function append(page, text) {
  await editor(page).fill(text);
  await page.getByRole('button', { name: 'Append' }).click();
}

async function pass(page, name) {
  await page.getByLabel('Pass the ring to').selectOption(name);
  await page.getByRole('button', { name: 'Pass', exact: true }).click();
}

/** Ada's draft with Ben and Cy, open in three windows. */
async function three() {
  const [ada, ben, cy] = [await open('/?as=ada'), await open('/?as=ben'), await open('/?as=cy')];
  await ada.getByLabel('Title of a new draft').fill('The lighthouse');
  await ada.getByRole('button', { name: 'Create' }).click();
  await holds(ada, 'You hold the ring');
  for (const [name, page] of [['ben', ben], ['cy', cy]]) {
    await ada.getByLabel('User').selectOption(name);
    await ada.getByRole('button', { name: 'Add collaborator' }).click();
    await page.getByText('You were added to The lighthouse').waitFor();
    await openDraft(page);
    await waitsFor(page, 'ada');
  }
  return { ada, ben, cy };
}

const idOf = async (plural) => (await server().request('GET', plural, undefined, 'ada')).items[0].id;

test('who holds the ring writes, the others wait, and the ring is passed to who is here', async () => {
  const { ada, ben, cy } = await three();
  await append(ada, 'The keeper counted.');
  await ben.locator('main').getByText('The keeper counted.').first().waitFor();
  assert.ok(await editor(ben).isDisabled());
  assert.ok(await ben.getByRole('button', { name: 'Append' }).isDisabled());

  await pass(ada, 'ben');
  await holds(ben, 'You hold the ring');
  // Two wait for him: that he was added, and that he holds the ring. He looks at one of them.
  await ben.getByText('You hold the ring of The lighthouse').waitFor();
  await ben.getByText('2 unread').waitFor();
  await ben.getByRole('link', { name: 'You hold the ring of The lighthouse' }).click();
  await ben.getByText('1 unread').waitFor();
  for (const page of [ada, cy]) {
    await holds(page, '@ben holds the ring');
    await waitsFor(page, 'ben');
    assert.ok(await editor(page).isDisabled());
    assert.equal(await page.locator('#people [data-ring]').innerText(), 'BE\nben\nring, here');
  }
  await append(ben, 'There was one step more.');
  for (const page of [ada, ben, cy]) {
    await page.getByText('There was one step more.').waitFor();
    assert.deepEqual(await segments(page), ['The keeper counted.', 'There was one step more.']);
    await page.locator('#segments').getByText('@ben').waitFor();
  }
  // What the page does not offer, the server refuses.
  const [draft] = [await idOf('drafts')];
  await assert.rejects(server().request('POST', 'segments', { draft, text: 'Mine' }, 'cy'), /403/);
  await assert.rejects(server().request('PATCH', `drafts/${draft}`, { holder: 'cy' }, 'cy'), /403/);

  assert.deepEqual((await passable(ben)).sort(), ['ada', 'cy']);
  await cy.context().close();
  await ben.locator('#people li').filter({ hasText: 'cy' }).filter({ hasText: 'away' }).waitFor();
  assert.deepEqual(await passable(ben), ['ada'], 'only who is here');
  assert.equal(await ben.getByRole('button', { name: 'Take the ring back' }).count(), 0, 'only for the author');
  await ada.getByRole('button', { name: 'Take the ring back' }).click();
  await holds(ada, 'You hold the ring');
  await waitsFor(ben, 'ada');
  // A user without the ring may leave; the author removes them.
  await ada.getByRole('button', { name: 'Remove ben' }).click();
  await ben.getByText('Create a draft, or open one.').waitFor();
  for (const page of [ada, ben]) noComplaints(page);
});

test('what happens in one draft reaches no window of another, and no user outside', async () => {
  const { ada, ben } = await three();
  const dee = await open('/?as=dee');
  await ben.getByLabel('Title of a new draft').fill('The ferry');
  await ben.getByRole('button', { name: 'Create' }).click();
  await ben.getByRole('heading', { name: 'The ferry' }).waitFor();
  const frames = [];
  dee.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => frames.push(payload)));
  await dee.reload();
  await badge(dee, 'Live');
  await append(ada, 'Only for the lighthouse.');
  await ada.getByText('Only for the lighthouse.').waitFor();
  await append(ben, 'Only for the ferry.');
  await ben.getByText('Only for the ferry.').waitFor();
  assert.deepEqual(await segments(ben), ['Only for the ferry.']);
  assert.deepEqual(await segments(ada), ['Only for the lighthouse.']);
  assert.equal(await dee.locator('#drafts li').count(), 0);
  assert.ok(frames.length > 0 && frames.every((frame) => !/Only for|lighthouse|ferry/.test(frame)));
  for (const page of [ada, ben, dee]) noComplaints(page);
});

/** A window whose network lets no socket and no stream through, until the test opens it. */
async function behindWall(path) {
  const page = await openWindow(chrome(), 'about:blank');
  windows().push(page);
  let closed = true;
  await page.routeWebSocket(/\/ws/, (socket) => (closed ? socket.close({ code: 1011 }) : socket.connectToServer()));
  await page.route(/\/sse/, (route) => (closed ? route.abort() : route.continue()));
  await page.goto(server().address + path);
  return { page, open: () => void (closed = false) };
}

test('without WebSocket the page fetches what happens, can write, and is live when the wall is gone', async () => {
  const { ada, ben } = await three();
  await append(ada, 'The keeper counted.');
  await ben.getByText('The keeper counted.').waitFor();
  await ben.context().close();
  const wall = await behindWall(`/?as=ben#${await idOf('drafts')}`);
  const { page } = wall;
  await badge(page, 'Syncing');
  await waitsFor(page, 'ada');
  await append(ada, 'He counted again.');
  await page.getByText('He counted again.').waitFor();
  await ada.locator('#people li').filter({ hasText: 'ben' }).waitFor();
  // Ben is not seen in presence: the ring is passed over HTTP.
  const draft = await idOf('drafts');
  await server().request('PATCH', `drafts/${draft}`, { holder: 'ben' }, 'ada');
  await holds(page, 'You hold the ring');
  await append(page, 'Without a socket.');
  await ada.getByText('Without a socket.').waitFor();
  assert.deepEqual((await passable(page)).sort(), ['ada', 'cy'], 'who is here cannot be known');
  await badge(page, 'Syncing');

  wall.open();
  await page.evaluate(() => dispatchEvent(new Event('online')));
  await badge(page, 'Live');
  await append(page, 'And with one.');
  await ada.getByText('And with one.').waitFor();
  const all = ['The keeper counted.', 'He counted again.', 'Without a socket.', 'And with one.'];
  for (const window of [ada, page]) {
    await window.getByText('And with one.').waitFor();
    assert.deepEqual(await segments(window), all, 'each once');
  }
  noComplaints(ada);
  noComplaints(page, /sse|Failed to load resource/);
});

test('without a server the badge says so, and what was written then arrives', async () => {
  const { ada, ben } = await three();
  await server().kill();
  for (const page of [ada, ben]) await badge(page, 'Offline');
  await append(ada, 'Written in the storm.');
  await ada.locator('#segments [data-state="pending"]').filter({ hasText: 'Written in the storm.' }).waitFor();
  await server().start();
  for (const page of [ada, ben]) {
    await page.evaluate(() => dispatchEvent(new Event('online')));
    await badge(page, 'Live');
    await page.locator('#segments li:not([data-state])').filter({ hasText: 'Written in the storm.' }).waitFor();
    assert.deepEqual(await segments(page), ['Written in the storm.'], 'once');
  }
});
