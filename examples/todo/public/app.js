import { connect } from '/static/client.js';

const $ = (selector) => document.querySelector(selector);
const make = (name, properties, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const say = (error) => Object.assign($('#problem'), { hidden: !error, textContent: error?.message ?? '' });
const { channels, db } = connect({ as: new URLSearchParams(location.search).get('as') });
const change = (id, data) => db.update('Task', id, data).then(() => say(null), say);

channels.list('Task', { sort: 'created_at' }).subscribe((tasks) => {
  $('#tasks').replaceChildren(...tasks.map(({ id, title, status, owner }) => {
    const box = make('input', { type: 'checkbox', checked: status === 'done' });
    box.onchange = () => change(id, { status: box.checked ? 'done' : 'open' });
    return make('li', {}, make('label', {}, box, ` ${title}`), owner ? ` (${owner})` : '');
  }));
});
$('form').onsubmit = (event) => {
  event.preventDefault();
  db.create('Task', { title: event.target.title.value }).then(() => say(null), say);
  event.target.reset();
};
