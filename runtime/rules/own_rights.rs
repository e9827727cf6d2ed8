//! Which of their own rights the rules let users write: with an `update` rule such as `id == user.id` on `User`, every user may make
//! themselves an administrator (SEMANTICS Y3).
//!
//! Judges one user who has no role and nothing that belongs to them. A rule that grants it to this one grants it to all.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::evaluate::{Proposal, Subject, evaluate};
use super::person::{Person, Principal};
use super::truth::Truth;
use crate::ids::{RecordId, Timestamp};
use crate::schema::{Entity, Operation, Record, Value};

/// Fields of `User` that say what a user may do.
const RIGHTS: [&str; 2] = ["role", "disabled"];

/// Names of the fields of `User` by which any user may give rights to themselves.
pub fn self_given(user: &Entity) -> Vec<&'static str> {
    RIGHTS.into_iter().filter(|field| is_self_given(user, field)).collect()
}

fn is_self_given(user: &Entity, field: &str) -> bool {
    let Some((index, _)) = user.field(field) else { return false };
    let id = RecordId::stored("someone");
    let (version, created_at, updated_at) = (1, Timestamp(0), Timestamp(0));
    let values = vec![Value::Null; user.fields.len()];
    let record = Record { id: id.clone(), version, created_at, updated_at, values };
    let person = Person { id: Some(id.shared()), ..Person::default() };
    let principal = Principal::new(Arc::new(person), Some(record.clone()), BTreeMap::new());
    let mut values = record.values.clone();
    values[index.0] = match field {
        "role" => Value::Text("admin".to_owned()),
        _ => Value::Bool(false),
    };
    let named = [index];
    let proposal = Some(Proposal { values: &values, named: &named });
    let subject = Subject { principal: &principal, record: &record, proposal };
    evaluate(user.access.rule(Operation::Update), subject) == Truth::True
}
