//! What rules ask of a person, gathered in the transaction of the caller: for the read scopes of a read, and for what a write is
//! judged by.
//!
//! Knows neither which rows are then read nor which are written.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::relations::{Relation, Relations};
use super::source::Source;
use crate::rules::{MOST_RELATED, Needs, Person, Principal, RelatedRecords};

/// The built-in entity of persons. Its record is always read, since an account may be disabled.
pub const USER: &str = "User";

/// What rules with these needs may ask of the person. For an anonymous caller there is nothing to read.
pub async fn principal<S: Source>(
    source: &S,
    relations: &Relations,
    person: &Arc<Person>,
    needs: &Needs,
) -> Result<Principal, S::Error> {
    let Some(id) = &person.id else { return Ok(Principal::unread(person.clone())) };
    let record = match relations.get(USER) {
        Some(users) => source.record(users, id).await?,
        None => None,
    };
    let mut related = BTreeMap::new();
    for entity in needs.related() {
        let Some(relation) = relations.get(entity) else { continue };
        if relation.entity.identity.is_some() {
            related.insert(entity.clone(), of_person(source, relation, id).await?);
        }
    }
    Ok(Principal::new(person.clone(), record, related))
}

async fn of_person<S: Source>(source: &S, relation: &Relation, id: &str) -> Result<RelatedRecords, S::Error> {
    let records = source.records_of_person(relation, id, MOST_RELATED + 1).await?;
    Ok(if records.len() > MOST_RELATED { RelatedRecords::TooMany } else { RelatedRecords::Records(records) })
}
