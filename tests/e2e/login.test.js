/**
 * `tidewire serve` in a real browser: the first administrator, who sees what, and what a page does when a login is revoked while it
 * is used. One that expires has a file of its own, because it takes its minute.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { NOTE, PASSWORD, at, inContext, logIn } from './notes.js';
import { add, added, cell, form, noComplaints, row, stage } from './stage.js';
import { SCREENSHOTS } from './tidewire.js';

const SCHEMAS = {
  'note.toml': NOTE,
  'news.toml': `entity = "News"
plural = "news"
label = "title"
[fields]
title = { type = "text", required = true, max = 200 }
[access]
read = "true"
create = "user.role == 'admin'"
`,
};
const { open, server, chrome } = stage(SCHEMAS, { command: 'serve', settings: ['auth.register=open'] });
const shot = (page, name) => page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });

/** The administrator ada and the user ben, made without a page. */
async function people() {
  const ada = await server().found('ada', PASSWORD);
  const ben = await server().auth('register', { name: 'ben', password: PASSWORD });
  return { ada, ben };
}

const status = (page) => page.getByRole('status').filter({ hasText: 'Live' }).waitFor();

/** A page of a context, so that two tabs can share one login. */
async function tab(context, path) {
  const page = await context.newPage();
  await page.goto(server().address + path);
  return page;
}

test('the link of the terminal makes the administrator, who then sees who they are', async () => {
  await inContext(chrome(), async (context) => {
    const page = await tab(context, server().firstLink);
    assert.equal(new URL(page.url()).hash, '', 'the secret has left the address');
    await page.getByText('Your link lets you make an account').waitFor();
    await shot(page, 'login-register');
    await page.getByLabel('Name').fill('ada');
    await page.getByLabel('New password').fill('short');
    await page.getByLabel('New password').fill(PASSWORD);
    await page.getByRole('button', { name: 'Register' }).click();
    await at(page, '/_/');
    await page.getByText('You are ada, admin').waitFor();
    await shot(page, 'login-home');
    await page.getByRole('link', { name: 'Account' }).click();
    await page.getByText('You are logged in as ada.').waitFor();
    await page.getByText('this one').waitFor();
    await shot(page, 'login-account');
  });
});

test('a page that is refused leads to the login and back, and never to another server', async () => {
  await people();
  await inContext(chrome(), async (context) => {
    const page = await tab(context, '/_/e/notes');
    await at(page, '/_/login');
    await shot(page, 'login-login');
    await logIn(page, 'ada', 'a wrong horse');
    await page.getByRole('alert').filter({ hasText: 'name or password' }).or(page.getByText('wrong')).first().waitFor();
    await logIn(page, 'ada');
    await at(page, '/_/e/notes');
    await page.getByText('You are ada, admin').waitFor();
    const navigations = [];
    page.on('request', (request) => request.isNavigationRequest() && navigations.push(request.url()));
    await page.getByRole('button', { name: 'Log out' }).click();
    await at(page, '/_/login');
    assert.equal(navigations.length, 1, `one logout is one way out: ${navigations}`);
    for (const next of ['https://elsewhere.example/', '//elsewhere.example', '/\\elsewhere.example', 'javascript:alert(1)', 'data:text/html,x', `blob:${server().address}/1`]) {
      await page.goto(`${server().address}/_/login?next=${encodeURIComponent(next)}`);
      await logIn(page, 'ada');
      await at(page, '/_/');
      await page.getByRole('button', { name: 'Log out' }).click();
      await at(page, '/_/login');
    }
  });
});

test('each user sees and changes what is theirs; an anonymous visitor is told so and can log in', async () => {
  const { ada, ben } = await people();
  const write = (token, text) =>
    fetch(`${server().address}/api/notes`, { method: 'POST', headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, body: JSON.stringify({ text }) });
  await write(ada.token, 'of ada');
  await write(ben.token, 'of ben');
  const visitor = await open('/_/e/news');
  await visitor.getByText('You are anonymous').waitFor();
  assert.equal(await visitor.getByText('Switch user').count(), 0, 'names are not believed here');
  await shot(visitor, 'login-anonymous');
  await visitor.getByRole('link', { name: 'Log in' }).click();
  await at(visitor, '/_/login');
  await logIn(visitor, 'ben');
  await at(visitor, '/_/e/news');
  await visitor.getByText('You are ben').waitFor();
  await visitor.goto(`${server().address}/_/e/notes`);
  await row(visitor, 'of ben').waitFor();
  assert.equal(await row(visitor, 'of ada').count(), 0);
  await add(visitor, { Text: 'another of ben' });
  await row(visitor, 'another of ben').waitFor();
  await shot(visitor, 'login-notes');
  noComplaints(visitor);
});

test('a login that is revoked while the page is used is asked for again, and nothing that was typed is lost', async () => {
  const { ben } = await people();
  await inContext(chrome(), async (context) => {
    const page = await tab(context, '/_/login?next=/_/e/notes');
    await logIn(page, 'ben');
    await at(page, '/_/e/notes');
    await status(page);
    await page.evaluate(() => (window.notReloaded = true));
    await added(page, { Text: 'first' });
    await row(page, 'first').waitFor();
    const typed = (await form(page)).getByLabel('Text');
    await typed.fill('half a sentence');
    await cell(page, 'first', 0).dblclick();
    const editor = page.getByRole('gridcell').getByRole('textbox', { name: 'text' });
    await editor.fill('first, and half a change');

    const { token } = await server().auth('login', { name: 'ben', password: PASSWORD });
    await server().auth('sessions', undefined, token, 'DELETE');
    const dialog = page.getByRole('dialog', { name: 'You are logged out' });
    await dialog.waitFor();
    await page.getByText('or you no longer have access to it').waitFor();
    await shot(page, 'login-again');
    assert.equal(await dialog.getByLabel('Name').inputValue(), 'ben');
    await dialog.getByLabel('Password').fill('a wrong horse');
    await dialog.getByRole('button', { name: 'Log in' }).click();
    await dialog.getByRole('alert').waitFor();
    await dialog.getByLabel('Password').fill(PASSWORD);
    await dialog.getByRole('button', { name: 'Log in' }).click();
    await dialog.waitFor({ state: 'detached' });
    await page.getByText('or you no longer have access to it').waitFor({ state: 'hidden' });
    assert.equal(await typed.inputValue(), 'half a sentence');
    assert.equal(await editor.inputValue(), 'first, and half a change');
    await editor.press('Enter');
    await row(page, 'first, and half a change').waitFor();
    await page.getByRole('button', { name: 'Add Note' }).click();
    await row(page, 'half a sentence').waitFor();
    assert.ok(await page.evaluate(() => window.notReloaded), 'the page was never loaded again');
    assert.ok(ben.user.id);
  });
});

test('a logout in one tab takes the records off the others, and asks a tab with typed text for the password', async () => {
  await people();
  await inContext(chrome(), async (context) => {
    const one = await tab(context, '/_/login?next=/_/e/notes');
    await logIn(one, 'ben');
    await at(one, '/_/e/notes');
    await add(one, { Text: 'secret' });
    await row(one, 'secret').waitFor();
    const [idle, busy, account] = [await tab(context, '/_/e/notes'), await tab(context, '/_/e/notes'), await tab(context, '/_/account')];
    for (const page of [idle, busy]) await row(page, 'secret').waitFor();
    await (await form(busy)).getByLabel('Text').fill('not yet added');
    await one.getByRole('button', { name: 'Log out' }).click();
    await at(one, '/_/login');
    await at(idle, '/_/login');
    await at(account, '/_/login');
    await busy.getByRole('dialog', { name: 'You are logged out' }).waitFor();
    await row(busy, 'secret').waitFor({ state: 'detached' });
    // Another tab's login is a login of all tabs.
    await logIn(idle, 'ben');
    await at(idle, '/_/e/notes');
    await busy.getByRole('dialog', { name: 'You are logged out' }).waitFor({ state: 'detached' });
    await row(busy, 'secret').waitFor();
    assert.equal(await busy.locator('#drawer').getByLabel('Text').inputValue(), 'not yet added');
    // Another user's login is a page of their own.
    await idle.getByRole('button', { name: 'Log out' }).click();
    await busy.getByRole('dialog', { name: 'You are logged out' }).waitFor();
    await at(idle, '/_/login');
    await logIn(idle, 'ada');
    await at(idle, '/_/e/notes');
    await busy.getByText('You are ada').waitFor();
    assert.equal(await (await form(busy)).getByLabel('Text').inputValue(), '', 'what ben typed is not for ada');
    assert.equal(await row(busy, 'secret').count(), 0);
  });
});
