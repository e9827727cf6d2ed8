//! The index: from a change to the groups that it may concern, without looking at the others. A group stands under the
//! anchor of its predicate; what is found here is only a candidate, which `event::judge` decides.
//!
//! Knows groups by their numbers only. Keys are hashed and not compared: a collision costs one judgement.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;
use indexmap::IndexSet;
use serde_json::Value as Json;

use crate::ids::RecordId;
use crate::rules::{Anchor, Key, Sight, anchor};
use crate::schema::{Column, Entity, EntityName, Generation, Record, Value};
use crate::store::{Change, ChangeOp, Scope};

/// Number of a group among all groups.
pub(super) type GroupNumber = usize;

type Numbers = IndexSet<GroupNumber, RandomState>;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Index {
    entities: HashMap<EntityName, Vec<OfEntity>, RandomState>,
    hashes: RandomState,
    /// The keys of the change that is being looked up.
    keys: Vec<u64>,
}

/// The groups of one entity under one schema generation: sights of another one judge none of its changes.
#[derive(Debug)]
struct OfEntity {
    generation: Generation,
    entity: std::sync::Arc<Entity>,
    /// How many groups there are, also those that no change can concern.
    groups: usize,
    /// Whom every change concerns.
    everything: Numbers,
    /// Whom any change may concern.
    anywhere: Numbers,
    /// By the hash of a column and one of its values.
    keyed: HashMap<u64, Numbers, RandomState>,
    /// The columns that are asked for, each with the keys that ask for it.
    asked: HashMap<Asked, usize, RandomState>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Asked {
    /// For its value.
    Value(Column),
    /// For the elements of its list.
    Elements(Column),
}

impl Index {
    /// Where the groups of a sight stand.
    pub(super) fn anchor_of(scope: &Scope, sight: &Sight) -> Anchor {
        match (anchor(sight.predicate()), scope) {
            (Anchor::Keys(keys), _) if keys.is_empty() => Anchor::Keys(keys),
            (_, Scope::Record(_, id)) => {
                Anchor::Keys(vec![Key::Is(Column::Id, Value::Text(id.as_str().to_owned()))])
            }
            (anchor, Scope::Entity(_)) => anchor,
        }
    }

    pub(super) fn insert(&mut self, number: GroupNumber, scope: &Scope, sight: &Sight) {
        let hashes = &self.hashes;
        let generations = self.entities.entry(sight.entity.name.clone()).or_default();
        let at = generations.iter().position(|of| of.generation == sight.generation).unwrap_or_else(|| {
            generations.push(OfEntity::new(sight));
            generations.len() - 1
        });
        let of = &mut generations[at];
        of.groups += 1;
        match Index::anchor_of(scope, sight) {
            Anchor::Everything => drop(of.everything.insert(number)),
            Anchor::Anywhere => drop(of.anywhere.insert(number)),
            Anchor::Keys(keys) => {
                for key in &keys {
                    of.keyed.entry(hash_of_key(hashes, key)).or_default().insert(number);
                    *of.asked.entry(asked_by(key)).or_default() += 1;
                }
            }
        }
    }

    /// Takes back what `insert` did with the same arguments.
    pub(super) fn remove(&mut self, number: GroupNumber, scope: &Scope, sight: &Sight) {
        let hashes = &self.hashes;
        let Some(generations) = self.entities.get_mut(&sight.entity.name) else { return };
        let Some(at) = generations.iter().position(|of| of.generation == sight.generation) else { return };
        let of = &mut generations[at];
        of.groups -= 1;
        match Index::anchor_of(scope, sight) {
            Anchor::Everything => drop(of.everything.swap_remove(&number)),
            Anchor::Anywhere => drop(of.anywhere.swap_remove(&number)),
            Anchor::Keys(keys) => {
                keys.iter().for_each(|key| of.remove_key(hash_of_key(hashes, key), key, number))
            }
        }
        if of.groups == 0 {
            generations.swap_remove(at);
        }
        if generations.is_empty() {
            self.entities.remove(&sight.entity.name);
        }
    }

    /// The groups of an entity that every change must be held against.
    pub(super) fn scanned(&self, entity: &str) -> usize {
        let generations = self.entities.get(entity).into_iter().flatten();
        generations.map(|of| of.anywhere.len()).sum()
    }

    /// The same of all entities together.
    pub(super) fn scanned_count(&self) -> usize {
        self.entities.values().flatten().map(|of| of.anywhere.len()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// Replaces `found` by the groups that the change may concern; one of them may be named more than once.
    pub(super) fn look_up(&mut self, change: &Change, found: &mut Vec<GroupNumber>) {
        found.clear();
        if change.op == ChangeOp::Schema {
            return;
        }
        let generations = self.entities.get(&change.entity).into_iter().flatten();
        for of in generations.filter(|of| of.generation == change.generation) {
            found.extend(&of.everything);
            if !of.asked.is_empty() {
                collect_keys(&self.hashes, of, change, &mut self.keys);
                let keyed = self.keys.iter().filter_map(|key| of.keyed.get(key));
                keyed.for_each(|numbers| found.extend(numbers));
            }
            found.extend(&of.anywhere);
        }
    }
}

impl OfEntity {
    fn new(sight: &Sight) -> OfEntity {
        OfEntity {
            generation: sight.generation,
            entity: sight.entity.clone(),
            groups: 0,
            everything: Numbers::default(),
            anywhere: Numbers::default(),
            keyed: HashMap::default(),
            asked: HashMap::default(),
        }
    }

    /// Two keys of one group may have one hash; each counts for its column.
    fn remove_key(&mut self, hash: u64, key: &Key, number: GroupNumber) {
        if let Some(numbers) = self.keyed.get_mut(&hash) {
            numbers.swap_remove(&number);
            if numbers.is_empty() {
                self.keyed.remove(&hash);
            }
        }
        let asked = asked_by(key);
        if let Some(count) = self.asked.get_mut(&asked) {
            *count -= 1;
            if *count == 0 {
                self.asked.remove(&asked);
            }
        }
    }
}

/// The keys of both images of the change, each once.
fn collect_keys(hashes: &RandomState, of: &OfEntity, change: &Change, keys: &mut Vec<u64>) {
    keys.clear();
    let only_id = of.asked.len() == 1 && of.asked.contains_key(&Asked::Value(Column::Id));
    if only_id {
        // The images need not be decoded.
        keys.push(hash_of_id(hashes, &change.id));
        return;
    }
    let rows = change.rows(&of.entity);
    for record in rows.old.iter().chain(&rows.new) {
        for asked in of.asked.keys() {
            match asked {
                Asked::Value(column) => keys.push(hash_of_column(hashes, record, *column)),
                Asked::Elements(column) => hash_elements(hashes, record, *column, keys),
            }
        }
    }
    keys.sort_unstable();
    keys.dedup();
}

fn asked_by(key: &Key) -> Asked {
    match key {
        Key::Is(column, _) => Asked::Value(*column),
        Key::Holds(column, _) => Asked::Elements(*column),
    }
}

fn hash_of_key(hashes: &RandomState, key: &Key) -> u64 {
    let (Key::Is(_, value) | Key::Holds(_, value)) = key;
    hash(hashes, asked_by(key), plain(value))
}

fn hash_of_id(hashes: &RandomState, id: &RecordId) -> u64 {
    hash(hashes, Asked::Value(Column::Id), Plain::Text(id.as_str()))
}

fn hash_of_column(hashes: &RandomState, record: &Record, column: Column) -> u64 {
    match column {
        Column::Id => hash_of_id(hashes, &record.id),
        Column::Field(at) => {
            let value = record.values.get(at.0).unwrap_or(&Value::Null);
            hash(hashes, Asked::Value(column), plain(value))
        }
        Column::Version | Column::CreatedAt | Column::UpdatedAt => {
            hash(hashes, Asked::Value(column), plain(&record.value(column)))
        }
    }
}

fn hash_elements(hashes: &RandomState, record: &Record, column: Column, keys: &mut Vec<u64>) {
    let Column::Field(at) = column else { return };
    let Some(Value::Json(json)) = record.values.get(at.0) else { return };
    let Ok(Json::Array(elements)) = serde_json::from_str::<Json>(json) else { return };
    for element in &elements {
        let element = match element {
            Json::String(text) => Plain::Text(text),
            Json::Bool(flag) => Plain::Bool(*flag),
            Json::Number(number) => number.as_f64().map_or(Plain::Other, number_of),
            Json::Null | Json::Array(_) | Json::Object(_) => continue,
        };
        keys.push(hash(hashes, Asked::Elements(column), element));
    }
}

/// A value as far as equality tells it from others: equal values are equal here.
#[derive(PartialEq, Eq, Hash)]
enum Plain<'a> {
    Null,
    Bool(bool),
    Text(&'a str),
    /// The bits of the number as a double: an int equals the float of its size.
    Number(u64),
    /// Equal to nothing.
    Other,
}

fn plain(value: &Value) -> Plain<'_> {
    match value {
        Value::Null => Plain::Null,
        Value::Bool(flag) => Plain::Bool(*flag),
        Value::Text(text) => Plain::Text(text),
        // Ints lie within what a double holds exactly.
        Value::Int(number) => number_of(*number as f64),
        Value::Float(number) => number_of(*number),
        Value::Json(_) => Plain::Other,
    }
}

/// Zero is one number, whatever its sign.
fn number_of(number: f64) -> Plain<'static> {
    Plain::Number(if number == 0.0 { 0 } else { number.to_bits() })
}

fn hash(hashes: &RandomState, asked: Asked, value: Plain<'_>) -> u64 {
    let mut hasher = hashes.build_hasher();
    asked.hash(&mut hasher);
    value.hash(&mut hasher);
    hasher.finish()
}
