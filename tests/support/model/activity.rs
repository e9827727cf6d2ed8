//! The model's activity: what a user may know of each change, by the rights that they have now and the record as it was then.

use std::sync::Arc;

use tidewire::schema::{Entity, FieldIndex, Record, Schema, Value};
use tidewire::store::{
    ActivityEntry, ActivityPage, ActivityQuery, ActivitySight, ChangeOp, MOST_LOOKED_AT, StoreError,
};

use super::State;
use super::log::Entry;
use super::sight::Sight;

pub(super) fn page(
    schema: &Schema,
    state: &State,
    query: &ActivityQuery,
) -> Result<ActivityPage, StoreError> {
    let listed = match &query.sight {
        ActivitySight::Of { who, entities } => {
            listed(schema, &Sight::of(schema, &state.records, who), entities.as_deref())?
        }
        ActivitySight::Bound(scope) => {
            let bound = scope
                .read_scopes()
                .map(|bound| Listed { entity: bound.entity.clone(), sight: Sight::Bound(bound.clone()) });
            bound.collect()
        }
    };
    // Which scope it was read by only the product says.
    let mut page = ActivityPage::default();
    let older = state.log.iter().rev();
    let older = older.filter(|entry| query.before.is_none_or(|before| entry.change.seq < before));
    for (nth, entry) in older.enumerate() {
        if nth == MOST_LOOKED_AT {
            page.next = Some(tidewire::ids::Seq(entry.change.seq.0 + 1));
            break;
        }
        let of = listed.iter().find(|of| of.entity.name == entry.change.entity);
        let Some(told) = of.and_then(|of| told(&of.sight, &of.entity, entry)) else { continue };
        if page.entries.len() == query.limit {
            page.next = page.entries.last().map(|last| last.seq);
            break;
        }
        page.entries.push(told);
    }
    Ok(page)
}

/// An entity, and who lists its records.
struct Listed {
    entity: Arc<Entity>,
    sight: Sight,
}

fn listed(
    schema: &Schema,
    sight: &Sight,
    named: Option<&[tidewire::schema::EntityName]>,
) -> Result<Vec<Listed>, StoreError> {
    let active: Vec<&Arc<Entity>> = match named {
        None => schema.entities().filter(|entity| entity.activity).collect(),
        Some(named) => {
            let known = |name: &str| schema.entity(name).filter(|entity| entity.activity);
            let unknown = |name: &str| StoreError::UnknownEntity(name.to_owned());
            named.iter().map(|name| known(name).ok_or_else(|| unknown(name))).collect::<Result<_, _>>()?
        }
    };
    let mut listed = Vec::new();
    for entity in active {
        match sight.open_list(entity) {
            Ok(()) => listed.push(Listed { entity: entity.clone(), sight: sight.clone() }),
            Err(StoreError::Closed(_)) if named.is_none() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(listed)
}

fn told(sight: &Sight, entity: &Entity, entry: &Entry) -> Option<ActivityEntry> {
    let sides: Vec<&Arc<Record>> = [&entry.old, &entry.new].into_iter().flatten().collect();
    if !sides.iter().all(|record| sight.lists(entity, record)) {
        return None;
    }
    let last = *sides.last()?;
    let shows = |record: &Record, field: FieldIndex| !sight.hidden(entity, record).contains(&field);
    let label = entity.label.filter(|field| shows(last, *field)).map(|field| &last.values[field.0]);
    let change = &entry.change;
    let is_update = change.op == ChangeOp::Update;
    let shown = entry.changed.iter().filter(|field| sides.iter().all(|record| shows(record, **field)));
    let names = shown.map(|field| entity.at(*field).name.clone()).collect();
    Some(ActivityEntry {
        seq: change.seq,
        at: change.at,
        by: change.actor.clone(),
        op: change.op,
        cause: change.cause,
        entity: change.entity.clone(),
        id: change.id.clone(),
        label: label.and_then(|value| {
            let Value::Text(text) = value else { return None };
            Some(text.as_str().into())
        }),
        changed: is_update.then_some(names),
    })
}
