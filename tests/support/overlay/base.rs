//! What is committed: maps and a vector.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewire::config::StoreConfig;
use tidewire::ids::{MutationId, RecordId, Seq, Timestamp};
use tidewire::schema::{EntityName, Record};
use tidewire::store::unit::{Answered, Counter};
use tidewire::store::{Change, Lease};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) entity: EntityName,
    pub(super) id: RecordId,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mutation {
    pub(super) owner: Arc<str>,
    pub(super) mid: Arc<str>,
}

impl Mutation {
    pub(super) fn of(owner: &Arc<str>, mid: &MutationId) -> Mutation {
        Mutation { owner: owner.clone(), mid: mid.as_str().into() }
    }
}

/// Of a person, through an entity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RightsOf {
    pub(super) person: Arc<str>,
    pub(super) entity: EntityName,
}

/// Of an entity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CounterOf {
    pub(super) entity: EntityName,
    pub(super) counter: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Base {
    pub(super) records: BTreeMap<Key, Record>,
    /// The version at which a record was deleted.
    pub(super) deleted: BTreeMap<Key, u64>,
    pub(super) numbers: BTreeMap<CounterOf, i64>,
    pub(super) leases: BTreeMap<Key, Lease>,
    pub(super) fence: u64,
    pub(super) log: Vec<Arc<Change>>,
    pub(super) rights: BTreeMap<RightsOf, Seq>,
    pub(super) answers: BTreeMap<Mutation, Answered>,
    /// Of the answers, oldest first.
    pub(super) answered: Vec<Given>,
}

/// When an answer was given.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) mutation: Mutation,
    at: Timestamp,
}

/// What the units of a group wrote and the base does not have yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Overlay {
    /// `None`: deleted.
    pub(super) records: BTreeMap<Key, Option<Record>>,
    pub(super) deleted: BTreeMap<Key, u64>,
    pub(super) numbers: BTreeMap<CounterOf, i64>,
    /// `None`: ended.
    pub(super) leases: BTreeMap<Key, Option<Lease>>,
    /// Numbers of leases that were given.
    pub(super) fences: u64,
    pub(super) log: Vec<Change>,
    pub(super) rights: BTreeMap<RightsOf, Seq>,
    /// In the order in which they were given.
    pub(super) answers: Vec<(Mutation, Answered)>,
}

impl Base {
    pub(super) fn head(&self) -> Seq {
        self.log.last().map_or(Seq::ZERO, |change| change.seq)
    }

    /// Takes over what a group wrote at a time. Of each owner the newest answers stay, and of those that are not too old.
    pub(super) fn flush(&mut self, overlay: Overlay, config: &StoreConfig, at: Timestamp) {
        for (key, record) in overlay.records {
            match record {
                Some(record) => self.records.insert(key, record),
                None => self.records.remove(&key),
            };
        }
        self.deleted.extend(overlay.deleted);
        self.numbers.extend(overlay.numbers);
        for (key, lease) in overlay.leases {
            match lease {
                Some(lease) => self.leases.insert(key, lease),
                None => self.leases.remove(&key),
            };
        }
        self.fence += overlay.fences;
        self.log.extend(overlay.log.into_iter().map(Arc::new));
        self.rights.extend(overlay.rights);
        for (mutation, answer) in overlay.answers {
            self.answered.retain(|known| known.mutation != mutation);
            self.answered.push(Given { mutation: mutation.clone(), at });
            self.answers.insert(mutation.clone(), answer);
            let own = |known: &Given| known.mutation.owner == mutation.owner;
            if self.answered.iter().filter(|known| own(known)).count() > config.idempotency_per_user as usize
            {
                let oldest = self.answered.iter().position(own).unwrap();
                let oldest = self.answered.remove(oldest);
                self.answers.remove(&oldest.mutation);
            }
        }
        let oldest = Timestamp(at.0 - config.idempotency_age.as_millis() as i64);
        self.answered.retain(|known| known.at >= oldest);
        let answered = &self.answered;
        self.answers.retain(|mutation, _| answered.iter().any(|known| known.mutation == *mutation));
    }
}
