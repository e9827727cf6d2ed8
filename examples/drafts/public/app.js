/**
 * The page of the drafts. Who holds the ring is a field of the draft, and the rules let only the holder write: the page shows what
 * the server decides, and decides nothing by itself.
 */
import { PresenceManager } from '/static/client.js';
import { $, avatar, complain, h, onSubmit, start, time } from './page.js';

start(({ rt, channels, db, me }) => {
  const presence = new PresenceManager(rt);
  const did = (change) => change.then(() => complain(null), complain);
  const users = channels.list('User', { sort: 'name' });
  const nameOf = (id) => users.value.find((user) => user.id === id)?.name ?? id;
  const drafts = channels.list('Draft', { sort: '-created_at' });
  /** What belongs to the draft that is open, and its end. */
  let current = { id: '', close: () => {} };

  onSubmit($('#new'), async ({ title }) => {
    const made = db.create('Draft', { title, holder: me() });
    await made;
    location.hash = made.id;
  });

  const showList = () => {
    $('#drafts').replaceChildren(...drafts.value.map(({ id, title, holder }) =>
      h('li', {}, h('a', { href: `#${id}`, 'aria-current': id === current.id && 'page' }, title), h('span', { class: 'muted' }, ` ${holder === me() ? 'your turn' : `@${nameOf(holder)}`}`))));
  };

  channels.list('Notification', { sort: '-created_at', limit: 10 }).subscribe((news) => {
    $('#news').replaceChildren(...news.map(({ id, text, draft }) =>
      h('li', {}, draft ? h('a', { href: `#${draft}`, click: () => did(db.update('Notification', id, { seen: true })) }, text) : text, ' ', h('button', { class: 'quiet', 'aria-label': `Dismiss: ${text}`, click: () => did(db.delete('Notification', id)) }, '×'))));
    if (news.length === 0) $('#news').append(h('li', { class: 'muted' }, 'Nothing new'));
  });

  channels.list('Notification', { where: { seen: false } }).subscribe(({ length }) => {
    $('#unread').hidden = length === 0;
    $('#unread').textContent = `${length} unread`;
  });

  const route = () => {
    const id = location.hash.slice(1);
    const there = drafts.value.some((draft) => draft.id === id);
    if (there && id === current.id) return;
    current.close();
    current = there ? show(id) : { id: '', close: () => {} };
    $('#draft').hidden = !there;
    $('#none').hidden = there;
    showList();
  };
  addEventListener('hashchange', route);
  drafts.subscribe(() => (route(), showList()));
  users.listen(showList);

  /** Opens a draft. @returns what belongs to it. */
  function show(id) {
    const here = presence.join(`Draft/${id}`, {});
    const segments = channels.list('Segment', { where: { draft: id }, sort: 'created_at' });
    const seats = channels.list('Collaborator', { where: { draft: id }, sort: 'created_at' });
    const draw = () => {
      const draft = drafts.value.find((draft) => draft.id === id);
      if (!draft) return;
      const { title, holder, author } = draft;
      const mine = holder === me();
      $('#title').textContent = title;
      $('#holder').textContent = mine ? 'You hold the ring' : `@${nameOf(holder)} holds the ring`;
      $('#holder').toggleAttribute('data-mine', mine);
      for (const field of $('#write').elements) field.disabled = !mine;
      $('#waiting').textContent = mine ? '' : `Waiting for @${nameOf(holder)}`;
      $('#write').elements.text.placeholder = mine ? 'Write the next segment' : '';
      const present = new Set(here.users.value.map((user) => user.id));
      const people = seats.value.map(({ person }) => person);
      // Only to a collaborator who is here, so that the others need not wait for one who is away. A page that polls cannot know.
      const open = people.filter((person) => person !== holder && (present.has(person) || !rt.connected.value));
      options($('#pass select'), open, nameOf);
      $('#pass').hidden = !mine;
      $('#pass button').disabled = $('#pass select').options.length === 0;
      $('#back').hidden = mine || author !== me();
      $('#people').replaceChildren(...seats.value.map(({ id: seat, person }) => h('li', { 'data-ring': person === holder }, avatar(nameOf(person), present.has(person) ? 'active' : 'away'), ` ${nameOf(person)} `,
        h('span', { class: 'muted' }, [person === author && 'author', person === holder && 'ring', present.has(person) ? 'here' : 'away'].filter(Boolean).join(', ')),
        ...(author === me() && person !== author && person !== holder ? [h('button', { class: 'quiet', 'aria-label': `Remove ${nameOf(person)}`, click: () => did(db.delete('Collaborator', seat)) }, '×')] : []))));
      options($('#invite select'), users.value.map((user) => user.id).filter((user) => !people.includes(user)), nameOf);
      $('#invite').hidden = author !== me() || $('#invite select').options.length === 0;
    };
    segments.subscribe((rows) => {
      $('#segments').replaceChildren(...rows.map(({ text, author, created_at, _optimistic }) =>
        h('li', { 'data-state': _optimistic && 'pending' }, h('p', {}, text), h('span', { class: 'muted' }, `@${nameOf(author)} `, time(created_at)))));
      if (rows.length === 0) $('#segments').append(h('li', { class: 'muted' }, 'Nothing is written yet.'));
    });
    const stops = [drafts.subscribe(draw), seats.subscribe(draw), users.listen(draw), here.users.subscribe(draw), rt.detail.listen(draw)];
    stops.push(here.users.subscribe((people) => $('#here').replaceChildren(...people.map(({ id, name, state }) => avatar(name || id, state)))));
    return {
      id,
      close: () => {
        stops.forEach((stop) => stop());
        here.leave();
        segments.close();
        seats.close();
        $('#here').replaceChildren();
      },
    };
  }

  onSubmit($('#write'), ({ text }) => db.create('Segment', { draft: current.id, text }));
  onSubmit($('#pass'), ({ person }) => db.update('Draft', current.id, { holder: person }));
  onSubmit($('#invite'), ({ person }) => db.create('Collaborator', { draft: current.id, person }));
  $('#back').addEventListener('click', () => did(db.update('Draft', current.id, { holder: me() })));
});

/** Fills a choice, and keeps what is chosen. */
function options(select, ids, nameOf) {
  const before = select.value;
  const same = select.options.length === ids.length && ids.every((id, at) => select.options[at].value === id && select.options[at].text === nameOf(id));
  if (same) return;
  select.replaceChildren(...ids.map((id) => h('option', { value: id, selected: id === before }, nameOf(id))));
}
