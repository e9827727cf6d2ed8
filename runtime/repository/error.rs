//! `RepositoryError`: why a request was refused, in the words of the request, with the code that it has on every
//! transport. Knows no HTTP status.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::filter::unknown_field;
use super::nameable::Nameable;
use crate::ids::{RecordId, Timestamp, shown};
use crate::protocol::Code;
use crate::rules::BindError;
use crate::schema::{Entity, EntityName, IdKind, Operation};
use crate::store::{Advice, Column, Hidden, MOST_GROUPS, StoreError, Stored};

/// One fault of one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    pub field: String,
    /// Lower snake case and stable: `required`, `wrong_type`, `too_long`, ...
    pub code: &'static str,
    /// A whole sentence that names the field.
    pub message: String,
}

impl FieldError {
    /// The same error, as one of an operation of a batch.
    pub(super) fn within(self, op: usize) -> FieldError {
        FieldError {
            field: format!("ops[{op}].{}", self.field),
            code: self.code,
            message: format!("`ops[{op}]`: {}", self.message),
        }
    }
}

/// How to keep a read below the bound on rows.
#[derive(Debug, Clone, PartialEq)]
pub enum ListRemedy {
    /// An index over the fields with these names.
    Index(Vec<Arc<str>>),
    Words,
    Narrow,
}

/// Why nothing was written or read. `Display` is for the client; `cause` is for the server's log.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RepositoryError {
    #[error("there is no entity `{0}`")]
    UnknownEntity(String),
    #[error("{0} keeps no history: add `history = \"90d\"` or `history = \"forever\"` to its schema file")]
    NoHistory(EntityName),
    #[error("there is no {entity} with the id `{}`", shown(id))]
    NotFound { entity: EntityName, id: String },
    /// The value is a secret and is not repeated.
    #[error("there is no {entity} with this `{field}`")]
    NotFoundBy { entity: EntityName, field: Arc<str> },
    #[error("`{}` cannot be the id of a {entity}: its ids are {}", shown(id), ids_of(*kind))]
    NotAnId { entity: EntityName, kind: IdKind, id: String },
    #[error("{}", summary(entity, errors))]
    Invalid { entity: EntityName, errors: Vec<FieldError> },
    /// One operation of a batch failed, and so the batch.
    #[error("`ops[{op}]`: {error}")]
    InBatch { op: usize, error: Box<RepositoryError> },
    /// Several operations of a batch are wrong; `op` is the first. Fields are named as in `ops[3].title`.
    #[error("{} errors in the operations of the batch: {}", errors.len(), names(errors))]
    InvalidBatch { op: usize, errors: Vec<FieldError> },
    /// One record of a change of many failed, and so the whole.
    #[error("{entity} `{id}`: {error}")]
    OfRecord { entity: EntityName, id: RecordId, error: Box<RepositoryError> },
    #[error("{}: ask a user who may", not_allowed(entity, *operation))]
    Forbidden { entity: EntityName, operation: Operation },
    /// A rule cannot be evaluated for this person.
    #[error("{0}")]
    Rule(BindError),
    /// As the parser of query strings would say it.
    #[error("{0}")]
    HiddenColumn(String),
    /// Every request of this user is refused.
    #[error("the account `{}` is disabled", shown(_0))]
    AccountDisabled(String),
    #[error("the {entity} is at version {}, not at the one that the request names", current.version)]
    VersionConflict { entity: EntityName, current: Stored },
    #[error("there is already a {entity} with this id")]
    IdTaken { entity: EntityName },
    #[error("another {entity} has {}", taken(fields))]
    NotUnique { entity: EntityName, fields: Vec<Arc<str>> },
    #[error("`{field}` of the {entity} refers to a record that does not exist")]
    UnknownReference { entity: EntityName, field: Arc<str> },
    #[error("the {entity} cannot be deleted: records of {} still refer to it", by.as_deref().unwrap_or("other entities"))]
    Restricted { entity: EntityName, by: Option<EntityName> },
    /// `first`: requests that delete, in smaller steps, what would go with it.
    #[error(
        "the change of the {entity} would change or delete more than {limit} other records with it{}",
        in_steps(first)
    )]
    CascadeTooLarge { entity: EntityName, limit: usize, first: Vec<String> },
    /// `why` is for the server's log.
    #[error("the server could not do what `[[on]]` in the schema file of {entity} wants after this change")]
    TriggerFailed { entity: EntityName, why: Arc<str> },
    #[error("`{}` holds the lease of this {entity}", shown(holder))]
    LeaseHeld { entity: EntityName, holder: Arc<str>, until: Timestamp },
    #[error("you do not hold the lease of this {entity} under this number: it ended, or another user has it")]
    LeaseLost { entity: EntityName },
    #[error("a {entity} is changed and deleted only by the user who holds its lease, one record at a time")]
    LeaseRequired { entity: EntityName },
    #[error("the user to whom you pass the lease may not hold the lease of this {entity}")]
    LeaseNotPassed { entity: EntityName },
    #[error("one request may change at most {entries} records and {bytes} bytes")]
    UnitTooLarge { entries: usize, bytes: usize },
    #[error("the mutation id (Idempotency-Key) was used before, for a request with other content")]
    MutationReused,
    #[error("this would read more than {rows} rows of {entity}; {remedy}")]
    TooBroad { entity: EntityName, rows: u64, remedy: ListRemedy },
    #[error(
        "`group` would make more than {MOST_GROUPS} groups of {entity}: group by a field with fewer values, or filter"
    )]
    TooManyGroups { entity: EntityName },
    #[error("the schema changed during the request")]
    SchemaChanged,
    #[error("the server has too many waiting requests")]
    Overloaded,
    #[error("the server is shutting down")]
    Closed,
    #[error("the disk is full; nothing was changed")]
    StorageFull,
    #[error("the database cannot be written now; nothing was changed")]
    ReadOnly,
    #[error("the database is damaged, so writes are refused; nothing was changed")]
    Damaged,
    #[error("the records could not be read, because the database is damaged")]
    Unreadable(String),
    #[error("the change could not be stored")]
    Storage(String),
    #[error("the records could not be read")]
    Read(String),
}

impl RepositoryError {
    pub fn code(&self) -> Code {
        match self {
            RepositoryError::UnknownEntity(_) => Code::UnknownEntity,
            RepositoryError::NoHistory(_) => Code::NoHistory,
            RepositoryError::Forbidden { .. } => Code::Forbidden,
            RepositoryError::Rule(_) => Code::RuleLimit,
            RepositoryError::HiddenColumn(_) => Code::BadQuery,
            RepositoryError::AccountDisabled(_) => Code::AccountDisabled,
            RepositoryError::NotFound { .. }
            | RepositoryError::NotFoundBy { .. }
            | RepositoryError::NotAnId { .. } => Code::NotFound,
            RepositoryError::Invalid { .. } | RepositoryError::InvalidBatch { .. } => Code::ValidationFailed,
            RepositoryError::InBatch { error, .. } | RepositoryError::OfRecord { error, .. } => error.code(),
            RepositoryError::VersionConflict { .. } => Code::VersionConflict,
            RepositoryError::IdTaken { .. } => Code::IdTaken,
            RepositoryError::NotUnique { .. } => Code::NotUnique,
            RepositoryError::UnknownReference { .. } => Code::UnknownReference,
            RepositoryError::Restricted { .. } => Code::Restricted,
            RepositoryError::CascadeTooLarge { .. } => Code::CascadeTooLarge,
            RepositoryError::TriggerFailed { .. } => Code::TriggerFailed,
            RepositoryError::LeaseHeld { .. } => Code::LeaseHeld,
            RepositoryError::LeaseLost { .. } => Code::LeaseLost,
            RepositoryError::LeaseRequired { .. } => Code::LeaseRequired,
            RepositoryError::LeaseNotPassed { .. } => Code::Forbidden,
            RepositoryError::UnitTooLarge { .. } => Code::UnitTooLarge,
            RepositoryError::MutationReused => Code::IdempotencyMismatch,
            RepositoryError::TooBroad { .. } => Code::QueryTooBroad,
            RepositoryError::TooManyGroups { .. } => Code::BadQuery,
            RepositoryError::SchemaChanged => Code::SchemaChanged,
            RepositoryError::Overloaded => Code::Overloaded,
            RepositoryError::Closed => Code::ShuttingDown,
            RepositoryError::StorageFull => Code::StorageFull,
            RepositoryError::ReadOnly => Code::ReadOnly,
            RepositoryError::Damaged | RepositoryError::Unreadable(_) => Code::StorageDamaged,
            RepositoryError::Storage(_) => Code::StorageError,
            RepositoryError::Read(_) => Code::Internal,
        }
    }

    /// The faults by field, for forms.
    pub fn field_errors(&self) -> Vec<FieldError> {
        if let RepositoryError::Invalid { errors, .. } | RepositoryError::InvalidBatch { errors, .. } = self {
            return errors.clone();
        }
        if let RepositoryError::InBatch { op, error } = self {
            return error.field_errors().into_iter().map(|fault| fault.within(*op)).collect();
        }
        if let RepositoryError::OfRecord { error, .. } = self {
            return error.field_errors();
        }
        let fault = if let RepositoryError::NotUnique { fields, .. } = self {
            let error = |field: &Arc<str>| FieldError {
                field: field.to_string(),
                code: "not_unique",
                message: self.to_string(),
            };
            return fields.iter().map(error).collect();
        } else if let RepositoryError::UnknownReference { field, .. } = self {
            Some((&**field, "unknown_reference"))
        } else if let RepositoryError::IdTaken { .. } = self {
            Some(("id", "taken"))
        } else {
            None
        };
        let error = |(field, code): (&str, _)| FieldError {
            field: field.to_owned(),
            code,
            message: self.to_string(),
        };
        fault.map(error).into_iter().collect()
    }

    /// The operation of a batch that is at fault, or the first of them.
    pub fn op(&self) -> Option<usize> {
        if let RepositoryError::InBatch { op, .. } | RepositoryError::InvalidBatch { op, .. } = self {
            return Some(*op);
        }
        None
    }

    /// The record as it is, where a version did not match.
    pub fn current(&self) -> Option<&Stored> {
        if let RepositoryError::InBatch { error, .. } | RepositoryError::OfRecord { error, .. } = self {
            return error.current();
        }
        if let RepositoryError::VersionConflict { current, .. } = self { Some(current) } else { None }
    }

    /// What the operator must know and a client must not.
    pub fn cause(&self) -> Option<String> {
        if let RepositoryError::InBatch { error, .. } | RepositoryError::OfRecord { error, .. } = self {
            return error.cause();
        }
        if let RepositoryError::Storage(cause)
        | RepositoryError::Read(cause)
        | RepositoryError::Unreadable(cause) = self
        {
            return Some(cause.clone());
        }
        if let RepositoryError::TriggerFailed { why, .. } = self {
            return Some(why.to_string());
        }
        if let RepositoryError::Rule(error) = self {
            return Some(error.cause());
        }
        None
    }
}

fn in_steps(first: &[String]) -> String {
    match first {
        [] => String::new(),
        steps => format!(
            "; delete those first, by {}, again with `cursor=` and the answer's `next` until that is null",
            steps.join(" and ")
        ),
    }
}

fn ids_of(kind: IdKind) -> &'static str {
    match kind {
        IdKind::Uuid => "UUIDs",
        IdKind::Text => "texts of 1 to 128 characters without control characters, `count` excepted",
    }
}

fn summary(entity: &str, errors: &[FieldError]) -> String {
    match errors {
        [only] => only.message.clone(),
        several => format!("{} fields of the {entity} are wrong: {}", several.len(), names(several)),
    }
}

fn names(errors: &[FieldError]) -> String {
    errors.iter().map(|error| format!("`{}`", error.field)).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for ListRemedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListRemedy::Index(index) => {
                let fields: Vec<String> = index.iter().map(|field| format!("\"{field}\"")).collect();
                write!(f, "its schema file lacks this index: [[index]] fields = [{}]", fields.join(", "))
            }
            ListRemedy::Words => f.write_str(
                "too many contain the words of the search, even before the filters apply: use more or longer words",
            ),
            ListRemedy::Narrow => f.write_str("no index would help: add filters"),
        }
    }
}

/// What a read names besides its filter: the parameter, its participle, and the columns.
#[derive(Debug, Clone)]
pub(super) struct Ordered {
    pub(super) parameter: &'static str,
    pub(super) done: &'static str,
    pub(super) columns: Vec<Column>,
}

/// Like `of_read`, with the names of the entity's fields. The schema may have changed since, and then some are gone.
pub(super) fn of_list(
    failure: StoreError,
    entity: Option<&Arc<Entity>>,
    ordered: &Ordered,
) -> RepositoryError {
    match (failure, entity) {
        (StoreError::HiddenColumn(column @ Column::Field(at), hidden), Some(entity))
            if at.0 < entity.fields.len() =>
        {
            let name = &entity.at(at).name;
            RepositoryError::HiddenColumn(match hidden {
                Hidden::Sometimes => {
                    format!("`{name}` is hidden in some records, so it cannot be {} by", ordered.done)
                }
                Hidden::Always => {
                    let unknown = unknown_field(entity, &Nameable::usual(), name);
                    let place = ordered.columns.contains(&column).then_some(ordered.parameter);
                    place.map_or(unknown.to_string(), |parameter| format!("`{parameter}`: {unknown}"))
                }
            })
        }
        (StoreError::TooBroad { entity: name, rows, advice: Advice::Index(columns) }, Some(entity)) => {
            let remedy = ListRemedy::Index(columns.iter().map(|at| entity.name_of(*at).into()).collect());
            RepositoryError::TooBroad { entity: name, rows, remedy }
        }
        (failure, _) => of_read(failure),
    }
}

pub(super) fn of_read(failure: StoreError) -> RepositoryError {
    match failure {
        StoreError::Overloaded => RepositoryError::Overloaded,
        StoreError::UnknownEntity(name) => RepositoryError::UnknownEntity(name),
        StoreError::StaleGeneration => RepositoryError::SchemaChanged,
        StoreError::Closed(entity) => RepositoryError::UnknownEntity(entity.to_string()),
        StoreError::Rule(error) => RepositoryError::Rule(error),
        // A column that the schema no longer has. The next request gets the right error.
        StoreError::HiddenColumn(..) => RepositoryError::SchemaChanged,
        StoreError::TooBroad { entity, rows, advice } => {
            let remedy = match advice {
                Advice::Words => ListRemedy::Words,
                // Fields have names only where the schema is at hand.
                Advice::Index(_) | Advice::Narrow => ListRemedy::Narrow,
            };
            RepositoryError::TooBroad { entity, rows, remedy }
        }
        StoreError::TooManyGroups { entity } => RepositoryError::TooManyGroups { entity },
        StoreError::Damaged(cause) => RepositoryError::Unreadable(cause),
        StoreError::Storage(cause) => RepositoryError::Read(cause),
    }
}

/// A record that may not even be read is answered as a missing one, so that what is refused here is seen.
fn not_allowed(entity: &str, operation: Operation) -> String {
    match operation {
        Operation::Read => format!("you may not read this {entity}"),
        Operation::List => format!("you may not list this {entity}"),
        Operation::Create => format!("you may not create this {entity}"),
        Operation::Update => format!("you may read this {entity}, but not update it in this way"),
        Operation::Delete => format!("you may read this {entity}, but not delete it"),
        Operation::Lease => format!("you may read this {entity}, but not hold its lease"),
    }
}

/// What another record has, in words.
fn taken(fields: &[Arc<str>]) -> String {
    let names = fields.join("`, `");
    match fields {
        [_] => format!("this value of `{names}`, which is unique"),
        _ => format!("these values of `{names}`, which are unique together"),
    }
}
