import { connect } from 'file:///work/wt/e/static/client.js';

const { rt, channels, db } = connect({ as: 'ada' });
const open = channels.list('Task', { where: { status: 'open' }, sort: '-created_at' });
open.subscribe((tasks) => drawList(tasks, (id) => open.meta(id).state)); // the state says which tasks are unsent or refused
const made = db.create('Task', { title: 'Buy milk' }); // seen at once, and made.id can be used at once
const task = channels.record('Task', made.id);
task.subscribe((row) => drawRecord(row));
db.update('Task', made.id, { priority: 1 });
db.failed.subscribe((changes) => drawRefused(changes)); // each can be sent again or given up
rt.status.subscribe((status) => drawBadge(status));

export { rt, db };
