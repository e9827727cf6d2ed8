//! What the entities of one schema have to do with each other: who refers to whom, what lookups copy, and what rules ask of a
//! person. Made once for a schema, so that no unit and no read walks through it.
//!
//! Knows no records and no statements: a backend finds its own of a `Relation` by `Relation::place`.

use std::collections::HashMap;
use std::sync::Arc;

use super::lookups;
use crate::rules::{Needs, Rights};
use crate::schema::{Entity, EntityName, FieldIndex, KeyFields, OnDelete, Operation, Schema, Sequence};

pub use super::lookups::{FollowingField, LookupField, LookupReach};

/// The entities of one schema.
#[derive(Debug)]
pub struct Relations {
    /// That they were made of, for the words of explanations.
    pub schema: Arc<Schema>,
    /// In the order of the schema.
    relations: Vec<Relation>,
    places: HashMap<EntityName, usize>,
    /// What the read rules of all entities ask of a person.
    pub read_needs: Needs,
    /// What the conditions of all `[[on]]` tables ask of a person.
    pub trigger_needs: Needs,
    /// Which changes are changes of a user's rights.
    pub rights: Rights,
}

/// One entity and what it has to do with others.
#[derive(Debug)]
pub struct Relation {
    /// Place in `Relations::all`.
    pub place: usize,
    pub entity: Arc<Entity>,
    /// What the read rules of the entity ask of a person.
    pub read_needs: Needs,
    /// What the rules ask by which a write of one of its records is judged: its own, and the read rules of what it refers to.
    pub write_needs: Needs,
    /// Fields whose values no two records share: each `unique` field, then each `[[unique]]`.
    pub unique: Vec<KeyFields>,
    /// Fields that the server numbers.
    pub sequences: Vec<SequenceField>,
    /// References that a client sets.
    pub references: Vec<Reference>,
    /// Who refers to this entity, in the order of the schema.
    pub referrers: Vec<ReferringField>,
    /// In the order in which they are computed.
    pub lookups: Vec<LookupField>,
    /// Who copies from this entity, in the same order.
    pub followers: Vec<FollowingField>,
    /// For each field.
    pub reach: Vec<LookupReach>,
}

/// A field that the server numbers, and which records are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceField {
    pub field: FieldIndex,
    pub counts: Sequence,
}

impl SequenceField {
    /// The field that counted records have in common.
    pub fn parent(self) -> Option<FieldIndex> {
        match self.counts {
            Sequence::Whole => None,
            Sequence::Within(parent) => Some(parent),
        }
    }
}

/// A field that refers to a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub field: FieldIndex,
    pub target: EntityName,
    pub on_delete: OnDelete,
}

/// A field of another (or the same) entity that refers to an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferringField {
    pub entity: EntityName,
    pub field: FieldIndex,
    pub on_delete: OnDelete,
}

impl Relations {
    pub fn of(schema: &Schema) -> Relations {
        let mut relations: Vec<Relation> = schema
            .entities()
            .enumerate()
            .map(|(place, entity)| Relation::of(schema, entity, place))
            .collect();
        let places: HashMap<EntityName, usize> =
            relations.iter().map(|relation| (relation.entity.name.clone(), relation.place)).collect();
        for child in schema.entities() {
            for Reference { field, target, on_delete } in references(child) {
                if let Some(place) = places.get(&target) {
                    let entity = child.name.clone();
                    relations[*place].referrers.push(ReferringField { entity, field, on_delete });
                }
            }
        }
        for lookup in lookups::in_order(schema) {
            let entity = places[&lookup.entity];
            let at = relations[entity].lookups.len();
            let copied = lookup.copied;
            let follower = FollowingField { source: copied.source, entity: lookup.entity, lookup: at };
            let target = places.get(&copied.target).copied();
            relations[entity].lookups.push(copied);
            if let Some(target) = target {
                relations[target].followers.push(follower);
            }
        }
        for relation in &mut relations {
            let fields = relation.entity.fields.len();
            relation.reach = lookups::reach(fields, &relation.lookups, &relation.followers);
            // A record that gets another parent gets another number.
            for sequence in &relation.sequences {
                if let Some(parent) = sequence.parent() {
                    let reach = relation.reach[sequence.field.0];
                    relation.reach[parent.0] = relation.reach[parent.0].max(reach);
                }
            }
        }
        let mut read_needs = Needs::default();
        relations.iter().for_each(|relation| read_needs.add(&relation.read_needs));
        read_needs.add(&Needs::of_names(schema.names()));
        let mut trigger_needs = Needs::default();
        relations.iter().for_each(|relation| trigger_needs.add(&Needs::of_triggers(&relation.entity)));
        let (schema, rights) = (Arc::new(schema.clone()), Rights::of(schema));
        Relations { schema, relations, places, read_needs, trigger_needs, rights }
    }

    /// `None` for an entity that the schema does not have.
    pub fn get(&self, entity: &str) -> Option<&Relation> {
        self.places.get(entity).map(|place| &self.relations[*place])
    }

    pub fn all(&self) -> &[Relation] {
        &self.relations
    }

    /// The shared name of a known entity, a new one of any other.
    pub fn shared_name(&self, entity: &str) -> EntityName {
        self.get(entity).map_or_else(|| entity.into(), |relation| relation.entity.name.clone())
    }
}

impl Relation {
    fn of(schema: &Schema, entity: &Arc<Entity>, place: usize) -> Relation {
        Relation {
            place,
            read_needs: Needs::of_read(entity),
            write_needs: write_needs(schema, entity),
            unique: entity.unique_keys().collect(),
            sequences: sequences(entity).collect(),
            references: references(entity).collect(),
            referrers: Vec::new(),
            lookups: Vec::new(),
            followers: Vec::new(),
            reach: Vec::new(),
            entity: entity.clone(),
        }
    }
}

fn sequences(entity: &Entity) -> impl Iterator<Item = SequenceField> {
    let fields = entity.fields.iter().enumerate();
    fields.filter_map(|(at, field)| Some(SequenceField { field: FieldIndex(at), counts: field.sequence? }))
}

fn write_needs(schema: &Schema, entity: &Entity) -> Needs {
    let mut needs = Needs::of_read(entity);
    for operation in Operation::ALL {
        needs.add(&Needs::of(entity, operation));
    }
    for reference in references(entity) {
        if let Some(target) = schema.entity(&reference.target) {
            needs.add(&Needs::of_read(target));
        }
    }
    needs
}

/// References that a client sets. A lookup is a copy of one that was checked; it follows the ref that it goes through, whatever
/// becomes of the record that it names.
fn references(entity: &Entity) -> impl Iterator<Item = Reference> {
    let own = entity.fields.iter().enumerate().filter(|(_, field)| field.lookup.is_none());
    own.filter_map(|(at, field)| {
        let (target, on_delete) = (field.kind.target()?.clone(), field.kind.on_delete()?);
        Some(Reference { field: FieldIndex(at), target, on_delete })
    })
}
