//! The index: from a change to the groups that it may concern, without looking at the others. A group stands under the
//! anchor of its predicate; what is found here is only a candidate, which `event::judge` decides.
//!
//! Knows groups by their numbers only. Keys are hashed and not compared: a collision costs one judgement.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;
use indexmap::IndexSet;
use serde_json::Value as Json;
use slab::Slab;

use crate::rules::{Anchor, Key, Sight, Sought, anchor};
use crate::schema::{Column, Entity, EntityName, Generation, Record, Value};
use crate::store::{Change, ChangeOp, Scope};

/// Most combinations of columns by which the groups of one entity are found: each costs a hash a change. Beyond, a group stands
/// under the first of its equalities.
const MOST_COMBINATIONS: usize = 64;

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

/// Where a group stands, to be given back with it.
#[derive(Debug)]
pub(super) enum Stand {
    Everything,
    Anywhere,
    /// Hashes of keys, each with the number of its combination.
    Keyed(Box<[(u64, u32)]>),
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
    /// By the hash of a combination and its values.
    keyed: HashMap<u64, Posting, RandomState>,
    combinations: Slab<Combination>,
}

/// What a change is asked for in one go, and how many keys ask for it.
#[derive(Debug)]
struct Combination {
    sought: Vec<Sought>,
    keys: usize,
}

/// The groups under one key: mostly one, which needs no memory of its own.
#[derive(Debug)]
enum Posting {
    One(GroupNumber),
    Many(Box<Numbers>),
}

impl Index {
    /// Where the groups of a sight stand.
    pub(super) fn anchor_of(scope: &Scope, sight: &Sight) -> Anchor {
        match (anchor(sight.predicate()), scope) {
            (Anchor::Keys(keys), _) if keys.is_empty() => Anchor::Keys(keys),
            (_, Scope::Record(_, id)) => {
                let id = Value::Text(id.as_str().to_owned());
                Anchor::Keys(vec![Key::one(Sought::Value(Column::Id), id)])
            }
            (anchor, Scope::Entity(_)) => anchor,
        }
    }

    pub(super) fn insert(&mut self, number: GroupNumber, scope: &Scope, sight: &Sight) -> Stand {
        let generations = self.entities.entry(sight.entity.name.clone()).or_default();
        let at = generations.iter().position(|of| of.generation == sight.generation).unwrap_or_else(|| {
            generations.push(OfEntity::new(sight));
            generations.len() - 1
        });
        let of = &mut generations[at];
        of.groups += 1;
        match Index::anchor_of(scope, sight) {
            Anchor::Everything => {
                of.everything.insert(number);
                Stand::Everything
            }
            Anchor::Anywhere => {
                of.anywhere.insert(number);
                Stand::Anywhere
            }
            Anchor::Keys(keys) => {
                Stand::Keyed(keys.iter().map(|key| of.insert_key(&self.hashes, key, number)).collect())
            }
        }
    }

    /// Takes back what `insert` did.
    pub(super) fn remove(&mut self, number: GroupNumber, sight: &Sight, stand: &Stand) {
        let Some(generations) = self.entities.get_mut(&sight.entity.name) else { return };
        let Some(at) = generations.iter().position(|of| of.generation == sight.generation) else { return };
        let of = &mut generations[at];
        of.groups -= 1;
        match stand {
            Stand::Everything => drop(of.everything.swap_remove(&number)),
            Stand::Anywhere => drop(of.anywhere.swap_remove(&number)),
            Stand::Keyed(keys) => keys.iter().for_each(|key| of.remove_key(*key, number)),
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
            if !of.combinations.is_empty() {
                of.collect_keys(&self.hashes, change, &mut self.keys);
                let keyed = self.keys.iter().filter_map(|key| of.keyed.get(key));
                keyed.for_each(|posting| posting.add_to(found));
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
            combinations: Slab::new(),
        }
    }

    fn insert_key(&mut self, hashes: &RandomState, key: &Key, number: GroupNumber) -> (u64, u32) {
        let mut parts = key.parts();
        let is_of = |of: &Combination, parts: &[(Sought, Value)]| {
            of.sought.iter().eq(parts.iter().map(|(sought, _)| sought))
        };
        let mut known = self.combinations.iter().find(|(_, of)| is_of(of, parts)).map(|(at, _)| at);
        if known.is_none() && parts.len() > 1 && self.combinations.len() >= MOST_COMBINATIONS {
            parts = &parts[..1];
            known = self.combinations.iter().find(|(_, of)| is_of(of, parts)).map(|(at, _)| at);
        }
        let at = known.unwrap_or_else(|| {
            let sought = parts.iter().map(|(sought, _)| *sought).collect();
            self.combinations.insert(Combination { sought, keys: 0 })
        });
        self.combinations[at].keys += 1;
        let hash = hash(hashes, parts.iter().map(|(sought, value)| (*sought, plain(value))));
        self.keyed.entry(hash).and_modify(|posting| posting.insert(number)).or_insert(Posting::One(number));
        (hash, at as u32)
    }

    /// Two keys of one group may have one hash; each counts for its combination.
    fn remove_key(&mut self, (hash, combination): (u64, u32), number: GroupNumber) {
        if self.keyed.get_mut(&hash).is_some_and(|posting| posting.remove(number)) {
            self.keyed.remove(&hash);
        }
        let at = combination as usize;
        self.combinations[at].keys -= 1;
        if self.combinations[at].keys == 0 {
            self.combinations.remove(at);
        }
    }

    /// The keys of both images of the change, each once.
    fn collect_keys(&self, hashes: &RandomState, change: &Change, keys: &mut Vec<u64>) {
        keys.clear();
        let is_id = |of: &Combination| of.sought == [Sought::Value(Column::Id)];
        if self.combinations.iter().all(|(_, of)| is_id(of)) {
            // The images need not be decoded.
            keys.push(hash(hashes, [(Sought::Value(Column::Id), Plain::Text(change.id.as_str()))]));
            return;
        }
        let rows = change.rows(&self.entity);
        for record in rows.old.iter().chain(&rows.new) {
            self.combinations.iter().for_each(|(_, of)| of.keys_of(hashes, record, keys));
        }
        keys.sort_unstable();
        keys.dedup();
    }
}

impl Combination {
    /// The key of a record: one, or one for each element of the list that is asked for.
    fn keys_of(&self, hashes: &RandomState, record: &Record, keys: &mut Vec<u64>) {
        let listed = self.sought.iter().find_map(|sought| match sought {
            Sought::Element(Column::Field(at)) => Some(record.values.get(at.0)),
            Sought::Element(_) | Sought::Value(_) => None,
        });
        let mut add = |element: &Json| {
            let parts = self.sought.iter().map(|sought| match sought {
                Sought::Value(column) => (*sought, plain_column(record, *column)),
                Sought::Element(_) => (*sought, plain_element(element)),
            });
            keys.push(hash(hashes, parts));
        };
        match listed {
            None => add(&Json::Null),
            Some(Some(Value::Json(json))) => {
                if let Ok(Json::Array(elements)) = serde_json::from_str::<Json>(json) {
                    elements.iter().for_each(add);
                }
            }
            Some(_) => {}
        }
    }
}

impl Posting {
    fn insert(&mut self, number: GroupNumber) {
        match self {
            Posting::One(known) if *known == number => {}
            Posting::One(known) => *self = Posting::Many(Box::new(Numbers::from_iter([*known, number]))),
            Posting::Many(numbers) => drop(numbers.insert(number)),
        }
    }

    /// True when nothing is left.
    fn remove(&mut self, number: GroupNumber) -> bool {
        match self {
            Posting::One(known) => *known == number,
            Posting::Many(numbers) => {
                numbers.swap_remove(&number);
                numbers.is_empty()
            }
        }
    }

    fn add_to(&self, found: &mut Vec<GroupNumber>) {
        match self {
            Posting::One(number) => found.push(*number),
            Posting::Many(numbers) => found.extend(&**numbers),
        }
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

fn plain_column(record: &Record, column: Column) -> Plain<'_> {
    match column {
        Column::Id => Plain::Text(record.id.as_str()),
        Column::Field(at) => record.values.get(at.0).map_or(Plain::Null, plain),
        Column::Version => number_of(record.version as f64),
        Column::CreatedAt => number_of(record.created_at.0 as f64),
        Column::UpdatedAt => number_of(record.updated_at.0 as f64),
    }
}

/// Nothing is asked for null, and lists and objects equal nothing.
fn plain_element(element: &Json) -> Plain<'_> {
    match element {
        Json::String(text) => Plain::Text(text),
        Json::Bool(flag) => Plain::Bool(*flag),
        Json::Number(number) => number.as_f64().map_or(Plain::Other, number_of),
        Json::Null | Json::Array(_) | Json::Object(_) => Plain::Other,
    }
}

fn hash<'a>(hashes: &RandomState, parts: impl IntoIterator<Item = (Sought, Plain<'a>)>) -> u64 {
    let mut hasher = hashes.build_hasher();
    for part in parts {
        part.hash(&mut hasher);
    }
    hasher.finish()
}
