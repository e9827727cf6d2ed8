//! JSON text to the spanned tree: strict JSON, without comments and trailing commas.
//!
//! `jsonc-parser` supplies the places; what it lets through beyond strict JSON, `serde_json` refuses.

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::super::diagnostics::{Diagnostic, DiagnosticCode};
use super::super::message::quoted;
use super::node::{DEEPEST, Data, Entry, Node, Parsed, Span, TableNode, not_kept};

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
};

pub(super) fn parse(text: &str) -> Parsed {
    let ast = match parse_to_ast(text, &CollectOptions::default(), &STRICT) {
        Ok(result) => result.value,
        Err(error) => return broken(span(error.range()), &error.kind().to_string()),
    };
    let Some(ast) = ast else {
        return Parsed { root: None, problems: vec![not_an_object(0..0)] };
    };
    if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let at = offset(text, error.line(), error.column());
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
        return broken(at..at, &reason);
    }
    let mut problems = Vec::new();
    if let Value::Object(object) = &ast {
        let root = Some(table(object, &mut problems, 0));
        return Parsed { root, problems };
    }
    Parsed { root: None, problems: vec![not_an_object(span(ast.range()))] }
}

fn broken(at: Span, reason: &str) -> Parsed {
    let mut letters = reason.chars();
    let reason: String = letters.next().into_iter().flat_map(char::to_lowercase).chain(letters).collect();
    let problem = Diagnostic::new(DiagnosticCode::Syntax, at, format!("this is not JSON: {reason}"))
        .label("here")
        .help("schema files are strict JSON: double quotes, no comments, no trailing commas");
    Parsed { root: None, problems: vec![problem] }
}

fn not_an_object(at: Span) -> Diagnostic {
    Diagnostic::new(DiagnosticCode::Syntax, at, "a schema file is one JSON object")
        .label("expected `{`")
        .help("write {\"entity\": \"Task\", \"fields\": {\"title\": {\"type\": \"text\"}}}")
}

fn table(from: &Object<'_>, problems: &mut Vec<Diagnostic>, depth: usize) -> TableNode {
    let mut entries: Vec<Entry> = Vec::with_capacity(from.properties.len());
    let mut seen = std::collections::HashMap::new();
    for property in &from.properties {
        let key = property.name.as_str().to_owned();
        let key_span = span(property.name.range());
        let value = node(&property.value, problems, depth + 1);
        if let Some(first) = seen.insert(key.clone(), key_span.clone()) {
            let message = format!("the key {} is given twice", quoted(&key));
            problems.push(
                Diagnostic::new(DiagnosticCode::DuplicateKey, key_span, message)
                    .label("second time")
                    .also(first, "first time")
                    .help("keep one of the two"),
            );
            continue;
        }
        entries.push(Entry { key, key_span, value });
    }
    TableNode { entries }
}

fn node(from: &Value<'_>, problems: &mut Vec<Diagnostic>, depth: usize) -> Node {
    let span = span(from.range());
    if depth > DEEPEST {
        problems.push(Diagnostic::too_deep(span.clone(), DEEPEST));
        return Node { span, data: Data::Null };
    }
    let data = match from {
        Value::StringLit(text) => Data::Text(text.value.to_string()),
        Value::NumberLit(literal) => match number(literal.value) {
            Some(Data::Float(value)) => {
                problems.extend(not_kept(literal.value, &span));
                Data::Float(value)
            }
            Some(data) => data,
            None => {
                problems.push(Diagnostic::number_too_large(span.clone()));
                Data::Null
            }
        },
        Value::BooleanLit(literal) => Data::Bool(literal.value),
        Value::NullKeyword(_) => Data::Null,
        Value::Array(list) => {
            Data::List(list.elements.iter().map(|item| node(item, problems, depth + 1)).collect())
        }
        Value::Object(object) => Data::Table(table(object, problems, depth)),
    };
    Node { span, data }
}

/// As in TOML, a number with a point or an exponent is a float and any other an integer.
fn number(text: &str) -> Option<Data> {
    if text.contains(['.', 'e', 'E']) {
        return text.parse().ok().filter(|value: &f64| value.is_finite()).map(Data::Float);
    }
    text.parse().ok().map(Data::Int)
}

fn span(range: Range) -> Span {
    range.start..range.end
}

/// Byte offset of a line and column, both counted from 1, the column in bytes.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let mut at = (before + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
