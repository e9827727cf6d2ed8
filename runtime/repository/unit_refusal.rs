//! A write that was refused, translated from the store's words into those of its request: one operation, a change of many, or a batch.

use super::error::{FieldError, RepositoryError};
use super::mutation::Mutation;
use crate::ids::RecordId;
use crate::protocol::{Code, Retry};
use crate::schema::EntityName;
use crate::store::CommitError;

/// A unit that was refused, before it is known in whose words: those of one request, or those of a batch.
#[derive(Debug, PartialEq)]
pub(super) struct UnitRefusal {
    /// The operations at fault, in order; none when the unit as a whole is refused.
    ops: Vec<usize>,
    /// One for each operation at fault, or the one of the unit.
    errors: Vec<RepositoryError>,
}

/// One operation that was refused, by its place in the unit.
#[derive(Debug)]
pub(super) struct RefusedOp {
    pub(super) op: usize,
    pub(super) error: RepositoryError,
}

impl UnitRefusal {
    pub(super) fn of_ops(refused: Vec<RefusedOp>) -> UnitRefusal {
        let (ops, errors) = refused.into_iter().map(|refused| (refused.op, refused.error)).unzip();
        UnitRefusal { ops, errors }
    }

    pub(super) fn of_commit(refusal: CommitError, mutations: &[Mutation]) -> UnitRefusal {
        let ops = refusal.op().into_iter().collect();
        UnitRefusal { ops, errors: vec![of_commit(refusal, mutations)] }
    }

    /// Of a change of many: a refusal that is about one of its records names it.
    pub(super) fn of_many(refusal: CommitError, of: &Mutation, ids: &[RecordId]) -> RepositoryError {
        let at_fault = refusal.op().and_then(|op| ids.get(op)).cloned();
        let mutation = Mutation { id: at_fault.as_ref().map(RecordId::to_string), ..of.clone() };
        let entity: EntityName = of.entity.as_str().into();
        match (at_fault, of_commit(refusal.at(0), &[mutation])) {
            // Whose rules fail is no matter of one record.
            (None, error) | (Some(_), error @ RepositoryError::Rule(_)) => error,
            (Some(id), error) => RepositoryError::OfRecord { entity, id, error: Box::new(error) },
        }
    }

    /// Names for each delete that takes too much with it the requests that delete it in steps.
    pub(super) fn with_steps(mut self, steps: impl Fn(usize) -> Vec<String>) -> UnitRefusal {
        for (op, error) in self.ops.iter().zip(&mut self.errors) {
            if let RepositoryError::CascadeTooLarge { first, .. } = error {
                *first = steps(*op);
            }
        }
        self
    }

    /// The unit as a whole, before the store has seen it.
    pub(super) fn of_unit(error: RepositoryError) -> UnitRefusal {
        UnitRefusal { ops: Vec::new(), errors: vec![error] }
    }

    /// Whether it is the server's trouble, or the log's, and says nothing of what was asked.
    pub(super) fn is_of_the_server(&self) -> bool {
        self.errors.iter().any(|error| error.code().retry() == Retry::Later)
    }

    pub(super) fn is_stale(&self) -> bool {
        self.errors == [RepositoryError::SchemaChanged]
    }

    /// For a request of one operation.
    pub(super) fn alone(mut self) -> RepositoryError {
        self.errors.pop().unwrap_or_else(|| RepositoryError::Storage("a refusal without a reason".to_owned()))
    }

    /// For a batch, which names the operation.
    pub(super) fn in_batch(self) -> RepositoryError {
        match self.ops[..] {
            [] => self.alone(),
            [op] => RepositoryError::InBatch { op, error: Box::new(self.alone()) },
            [op, ..] => {
                let faults = self.ops.iter().zip(&self.errors).flat_map(|(op, error)| faults_of(*op, error));
                RepositoryError::InvalidBatch { op, errors: faults.take(MAX_BATCH_FAULTS).collect() }
            }
        }
    }
}

/// The most faults that one answer lists.
const MAX_BATCH_FAULTS: usize = 100;

/// The faults of one operation, by field; an operation that is wrong as a whole is named by what makes it so.
fn faults_of(op: usize, error: &RepositoryError) -> Vec<FieldError> {
    let fields = error.field_errors();
    if !fields.is_empty() {
        return fields.into_iter().map(|fault| fault.within(op)).collect();
    }
    let unknown = error.code() == Code::UnknownEntity;
    let (field, code) = if unknown { ("entity", "unknown_entity") } else { ("id", "not_found") };
    vec![FieldError { field: field.to_owned(), code, message: error.to_string() }.within(op)]
}

/// The same for the lease of a record.
pub(super) fn of_lease(refusal: CommitError, entity: &EntityName) -> RepositoryError {
    of_commit(refusal, &[Mutation::delete(entity, "")])
}

/// Translates the store's refusal into the words of the request.
fn of_commit(refusal: CommitError, mutations: &[Mutation]) -> RepositoryError {
    let entity = |op: usize| -> EntityName {
        mutations.get(op).map_or_else(|| "record".into(), |mutation| mutation.entity.as_str().into())
    };
    match refusal {
        CommitError::NotFound { op } => RepositoryError::NotFound {
            entity: entity(op),
            id: mutations.get(op).and_then(|mutation| mutation.id.clone()).unwrap_or_default(),
        },
        CommitError::Forbidden { op, operation } => {
            RepositoryError::Forbidden { entity: entity(op), operation }
        }
        CommitError::Rule { error, .. } => RepositoryError::Rule(error),
        CommitError::VersionConflict { op, current } => {
            RepositoryError::VersionConflict { entity: entity(op), current }
        }
        CommitError::IdTaken { op } => RepositoryError::IdTaken { entity: entity(op) },
        CommitError::NotUnique { op, fields } => RepositoryError::NotUnique { entity: entity(op), fields },
        CommitError::UnknownReference { op, field } => {
            RepositoryError::UnknownReference { entity: entity(op), field }
        }
        CommitError::NoNumber { op, field } => {
            let message =
                format!("`{field}` has no number left: the highest was given, so no further record gets one");
            let errors = vec![FieldError { field: field.to_string(), code: "no_number", message }];
            RepositoryError::Invalid { entity: entity(op), errors }
        }
        CommitError::Restricted { op, entity: by } => RepositoryError::Restricted { entity: entity(op), by },
        CommitError::CascadeTooLarge { op, limit } => {
            RepositoryError::CascadeTooLarge { entity: entity(op), limit, first: Vec::new() }
        }
        CommitError::TriggerFailed { entity, why, .. } => RepositoryError::TriggerFailed { entity, why },
        CommitError::LeaseHeld { op, holder, until } => {
            RepositoryError::LeaseHeld { entity: entity(op), holder, until }
        }
        CommitError::LeaseLost { op } => RepositoryError::LeaseLost { entity: entity(op) },
        CommitError::LeaseRequired { op } => RepositoryError::LeaseRequired { entity: entity(op) },
        CommitError::LeaseNotPassed { op } => RepositoryError::LeaseNotPassed { entity: entity(op) },
        CommitError::Unfit { op } => {
            RepositoryError::Storage(format!("an operation of {} is outside of its limits", entity(op)))
        }
        CommitError::UnitTooLarge { entries, bytes } => RepositoryError::UnitTooLarge { entries, bytes },
        CommitError::MutationReused => RepositoryError::MutationReused,
        CommitError::StaleGeneration => RepositoryError::SchemaChanged,
        CommitError::Overloaded => RepositoryError::Overloaded,
        CommitError::Closed => RepositoryError::Closed,
        CommitError::StorageFull => RepositoryError::StorageFull,
        CommitError::ReadOnly => RepositoryError::ReadOnly,
        CommitError::Damaged => RepositoryError::Damaged,
        CommitError::Storage(cause) => RepositoryError::Storage(cause),
    }
}
