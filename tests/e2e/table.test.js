/**
 * The live table: what it shows stands in the address, rows do not jump, refused changes can be sent again, compared or given up,
 * and it stays small over thousands of rows and events.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { add, askToDelete, cell, form, lookAway, noComplaints, row, stage } from './stage.js';
import { openWindow, SCREENSHOTS } from './tidewire.js';

const { open, chrome, server, windows } = stage('tests/fixtures/plain');
const titles = (page) => page.locator('tbody tr[data-state] td:nth-child(2)').allInnerTexts();
const shows = (page, ...texts) =>
  page.waitForFunction((texts) => [...document.querySelectorAll('tbody tr[data-state] td:nth-child(2)')].map((td) => td.innerText).join('|') === texts, texts.join('|'));
const batch = (ops, as) => server().request('POST', 'batch', { ops }, as);

/** What has the focus, by its text. */
const focused = (page) => page.evaluate(() => document.activeElement !== document.body && document.activeElement.innerText.trim());

async function tasks() {
  for (const [title, priority, status] of [
    ['Mend the fence', 4, 'doing'],
    ['Plant a tree', 2, 'open'],
    ['Clean the gutters', 5, 'open'],
  ])
    await server().post('tasks', { title, priority, status }, 'ada');
}

test('filters, order, search and columns stand in the address, and stay live', async () => {
  await tasks();
  const page = await open('/_/e/tasks?as=ada');
  await shows(page, 'Clean the gutters', 'Plant a tree', 'Mend the fence');
  await page.getByRole('button', { name: 'Priority' }).click();
  await shows(page, 'Plant a tree', 'Mend the fence', 'Clean the gutters');
  assert.equal(await page.getByRole('columnheader', { name: 'Priority' }).getAttribute('aria-sort'), 'ascending');

  await page.getByRole('button', { name: 'Filter' }).click();
  await page.getByLabel('Field').selectOption('priority');
  await page.getByLabel('Condition').selectOption('gte');
  await page.getByRole('textbox', { name: 'Value' }).fill('4');
  await page.keyboard.press('Enter');
  await shows(page, 'Mend the fence', 'Clean the gutters');
  await page.getByRole('button', { name: 'Remove the filter Priority is at least 4' }).waitFor();
  await page.getByText('2 rows match').waitFor();

  await page.getByRole('button', { name: 'Columns' }).click();
  await page.getByRole('checkbox', { name: 'Tags' }).uncheck();
  await page.keyboard.press('Escape');
  assert.equal(await page.getByRole('columnheader', { name: 'Tags' }).count(), 0);
  await page.screenshot({ path: join(SCREENSHOTS, 'table-filter.png') });

  // The address alone is enough, for another person, too.
  const { search } = new URL(page.url());
  const other = await open(`/_/e/tasks${search.replace('as=ada', 'as=ben')}`);
  await shows(other, 'Mend the fence', 'Clean the gutters');
  assert.equal(await other.getByRole('columnheader', { name: 'Tags' }).count(), 0);
  await lookAway(other);
  await server().post('tasks', { title: 'Ask about the roof', priority: 4 }, 'ada');
  await server().post('tasks', { title: 'Not so important', priority: 1 }, 'ada');
  await shows(other, 'Mend the fence', 'Ask about the roof', 'Clean the gutters');

  await page.getByRole('button', { name: 'Remove the filter Priority is at least 4' }).click();
  await page.getByRole('searchbox').fill('the');
  await shows(page, 'Mend the fence', 'Ask about the roof', 'Clean the gutters');
  assert.equal(new URL(page.url()).searchParams.get('find'), 'the');
  const wrong = await open('/_/e/tasks?filter=nothing.eq.1');
  await wrong.getByText('has a filter that tasks do not have: nothing.eq.1').waitFor();
  for (const one of [page, other, wrong]) noComplaints(one);
});

test('rows that others add wait while the user points at a row or is scrolled, and come when asked for', async () => {
  await batch(Array.from({ length: 80 }, (_, at) => ({ op: 'create', entity: 'Task', data: { title: `Task ${at}` } })));
  const page = await open('/_/e/tasks');
  const newest = (await server().list('tasks'))[0].title;
  await row(page, newest).first().waitFor();
  await cell(page, newest, 1).first().hover();
  const place = (text) => page.getByRole('row').filter({ hasText: text }).first().boundingBox();
  const before = await place(newest);
  for (const title of ['New one', 'New two']) await server().post('tasks', { title });
  await page.getByRole('button', { name: '2 new rows: show' }).waitFor();
  assert.deepEqual(await place(newest), before, 'the row under the pointer has not moved');
  await page.screenshot({ path: join(SCREENSHOTS, 'table-fresh.png') });
  await lookAway(page);
  await row(page, 'New two').waitFor();

  await page.locator('.scroll').evaluate((frame) => (frame.scrollTop = 1200));
  await server().post('tasks', { title: 'While scrolled' });
  await page.getByRole('button', { name: '1 new row: show' }).click();
  await row(page, 'While scrolled').waitFor();
  assert.equal(await page.locator('.scroll').evaluate((frame) => frame.scrollTop), 0);
  // What the user adds is shown at once, wherever they are.
  await page.locator('.scroll').evaluate((frame) => (frame.scrollTop = 1200));
  await add(page, { 'title *': 'Mine' });
  await row(page, 'Mine').waitFor();
  noComplaints(page);
});

test('a change is shown in the colour of its author, a refused one can be sent again, compared and given up', async () => {
  const { id } = await server().post('tasks', { title: 'Paint the shed' }, 'ada');
  const page = await open('/_/e/tasks?as=ada');
  await row(page, 'Paint the shed').waitFor();
  await page.evaluate(() => {
    window.marks = [];
    new MutationObserver((changes) => {
      for (const { target } of changes) if (target.classList?.contains('changed')) window.marks.push(target.style.getPropertyValue('--hue'));
    }).observe(document.querySelector('tbody'), { subtree: true, attributes: true, attributeFilter: ['class'] });
  });
  await server().request('PATCH', `tasks/${id}`, { title: 'Paint the barn' }, 'ben');
  await row(page, 'Paint the barn').waitFor();
  await page.waitForFunction(() => window.marks.length > 0);
  const hue = await page.evaluate(async () => (await import('/static/pages/mark.js')).hueOf('ben'));
  assert.equal(await page.evaluate(() => window.marks[0]), String(hue));

  await cell(page, 'Paint the barn', 0).dblclick();
  await page.getByRole('gridcell').getByRole('textbox', { name: 'Title' }).fill('x'.repeat(201));
  await page.keyboard.press('Enter');
  const refused = page.getByRole('alert').filter({ hasText: 'Title was not saved' });
  await refused.waitFor();
  await page.screenshot({ path: join(SCREENSHOTS, 'table-refused.png') });
  await page.getByRole('button', { name: 'Retry' }).click();
  await refused.waitFor();
  await page.getByRole('button', { name: 'Discard' }).click();
  await refused.waitFor({ state: 'detached' });
  assert.deepEqual(await titles(page), ['Paint the barn']);
  noComplaints(page, /status of 4\d\d/);
});

test('two users who write the same field at the same moment: the later one compares, and decides', async () => {
  const { id } = await server().post('tasks', { title: 'Paint the shed' }, 'ada');
  const page = await openWindow(chrome(), 'about:blank');
  windows().push(page);
  // Frames of both sides wait while the line is held.
  let held = null;
  await page.routeWebSocket(/\/ws/, (socket) => {
    const there = socket.connectToServer();
    const pass = (to) => (text) => (held ? held.push(() => to.send(text)) : to.send(text));
    socket.onMessage(pass(there));
    there.onMessage(pass(socket));
  });
  await page.goto(`${server().address}/_/e/tasks?as=ada`);
  await row(page, 'Paint the shed').waitFor();
  held = [];
  await cell(page, 'Paint the shed', 0).dblclick();
  await page.getByRole('gridcell').getByRole('textbox', { name: 'Title' }).fill('Paint it blue');
  await page.keyboard.press('Enter');
  await row(page, 'Paint it blue').waitFor();
  assert.equal(await row(page, 'Paint it blue').getAttribute('data-state'), 'pending');
  await page.getByText('Saving…').waitFor();
  await server().request('PATCH', `tasks/${id}`, { title: 'Paint it red' }, 'ben');
  const waiting = held;
  held = null;
  for (const send of waiting) send();
  await page.getByRole('alert').filter({ hasText: 'Another user changed it, too.' }).waitFor();
  await row(page, 'Paint it red').waitFor();
  await page.screenshot({ path: join(SCREENSHOTS, 'table-conflict.png') });
  await page.getByRole('button', { name: 'Compare' }).click();
  const dialog = page.getByRole('dialog', { name: 'You both changed this' });
  for (const text of ['Paint it blue', 'Paint it red', 'Paint the shed']) await dialog.getByText(text).waitFor();
  await page.screenshot({ path: join(SCREENSHOTS, 'compare.png') });
  await dialog.getByRole('radio').first().check();
  await dialog.getByRole('button', { name: 'Save this choice' }).click();
  await row(page, 'Paint it blue').waitFor();
  await page.waitForFunction(() => document.querySelector('tbody tr[data-state]').dataset.state === 'synced');
  assert.equal((await server().list('tasks'))[0].title, 'Paint it blue');
});

test('the table is used by keyboard alone, and ? lists the keys', async () => {
  await tasks();
  const page = await open('/_/e/tasks');
  await row(page, 'Plant a tree').waitFor();
  await page.keyboard.press('?');
  const help = page.getByRole('dialog', { name: 'Keys' });
  await help.getByText('Edit the cell').waitFor();
  await page.keyboard.press('Escape');
  await help.waitFor({ state: 'detached' });
  await page.keyboard.press('n');
  await (await form(page)).getByLabel('title *').fill('By keyboard');
  await page.keyboard.press('Enter');
  await row(page, 'By keyboard').waitFor();
  await page.locator('td[tabindex="0"]').focus();
  await page.keyboard.press('Control+Home');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('End');
  await page.keyboard.press('Enter');
  await page.getByRole('menuitem', { name: 'Open the record' }).waitFor();
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute('aria-haspopup')), 'menu');
  await page.keyboard.press('Home');
  for (const [key, title] of [['Enter', 'Typed after Enter'], ['F2', 'Typed after F2']]) {
    await page.keyboard.press(key);
    await page.keyboard.press('Control+A');
    await page.keyboard.type(title);
    await page.keyboard.press('Enter');
    await row(page, title).waitFor();
    assert.equal(await focused(page), title);
  }
  await page.keyboard.press('Enter');
  await page.keyboard.type('not saved');
  await page.keyboard.press('Escape');
  assert.equal(await focused(page), 'Typed after F2');
  await page.keyboard.press('/');
  assert.equal(await page.evaluate(() => document.activeElement.type), 'search');
  await cell(page, 'Typed after F2', 5).focus();
  await page.keyboard.press('Control+Enter');
  await page.getByRole('heading', { name: 'ada', exact: true }).waitFor();
  noComplaints(page);
});

test('of fifty thousand rows few are drawn and loaded, and the last one can be reached', async () => {
  for (let made = 0; made < 50_000; made += 500)
    await batch(Array.from({ length: 500 }, (_, at) => ({ op: 'create', entity: 'Project', data: { name: `Project ${made + at}` } })));
  const page = await open('/_/e/projects');
  await page.getByText('50,000 rows').waitFor();
  const frame = page.locator('.scroll');
  let most = 0;
  // A quick hand: a thousand rows at a time. Each picture has the rows of its place, or says that they are on their way.
  for (let top = 0; top < 400_000; top += 40_000) {
    await frame.evaluate((element, top) => (element.scrollTop = top), top);
    await page.waitForFunction((at) => document.querySelector(`tbody tr[data-state][aria-rowindex="${at}"]`), Math.floor(top / 40) + 3);
    most = Math.max(most, await page.locator('tbody tr').count());
  }
  assert.ok(most < 70, `${most} rows in the page`);
  const gaps = await page.evaluate(async () => {
    const frame = document.querySelector('.scroll');
    const times = [];
    let last = performance.now();
    for (let step = 0; step < 120; step++) {
      frame.scrollTop = 100_000 + step * 60;
      await new Promise(requestAnimationFrame);
      times.push(performance.now() - last);
      last = performance.now();
    }
    return times.sort((a, b) => a - b);
  });
  console.log(`a picture takes ${gaps[60].toFixed(1)} ms, the slowest of 120 ${gaps[119].toFixed(1)} ms`);
  // Generous: the machine of the test draws without a graphics card. A table that draws all rows takes seconds.
  assert.ok(gaps[60] < 100, `${gaps[60]} ms`);
  noComplaints(page);
});

test('an open table stays as small as it was over twenty thousand events', async () => {
  const made = await batch(Array.from({ length: 200 }, (_, at) => ({ op: 'create', entity: 'Task', data: { title: `Task ${at}` } })));
  const ids = made.results.map(({ record }) => record.id);
  const page = await open('/_/e/tasks');
  await page.getByText('200 rows').waitFor();
  const devtools = await page.context().newCDPSession(page);
  await devtools.send('Performance.enable');
  const events = async (rounds) => {
    for (let round = 0; round < rounds; round++) {
      const title = `Round ${round} ${Math.random()}`;
      for (const from of [0, 100])
        await batch(ids.slice(from, from + 100).map((id) => ({ op: 'update', entity: 'Task', id, data: { title } })));
      if (round % 10 === 9) await row(page, title).first().waitFor();
    }
  };
  const size = async () => {
    await devtools.send('HeapProfiler.collectGarbage');
    const { metrics } = await devtools.send('Performance.getMetrics');
    return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
  };
  await events(20);
  const before = await size();
  await events(100);
  const after = await size();
  const grown = (after.JSHeapUsedSize - before.JSHeapUsedSize) / 2 ** 20;
  console.log(`20,000 events: ${grown.toFixed(2)} MiB more, ${after.Nodes - before.Nodes} nodes, ${after.JSEventListeners - before.JSEventListeners} listeners more`);
  assert.ok(grown < 4, `${grown} MiB more`);
  assert.ok(after.Nodes - before.Nodes < 500 && after.JSEventListeners - before.JSEventListeners < 200);
  // And a screen reader heard of it in few sentences.
  assert.match(await page.locator('#news').innerText(), /^\d+ changed$|^$/);
  noComplaints(page);
});

test('a deleted row leaves, and the dialog says why another one stays', async () => {
  await tasks();
  const page = await open('/_/e/tasks');
  await row(page, 'Plant a tree').waitFor();
  const dialog = await askToDelete(page, 'Plant a tree');
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await row(page, 'Plant a tree').waitFor({ state: 'detached' });
  assert.equal((await titles(page)).length, 2);
  noComplaints(page);

  const users = await open('/_/e/users?as=ben');
  await row(users, 'ada').waitFor();
  const refused = await askToDelete(users, 'ada');
  await refused.getByRole('button', { name: 'Delete' }).click();
  await refused.getByRole('alert').filter({ hasText: /Task/ }).waitFor();
  assert.equal(await focused(users), 'Delete', 'the focus is outside of the dialog');
  await users.keyboard.press('Escape');
  await refused.waitFor({ state: 'detached' });
  assert.equal(await row(users, 'ada').count(), 1);
  noComplaints(users, /409/);
});

test('the focus is never lost: after a deletion the next row has it, after a filter the next one', async () => {
  await tasks();
  const page = await open('/_/e/tasks?filter=priority.gte.1&filter=priority.lte.5');
  await shows(page, 'Clean the gutters', 'Plant a tree', 'Mend the fence');
  await page.locator('td[tabindex="0"]').focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Delete');
  const dialog = page.getByRole('dialog', { name: 'Delete “Plant a tree”?' });
  await dialog.waitFor();
  // The row goes while the dialog is open, before the answer comes.
  await page.route('**/api/tasks/*', async (route) => {
    const response = await route.fetch();
    await row(page, 'Plant a tree').waitFor({ state: 'detached' });
    await route.fulfill({ response });
  });
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await dialog.waitFor({ state: 'detached' });
  assert.equal(await focused(page), 'Mend the fence');

  await page.getByRole('button', { name: 'Remove the filter Priority is at least 1' }).click();
  assert.equal(await focused(page), 'Priority is at most 5');
  await page.getByRole('button', { name: 'Remove the filter Priority is at most 5' }).click();
  assert.equal(await focused(page), 'Filter');
  noComplaints(page);
});
