//! What is judged when a unit ends (SEMANTICS X7): unique values, and deletes that other records forbid. So an atomic batch may
//! swap two unique values, and may delete records that refer to each other.
//!
//! Reads only; what a unit writes is noted here.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::context::UnitContext;
use super::fault::{Fault, refuse};
use super::keys::RecordKey;
use crate::ids::RecordId;
use crate::schema::{FieldIndex, KeyFields, Record, Value};
use crate::store::CommitError;
use crate::store::relations::{ReferringField, Relation};
use crate::store::source::Source;

/// When an operation's unique values and forbidden deletes are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// Before it writes. For a unit of one operation that is the same as at its end, and a refusal needs no rollback.
    Each,
    /// When all operations of the unit were applied.
    Together,
}

/// What an unfinished unit still has to prove.
#[derive(Default)]
pub(super) struct EndChecks<'a> {
    /// The unique values that the unit wrote last.
    values: HashMap<UniqueKey, Holders>,
    /// Deletes of records to which others still referred. Empty for nearly every unit.
    deletes: IndexMap<RecordKey, Vec<Blocked<'a>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct UniqueKey {
    /// Of the relation.
    place: usize,
    /// In `Relation::unique`.
    key: usize,
}

/// By record what the unit gave it.
type Holders = HashMap<RecordId, HeldValue>;

struct HeldValue {
    op: usize,
    /// Of all fields; `None` where one of them is empty, which exempts the record.
    values: Option<Vec<Value>>,
}

/// A deleted record to which a reference with `restrict` led.
#[derive(Clone)]
pub(super) struct Blocked<'a> {
    pub(super) op: usize,
    pub(super) key: RecordKey,
    pub(super) by: &'a ReferringField,
}

impl Blocked<'_> {
    pub(super) fn error(&self) -> CommitError {
        CommitError::Restricted { op: self.op, entity: Some(self.by.entity.clone()) }
    }

    /// Whether a record still refers to it.
    async fn is_referred_to<S: Source>(
        &self,
        source: &S,
        context: UnitContext<'_>,
    ) -> Result<bool, Fault<S::Error>> {
        let child = context.relation(&self.by.entity)?;
        let found = source.ids_referring(child, self.by.field, &[self.key.id.as_str()], 1).await?;
        Ok(found.iter().any(|ids| !ids.is_empty()))
    }
}

/// The fault that comes first: that of the first operation at fault, and of its first unique field.
#[derive(Default)]
struct FirstFault(Option<(FaultPlace, CommitError)>);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct FaultPlace {
    op: usize,
    key: usize,
}

impl FirstFault {
    fn is_before(&self, place: FaultPlace) -> bool {
        self.0.as_ref().is_some_and(|(known, _)| *known <= place)
    }
}

impl<'a> EndChecks<'a> {
    /// Notes the values of unique fields that an operation wrote. `key`: which of `Relation::unique`.
    pub(super) fn wrote(&mut self, op: usize, relation: &Relation, key: usize, record: &Record) {
        let values = unique_values(&relation.unique[key].fields, &record.values);
        let values = values.map(|values| values.into_iter().cloned().collect());
        let holders = self.values.entry(UniqueKey { place: relation.place, key }).or_default();
        holders.insert(record.id.clone(), HeldValue { op, values });
    }

    /// A record that is gone holds no values.
    pub(super) fn removed(&mut self, relation: &Relation, id: &RecordId) {
        for key in 0..relation.unique.len() {
            if let Some(holders) = self.values.get_mut(&UniqueKey { place: relation.place, key }) {
                holders.remove(id);
            }
        }
    }

    pub(super) fn blocked(&mut self, blocked: Vec<Blocked<'a>>) {
        for one in blocked {
            self.deletes.entry(one.key.clone()).or_default().push(one);
        }
    }

    /// The operation was refused before it wrote anything.
    pub(super) fn take_back(&mut self, op: usize) {
        self.deletes.retain(|_, blocked| {
            blocked.retain(|one| one.op != op);
            !blocked.is_empty()
        });
    }

    /// A record that the unit deleted is created again. What refers to it by now referred to the deleted one, which forbids
    /// the delete: no user may put another record under the references of others.
    pub(super) async fn returns<S: Source>(
        &mut self,
        source: &S,
        context: UnitContext<'_>,
        relation: &Relation,
        id: &RecordId,
    ) -> Result<(), Fault<S::Error>> {
        if self.deletes.is_empty() {
            return Ok(());
        }
        let key = RecordKey { entity: relation.entity.name.clone(), id: id.clone() };
        for one in self.deletes.shift_remove(&key).into_iter().flatten() {
            if one.is_referred_to(source, context).await? {
                return refuse(one.error());
            }
        }
        Ok(())
    }

    /// Judges what was noted, and forgets it.
    pub(super) async fn judge<S: Source>(
        &mut self,
        source: &S,
        context: UnitContext<'_>,
    ) -> Result<(), Fault<S::Error>> {
        let mut first = FirstFault::default();
        for (UniqueKey { place, key }, holders) in self.values.drain() {
            let relation = &context.relations.all()[place];
            let unique = &relation.unique[key];
            if let Some(op) = first_double(source, relation, unique, &holders).await? {
                let place = FaultPlace { op, key };
                if !first.is_before(place) {
                    first.0 = Some((place, not_unique(relation, op, unique)));
                }
            }
        }
        for one in self.deletes.drain(..).flat_map(|(_, blocked)| blocked) {
            let place = FaultPlace { op: one.op, key: 0 };
            if !first.is_before(place) && one.is_referred_to(source, context).await? {
                first.0 = Some((place, one.error()));
            }
        }
        first.0.map_or(Ok(()), |(_, error)| refuse(error))
    }
}

/// The values of unique fields. `None`: one of them is empty, and no other record is compared with this one.
pub(super) fn unique_values<'v>(fields: &[FieldIndex], values: &'v [Value]) -> Option<Vec<&'v Value>> {
    fields.iter().map(|field| Some(&values[field.0]).filter(|value| !value.is_null())).collect()
}

/// Refuses the values of unique fields that another record has.
pub(super) async fn require_unique<S: Source>(
    source: &S,
    op: usize,
    relation: &Relation,
    key: usize,
    record: &Record,
) -> Result<(), Fault<S::Error>> {
    let unique = &relation.unique[key];
    let Some(values) = unique_values(&unique.fields, &record.values) else { return Ok(()) };
    let holders = source.ids_holding(relation, unique, &[values], 2).await?;
    if holders.into_iter().flatten().any(|id| id != record.id) {
        return refuse(not_unique(relation, op, unique));
    }
    Ok(())
}

/// The first operation that left a value which another record has, one that the unit gave it no later than this one. Of two
/// operations that give the same value the later is at fault.
async fn first_double<S: Source>(
    source: &S,
    relation: &Relation,
    unique: &KeyFields,
    holders: &Holders,
) -> Result<Option<usize>, Fault<S::Error>> {
    let (held, values): (Vec<(&RecordId, &HeldValue)>, Vec<Vec<&Value>>) = holders
        .iter()
        .filter_map(|(id, held)| Some(((id, held), held.values.as_ref()?.iter().collect())))
        .unzip();
    // Those to which the unit gave a value can be in the way of finding one that had it before.
    let most = holders.len() + 1;
    let found = source.ids_holding(relation, unique, &values, most).await?;
    let doubles = held.into_iter().zip(found).filter(|((id, held), others)| {
        let mut others = others.iter().filter(|other| other != id);
        others.any(|other| holders.get(other).is_none_or(|other| other.op < held.op))
    });
    Ok(doubles.map(|((_, held), _)| held.op).min())
}

fn not_unique(relation: &Relation, op: usize, unique: &KeyFields) -> CommitError {
    let name = |field: &FieldIndex| relation.entity.at(*field).name.clone();
    CommitError::NotUnique { op, fields: unique.fields.iter().map(name).collect() }
}
