//! JSON lines: one object a line, in any order of keys. Empty lines are passed over.

use std::collections::BTreeSet;
use std::io::{BufRead, Read};

use super::row::{FileFault, LONGEST, Row, RowReader, is_kept_by_the_server, unreadable, whole_row};
use crate::repository::{Body, BodyError, FieldError, NumberFault, ValueFault};
use crate::schema::Entity;

pub(super) struct JsonLines<'a> {
    entity: &'a Entity,
    input: Box<dyn BufRead + 'a>,
    line: u64,
    passed_over: BTreeSet<String>,
}

impl<'a> JsonLines<'a> {
    pub(super) fn new(entity: &'a Entity, input: Box<dyn BufRead + 'a>) -> JsonLines<'a> {
        JsonLines { entity, input, line: 0, passed_over: BTreeSet::new() }
    }

    /// The next line without its end; `None` at the end of the file.
    fn line(&mut self) -> Result<Option<Vec<u8>>, FileFault> {
        let mut bytes = Vec::new();
        self.line += 1;
        let limit = LONGEST as u64 + 1;
        self.input
            .by_ref()
            .take(limit)
            .read_until(b'\n', &mut bytes)
            .map_err(|error| unreadable(self.line, &error))?;
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.len() > LONGEST {
            let message =
                format!("the line is longer than {LONGEST} bytes; one JSON object a line is expected");
            return Err(FileFault { line: self.line, message });
        }
        Ok(Some(bytes))
    }

    fn body(&mut self, bytes: &[u8]) -> Result<Body, Vec<FieldError>> {
        let mut body = Body::parse(bytes).map_err(|fault| whole_row("bad_json", told(&fault)))?;
        let kept: Vec<String> =
            body.keys().filter(|key| is_kept_by_the_server(self.entity, key)).map(str::to_owned).collect();
        for key in kept {
            body.remove(&key);
            self.passed_over.insert(key);
        }
        // Judged here, because the parsed body is what is sent to a server.
        let changed = body.number_faults(self.entity);
        if changed.is_empty() {
            return Ok(body);
        }
        Err(changed.into_iter().map(|NumberFault { field, fault }| field_error(field, &fault)).collect())
    }
}

impl RowReader for JsonLines<'_> {
    fn next(&mut self) -> Result<Option<Row>, FileFault> {
        while let Some(bytes) = self.line()? {
            if !bytes.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(Row { line: self.line, body: self.body(&bytes) }));
            }
        }
        Ok(None)
    }

    fn passed_over(&self) -> Vec<String> {
        self.passed_over.iter().cloned().collect()
    }
}

fn field_error(field: &str, fault: &ValueFault) -> FieldError {
    FieldError { field: field.to_owned(), code: fault.code, message: format!("`{field}` {}", fault.message) }
}

fn told(fault: &BodyError) -> String {
    match fault {
        BodyError::Empty => "the line is empty".to_owned(),
        BodyError::Syntax(detail) => {
            format!("the line is not a JSON object: {}", detail.replace(" at line 1 column ", ", at column "))
        }
        BodyError::NotAnObject(kind) => format!("the line is {kind}; one JSON object a line is expected"),
    }
}
