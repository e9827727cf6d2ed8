/**
 * The example `workspaces` in a real browser: one user invites another with a link; both share tasks and see each other; a third one
 * sees nothing of it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, inContext, logIn, PASSWORD } from './notes.js';
import { noComplaints, stage } from './stage.js';

const EXAMPLE = { pages: 'examples/workspaces/public', settings: ['realtime.presence_hold=200ms'] };
const { open, server } = stage('examples/workspaces/schemas', EXAMPLE);

const member = (page, name) => page.locator('#members li').filter({ hasText: name });
const task = (page, title) => page.getByRole('list', { name: 'Tasks' }).getByRole('listitem').filter({ hasText: title });
const news = (page, text) => page.locator('#news li').filter({ hasText: text });

async function create(page, name) {
  await page.getByLabel('Name of a new workspace').fill(name);
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('heading', { name }).waitFor();
}

/** The link of an invitation. */
async function invite(page) {
  await page.getByRole('button', { name: 'Make an invitation link' }).click();
  await page.getByLabel('Invitation link').waitFor();
  return page.getByLabel('Invitation link').inputValue();
}

async function addTask(page, title) {
  await page.getByLabel('New task').fill(title);
  await page.getByRole('button', { name: 'Add task' }).click();
}

/** Ada's workspace, which Ben has joined by her link. */
async function two() {
  const ada = await open('/?as=ada');
  await create(ada, 'Harbour crew');
  const { hash } = new URL(await invite(ada));
  assert.match(hash, /^#join=[\w-]{32}$/);
  const ben = await open(`/?as=ben${hash}`);
  await ben.getByText('From ada, until').waitFor();
  assert.equal(await ben.locator('#workspaces li').count(), 0, 'a link alone shows nothing');
  await ben.getByRole('button', { name: 'Join' }).click();
  await ben.getByRole('heading', { name: 'Harbour crew' }).waitFor();
  return { ada, ben, hash };
}

test('a link lets a user in, who is then seen as online, until they close the window', async () => {
  const { ada, ben, hash } = await two();
  for (const page of [ada, ben]) {
    await member(page, 'ada').filter({ hasText: 'owner, online' }).waitFor();
    await member(page, 'ben').filter({ hasText: 'online' }).waitFor();
  }
  assert.ok(await ben.getByRole('button', { name: 'Make an invitation link' }).isHidden(), 'owners invite');
  // A second time it changes nothing; a link that does not exist lets in no user.
  await ben.goto(`${server().address}/?as=ben${hash}`);
  await ben.reload();
  await ben.getByRole('button', { name: 'Join' }).click();
  await ben.getByRole('heading', { name: 'Harbour crew' }).waitFor();
  await member(ada, 'ben').filter({ hasText: 'online' }).waitFor();
  assert.equal(await member(ada, 'ben').count(), 1);
  const cy = await open(`/?as=cy#join=${'x'.repeat(32)}`);
  await cy.getByRole('alert').filter({ hasText: 'does not exist, or has ended' }).waitFor();
  assert.ok(await cy.getByRole('button', { name: 'Join' }).isHidden());
  noComplaints(ada);
  noComplaints(ben);
  noComplaints(cy, /404/);
  await ben.context().close();
  await member(ada, 'ben').filter({ hasText: 'offline' }).waitFor();
});

test('members share their tasks at once, and are notified of what is given to them', async () => {
  const { ada, ben } = await two();
  await addTask(ada, 'Repair the lamp');
  await ben.locator('main').getByText('Repair the lamp').first().waitFor();
  await task(ben, 'Repair the lamp').getByRole('checkbox').check();
  await task(ada, 'Repair the lamp').getByRole('checkbox', { checked: true }).waitFor();
  await addTask(ben, 'Buy rope');
  await task(ada, 'Buy rope').waitFor();
  await ada.getByLabel('Who does Buy rope').selectOption('ben');
  await news(ben, 'You now own Buy rope').waitFor();
  assert.equal(await ben.getByLabel('Who does Buy rope').locator('option:checked').innerText(), 'ben');
  assert.equal(await news(ada, 'You now own').count(), 0, 'it is for Ben alone');
  // To give oneself a task needs no notification.
  await ada.getByLabel('Who does Repair the lamp').selectOption('ada');
  await ben.waitForFunction(() => document.querySelector('[aria-label="Who does Repair the lamp"] option:checked')?.text === 'ada');
  assert.equal(await news(ada, 'You now own').count(), 0);
  await ben.getByRole('button', { name: 'Dismiss: You now own Buy rope' }).click();
  await news(ben, 'Nothing new').waitFor();
  for (const page of [ada, ben]) noComplaints(page);
});

test('who is not a member sees no workspace, no member and no task, and is told of none', async () => {
  const { ada } = await two();
  const { hash } = new URL(ada.url());
  const cy = await open(`/?as=cy${hash}`);
  const frames = [];
  cy.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => frames.push(payload)));
  await cy.reload();
  await cy.getByRole('status').filter({ hasText: 'Live' }).waitFor();
  await addTask(ada, 'Repair the lamp');
  await task(ada, 'Repair the lamp').waitFor();
  await create(cy, 'Book club');
  assert.deepEqual(await cy.locator('#workspaces li').allInnerTexts(), ['Book club']);
  assert.ok(frames.length > 0 && frames.every((frame) => !/Harbour|lamp|"ben"/.test(frame)), frames.join('\n'));
  assert.equal(await ada.locator('#workspaces li').count(), 1);
  const id = hash.slice(1);
  await assert.rejects(server().request('POST', 'tasks', { workspace: id, title: 'Mine' }, 'cy'), /UNKNOWN_REFERENCE/, 'as if there were none');
  await assert.rejects(server().request('POST', 'members', { workspace: id, person: 'cy' }, 'cy'), /UNKNOWN_REFERENCE/);
  await assert.rejects(server().request('POST', 'members', { workspace: id, person: 'cy' }, 'ada'), /403/, 'the server alone makes members');
  noComplaints(cy);
});

test.describe('for other people', () => {
  const { server, chrome } = stage('examples/workspaces/schemas', { ...EXAMPLE, command: 'serve', settings: ['auth.register=open'] });

  test('an invited user logs in first, and the link is still there', async () => {
    await server().found('ada', PASSWORD);
    await server().auth('register', { name: 'ben', password: PASSWORD });
    await inContext(chrome(), (adas) => inContext(chrome(), async (bens) => {
      const [ada, ben] = [await adas.newPage(), await bens.newPage()];
      const asked = [];
      ben.on('request', (request) => asked.push(request.url()));
      await ada.goto(server().address);
      await ada.getByRole('link', { name: 'Log in' }).click();
      await logIn(ada, 'ada');
      await create(ada, 'Harbour crew');
      const link = await invite(ada);
      await ben.goto(link);
      await ben.getByRole('link', { name: 'Log in' }).click();
      await at(ben, '/_/login');
      await logIn(ben, 'ben');
      await ben.getByText('From ada, until').waitFor();
      await ben.getByRole('button', { name: 'Join' }).click();
      await member(ben, 'ada').filter({ hasText: 'owner, online' }).waitFor();
      await member(ada, 'ben').filter({ hasText: 'online' }).waitFor();
      const secret = new URL(link).hash.slice('#join='.length);
      const where = asked.filter((url) => url.includes(secret)).map((url) => new URL(url).pathname);
      assert.deepEqual([...new Set(where)], [`/api/invitations/by/secret/${secret}`], 'nowhere else');
    }));
  });
});
