//! The index: from a change to the groups that it may concern, without looking at the others. A group is stored under the
//! anchor of its predicate. Where the anchor is all that the predicate asks, what is found here is what the group sees; otherwise
//! it is a candidate, which `event::judge` decides.
//!
//! Knows groups by their numbers only.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use indexmap::IndexSet;
use serde_json::Value as Json;
use slab::Slab;

use super::event::existed;
use super::few::Few;
use super::key::{KeyBytes, push_column, push_element, push_text, push_value};
use crate::rules::{Anchor, Equality, Key, Keys, ReadScope, Sides, Sought, anchor};
use crate::schema::{Column, Entity, EntityName, Generation, Record, Value};
use crate::store::{Change, ChangeOp, Rows, Scope};

/// Most combinations of columns by which the groups of one entity are found: each costs a hash a change. Beyond, a group stands
/// under the first of its equalities.
const MOST_COMBINATIONS: usize = 64;

/// Number of a group among all groups.
pub(super) type GroupNumber = usize;

type Numbers = IndexSet<GroupNumber, RandomState>;

/// Number of a combination among those of its entity: `MOST_COMBINATIONS`, and one for each column.
type CombinationNumber = u16;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Index {
    entities: HashMap<EntityName, Vec<OfEntity>, RandomState>,
    hashes: RandomState,
}

/// Where a group is stored, to be returned with it.
#[derive(Debug)]
pub(super) enum Stand {
    Everything,
    Anywhere,
    /// Under keys; and whether a record that holds one of them is seen.
    Keyed {
        keys: Box<[HashedKey]>,
        exact: bool,
    },
}

/// The groups of one entity under one schema generation: read scopes of another one judge none of its changes.
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
    keyed: HashTable<Posting>,
    combinations: Slab<Combination>,
}

/// What a change is asked for in one go, and how many keys ask for it.
#[derive(Debug)]
struct Combination {
    sought: Vec<Sought>,
    keys: usize,
}

/// Where one key stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct HashedKey {
    hash: u64,
    combination: CombinationNumber,
}

/// Where one key is stored, and whether that is all of it.
struct KeyStand {
    key: HashedKey,
    is_whole: bool,
}

/// The groups under one key: mostly one.
#[derive(Debug)]
struct Posting {
    hash: u64,
    key: KeyBytes,
    groups: Few<GroupNumber, ()>,
}

impl Index {
    /// Where the groups of a read scope stand.
    pub(super) fn anchor_of(scope: &Scope, read_scope: &ReadScope) -> Anchor {
        match (anchor(read_scope.predicate()), scope) {
            (Anchor::Keys(Keys { keys, exact }), _) if keys.is_empty() => Anchor::Keys(Keys { keys, exact }),
            (anchor, Scope::Record(_, id)) => {
                let id = Value::Text(id.as_str().to_owned());
                let keys = vec![Key::one(Sought::Value(Column::Id), id)];
                Anchor::Keys(Keys { keys, exact: anchor == Anchor::Everything })
            }
            (anchor, Scope::Entity(_)) => anchor,
        }
    }

    pub(super) fn insert(&mut self, number: GroupNumber, scope: &Scope, read_scope: &ReadScope) -> Stand {
        let generations = self.entities.entry(read_scope.entity.name.clone()).or_default();
        let at =
            generations.iter().position(|of| of.generation == read_scope.generation).unwrap_or_else(|| {
                generations.push(OfEntity::new(read_scope));
                generations.len() - 1
            });
        let of = &mut generations[at];
        of.groups += 1;
        match Index::anchor_of(scope, read_scope) {
            Anchor::Everything => {
                of.everything.insert(number);
                Stand::Everything
            }
            Anchor::Anywhere => {
                of.anywhere.insert(number);
                Stand::Anywhere
            }
            Anchor::Keys(Keys { keys, exact }) => {
                let stands: Vec<_> =
                    keys.iter().map(|key| of.insert_key(&self.hashes, key, number)).collect();
                let exact = exact && stands.iter().all(|stand| stand.is_whole);
                let keys = stands.into_iter().map(|stand| stand.key).collect();
                Stand::Keyed { keys, exact }
            }
        }
    }

    /// Takes back what `insert` did.
    pub(super) fn remove(&mut self, number: GroupNumber, read_scope: &ReadScope, stand: &Stand) {
        let Some(generations) = self.entities.get_mut(&read_scope.entity.name) else { return };
        let Some(at) = generations.iter().position(|of| of.generation == read_scope.generation) else {
            return;
        };
        let of = &mut generations[at];
        of.groups -= 1;
        match stand {
            Stand::Everything => drop(of.everything.swap_remove(&number)),
            Stand::Anywhere => drop(of.anywhere.swap_remove(&number)),
            Stand::Keyed { keys, .. } => keys.iter().for_each(|key| of.remove_key(*key, number)),
        }
        if of.groups == 0 {
            generations.swap_remove(at);
        }
        if generations.is_empty() {
            self.entities.remove(&read_scope.entity.name);
        }
    }

    /// The groups of an entity that every change must be compared with.
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

    /// Replaces `found` by the groups that the change may concern, each with the records that hold its key; a group may be named
    /// more than once.
    pub(super) fn look_up(&self, change: &Change, found: &mut Vec<(GroupNumber, Sides)>) {
        found.clear();
        if change.op == ChangeOp::Schema {
            return;
        }
        let generations = self.entities.get(&change.entity).into_iter().flatten();
        for of in generations.filter(|of| of.generation == change.generation) {
            let unkeyed = of.everything.iter().chain(&of.anywhere);
            found.extend(unkeyed.map(|number| (*number, Sides::default())));
            of.look_up(&self.hashes, change, found);
        }
    }
}

impl OfEntity {
    fn new(read_scope: &ReadScope) -> OfEntity {
        OfEntity {
            generation: read_scope.generation,
            entity: read_scope.entity.clone(),
            groups: 0,
            everything: Numbers::default(),
            anywhere: Numbers::default(),
            keyed: HashTable::new(),
            combinations: Slab::new(),
        }
    }

    fn insert_key(&mut self, hashes: &RandomState, key: &Key, number: GroupNumber) -> KeyStand {
        let mut parts = key.parts();
        let mut known = self.combination_of(parts);
        if known.is_none() && parts.len() > 1 && self.combinations.len() >= MOST_COMBINATIONS {
            parts = &parts[..1];
            known = self.combination_of(parts);
        }
        let at = known.unwrap_or_else(|| {
            let sought = parts.iter().map(|part| part.sought).collect();
            self.combinations.insert(Combination { sought, keys: 0 })
        });
        self.combinations[at].keys += 1;
        let combination = number_of(at);
        let mut bytes = KeyBytes::from_slice(&combination.to_le_bytes());
        let pushed = parts.iter().try_for_each(|part| push_value(&mut bytes, &part.value));
        let hash = hashes.hash_one(&bytes);
        if pushed.is_ok() {
            let table = &mut self.keyed;
            let same = |posting: &Posting| posting.hash == hash && posting.key == bytes;
            match table.find_mut(hash, same) {
                Some(posting) => posting.groups.insert(number, ()),
                None => {
                    let posting = Posting { hash, key: bytes, groups: Few::One(number, ()) };
                    table.insert_unique(hash, posting, |posting| posting.hash);
                }
            }
        }
        KeyStand { key: HashedKey { hash, combination }, is_whole: parts.len() == key.parts().len() }
    }

    fn combination_of(&self, parts: &[Equality]) -> Option<usize> {
        let is_it = |of: &Combination| of.sought.iter().eq(parts.iter().map(|part| &part.sought));
        self.combinations.iter().find(|(_, of)| is_it(of)).map(|(at, _)| at)
    }

    /// A table asks about entries of other hashes too. Where the group stands under two keys of one hash, either call takes one of
    /// them; where a key was named twice, the second call finds nothing.
    fn remove_key(&mut self, key: HashedKey, number: GroupNumber) {
        let HashedKey { hash, combination } = key;
        let is_it = |posting: &Posting| {
            posting.hash == hash && posting.is_of(combination) && posting.groups.contains(&number)
        };
        if let Ok(mut found) = self.keyed.find_entry(hash, is_it) {
            found.get_mut().groups.remove(&number);
            if found.get().groups.is_empty() {
                found.remove();
            }
        }
        let at = usize::from(combination);
        self.combinations[at].keys -= 1;
        if self.combinations[at].keys == 0 {
            self.combinations.remove(at);
        }
    }

    fn look_up(&self, hashes: &RandomState, change: &Change, found: &mut Vec<(GroupNumber, Sides)>) {
        let mut add = |key: &KeyBytes, sides: Sides| {
            let hash = hashes.hash_one(key);
            let posting = self.keyed.find(hash, |posting| posting.hash == hash && posting.key == *key);
            let groups = posting.into_iter().flat_map(|posting| posting.groups.iter());
            found.extend(groups.map(|(number, ())| (*number, sides)));
        };
        let mut key = KeyBytes::new();
        for (at, of) in &self.combinations {
            key.clear();
            key.extend_from_slice(&number_of(at).to_le_bytes());
            if of.sought == [Sought::Value(Column::Id)] {
                // The images need not be decoded.
                let Sides { old, new } = existed(change);
                push_text(&mut key, change.id.as_str());
                add(&key, Sides { old, new });
                continue;
            }
            match change.rows(&self.entity) {
                Rows { old: Some(old), new: Some(new) } if of.is_untouched(old, new) => {
                    of.each_key(&mut key, new, |key| add(key, Sides { old: true, new: true }));
                }
                Rows { old, new } => {
                    for (record, sides) in
                        [(old, Sides { old: true, new: false }), (new, Sides { old: false, new: true })]
                    {
                        let Some(record) = record else { continue };
                        of.each_key(&mut key, record, |key| add(key, sides));
                    }
                }
            }
        }
    }
}

fn number_of(combination: usize) -> CombinationNumber {
    CombinationNumber::try_from(combination).expect("an entity has a few hundred columns")
}

impl Posting {
    fn is_of(&self, combination: CombinationNumber) -> bool {
        self.key.starts_with(&combination.to_le_bytes())
    }
}

impl Combination {
    /// Whether the record holds the same keys as before.
    fn is_untouched(&self, old: &Record, new: &Record) -> bool {
        self.sought.iter().all(|sought| match sought {
            Sought::Value(Column::Field(at)) | Sought::Element(Column::Field(at)) => {
                old.values.get(at.0) == new.values.get(at.0)
            }
            Sought::Value(column) | Sought::Element(column) => *column == Column::Id,
        })
    }

    /// The keys that a record holds: one, or one for each element of the list that is asked for. `key` begins with the combination,
    /// and is left so.
    fn each_key(&self, key: &mut KeyBytes, record: &Record, mut look: impl FnMut(&KeyBytes)) {
        let begin = key.len();
        let mut of_element = |element: &Json| {
            let pushed = self.sought.iter().try_for_each(|sought| match sought {
                Sought::Value(column) => push_column(key, record, *column),
                Sought::Element(_) => push_element(key, element),
            });
            if pushed.is_ok() {
                look(key);
            }
            key.truncate(begin);
        };
        let listed = self.sought.iter().find_map(|sought| match sought {
            Sought::Element(Column::Field(at)) => Some(record.values.get(at.0)),
            Sought::Element(_) | Sought::Value(_) => None,
        });
        match listed {
            None => of_element(&Json::Null),
            Some(Some(Value::Json(json))) => {
                if let Ok(Json::Array(elements)) = serde_json::from_str::<Json>(json) {
                    elements.iter().for_each(of_element);
                }
            }
            Some(_) => {}
        }
    }
}
