//! `Import`: writing many records into a database that no server uses, all of them or none, in units of ordinary size.
//!
//! Knows no database and no file: what an operation came from is a line number.

use super::{CommitError, Op, OpStatus};
use crate::ids::{MutationId, Position, RecordId, Timestamp};

/// References to later lines that may wait for them at once.
pub const WAITING_REFERENCES: usize = 1_000_000;

/// A database that is open for an import. Dropped without `commit`, nothing is imported.
pub trait Import {
    /// When every record of this import is written.
    fn at(&self) -> Timestamp;

    /// How far a job got in an earlier run.
    fn job(&self, job: &str) -> Result<Option<EarlierImport>, ImportError>;

    /// One unit: `feed` applies operations to it until it has enough. Its entries carry `mid`.
    fn unit(&mut self, mid: MutationId, forward: Forward, feed: &mut Feed<'_>) -> Result<(), ImportError>;

    /// Sets the references that waited for later lines, now that all are there. Answers with the lines whose reference
    /// leads nowhere.
    fn settle(&mut self, mid: &MutationId) -> Result<Vec<LineRefused>, ImportError>;

    /// Makes everything since the last commit durable, together with how far the job is, and continues.
    fn commit(&mut self, job: &str, progress: &ImportJob) -> Result<Position, ImportError>;

    /// Drops what was not committed, and closes the database.
    fn close(self: Box<Self>);
}

/// Fills one unit.
pub type Feed<'a> = dyn FnMut(&mut dyn ImportUnit) -> Result<(), ImportError> + 'a;

/// One unit of an import.
pub trait ImportUnit {
    fn exists(&self, entity: &str, id: &RecordId) -> Result<bool, ImportError>;

    /// Applies one operation. One that is refused leaves no trace; the unit continues.
    fn apply(&mut self, line: u64, op: &Op) -> Result<Applied, ImportError>;
}

/// What becomes of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportMode {
    /// Tables and indexes that the schema has and the database lacks are added, and records are written.
    Write,
    /// Nothing of it stays, and no database is made.
    Rehearse,
}

/// Whether a record may refer to one that a later line creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forward {
    Waits,
    Refused,
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq)]
pub enum Applied {
    Done(OpStatus),
    Refused(CommitError),
    /// The unit holds too much already: close it and apply the record in the next.
    Full,
}

/// How far an import got, written in the transaction of its last records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportJob {
    /// Records up to this line are done with.
    pub line: u64,
    /// The end of the file was reached.
    pub done: bool,
    pub created: u64,
    pub updated: u64,
    pub skipped: u64,
    pub refused: u64,
}

/// A job of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EarlierImport {
    pub job: ImportJob,
    pub at: Timestamp,
}

/// A line whose reference leads nowhere.
#[derive(Debug, Clone, PartialEq)]
pub struct LineRefused {
    pub line: u64,
    pub refusal: CommitError,
}

/// Why an import cannot continue. What was not committed is gone.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the disk is full")]
    StorageFull,
    #[error("the database cannot be written")]
    ReadOnly,
    #[error("the database cannot be written: {0}")]
    Storage(String),
    #[error(
        "more than {WAITING_REFERENCES} references lead to later lines: put the records that are referred to first, or import \
         the field in a second run with --on-conflict update"
    )]
    TooManyWaiting,
}
