//! TOML text to the spanned tree.
//!
//! Knows the `toml` crate, which no other file of the schema uses.

use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

use super::super::diagnostics::{Diagnostic, DiagnosticCode};
use super::node::{DEEPEST, Data, Entry, Node, Parsed, Span, TableNode, not_kept};

/// The parser continues after an error, and what it finds later is more and more often a consequence.
const MOST_SYNTAX_ERRORS: usize = 10;

pub(super) fn parse(text: &str) -> Parsed {
    let (root, errors) = DeTable::parse_recoverable(text);
    let told = errors.iter().take(MOST_SYNTAX_ERRORS);
    let mut problems: Vec<Diagnostic> = told.map(|error| syntax_problem(error, text)).collect();
    let root = table(root.get_ref(), &mut problems, 0);
    Parsed { root: Some(root), problems }
}

fn syntax_problem(error: &toml::de::Error, text: &str) -> Diagnostic {
    let span = error.span().unwrap_or(text.len()..text.len());
    if error.message().contains("duplicate key") {
        return Diagnostic::new(DiagnosticCode::DuplicateKey, span, "this key was given before")
            .label("second time")
            .help("keep one of the two");
    }
    let message = format!("this is not TOML: {}", error.message());
    Diagnostic::new(DiagnosticCode::Syntax, span, message)
        .label("here")
        .help("write `key = value`; strings are in double quotes, lists in [ ]")
}

fn table(from: &DeTable<'_>, problems: &mut Vec<Diagnostic>, depth: usize) -> TableNode {
    let entries = from.iter().map(|(key, value)| Entry {
        key: key.get_ref().to_string(),
        key_span: key.span(),
        value: node(value, problems, depth + 1),
    });
    TableNode { entries: entries.collect() }
}

fn node(from: &Spanned<DeValue<'_>>, problems: &mut Vec<Diagnostic>, depth: usize) -> Node {
    let span = from.span();
    if depth > DEEPEST {
        problems.push(Diagnostic::too_deep(span.clone(), DEEPEST));
        return Node { span, data: Data::Null };
    }
    let data = match from.get_ref() {
        DeValue::String(text) => Data::Text(text.to_string()),
        DeValue::Integer(number) => integer(number, &span, problems),
        DeValue::Float(number) => float(number, &span, problems),
        DeValue::Boolean(value) => Data::Bool(*value),
        DeValue::Datetime(value) => Data::Datetime(value.to_string()),
        DeValue::Array(items) => {
            Data::List(items.iter().map(|item| node(item, problems, depth + 1)).collect())
        }
        DeValue::Table(entries) => Data::Table(table(entries, problems, depth)),
    };
    Node { span, data }
}

fn integer(number: &DeInteger<'_>, span: &Span, problems: &mut Vec<Diagnostic>) -> Data {
    i64::from_str_radix(number.as_str(), number.radix()).map_or_else(
        |_| {
            problems.push(Diagnostic::number_too_large(span.clone()));
            Data::Null
        },
        Data::Int,
    )
}

fn float(number: &DeFloat<'_>, span: &Span, problems: &mut Vec<Diagnostic>) -> Data {
    match number.as_str().parse::<f64>() {
        Ok(value) if value.is_finite() => {
            problems.extend(not_kept(number.as_str(), span));
            Data::Float(value)
        }
        _ => {
            problems.push(Diagnostic::number_too_large(span.clone()));
            Data::Null
        }
    }
}
