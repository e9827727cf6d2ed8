//! CSV: a header that names fields in any order, then one record a row.

use std::io::BufRead;

use csv::ByteRecord;
use serde_json::Value as Json;

use super::cells::read_cell;
use super::empty_cells::{AFTER_QUOTE, EmptyCells, QUOTED_EMPTY};
use super::row::{FileFault, Row, RowReader, is_kept_by_the_server, whole_row};
use crate::ids::shown;
use crate::repository::{Body, FieldError, suggestion};
use crate::schema::{Entity, Field};

const ID: &str = "id";

pub(super) struct CsvRows<'a> {
    input: csv::Reader<EmptyCells<Box<dyn BufRead + 'a>>>,
    columns: Vec<CsvColumn<'a>>,
    record: ByteRecord,
}

enum CsvColumn<'a> {
    Id,
    Field(&'a Field),
    /// Kept by the server; by name.
    PassedOver(String),
}

impl<'a> CsvRows<'a> {
    pub(super) fn open(
        entity: &'a Entity,
        input: Box<dyn BufRead + 'a>,
    ) -> Result<CsvRows<'a>, Vec<FileFault>> {
        let mut builder = csv::ReaderBuilder::new();
        let input = builder.has_headers(false).flexible(true).from_reader(EmptyCells::new(input));
        let mut rows = CsvRows { input, columns: Vec::new(), record: ByteRecord::new() };
        let Some(line) = rows.advance().map_err(|fault| vec![fault])? else {
            let message = "the file is empty; its first line names the fields: id,title,...".to_owned();
            return Err(vec![FileFault { line: 1, message }]);
        };
        rows.columns = columns(entity, &rows.record).map_err(|faults| {
            faults.into_iter().map(|message| FileFault { line, message }).collect::<Vec<_>>()
        })?;
        Ok(rows)
    }

    /// Reads the next record into `record`; answers with its line.
    fn advance(&mut self) -> Result<Option<u64>, FileFault> {
        let read = self.input.read_byte_record(&mut self.record);
        let cells = self.input.get_mut();
        let line = cells.next_start();
        if let Some(line) = cells.unclosed() {
            let message = "a quote is opened here and never closed".to_owned();
            return Err(FileFault { line, message });
        }
        match read {
            Ok(true) => Ok(Some(line.unwrap_or_default())),
            Ok(false) => Ok(None),
            Err(error) => Err(FileFault { line: line.unwrap_or(1), message: error.to_string() }),
        }
    }

    fn body(&self) -> Result<Body, Vec<FieldError>> {
        let (cells, columns) = (self.record.len(), self.columns.len());
        if cells != columns {
            let advice = if cells > columns { "; quote a cell that holds a comma" } else { "" };
            let message =
                format!("the row has {cells} cells, but the header names {columns} columns{advice}");
            return Err(whole_row("cells", message));
        }
        let (mut members, mut faults) = (Vec::with_capacity(columns), Vec::new());
        for (column, cell) in self.columns.iter().zip(&self.record) {
            match column.member(cell) {
                Ok(member) => members.extend(member),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(Body::from_pairs(members)) } else { Err(faults) }
    }
}

impl RowReader for CsvRows<'_> {
    fn next(&mut self) -> Result<Option<Row>, FileFault> {
        Ok(self.advance()?.map(|line| Row { line, body: self.body() }))
    }

    fn passed_over(&self) -> Vec<String> {
        let named = |column: &CsvColumn<'_>| match column {
            CsvColumn::PassedOver(name) => Some(name.clone()),
            CsvColumn::Id | CsvColumn::Field(_) => None,
        };
        self.columns.iter().filter_map(named).collect()
    }
}

impl CsvColumn<'_> {
    /// What the cell says of its field. An empty cell is null; an empty id is left to the server.
    fn member(&self, cell: &[u8]) -> Result<Option<(&str, Json)>, FieldError> {
        let (name, field): (&str, _) = match self {
            CsvColumn::PassedOver(_) => return Ok(None),
            CsvColumn::Id => (ID, None),
            CsvColumn::Field(field) => (&field.name, Some(field)),
        };
        if cell.is_empty() {
            return Ok(field.map(|_| (name, Json::Null)));
        }
        if cell.contains(&AFTER_QUOTE) {
            let message = format!("`{name}` {}", goes_on());
            return Err(FieldError { field: name.to_owned(), code: "bad_quotes", message });
        }
        let cell = if cell == QUOTED_EMPTY { &b""[..] } else { cell };
        let text = std::str::from_utf8(cell).map_err(|_| FieldError {
            field: name.to_owned(),
            code: "not_utf8",
            message: format!("`{name}` is not UTF-8; save the file as UTF-8"),
        })?;
        let json = field.map_or_else(|| Ok(Json::String(text.to_owned())), |field| read_cell(field, text))?;
        Ok(Some((name, json)))
    }
}

fn goes_on() -> &'static str {
    "continues after its closing quote; write a cell with quotes in it as \"say \"\"hello\"\" twice\""
}

/// What each column is, or every fault of the header.
fn columns<'a>(entity: &'a Entity, header: &ByteRecord) -> Result<Vec<CsvColumn<'a>>, Vec<String>> {
    let (mut columns, mut faults, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for cell in header {
        if cell.contains(&AFTER_QUOTE) {
            faults.push(format!("a name in the header {}", goes_on()));
            continue;
        }
        let Ok(name) = std::str::from_utf8(cell) else {
            faults.push("the header is not UTF-8; save the file as UTF-8".to_owned());
            continue;
        };
        if seen.contains(&name) {
            faults.push(format!("the header names `{}` twice", shown(name)));
        }
        seen.push(name);
        match column(entity, name) {
            Ok(column) => columns.push(column),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(columns) } else { Err(faults) }
}

fn column<'a>(entity: &'a Entity, name: &str) -> Result<CsvColumn<'a>, String> {
    if name == ID {
        return Ok(CsvColumn::Id);
    }
    if is_kept_by_the_server(entity, name) {
        return Ok(CsvColumn::PassedOver(name.to_owned()));
    }
    if let Some((_, field)) = entity.field(name) {
        return Ok(CsvColumn::Field(field));
    }
    let mut message = format!("the header names `{}`, which is not a field of {}", shown(name), entity.name);
    let known = entity.fields.iter().map(|field| &*field.name).chain([ID]);
    match suggestion(name, known) {
        _ if name.contains([';', '\t']) => message.push_str("; columns are separated by commas here"),
        Some(meant) => message.push_str(&format!("; did you mean `{meant}`?")),
        None => message.push_str("; remove the column, or correct its name"),
    }
    Err(message)
}
