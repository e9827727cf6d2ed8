/**
 * Two windows on one table: what a person does in one is seen in the other, whatever happens to the server.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { add, cell, measured, noComplaints, row, sees, stage } from './stage.js';
import { openWindow, SCREENSHOTS } from './tidewire.js';

const { open, chrome, windows, server } = stage('tests/fixtures/plain');

test('create, edit and delete in one window are seen in the other', async () => {
  const [one, two] = [await open('/_/e/tasks'), await open('/_/e/tasks?as=ada')];
  await two.getByRole('textbox', { name: 'Switch user' }).and(two.locator('[value="ada"]')).waitFor();

  await measured(two, 'Buy oat milk', () => add(one, { 'title *': 'Buy oat milk' }));
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

  await row(one, 'Buy soy milk').getByRole('button', { name: 'Delete Buy soy milk' }).click();
  const dialog = one.getByRole('dialog', { name: 'Delete “Buy soy milk”?' });
  await dialog.waitFor();
  await one.keyboard.press('Escape');
  assert.equal(await row(one, 'Buy soy milk').count(), 1);
  await row(one, 'Buy soy milk').getByRole('button', { name: 'Delete Buy soy milk' }).click();
  await measured(two, 'Buy soy milk', () => dialog.getByRole('button', { name: 'Delete' }).click(), { gone: true });
  await two.getByText('No tasks yet').waitFor();
  noComplaints(one);
  noComplaints(two);
});

test('errors stand under their fields, in the words of the server', async () => {
  const page = await open('/_/e/tasks');
  await add(page, { 'title *': 'x'.repeat(201), priority: '9' });
  const title = page.getByLabel('title *');
  const complaint = page.locator(`#${await title.getAttribute('aria-describedby')}`);
  await complaint.waitFor();
  assert.match(await complaint.innerText(), /200/);
  assert.equal(await title.getAttribute('aria-invalid'), 'true');
  assert.match(
    await page.locator(`#${await page.getByLabel('priority').getAttribute('aria-describedby')}`).innerText(),
    /5/,
  );
  await add(page, { 'title *': 'Short enough', priority: '5' });
  await row(page, 'Short enough').waitFor();
  assert.equal(await complaint.isHidden(), true);
  // The same in a cell.
  await cell(page, 'Short enough', 2).dblclick();
  await page.getByRole('gridcell').getByRole('textbox', { name: 'priority' }).fill('many');
  await page.keyboard.press('Enter');
  await row(page, 'Short enough').getByRole('alert').waitFor();
  await page.screenshot({ path: join(SCREENSHOTS, 'errors.png') });
  await page.keyboard.press('Escape');
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
  await add(one, { 'title *': 'Before the cut' });
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
  await measured(one, 'After the cut', () => add(two, { 'title *': 'After the cut' }));

  const titles = (await server().list('tasks')).map(({ title }) => title);
  assert.deepEqual(
    titles.filter((title) => title.endsWith('the cut')),
    ['After the cut', 'During the cut', 'Before the cut'],
  );
  for (const page of [one, two]) {
    await page.waitForFunction((count) => document.querySelectorAll('tbody tr').length === count, titles.length);
    assert.deepEqual(await page.locator('tbody tr td:first-child').allInnerTexts(), titles);
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
  assert.deepEqual(await page.locator('tbody tr td:first-child').allInnerTexts(), [
    'Pushed',
    'Fetched',
    'There before',
  ]);
  noComplaints(page, /WebSocket/);
});

const PAYLOADS = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '"><script>alert(1)</script>',
  "'><svg onload=alert(1)>",
  '<svg><script>alert(1)</script></svg>',
  '<body onload=alert(1)>',
  '<iframe src="javascript:alert(1)"></iframe>',
  '<a href="javascript:alert(1)">x</a>',
  'javascript:alert(1)',
  '</title><script>alert(1)</script>',
  '</textarea><script>alert(1)</script>',
  '<style>*{display:none}</style>',
  '<link rel=stylesheet href=//example.invalid>',
  '<base href=//example.invalid>',
  '<form action=//example.invalid><button>go</button></form>',
  '<input autofocus onfocus=alert(1)>',
  '<details open ontoggle=alert(1)>',
  '<video><source onerror=alert(1)></video>',
  '<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>',
  '{{constructor.constructor("alert(1)")()}}',
  '${alert(1)}',
  '`${alert(1)}`',
  '&lt;script&gt;alert(1)&lt;/script&gt;',
  '&#60;b&#62;',
  '<!--<img src="--><img src=x onerror=alert(1)//">',
  '<template shadowrootmode=open><script>alert(1)</script></template>',
  '__proto__',
  '{"__proto__":{"polluted":true}}',
  '"; alert(1); "',
  '\u202Eevil\u202C <b>bold</b>',
];

test('thirty hostile titles are text, in the table, the dialog and the list of entities', async () => {
  assert.equal(PAYLOADS.length, 30);
  const page = await open('/_/e/tasks');
  await Promise.all(PAYLOADS.map((title) => server().post('tasks', { title, tags: { '<b>': title } })));
  const ours = () =>
    page.locator('tbody tr td:first-child').evaluateAll((cells) => cells.map((cell) => cell.textContent));
  await page.waitForFunction((last) => document.querySelector('tbody').textContent.includes(last), PAYLOADS[29]);
  await page.waitForFunction((count) => document.querySelectorAll('tbody tr').length >= count, PAYLOADS.length);
  const shown = await ours();
  for (const payload of PAYLOADS) assert.ok(shown.includes(payload), `${payload} is shown as it is`);
  assert.equal(await page.locator('tbody :is(script, img, svg, iframe, a, style, form, video, details)').count(), 0);
  await page.screenshot({ path: join(SCREENSHOTS, 'hostile-titles.png') });

  await page
    .getByRole('row')
    .filter({ hasText: PAYLOADS[1] })
    .first()
    .getByRole('button', { name: /^Delete/ })
    .click();
  await page.getByRole('dialog').getByText(`Delete “${PAYLOADS[1]}”?`).waitFor();
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => ({}).polluted), undefined);
  noComplaints(page);
  const home = await open('/_/');
  await home.getByRole('heading', { name: 'Task' }).waitFor();
  await home.getByRole('list', { name: 'Newest tasks' }).getByRole('link').first().waitFor();
  noComplaints(home);
});

test('a thousand rows: still live within the limit', async () => {
  const task = (await server().post('tasks', { title: 'Talk' })).id;
  for (let made = 0; made < 1000; made += 50) {
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => server().post('comments', { body: `remark ${made + i}`, task })),
    );
  }
  const [one, two] = [await open('/_/e/comments'), await open('/_/e/comments')];
  for (const page of [one, two])
    await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1000);
  await measured(two, 'one more remark', async () => {
    await server().post('comments', { body: 'one more remark', task });
  });
  assert.equal(await two.locator('tbody tr').count(), 1000);
  await two.getByText('1,001 rows, the newest 1,000 shown').waitFor();
  await cell(one, 'one more remark', 0).dblclick();
  await one.getByRole('gridcell').getByRole('textbox', { name: 'body' }).fill('one last remark');
  await measured(two, 'one last remark', () => one.getByRole('gridcell').getByRole('button', { name: 'Save' }).click());
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
  const heads = await page.getByRole('columnheader').allInnerTexts();
  assert.deepEqual([heads[0], heads.at(-2), heads.at(-1)], ['Title', 'Updated', 'Actions']);
  const due = await cell(page, 'Sweep the yard', heads.indexOf('Due')).innerText();
  assert.equal(due, '1 Oct 2031');
  assert.match(await cell(page, 'Sweep the yard', heads.length - 2).innerText(), /^\d\d:\d\d$/, 'today: the time');
  await page.getByRole('button', { name: 'Copy the id of Sweep the yard' }).click();
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

  const name = page.locator('#add input').first();
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
