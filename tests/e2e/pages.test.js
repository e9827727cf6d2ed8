/**
 * The other pages: one record, the home page, the schema, the API, and what is not there. Each with two users, by the rules of
 * accessibility, and within its budget of bytes.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { noComplaints, row, stage } from './stage.js';
import { SCREENSHOTS } from './tidewire.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PLAIN = (name) => readFileSync(new URL(`../fixtures/plain/${name}.toml`, import.meta.url), 'utf8');
const SCHEMAS = {
  'task.toml': PLAIN('task').replace('label  = "title"', 'label  = "title"\nhistory = "30d"'),
  'project.toml': PLAIN('project'),
  'comment.toml': PLAIN('comment'),
};
const { open, server } = stage(SCHEMAS);
const shot = (page, name) => page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
const name = (text) => (page) => page.getByRole('heading', { level: 1, name: text }).waitFor();

async function task(data = {}) {
  const project = await server().post('projects', { name: 'Garden' }, 'ada');
  return server().post('tasks', { title: 'Plant a tree', project: project.id, ...data }, 'ada');
}

test('a record has a form, its history with what changed, and the ways to other records', async () => {
  const { id } = await task();
  await server().post('comments', { body: 'A good idea', task: id }, 'ben');
  await server().request('PATCH', `tasks/${id}`, { status: 'doing' }, 'ben');
  const page = await open(`/_/e/tasks/${id}?as=ada`);
  await name('Plant a tree')(page);
  const history = page.locator('#history li');
  await history.filter({ hasText: 'ben changed Status' }).waitFor();
  assert.match(await history.first().innerText(), /open\s*→\s*doing/);
  assert.equal(await history.count(), 2);
  await page.getByRole('link', { name: 'Comments (1)' }).waitFor();

  await page.getByLabel('Title *').fill('Plant two trees');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Saved.').waitFor();
  await name('Plant two trees')(page);
  await history.filter({ hasText: 'ada changed Title' }).waitFor();
  assert.deepEqual((await server().list('tasks')).map(({ title, status }) => [title, status]), [['Plant two trees', 'doing']]);
  await page.getByLabel('Priority').fill('77');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.locator('#field-priority-error').filter({ hasText: '5' }).waitFor();
  assert.equal(await page.getByLabel('Priority').inputValue(), '77');
  await page.getByRole('button', { name: 'Take back' }).click();
  assert.equal(await page.getByLabel('Priority').inputValue(), '3');
  await shot(page, 'record');
  await page.getByRole('link', { name: 'Comments (1)' }).click();
  await row(page, 'A good idea').waitFor();
  await page.getByRole('link', { name: 'Open Plant two trees' }).click();
  await name('Plant two trees')(page);
  await page.getByText('You are ada').waitFor();
  await page.getByRole('button', { name: 'Delete…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await page.waitForURL(/\/_\/e\/tasks\?as=ada/);
  assert.deepEqual(await server().list('tasks'), []);
  noComplaints(page, /status of 422/);
});

test('a record without a history says how to keep one, and one with it begins at once', async () => {
  const { id } = await server().post('projects', { name: 'Garden' }, 'ada');
  const page = await open(`/_/e/projects/${id}?as=ada`);
  const note = page.locator('#history p');
  await note.filter({ hasText: 'Projects keep no history. To keep it, write history = "30d" in the schema file, below entity = "Project".' }).waitFor();
  // As it says.
  server().edit('project.toml', (text) => text.replace(/^entity *= *"Project".*$/m, '$&\nhistory = "30d"'));
  await page.locator('#history li').filter({ hasText: 'created it' }).waitFor();
  // Others cannot change the file.
  const guest = await open(`/_/e/comments/${(await server().post('comments', { body: 'Hi', task: (await task()).id }, 'ben')).id}`);
  await guest.locator('#history p').filter({ hasText: /^Comments keep no history\.$/ }).waitFor();
  for (const one of [page, guest]) noComplaints(one, /status of 4\d\d/);
});

test('two users at one record see each other in the fields, and what is typed is never overwritten', async () => {
  const { id } = await task();
  const [ada, ben] = [await open(`/_/e/tasks/${id}?as=ada`), await open(`/_/e/tasks/${id}?as=ben`)];
  for (const page of [ada, ben]) await name('Plant a tree')(page);
  await ben.getByLabel('Title *').fill('Plant three trees');
  await ada.locator('.field[data-who="ben is editing"]').filter({ hasText: 'Title' }).waitFor();
  await ada.getByText('ben is editing this.').waitFor();
  await ada.locator('#here').getByRole('img', { name: 'ben edits Title' }).waitFor();
  await shot(ada, 'record-presence');

  await ada.getByLabel('Title *').fill('Plant a hedge');
  await ben.getByRole('button', { name: 'Save' }).click();
  await ben.getByText('Saved.').waitFor();
  await ada.getByText('ben changed this to Plant three trees').waitFor();
  assert.equal(await ada.getByLabel('Title *').inputValue(), 'Plant a hedge');
  // Another field follows by itself.
  await ben.getByLabel('Status').selectOption('done');
  await ben.getByRole('button', { name: 'Save' }).click();
  await ada.waitForFunction(() => document.querySelector('#field-status').value === 'done');
  assert.equal(await ada.getByLabel('Title *').inputValue(), 'Plant a hedge');
  await ada.getByRole('button', { name: 'Use this value' }).click();
  assert.equal(await ada.getByLabel('Title *').inputValue(), 'Plant three trees');

  await ada.getByLabel('Title *').fill('Too late');
  await server().request('DELETE', `tasks/${id}`, undefined, 'ben');
  await ada.getByText('Copy your text: it cannot be saved.').waitFor();
  assert.equal(await ada.getByLabel('Title *').inputValue(), 'Too late');
  await ben.getByText(`There is no record ${id} here`).waitFor();
  for (const page of [ada, ben]) noComplaints(page, /status of 4\d\d/);
});

test('two users save one field of a record at the same moment: the second one chooses', async () => {
  const { id } = await task();
  const page = await open(`/_/e/tasks/${id}?as=ada`);
  await name('Plant a tree')(page);
  await page.getByLabel('Title *').fill('Mine');
  await page.getByLabel('Priority').fill('5');
  await page.route(/\/api\/(batch|tasks)/, async (route) => {
    await server().request('PATCH', `tasks/${id}`, { title: 'Theirs' }, 'ben');
    await route.continue();
  }, { times: 1 });
  await page.getByRole('button', { name: 'Save' }).click();
  const dialog = page.getByRole('dialog', { name: 'You both changed this' });
  await dialog.getByText('Theirs', { exact: true }).first().waitFor();
  await dialog.getByRole('radio').nth(1).check();
  await dialog.getByRole('button', { name: 'Save this choice' }).click();
  await page.getByText('Saved.').waitFor();
  const [{ title, priority }] = await server().list('tasks');
  assert.deepEqual([title, priority], ['Theirs', 5]);
  assert.equal(await page.getByLabel('Title *').inputValue(), 'Theirs');
  noComplaints(page, /status of 4\d\d/);
});

test('the home page counts, tells what happens, and who is where', async () => {
  await task();
  const [home, other] = [await open('/_/?as=ada'), await open('/_/e/tasks?as=ben')];
  const card = home.locator('.card').filter({ has: home.getByRole('heading', { name: /^Tasks/ }) });
  await card.getByText('1', { exact: true }).waitFor();
  await home.locator('#here').getByRole('img', { name: 'ben is at Tasks' }).waitFor();
  await server().post('tasks', { title: 'Mend the fence' }, 'ben');
  await home.locator('#activity li').filter({ hasText: 'ben added Mend the fence' }).waitFor();
  await card.getByText('2', { exact: true }).waitFor();
  await card.getByRole('link', { name: 'Mend the fence' }).waitFor();
  await shot(home, 'home');
  for (const page of [home, other]) noComplaints(page);
});

/** Where a line of the picture passes behind a box: it would seem to begin there. */
const crossings = (page) =>
  page.evaluate(() => {
    const boxes = [...document.querySelectorAll('.erd .box')].map((box) => box.getBBox());
    return [...document.querySelectorAll('.erd .ref')].flatMap((line) => {
      const points = Array.from({ length: 200 }, (_, at) => line.getPointAtLength((line.getTotalLength() * at) / 199));
      const within = points.some(({ x, y }) => boxes.some((box) => x > box.x + 1 && x < box.x + box.width - 1 && y > box.y + 1 && y < box.y + box.height - 1));
      return within ? [line.getAttribute('d')] : [];
    });
  });

test('the schema is a picture and words, and follows an edited file', async () => {
  const page = await open('/_/schema');
  const picture = page.getByRole('group', { name: /4 entities and \d+ references/ });
  await picture.waitFor();
  const sheet = page.getByRole('region', { name: 'Task' });
  await sheet.getByText('Required; 1 to 200 characters').waitFor();
  await sheet.getByText('The history of a record is kept for 30d.').waitFor();
  assert.deepEqual(await crossings(page), []);
  server().edit('task.toml', (text) => text.replace('[fields]', '[fields]\nroom = { type = "text" }'));
  await sheet.getByText('room', { exact: true }).waitFor();
  noComplaints(page);
});

test('each request of the API has samples, and runs', async () => {
  const { id } = await task();
  const page = await open('/_/api?as=ada');
  await page.getByRole('searchbox').fill('/api/tasks');
  const open1 = async (operation) => {
    const box = page.locator(`#${operation}`);
    await box.locator('summary').click();
    return box;
  };
  const list = await open1('listTask');
  await list.getByLabel('Query').fill('limit=1');
  assert.match(await list.locator('pre').first().innerText(), /^curl 'http:\/\/.*\/api\/tasks\?limit=1&as=ada'$/);
  assert.match(await list.locator('pre').nth(1).innerText(), /api\.list\("tasks", \{"limit":"1"\}\)/);
  await list.getByRole('button', { name: 'Run' }).click();
  await list.getByText('200 OK').waitFor();
  await list.locator('pre').nth(2).filter({ hasText: id }).waitFor();

  const create = await open1('createTask');
  await create.getByLabel('Body').fill('{"title": "Made here"}');
  await create.getByRole('button', { name: 'Run' }).click();
  await create.getByText('201 Created').waitFor();
  assert.equal((await server().list('tasks')).length, 2);
  const remove = await open1('deleteTask');
  await remove.getByRole('button', { name: 'Run' }).click();
  await remove.getByText('Fill in what stands in the address first.').waitFor();
  await remove.getByLabel('In the address: id').fill(id);
  await remove.getByRole('button', { name: 'Run' }).click();
  assert.equal((await server().list('tasks')).length, 2, 'a delete is asked for twice');
  await remove.getByRole('button', { name: 'Run it: this deletes' }).click();
  await remove.getByText('204 No Content').waitFor();
  assert.equal((await server().list('tasks')).length, 1);
  await shot(page, 'api');
  noComplaints(page);
});

/** A page of a user: plain elements and our style sheet. */
const OWN = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Own</title>
<link rel="stylesheet" href="/static/pages/pages.css"><main><h1>To do</h1><p>With <a href="/">a link</a> and <code>code</code>.</p>
<form><label>What to do <input name="title"></label> <label><input type="checkbox"> done</label> <label>Status <select><option>open</option></select></label><button>Add</button></form>
<h2>List</h2><ul><li>One</li></ul><table><thead><tr><th>Name<th>Age</thead><tbody><tr><td>Ada<td>36</table>
<fieldset><legend>Choose</legend><label><input type="radio"> a</label></fieldset><blockquote>Said</blockquote><details><summary>More</summary><p>Text</p></details><pre tabindex="0">code</pre></main>`;
/** How each page is looked at. It is loaded once: what follows from the scheme and the width is in the style sheet. */
const LOOKS = [
  { colorScheme: 'light', viewport: { width: 390, height: 844 } },
  { colorScheme: 'light', viewport: { width: 1280, height: 800 } },
  { colorScheme: 'dark', viewport: { width: 1280, height: 800 } },
];
const PAGES = (id) => ['/_/', '/_/e/tasks', `/_/e/tasks/${id}`, '/_/schema', '/_/api', '/_/inspect?as=root:admin', '/_/login', '/_/account'];

/** What is pressed and is lower or narrower than 24 pixels. Links within a sentence are as high as its line. Runs in the page. */
function smallTargets() {
  const targets = [...document.querySelectorAll('main :is(button, summary, .way), .bar :is(a, button)')];
  const sizes = targets.map((target) => ({ target, box: target.getBoundingClientRect() }));
  const small = sizes.filter(({ target, box }) => target.checkVisibility() && (box.width < 24 || box.height < 24));
  return small.map(({ target, box }) => `${target.outerHTML.slice(0, 60)} ${box.width} × ${box.height}`);
}

test('every page is styled where nothing is, keeps to the rules of accessibility, and fits a phone', async () => {
  const { id } = await task({ due: '2030-01-31', tags: { a: 1 } });
  await server().post('comments', { body: 'A good idea', task: id }, 'ben');
  await server().request('PATCH', `tasks/${id}`, { status: 'doing' }, 'ben');
  server().publish('own.html', OWN);
  const problems = [];
  const browser = (await open('/_/?as=ben')).context().browser();
  const context = await browser.newContext({ viewport: LOOKS[0].viewport, bypassCSP: true, reducedMotion: 'reduce' });
  for (const path of [...PAGES(id), '/_/e/nope', '/own.html']) {
    const page = await context.newPage();
    const look = async ({ colorScheme, viewport }) => {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(viewport);
      const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
      for (const { id: rule, impact, nodes } of violations)
        if (impact === 'serious' || impact === 'critical') problems.push(`${path} ${colorScheme} ${viewport.width}: ${rule} ${nodes[0].html.slice(0, 120)} ${nodes[0].failureSummary?.slice(0, 200)}`);
      const small = await page.evaluate(smallTargets);
      if (small.length > 0) problems.push(`${path} ${viewport.width}: too small for a finger: ${small.join(', ')}`);
      const over = await page.evaluate(() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth);
      if (over > 0) problems.push(`${path} ${viewport.width}: ${over} pixels too wide`);
      const shotName = `page-${path.replace(id, 'record').replaceAll(/\W+/g, '-')}-${colorScheme}-${viewport.width}`;
      await page.screenshot({ path: join(SCREENSHOTS, `${shotName}.png`) });
    };
    await page.goto(`${server().address}${path}${/login|account|as=/.test(path) ? '' : '?as=ada'}`);
    await page.getByRole('heading').first().waitFor();
    if (path.endsWith('tasks')) await row(page, 'Plant a tree').waitFor();
    if (path.includes(id)) await page.locator('#history li').first().waitFor();
    if (path.includes('inspect')) await page.getByRole('table', { name: 'Events' }).getByRole('row').nth(1).waitFor();
    if (path.endsWith('api')) await page.locator('.operation').first().evaluate((box) => (box.open = true));
    await page.evaluate(AXE);
    for (const one of LOOKS) await look(one);
    await page.close();
  }
  await context.close();
  assert.deepEqual(problems, []);
});

/** When there was something to use, on the page's own clock, which starts with the navigation. Runs in the page. */
function watchForUse() {
  new MutationObserver(() => {
    if (document.querySelector('.newest a, td[tabindex="0"]')) window.usableAfter ??= performance.now();
  }).observe(document, { subtree: true, childList: true, attributes: true });
}

/** A visit of a browser without a cache: what it is sent until the page is quiet, and when it could be used. */
async function visit(browser, address) {
  const context = await browser.newContext();
  await context.addInitScript(watchForUse);
  const page = await context.newPage();
  const devtools = await context.newCDPSession(page);
  const seen = { bytes: 0, requests: 0, ms: 0 };
  await devtools.send('Network.enable');
  devtools.on('Network.loadingFinished', ({ encodedDataLength }) => {
    seen.bytes += encodedDataLength;
    seen.requests++;
  });
  devtools.on('Network.webSocketFrameReceived', ({ response }) => (seen.bytes += response.payloadData.length));
  await page.goto(address);
  await page.waitForFunction(() => window.usableAfter !== undefined);
  seen.ms = Math.round(await page.evaluate(() => window.usableAfter));
  await page.waitForLoadState('networkidle');
  await context.close();
  return seen;
}

/** Other programs of the machine make a visit slower, and none faster. */
const VISITS = 8;

/** What `work` takes on the machine that the budget of a second was set for. */
const WORK_MS = 60;

/** How many milliseconds some work takes here that has nothing to do with Tidewire. Runs in a page. */
function work() {
  const start = performance.now();
  const rows = Array.from({ length: 1500 }, (_, n) => ({ n, text: `row ${n}`, tags: [n % 7, n % 11] }));
  for (let round = 0; round < 40; round++) JSON.parse(JSON.stringify(rows)).sort((a, b) => b.n - a.n);
  return performance.now() - start;
}

/**
 * The aim for the first page is 60 KB, and that both can be used within a second: a record can be opened, a cell be edited. A machine
 * that is slower has longer. Why the table page takes more bytes: docs/decisions.md.
 */
test('a first page stays within its budgets of bytes and time', async () => {
  const BUDGETS = { '/_/': 60, '/_/e/tasks': 76 };
  await task();
  const page = await open('/_/?as=ben');
  const browser = page.context().browser();
  let fastestWork = Infinity;
  for (let times = 0; times < VISITS; times++) fastestWork = Math.min(fastestWork, await page.evaluate(work));
  const most = 1000 * Math.max(1, fastestWork / WORK_MS);
  for (const [path, budget] of Object.entries(BUDGETS)) {
    let fastest = Infinity;
    for (let visits = 0; visits < VISITS && fastest > most; visits++) {
      const { bytes, requests, ms } = await visit(browser, `${server().address}${path}?as=ada`);
      console.log(`${path}: ${bytes} bytes in ${requests} requests, used after ${ms} ms`);
      assert.ok(bytes <= budget * 1024, `${path}: ${bytes} bytes`);
      fastest = Math.min(fastest, ms);
    }
    assert.ok(fastest <= most, `${path}: ${fastest} ms of ${most}`);
  }
});
