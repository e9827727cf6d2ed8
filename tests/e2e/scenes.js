/**
 * The examples as pictures show them: a few records of three users, and a window of Ben beside the one that is shown.
 */
import { openWindow, Tidewire } from './tidewire.js';

/**
 * An example with its records, and Ben's window beside it.
 *
 * @param {string} name
 * @param {(server: Tidewire) => Promise<string>} fill Answers with the `#` of the address.
 * @param {(page: import('playwright-core').Page, ben: import('playwright-core').Page) => Promise<void>} look Until it can be shown.
 */
function scene(name, fill, look) {
  /** @param {import('playwright-core').Browser} chrome */
  return async (chrome) => {
    const server = await new Tidewire(`examples/${name}/schemas`, { pages: `examples/${name}/public` }).start();
    const windows = [];
    const close = async () => {
      for (const page of windows) await page.context().close();
      await server.remove();
    };
    try {
      for (const who of ['ada', 'ben', 'cy']) await server.request('GET', 'users', undefined, who);
      const hash = await fill(server);
      const open = async (who, options) => {
        const page = await openWindow(chrome, `${server.address}/?as=${who}${hash}`, options);
        windows.push(page);
        return page;
      };
      const ben = await open('ben');
      /** Ada's window. @param {import('playwright-core').BrowserContextOptions} [options] */
      const view = async (options) => {
        const page = await open('ada', options);
        await look(page, ben);
        return page;
      };
      return { server, view, close };
    } catch (error) {
      await close();
      throw error;
    }
  };
}

/** Waits until Ada and Ben are shown in the bar. */
const both = (page) => page.waitForFunction(() => document.querySelectorAll('#here .avatar').length === 2);

export const scenes = {
  board: scene(
    'board',
    async (server) => {
      const { id: board } = await server.post('boards', { name: 'Harbour festival' }, 'ada');
      const cards = [
        ['ada', 'todo', 'Ask the brass band'],
        ['cy', 'todo', 'Order 40 lanterns'],
        ['ben', 'todo', 'Draw the map of the pier'],
        ['ben', 'doing', 'Paint the stage'],
        ['ada', 'doing', 'Find a cook for the fish soup'],
        ['cy', 'done', 'Get the permit'],
        ['ada', 'done', 'Book the ferry'],
      ];
      for (const [position, [who, column, title]] of cards.entries()) await server.post('cards', { board, title, column, position }, who);
      await server.post('messages', { board, text: 'The permit is here!' }, 'cy');
      await server.post('messages', { board, text: 'Which blue for the stage?' }, 'ben');
      await server.post('messages', { board, text: 'The one of the pier, please.' }, 'ada');
      return '';
    },
    async (page, ben) => {
      await both(page);
      await page.getByRole('list', { name: 'Activity' }).getByRole('listitem').first().waitFor();
      await ben.getByLabel('Message', { exact: true }).pressSequentially('On it');
      await page.getByText('ben is typing…').waitFor();
    },
  ),
  drafts: scene(
    'drafts',
    async (server) => {
      const { id: draft } = await server.post('drafts', { title: 'The lighthouse' }, 'ada');
      await server.post('drafts', { title: 'Notes for the tour' }, 'ada');
      for (const person of ['ben', 'cy']) await server.post('collaborators', { draft, person }, 'ada');
      const first = 'The keeper counted the steps, as he did every evening. There were always two hundred and twelve.';
      await server.post('segments', { draft, text: first }, 'ada');
      await server.request('PATCH', `drafts/${draft}`, { holder: 'ben' }, 'ada');
      await server.post('segments', { draft, text: 'That night there were two hundred and thirteen.' }, 'ben');
      return `#${draft}`;
    },
    async (page) => {
      await page.getByText('Waiting for @ben').waitFor();
      await both(page);
    },
  ),
  workspaces: scene(
    'workspaces',
    async (server) => {
      const { id: workspace } = await server.post('workspaces', { name: 'Harbour crew' }, 'ada');
      await server.post('workspaces', { name: 'Book club' }, 'ada');
      const { id: invitation, secret } = await server.post('invitations', { workspace }, 'ada');
      for (const who of ['ben', 'cy']) await server.post('joins', { invitation, secret }, who);
      const tasks = [
        ['Paint the pier', 'ben', true],
        ['Buy rope', 'ada', false],
        ['Repair the lamp', 'cy', false],
        ['Count the buoys', null, false],
      ];
      for (const [title, assignee, done] of tasks) await server.post('tasks', { workspace, title, assignee, done }, 'ben');
      return `#${workspace}`;
    },
    async (page) => {
      await page.getByText('You now own Buy rope').waitFor();
      await both(page);
    },
  ),
  todo: scene(
    'todo',
    async (server) => {
      const tasks = [
        ['ada', 'Buy oat milk', 'open'],
        ['ben', 'Feed the cat', 'done'],
        ['ada', 'Call Tom', 'open'],
      ];
      for (const [who, title, status] of tasks) await server.post('tasks', { title, status }, who);
      return '';
    },
    (page) => page.getByText('Call Tom').waitFor(),
  ),
};
