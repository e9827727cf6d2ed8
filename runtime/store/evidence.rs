//! `Evidence`: why an operation was refused, as the transaction saw it that refused it. It holds no record, only the values that the
//! clauses read which decided.
//!
//! Knows no caller and no request: `refusals/` keeps it with these.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::ids::Seq;
use crate::rules::{Clause, KnownFacts, Subject, Truth, deciding, explain};
use crate::schema::{Entity, EntityName, Operation, Schema};

/// See the module's text.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Index of the operation in its unit.
    pub op: usize,
    pub entity: EntityName,
    /// Of the record, or of the one that would have been created.
    pub id: Arc<str>,
    pub finding: RefusalFinding,
    /// The rule that was asked last.
    pub rule: Option<RuleEvidence>,
    /// The last change that the transaction saw.
    pub position: Seq,
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusalFinding {
    /// There is no such record.
    Missing,
    /// The record is there, but the caller may not read it.
    Hidden,
    /// No record of the entity may be read, whatever it holds: as if there were no such entity.
    Closed,
    /// The rule does not allow it.
    Denied,
    /// The account of the caller is disabled.
    Disabled,
    /// The entity has no rule at all.
    Unruled,
    /// A field refers to a record that is not there.
    MissingReference { field: Arc<str>, target: EntityName, id: Arc<str> },
    /// A field refers to a record that the caller may not read.
    HiddenReference { field: Arc<str>, target: EntityName, id: Arc<str> },
}

impl RefusalFinding {
    /// As answers name it.
    pub fn word(&self) -> &'static str {
        match self {
            RefusalFinding::Missing => "missing",
            RefusalFinding::Hidden => "hidden",
            RefusalFinding::Closed => "closed",
            RefusalFinding::Denied => "denied",
            RefusalFinding::Disabled => "disabled",
            RefusalFinding::Unruled => "unruled",
            RefusalFinding::MissingReference { .. } => "missing_reference",
            RefusalFinding::HiddenReference { .. } => "hidden_reference",
        }
    }
}

/// A rule, and what decided it.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleEvidence {
    /// The entity whose rule it is.
    pub entity: EntityName,
    pub operation: Operation,
    /// As the schema file has it; `None` where it has none.
    pub source: Option<String>,
    pub truth: Truth,
    pub clauses: Vec<Clause>,
}

impl RuleEvidence {
    pub fn of(
        schema: &Schema,
        entity: &Entity,
        operation: Operation,
        subject: Subject<'_>,
        known: &KnownFacts,
    ) -> RuleEvidence {
        let rule = entity.access.rule(operation);
        let part = explain(rule, schema, entity, subject, known);
        RuleEvidence {
            entity: entity.name.clone(),
            operation,
            source: entity.access.source(operation).map(|rule| rule.source.to_string()),
            truth: part.truth,
            clauses: deciding(rule, &part),
        }
    }
}

/// Where a unit leaves its evidence for those who sent it.
#[derive(Debug, Default)]
pub struct Witness(Mutex<Option<Box<Evidence>>>);

impl Witness {
    pub fn testify(&self, evidence: Box<Evidence>) {
        *self.0.lock() = Some(evidence);
    }

    pub fn take(&self) -> Option<Box<Evidence>> {
        self.0.lock().take()
    }
}
