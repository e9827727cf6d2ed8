//! Records by entity and id, and reading many of them at once. Does not know what they are read for.

use super::context::UnitContext;
use super::fault::Fault;
use crate::ids::RecordId;
use crate::schema::{EntityName, Record};
use crate::store::source::Source;

/// Records that are asked for at once, at most. What is read of them is held until they are done with.
pub(super) const TOGETHER: usize = 32;

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RecordKey {
    pub(super) entity: EntityName,
    pub(super) id: RecordId,
}

/// The places of those among some things that have something in common.
pub(super) struct Alike<K> {
    pub(super) by: K,
    pub(super) places: Vec<usize>,
}

/// Puts few things together that have the same `by`, in the order in which each first comes.
pub(super) fn alike<K: PartialEq>(things: impl Iterator<Item = K>) -> Vec<Alike<K>> {
    let mut groups: Vec<Alike<K>> = Vec::new();
    for (place, by) in things.enumerate() {
        match groups.iter_mut().find(|group| group.by == by) {
            Some(group) => group.places.push(place),
            None => groups.push(Alike { by, places: vec![place] }),
        }
    }
    groups
}

/// In the order of the keys; `None` for what is not there.
pub(super) async fn records<S: Source>(
    source: &S,
    context: UnitContext<'_>,
    keys: &[&RecordKey],
) -> Result<Vec<Option<Record>>, Fault<S::Error>> {
    let mut found: Vec<Option<Record>> = keys.iter().map(|_| None).collect();
    for group in alike(keys.iter().map(|key| &key.entity)) {
        let ids: Vec<&str> = group.places.iter().map(|place| keys[*place].id.as_str()).collect();
        let records = source.records(context.relation(group.by)?, &ids).await?;
        group.places.into_iter().zip(records).for_each(|(place, record)| found[place] = record);
    }
    Ok(found)
}
