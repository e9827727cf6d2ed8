import { RealtimeClient } from '/static/realtime.js';
import { ChannelSubscriber } from '/static/channels.js';

const tasks = new ChannelSubscriber(new RealtimeClient('/ws').connect()).list('Task');
tasks.subscribe((rows) => {
  document.querySelector('#tasks').replaceChildren(...rows.map((row) =>
    Object.assign(document.createElement('li'), { textContent: row.title })));
});
