//! The one spanned tree that TOML and JSON are both read into, so that one checker walks either.
//!
//! Knows no entity and no field: what a key means is the checker's business.

mod json;
mod toml;

use std::ops::Range;

use super::diagnostics::Problem;
use super::number::{Fate, fate, is_exactly_a_float, rounded};
use super::source::{Format, SourceFile};

/// Byte range in the text of one file.
pub(super) type Span = Range<usize>;

/// Tables and lists nested deeper than this are refused; a schema file needs four levels.
const DEEPEST: usize = 32;

/// One value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    /// JSON only.
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// An unquoted TOML date or time, as written.
    Datetime(String),
    List(Vec<Node>),
    Table(Table),
}

/// Entries in file order. Keys are unique in a tree without problems.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Span,
    pub(super) value: Node,
}

/// What a file holds: a tree, and what is wrong with its syntax. With problems the tree is what could be made out.
pub(super) struct Parsed {
    pub(super) root: Option<Table>,
    pub(super) problems: Vec<Problem>,
}

/// Reads a file in the format that its name says.
pub(super) fn parse(source: &SourceFile) -> Parsed {
    match source.format {
        Format::Toml => toml::parse(&source.text),
        Format::Json => json::parse(&source.text),
    }
}

/// The problem of a number that is read back as another one: a default must be what the file says.
fn not_kept(text: &str, span: &Span) -> Option<Problem> {
    let text = text.strip_prefix('+').unwrap_or(text);
    match fate(text) {
        Some(Fate::Rounded) => Some(Problem::number_not_kept(span.clone(), &rounded(text)?)),
        Some(Fate::Lost) => Some(Problem::number_too_large(span.clone())),
        Some(Fate::Kept) | None => None,
    }
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Data {
    pub(super) fn as_bool(&self) -> Option<bool> {
        if let Data::Bool(value) = self { Some(*value) } else { None }
    }

    pub(super) fn as_int(&self) -> Option<i64> {
        if let Data::Int(number) = self { Some(*number) } else { None }
    }

    /// An integer that JavaScript would write with other digits.
    pub(super) fn is_int_not_kept(&self) -> bool {
        self.as_int().is_some_and(|number| fate(&number.to_string()) != Some(Fate::Kept))
    }

    /// An integer that no 64-bit float is.
    pub(super) fn is_int_beyond_floats(&self) -> bool {
        self.as_int().is_some_and(|number| !is_exactly_a_float(&number.to_string()))
    }

    /// Of an integer too: `1` is as good as `1.0` where a fraction may stand.
    pub(super) fn as_float(&self) -> Option<f64> {
        if let Data::Float(number) = self { Some(*number) } else { self.as_int().map(|number| number as f64) }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        if let Data::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn as_list(&self) -> Option<&[Node]> {
        if let Data::List(items) = self { Some(items) } else { None }
    }

    pub(super) fn as_table(&self) -> Option<&Table> {
        if let Data::Table(table) = self { Some(table) } else { None }
    }

    /// With an article, for "expected a string, found …".
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Data::Null => "null",
            Data::Bool(_) => "a boolean",
            Data::Int(_) => "an integer",
            Data::Float(_) => "a number with a fraction",
            Data::Text(_) => "a string",
            Data::Datetime(_) => "a date or time",
            Data::List(_) => "a list",
            Data::Table(_) => "a table",
        }
    }
}
