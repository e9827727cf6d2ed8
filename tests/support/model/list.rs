//! The model's lists and counts: look at every record, keep those that pass, sort them, cut the page out.

use std::cmp::Ordering;
use std::sync::Arc;

use tidewire::ids::RecordId;
use tidewire::schema::{Entity, EntityName, Record, Schema, Value};
use tidewire::store::{
    Condition, Count, Counted, Direction, Expand, ListCursor, ListPage, Listed, MOST_GROUPS, Query, Related,
    SortBy, StoreError,
};

use super::State;
use super::search::finds;
use super::sight::Sight;
use crate::support::oracle::{Asker, Oracle};

/// Names no read scope: what that would be is the product's own form.
pub(super) fn list(
    schema: &Schema,
    state: &State,
    entity: &Arc<Entity>,
    query: &Query,
) -> Result<ListPage, StoreError> {
    let sight = Sight::of(schema, &state.records, &query.who);
    match &query.named {
        Some(_) => sight.open(entity)?,
        None => sight.open_list(entity)?,
    }
    query.filter.iter().try_for_each(|condition| sight.may_filter(entity, condition.column))?;
    query.sort.iter().try_for_each(|by| sight.may_sort(entity, by.column))?;
    for expand in &query.expand {
        sight.may_filter(entity, tidewire::schema::Column::Field(expand.field))?;
    }
    let place = |record: &Record| {
        let values = query.sort.iter().map(|by| record.value(by.column)).collect();
        ListCursor { values, id: record.id.clone() }
    };
    let found: Vec<_> = match &query.named {
        Some(one) => named(state, &sight, entity, one).collect(),
        None => passing(state, &sight, entity, (&query.filter, &query.search)).collect(),
    };
    let mut found: Vec<_> = found.into_iter().map(|record| (place(record), record)).collect();
    if let Some(mark) = &query.after {
        found.retain(|(place, _)| order(&query.sort, place, mark) == Ordering::Greater);
    }
    found.sort_by(|left, right| order(&query.sort, &left.0, &right.0));
    let following = Following { schema, state, sight: &sight };
    let (mut page, mut room) = (ListPage::default(), query.bytes);
    for (ListCursor { values: sort_values, id }, record) in found {
        if page.rows.len() == query.limit || room == 0 {
            page.more = true;
            break;
        }
        let stored = sight.shown(entity, record);
        room = room.saturating_sub(stored.json.len());
        let expanded = following.all(entity, record, &query.expand)?;
        page.rows.push(Listed { id, sort_values, stored, expanded });
    }
    Ok(page)
}

pub(super) fn count(
    schema: &Schema,
    state: &State,
    entity: &Arc<Entity>,
    count: &Count,
) -> Result<Counted, StoreError> {
    let sight = Sight::of(schema, &state.records, &count.who);
    sight.open_list(entity)?;
    count.filter.iter().try_for_each(|condition| sight.may_filter(entity, condition.column))?;
    count.group.iter().try_for_each(|column| sight.may_sort(entity, *column))?;
    let found: Vec<_> = passing(state, &sight, entity, (&count.filter, &count.search)).collect();
    let mut groups: Vec<(Value, u64)> = Vec::new();
    for (column, record) in count.group.iter().flat_map(|column| found.iter().map(move |one| (column, one))) {
        let value = record.value(*column);
        match groups.iter_mut().find(|(known, _)| *known == value) {
            Some((_, count)) => *count += 1,
            None => groups.push((value, 1)),
        }
    }
    if groups.len() > MOST_GROUPS {
        return Err(StoreError::TooManyGroups { entity: count.entity.clone() });
    }
    groups.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| compare(&left.0, &right.0)));
    Ok(Counted { count: found.len() as u64, groups })
}

fn passing<'a>(
    state: &'a State,
    sight: &'a Sight,
    entity: &'a Arc<Entity>,
    (filter, search): (&'a [Condition], &'a [String]),
) -> impl Iterator<Item = &'a Arc<Record>> {
    let is_wanted = |name: &EntityName| *name == entity.name;
    let of_entity = state.records.iter().filter(move |((name, _), _)| is_wanted(name));
    of_entity
        .map(|(_, record)| record)
        .filter(|record| sight.passes(entity, record, filter) && finds(entity, record, search))
}

/// One record by what names it: the rule `read` alone decides, even if the caller cannot see the field.
fn named<'a>(
    state: &'a State,
    sight: &'a Sight,
    entity: &'a Arc<Entity>,
    one: &'a Condition,
) -> impl Iterator<Item = &'a Arc<Record>> {
    let of_entity = state.records.iter().filter(|((name, _), _)| *name == entity.name);
    of_entity
        .map(|(_, record)| record)
        .filter(|record| Oracle::of(&Asker::default(), record).meets(one) && sight.sees(entity, record))
}

/// Ids go in the direction of the last column.
fn order(sort: &[SortBy], left: &ListCursor, right: &ListCursor) -> Ordering {
    let columns = left.values.iter().zip(&right.values).zip(sort);
    let by_columns = columns.fold(Ordering::Equal, |so_far, ((left, right), by)| {
        so_far.then_with(|| directed(compare(left, right), by.direction))
    });
    let last = sort.last().map_or(Direction::Ascending, |by| by.direction);
    by_columns.then_with(|| directed(left.id.cmp(&right.id), last))
}

/// Null first, then by value; one column never holds two types.
fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right).unwrap(),
        (Value::Text(left) | Value::Json(left), Value::Text(right) | Value::Json(right)) => left.cmp(right),
        _ => panic!("{left:?} and {right:?} are of two types"),
    }
}

fn directed(order: Ordering, direction: Direction) -> Ordering {
    match direction {
        Direction::Ascending => order,
        Direction::Descending => order.reverse(),
    }
}

/// References are followed as far as both they and what they lead to are seen.
struct Following<'a> {
    schema: &'a Schema,
    state: &'a State,
    sight: &'a Sight,
}

type Followed = Option<Arc<Related>>;

impl Following<'_> {
    fn all(&self, entity: &Entity, record: &Record, wanted: &[Expand]) -> Result<Vec<Followed>, StoreError> {
        wanted.iter().map(|expand| self.one(entity, record, expand)).collect()
    }

    fn one(&self, entity: &Entity, record: &Record, expand: &Expand) -> Result<Followed, StoreError> {
        let Value::Text(id) = &record.values[expand.field.0] else { return Ok(None) };
        if self.sight.hidden(entity, record).contains(&expand.field) {
            return Ok(None);
        }
        let target = self.schema.target(entity.at(expand.field)).unwrap();
        match self.sight.open(target) {
            Err(StoreError::Closed(_)) => return Ok(None),
            open => open?,
        }
        let found = &self.state.records[&(target.name.clone(), RecordId::stored(id))];
        if !self.sight.sees(target, found) {
            return Ok(None);
        }
        let expanded = self.all(target, found, &expand.then)?;
        Ok(Some(Arc::new(Related { stored: self.sight.shown(target, found), expanded })))
    }
}
