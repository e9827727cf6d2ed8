//! Reads keys of a table and reports those with the wrong kind of value and those that are unknown.
//!
//! Knows no particular key.

use crate::schema::diagnostics::{Diagnostic, DiagnosticCode, DiagnosticSink};
use crate::schema::message::{quoted, suggestion};
use crate::schema::tree::{Data, Entry, Node, TableNode};

/// A report, and the file to which what is read belongs.
pub(super) struct TableReader<'r> {
    pub(super) file: usize,
    report: &'r mut DiagnosticSink,
}

impl<'r> TableReader<'r> {
    pub(super) fn new(file: usize, report: &'r mut DiagnosticSink) -> TableReader<'r> {
        TableReader { file, report }
    }

    /// Problems so far, of all files.
    pub(super) fn count(&self) -> usize {
        self.report.count()
    }

    pub(super) fn add(&mut self, problem: Diagnostic) {
        self.report.add(self.file, problem);
    }

    pub(super) fn text<'t>(&mut self, entry: &'t Entry, example: &str) -> Option<&'t str> {
        entry.value.data.as_text().or_else(|| self.wrong_kind(entry, "a string", example))
    }

    pub(super) fn table<'t>(&mut self, entry: &'t Entry, example: &str) -> Option<&'t TableNode> {
        entry.value.data.as_table().or_else(|| self.wrong_kind(entry, "a table", example))
    }

    pub(super) fn list<'t>(&mut self, entry: &'t Entry, example: &str) -> Option<&'t [Node]> {
        entry.value.data.as_list().or_else(|| self.wrong_kind(entry, "a list", example))
    }

    /// `false` where the key is missing.
    pub(super) fn flag(&mut self, table: &TableNode, key: &str) -> bool {
        let Some(entry) = table.get(key) else { return false };
        let example = format!("{key} = true");
        let value = entry.value.data.as_bool().or_else(|| self.wrong_kind(entry, "true or false", &example));
        value.unwrap_or(false)
    }

    /// `None`, for the caller to continue without the value.
    pub(super) fn wrong_kind<T>(&mut self, entry: &Entry, expected: &str, example: &str) -> Option<T> {
        let found = entry.value.data.noun();
        let message = format!("{} must be {expected}, found {found}", quoted(&entry.key));
        let help = match entry.value.data == Data::Null {
            true => format!("leave {} out instead", quoted(&entry.key)),
            false => format!("write {}", quoted(example)),
        };
        let label = format!("expected {expected}");
        self.add(
            Diagnostic::new(DiagnosticCode::WrongKind, entry.value.span.clone(), message)
                .label(label)
                .help(help),
        );
        None
    }

    /// Reports every key of `table` that is neither in `known` nor in `later`. `whose` completes "unknown key … ".
    pub(super) fn unknown_keys(&mut self, table: &TableNode, known: &[&str], later: &[&str], whose: &str) {
        for entry in &table.entries {
            let key = entry.key.as_str();
            if known.contains(&key) {
                continue;
            }
            let problem = if later.contains(&key) {
                Diagnostic::new(
                    DiagnosticCode::NotYet,
                    entry.key_span.clone(),
                    format!("{} is not supported yet", quoted(key)),
                )
                .label("not yet")
                .help("remove it; a later version will accept it")
            } else {
                let message = format!("unknown key {} {whose}", quoted(key));
                Diagnostic::new(DiagnosticCode::UnknownKey, entry.key_span.clone(), message)
                    .label("not known here")
                    .help(suggestion(key, known, "the keys are"))
            };
            self.add(problem);
        }
    }
}
