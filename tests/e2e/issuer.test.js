/**
 * A login at an issuer elsewhere (OpenID Connect), in a real browser: its session is in a cookie, and the pages treat it like any
 * other.
 */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { NOTE, at, inContext } from './notes.js';
import { add, row, stage } from './stage.js';
import { SCREENSHOTS } from './tidewire.js';

const SCHEMAS = {
  'note.toml': NOTE,
};
const files = {};
const { server, chrome } = stage(SCHEMAS, { command: 'serve', settings: ['auth.tokens=tokens.toml'], files });

/** An issuer that knows one user and asks for no password: discovery, one key, codes with PKCE. */
class Issuer {
  #key = generateKeyPairSync('rsa', { modulusLength: 2048 });
  #codes = new Map();
  #server = createServer((request, response) => this.#answer(request, response));

  async start() {
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.name = `http://127.0.0.1:${this.#server.address().port}`;
  }
  stop = () => this.#server.close();

  async #answer(request, response) {
    const url = new URL(request.url, this.name);
    const json = (body) => response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
    if (url.pathname === '/.well-known/openid-configuration')
      return json({
        issuer: this.name,
        authorization_endpoint: `${this.name}/authorize`,
        token_endpoint: `${this.name}/token`,
        jwks_uri: `${this.name}/keys`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256'],
        code_challenge_methods_supported: ['S256'],
      });
    if (url.pathname === '/keys') return json({ keys: [{ ...this.#key.publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'RS256', use: 'sig' }] });
    if (url.pathname === '/authorize') {
      const { redirect_uri, state, nonce, code_challenge, client_id } = Object.fromEntries(url.searchParams);
      const code = `code-${this.#codes.size}`;
      this.#codes.set(code, { nonce, code_challenge, client_id });
      return response.writeHead(302, { Location: `${redirect_uri}?code=${code}&state=${encodeURIComponent(state)}` }).end();
    }
    let text = '';
    for await (const chunk of request) text += chunk;
    const { code, code_verifier } = Object.fromEntries(new URLSearchParams(text));
    const { nonce, code_challenge, client_id } = this.#codes.get(code);
    if (createHash('sha256').update(code_verifier).digest('base64url') !== code_challenge) return response.writeHead(400).end('{}');
    const now = Math.floor(Date.now() / 1000);
    json({ access_token: 'unused', token_type: 'Bearer', id_token: this.#signed({ iss: this.name, aud: client_id, sub: '7', name: 'Cleo', nonce, iat: now, exp: now + 300 }) });
  }

  #signed(claims) {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const text = `${part({ alg: 'RS256', kid: 'k1', typ: 'JWT' })}.${part(claims)}`;
    return `${text}.${sign('sha256', Buffer.from(text), this.#key.privateKey).toString('base64url')}`;
  }
}
const issuer = new Issuer();
before(async () => {
  await issuer.start();
  files['tokens.toml'] = `[issuers.acme]\nissuer = "${issuer.name}"\n\n[issuers.acme.login]\ntitle = "Acme"\nclient_id = "tidewire"\n`;
});
after(issuer.stop);

test('a user logs in at the issuer, comes back to their page, works and logs out', async () => {
  await inContext(chrome(), async (context) => {
    const page = await context.newPage();
    const asked = [];
    page.on('websocket', (socket) => asked.push(socket.url()));
    await page.goto(`${server().address}/_/e/notes`);
    await at(page, '/_/login');
    await page.getByRole('link', { name: 'Log in with Acme' }).waitFor();
    await page.screenshot({ path: join(SCREENSHOTS, 'login-issuer.png') });
    await page.getByRole('link', { name: 'Log in with Acme' }).click();
    await at(page, '/_/e/notes');
    await page.getByText('You are Cleo').waitFor();
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
    await add(page, { Text: 'of cleo' });
    await row(page, 'of cleo').waitFor();
    await page.getByRole('link', { name: 'Account' }).click();
    await page.getByText('You are logged in as Cleo.').waitFor();
    await page.getByRole('button', { name: 'Log out here' }).click();
    await at(page, '/_/login');
    await page.goto(`${server().address}/_/e/notes`);
    await at(page, '/_/login');
    assert.ok(asked.every((url) => !url.includes('token')), 'no token in an address');
  });
});

test('a login that the issuer refuses is explained on a page, from which the user tries again', async () => {
  await inContext(chrome(), async (context) => {
    const page = await context.newPage();
    const complaints = [];
    page.on('console', (message) => message.text().includes('Content Security Policy') && complaints.push(message.text()));
    const answer = await page.goto(`${server().address}/api/auth/issuers/acme/callback?error=access_denied`);
    assert.equal(answer.status(), 401);
    await page.getByRole('heading', { name: 'The login did not work' }).waitFor();
    await page.getByRole('alert').filter({ hasText: 'refused the login' }).waitFor();
    await page.screenshot({ path: join(SCREENSHOTS, 'login-issuer-failed.png') });
    await page.getByRole('link', { name: 'Try again' }).click();
    await at(page, '/_/');
    await page.getByText('You are Cleo').waitFor();
    assert.deepEqual(complaints, [], 'the page keeps its own content policy');
  });
});
