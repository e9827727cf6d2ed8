//! What a look at a database finds that changes nothing in it: for the operator before a server is started, or beside one.
//!
//! Knows no database.

use std::path::PathBuf;

use crate::ids::Timestamp;

/// What is where the database belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    pub in_use: Option<InUse>,
    /// `None` when there is no database yet.
    pub database: Option<DatabaseFound>,
}

/// A process holds the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse {
    /// Which, if it says so.
    pub pid: Option<u32>,
}

/// A database that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFound {
    pub bytes: u64,
    /// How the database is kept, in its own words: `journal_mode=wal`.
    pub mode: String,
    pub changes: u64,
    /// Time of the newest change, if any is left in the log.
    pub newest: Option<Timestamp>,
    /// What a whole check found; empty when the database is sound.
    pub faults: Vec<String>,
    /// Tables that the faults are in, as far as they can be told.
    pub damaged: Vec<String>,
    /// The newest copy that was made before a migration.
    pub backup: Option<PathBuf>,
}

/// Why a database would not keep what is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    pub what: String,
    pub advice: &'static str,
}
