/**
 * A server that lets in no anonymous caller, in a real browser: every page leads to the login, and the socket comes in by the token in
 * its first frame.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOTE, PASSWORD, at, inContext, logIn } from './notes.js';
import { add, row, stage } from './stage.js';

const SCHEMAS = {
  'note.toml': NOTE,
};
const { server, chrome } = stage(SCHEMAS, { command: 'serve', settings: ['auth.anonymous=false'] });

test('every page leads to the login, and with a login all of them live', async () => {
  await server().found('ada', PASSWORD);
  await inContext(chrome(), async (context) => {
    const page = await context.newPage();
    const sockets = [];
    page.on('websocket', (socket) => sockets.push(socket.url()));
    await page.goto(`${server().address}/_/`);
    await at(page, '/_/login');
    await page.goto(`${server().address}/_/e/notes`);
    await at(page, '/_/login');
    await logIn(page, 'ada');
    await at(page, '/_/e/notes');
    await page.getByText('You are ada').waitFor();
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
    await add(page, { Text: 'of ada' });
    await row(page, 'of ada').waitFor();
    assert.ok(sockets.length > 0 && sockets.every((url) => !url.includes('tws_')), 'no token in an address');
    await page.getByRole('button', { name: 'Log out' }).click();
    await at(page, '/_/login');
    await page.goto(`${server().address}/_/e/notes`);
    await at(page, '/_/login');
  });
});
