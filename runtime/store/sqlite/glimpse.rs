//! What somebody sees of a change in a history: of the record before it and after it each what they may read today.
//!
//! Knows neither how changes are kept nor how they are found. An image of an earlier schema is shown with the fields of today,
//! since nobody can say who might read the others.

use bytes::Bytes;

use super::images::{fields_json, names_json, shown};
use crate::rules::{Mask, Sight};
use crate::schema::{Entity, FieldIndex, Record};
use crate::store::{Change, ChangeOp, Decoded, Rows};

/// `None` where neither the record before nor the one after may be read.
pub(super) fn glimpse(change: Change, sight: &Sight) -> Option<Change> {
    let rows = change.rows(&sight.entity);
    let [old, new] = [&rows.old, &rows.new].map(|row| row.as_ref().filter(|record| sight.sees(record)));
    if old.is_none() && new.is_none() {
        return None;
    }
    let whole = sight.fields.is_empty();
    let names = changed_fields(&change, &sight.entity);
    let masks = [old, new].map(|record| record.map(|record| sight.mask(record)).unwrap_or_default());
    let before = old.and_then(|record| match change.op {
        ChangeOp::Update if !whole => Some(fields_json(&sight.entity, record, &visible(&names, &masks[..1]))),
        ChangeOp::Delete if !whole => Some(shown(record, sight).json),
        ChangeOp::Update | ChangeOp::Delete | ChangeOp::Create | ChangeOp::Schema => change.before.clone(),
    });
    let after = new.and_then(|record| match &change.after {
        Some(_) if !whole => Some(shown(record, sight).json),
        image => image.clone(),
    });
    let changed = match &change.changed {
        Some(_) if !whole => Some(names_json(&sight.entity, &visible(&names, &masks))),
        names => names.clone(),
    };
    let own = |record: Option<&Record>| record.cloned();
    let decoded = Decoded::known(Rows { old: own(old), new: own(new) });
    Some(Change { before, after, changed, decoded, ..change })
}

/// Those that no mask hides.
fn visible(fields: &[FieldIndex], masks: &[Mask]) -> Vec<FieldIndex> {
    let is_shown = |field: &FieldIndex| !masks.iter().any(|mask| mask.hidden().contains(field));
    fields.iter().copied().filter(is_shown).collect()
}

/// The fields of today among those that the change names.
fn changed_fields(change: &Change, entity: &Entity) -> Vec<FieldIndex> {
    let names: Option<Vec<String>> =
        change.changed.as_ref().and_then(|names: &Bytes| serde_json::from_slice(names).ok());
    let field = |name: &String| entity.field(name).map(|(at, _)| at);
    names.unwrap_or_default().iter().filter_map(field).collect()
}
