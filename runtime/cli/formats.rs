//! The file formats of export and import: JSON lines and CSV. What a cell, a line and a header mean is decided here.
//!
//! Knows no database and no command.

mod cells;
mod csv_rows;
mod empty_cells;
mod lines;
mod row;
mod writer;

use std::io::{BufRead, Read, Write};
use std::path::Path;

use clap::ValueEnum;

use crate::rules::ReadScope;
use crate::schema::Entity;
use row::unreadable;
pub(super) use row::{FileFault, RecordWriter, Row, RowReader};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// One JSON object a line.
    Jsonl,
    /// A header, then one record a row.
    Csv,
}

impl RowFormat {
    /// By the end of a file's name: `.csv`, or else JSON lines.
    pub fn of(path: &Path) -> RowFormat {
        let is_csv = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
        if is_csv { RowFormat::Csv } else { RowFormat::Jsonl }
    }
}

/// A writer for what is seen of one entity, with the header written.
pub(super) fn writer(
    format: RowFormat,
    read_scope: &ReadScope,
    out: &mut dyn Write,
) -> std::io::Result<Box<dyn RecordWriter>> {
    match format {
        RowFormat::Jsonl => Ok(Box::new(writer::JsonLinesWriter(read_scope.entity.clone()))),
        RowFormat::Csv => Ok(Box::new(writer::CsvWriter::begin(read_scope, out)?)),
    }
}

/// A reader for one entity. A CSV file's header is read and judged at once: all its faults together.
pub(super) fn reader<'a>(
    format: RowFormat,
    entity: &'a Entity,
    input: Box<dyn BufRead + 'a>,
) -> Result<Box<dyn RowReader + 'a>, Vec<FileFault>> {
    let input = without_mark(input).map_err(|error| vec![unreadable(1, &error)])?;
    match format {
        RowFormat::Jsonl => Ok(Box::new(lines::JsonLines::new(entity, input))),
        RowFormat::Csv => Ok(Box::new(csv_rows::CsvRows::open(entity, input)?)),
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
