//! What a write rule reads beside the record and the person: records behind references, records of an `exists`, the time
//! (SEMANTICS X1).
//!
//! Asks no database: what a judgement lacks is noted here; the caller reads it and judges again (`judge.rs`).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

use crate::ids::Timestamp;
use crate::schema::{Column, EntityName, Record};

/// Rows that one judgement steps over at most.
pub const MOST_STEPS: usize = 1_000;

/// Records by column and value; `None` where there are more than `MOST_STEPS`.
type RecordsFound = BTreeMap<(Column, String), Option<Vec<Record>>>;

/// Facts of one moment of a transaction.
#[derive(Debug)]
pub struct KnownFacts {
    pub now: Timestamp,
    records: HashMap<EntityName, HashMap<String, Option<Record>>>,
    /// By entity.
    searched: HashMap<EntityName, RecordsFound>,
    /// How many records are kept.
    kept: usize,
}

/// What a judgement lacks.
#[derive(Debug, Clone, PartialEq)]
pub enum MissingFact {
    Record {
        entity: EntityName,
        id: String,
    },
    /// All records of the entity that have the value.
    Having {
        entity: EntityName,
        column: Column,
        value: String,
    },
}

impl KnownFacts {
    pub fn at(now: Timestamp) -> KnownFacts {
        KnownFacts { now, records: HashMap::new(), searched: HashMap::new(), kept: 0 }
    }

    pub fn learn_record(&mut self, entity: &EntityName, id: &str, record: Option<Record>) {
        self.kept += 1;
        self.records.entry(entity.clone()).or_default().insert(id.to_owned(), record);
    }

    /// `None`: more than `MOST_STEPS` have the value.
    pub fn learn_search(
        &mut self,
        entity: &EntityName,
        column: Column,
        value: &str,
        found: Option<Vec<Record>>,
    ) {
        self.kept += 1 + found.as_ref().map_or(0, Vec::len);
        self.searched.entry(entity.clone()).or_default().insert((column, value.to_owned()), found);
    }

    /// `None` as long as it is not known whether there is one.
    pub fn record(&self, entity: &EntityName, id: &str) -> Option<Option<&Record>> {
        self.records.get(entity).and_then(|records| records.get(id)).map(Option::as_ref)
    }

    /// A record of the entity was written.
    pub fn forget(&mut self, entity: &str) {
        self.records.remove(entity);
        self.searched.remove(entity);
    }

    /// Drops everything once more than so many records are kept.
    pub fn keep_at_most(&mut self, records: usize) {
        if self.kept > records {
            self.records.clear();
            self.searched.clear();
            self.kept = 0;
        }
    }
}

/// The facts during one judgement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Further<'a> {
    pub(super) known: &'a KnownFacts,
    lacks: &'a Lacks,
}

#[derive(Debug, Default)]
pub(super) struct Lacks {
    facts: RefCell<Vec<MissingFact>>,
    steps: Cell<usize>,
    too_many: Cell<bool>,
}

/// The records that have the values of all keys are among them.
pub(super) enum SearchedRecords<'a> {
    These(&'a [Record]),
    /// Not known, or too many.
    Unknown,
}

impl<'a> Further<'a> {
    pub(super) fn new(known: &'a KnownFacts, lacks: &'a Lacks) -> Further<'a> {
        Further { known, lacks }
    }

    /// The same, which notes in other `lacks` what is lacking.
    pub(super) fn noting<'b>(self, lacks: &'b Lacks) -> Further<'b>
    where
        'a: 'b,
    {
        Further { known: self.known, lacks }
    }

    /// `None` as long as it is not known whether there is one.
    pub(super) fn record(self, entity: &EntityName, id: &str) -> Option<Option<&'a Record>> {
        if !self.step(1) {
            return None;
        }
        let known = self.known.record(entity, id);
        if known.is_none() {
            self.lack(MissingFact::Record { entity: entity.clone(), id: id.to_owned() });
        }
        known
    }

    /// By the first key that leads to few.
    pub(super) fn searched(self, entity: &EntityName, keys: &[(Column, String)]) -> SearchedRecords<'a> {
        for (column, value) in keys {
            let of_entity = self.known.searched.get(entity);
            match of_entity.and_then(|searched| searched.get(&(*column, value.clone()))) {
                Some(Some(records)) => {
                    return match self.step(records.len()) {
                        true => SearchedRecords::These(records),
                        false => SearchedRecords::Unknown,
                    };
                }
                Some(None) => {}
                None => {
                    let value = value.clone();
                    self.lack(MissingFact::Having { entity: entity.clone(), column: *column, value });
                    return SearchedRecords::Unknown;
                }
            }
        }
        self.lacks.too_many.set(true);
        SearchedRecords::Unknown
    }

    fn step(self, rows: usize) -> bool {
        let steps = self.lacks.steps.get() + rows;
        self.lacks.steps.set(steps);
        if steps > MOST_STEPS {
            self.lacks.too_many.set(true);
        }
        steps <= MOST_STEPS
    }

    fn lack(self, fact: MissingFact) {
        let mut facts = self.lacks.facts.borrow_mut();
        if !facts.contains(&fact) {
            facts.push(fact);
        }
    }
}

impl Lacks {
    pub(super) fn is_empty(&self) -> bool {
        self.facts.borrow().is_empty()
    }

    /// What was asked for and is not known; `None` where too many rows would be stepped over.
    pub(super) fn facts(self) -> Option<Vec<MissingFact>> {
        if self.too_many.get() { None } else { Some(self.facts.into_inner()) }
    }

    pub(super) fn steps(&self) -> usize {
        self.steps.get()
    }
}
