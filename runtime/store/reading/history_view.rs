//! What a user sees of a change in a history: of the record before it and after it each what they may read today.
//!
//! Knows neither how changes are kept nor how they are found.

use bytes::Bytes;

use crate::rules::ReadScope;
use crate::schema::value::write_json_of;
use crate::schema::{Entity, FieldIndex};
use crate::store::decode::members;
use crate::store::images::names_json;
use crate::store::past_rows::{PastRow, PastRows, fields_of_today};
use crate::store::{Change, Decoded, Rows};

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

/// Whether the record that a change removed may be read.
pub(super) fn last_may_be_read(change: &Change, read_scope: &ReadScope) -> bool {
    PastRows::of(change, read_scope).old.is_some_and(|image| image.may_be_read(read_scope))
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
