//! The text of a rule in a file, before anything in it is understood.
//!
//! Knows no rule: `rule.rs` gives it its meaning.

use super::reader::TableReader;
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
use crate::schema::message::quoted;
use crate::schema::rule::{Expr, Rule};
use crate::schema::tree::Entry;

/// Longest access rule in bytes.
pub(in crate::schema) const LONGEST_RULE: usize = 4 << 10;

/// A rule that denies until its text has been read.
pub(super) fn rule_text(entry: &Entry, example: &str, reader: &mut TableReader<'_>) -> Option<Rule> {
    let text = reader.text(entry, example)?;
    let wrong = match text.len() {
        _ if text.trim().is_empty() => "is empty".to_owned(),
        bytes if bytes > LONGEST_RULE => format!("is longer than {LONGEST_RULE} bytes"),
        _ => return Some(Rule { source: text.into(), meaning: Expr::Constant(false) }),
    };
    let message = format!("the rule {} {wrong}", quoted(&entry.key));
    let problem =
        Diagnostic::new(DiagnosticCode::AccessRule, entry.value.span.clone(), message).label("this rule");
    let without = match entry.key.as_str() {
        "list" => "what may be read is listed",
        _ => "the operation is denied",
    };
    reader.add(problem.help(format!("a rule is one expression; without the key, {without}")));
    None
}
