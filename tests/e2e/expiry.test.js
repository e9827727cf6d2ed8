/**
 * A login that expires by its time while its page is used. The shortest time that the settings allow is a minute, and the story
 * waits for it: nothing else ends the session.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOTE, PASSWORD, at, inContext, logIn } from './notes.js';
import { added, form, row, stage } from './stage.js';

const settings = ['auth.register=open', 'auth.session_idle=1m', 'auth.session_lifetime=1m'];
const { server, chrome } = stage({ 'note.toml': NOTE }, { command: 'serve', settings });

/** Longer than the minute by what a slow machine needs to say so. */
const OVER = { timeout: 120_000 };

test('a page whose login expires asks for the password, and what was typed is saved under the next login', async () => {
  await server().found('ada', PASSWORD);
  await server().auth('register', { name: 'ben', password: PASSWORD });
  await inContext(chrome(), async (context) => {
    const page = await context.newPage();
    await page.goto(`${server().address}/_/login?next=/_/e/notes`);
    const begun = Date.now();
    await logIn(page, 'ben');
    await at(page, '/_/e/notes');
    await added(page, { Text: 'first' });
    await row(page, 'first').waitFor();
    const typed = (await form(page)).getByLabel('Text');
    await typed.fill('half a sentence');
    await page.evaluate(() => (window.notReloaded = true));

    const dialog = page.getByRole('dialog', { name: 'You are logged out' });
    await dialog.waitFor(OVER);
    assert.ok(Date.now() - begun >= 60_000, 'not before its time');
    assert.equal(await dialog.getByLabel('Name').inputValue(), 'ben');
    await dialog.getByLabel('Password').fill(PASSWORD);
    await dialog.getByRole('button', { name: 'Log in' }).click();
    await dialog.waitFor({ state: 'detached' });
    await row(page, 'first').waitFor();
    assert.equal(await typed.inputValue(), 'half a sentence');
    await page.getByRole('button', { name: 'Add Note' }).click();
    await row(page, 'half a sentence').waitFor();
    assert.ok(await page.evaluate(() => window.notReloaded), 'the page was never loaded again');
  });
});
