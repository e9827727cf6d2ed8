import { connect } from '/static/client.js';

const $ = (selector) => document.querySelector(selector);
const make = (name, properties, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  return made.append(...children), made;
};
const say = (error) => Object.assign($('#problem'), { hidden: !error, textContent: error?.message ?? '' });
const { channels, db } = connect({ as: new URLSearchParams(location.search).get('as') });
const change = (id, data) => db.update('Task', id, data).then(() => say(null), say);

channels.list('Task', { sort: 'created_at' }).subscribe((tasks) => {
  const focused = document.activeElement.id;
  $('#tasks').replaceChildren(...tasks.map(({ id, title, status, owner }) => {
    const onchange = ({ target }) => change(id, { status: target.checked ? 'done' : 'open' });
    const box = make('input', { type: 'checkbox', id, checked: status === 'done', onchange });
    return make('li', {}, make('label', {}, box, ' ', make(status === 'done' ? 's' : 'span', {}, title)), owner ?? '');
  }));
  document.getElementById(focused)?.focus();
});
$('form').onsubmit = (event) => {
  event.preventDefault();
  db.create('Task', { title: event.target.title.value }).then(() => say(null), say);
  event.target.reset();
};
