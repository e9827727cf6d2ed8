//! `trait Source`: what a transaction can be asked, for reads and for writes. What the product's rules need of the database
//! they ask here, so they are written once for every backend.
//!
//! Knows neither who asks nor what is written (`unit/transaction.rs`).

use super::relations::Relation;
use crate::ids::RecordId;
use crate::schema::{FieldIndex, KeyFields, Record, Value};

/// One transaction of a backend. It answers as of its own writes, whether they are in the database already or not.
///
/// Where many keys are asked at once, the answer has one element for each, in their order. A backend that answers each from
/// memory or from an index in place is ready at once; one that asks a server asks once for all.
pub trait Source {
    /// Why the backend could not answer. The transaction may be lost with it.
    type Error: Send;

    fn record(
        &self,
        of: &Relation,
        id: &str,
    ) -> impl Future<Output = Result<Option<Record>, Self::Error>> + Send;

    fn records(
        &self,
        of: &Relation,
        ids: &[&str],
    ) -> impl Future<Output = Result<Vec<Option<Record>>, Self::Error>> + Send;

    fn exists(&self, of: &Relation, id: &str) -> impl Future<Output = Result<bool, Self::Error>> + Send;

    /// Only these fields of records, in this order.
    fn values(
        &self,
        of: &Relation,
        fields: &[FieldIndex],
        ids: &[&str],
    ) -> impl Future<Output = Result<Vec<Option<Vec<Value>>>, Self::Error>> + Send;

    /// For each of these records the ids of those that refer to it by a field. Ascending, at most `most` for each.
    fn ids_referring(
        &self,
        of: &Relation,
        field: FieldIndex,
        to: &[&str],
        most: usize,
    ) -> impl Future<Output = Result<Vec<Vec<RecordId>>, Self::Error>> + Send;

    /// The ids of the records that have each of these lists of values, none of them null, in all of these fields: one field, or
    /// those of a `[[unique]]`. Where the key says so, texts that differ by case alone are the same. More than one within a unit that is not at its end. Ascending, at most `most` for each list.
    fn ids_holding(
        &self,
        of: &Relation,
        key: &KeyFields,
        values: &[Vec<&Value>],
        most: usize,
    ) -> impl Future<Output = Result<Vec<Vec<RecordId>>, Self::Error>> + Send;

    /// The records that belong to a person (`Entity::identity`), at most `most`; none where the entity belongs to no user.
    fn records_of_person(
        &self,
        of: &Relation,
        person: &str,
        most: usize,
    ) -> impl Future<Output = Result<Vec<Record>, Self::Error>> + Send;
}
