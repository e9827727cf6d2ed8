//! From a `Mutation` to an `Op`: every field against the schema, all faults at once.
//!
//! Knows one entity and one writer; what other records say (references, unique values, versions) is judged in the commit.

use std::sync::Arc;

use serde_json::Value as Json;

use super::body;
use super::body::Body;
use super::error::{FieldError, RepositoryError};
use super::mutation::{Mutation, Verb};
use super::nameable::Nameable;
use super::suggest::suggestion;
use super::value_fault::ValueFault;
use super::values::{fits, typed};
use crate::auth::Identity;
use crate::env::Env;
use crate::ids::{IdError, RecordId, Timestamp, shown};
use crate::schema::{Entity, Field, FieldDefault, FieldIndex, IdKind, Schema, Value, defaults};
use crate::store::Op;

const ID: &str = "id";
/// Columns that only the server sets.
const SYSTEM: [&str; 3] = ["version", "created_at", "updated_at"];

/// One mutation's surroundings.
pub(super) struct Validator<'a> {
    pub(super) schema: &'a Schema,
    pub(super) entity: &'a Arc<Entity>,
    pub(super) caller: &'a Identity,
    /// What the writer may name in a query; more may be written.
    pub(super) names: &'a Nameable,
    pub(super) at: Timestamp,
    pub(super) env: &'a Env,
    pub(super) readonly: Readonly,
}

/// What becomes of values for readonly fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readonly {
    /// A client may not set them.
    Refused,
    /// The owner of the data folder brings records back as they were.
    Taken,
}

impl Validator<'_> {
    /// The op, or every fault of the request. `fresh_id` makes the id of a create that brings none.
    pub(super) fn op(
        &self,
        mutation: &Mutation,
        fresh_id: impl FnOnce() -> RecordId,
    ) -> Result<Op, RepositoryError> {
        let empty = Body::default();
        let data = mutation.data.as_ref().unwrap_or(&empty);
        match mutation.verb {
            Verb::Create => self.create(data, fresh_id),
            Verb::Update | Verb::Replace => self.update(mutation, data),
            Verb::Delete => Ok(Op::Delete {
                entity: self.entity.name.clone(),
                id: address(self.entity, mutation.id.as_deref().unwrap_or_default())?,
                if_version: mutation.if_version,
            }),
        }
    }

    fn create(&self, data: &Body, fresh_id: impl FnOnce() -> RecordId) -> Result<Op, RepositoryError> {
        let mut faults = FieldErrors::default();
        let own_id = data.members().get(ID).and_then(|json| faults.keep(ID, self.own_id(json)));
        let given = self.given(data, &mut faults);
        let values = self
            .entity
            .fields
            .iter()
            .zip(given)
            .map(|(field, given)| self.given_or_default(field, given, &mut faults))
            .collect();
        faults.settle(self.entity)?;
        let fresh = own_id.is_none();
        Ok(Op::Create {
            entity: self.entity.name.clone(),
            id: own_id.unwrap_or_else(fresh_id),
            values,
            fresh_id: fresh,
        })
    }

    fn update(&self, mutation: &Mutation, data: &Body) -> Result<Op, RepositoryError> {
        let id = address(self.entity, mutation.id.as_deref().unwrap_or_default())?;
        let mut faults = FieldErrors::default();
        if let Some(json) = data.members().get(ID) {
            faults.keep(ID, self.same_id(json, &id));
        }
        let given = self.given(data, &mut faults);
        let (set, omitted) = match mutation.verb {
            Verb::Replace => self.every_writable_field(given, &mut faults),
            Verb::Create | Verb::Update | Verb::Delete => (given_fields(given), Vec::new()),
        };
        faults.settle(self.entity)?;
        let (entity, if_version) = (self.entity.name.clone(), mutation.if_version);
        Ok(Op::Update { entity, id, set, omitted, if_version })
    }

    /// What a change of many sets in each record.
    pub(super) fn changes(&self, data: &Body) -> Result<Vec<(FieldIndex, Value)>, RepositoryError> {
        let mut faults = FieldErrors::default();
        if data.members().contains_key(ID) {
            faults.add(ID, ValueFault::new("bad_id", "cannot be set: an id never changes"));
        }
        let given = self.given(data, &mut faults);
        faults.settle(self.entity)?;
        Ok(given_fields(given))
    }

    /// Fields that clients may not set keep what they hold. Of those that the request does not name, so do random ones and those
    /// that this client never sees. Beside
    /// them, which fields the request left out: whether this one sees them depends on the record.
    fn every_writable_field(
        &self,
        given: Vec<GivenValue>,
        faults: &mut FieldErrors,
    ) -> (Vec<(FieldIndex, Value)>, Vec<FieldIndex>) {
        let (mut set, mut omitted) = (Vec::new(), Vec::new());
        for (at, (field, given)) in self.entity.fields.iter().zip(given).enumerate() {
            let at = FieldIndex(at);
            let missing = given == GivenValue::Missing;
            // A secret that changes whenever the rest of its record does would be of no use.
            let kept = field.default == Some(FieldDefault::Random) || !self.names.has(self.entity, at);
            if field.is_kept_by_server() || (missing && kept) {
                continue;
            }
            if missing {
                omitted.push(at);
            }
            set.push((at, self.given_or_default(field, given, faults)));
        }
        (set, omitted)
    }

    /// What the body says about each field, in the order of the schema's fields.
    fn given(&self, data: &Body, faults: &mut FieldErrors) -> Vec<GivenValue> {
        let mut given = vec![GivenValue::Missing; self.entity.fields.len()];
        for (name, json) in data.members() {
            if name == ID {
                continue;
            }
            match self.writable(name) {
                Ok((FieldIndex(at), field)) => {
                    let exact = data.number_fault(name, &field.kind).map_or(Ok(()), Err);
                    let value = faults.keep(name, exact.and_then(|()| self.checked(field, json)));
                    given[at] = value.map_or(GivenValue::Faulty, GivenValue::Value);
                }
                Err(fault) => faults.add(&shown(name), fault),
            }
        }
        given
    }

    fn writable(&self, name: &str) -> Result<(FieldIndex, &Field), ValueFault> {
        if SYSTEM.contains(&name) {
            return Err(ValueFault::new("system_field", "is set by the server"));
        }
        let entity = &self.entity.name;
        let Some((index, field)) = self.entity.field(name) else {
            // Not every writer may know of a field with a rule of its own.
            let told = || self.entity.fields.iter().filter(|field| field.read.is_none());
            let known = told().filter(|field| !field.is_kept_by_server()).map(|field| &*field.name);
            let mut message = format!("is not a field of {entity}");
            let renamed = told().find(|field| field.was.as_deref() == Some(name));
            if let Some(now) = renamed {
                message.push_str(&format!(" any longer: it is now called `{}`", now.name));
            } else if let Some(meant) = suggestion(name, known) {
                message.push_str(&format!("; did you mean `{meant}`?"));
            }
            return Err(ValueFault::new("unknown_field", message));
        };
        if let Some(path) = self.schema.lookup_path(self.entity, field) {
            let message = format!("is readonly: the server copies it from `{path}`; set that instead");
            return Err(ValueFault::new("readonly", message));
        }
        if field.sequence.is_some() && self.readonly == Readonly::Refused {
            return Err(ValueFault::new("readonly", "is readonly: the server gives its numbers"));
        }
        if field.readonly && self.readonly == Readonly::Refused {
            return Err(ValueFault::new("readonly", "is readonly: it is set by the server"));
        }
        Ok((index, field))
    }

    fn checked(&self, field: &Field, json: &Json) -> Result<Value, ValueFault> {
        let value = field.normalized(typed(self.schema, &field.kind, json)?);
        if value.is_null() && field.required {
            return Err(ValueFault::new("required", "is required and cannot be null"));
        }
        fits(field, &value)?;
        Ok(value)
    }

    fn given_or_default(&self, field: &Field, given: GivenValue, faults: &mut FieldErrors) -> Value {
        match given {
            GivenValue::Value(value) => return value,
            GivenValue::Faulty => return Value::Null,
            GivenValue::Missing => {}
        }
        let value = defaults::value_of(field, self.caller.user.as_ref(), self.at, self.env);
        if value.is_null() && field.required {
            let message = match field.default {
                Some(FieldDefault::UserId) => {
                    "is required, and its default is the writer, but the request is anonymous"
                }
                Some(FieldDefault::Value(_) | FieldDefault::Now(_) | FieldDefault::Random) | None => {
                    "is required"
                }
            };
            faults.add(&field.name, ValueFault::new("required", message));
        }
        value
    }

    fn own_id(&self, json: &Json) -> Result<RecordId, ValueFault> {
        let Json::String(text) = json else {
            return Err(ValueFault::new("bad_id", format!("must be a text, not {}", body::kind_of(json))));
        };
        parse_id(self.entity.id_kind, text)
            .map_err(|error| ValueFault::new("bad_id", format!("must be an id: {error}")))
    }

    fn same_id(&self, json: &Json, address: &RecordId) -> Result<(), ValueFault> {
        match self.own_id(json)? {
            id if id == *address => Ok(()),
            _ => {
                Err(ValueFault::new("bad_id", "differs from the id in the address, and an id never changes"))
            }
        }
    }
}

fn given_fields(given: Vec<GivenValue>) -> Vec<(FieldIndex, Value)> {
    let indexed = given.into_iter().enumerate();
    indexed.filter_map(|(at, given)| Some((FieldIndex(at), given.value()?))).collect()
}

/// The id in an address, canonical. One that cannot be an id names no record.
pub(super) fn address(entity: &Entity, text: &str) -> Result<RecordId, RepositoryError> {
    let kind = entity.id_kind;
    let wrong = |_| RepositoryError::NotAnId { entity: entity.name.clone(), kind, id: text.to_owned() };
    parse_id(kind, text).map_err(wrong)
}

fn parse_id(kind: IdKind, text: &str) -> Result<RecordId, IdError> {
    match kind {
        IdKind::Uuid => RecordId::parse_uuid(text),
        IdKind::Text => RecordId::parse_text(text),
    }
}

/// What a body says about one field.
#[derive(Debug, Clone, PartialEq)]
enum GivenValue {
    Missing,
    /// Named with a value that does not fit; the fault is noted, and no default takes its place.
    Faulty,
    Value(Value),
}

impl GivenValue {
    fn value(self) -> Option<Value> {
        match self {
            GivenValue::Value(value) => Some(value),
            GivenValue::Missing | GivenValue::Faulty => None,
        }
    }
}

/// The most faults that one answer lists; a body of a thousand wrong keys is not worth a thousand sentences.
const MAX_FAULTS: usize = 100;

#[derive(Default)]
struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    fn add(&mut self, field: &str, fault: ValueFault) {
        if self.0.len() < MAX_FAULTS {
            let message = format!("`{field}` {}", fault.message);
            self.0.push(FieldError { field: field.to_owned(), code: fault.code, message });
        }
    }

    /// The value, or a note of the fault.
    fn keep<T>(&mut self, field: &str, checked: Result<T, ValueFault>) -> Option<T> {
        checked.map_err(|fault| self.add(field, fault)).ok()
    }

    fn settle(self, entity: &Entity) -> Result<(), RepositoryError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(RepositoryError::Invalid { entity: entity.name.clone(), errors: self.0 })
    }
}
