/**
 * Two people with different rights: what one of them may no longer see leaves their window by itself.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { cell, measured, noComplaints, row, sees, stage } from './stage.js';
import { SCREENSHOTS } from './tidewire.js';

const { open, server } = stage('tests/e2e/schemas');
const ADA = 'ada:admin';
const shot = (page, name) => page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
const titles = (page) => page.locator('tbody tr td:nth-child(2)').allInnerTexts();

/** Two projects with two tasks each; ben belongs to the garden. */
async function people() {
  const post = (plural, data) => server().post(plural, data, ADA);
  // A caller becomes a user at the first request.
  await server().request('GET', 'tasks', undefined, 'ben');
  const garden = await post('projects', { name: 'Garden' });
  const house = await post('projects', { name: 'House' });
  const membership = await post('memberships', { person: 'ben', project: garden.id });
  for (const [title, project] of [
    ['Plant a tree', garden],
    ['Mend the fence', garden],
    ['Ask about the roof', house],
    ['Clean the gutters', house],
  ])
    await post('tasks', { title, project: project.id, estimate: 4 });
  return { garden, house, membership };
}

/** A window that knows when it is loaded again. */
async function watching(path) {
  const page = await open(path);
  await page.evaluate(() => (window.notReloaded = true));
  return page;
}
const stood = (page) => page.evaluate(() => window.notReloaded === true);

test('a record that is moved out of sight leaves the other window, and comes back', async () => {
  const { house } = await people();
  const [ada, ben] = [await watching(`/_/e/tasks?as=${ADA}`), await watching('/_/e/tasks?as=ben')];
  await ben.getByText('You are ben').waitFor();
  await ada.getByText('You are ada, admin').waitFor();
  await row(ben, 'Mend the fence').waitFor();
  await row(ada, 'Clean the gutters').waitFor();
  assert.deepEqual(await titles(ben), ['Mend the fence', 'Plant a tree']);
  await shot(ben, 'rights-ben');
  await shot(ada, 'rights-ada');

  const move = async (to) => {
    await cell(ada, 'Plant a tree', 1).dblclick();
    await ada.getByRole('gridcell').getByRole('combobox', { name: 'project' }).selectOption({ label: to });
  };
  await move('House');
  await measured(ben, 'Plant a tree', () => ada.keyboard.press('Enter'), { gone: true });
  await shot(ben, 'rights-moved-away');
  // What happens out of sight is not told.
  await cell(ada, 'Plant a tree', 0).dblclick();
  await ada.getByRole('gridcell').getByRole('textbox', { name: 'title' }).fill('Plant two trees');
  await ada.keyboard.press('Enter');
  await row(ada, 'Plant two trees').getByRole('gridcell').first().waitFor();
  assert.deepEqual(await titles(ben), ['Mend the fence']);
  await cell(ada, 'Plant two trees', 1).dblclick();
  await ada.getByRole('gridcell').getByRole('combobox', { name: 'project' }).selectOption({ label: 'Garden' });
  await measured(ben, 'Plant two trees', () => ada.keyboard.press('Enter'));
  assert.equal((await titles(ada)).length, 4);
  assert.ok(!(await ben.locator('main').innerText()).includes(house.name));
  for (const page of [ada, ben]) {
    assert.ok(await stood(page));
    noComplaints(page);
  }
});

test('a membership that ends takes its rows off the screen without a reload, and brings them back', async () => {
  const { garden, membership } = await people();
  const [tasks, projects, home] = [
    await watching('/_/e/tasks?as=ben'),
    await watching('/_/e/projects?as=ben'),
    await watching('/_/?as=ben'),
  ];
  await row(tasks, 'Plant a tree').waitFor();
  await row(projects, 'Garden').waitFor();
  await home.getByRole('list', { name: 'Newest tasks' }).getByText('Plant a tree').waitFor();

  const gone = await Promise.all([
    sees(tasks, 'Plant a tree', { gone: true }),
    sees(projects, 'Garden', { gone: true }),
    sees(home, 'Plant a tree', { gone: true }),
  ]);
  await server().request('DELETE', `memberships/${membership.id}`, undefined, ADA);
  await Promise.all(gone.map((sight) => sight.at()));
  assert.deepEqual(await titles(tasks), []);
  await tasks.getByText('No tasks yet, or none that you may see.').waitFor();
  await shot(tasks, 'rights-revoked');
  await server().post('tasks', { title: 'Not for ben', project: garden.id }, ADA);

  await server().post('memberships', { person: 'ben', project: garden.id }, ADA);
  await row(tasks, 'Plant a tree').waitFor();
  assert.deepEqual(await titles(tasks), ['Not for ben', 'Mend the fence', 'Plant a tree']);
  await row(projects, 'Garden').waitFor();
  for (const page of [tasks, projects, home]) {
    assert.ok(await stood(page));
    // Of what is closed the home page hears that it does not exist.
    noComplaints(page, ...(page === home ? [/status of 404/] : []));
  }
});

test('a live query of a window follows what enters and leaves it, and what rights take and give', async () => {
  const { garden, membership } = await people();
  const page = await open('/_/?as=ben');
  await page.evaluate(async (project) => {
    const load = (name) => import(`/static/${name}.js`);
    const [{ Api }, { ChannelSubscriber }, { RealtimeClient }] = await Promise.all(
      ['api', 'channels', 'realtime'].map(load),
    );
    const connection = new RealtimeClient('/ws?as=ben').connect();
    const channels = new ChannelSubscriber(connection, { api: new Api('/api', { as: 'ben' }) });
    window.query = channels.list('Task', { where: { project, title: { contains: 'e' } }, sort: 'title' });
    window.query.subscribe((rows) => (window.shown = rows.map((one) => one.title).join()));
  }, garden.id);
  const shows = (text) =>
    page.waitForFunction((text) => window.query.state.value === 'live' && window.shown === text, text);
  await shows('Mend the fence,Plant a tree');
  const { id } = await server().post('tasks', { title: 'Dig', project: garden.id }, ADA);
  await server().request('PATCH', `tasks/${id}`, { title: 'Dig a hole' }, ADA);
  await shows('Dig a hole,Mend the fence,Plant a tree');
  await server().request('PATCH', `tasks/${id}`, { title: 'Dig' }, ADA);
  await shows('Mend the fence,Plant a tree');
  await server().request('DELETE', `memberships/${membership.id}`, undefined, ADA);
  await shows('');
  await server().request('PATCH', `tasks/${id}`, { title: 'Dig deeper' }, ADA);
  await server().post('memberships', { person: 'ben', project: garden.id }, ADA);
  await shows('Dig deeper,Mend the fence,Plant a tree');
  noComplaints(page, /status of 404/);
});

test('what is closed, hidden or forbidden is a sentence or an empty cell, never a blank page', async () => {
  await people();
  const ben = await open('/_/e/tasks?as=ben');
  await row(ben, 'Plant a tree').waitFor();
  assert.equal(await cell(ben, 'Plant a tree', 2).innerText(), '', 'the estimate is hidden');
  // The reason stands below the row, and what was typed stays.
  await cell(ben, 'Plant a tree', 2).dblclick();
  const input = ben.getByRole('gridcell').getByRole('textbox', { name: 'estimate' });
  await input.fill('9');
  await ben.keyboard.press('Enter');
  const reason = ben.getByRole('alert').filter({ hasText: 'Estimate was not saved' });
  await reason.waitFor();
  assert.match(await reason.innerText(), /You may read this Task, but not update it .* The entity's access rules do not allow this\.$/);
  await ben.getByRole('button', { name: 'Edit', exact: true }).click();
  assert.equal(await input.inputValue(), '9');
  await shot(ben, 'rights-forbidden');
  await ben.keyboard.press('Escape');
  noComplaints(ben, /status of 403/);

  const closed = await open('/_/e/secrets?as=ben');
  await closed.getByRole('alert').filter({ hasText: 'secrets' }).waitFor();
  assert.equal(await closed.getByRole('button', { name: /^(Add|New) / }).count(), 0);
  await shot(closed, 'rights-closed');
  noComplaints(closed, /status of 404/);
  const own = await open(`/_/e/secrets?as=${ADA}`);
  await own.getByRole('button', { name: 'New Secret' }).waitFor();
  // The name and the role go along over links.
  await own.getByRole('link', { name: 'Tidewire' }).click();
  await own.getByText('You are ada, admin').waitFor();
  await own.getByRole('link', { name: 'Tasks', exact: true }).click();
  await own.getByText('You are ada, admin').waitFor();
  await row(own, 'Clean the gutters').waitFor();
});

test('the schema tells an administrator the rules in words, and others none', async () => {
  const ada = await open(`/_/schema?as=${ADA}`);
  const sheet = ada.getByRole('region', { name: 'Task' });
  await sheet.getByText('Administrators may delete one.').waitFor();
  await sheet.getByText('seen by administrators', { exact: false }).waitFor();
  await shot(ada, 'rights-schema');
  const ben = await open('/_/schema?as=ben');
  await ben.getByRole('region', { name: 'Task' }).waitFor();
  assert.equal(await ben.getByText(/may delete one/).count(), 0);
});

test('an account that is disabled: the window is emptied, says why, and does not try again', async () => {
  await people();
  const ben = await watching('/_/e/tasks?as=ben');
  await row(ben, 'Plant a tree').waitFor();
  const emptied = await sees(ben, 'Plant a tree', { gone: true });
  await server().request('PATCH', 'users/ben', { disabled: true }, ADA);
  await emptied.at();
  await ben.getByRole('alert').filter({ hasText: /disabled/ }).waitFor();
  await ben.getByRole('status').filter({ hasText: 'Offline' }).waitFor();
  await shot(ben, 'rights-disabled');
  // Enabled again, and asked for.
  await server().request('PATCH', 'users/ben', { disabled: false }, ADA);
  await ben.getByRole('button', { name: 'Retry now' }).click();
  await row(ben, 'Plant a tree').waitFor();
  assert.ok(await stood(ben));
});
