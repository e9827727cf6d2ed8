/**
 * Two windows on one table: what a person does in one is seen in the other, whatever happens to the server.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { PAYLOADS } from './hostile.js';
import { add, added, askToDelete, cell, filled, form, lookAway, measured, noComplaints, row, sees, stage } from './stage.js';
import { openWindow, SCREENSHOTS } from './tidewire.js';

const { open, chrome, windows, server } = stage('tests/fixtures/plain');

test('create, edit and delete in one window are seen in the other', async () => {
  const [one, two] = [await open('/_/e/tasks'), await open('/_/e/tasks?as=ada')];
  await two.getByRole('textbox', { name: 'Switch user' }).and(two.locator('[value="ada"]')).waitFor();

  const milk = await filled(one, { 'title *': 'Buy oat milk' });
  await measured(two, 'Buy oat milk', () => milk.click());
  await cell(two, 'Buy oat milk', 0).dblclick();
  await two.getByRole('gridcell').getByRole('textbox', { name: 'title' }).fill('Buy soy milk');
  await measured(one, 'Buy soy milk', () => two.keyboard.press('Enter'));
  assert.equal(await row(one, 'Buy oat milk').count(), 0);

  // By keyboard alone: status, the second column.
  await cell(one, 'Buy soy milk', 0).click();
  await one.keyboard.press('ArrowRight');
  await one.keyboard.press('Enter');
  await one.getByRole('gridcell').getByRole('combobox', { name: 'status' }).selectOption('doing');
  const moved = await sees(two, 'doing');
  await one.keyboard.press('Enter');
  await moved.at();

  await (await askToDelete(one, 'Buy soy milk')).waitFor();
  await one.keyboard.press('Escape');
  assert.equal(await row(one, 'Buy soy milk').count(), 1);
  const dialog = await askToDelete(one, 'Buy soy milk');
  await measured(two, 'Buy soy milk', () => dialog.getByRole('button', { name: 'Delete' }).click(), { gone: true });
  await two.getByText('No tasks yet').waitFor();
  noComplaints(one);
  noComplaints(two);
});

test('errors stand under their fields, in the words of the server', async () => {
  const page = await open('/_/e/tasks');
  await add(page, { 'title *': 'x'.repeat(201), priority: '9' });
  const title = (await form(page)).getByLabel('title *');
  const complaint = page.locator(`#${await title.getAttribute('aria-describedby')}`);
  await complaint.waitFor();
  assert.match(await complaint.innerText(), /200/);
  assert.equal(await title.getAttribute('aria-invalid'), 'true');
  assert.match(
    await page.locator(`#${await page.locator('#drawer').getByLabel('priority').getAttribute('aria-describedby')}`).innerText(),
    /5/,
  );
  await add(page, { 'title *': 'Short enough', priority: '5' });
  await row(page, 'Short enough').waitFor();
  assert.equal(await complaint.isHidden(), true);
  // A cell shows at once what was typed, and takes it back. The reason stands below the row, and what was typed can be mended.
  await cell(page, 'Short enough', 2).dblclick();
  const priority = page.getByRole('gridcell').getByRole('textbox', { name: 'priority' });
  await priority.fill('many');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').filter({ hasText: 'Priority was not saved' }).waitFor();
  assert.equal(await row(page, 'Short enough').getAttribute('data-state'), 'failed');
  assert.equal(await cell(page, 'Short enough', 2).innerText(), '5');
  await page.screenshot({ path: join(SCREENSHOTS, 'errors.png') });
  await page.getByRole('button', { name: 'Edit' }).click();
  assert.equal(await priority.inputValue(), 'many');
  await priority.fill('4');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('tbody tr[data-state=synced]')?.innerText.includes('4'));
  assert.equal(await page.getByRole('alert').filter({ hasText: 'was not saved' }).count(), 0);
  noComplaints(page, /status of 4\d\d/);
});

test('what is being typed is never overwritten; the other value stands beside it', async () => {
  const { id, version } = await server().post('tasks', { title: 'Paint the shed' });
  const [one, two] = [await open('/_/e/tasks'), await open('/_/e/tasks')];
  await cell(one, 'Paint the shed', 0).dblclick();
  const input = one.getByRole('gridcell').getByRole('textbox', { name: 'title' });
  await input.fill('Paint the shed blue');
  await cell(two, 'Paint the shed', 0).dblclick();
  await two.getByRole('gridcell').getByRole('textbox', { name: 'title' }).fill('Paint the barn');
  await two.keyboard.press('Enter');
  await one.getByText('Changed elsewhere to').waitFor();
  assert.equal(await input.inputValue(), 'Paint the shed blue');
  await one.screenshot({ path: join(SCREENSHOTS, 'changed-elsewhere.png') });
  await measured(two, 'Paint the shed blue', () => input.press('Enter'));

  // A change of another field is no conflict, and a delete leaves the text where it is.
  await cell(one, 'Paint the shed blue', 0).dblclick();
  await input.fill('Paint it all');
  await fetch(`${server().address}/api/tasks/${id}`, {
    method: 'PATCH',
    headers: { 'Content-Type': 'application/json' },
    body: '{"priority":1}',
  });
  await measured(two, 'Paint it all', () => input.press('Enter'));
  assert.ok(version < (await server().list('tasks')).find((task) => task.id === id).version);
  await cell(one, 'Paint it all', 0).dblclick();
  await input.fill('Too late');
  await fetch(`${server().address}/api/tasks/${id}`, { method: 'DELETE' });
  await one.getByText('This record was deleted').waitFor();
  assert.equal(await input.inputValue(), 'Too late');
  await input.press('Escape');
  await row(one, 'Paint it all').waitFor({ state: 'detached' });
  noComplaints(one, /status of 412/);
});

test('the server is killed and comes back: both windows go on without a reload', async () => {
  const [one, two] = [await open('/_/e/tasks'), await open('/_/e/tasks')];
  for (const page of [one, two]) await page.evaluate(() => (window.notReloaded = true));
  await added(one, { 'title *': 'Before the cut' });
  await row(two, 'Before the cut').waitFor();

  await server().kill();
  for (const page of [one, two])
    await page
      .getByRole('status')
      .filter({ hasText: /Connecting|Offline/ })
      .waitFor();
  assert.equal(await row(two, 'Before the cut').count(), 1, 'old rows stay');
  await one.screenshot({ path: join(SCREENSHOTS, 'server-gone.png') });
  // A write into the void is repeated until the server is there, and happens once.
  await add(one, { 'title *': 'During the cut' });
  await server().start();
  for (const page of [one, two]) {
    await page.getByRole('status').filter({ hasText: 'Live' }).waitFor({ timeout: 60_000 });
    await row(page, 'During the cut').waitFor();
  }
  const after = await filled(two, { 'title *': 'After the cut' });
  await measured(one, 'After the cut', () => after.click());

  const titles = (await server().list('tasks')).map(({ title }) => title);
  assert.deepEqual(
    titles.filter((title) => title.endsWith('the cut')),
    ['After the cut', 'During the cut', 'Before the cut'],
  );
  for (const page of [one, two]) {
    await lookAway(page);
    await page.waitForFunction((count) => document.querySelectorAll('tbody tr').length === count, titles.length);
    assert.deepEqual(await page.locator('tbody tr td:nth-child(2)').allInnerTexts(), titles);
    assert.equal(await page.evaluate(() => window.notReloaded), true);
    noComplaints(page, /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|WebSocket connection to/);
  }
});

test('where no socket gets through, changes are fetched; when one does, it takes over', async () => {
  await server().post('tasks', { title: 'There before' });
  const page = await openWindow(chrome(), 'about:blank');
  windows().push(page);
  let blocked = true;
  await page.routeWebSocket(/\/ws$/, (socket) =>
    blocked ? socket.close({ code: 1006 }) : void socket.connectToServer(),
  );
  await page.goto(`${server().address}/_/e/tasks`);
  const status = (word) => page.getByRole('status').filter({ hasText: word }).waitFor({ timeout: 60_000 });
  await status('Syncing');
  await row(page, 'There before').waitFor();
  await server().post('tasks', { title: 'Fetched' });
  await row(page, 'Fetched').waitFor();
  blocked = false;
  await status('Live');
  await measured(page, 'Pushed', () => server().post('tasks', { title: 'Pushed' }));
  assert.deepEqual(await page.locator('tbody tr td:nth-child(2)').allInnerTexts(), [
    'Pushed',
    'Fetched',
    'There before',
  ]);
  noComplaints(page, /WebSocket/);
});

test('thirty hostile titles are text, in the table, the dialog and the list of entities', async () => {
  assert.equal(PAYLOADS.length, 30);
  // High enough for all of them: what is out of sight is not drawn.
  const page = await open('/_/e/tasks', { viewport: { width: 1280, height: 1700 } });
  await Promise.all(PAYLOADS.map((title) => server().post('tasks', { title, tags: { '<b>': title } })));
  const ours = () =>
    page.locator('tbody tr td:nth-child(2)').evaluateAll((cells) => cells.map((cell) => cell.textContent));
  await page.waitForFunction((last) => document.querySelector('tbody').textContent.includes(last), PAYLOADS[29]);
  await page.waitForFunction((count) => document.querySelectorAll('tbody tr').length >= count, PAYLOADS.length);
  const shown = await ours();
  for (const payload of PAYLOADS) assert.ok(shown.includes(payload), `${payload} is shown as it is`);
  assert.equal(await page.locator('tbody :is(script, img, svg, iframe, style, form, video, details)').count(), 0);
  assert.equal(await page.locator('tbody a:not([href^="/_/e/tasks/"])').count(), 0);
  await page.screenshot({ path: join(SCREENSHOTS, 'hostile-titles.png') });

  await page.getByRole('row').filter({ hasText: PAYLOADS[1] }).first().getByRole('button', { name: /^More/ }).click();
  await page.getByRole('menuitem', { name: 'Delete…' }).click();
  await page.getByRole('dialog').getByText(`Delete “${PAYLOADS[1]}”?`).waitFor();
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => ({}).polluted), undefined);
  noComplaints(page);
  const home = await open('/_/');
  await home.getByRole('heading', { name: 'Task' }).waitFor();
  await home.getByRole('list', { name: 'Newest tasks' }).getByRole('link').first().waitFor();
  noComplaints(home);
});

test('a thousand rows: few are drawn, all can be reached, and they are live within the limit', async () => {
  const task = (await server().post('tasks', { title: 'Talk' })).id;
  const ops = (from) => Array.from({ length: 500 }, (_, i) => ({ op: 'create', entity: 'Comment', data: { body: `remark ${from + i}`, task } }));
  for (const from of [0, 500]) await server().request('POST', 'batch', { ops: ops(from) });
  const [one, two] = [await open('/_/e/comments'), await open('/_/e/comments')];
  for (const page of [one, two]) await page.getByText('1,000 rows').waitFor();
  assert.ok((await one.locator('tbody tr').count()) < 60, 'only what the window shows is drawn');
  assert.equal(await one.getByRole('grid').getAttribute('aria-rowcount'), '1001');
  await measured(two, 'one more remark', async () => {
    await server().post('comments', { body: 'one more remark', task });
  });
  await two.getByText('1,001 rows').waitFor();
  await cell(one, 'one more remark', 0).dblclick();
  await one.getByRole('gridcell').getByRole('textbox', { name: 'body' }).fill('one last remark');
  await measured(two, 'one last remark', () => one.getByRole('gridcell').getByRole('button', { name: 'Save' }).click());
  // The oldest is at the end, and what is read on the way is never all of it at once.
  await two.locator('.scroll').evaluate((frame) => (frame.scrollTop = frame.scrollHeight));
  await row(two, 'remark 0').first().waitFor();
  assert.ok((await two.locator('tbody tr').count()) < 60);
});

test('the pages, light and dark', async () => {
  const garden = await server().post('projects', {
    name: 'Garden',
    color: 'green',
    description: 'Everything behind the house.',
  });
  const house = await server().post('projects', { name: 'House', color: 'orange' });
  const some = [
    ['Plant the apple tree', 'done', 2, '2026-10-01', garden.id, ['spring']],
    ['Mend the fence', 'doing', 4, '2026-11-30', garden.id, ['wood', 'tools']],
    [
      'Ask three firms about the roof, and compare what they say about the old chimney',
      'open',
      5,
      null,
      house.id,
      null,
    ],
    ['Clean the gutters', 'open', 3, '2026-12-05', house.id, { season: 'autumn' }],
  ];
  for (const [title, status, priority, due, project, tags] of some)
    await server().post('tasks', { title, status, priority, due, project, tags });
  for (const colorScheme of ['light', 'dark']) {
    for (const [name, path] of [
      ['home', '/_/?as=ada'],
      ['tasks', '/_/e/tasks?as=ada'],
      ['projects', '/_/e/projects'],
    ]) {
      const page = await open(path, { colorScheme, reducedMotion: 'reduce' });
      await page.locator('tbody tr, .newest li').first().waitFor();
      await page.screenshot({ path: join(SCREENSHOTS, `${name}-${colorScheme}.png`) });
      noComplaints(page);
    }
  }
});

test('labels begin with a capital, dates are short, and an id can be copied', async () => {
  const { id } = await server().post('tasks', { title: 'Sweep the yard', due: '2031-10-01' });
  const page = await open('/_/e/tasks', { locale: 'en-GB', permissions: ['clipboard-read', 'clipboard-write'] });
  await row(page, 'Sweep the yard').waitFor();
  assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), 'Tasks');
  // The first one has the box that selects all rows.
  const [, ...heads] = await page.getByRole('columnheader').allInnerTexts();
  assert.deepEqual([heads[0], heads.at(-2), heads.at(-1)], ['Title', 'Updated', 'Actions']);
  const due = await cell(page, 'Sweep the yard', heads.indexOf('Due')).innerText();
  assert.equal(due, '1 Oct 2031');
  assert.match(await cell(page, 'Sweep the yard', heads.length - 2).innerText(), /^\d\d:\d\d$/, 'today: the time');
  await row(page, 'Sweep the yard').getByRole('button', { name: /^More/ }).click();
  await page.getByRole('menuitem', { name: 'Copy the id' }).click();
  await row(page, 'Sweep the yard').getByText('Copied').waitFor();
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), id);
  noComplaints(page);
});

test('a field that is added to the schema file appears in the open window, and nobody loses what they type', async () => {
  const page = await open('/_/e/projects');
  await server().post('projects', { name: 'Harbour' });
  await row(page, 'Harbour').waitFor();
  const addField = (line) => server().edit('project.toml', (text) => text.replace('[fields]', `[fields]\n${line}`));

  addField('budget = { type = "int" }');
  await page.getByRole('columnheader', { name: 'budget' }).waitFor();
  await row(page, 'Harbour').waitFor();

  const name = (await form(page)).locator('input').first();
  await name.fill('Half a na');
  addField('city = { type = "text" }');
  await page.getByText('The schema has changed.').waitFor();
  assert.equal(await name.inputValue(), 'Half a na');
  assert.equal(await page.getByRole('columnheader', { name: 'city' }).count(), 0);
  await page.screenshot({ path: join(SCREENSHOTS, 'schema-changed.png') });
  await page.getByRole('button', { name: 'Show the new fields' }).click();
  await page.getByRole('columnheader', { name: 'city' }).waitFor();
  noComplaints(page);
});
