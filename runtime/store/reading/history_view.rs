//! What a user sees of a change in a history: of the record before it and after it each what they may read today.
//!
//! Knows neither how changes are kept nor how they are found. An image of an earlier schema is judged and shown by the fields of
//! today that it has by name, since it is unknown who might read the others, or what was in those that came later.

use bytes::Bytes;

use crate::rules::{Predicate, ReadScope};
use crate::schema::value::write_json_of;
use crate::schema::{Column, Entity, FieldIndex, Record, Value};
use crate::store::activity::label_text;
use crate::store::decode::{ImageMembers, members};
use crate::store::images::names_json;
use crate::store::{ActivityEntry, Change, ChangeOp, Decoded, Rows};

/// `None` where neither the record before nor the one after may be read.
pub(super) fn view(change: Change, read_scope: &ReadScope) -> Option<Change> {
    let past = PastRows::of(&change, read_scope);
    let seen =
        [&past.old, &past.new].map(|image| image.as_ref().filter(|image| image.may_be_read(read_scope)));
    let [old, new] = seen;
    if old.is_none() && new.is_none() {
        return None;
    }
    let own = |image: Option<&PastRow<'_>>| image.map(|image| image.record.clone());
    let decoded = Decoded::known(Rows { old: own(old), new: own(new) });
    let is_whole = read_scope.fields.is_empty() && change.generation == read_scope.generation;
    let sifted = |json: &Option<Bytes>, image: Option<&PastRow<'_>>| {
        let (json, image) = (json.as_ref()?, image?);
        Some(if is_whole { json.clone() } else { sift(json, &read_scope.entity, &image.shown(read_scope)) })
    };
    let (before, after) = (sifted(&change.before, old), sifted(&change.after, new));
    let names = change.changed.as_ref().filter(|_| !is_whole).map(|names| {
        let mut names = fields_of_today(names, &read_scope.entity);
        for image in [old, new].into_iter().flatten() {
            let shown = image.shown(read_scope);
            names.retain(|field| shown.contains(field));
        }
        names_json(&read_scope.entity, &names)
    });
    // Of a change that hid the record, a user learns only that, as on live channels.
    let is_lost = past.new.is_some() && new.is_none();
    let changed = names.or_else(|| change.changed.clone()).filter(|_| !is_lost);
    let (actor, mid) = if is_lost { (None, None) } else { (change.actor.clone(), change.mid.clone()) };
    Some(Change { before, after, changed, actor, mid, decoded, ..change })
}

/// The change as an entry of the activity, if the record may be seen on every side that there is: what comes into sight or goes out
/// of it leaves no entry.
pub(super) fn entry(change: &Change, read_scope: &ReadScope) -> Option<ActivityEntry> {
    let entity = &read_scope.entity;
    let past = PastRows::of(change, read_scope);
    let sides: Vec<&PastRow<'_>> = [&past.old, &past.new].into_iter().flatten().collect();
    if sides.is_empty() || !sides.iter().all(|side| side.may_be_read(read_scope)) {
        return None;
    }
    let last = past.new.as_ref().or(past.old.as_ref())?;
    let label = entity.label.filter(|at| last.shown(read_scope).contains(at));
    let changed = change.changed.as_ref().filter(|_| change.op == ChangeOp::Update).map(|names| {
        let mut names = fields_of_today(names, entity);
        for side in &sides {
            let shown = side.shown(read_scope);
            names.retain(|field| shown.contains(field));
        }
        names.iter().map(|field| entity.at(*field).name.clone()).collect()
    });
    Some(ActivityEntry {
        seq: change.seq,
        at: change.at,
        by: change.actor.clone(),
        op: change.op,
        entity: change.entity.clone(),
        id: change.id.clone(),
        label: label.and_then(|at| label_text(&last.record.values[at.0])),
        changed,
    })
}

/// Whether the record that a change removed may be read.
pub(super) fn last_may_be_read(change: &Change, read_scope: &ReadScope) -> bool {
    PastRows::of(change, read_scope).old.is_some_and(|image| image.may_be_read(read_scope))
}

/// The record before a change and after it.
struct PastRows<'a> {
    old: Option<PastRow<'a>>,
    new: Option<PastRow<'a>>,
}

struct PastRow<'a> {
    /// As the entity of today has it.
    record: &'a Record,
    /// What was written, if it was under an earlier schema.
    written: Option<ImageMembers<'a>>,
}

impl<'a> PastRows<'a> {
    fn of(change: &'a Change, read_scope: &ReadScope) -> PastRows<'a> {
        let rows = change.rows(&read_scope.entity);
        let is_earlier = change.generation != read_scope.generation;
        let after = || change.after.as_deref().map(members).unwrap_or_default();
        let both = || {
            let mut both = after();
            both.extend(change.before.as_deref().map(members).unwrap_or_default());
            both
        };
        PastRows {
            old: rows.old.as_ref().map(|record| PastRow { record, written: is_earlier.then(both) }),
            new: rows.new.as_ref().map(|record| PastRow { record, written: is_earlier.then(after) }),
        }
    }
}

impl PastRow<'_> {
    fn may_be_read(&self, read_scope: &ReadScope) -> bool {
        self.meets(read_scope.predicate(), &read_scope.entity)
    }

    fn meets(&self, predicate: &Predicate, entity: &Entity) -> bool {
        predicate.matches_knowing(self.record, &|column| self.knows(column, entity))
    }

    /// Whether the column was there, and its value is one that the type of today has.
    fn knows(&self, column: Column, entity: &Entity) -> bool {
        let (Some(written), Column::Field(field)) = (&self.written, column) else { return true };
        let raw = written.get(&*entity.at(field).name);
        raw.is_some_and(|raw| raw.get() == "null" || self.record.values[field.0] != Value::Null)
    }

    /// The fields of today that may be shown of it.
    fn shown(&self, read_scope: &ReadScope) -> Vec<FieldIndex> {
        let is_shown = |field: &FieldIndex| match read_scope.shown(Column::Field(*field)) {
            Some(shown) => self.meets(shown, &read_scope.entity),
            None => true,
        };
        (0..read_scope.entity.fields.len()).map(FieldIndex).filter(is_shown).collect()
    }
}

/// The image with these fields alone, in their order, as they were written.
fn sift(image: &Bytes, entity: &Entity, fields: &[FieldIndex]) -> Bytes {
    let members = members(image);
    let fields = fields.iter().map(|field| &*entity.at(*field).name);
    let names = ["id", "version"].into_iter().chain(fields).chain(["created_at", "updated_at"]);
    let mut out = vec![b'{'];
    for (name, raw) in names.filter_map(|name| Some((name, members.get(name)?))) {
        if out.len() > 1 {
            out.push(b',');
        }
        write_json_of(name, &mut out);
        out.push(b':');
        out.extend_from_slice(raw.get().as_bytes());
    }
    out.push(b'}');
    out.into()
}

/// The fields of today among those that a change names.
fn fields_of_today(names: &Bytes, entity: &Entity) -> Vec<FieldIndex> {
    let names: Vec<String> = serde_json::from_slice(names).unwrap_or_default();
    names.iter().filter_map(|name| entity.field(name).map(|(at, _)| at)).collect()
}
