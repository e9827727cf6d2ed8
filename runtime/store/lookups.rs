//! Lookup fields (SEMANTICS R8) as a schema has them: what each copies, in which order, and who follows whom.
//!
//! Knows neither records nor the writes that lookups follow.

use std::collections::HashMap;

use crate::schema::{Entity, EntityName, FieldIndex, Schema};

/// A lookup of an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupField {
    pub field: FieldIndex,
    pub via: FieldIndex,
    /// The entity that `via` refers to, and the field there.
    pub target: EntityName,
    pub source: FieldIndex,
    /// How many lookups in a row lead here. What a lookup depends on has a lower rank, so in the order of ranks each is
    /// computed once.
    pub rank: usize,
}

/// A lookup, perhaps of another entity, that copies a field of an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowingField {
    pub source: FieldIndex,
    pub entity: EntityName,
    /// Place in `Relation::lookups` of that entity.
    pub lookup: usize,
}

/// What a change of a field may change with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LookupReach {
    Nothing,
    /// Lookups of the same record only: no further row is written.
    Itself,
    /// Lookups of other records.
    Others,
}

/// A lookup and whose it is.
pub(super) struct OrderedLookup {
    pub(super) entity: EntityName,
    pub(super) copied: LookupField,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct FieldOf {
    entity: EntityName,
    field: FieldIndex,
}

/// Of fields: 0 for a field that is no lookup.
type Ranks = HashMap<FieldOf, usize>;

/// Every lookup, that of the lowest rank first.
pub(super) fn in_order(schema: &Schema) -> Vec<OrderedLookup> {
    let mut ranks = Ranks::new();
    let mut lookups = Vec::new();
    for entity in schema.entities() {
        for field in (0..entity.fields.len()).map(FieldIndex) {
            let of = FieldOf { entity: entity.name.clone(), field };
            if entity.at(field).lookup.is_some()
                && let Some(copied) = copied(schema, entity, field, rank(schema, of, &mut ranks))
            {
                lookups.push(OrderedLookup { entity: entity.name.clone(), copied });
            }
        }
    }
    lookups.sort_by_key(|lookup| lookup.copied.rank);
    lookups
}

fn copied(schema: &Schema, entity: &Entity, field: FieldIndex, rank: usize) -> Option<LookupField> {
    let lookup = entity.at(field).lookup?;
    let target = schema.target(entity.at(lookup.via))?;
    Some(LookupField { field, via: lookup.via, target: target.name.clone(), source: lookup.field, rank })
}

/// One more than the highest rank that the lookup depends on. Walks with a stack of its own, since a chain of lookups may
/// lead through every field of the schema; the schema's check made sure that none leads back to its beginning.
fn rank(schema: &Schema, field: FieldOf, ranks: &mut Ranks) -> usize {
    let mut path = vec![field.clone()];
    while let Some(node) = path.last().cloned() {
        let needs = dependencies(schema, &node);
        match needs.iter().find(|need| !ranks.contains_key(*need)) {
            Some(unknown) => path.push(unknown.clone()),
            None => {
                let rank = needs.iter().map(|need| ranks[need] + 1).max().unwrap_or(0);
                ranks.insert(node, rank);
                path.pop();
            }
        }
    }
    ranks[&field]
}

/// The ref that a lookup goes through, and the field that it copies.
fn dependencies(schema: &Schema, of: &FieldOf) -> Vec<FieldOf> {
    let entity = schema.entity(&of.entity);
    let Some((entity, lookup)) = entity.and_then(|entity| Some((entity, entity.at(of.field).lookup?))) else {
        return Vec::new();
    };
    let via = FieldOf { entity: entity.name.clone(), field: lookup.via };
    let target = schema.target(entity.at(lookup.via));
    let source = target.map(|target| FieldOf { entity: target.name.clone(), field: lookup.field });
    [via].into_iter().chain(source).collect()
}

/// For each field of an entity. A lookup through a field reaches as far as the field, so they are asked last first.
pub(super) fn reach(
    fields: usize,
    lookups: &[LookupField],
    followers: &[FollowingField],
) -> Vec<LookupReach> {
    let mut reach = vec![LookupReach::Nothing; fields];
    followers.iter().for_each(|follower| reach[follower.source.0] = LookupReach::Others);
    for copied in lookups.iter().rev() {
        reach[copied.via.0] = reach[copied.via.0].max(reach[copied.field.0]).max(LookupReach::Itself);
    }
    reach
}
