//! What is wrong with a file, line by line, and what to do about it.

use std::io::Write as _;

use serde_json::Value as Json;

use super::super::formats::FileFault;
use super::super::loading::Refused;
use crate::repository::{FieldError, RepositoryError};

/// The largest number of faults that are reported; after that the file is not read further unless it is imported in part.
const MOST: usize = 100;

/// Why a record is not fit to be sent.
pub(super) enum RowFault {
    Fields(Vec<FieldError>),
    Record(RepositoryError),
}

#[derive(Default)]
pub(super) struct LineFaults {
    told: Vec<(u64, String)>,
    count: usize,
    broke_off: bool,
}

impl LineFaults {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn are_enough(&self) -> bool {
        self.count >= MOST
    }

    /// The file could not be read to its end.
    pub(super) fn broke_off(&self) -> bool {
        self.broke_off
    }

    pub(super) fn fields(&mut self, line: u64, faults: &[FieldError]) {
        for fault in faults {
            self.add(line, format!("{} [{}]{}", fault.message, fault.code, advice(fault.code)));
        }
    }

    pub(super) fn record(&mut self, line: u64, error: &RepositoryError) {
        let faults = error.field_errors();
        if faults.is_empty() {
            self.add(line, format!("{error} [{}]", error.code().as_str()));
        }
        self.fields(line, &faults);
    }

    pub(super) fn row(&mut self, line: u64, fault: &RowFault) {
        match fault {
            RowFault::Fields(faults) => self.fields(line, faults),
            RowFault::Record(error) => self.record(line, error),
        }
    }

    /// What a server says of a batch, or of one of its operations; `line` knows where each operation comes from.
    pub(super) fn problem(&mut self, line: impl Fn(usize) -> u64, problem: &Json) {
        let op = |json: &Json| usize::try_from(json.as_u64()?).ok();
        let at = op(&problem["op"]).unwrap_or(0);
        let code = problem["code"].as_str().unwrap_or_default();
        let errors = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
        for error in errors {
            let (place, message) = split(error["message"].as_str().unwrap_or_default());
            let code = error["code"].as_str().unwrap_or(code);
            self.add(line(place.unwrap_or(at)), format!("{message} [{code}]{}", advice(code)));
        }
        if errors.is_empty() {
            let (_, message) = split(problem["detail"].as_str().unwrap_or("no reason given"));
            self.add(line(at), format!("{message} [{code}]"));
        }
    }

    pub(super) fn end(&mut self, fault: &FileFault) {
        self.broke_off = true;
        self.add(fault.line, format!("{}; the rest of the file was not read", fault.message));
    }

    /// One fault a line of text, in the order of the file.
    pub(super) fn tell(&self, name: &str) -> String {
        let mut told: Vec<_> = self.told.iter().collect();
        told.sort_by_key(|(line, _)| *line);
        let mut text: String =
            told.iter().map(|(line, message)| format!("{name}:{line}: {message}\n")).collect();
        let untold = self.count - self.told.len();
        if untold > 0 {
            text.push_str(&format!("and {untold} more\n"));
        }
        text
    }

    fn add(&mut self, line: u64, message: String) {
        self.count += 1;
        if self.told.len() < MOST {
            self.told.push((line, message));
        }
    }
}

/// The operation that a message of a batch begins with, and the rest: "`ops[3]`: …".
fn split(message: &str) -> (Option<usize>, &str) {
    let parts = || {
        let (place, rest) = message.strip_prefix("`ops[")?.split_once("]`: ")?;
        Some((place.parse().ok()?, rest))
    };
    parts().map_or((None, message), |(place, rest)| (Some(place), rest))
}

fn advice(code: &str) -> &'static str {
    match code {
        "taken" => "; choose --on-conflict skip or update, or remove the line",
        "not_unique" => "; another record has it, or an earlier line of this file",
        "unknown_reference" => "; import the record that it refers to first",
        _ => "",
    }
}

/// A file whose header cannot be understood.
pub(super) fn of_header(name: &str, faults: &[FileFault]) -> Refused {
    let lines: Vec<String> =
        faults.iter().map(|fault| format!("{name}:{}: {}", fault.line, fault.message)).collect();
    Refused::failed(format!("nothing was imported:\n{}", lines.join("\n")))
}

pub(super) fn note_passed_over(passed_over: &[String]) {
    if !passed_over.is_empty() {
        let names = passed_over.join(", ");
        let _ = writeln!(std::io::stderr(), "note: {names}: set by the server, and not read from the file");
    }
}
