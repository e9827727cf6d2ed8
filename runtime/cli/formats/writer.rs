//! Records on their way into a file.

use std::io::Write;
use std::sync::Arc;

use super::cells::write_cell;
use super::row::RecordWriter;
use crate::rules::{Mask, Predicate, ReadScope};
use crate::schema::{Column, Entity, FieldIndex, Record, Value};

/// JSON lines: each the record as the API answers it.
pub(super) struct JsonLinesWriter(pub(super) Arc<Entity>);

impl RecordWriter for JsonLinesWriter {
    fn record(&mut self, record: &Record, mask: &Mask, out: &mut dyn Write) -> std::io::Result<()> {
        out.write_all(&record.to_json_without(&self.0, mask.hidden()))?;
        out.write_all(b"\n")
    }
}

/// CSV, the columns in the order of the header. A field that can have no value is left out.
pub(super) struct CsvWriter(Vec<FieldIndex>);

impl CsvWriter {
    /// Writes the header.
    pub(super) fn begin(read_scope: &ReadScope, out: &mut dyn Write) -> std::io::Result<CsvWriter> {
        let is_shown =
            |at: &FieldIndex| read_scope.shown(Column::Field(*at)) != Some(&Predicate::Constant(false));
        let columns: Vec<FieldIndex> =
            (0..read_scope.entity.fields.len()).map(FieldIndex).filter(is_shown).collect();
        let fields = columns.iter().map(|at| &*read_scope.entity.at(*at).name);
        let names: Vec<&str> =
            ["id", "version"].into_iter().chain(fields).chain(["created_at", "updated_at"]).collect();
        writeln!(out, "{}", names.join(","))?;
        Ok(CsvWriter(columns))
    }
}

impl RecordWriter for CsvWriter {
    fn record(&mut self, record: &Record, mask: &Mask, out: &mut dyn Write) -> std::io::Result<()> {
        write_cell(&Value::Text(record.id.as_str().to_owned()), out)?;
        write!(out, ",{}", record.version)?;
        for at in &self.0 {
            out.write_all(b",")?;
            let is_hidden = mask.hidden().contains(at);
            write_cell(if is_hidden { &Value::Null } else { &record.values[at.0] }, out)?;
        }
        writeln!(out, ",{},{}", record.created_at.rfc3339(), record.updated_at.rfc3339())
    }
}
