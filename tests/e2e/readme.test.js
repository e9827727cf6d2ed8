/**
 * The app of the README, the page of `tidewire new` and the samples of docs/client.md, opened as they are printed.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { noComplaints } from './stage.js';
import { browser, openWindow, Tidewire } from './tidewire.js';

/** The blocks of a page in a language. */
function blocks(page, language) {
  const text = readFileSync(new URL(`../../${page}`, import.meta.url), 'utf8');
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'gm'))].map(([, block]) => block);
}

test('the app of the README shows what is to do, and every change at once', async (t) => {
  const server = new Tidewire({ 'task.toml': blocks('README.md', 'toml')[0] });
  t.after(() => server.remove());
  const [html, js] = [blocks('README.md', 'html'), blocks('README.md', 'js')];
  assert.deepEqual([html.length, js.length], [1, 1]);
  server.publish('index.html', html[0]);
  server.publish('app.js', js[0]);
  await server.start();
  await server.post('tasks', { title: 'There before' }, 'ada');
  const chrome = await browser();
  t.after(() => chrome.close());

  const page = await openWindow(chrome, server.address);
  await page.getByText('There before').waitFor();
  const { id } = await server.post('tasks', { title: 'Added later' }, 'ada');
  await page.getByText('Added later').waitFor();
  await assert.rejects(server.request('PATCH', `tasks/${id}`, { done: true }, 'ben'), /403/);
  await server.request('PATCH', `tasks/${id}`, { done: true }, 'ada');
  await page.getByText('Added later').waitFor({ state: 'detached' });
  assert.equal(await page.locator('body').innerText(), 'There before');
  noComplaints(page);
});

test('the page that `tidewire new` writes shows the tasks, and a new one at once', async (t) => {
  const template = (name) => readFileSync(new URL(`../../examples/todo/${name}`, import.meta.url), 'utf8');
  const server = new Tidewire({ 'task.toml': template('schemas/task.toml') });
  t.after(() => server.remove());
  for (const name of ['index.html', 'app.js']) server.publish(name, template(`public/${name}`));
  await server.start();
  await server.post('tasks', { title: 'There before' }, 'ada');
  const chrome = await browser();
  t.after(() => chrome.close());

  const page = await openWindow(chrome, server.address);
  await page.getByRole('listitem').filter({ hasText: 'There before' }).waitFor();
  const { id } = await server.post('tasks', { title: 'Added later' }, 'ada');
  await page.getByRole('listitem').filter({ hasText: 'Added later' }).waitFor();
  await server.request('DELETE', `tasks/${id}`, undefined, 'ada');
  await page.getByRole('listitem').filter({ hasText: 'Added later' }).waitFor({ state: 'detached' });

  await page.getByRole('link', { name: 'as ada' }).click();
  await page.getByRole('textbox', { name: 'What to do' }).waitFor();
  assert.equal(new URL(page.url()).searchParams.get('as'), 'ada');
  noComplaints(page);
});

test('the samples of docs/client.md about lists run one after the other', async (t) => {
  const server = new Tidewire('schemas');
  t.after(() => server.remove());
  // The others are compiled, and the whole page is run, in tests/js/handbook.test.js.
  const samples = blocks('docs/client.md', 'js').filter((sample) => /new Api\(|tasks\.close\(\)/.test(sample));
  assert.equal(samples.length, 2);
  // What the samples take from the page around them, and what this test looks at.
  const around = `const id = new URL(location).searchParams.get('id');
    const draw = (rows) => { document.querySelector('#drawn').textContent = rows.length; };`;
  const shown = `task.subscribe((record) => { document.querySelector('#task').textContent = record?.title; });
    document.querySelector('#own').textContent = (await api.create('tasks', { title: 'Through the sample' })).owner;`;
  const html = '<!doctype html><title>Samples</title><p id="drawn"><p id="task"><p id="own">';
  server.publish('index.html', `${html}<script type="module" src="/samples.js"></script>`);
  server.publish('samples.js', [around, ...samples, shown].join('\n'));
  await server.start();
  const { id } = await server.post('tasks', { title: 'The one of the record' }, 'ada');
  const chrome = await browser();
  t.after(() => chrome.close());

  const page = await openWindow(chrome, `${server.address}/?id=${id}`);
  await page.getByText('The one of the record').waitFor();
  await page.locator('#own').filter({ hasText: 'ada' }).waitFor();
  assert.equal(await page.locator('#drawn').innerText(), '0', 'no row before the server has said one');
  noComplaints(page);
});
