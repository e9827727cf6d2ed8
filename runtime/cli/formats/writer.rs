//! Records on their way into a file.

use std::io::Write;
use std::sync::Arc;

use super::RecordWriter;
use super::cells::write_cell;
use crate::schema::{Entity, Record, Value};

/// JSON lines: each the record as the API answers it.
pub(super) struct Lines(pub(super) Arc<Entity>);

impl RecordWriter for Lines {
    fn record(&mut self, record: &Record, out: &mut dyn Write) -> std::io::Result<()> {
        out.write_all(&record.to_json(&self.0))?;
        out.write_all(b"\n")
    }
}

/// CSV, the columns in the order of the header.
pub(super) struct Rows;

pub(super) fn write_header(entity: &Entity, out: &mut dyn Write) -> std::io::Result<()> {
    let fields = entity.fields.iter().map(|field| &*field.name);
    let names: Vec<&str> =
        ["id", "version"].into_iter().chain(fields).chain(["created_at", "updated_at"]).collect();
    writeln!(out, "{}", names.join(","))
}

impl RecordWriter for Rows {
    fn record(&mut self, record: &Record, out: &mut dyn Write) -> std::io::Result<()> {
        write_cell(&Value::Text(record.id.as_str().to_owned()), out)?;
        write!(out, ",{}", record.version)?;
        for value in &record.values {
            out.write_all(b",")?;
            write_cell(value, out)?;
        }
        writeln!(out, ",{},{}", record.created_at.rfc3339(), record.updated_at.rfc3339())
    }
}
