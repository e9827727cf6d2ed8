//! `RepositoryError`: why a request was refused, in the words of the request, with the code that it has on every
//! transport. Knows no HTTP status.

use std::sync::Arc;

use serde::Serialize;

use super::mutation::Mutation;
use crate::ids::shown;
use crate::protocol::Code;
use crate::schema::{Entity, EntityName, FieldIndex, IdKind};
use crate::store::{Advice, CommitError, MOST_GROUPS, StoreError, Stored};

/// One fault of one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    pub field: String,
    /// Lower snake case and stable: `required`, `wrong_type`, `too_long`, ...
    pub code: &'static str,
    /// A whole sentence that names the field.
    pub message: String,
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
    #[error("`{}` cannot be the id of a {entity}: its ids are {}", shown(id), ids_of(*kind))]
    NotAnId { entity: EntityName, kind: IdKind, id: String },
    #[error("{}", summary(entity, errors))]
    Invalid { entity: EntityName, errors: Vec<FieldError> },
    #[error("the {entity} is at version {}, not at the one that the request names", current.version)]
    VersionConflict { entity: EntityName, current: Stored },
    #[error("there is already a {entity} with this id")]
    IdTaken { entity: EntityName },
    #[error("another {entity} has this value of `{field}`, which is unique")]
    NotUnique { entity: EntityName, field: Arc<str> },
    #[error("`{field}` of the {entity} refers to a record that does not exist")]
    UnknownReference { entity: EntityName, field: Arc<str> },
    #[error("the {entity} cannot be deleted: records of {by} still refer to it")]
    Restricted { entity: EntityName, by: EntityName },
    #[error("the change of the {entity} would change or delete more than {limit} other records with it")]
    CascadeTooLarge { entity: EntityName, limit: usize },
    #[error("one request may change at most {entries} records and {bytes} bytes")]
    UnitTooLarge { entries: usize, bytes: usize },
    #[error("the Idempotency-Key was used before, for a request with other content")]
    MutationReused,
    #[error("this would step over more than {rows} rows of {entity}; {}", how(index))]
    TooBroad { entity: EntityName, rows: u64, index: Vec<Arc<str>> },
    #[error(
        "`group` would make more than {MOST_GROUPS} groups of {entity}: group by a field with fewer values, or filter"
    )]
    TooManyGroups { entity: EntityName },
    #[error("the schema changed while the request was on its way")]
    SchemaChanged,
    #[error("the server has more requests waiting than it takes")]
    Overloaded,
    #[error("the server is shutting down")]
    Closed,
    #[error("the disk is full; nothing was changed")]
    StorageFull,
    #[error("the database cannot be written now; nothing was changed")]
    ReadOnly,
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
            RepositoryError::NotFound { .. } | RepositoryError::NotAnId { .. } => Code::NotFound,
            RepositoryError::Invalid { .. } => Code::ValidationFailed,
            RepositoryError::VersionConflict { .. } => Code::VersionConflict,
            RepositoryError::IdTaken { .. } => Code::IdTaken,
            RepositoryError::NotUnique { .. } => Code::NotUnique,
            RepositoryError::UnknownReference { .. } => Code::UnknownReference,
            RepositoryError::Restricted { .. } => Code::Restricted,
            RepositoryError::CascadeTooLarge { .. } => Code::CascadeTooLarge,
            RepositoryError::UnitTooLarge { .. } => Code::UnitTooLarge,
            RepositoryError::MutationReused => Code::IdempotencyMismatch,
            RepositoryError::TooBroad { .. } => Code::QueryTooBroad,
            RepositoryError::TooManyGroups { .. } => Code::BadQuery,
            RepositoryError::SchemaChanged => Code::SchemaChanged,
            RepositoryError::Overloaded => Code::Overloaded,
            RepositoryError::Closed => Code::ShuttingDown,
            RepositoryError::StorageFull => Code::StorageFull,
            RepositoryError::ReadOnly => Code::ReadOnly,
            RepositoryError::Storage(_) => Code::StorageError,
            RepositoryError::Read(_) => Code::Internal,
        }
    }

    /// The faults by field, for forms.
    pub fn field_errors(&self) -> Vec<FieldError> {
        if let RepositoryError::Invalid { errors, .. } = self {
            return errors.clone();
        }
        let fault = if let RepositoryError::NotUnique { field, .. } = self {
            Some((&**field, "not_unique"))
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

    /// What the operator must know and a client must not.
    pub fn cause(&self) -> Option<&str> {
        if let RepositoryError::Storage(cause) | RepositoryError::Read(cause) = self {
            return Some(cause);
        }
        None
    }
}

fn ids_of(kind: IdKind) -> &'static str {
    match kind {
        IdKind::Uuid => "UUIDs",
        IdKind::Text => "texts of 1 to 128 characters without control characters",
    }
}

fn summary(entity: &str, errors: &[FieldError]) -> String {
    match errors {
        [only] => only.message.clone(),
        several => {
            let names: Vec<_> = several.iter().map(|error| format!("`{}`", error.field)).collect();
            format!("{} fields of the {entity} are wrong: {}", several.len(), names.join(", "))
        }
    }
}

/// Translates the store's refusal into the words of the request.
pub(super) fn of_commit(refusal: CommitError, mutations: &[Mutation]) -> RepositoryError {
    let entity = |op: usize| -> EntityName {
        mutations.get(op).map_or_else(|| "record".into(), |mutation| mutation.entity.as_str().into())
    };
    match refusal {
        CommitError::NotFound { op } => RepositoryError::NotFound {
            entity: entity(op),
            id: mutations.get(op).and_then(|mutation| mutation.id.clone()).unwrap_or_default(),
        },
        CommitError::VersionConflict { op, current } => {
            RepositoryError::VersionConflict { entity: entity(op), current }
        }
        CommitError::IdTaken { op } => RepositoryError::IdTaken { entity: entity(op) },
        CommitError::NotUnique { op, field } => RepositoryError::NotUnique { entity: entity(op), field },
        CommitError::UnknownReference { op, field } => {
            RepositoryError::UnknownReference { entity: entity(op), field }
        }
        CommitError::Restricted { op, entity: by } => RepositoryError::Restricted { entity: entity(op), by },
        CommitError::CascadeTooLarge { op, limit } => {
            RepositoryError::CascadeTooLarge { entity: entity(op), limit }
        }
        CommitError::UnitTooLarge { entries, bytes } => RepositoryError::UnitTooLarge { entries, bytes },
        CommitError::MutationReused => RepositoryError::MutationReused,
        CommitError::StaleGeneration => RepositoryError::SchemaChanged,
        CommitError::Overloaded => RepositoryError::Overloaded,
        CommitError::Closed => RepositoryError::Closed,
        CommitError::StorageFull => RepositoryError::StorageFull,
        CommitError::ReadOnly => RepositoryError::ReadOnly,
        CommitError::Storage(cause) => RepositoryError::Storage(cause),
    }
}

/// How to keep a read below the bound.
fn how(index: &[Arc<str>]) -> String {
    if index.is_empty() {
        return "no further index would help: narrow it by filters or longer words".to_owned();
    }
    let fields: Vec<String> = index.iter().map(|field| format!("\"{field}\"")).collect();
    format!("its schema file lacks this index: [[index]] fields = [{}]", fields.join(", "))
}

/// Like `of_read`, with the names of the entity's fields. The schema may have changed since, and then some are gone.
pub(super) fn of_list(failure: StoreError, entity: Option<&Arc<Entity>>) -> RepositoryError {
    match (failure, entity) {
        (StoreError::TooBroad { entity: name, rows, advice: Advice::Index(fields) }, Some(entity)) => {
            let name_of = |at: &FieldIndex| Some(entity.fields.get(at.0)?.name.clone());
            let index = fields.iter().filter_map(name_of).collect();
            RepositoryError::TooBroad { entity: name, rows, index }
        }
        (failure, _) => of_read(failure),
    }
}

pub(super) fn of_read(failure: StoreError) -> RepositoryError {
    match failure {
        StoreError::Overloaded => RepositoryError::Overloaded,
        StoreError::UnknownEntity(name) => RepositoryError::UnknownEntity(name),
        StoreError::StaleGeneration => RepositoryError::SchemaChanged,
        StoreError::TooBroad { entity, rows, .. } => {
            RepositoryError::TooBroad { entity, rows, index: Vec::new() }
        }
        StoreError::TooManyGroups { entity } => RepositoryError::TooManyGroups { entity },
        StoreError::Storage(cause) => RepositoryError::Read(cause),
    }
}
