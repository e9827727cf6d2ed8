//! The numbers that the server gives (SEMANTICS X5): the next one among the records with the same parent.
//!
//! Reads only. What is given is noted when the record is written, so that a refusal before gives nothing.

use super::fault::{Fault, refuse};
use super::transaction::{Counter, Transaction};
use crate::schema::limits::LARGEST_INT;
use crate::schema::{FieldIndex, Record, Sequence, Value};
use crate::store::CommitError;
use crate::store::relations::{Relation, SequenceField};

/// A number that a record gets, and its counter.
pub(super) struct GivenNumber {
    counter: Counter,
    number: i64,
}

/// What a write does to the numbers of a record.
pub(super) struct Numbering<'a> {
    /// Before an update.
    pub(super) old: Option<&'a Record>,
    /// Fields that the operation names. Only an import names a number.
    pub(super) named: &'a [FieldIndex],
}

/// Sets the numbers of a record that is to be written, by what it refers to then. A number that an import brings stays. A record
/// without a parent has none.
pub(super) async fn number<T: Transaction>(
    transaction: &T,
    op: usize,
    relation: &Relation,
    write: Numbering<'_>,
    values: &mut [Value],
) -> Result<Vec<GivenNumber>, Fault<T::Error>> {
    let mut given = Vec::new();
    for SequenceField { field, counts } in relation.sequences.iter().copied() {
        let Some(parent) = parent(counts, values) else {
            values[field.0] = Value::Null;
            continue;
        };
        let is_named = write.old.is_none() || write.named.contains(&field);
        let brought =
            if let (true, Value::Int(number)) = (is_named, &values[field.0]) { Some(*number) } else { None };
        let kept = write.old.filter(|old| self::parent(counts, &old.values) == Some(parent));
        let kept = kept.map(|old| &old.values[field.0]).filter(|number| !number.is_null());
        if let (None, Some(kept)) = (brought, kept) {
            values[field.0] = kept.clone();
            continue;
        }
        let counter = Counter { field, parent: parent.to_owned() };
        let last = transaction.last_number(relation, &counter).await?;
        if brought.is_none() && last >= LARGEST_INT {
            return refuse(CommitError::NoNumber { op, field: relation.entity.at(field).name.clone() });
        }
        let number = brought.unwrap_or(last + 1);
        values[field.0] = Value::Int(number);
        if number > last {
            given.push(GivenNumber { counter, number });
        }
    }
    Ok(given)
}

/// What the record is counted with; `None` where it has no parent.
fn parent(counts: Sequence, values: &[Value]) -> Option<&str> {
    match counts {
        Sequence::Whole => Some(""),
        Sequence::Within(parent) => match &values[parent.0] {
            Value::Text(parent) => Some(parent),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_) => None,
        },
    }
}

/// Notes what was given, once the record is written.
pub(super) async fn give<T: Transaction>(
    transaction: &mut T,
    relation: &Relation,
    given: Vec<GivenNumber>,
) -> Result<(), T::Error> {
    for GivenNumber { counter, number } in given {
        transaction.gave_number(relation, &counter, number).await?;
    }
    Ok(())
}
