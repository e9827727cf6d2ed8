//! A spanned tree: what a TOML or JSON file holds, and the place of each part.
//!
//! Knows no syntax.

use std::ops::Range;

use crate::schema::diagnostics::Diagnostic;
use crate::schema::number::{Fate, fate, is_exactly_a_float, rounded};

/// Byte range in the text of one file.
pub(in crate::schema) type Span = Range<usize>;

/// Tables and lists nested deeper than this are refused; a schema file needs four levels.
pub(super) const DEEPEST: usize = 32;

/// One value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::schema) struct Node {
    pub(in crate::schema) span: Span,
    pub(in crate::schema) data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::schema) enum Data {
    /// JSON only.
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// An unquoted TOML date or time, as written.
    Datetime(String),
    List(Vec<Node>),
    Table(TableNode),
}

/// Entries in file order. Keys are unique in a tree without problems.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::schema) struct TableNode {
    pub(in crate::schema) entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
pub(in crate::schema) struct Entry {
    pub(in crate::schema) key: String,
    pub(in crate::schema) key_span: Span,
    pub(in crate::schema) value: Node,
}

/// What a file holds: a tree, and what is wrong with its syntax. With problems the tree is what could be made out.
pub(in crate::schema) struct Parsed {
    pub(in crate::schema) root: Option<TableNode>,
    pub(in crate::schema) problems: Vec<Diagnostic>,
}

/// The problem of a number that is read back as another one: a default must be what the file says.
pub(super) fn not_kept(text: &str, span: &Span) -> Option<Diagnostic> {
    let text = text.strip_prefix('+').unwrap_or(text);
    match fate(text) {
        Some(Fate::Rounded) => Some(Diagnostic::number_not_kept(span.clone(), &rounded(text)?)),
        Some(Fate::Lost) => Some(Diagnostic::number_too_large(span.clone())),
        Some(Fate::Kept) | None => None,
    }
}

impl TableNode {
    pub(in crate::schema) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Data {
    pub(in crate::schema) fn as_bool(&self) -> Option<bool> {
        if let Data::Bool(value) = self { Some(*value) } else { None }
    }

    pub(in crate::schema) fn as_int(&self) -> Option<i64> {
        if let Data::Int(number) = self { Some(*number) } else { None }
    }

    /// An integer that JavaScript would write with other digits.
    pub(in crate::schema) fn is_int_not_kept(&self) -> bool {
        self.as_int().is_some_and(|number| fate(&number.to_string()) != Some(Fate::Kept))
    }

    /// An integer that no 64-bit float is.
    pub(in crate::schema) fn is_int_beyond_floats(&self) -> bool {
        self.as_int().is_some_and(|number| !is_exactly_a_float(&number.to_string()))
    }

    /// Of an integer too: `1` is as good as `1.0` where a fraction may stand.
    pub(in crate::schema) fn as_float(&self) -> Option<f64> {
        if let Data::Float(number) = self { Some(*number) } else { self.as_int().map(|number| number as f64) }
    }

    pub(in crate::schema) fn as_text(&self) -> Option<&str> {
        if let Data::Text(text) = self { Some(text) } else { None }
    }

    pub(in crate::schema) fn as_list(&self) -> Option<&[Node]> {
        if let Data::List(items) = self { Some(items) } else { None }
    }

    pub(in crate::schema) fn as_table(&self) -> Option<&TableNode> {
        if let Data::Table(table) = self { Some(table) } else { None }
    }

    /// With an article, for "expected a string, found …".
    pub(in crate::schema) fn noun(&self) -> &'static str {
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
