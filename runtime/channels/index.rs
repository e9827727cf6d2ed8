//! The index: from a change to the groups that it may concern, without looking at the others. A group stands under the
//! anchor of its predicate. Where the anchor is all that the predicate asks, what is found here is what the group sees; otherwise
//! it is a candidate, which `event::judge` decides.
//!
//! Knows groups by their numbers only.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use indexmap::IndexSet;
use serde_json::Value as Json;
use slab::Slab;

use super::plain::{Plain, hash, plain, plain_column, plain_element};
use crate::rules::{Anchor, Key, Keys, Sight, Sought, anchor};
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
}

/// Where a group stands, to be given back with it.
#[derive(Debug)]
pub(super) enum Stand {
    Everything,
    Anywhere,
    /// Hashes of keys, each with the number of its combination; and whether a record that holds one of them is seen.
    Keyed {
        keys: Box<[(u64, u32)]>,
        exact: bool,
    },
}

/// Which records of a change hold a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sides {
    pub(super) old: bool,
    pub(super) new: bool,
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
    keyed: HashTable<Posting>,
    combinations: Slab<Combination>,
}

/// What a change is asked for in one go, and how many keys ask for it.
#[derive(Debug)]
struct Combination {
    sought: Vec<Sought>,
    keys: usize,
}

/// The groups under one key.
#[derive(Debug)]
struct Posting {
    hash: u64,
    combination: u32,
    /// One for each column of the combination.
    values: Box<[Value]>,
    groups: Posted,
}

/// Mostly one, which needs no memory of its own.
#[derive(Debug)]
enum Posted {
    One(GroupNumber),
    Many(Box<Numbers>),
}

impl Index {
    /// Where the groups of a sight stand.
    pub(super) fn anchor_of(scope: &Scope, sight: &Sight) -> Anchor {
        match (anchor(sight.predicate()), scope) {
            (Anchor::Keys(Keys { keys, exact }), _) if keys.is_empty() => Anchor::Keys(Keys { keys, exact }),
            (anchor, Scope::Record(_, id)) => {
                let id = Value::Text(id.as_str().to_owned());
                let keys = vec![Key::one(Sought::Value(Column::Id), id)];
                Anchor::Keys(Keys { keys, exact: anchor == Anchor::Everything })
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
            Anchor::Keys(Keys { keys, exact }) => {
                let stands = keys.iter().map(|key| of.insert_key(&self.hashes, key, number));
                let (keys, whole): (Vec<(u64, u32)>, Vec<bool>) = stands.unzip();
                Stand::Keyed { keys: keys.into(), exact: exact && whole.iter().all(|whole| *whole) }
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
            Stand::Keyed { keys, .. } => keys.iter().for_each(|key| of.remove_key(*key, number)),
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
    fn new(sight: &Sight) -> OfEntity {
        OfEntity {
            generation: sight.generation,
            entity: sight.entity.clone(),
            groups: 0,
            everything: Numbers::default(),
            anywhere: Numbers::default(),
            keyed: HashTable::new(),
            combinations: Slab::new(),
        }
    }

    /// Where the key stands, and whether that is all of it.
    fn insert_key(&mut self, hashes: &RandomState, key: &Key, number: GroupNumber) -> ((u64, u32), bool) {
        let mut parts = key.parts();
        let mut known = self.combination_of(parts);
        if known.is_none() && parts.len() > 1 && self.combinations.len() >= MOST_COMBINATIONS {
            parts = &parts[..1];
            known = self.combination_of(parts);
        }
        let at = known.unwrap_or_else(|| {
            let sought = parts.iter().map(|(sought, _)| *sought).collect();
            self.combinations.insert(Combination { sought, keys: 0 })
        });
        self.combinations[at].keys += 1;
        let combination = at as u32;
        let plain = || parts.iter().map(|(_, value)| plain(value));
        let hash = hash(hashes, combination, plain());
        match self.keyed.find_mut(hash, |posting| posting.holds(combination, plain())) {
            Some(posting) => posting.groups.insert(number),
            None => {
                let values = parts.iter().map(|(_, value)| value.clone()).collect();
                let posting = Posting { hash, combination, values, groups: Posted::One(number) };
                self.keyed.insert_unique(hash, posting, |posting| posting.hash);
            }
        }
        ((hash, combination), parts.len() == key.parts().len())
    }

    fn combination_of(&self, parts: &[(Sought, Value)]) -> Option<usize> {
        let is_it = |of: &Combination| of.sought.iter().eq(parts.iter().map(|(sought, _)| sought));
        self.combinations.iter().find(|(_, of)| is_it(of)).map(|(at, _)| at)
    }

    /// A table asks about entries of other hashes too. Where the group stands under two keys of one hash, either call takes one of
    /// them; where a key was named twice, the second call finds nothing.
    fn remove_key(&mut self, (hash, combination): (u64, u32), number: GroupNumber) {
        let is_it = |posting: &Posting| {
            posting.hash == hash && posting.combination == combination && posting.groups.contains(number)
        };
        if let Ok(mut found) = self.keyed.find_entry(hash, is_it)
            && found.get_mut().groups.remove(number)
        {
            found.remove();
        }
        let at = combination as usize;
        self.combinations[at].keys -= 1;
        if self.combinations[at].keys == 0 {
            self.combinations.remove(at);
        }
    }

    fn look_up(&self, hashes: &RandomState, change: &Change, found: &mut Vec<(GroupNumber, Sides)>) {
        for (at, of) in &self.combinations {
            let combination = at as u32;
            if of.sought == [Sought::Value(Column::Id)] {
                // The images need not be decoded.
                let sides = Sides { old: change.op != ChangeOp::Create, new: change.op != ChangeOp::Delete };
                let id = || [Plain::Text(change.id.as_str())].into_iter();
                self.add_to(found, sides, (hash(hashes, combination, id()), combination), id);
                continue;
            }
            let rows = change.rows(&self.entity);
            let sides =
                [(&rows.old, Sides { old: true, new: false }), (&rows.new, Sides { old: false, new: true })];
            for (record, sides) in sides {
                let Some(record) = record else { continue };
                of.each_key(record, |element| {
                    let parts = || of.values(record, element);
                    self.add_to(found, sides, (hash(hashes, combination, parts()), combination), parts);
                });
            }
        }
    }

    fn add_to<'a, I: Iterator<Item = Plain<'a>>>(
        &self,
        found: &mut Vec<(GroupNumber, Sides)>,
        sides: Sides,
        (hash, combination): (u64, u32),
        parts: impl Fn() -> I,
    ) {
        match self
            .keyed
            .find(hash, |posting| posting.holds(combination, parts()))
            .map(|posting| &posting.groups)
        {
            None => {}
            Some(Posted::One(number)) => found.push((*number, sides)),
            Some(Posted::Many(numbers)) => found.extend(numbers.iter().map(|number| (*number, sides))),
        }
    }
}

impl Combination {
    /// Once for the record, or once for each element of the list that is asked for.
    fn each_key(&self, record: &Record, mut look: impl FnMut(&Json)) {
        let listed = self.sought.iter().find_map(|sought| match sought {
            Sought::Element(Column::Field(at)) => Some(record.values.get(at.0)),
            Sought::Element(_) | Sought::Value(_) => None,
        });
        match listed {
            None => look(&Json::Null),
            Some(Some(Value::Json(json))) => {
                if let Ok(Json::Array(elements)) = serde_json::from_str::<Json>(json) {
                    elements.iter().for_each(look);
                }
            }
            Some(_) => {}
        }
    }

    /// What the record has where the combination asks, with one element of its list.
    fn values<'a>(&self, record: &'a Record, element: &'a Json) -> impl Iterator<Item = Plain<'a>> {
        self.sought.iter().map(move |sought| match sought {
            Sought::Value(column) => plain_column(record, *column),
            Sought::Element(_) => plain_element(element),
        })
    }
}

impl Posting {
    fn holds<'a>(&self, combination: u32, parts: impl Iterator<Item = Plain<'a>>) -> bool {
        self.combination == combination && self.values.iter().map(plain).eq(parts)
    }
}

impl Posted {
    fn contains(&self, number: GroupNumber) -> bool {
        match self {
            Posted::One(known) => *known == number,
            Posted::Many(numbers) => numbers.contains(&number),
        }
    }

    fn insert(&mut self, number: GroupNumber) {
        match self {
            Posted::One(known) if *known == number => {}
            Posted::One(known) => *self = Posted::Many(Box::new(Numbers::from_iter([*known, number]))),
            Posted::Many(numbers) => drop(numbers.insert(number)),
        }
    }

    /// True when nothing is left.
    fn remove(&mut self, number: GroupNumber) -> bool {
        match self {
            Posted::One(known) => *known == number,
            Posted::Many(numbers) => {
                numbers.swap_remove(&number);
                numbers.is_empty()
            }
        }
    }
}
