//! The file formats of export and import: JSON lines and CSV. What a cell, a line and a header mean is decided here.
//!
//! Knows no database and no command.

mod cells;
mod csv_rows;
mod empty_cells;
mod lines;
mod writer;

use std::io::{BufRead, Read, Write};
use std::path::Path;

use clap::ValueEnum;

use crate::repository::{Body, FieldError};
use crate::rules::{Mask, ReadScope};
use crate::schema::{Entity, Record};

/// Longest line, or record of a CSV file, in bytes: no record is larger, since no unit of the log is.
const LONGEST: usize = 8 << 20;

/// Columns of an export that the server keeps by itself.
const SYSTEM: [&str; 3] = ["version", "created_at", "updated_at"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// A header, then one record a row.
    Csv,
}

impl Format {
    /// By the end of a file's name: `.csv`, or else JSON lines.
    pub fn of(path: &Path) -> Format {
        let is_csv = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
        if is_csv { Format::Csv } else { Format::Jsonl }
    }
}

/// Writes records as a file has them.
pub(super) trait RecordWriter {
    /// Without the fields of the mask.
    fn record(&mut self, record: &Record, mask: &Mask, out: &mut dyn Write) -> std::io::Result<()>;
}

/// A writer for what is seen of one entity, with the header written.
pub(super) fn writer(
    format: Format,
    read_scope: &ReadScope,
    out: &mut dyn Write,
) -> std::io::Result<Box<dyn RecordWriter>> {
    match format {
        Format::Jsonl => Ok(Box::new(writer::Lines(read_scope.entity.clone()))),
        Format::Csv => Ok(Box::new(writer::Rows::begin(read_scope, out)?)),
    }
}

/// One record as a file has it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// Line of the file at which the record begins, from 1 on.
    pub(super) line: u64,
    /// What the record gives, without what the server keeps by itself; or why it cannot be read.
    pub(super) body: Result<Body, Vec<FieldError>>,
}

/// Reads one record after the other. `None` at the end; an error ends the file.
pub(super) trait RowReader {
    fn next(&mut self) -> Result<Option<Row>, FileFault>;
    /// Names of columns that were passed over so far, because the server keeps them by itself.
    fn passed_over(&self) -> Vec<String>;
}

/// Why a file cannot be read on. The texts name the line and say what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileFault {
    pub(super) line: u64,
    pub(super) message: String,
}

/// A reader for one entity. A CSV file's header is read and judged at once: all its faults together.
pub(super) fn reader<'a>(
    format: Format,
    entity: &'a Entity,
    input: Box<dyn BufRead + 'a>,
) -> Result<Box<dyn RowReader + 'a>, Vec<FileFault>> {
    let input = without_mark(input).map_err(|error| vec![unreadable(1, &error)])?;
    match format {
        Format::Jsonl => Ok(Box::new(lines::JsonLines::new(entity, input))),
        Format::Csv => Ok(Box::new(csv_rows::CsvRows::open(entity, input)?)),
    }
}

/// The input behind a UTF-8 byte order mark, which some editors put first.
fn without_mark<'a>(mut input: Box<dyn BufRead + 'a>) -> std::io::Result<Box<dyn BufRead + 'a>> {
    const MARK: &[u8] = b"\xEF\xBB\xBF";
    let mut first = Vec::with_capacity(MARK.len());
    input.by_ref().take(MARK.len() as u64).read_to_end(&mut first)?;
    if first == MARK {
        return Ok(input);
    }
    Ok(Box::new(std::io::Cursor::new(first).chain(input)))
}

fn unreadable(line: u64, error: &std::io::Error) -> FileFault {
    FileFault { line, message: format!("the file cannot be read: {error}") }
}

/// Whether the server keeps this column by itself: an import passes over it.
fn is_kept_by_the_server(entity: &Entity, name: &str) -> bool {
    SYSTEM.contains(&name) || entity.field(name).is_some_and(|(_, field)| field.lookup.is_some())
}

fn whole_row(code: &'static str, message: impl Into<String>) -> Vec<FieldError> {
    vec![FieldError { field: String::new(), code, message: message.into() }]
}
