//! Reading one entity whole, or as one person sees it: who takes the records, and what came of it.
//!
//! Knows no database and no file format.

use super::OpenError;
use crate::ids::Position;
use crate::rules::{BindError, Mask, ReadScope};
use crate::schema::{EntityName, Generation, Record};

/// Takes the records of an export, in the order of their ids.
pub trait Sink {
    /// Called once, before the first record: the position at which all of them are true, how many there are, and what is
    /// seen of them.
    fn start(&mut self, position: &Position, records: u64, read_scope: &ReadScope) -> std::io::Result<()>;
    /// The fields of the mask must not be shown.
    fn record(&mut self, record: &Record, mask: &Mask) -> std::io::Result<()>;
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    pub position: Position,
    pub records: u64,
    /// Whether there is a record of the person for whom this was; so it is for the owner of the database.
    pub is_known: bool,
}

/// Why an export broke off.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("{0}")]
    Open(OpenError),
    /// The rules of the files are not the ones that the database has.
    #[error(
        "the schema files differ from the schema of the data folder (generation {}), so their rules are not in force yet: start \
         `tidewire dev`, or see `tidewire migrate plan`, then export again",
        .0.0
    )]
    NotInForce(Generation),
    #[error(
        "there is no {0} that this person may read: its rule for `read` is missing or never holds for them, or the account is \
         disabled; `tidewire rules why --as NAME read {0} ID` says more"
    )]
    Closed(EntityName),
    #[error("{0}")]
    Rule(BindError),
    #[error(
        "the records cannot be read, because the database is damaged ({0}): `tidewire doctor` shows what is damaged and what can \
         be rescued"
    )]
    Damaged(String),
    #[error("the records cannot be read: {0}")]
    Read(String),
    #[error("the output cannot be written: {0}")]
    Output(std::io::Error),
}
