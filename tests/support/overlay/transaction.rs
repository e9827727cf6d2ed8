//! `trait Transaction` whose writes are held until the group commits, as a backend on another machine holds them. No answer is
//! ready at once.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use tidewire::ids::{RecordId, Seq};
use tidewire::schema::text_form::fold_case;
use tidewire::schema::{FieldIndex, KeyFields, Record, Value};
use tidewire::store::relations::Relation;
use tidewire::store::source::Source;
use tidewire::store::unit::{Answered, AnsweredOp, Counter, Inserted, Prefetch, Transaction};
use tidewire::store::{Change, Idempotency, Lease};

use super::base::{Base, CounterOf, Key, Mutation, Overlay, RightsOf};

pub(super) struct OverlayTransaction<'a> {
    pub(super) base: &'a Base,
    pub(super) overlay: Overlay,
    /// What `prefetch` read of the base.
    fetched: BTreeMap<Key, Option<Record>>,
    persons: BTreeSet<String>,
    answers_of_one: usize,
    /// Times that the base was asked for records by their ids after `prefetch`.
    pub(super) asked: std::sync::atomic::AtomicUsize,
}

impl<'a> OverlayTransaction<'a> {
    pub(super) fn new(base: &'a Base, answers_of_one: usize) -> OverlayTransaction<'a> {
        OverlayTransaction {
            base,
            overlay: Overlay::default(),
            fetched: BTreeMap::new(),
            persons: BTreeSet::new(),
            answers_of_one,
            asked: Default::default(),
        }
    }

    fn found(&self, of: &Relation, id: &str) -> Option<Record> {
        let key = key(of, id);
        if let Some(written) = self.overlay.records.get(&key) {
            return written.clone();
        }
        if let Some(fetched) = self.fetched.get(&key) {
            return fetched.clone();
        }
        self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.base.records.get(&key).cloned()
    }

    /// All records of an entity as the transaction has them, by id.
    fn all(&self, of: &Relation) -> Vec<&Record> {
        let committed = self.base.records.iter().filter(|(key, _)| !self.overlay.records.contains_key(key));
        let written = self.overlay.records.iter().filter_map(|(key, record)| Some((key, record.as_ref()?)));
        let mut all: Vec<&Record> = committed
            .chain(written)
            .filter(|(key, _)| key.entity == of.entity.name)
            .map(|(_, record)| record)
            .collect();
        all.sort_by(|left, right| left.id.cmp(&right.id));
        all
    }

    fn ids(&self, of: &Relation, most: usize, wanted: impl Fn(&Record) -> bool) -> Vec<RecordId> {
        let found = self.all(of).into_iter().filter(|record| wanted(record));
        found.take(most).map(|record| record.id.clone()).collect()
    }
}

fn key(of: &Relation, id: &str) -> Key {
    Key { entity: of.entity.name.clone(), id: RecordId::stored(id) }
}

/// As if another machine answered.
async fn later<T>(answer: T) -> Result<T, Infallible> {
    tokio::task::yield_now().await;
    Ok(answer)
}

impl Source for OverlayTransaction<'_> {
    type Error = Infallible;

    async fn record(&self, of: &Relation, id: &str) -> Result<Option<Record>, Infallible> {
        later(self.found(of, id)).await
    }

    async fn records(&self, of: &Relation, ids: &[&str]) -> Result<Vec<Option<Record>>, Infallible> {
        later(ids.iter().map(|id| self.found(of, id)).collect()).await
    }

    async fn exists(&self, of: &Relation, id: &str) -> Result<bool, Infallible> {
        later(self.found(of, id).is_some()).await
    }

    async fn values(
        &self,
        of: &Relation,
        fields: &[FieldIndex],
        ids: &[&str],
    ) -> Result<Vec<Option<Vec<Value>>>, Infallible> {
        let values = |record: Record| fields.iter().map(|field| record.values[field.0].clone()).collect();
        later(ids.iter().map(|id| self.found(of, id).map(values)).collect()).await
    }

    async fn ids_referring(
        &self,
        of: &Relation,
        field: FieldIndex,
        to: &[&str],
        most: usize,
    ) -> Result<Vec<Vec<RecordId>>, Infallible> {
        let refers =
            |record: &Record, id: &str| matches!(&record.values[field.0], Value::Text(to) if to == id);
        later(to.iter().map(|id| self.ids(of, most, |record| refers(record, id))).collect()).await
    }

    async fn ids_holding(
        &self,
        of: &Relation,
        key: &KeyFields,
        values: &[Vec<&Value>],
        most: usize,
    ) -> Result<Vec<Vec<RecordId>>, Infallible> {
        let holds = |record: &Record, values: &[&Value]| {
            key.fields.iter().zip(values).all(|(field, value)| match (&record.values[field.0], *value) {
                (Value::Text(held), Value::Text(asked)) if key.folds(&of.entity, *field) => {
                    fold_case(held) == fold_case(asked)
                }
                (held, asked) => held == asked,
            })
        };
        later(values.iter().map(|values| self.ids(of, most, |record| holds(record, values))).collect()).await
    }

    async fn records_of_person(
        &self,
        of: &Relation,
        person: &str,
        most: usize,
    ) -> Result<Vec<Record>, Infallible> {
        let Some(field) = of.entity.identity else { return later(Vec::new()).await };
        assert!(self.persons.contains(person), "`prefetch` was not told of {person}");
        let own = |record: &&Record| matches!(&record.values[field.0], Value::Text(whose) if whose == person);
        later(self.all(of).into_iter().filter(own).take(most).cloned().collect()).await
    }
}

impl Transaction for OverlayTransaction<'_> {
    async fn prefetch(&mut self, named: &Prefetch) -> Result<(), Infallible> {
        for record in &named.records {
            let key = Key { entity: record.entity.clone(), id: RecordId::stored(&record.id) };
            let found = self.base.records.get(&key).cloned();
            self.fetched.insert(key, found);
        }
        self.persons.extend(named.persons.iter().map(|person| person.to_string()));
        later(()).await
    }

    async fn insert(&mut self, of: &Relation, record: &Record) -> Result<Inserted, Infallible> {
        let key = key(of, record.id.as_str());
        if self.found(of, record.id.as_str()).is_some() {
            return later(Inserted::IdTaken).await;
        }
        self.overlay.records.insert(key, Some(record.clone()));
        later(Inserted::Yes).await
    }

    async fn update(
        &mut self,
        of: &Relation,
        record: &Record,
        changed: &[FieldIndex],
    ) -> Result<(), Infallible> {
        let mut stored = self.found(of, record.id.as_str()).expect("an update is of a record that is there");
        assert_eq!(stored.version + 1, record.version);
        for field in changed {
            stored.values[field.0] = record.values[field.0].clone();
        }
        (stored.version, stored.updated_at) = (record.version, record.updated_at);
        assert_eq!(stored, *record, "`changed` names every field that differs");
        self.overlay.records.insert(key(of, record.id.as_str()), Some(stored));
        later(()).await
    }

    async fn delete(&mut self, of: &Relation, record: &Record, _: Seq) -> Result<(), Infallible> {
        assert_eq!(self.found(of, record.id.as_str()).as_ref(), Some(record));
        let key = key(of, record.id.as_str());
        self.overlay.deleted.insert(key.clone(), record.version);
        self.overlay.records.insert(key, None);
        later(()).await
    }

    async fn deleted_version(&self, of: &Relation, id: &RecordId) -> Result<u64, Infallible> {
        let key = key(of, id.as_str());
        let version = self.overlay.deleted.get(&key).or_else(|| self.base.deleted.get(&key));
        later(version.copied().unwrap_or(0)).await
    }

    async fn last_number(&self, of: &Relation, counter: &Counter) -> Result<i64, Infallible> {
        let key = CounterOf { entity: of.entity.name.clone(), counter: counter.clone() };
        let last = self.overlay.numbers.get(&key).or_else(|| self.base.numbers.get(&key));
        later(last.copied().unwrap_or(0)).await
    }

    async fn gave_number(&mut self, of: &Relation, counter: &Counter, last: i64) -> Result<(), Infallible> {
        let key = CounterOf { entity: of.entity.name.clone(), counter: counter.clone() };
        self.overlay.numbers.insert(key, last);
        later(()).await
    }

    async fn lease(&self, of: &Relation, id: &RecordId) -> Result<Option<Lease>, Infallible> {
        let key = key(of, id.as_str());
        let held = match self.overlay.leases.get(&key) {
            Some(written) => written.clone(),
            None => self.base.leases.get(&key).cloned(),
        };
        later(held).await
    }

    async fn set_lease(
        &mut self,
        of: &Relation,
        id: &RecordId,
        lease: Option<&Lease>,
    ) -> Result<(), Infallible> {
        self.overlay.leases.insert(key(of, id.as_str()), lease.cloned());
        later(()).await
    }

    async fn next_fence(&mut self) -> Result<u64, Infallible> {
        self.overlay.fences += 1;
        later(self.base.fence + self.overlay.fences).await
    }

    async fn append(&mut self, changes: &[Change]) -> Result<(), Infallible> {
        for change in changes {
            for person in &change.rights {
                let of = RightsOf { person: person.clone(), entity: change.entity.clone() };
                self.overlay.rights.insert(of, change.seq);
            }
            self.overlay.log.push(change.clone());
        }
        later(()).await
    }

    async fn recall(&self, asked: &Idempotency) -> Result<Option<Answered>, Infallible> {
        let mutation = Mutation::of(&asked.owner, &asked.mid);
        let given = self.overlay.answers.iter().filter(|(one, _)| one.owner == mutation.owner);
        let forgotten = given.clone().count();
        if let Some((_, answer)) =
            given.clone().rev().take(self.answers_of_one).find(|(one, _)| *one == mutation)
        {
            return later(Some(answer.clone())).await;
        }
        // The answers of this group push the oldest of the owner out.
        let given = self.base.answered.iter().map(|given| &given.mutation);
        let own: Vec<&Mutation> = given.filter(|one| one.owner == mutation.owner).collect();
        let room = self.answers_of_one.saturating_sub(forgotten);
        let kept = own.iter().rev().take(room).any(|one| **one == mutation);
        later(self.base.answers.get(&mutation).filter(|_| kept).cloned()).await
    }

    async fn remember(&mut self, key: &Idempotency, _: Seq, done: &[AnsweredOp]) -> Result<(), Infallible> {
        let answer = Answered { hash: key.hash, done: done.to_vec() };
        self.overlay.answers.push((Mutation::of(&key.owner, &key.mid), answer));
        later(()).await
    }
}
