//! The one spanned tree that TOML and JSON are both read into, so that one checker walks either.
//!
//! Knows no entity and no field: the checker decides what a key means.

mod json;
mod node;
mod toml;

use super::source::{Format, SourceFile};
pub(super) use node::{Data, Entry, Node, Parsed, Span, TableNode};

/// Reads a file in the format that its name says.
pub(super) fn parse(source: &SourceFile) -> Parsed {
    match source.format {
        Format::Toml => toml::parse(&source.text),
        Format::Json => json::parse(&source.text),
    }
}
