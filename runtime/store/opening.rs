//! What opening a database answers: the open store and what was found, or why it was not opened.
//!
//! Knows no database. A backend fills in what its database is called in messages.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::CommitBatch;
use super::migration::Plan;
use crate::ids::{Epoch, Seq};
use crate::schema::Generation;

/// An opened store.
pub struct Opened<S: ?Sized> {
    pub store: Arc<S>,
    /// Every commit's changes, in seq order. The holder must drain or drop it: a full channel holds back the
    /// next commit, and closing the store waits for the last.
    pub batches: mpsc::Receiver<Arc<CommitBatch>>,
    /// Of the schema as the database has it now: goes into every `Unit`.
    pub generation: Generation,
    pub report: OpenReport,
}

/// What opening found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    pub created_tables: Vec<String>,
    /// What was done to tables that were there before: `Task.due: add the field`.
    pub changes: Vec<String>,
    /// On tables that were there before: `tasks:status,due`.
    pub added_indexes: Vec<String>,
    pub epoch: Epoch,
    /// Head of the log, with the schema marker if there is a new one. The first batch follows it.
    pub head: Seq,
    /// How durable a commit is, read back from the database: `full`.
    pub synchronous: &'static str,
}

/// A database whose shape was changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Evolved {
    pub generation: Generation,
    pub plan: Plan,
}

/// What a migration did.
#[derive(Debug, Clone, PartialEq)]
pub struct Migrated {
    /// Generation before.
    pub was: Generation,
    pub generation: Generation,
    pub plan: Plan,
    /// A copy of the database as it was, made because something was lost.
    pub backup: Option<PathBuf>,
}

/// Why a database was not opened. The texts are for the operator; they say what to do. `database` and `place` are what the
/// operator calls it: a file, a folder.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{place} is in use by {}: stop it, or choose {other}", holder(*pid))]
    InUse { place: String, pid: Option<u32>, other: &'static str },
    /// The place is no place for a database, or what works on it is too old: the text says which.
    #[error("{0}")]
    Unusable(String),
    #[error(
        "{database} is damaged or not a Tidewire database ({detail}): put a backup in its place, or move it away to start \
         with an empty one; `tidewire doctor` shows what is damaged and what can be rescued"
    )]
    Damaged { database: String, detail: String },
    #[error(
        "{database} was written by {program} in format {found}; this is Tidewire {}, which knows formats up to {known}: use the \
         newer program",
        env!("CARGO_PKG_VERSION")
    )]
    NewerFormat { database: String, found: u32, known: u32, program: String },
    #[error("the schema does not fit the data, and nothing was changed:\n{plan}\n{}", advice(plan))]
    Schema { plan: Plan },
    #[error("the server is shutting down")]
    Closed,
    #[error("there is no database {place}: {advice}")]
    NoDatabase { place: String, advice: &'static str },
    #[error(
        "{database} lacks {what}, which the schema files have: `tidewire migrate plan` shows what is to be done first; or name the \
         schema files that belong to the data with --schemas DIR"
    )]
    NotYet { database: String, what: String },
    #[error(
        "the backup {copy} cannot be written ({detail}), so nothing was changed: make room on that disk, about as much as the \
         database takes"
    )]
    Backup { copy: String, detail: String },
    #[error("{database} cannot be opened: {detail}")]
    Storage { database: String, detail: String },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// What to type.
fn advice(plan: &Plan) -> String {
    let flags = plan.flags().join(" ");
    match (plan.is_blocked(), flags.is_empty()) {
        (false, _) => format!(
            "Undo these changes in the schema files, or allow them:\n  tidewire migrate apply {flags}"
        ),
        (true, true) => "Change the records or the schema files as described above.".to_owned(),
        (true, false) => {
            format!(
                "Change what has no flag as described above; then allow the rest:\n  tidewire migrate apply {flags}"
            )
        }
    }
}
