//! What both formats share: rows, and those who read and write them.
//!
//! Knows no format.

use std::io::Write;

use crate::repository::{Body, FieldError};
use crate::rules::Mask;
use crate::schema::{Entity, Record};

/// Longest line, or record of a CSV file, in bytes: no record is larger, since no unit of the log is.
pub(super) const LONGEST: usize = 8 << 20;

/// Columns of an export that the server keeps by itself.
const SYSTEM: [&str; 3] = ["version", "created_at", "updated_at"];

/// Writes records as a file has them.
pub(in crate::cli) trait RecordWriter {
    /// Without the fields of the mask.
    fn record(&mut self, record: &Record, mask: &Mask, out: &mut dyn Write) -> std::io::Result<()>;
}

/// One record as a file has it.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct Row {
    /// Line of the file at which the record begins, from 1 on.
    pub(in crate::cli) line: u64,
    /// What the record gives, without what the server keeps by itself; or why it cannot be read.
    pub(in crate::cli) body: Result<Body, Vec<FieldError>>,
}

/// Reads one record after the other. `None` at the end; an error ends the file.
pub(in crate::cli) trait RowReader {
    fn next(&mut self) -> Result<Option<Row>, FileFault>;
    /// Names of columns that were passed over so far, because the server keeps them by itself.
    fn passed_over(&self) -> Vec<String>;
}

/// Why a file cannot be read on. The texts name the line and say what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct FileFault {
    pub(in crate::cli) line: u64,
    pub(in crate::cli) message: String,
}

pub(super) fn unreadable(line: u64, error: &std::io::Error) -> FileFault {
    FileFault { line, message: format!("the file cannot be read: {error}") }
}

/// Whether the server keeps this column by itself: an import passes over it.
pub(super) fn is_kept_by_the_server(entity: &Entity, name: &str) -> bool {
    SYSTEM.contains(&name) || entity.field(name).is_some_and(|(_, field)| field.lookup.is_some())
}

pub(super) fn whole_row(code: &'static str, message: impl Into<String>) -> Vec<FieldError> {
    vec![FieldError { field: String::new(), code, message: message.into() }]
}
