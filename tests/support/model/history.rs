//! The model's histories: of each change what a user may see today of the record before it and after it.

use std::sync::Arc;

use tidewire::ids::{RecordId, Seq};
use tidewire::schema::{Entity, FieldIndex, Record};
use tidewire::store::{Change, ChangeOp, Decoded, LogLimit, Past, Rows};

use super::log::{Entry, size};
use super::sight::Sight;
use super::{State, images};

pub(super) fn page(
    state: &State,
    sight: &Sight,
    (entity, id): (&Arc<Entity>, &RecordId),
    before: Option<Seq>,
    limit: LogLimit,
) -> Past {
    let key = (entity.name.clone(), id.clone());
    let mut past = Past::default();
    // As long as the record is there it must be seen itself; of a deleted one the last that was there.
    let last = state.past.iter().rev().find(|entry| entry.is_of(&key));
    let last = last.filter(|entry| entry.change.op == ChangeOp::Delete).and_then(|entry| entry.old.as_ref());
    let decides = state.records.get(&key).or(last);
    let is_open = matches!(sight, Sight::Everything);
    if !is_open && !decides.is_some_and(|record| sight.sees(entity, record)) {
        return past;
    }
    let mut bytes = 0;
    for entry in state.past.iter().rev().filter(|entry| entry.is_of(&key)) {
        let is_older = before.is_none_or(|before| entry.change.seq < before);
        let Some(change) = seen(sight, entity, entry).filter(|_| is_older) else { continue };
        if past.changes.len() >= limit.changes || bytes >= limit.bytes {
            past.more = true;
            break;
        }
        bytes += size(&change);
        past.changes.push(Arc::new(change));
    }
    past
}

/// A change that took the record out of sight says nothing of who made it, nor of what.
fn seen(sight: &Sight, entity: &Entity, entry: &Entry) -> Option<Change> {
    let is_seen = |record: &&Arc<Record>| sight.sees(entity, record);
    let (old, new) = (entry.old.as_ref().filter(is_seen), entry.new.as_ref().filter(is_seen));
    if old.is_none() && new.is_none() {
        return None;
    }
    let hidden =
        |record: Option<&Arc<Record>>| record.map(|record| sight.hidden(entity, record)).unwrap_or_default();
    let (of_old, of_new) = (hidden(old), hidden(new));
    let change = &*entry.change;
    let without = |hidden: &[FieldIndex]| -> Vec<FieldIndex> {
        entry.changed.iter().filter(|field| !hidden.contains(field)).copied().collect()
    };
    let before = old.map(|old| match change.op {
        ChangeOp::Update => images::fields(entity, old, &without(&of_old)),
        ChangeOp::Create | ChangeOp::Delete | ChangeOp::Schema => old.to_json_without(entity, &of_old),
    });
    let after = new.map(|new| new.to_json_without(entity, &of_new));
    let is_lost = entry.new.is_some() && new.is_none();
    let told = change.changed.as_ref().filter(|_| !is_lost);
    let told = told.map(|_| images::names(entity, &without(&[of_old, of_new].concat())));
    let (actor, mid) = if is_lost { (None, None) } else { (change.actor.clone(), change.mid.clone()) };
    let own = |record: Option<&Arc<Record>>| record.map(|record| Record::clone(record));
    let decoded = Decoded::known(Rows { old: own(old), new: own(new) });
    Some(Change { before, after, changed: told, actor, mid, decoded, ..change.clone() })
}
