/**
 * Thirty hostile texts are text on every page: in records, in addresses, in schema files, and in what users and servers say of
 * themselves.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { PAYLOADS } from './hostile.js';
import { PASSWORD, at, inContext, logIn } from './notes.js';
import { row, stage } from './stage.js';

const PLAIN = (name) => readFileSync(new URL(`../fixtures/plain/${name}.toml`, import.meta.url), 'utf8');
const MISSING = readFileSync(new URL('../../static/pages/missing.html', import.meta.url), 'utf8');
/** A TOML text. JSON writes the same one. */
const quoted = (text) => JSON.stringify(text);
/** Administrators are shown it. */
const RULE = `name == '${PAYLOADS[1]}' || name == '${PAYLOADS[0]}'`;
/** Where a schema file takes any text, it has each of them: the default of a field, and a value of an enum. */
const SAMPLE = `entity = "Sample"
[fields]
name = { type = "text" }
kind = { type = "enum", values = [${PAYLOADS.map(quoted).join(', ')}], default = ${quoted(PAYLOADS[0])} }
${PAYLOADS.map((text, at) => `text_${at} = { type = "text", default = ${quoted(text)} }`).join('\n')}
[access]
read = "true"
create = "true"
update = ${quoted(RULE)}
`;
/** Pages that are loaded at the same time. */
const TABS = 3;
/** What no text may become. The pages have no such element of their own, except the picture of the schema. */
const MADE = 'main :is(script, iframe, style, base, video, img, link, math, form[action^="//"], a[href^="javascript:"], [onerror], [onload], [onfocus], [ontoggle])';

/**
 * A window that keeps what any of its tabs complains of.
 *
 * @param {(context: import('playwright-core').BrowserContext, clean: (page: import('playwright-core').Page, ...expected: RegExp[]) => Promise<void>) => Promise<void>} act
 */
async function watched(chrome, act) {
  await inContext(chrome, async (context) => {
    const complaints = [];
    await context.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => console.error(`CSP: ${event.violatedDirective} ${event.blockedURI}`));
    });
    context.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    context.on('weberror', (error) => complaints.push(String(error.error())));
    context.on('dialog', (dialog) => {
      complaints.push(`a dialog said ${dialog.message()}`);
      dialog.dismiss();
    });
    await act(context, async (page, ...expected) => {
      assert.equal(await page.locator(MADE).count(), 0, page.url());
      assert.equal(await page.evaluate(() => ({}).polluted), undefined, page.url());
      assert.deepEqual(complaints.filter((text) => !expected.some((pattern) => pattern.test(text))), [], page.url());
    });
  });
}

/** Calls for each, in a few tabs at the same time. */
async function each(context, items, call) {
  const left = [...items.entries()];
  const work = async () => {
    const page = await context.newPage();
    for (let next = left.shift(); next; next = left.shift()) await call(page, next[1], next[0]);
    await page.close();
  };
  await Promise.all(Array.from({ length: TABS }, work));
}

describe('in development', () => {
  const { server, chrome } = stage({ 'task.toml': PLAIN('task').replace('label  = "title"', 'label  = "title"\nhistory = "30d"'), 'project.toml': PLAIN('project'), 'sample.toml': SAMPLE });

  test('hostile texts of records are text at home, in a table, in a record with its history, and in the inspector', async () => {
    const project = await server().post('projects', { name: PAYLOADS[0], description: PAYLOADS.join('\n') });
    const ids = [];
    for (const title of PAYLOADS) ids.push((await server().post('tasks', { title, project: project.id, tags: { [title]: title } })).id);
    const [id] = ids;
    for (const title of PAYLOADS) await server().request('PATCH', `tasks/${id}`, { title, tags: { [title]: title } });
    await watched(chrome(), async (context, clean) => {
      const [home, table, record] = await Promise.all([context.newPage(), context.newPage(), context.newPage()]);
      await home.goto(`${server().address}/_/`);
      await home.locator('#activity li').nth(10).waitFor();
      await clean(home);
      // Tall enough for all rows to be drawn.
      await table.setViewportSize({ width: 1280, height: 2400 });
      await table.goto(`${server().address}/_/e/tasks`);
      await table.locator('tbody tr').nth(PAYLOADS.length - 1).waitFor();
      const titles = await table.locator('tbody tr td:nth-child(2)').evaluateAll((cells) => cells.map(({ textContent }) => textContent));
      for (const title of PAYLOADS.slice(1)) assert.ok(titles.some((text) => text.includes(title)), title);
      await clean(table);
      const inspector = await context.newPage();
      await inspector.goto(`${server().address}/_/inspect?as=root:admin`);
      await inspector.getByRole('table', { name: 'Events' }).getByRole('row').nth(PAYLOADS.length).waitFor();
      await clean(inspector);

      await record.goto(`${server().address}/_/e/tasks/${id}`);
      const history = record.locator('#history li');
      const older = record.getByRole('button', { name: 'Show older changes' });
      for (let count = 10; count < 30; count += 10) {
        await history.nth(count - 1).waitFor();
        await older.click();
      }
      await history.nth(29).waitFor();
      const past = (await history.allInnerTexts()).join('\n');
      // A title is in the text of a change before and after it. Both are the text itself, spaces apart.
      for (const title of PAYLOADS) assert.ok(past.includes(title), title);
      await clean(record);
      // As it is shown at first, and as a change that comes later.
      await record.waitForFunction((title) => document.querySelector('#field-title').value === title, PAYLOADS.at(-1));
      for (const title of PAYLOADS) {
        await server().request('PATCH', `tasks/${id}`, { title });
        await record.waitForFunction((title) => document.querySelector('h1').textContent === title && document.querySelector('#field-title').value === title, title);
        assert.ok((await record.title()).startsWith(title.trim().replaceAll(/\s+/g, ' ')), title);
        assert.equal(await record.locator(MADE).count(), 0, title);
      }
      await clean(record);
    });
  });

  test('hostile texts of an address are text in every page, and where there is none', async () => {
    await watched(chrome(), async (context, clean) => {
      // All filters of an address are shown, whatever is asked for.
      const all = PAYLOADS.map((text) => `filter=${encodeURIComponent(`title.eq.${text}`)}&filter=${encodeURIComponent(text)}`).join('&');
      const filters = await context.newPage();
      await filters.goto(`${server().address}/_/e/tasks?${all}`);
      await filters.locator('.chip').nth(PAYLOADS.length - 1).waitFor();
      const chips = await filters.locator('.chip').allInnerTexts();
      for (const text of PAYLOADS) assert.ok(chips.some((chip) => chip.includes(text)), text);
      await clean(filters, /status of 4\d\d/);
      const missing = await context.newPage();
      const answer = await missing.goto(`${server().address}/_/e/${encodeURIComponent(PAYLOADS[1])}?find=${encodeURIComponent(PAYLOADS[1])}#${PAYLOADS[1]}`);
      assert.match(answer.headers()['content-security-policy'], /default-src 'self'/);
      await missing.getByRole('heading', { name: 'Not found' }).waitFor();
      await clean(missing, /status of 4\d\d/);
      await each(context, PAYLOADS, async (page, payload) => {
        const text = encodeURIComponent(payload);
        await page.goto(`${server().address}/_/e/tasks?find=${text}&sort=${text}&columns=${text}&as=${text}#${text}`);
        await page.locator('#tools input[type="search"]').waitFor();
        assert.equal(await page.locator('#tools input[type="search"]').inputValue(), payload);
        await clean(page, /status of 4\d\d/);
        await page.goto(`${server().address}/_/e/tasks/${text}`);
        // A text that no id can be is refused in other words.
        const problem = page.locator('#problem:not([hidden])');
        await problem.waitFor();
        const words = await problem.textContent();
        assert.ok(!words.startsWith('There is no record') || words.includes(payload), words);
        await clean(page, /status of 4\d\d/);
        // Nothing of the address is in the page of what is not there: it is the same page for each.
        for (const path of [`/_/e/${text}`, `/_/${text}`, `/${text}`]) {
          const answer = await fetch(server().address + path);
          assert.deepEqual([answer.status, await answer.text()], [404, MISSING], path);
        }
      });
    });
  });

  test('hostile texts of a schema file are text in its page, in the samples of the API, and in the form', async () => {
    await server().post('samples', { name: 'One' });
    await watched(chrome(), async (context, clean) => {
      const [schema, api, table] = await Promise.all([context.newPage(), context.newPage(), context.newPage()]);
      await schema.goto(`${server().address}/_/schema?as=ada:admin`);
      const sheet = schema.getByRole('region', { name: 'Sample' });
      await sheet.waitFor();
      const told = await sheet.evaluate((section) => section.textContent);
      for (const text of [PAYLOADS.join(', '), RULE]) assert.ok(told.includes(text), text);
      for (const text of PAYLOADS) assert.ok(told.includes(`t first “${text}”`), text);
      await clean(schema);
      // The hash names an operation.
      for (const text of PAYLOADS) await api.goto(`${server().address}/_/api#${encodeURIComponent(text)}`);
      await api.locator('.operation').first().waitFor();
      await api.locator('.operation').evaluateAll((boxes) => boxes.forEach((box) => (box.open = true)));
      await clean(api);
      await table.goto(`${server().address}/_/e/samples`);
      await row(table, 'One').waitFor();
      await table.locator('#new').click();
      // The form is a part that is loaded with the first click.
      await table.locator('#drawer select').first().waitFor();
      const options = await table.locator('#drawer select option').evaluateAll((all) => all.map(({ textContent }) => textContent));
      for (const text of PAYLOADS) assert.ok(options.includes(text), text);
      await clean(table);
    });
  });
});

describe('with logins', () => {
  const { server, chrome } = stage({}, { command: 'serve', settings: ['auth.register=open'] });

  test('hostile texts are text in the pages of logins, wherever they come from', async () => {
    await server().found('ada', PASSWORD);
    // A device says of itself what it likes. A header takes no letters beyond ASCII.
    const devices = PAYLOADS.filter((text) => /^[\x20-\x7e]+$/.test(text));
    assert.equal(devices.length, 29);
    for (const device of devices) {
      const body = JSON.stringify({ name: 'ada', password: PASSWORD });
      const answer = await fetch(`${server().address}/api/auth/login`, { method: 'POST', headers: { 'Content-Type': 'application/json', 'User-Agent': device }, body });
      assert.equal(answer.status, 200, await answer.text());
    }
    await watched(chrome(), async (context, clean) => {
      // Another server's names, and words of a refusal.
      await context.route('**/api/auth/issuers', (route) =>
        route.fulfill({ json: { items: PAYLOADS.map((title) => ({ title, login: `/api/auth/outside/${encodeURIComponent(title)}` })) } }),
      );
      await each(context, PAYLOADS, async (page, payload) => {
        const text = encodeURIComponent(payload);
        await page.goto(`${server().address}/_/login?next=${text}#${text}`);
        const titles = page.locator('main .actions a');
        await titles.nth(PAYLOADS.length - 1).waitFor();
        assert.ok((await titles.allInnerTexts()).some((title) => title.includes(payload.trim())), payload);
        const ways = await page.locator('main a').evaluateAll((all) => all.map(({ origin }) => origin));
        assert.deepEqual([...new Set(ways)], [server().address], 'every way leads to this server');
        await clean(page);
      });
      const page = await context.newPage();
      await page.goto(`${server().address}/_/login`);
      for (const payload of PAYLOADS) {
        await page.route('**/api/auth/login', (route) => route.fulfill({ status: 401, json: { code: 'LOGIN_FAILED', detail: payload, hint: payload } }), { times: 1 });
        await page.getByLabel('Name').fill(payload);
        await page.getByLabel('Password').fill(PASSWORD);
        const answered = page.waitForResponse('**/api/auth/login');
        await page.getByRole('button', { name: 'Log in', exact: true }).click();
        await answered;
        const told = page.locator('.login [role="alert"]:not([hidden])');
        await told.waitFor();
        // What the server puts between backticks stands between quotes.
        const shown = payload.replaceAll(/`([^`]+)`/g, '“$1”');
        assert.ok((await told.textContent()).includes(shown), `${payload}: ${await told.textContent()}`);
        assert.equal(await page.getByLabel('Name').inputValue(), payload);
      }
      await clean(page, /status of 401/);
      for (const [path, head] of [['register', 'Register'], ['account', 'Set your password']]) {
        for (const payload of PAYLOADS.slice(0, 3)) {
          await page.goto('about:blank');
          await page.goto(`${server().address}/_/${path}?next=${encodeURIComponent(payload)}#${encodeURIComponent(payload)}`);
          await page.getByRole('heading', { name: head }).waitFor();
          await clean(page, /status of 401/);
        }
      }
      const account = await context.newPage();
      await account.goto(`${server().address}/_/login?next=/_/account`);
      await logIn(account, 'ada');
      await at(account, '/_/account');
      const sessions = account.locator('.lines li');
      await sessions.nth(devices.length).waitFor();
      const told = (await sessions.allInnerTexts()).join('\n');
      for (const device of devices) assert.ok(told.includes(device.slice(0, 60)), device);
      await clean(account, /status of 401/);
    });
  });
});
