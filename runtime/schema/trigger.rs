//! `Trigger`: an `[[on]]` of a schema file, checked: what the server does with other records after an operation on one
//! (SEMANTICS X3).
//!
//! Knows what is to be done and nothing of how: `store/unit/` does it.

use std::sync::Arc;

use super::column::{Column, EntityName, FieldIndex};
use super::operation::Operation;
use super::rule::{ReferencePath, Rule};
use super::value::Value;

/// See the module's text. Two are equal when their sources are.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// All that its table says, in one form.
    pub source: Arc<str>,
    /// `Create`, `Update` or `Delete`.
    pub event: Operation,
    /// Evaluated on the record after the operation, before it in a delete. `Term::Change` is the value before an update, and
    /// `Expr::Named` says whether the update changed the field.
    pub when: Option<Rule>,
    pub act: TriggerAct,
}

impl PartialEq for Trigger {
    fn eq(&self, other: &Trigger) -> bool {
        self.source == other.source
    }
}

/// What is done.
#[derive(Debug, Clone)]
pub enum TriggerAct {
    /// Fields that are not set get their defaults.
    Create {
        entity: EntityName,
        set: Vec<SetField>,
        exists: OnExisting,
    },
    Update {
        of: TriggerTarget,
        set: Vec<SetField>,
    },
    Delete {
        of: TriggerTarget,
    },
}

impl TriggerAct {
    /// The entity whose records are written.
    pub fn entity(&self) -> &EntityName {
        match self {
            TriggerAct::Create { entity, .. } => entity,
            TriggerAct::Update { of, .. } | TriggerAct::Delete { of } => &of.entity,
        }
    }

    pub fn operation(&self) -> Operation {
        match self {
            TriggerAct::Create { .. } => Operation::Create,
            TriggerAct::Update { .. } => Operation::Update,
            TriggerAct::Delete { .. } => Operation::Delete,
        }
    }
}

/// What becomes of a create where a record with the same unique values is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExisting {
    Fail,
    /// It is left as it is, and nothing is created.
    Skip,
}

/// The records whose column has a value of the record at hand; none where that is null.
#[derive(Debug, Clone)]
pub struct TriggerTarget {
    pub entity: EntityName,
    /// `Id`, or a field with an index.
    pub column: Column,
    pub value: SetValue,
}

#[derive(Debug, Clone)]
pub struct SetField {
    pub field: FieldIndex,
    pub value: SetValue,
}

/// From where a value comes, in the form in which its target stores it.
#[derive(Debug, Clone, PartialEq)]
pub enum SetValue {
    Constant(Value),
    /// Of the record after the operation, before it in a delete. A time of the record is a datetime.
    Column(Column),
    /// Of the record before an update.
    Old(FieldIndex),
    /// Of a record behind references, which begin at a `Record` or, before an update, a `Change`. Null where one leads nowhere.
    Behind(Box<ReferencePath>),
    /// Null for an anonymous writer and for the server itself.
    UserId,
    /// The time of the unit: a datetime.
    Now,
    /// The day of it.
    Today,
    /// Texts, one after the other; null where one of them is.
    Joined(Vec<SetValue>),
}
