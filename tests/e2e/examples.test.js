/**
 * Every example as it looks: light, dark and as wide as a phone, with what the CSP and the console say; and texts of users that
 * would like to be HTML.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT } from '../js/program.js';
import { PAYLOADS } from './hostile.js';
import { scenes } from './scenes.js';
import { noComplaints } from './stage.js';
import { browser, openWindow, SCREENSHOTS } from './tidewire.js';

const VIEWS = {
  light: {},
  dark: { colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 } },
};
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** Wider than a phone, and without a place to break. */
const WIDE = 'Donaudampfschifffahrtsgesellschaftskapitänswitwenundwaisenkasse';

/** How far a page can be scrolled sideways. */
const overhang = (page) => page.evaluate(() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth);

/** What breaks the rules of accessibility, and with what. */
async function barriers(page) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  return grave.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html.slice(0, 90)} ${failureSummary}`).join('; ')}`);
}

let chrome;
before(async () => {
  mkdirSync(SCREENSHOTS, { recursive: true });
  chrome = await browser();
});
after(() => chrome?.close());

for (const [name, scene] of Object.entries(scenes)) {
  test(`${name} looks right in every view, and scrolls sideways in none`, async () => {
    const { view, close } = await scene(chrome);
    try {
      for (const [kind, options] of Object.entries(VIEWS)) {
        const page = await view(options);
        await page.screenshot({ path: join(SCREENSHOTS, `example-${name}-${kind}.png`), fullPage: kind === 'phone' });
        assert.equal(await overhang(page), 0, `${kind} is too wide`);
        const nameless = await page.evaluate(() =>
          [...document.querySelectorAll('button, a, input, select, textarea')]
            .filter((control) => !control.closest('[hidden]'))
            .filter((control) => !(control.textContent || control.ariaLabel || control.labels?.length))
            .map((control) => control.outerHTML),
        );
        assert.deepEqual(nameless, [], 'every control has a name');
        noComplaints(page);
        await page.context().close();
        const measured = await view({ ...options, bypassCSP: true });
        assert.deepEqual(await barriers(measured), [], kind);
        await measured.context().close();
      }
    } finally {
      await close();
    }
  });
}

/** What the fields of each example are called into which a user writes. */
const WRITES = {
  board: async (server, text) => {
    const [board] = (await server.request('GET', 'boards', undefined, 'ada')).items;
    await server.request('PATCH', `boards/${board.id}`, { name: text.slice(0, 100) }, 'ada');
    await server.post('cards', { board: board.id, title: text }, 'ben');
    await server.post('messages', { board: board.id, text }, 'ben');
  },
  drafts: async (server, text) => {
    const drafts = (await server.request('GET', 'drafts', undefined, 'ben')).items;
    const { id } = drafts.find(({ title }) => title === 'The lighthouse');
    await server.post('segments', { draft: id, text }, 'ben');
    await server.post('drafts', { title: text }, 'ada');
  },
  workspaces: async (server, text) => {
    const all = (await server.request('GET', 'workspaces', undefined, 'ben')).items;
    await server.post('tasks', { workspace: all[0].id, title: text, assignee: 'ada' }, 'ben');
    await server.post('workspaces', { name: text }, 'ada');
  },
  todo: (server, text) => server.post('tasks', { title: text }, 'ben'),
};

for (const [name, write] of Object.entries(WRITES)) {
  test(`${name} shows what users write as text`, async () => {
    const { view, server, close } = await scenes[name](chrome);
    try {
      const page = await view();
      const title = await page.title();
      for (const text of [...PAYLOADS, WIDE]) {
        await write(server, text);
        await page.getByText(text, { exact: true }).first().waitFor();
      }
      assert.equal(await page.title(), title, 'nothing ran');
      assert.equal(await page.locator('main :is(img, script, b, svg, iframe, style, link, base, video, math, template)').count(), 0);
      await page.setViewportSize(VIEWS.phone.viewport);
      assert.equal(await overhang(page), 0, 'a phone is too narrow for a long word');
      assert.equal(await page.locator('main a[href^="javascript"]').count(), 0);
      noComplaints(page);
    } finally {
      await close();
    }
  });
}

test('a page without a name asks for one, and opens as that user', async () => {
  for (const name of ['board', 'drafts', 'workspaces']) {
    const { server, close } = await scenes[name](chrome);
    const page = await openWindow(chrome, server.address);
    try {
      await page.getByLabel('Your name').waitFor();
      await page.screenshot({ path: join(SCREENSHOTS, `example-${name}-signin.png`) });
      assert.ok(await page.locator('#status').isHidden(), 'no badge without a connection');
      await page.getByLabel('Your name').fill('dee');
      await page.getByRole('button', { name: 'Open', exact: true }).click();
      await page.locator('#me').filter({ hasText: 'dee' }).waitFor();
      await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
      noComplaints(page);
    } finally {
      await page.context().close();
      await close();
    }
  }
});

test('no page of an example has a script or a style inside, and none makes HTML of a text', () => {
  for (const name of Object.keys(scenes)) {
    const folder = join(ROOT, 'examples', name, 'public');
    for (const file of readdirSync(folder)) {
      const text = readFileSync(join(folder, file), 'utf8');
      assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\seval\(|<style|\sstyle=|\son\w+="/, `${name}/${file}`);
      for (const [tag] of text.matchAll(/<script[^>]*>/g)) assert.match(tag, /^<script type="module" src="\/[\w.]+">$/, `${name}/${file}`);
    }
  }
});
