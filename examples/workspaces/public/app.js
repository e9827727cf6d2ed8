/**
 * The page of the workspaces: create one, send its link, join, and share tasks. The secret of a link stands behind `#`, which a
 * browser sends to no server by itself.
 */
import { PresenceManager } from '/static/client.js';
import { $, avatar, complain, h, onSubmit, start } from './page.js';

start(({ rt, api, channels, db, as, me, token }) => {
  const presence = new PresenceManager(rt);
  const did = (change) => change.then(() => complain(null), complain);
  const nameOf = names(api, () => redraw());
  const workspaces = channels.list('Workspace', { sort: 'name' });
  let current = { id: '', draw: () => {}, close: () => {} };

  onSubmit($('#new'), async ({ name }) => {
    const { id } = await api.create('workspaces', { name });
    location.hash = id;
  });

  const showList = () => $('#workspaces').replaceChildren(...workspaces.value.map(({ id, name }) => h('li', {}, h('a', { href: `#${id}`, 'aria-current': id === current.id && 'page' }, name))));

  channels.list('Notification', { sort: '-created_at', limit: 10 }).subscribe((news) => {
    $('#news').replaceChildren(...news.map(({ id, text }) => h('li', {}, text, ' ', h('button', { class: 'quiet', 'aria-label': `Dismiss: ${text}`, click: () => did(db.delete('Notification', id)) }, '×'))));
    if (news.length === 0) $('#news').append(h('li', { class: 'muted' }, 'Nothing new'));
  });

  // An invitation: `#join=SECRET`.
  const showInvitation = async (secret) => {
    try {
      const address = `/api/invitations/by/secret/${encodeURIComponent(secret)}${as ? `?as=${encodeURIComponent(as)}` : ''}`;
      const bearer = await token?.();
      const answer = await fetch(address, bearer ? { headers: { Authorization: `Bearer ${bearer}` } } : {});
      if (!answer.ok) throw new Error('This invitation does not exist, or has ended. Ask for another link');
      const invitation = await answer.json();
      $('#from').textContent = `From ${await nameOf.soon(invitation.author)}, until ${new Date(invitation.until).toLocaleDateString()}.`;
      $('#join').onclick = async () => {
        try {
          await api.create('joins', { invitation: invitation.id, secret });
          location.hash = invitation.workspace;
          complain(null);
        } catch (error) {
          complain(error);
        }
      };
      $('#invitation').hidden = false;
    } catch (error) {
      complain(error);
    }
  };

  const route = () => {
    const id = location.hash.slice(1);
    const secret = /^join=(.+)$/.exec(id)?.[1];
    $('#invitation').hidden = true;
    if (secret) showInvitation(decodeURIComponent(secret));
    follow();
  };
  const follow = () => {
    const id = location.hash.slice(1);
    const there = workspaces.value.some((workspace) => workspace.id === id);
    if (!there || id !== current.id) {
      current.close();
      current = there ? show(id) : { id: '', draw: () => {}, close: () => {} };
    }
    $('#workspace').hidden = !there;
    $('#none').hidden = there;
    redraw();
  };
  const redraw = () => {
    showList();
    current.draw();
  };
  addEventListener('hashchange', route);
  workspaces.subscribe(follow);
  route();

  /** Opens a workspace. @returns what belongs to it. */
  function show(id) {
    const here = presence.join(`Workspace/${id}`, {});
    const tasks = channels.list('Task', { where: { workspace: id }, sort: 'created_at' });
    const members = channels.list('Member', { where: { workspace: id }, sort: 'created_at' });
    $('#link').hidden = true;
    const draw = () => {
      const people = members.value.map(({ person }) => person);
      $('#title').textContent = workspaces.value.find((workspace) => workspace.id === id)?.name ?? '';
      const focused = document.activeElement?.id;
      $('#tasks').replaceChildren(...tasks.value.map((task) => taskOf(task, people)));
      if (tasks.value.length === 0) $('#tasks').append(h('li', { class: 'muted' }, 'No tasks yet'));
      if (focused) document.getElementById(focused)?.focus();
      const present = new Map(here.users.value.map((user) => [user.id, user.state]));
      $('#members').replaceChildren(...members.value.map(({ person, role }) => h('li', { 'data-online': present.has(person) }, avatar(nameOf(person), present.get(person) ?? 'away'), ` ${nameOf(person)} `,
        h('span', { class: 'muted' }, `${role === 'owner' ? 'owner, ' : ''}${present.has(person) ? 'online' : 'offline'}`))));
      $('#here').replaceChildren(...here.users.value.map(({ id, name, state }) => avatar(name || id, state)));
      $('#inviting').hidden = !members.value.some(({ person, role }) => person === me() && role === 'owner');
    };
    const stops = [tasks, members, here.users, rt.detail].map((signal) => signal.listen(draw));
    return {
      id,
      draw,
      close: () => {
        stops.forEach((stop) => stop());
        here.leave();
        tasks.close();
        members.close();
        $('#here').replaceChildren();
      },
    };
  }

  const taskOf = ({ id, title, done, assignee, _optimistic }, people) => {
    const box = h('input', { type: 'checkbox', id: `done-${id}`, checked: done, change: () => did(db.update('Task', id, { done: box.checked })) });
    const chosen = h('select', { id: `for-${id}`, 'aria-label': `Who does ${title}`, change: () => did(db.update('Task', id, { assignee: chosen.value || null })) },
      h('option', { value: '' }, 'Unassigned'), ...people.map((person) => h('option', { value: person, selected: person === assignee }, nameOf(person))));
    return h('li', { 'data-state': _optimistic && 'pending', 'data-done': done }, h('label', {}, box, h('span', {}, title)), chosen);
  };

  onSubmit($('#add'), ({ title }) => db.create('Task', { workspace: current.id, title }));
  $('#invite').addEventListener('click', async () => {
    try {
      const { secret } = await api.create('invitations', { workspace: current.id });
      $('#link').value = `${location.origin}/#join=${encodeURIComponent(secret)}`;
      $('#link').hidden = false;
      $('#link').select();
      complain(null);
    } catch (error) {
      complain(error);
    }
  });
});

/** Users are not listed here: the name of one is read when it is shown. */
function names(api, changed) {
  const known = new Map();
  const asked = new Map();
  const soon = (id) => {
    if (!asked.has(id)) asked.set(id, api.get('users', id).then(({ name }) => name, () => null).then((name) => (known.set(id, name ?? id), changed(), name ?? id)));
    return asked.get(id);
  };
  const nameOf = (id) => known.get(id) ?? (soon(id), id);
  return Object.assign(nameOf, { soon });
}
