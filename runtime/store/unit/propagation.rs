//! Lookups that follow (SEMANTICS R8): from the fields that an operation changes to every lookup, in any record, that has
//! to change with them. Found before anything of it is written.
//!
//! Reads only; `writes.rs` writes the records and their log entries.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::{IndexMap, IndexSet};

use super::context::UnitContext;
use super::fault::{Fault, refuse};
use super::keys::{RecordKey, TOGETHER, alike};
use crate::ids::RecordId;
use crate::schema::{FieldIndex, Value};
use crate::store::CommitError;
use crate::store::relations::{FollowingField, LookupField, Relation};
use crate::store::source::Source;

/// Fields that get another value, by record, in the order of the log: the records written first, then those that follow by
/// the rank of the first lookup that changes, then by entity and id.
pub(super) type Drafts = IndexMap<RecordKey, BTreeMap<FieldIndex, Value>>;

/// Adds to the changes of one operation everything that follows from them. Each record is there once, with the last value
/// of each of its lookups. Records that are `going` in the same operation are not touched before.
pub(super) async fn follow<S: Source>(
    source: &S,
    context: UnitContext<'_>,
    op: usize,
    written: Drafts,
    going: &IndexSet<RecordKey>,
) -> Result<Drafts, Fault<S::Error>> {
    // The record that the operation names is not counted, be it changed or going.
    let most = (context.config.cascade_records + 1).saturating_sub(going.len());
    let mut walk =
        Propagation { source, context, op, going, most, drafts: written, due: BTreeSet::new(), bytes: 0 };
    let written: Vec<ChangedField> = walk
        .drafts
        .iter()
        .flat_map(|(key, fields)| fields.keys().map(|field| ChangedField { key: key.clone(), field: *field }))
        .collect();
    for changed in written.chunks(TOGETHER) {
        let followers = walk.followers(changed).await?;
        changed
            .iter()
            .zip(followers)
            .try_for_each(|(changed, followers)| walk.changed(changed, followers))?;
    }
    while let Some(due) = walk.next_due() {
        walk.copy(due).await?;
    }
    Ok(walk.drafts)
}

/// A field of one record that gets another value.
struct ChangedField {
    key: RecordKey,
    field: FieldIndex,
}

/// A lookup that may have to change. In this order: when one is taken, all that it depends on has its last value.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct DueLookup {
    rank: usize,
    key: RecordKey,
    /// Place in `Relation::lookups`.
    lookup: usize,
}

/// The records that follow a changed field by one of their lookups.
struct Followers<'a> {
    by: &'a FollowingField,
    copied: &'a LookupField,
    ids: Vec<RecordId>,
}

/// What the ref and the lookup of a record hold.
#[derive(Clone)]
struct LookupState {
    via: Value,
    value: Value,
}

struct Propagation<'a, 's, S> {
    source: &'s S,
    context: UnitContext<'a>,
    op: usize,
    going: &'s IndexSet<RecordKey>,
    /// Most records in `drafts`.
    most: usize,
    drafts: Drafts,
    due: BTreeSet<DueLookup>,
    /// Of the values copied so far: each will be in the image of a log entry.
    bytes: usize,
}

impl<'a, S: Source> Propagation<'a, '_, S> {
    /// Some lookups of one rank, of which none depends on another.
    fn next_due(&mut self) -> Option<Vec<DueLookup>> {
        let mut due = vec![self.due.pop_first()?];
        while due.len() < TOGETHER && self.due.first().is_some_and(|next| next.rank == due[0].rank) {
            due.extend(self.due.pop_first());
        }
        Some(due)
    }

    /// Computes lookups from what the records hold by now.
    async fn copy(&mut self, due: Vec<DueLookup>) -> Result<(), Fault<S::Error>> {
        let (mut changed, mut values) = (Vec::new(), Vec::new());
        let new = self.new_values(&due).await?;
        for (due, new) in due.into_iter().zip(new) {
            if let Some(value) = new {
                let field = self.context.relation(&due.key.entity)?.lookups[due.lookup].field;
                changed.push(ChangedField { key: due.key, field });
                values.push(value);
            }
        }
        let followers = self.followers(&changed).await?;
        for ((changed, value), followers) in changed.iter().zip(values).zip(followers) {
            self.count(&value)?;
            self.drafts.entry(changed.key.clone()).or_default().insert(changed.field, value);
            self.check_room(0)?;
            self.changed(changed, followers)?;
        }
        Ok(())
    }

    /// For each lookup the value that it gets; `None` where it keeps its own.
    async fn new_values(&self, due: &[DueLookup]) -> Result<Vec<Option<Value>>, Fault<S::Error>> {
        let mut new: Vec<Option<Value>> = due.iter().map(|_| None).collect();
        for group in alike(due.iter().map(|due| (&due.key.entity, due.lookup))) {
            let relation = self.context.relation(group.by.0)?;
            let copied = &relation.lookups[group.by.1];
            let keys: Vec<&RecordKey> = group.places.iter().map(|place| &due[*place].key).collect();
            let states = self.states(relation, copied, &keys).await?;
            let sources = self.sources(copied, &states).await?;
            for ((place, state), value) in group.places.into_iter().zip(states).zip(sources) {
                new[place] = (value != state.value).then_some(value);
            }
        }
        Ok(new)
    }

    /// What the records hold. A ref that is a lookup itself may have changed already.
    async fn states(
        &self,
        relation: &Relation,
        copied: &LookupField,
        keys: &[&RecordKey],
    ) -> Result<Vec<LookupState>, Fault<S::Error>> {
        let ids: Vec<&str> = keys.iter().map(|key| key.id.as_str()).collect();
        let found = self.source.values(relation, &[copied.via, copied.field], &ids).await?;
        let states = keys.iter().zip(found).map(|(key, found)| {
            let mut values = found.unwrap_or_default().into_iter();
            let mut next = || values.next().unwrap_or(Value::Null);
            let (via, value) = (next(), next());
            let drafted = self.drafts.get(*key).and_then(|fields| fields.get(&copied.via));
            LookupState { via: drafted.cloned().unwrap_or(via), value }
        });
        Ok(states.collect())
    }

    /// What there is to copy for each of them; null where the ref leads nowhere.
    async fn sources(
        &self,
        copied: &LookupField,
        states: &[LookupState],
    ) -> Result<Vec<Value>, Fault<S::Error>> {
        let mut values = vec![Value::Null; states.len()];
        let (mut asked, mut places) = (Vec::new(), Vec::new());
        for (place, state) in states.iter().enumerate() {
            let Value::Text(id) = &state.via else { continue };
            let target = RecordKey { entity: copied.target.clone(), id: RecordId::stored(id) };
            match self.drafts.get(&target).and_then(|fields| fields.get(&copied.source)) {
                Some(value) => values[place] = value.clone(),
                None => {
                    asked.push(id.as_str());
                    places.push(place);
                }
            }
        }
        if !asked.is_empty() {
            let target = self.context.relation(&copied.target)?;
            let found = self.source.values(target, &[copied.source], &asked).await?;
            for (place, found) in places.into_iter().zip(found) {
                values[place] = found.and_then(|mut found| found.pop()).unwrap_or(Value::Null);
            }
        }
        Ok(values)
    }

    /// For each of the fields the records that copy it: of each lookup at most one more than there is room for, beside those
    /// that are known.
    async fn followers(&self, changed: &[ChangedField]) -> Result<Vec<Vec<Followers<'a>>>, Fault<S::Error>> {
        let most = self.most + self.drafts.len() + self.going.len() + 1;
        let mut found: Vec<Vec<Followers<'a>>> = changed.iter().map(|_| Vec::new()).collect();
        for group in alike(changed.iter().map(|changed| (&changed.key.entity, changed.field))) {
            let relation = self.context.relation(group.by.0)?;
            let ids: Vec<&str> = group.places.iter().map(|place| changed[*place].key.id.as_str()).collect();
            for by in relation.followers.iter().filter(|follower| follower.source == group.by.1) {
                let follower = self.context.relation(&by.entity)?;
                let copied = &follower.lookups[by.lookup];
                let following = self.source.ids_referring(follower, copied.via, &ids, most).await?;
                for (place, ids) in group.places.iter().zip(following) {
                    found[*place].push(Followers { by, copied, ids });
                }
            }
        }
        Ok(found)
    }

    /// Notes every lookup that depends on a field that changed: those of the record itself that go through it, and those
    /// of the records that refer to this one.
    fn changed(
        &mut self,
        changed: &ChangedField,
        followers: Vec<Followers<'a>>,
    ) -> Result<(), Fault<S::Error>> {
        let relation = self.context.relation(&changed.key.entity)?;
        for (lookup, copied) in relation.lookups.iter().enumerate() {
            if copied.via == changed.field {
                self.due.insert(DueLookup { rank: copied.rank, key: changed.key.clone(), lookup });
            }
        }
        for Followers { by, copied, ids } in followers {
            let mut new = 0;
            for id in ids {
                let key = RecordKey { entity: by.entity.clone(), id };
                if self.going.contains(&key) {
                    continue;
                }
                new += usize::from(!self.drafts.contains_key(&key));
                self.due.insert(DueLookup { rank: copied.rank, key, lookup: by.lookup });
            }
            self.check_room(new)?;
        }
        Ok(())
    }

    /// A record that follows a changed field changes too, so those to come are counted before they are looked at.
    fn check_room(&self, new: usize) -> Result<(), Fault<S::Error>> {
        if self.drafts.len() + new > self.most {
            let limit = self.context.config.cascade_records;
            return refuse(CommitError::CascadeTooLarge { op: self.op, limit });
        }
        Ok(())
    }

    fn count(&mut self, value: &Value) -> Result<(), Fault<S::Error>> {
        if let Value::Text(text) | Value::Json(text) = value {
            self.bytes += text.len();
        }
        let (entries, bytes) = (self.context.config.unit_entries, self.context.config.group_bytes);
        if self.bytes > bytes {
            return refuse(CommitError::UnitTooLarge { entries, bytes });
        }
        Ok(())
    }
}
