//! What a change of rights changes for a subscriber, as the model says it: every record as it was at the position under the old
//! read scope, held against the record of now under the rights of now.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidewire::ids::RecordId;
use tidewire::rules::{Condition, Operand, Predicate, Verdict};
use tidewire::schema::{Column, Entity, Operation, Record, Schema};
use tidewire::store::{ChangeOp, Differ, Difference, Scope, Step, Steps, StoreError};

use super::sight::{Sight, asker, failing};
use super::{GENERATION, Key, State, rights};

pub(super) fn differ(schema: &Schema, state: &State, asked: &Differ) -> Result<Difference, StoreError> {
    if asked.old.generation != GENERATION {
        return Err(StoreError::StaleGeneration);
    }
    let name = asked.scope.entity();
    let entity = schema.entity(name).ok_or_else(|| StoreError::UnknownEntity(name.to_string()))?;
    let principal = rights::principal(schema, &state.records, &asked.person);
    let asker = asker(schema, &state.records, &asked.person);
    let rules: &[Operation] = match asked.scope {
        Scope::Entity(_) => &[Operation::Read, Operation::List],
        Scope::Record(..) => &[Operation::Read],
    };
    let steps = match failing(entity, &asker, rules) {
        Err(error) => Steps::Failed(error),
        Ok(()) => {
            let (old, new) = (Sight::Bound(asked.old.clone()), Sight::Person(asker));
            Judge { state, entity, asked, old, new }.steps().map_or(Steps::Many, Steps::Few)
        }
    };
    Ok(Difference { principal, steps })
}

struct Judge<'a> {
    state: &'a State,
    entity: &'a Arc<Entity>,
    asked: &'a Differ,
    old: Sight,
    new: Sight,
}

impl Judge<'_> {
    /// `None` if they are too many, or if it cannot be known what was seen.
    fn steps(&self) -> Option<Vec<Step>> {
        if self.asked.since.0 < self.state.floor || self.is_unknown() {
            return None;
        }
        let later = self.state.log.iter().filter(|entry| entry.change.seq > self.asked.since);
        let keys = later.map(|entry| (entry.change.entity.clone(), entry.change.id.clone()));
        let keys: BTreeSet<Key> = keys.chain(self.state.records.keys().cloned()).collect();
        let in_scope = |(entity, id): &&Key| match &self.asked.scope {
            Scope::Entity(wanted) => wanted == entity,
            Scope::Record(wanted, record) => wanted == entity && record == id,
        };
        let steps: Vec<Step> = keys.iter().filter(in_scope).filter_map(|key| self.step(key)).collect();
        let bytes: usize =
            steps.iter().filter_map(|step| step.record.as_ref()).map(|stored| stored.json.len()).sum();
        let limit = self.asked.limit;
        (steps.len() <= limit.changes && bytes <= limit.bytes).then_some(steps)
    }

    fn new_shows(&self, record: &Record) -> bool {
        match self.asked.scope {
            Scope::Entity(_) => self.new.passes(self.entity, record, &self.asked.filter),
            Scope::Record(..) => {
                self.new.sees(self.entity, record) && self.new.meets(self.entity, record, &self.asked.filter)
            }
        }
    }

    fn new_shows_without_filter(&self, record: &Record) -> bool {
        match self.asked.scope {
            Scope::Entity(_) => self.new.lists(self.entity, record),
            Scope::Record(..) => self.new.sees(self.entity, record),
        }
    }

    fn step(&self, key: &Key) -> Option<Step> {
        let mut later = self.later(key);
        let touched = later.clone().next();
        let created = later.any(|entry| entry.change.op == ChangeOp::Create);
        let now = self.state.records.get(key);
        let then = touched.map_or(now, |first| first.old.as_ref());
        let was_seen = then.is_some_and(|record| self.old.sees(self.entity, record));
        let seen = now.filter(|record| self.new_shows(record));
        let verdict = match (was_seen, seen, now) {
            (false, None, _) => return None,
            (false, Some(_), _) if created => Verdict::Created,
            (false, Some(_), _) => Verdict::Entered,
            (true, Some(record), _) if touched.is_none() && self.shows_as_before(record) => return None,
            (true, Some(_), _) => Verdict::Updated,
            (true, None, None) => Verdict::Deleted,
            (true, None, Some(record)) if self.new_shows_without_filter(record) => Verdict::Left,
            (true, None, Some(_)) => Verdict::Lost,
        };
        let record = seen.map(|record| self.new.shown(self.entity, record));
        Some(Step { id: RecordId::clone(&key.1), verdict, record })
    }

    fn later<'b>(&'b self, key: &'b Key) -> impl Iterator<Item = &'b super::log::Entry> + Clone {
        let since = self.asked.since;
        self.state.log.iter().filter(move |entry| entry.change.seq > since && entry.is_of(key))
    }

    fn shows_as_before(&self, record: &Record) -> bool {
        self.old.hidden(self.entity, record) == self.new.hidden(self.entity, record)
    }

    /// A log need not hold when a record had been updated before an update, so no backend decides by that who saw it.
    fn is_unknown(&self) -> bool {
        let mut met = BTreeSet::new();
        let firsts = self.state.log.iter().filter(|entry| {
            entry.change.seq > self.asked.since
                && self.asked.scope.contains(&entry.change)
                && met.insert(entry.change.id.clone())
        });
        let mut firsts = firsts.filter(|entry| entry.change.op == ChangeOp::Update);
        asks_time_of_update(self.asked.old.predicate()) && firsts.next().is_some()
    }
}

fn asks_time_of_update(predicate: &Predicate) -> bool {
    const UPDATED: Column = Column::UpdatedAt;
    let of = |operand: &Operand| matches!(operand, Operand::Column(UPDATED) | Operand::Size(UPDATED));
    match predicate {
        Predicate::Constant(_) => false,
        Predicate::Test(Condition { column, .. }) => *column == UPDATED,
        Predicate::Compare(left, _, right)
        | Predicate::Starts(left, right)
        | Predicate::Ends(left, right)
        | Predicate::Contains(left, right) => of(left) || of(right),
        Predicate::Member(item, list) => of(item) || *list == UPDATED,
        Predicate::Not(inner) => asks_time_of_update(inner),
        Predicate::All(terms) | Predicate::Any(terms) => terms.iter().any(asks_time_of_update),
    }
}
