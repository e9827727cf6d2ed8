//! `normalize` of a text field: the steps by which a value is stored.
//!
//! Knows no step's meaning.

use super::reader::TableReader;
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
use crate::schema::message::{quoted, suggestion};
use crate::schema::model::{Field, FieldDefault};
use crate::schema::text_step::TextStep;
use crate::schema::tree::{Entry, TableNode};
use crate::schema::value::Value;

const EXAMPLE: &str = "normalize = [\"trim\", \"nfc\", \"lower\"]";

/// The steps in the order in which they are taken; those that are wrong are reported and left out.
pub(super) fn check(entry: &Entry, reader: &mut TableReader<'_>) -> Vec<TextStep> {
    let Some(items) = reader.list(entry, EXAMPLE) else { return Vec::new() };
    let problem = |span: &crate::schema::tree::Span, message: String| {
        Diagnostic::new(DiagnosticCode::Normalize, span.clone(), message)
    };
    if items.is_empty() {
        let message = "`normalize` has no steps".to_owned();
        let help = format!("remove it, or name some: {EXAMPLE}");
        reader.add(problem(&entry.value.span, message).label("empty").help(help));
    }
    let mut steps: Vec<TextStep> = Vec::new();
    for item in items {
        let Some(word) = item.data.as_text() else {
            let message = format!("a step of `normalize` is a string, found {}", item.data.noun());
            let problem = Diagnostic::new(DiagnosticCode::WrongKind, item.span.clone(), message);
            reader.add(problem.label("expected a string").help(EXAMPLE));
            continue;
        };
        match TextStep::ALL.into_iter().find(|step| step.word() == word) {
            Some(step) if steps.contains(&step) => {
                let message = format!("{} is twice in `normalize`", quoted(word));
                reader.add(problem(&item.span, message).label("second time").help("remove one"));
            }
            Some(step) => steps.push(step),
            None => {
                let message = format!("`normalize` has no step {}", quoted(word));
                let help = match word {
                    "upper" | "uppercase" => {
                        "there are no capitals: store small letters, and show capitals".to_owned()
                    }
                    "lowercase" => "write \"lower\"".to_owned(),
                    "nfkc" | "nfd" | "nfkd" => "write \"nfc\": the composed form".to_owned(),
                    _ => suggestion(word, &TextStep::ALL.map(TextStep::word), "the steps are"),
                };
                reader.add(problem(&item.span, message).label("no such step").help(help));
            }
        }
    }
    steps.sort_unstable();
    steps
}

/// A constant is written as it is stored, and a random text keeps its capitals.
pub(super) fn default(field: &Field, table: &TableNode, reader: &mut TableReader<'_>) {
    let Some(entry) = table.get("default") else { return };
    let span = entry.value.span.clone();
    match &field.default {
        Some(FieldDefault::Value(value @ Value::Text(text))) => {
            let Value::Text(stored) = field.normalized(value.clone()) else { return };
            if stored != *text {
                let message = format!("`normalize` would store {} for this default", quoted(&stored));
                let problem = Diagnostic::new(DiagnosticCode::DefaultRange, span, message);
                reader.add(problem.label("this default").help("write the default as it is stored"));
            }
        }
        Some(FieldDefault::Random) if field.normalize.contains(&TextStep::Lower) => {
            let message = "a random text has capitals, and `normalize` would make them small";
            let problem = Diagnostic::new(DiagnosticCode::DefaultRandom, span, message);
            let help = "take \"lower\" out: without capitals, two secrets are sooner the same";
            reader.add(problem.label("this default").help(help));
        }
        Some(FieldDefault::Value(_) | FieldDefault::UserId | FieldDefault::Now(_) | FieldDefault::Random)
        | None => {}
    }
}
