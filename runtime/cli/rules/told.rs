//! A verdict in words, for a terminal.

use std::fmt::Write as _;

use crate::rules::{Explanation, Truth};
use crate::schema::{Entity, Field, FieldIndex, Operation};
use crate::verdict::{JudgedRule, Reason, RuleVerdict};

/// The rules that were asked, each with its parts, then what follows.
pub(super) fn verdict(verdict: &RuleVerdict, entity: &Entity, indent: &str) -> String {
    let mut text = String::new();
    for asked in &verdict.asked {
        rule(asked, indent, &mut text);
    }
    let _ = writeln!(text, "{indent}{}", reason(&verdict.reason, entity));
    text
}

/// What a create lacks besides rights; empty when that is nothing.
pub(super) fn left_out(entity: &Entity, named: &[FieldIndex], indent: &str) -> String {
    let lacking = |(at, field): &(usize, &Field)| {
        let is_given = named.contains(&FieldIndex(*at)) || field.default.is_some() || field.lookup.is_some();
        field.required && !is_given
    };
    let names: Vec<&str> =
        entity.fields.iter().enumerate().filter(lacking).map(|(_, field)| &*field.name).collect();
    if names.is_empty() {
        return String::new();
    }
    format!("{indent}note: besides rights, a create must set the required fields: {}\n", names.join(", "))
}

fn rule(asked: &JudgedRule, indent: &str, text: &mut String) {
    let word = asked.operation.word();
    let Some(rule) = &asked.rule else {
        let _ = writeln!(text, "{indent}there is no rule for `{word}`, so it is denied");
        return;
    };
    let _ = writeln!(text, "{indent}{word} = {}", one_line(&rule.source));
    parts(&asked.part, indent, 1, text);
    if let Some(bound) = &asked.bound {
        let _ = writeln!(text, "{indent}  for this person: {bound}");
    }
}

fn parts(part: &Explanation, indent: &str, depth: usize, text: &mut String) {
    let truth = match part.truth {
        Truth::True => "true",
        Truth::False => "false",
        Truth::Unknown => "unknown",
    };
    let _ = write!(text, "{indent}{}{truth:<8} {}", "  ".repeat(depth), part.text);
    if !part.values.is_empty() {
        let values: Vec<String> =
            part.values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let _ = write!(text, "    [{}]", values.join(", "));
    }
    text.push('\n');
    for part in &part.parts {
        parts(part, indent, depth + 1, text);
    }
}

fn reason(reason: &Reason, entity: &Entity) -> String {
    match reason {
        Reason::Granted(mask) if mask.hides_nothing() => "allowed".to_owned(),
        Reason::Granted(mask) => {
            let hidden: Vec<&str> = mask.hidden().iter().map(|field| &*entity.at(*field).name).collect();
            format!("allowed; not shown: {}", hidden.join(", "))
        }
        Reason::Denied => "denied".to_owned(),
        Reason::Hidden => {
            "denied: the user may not read the record, so it looks as if it did not exist".to_owned()
        }
        Reason::Disabled => "denied: the account is disabled".to_owned(),
        Reason::Unruled => {
            format!(
                "denied: {} has no [access] table, so every request is denied (only `tidewire dev` allows them)",
                entity.name
            )
        }
        Reason::UnknownReference(field) => {
            let name = &entity.at(*field).name;
            format!("denied: `{name}` refers to a record that does not exist or that the user may not read")
        }
        Reason::Failed(error) => format!("denied: {}", error.cause()),
    }
}

/// A rule over several lines, on one.
fn one_line(source: &str) -> String {
    source.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `ada`, or `nobody` for an anonymous caller.
pub(super) fn name(id: Option<&str>) -> &str {
    id.unwrap_or("nobody")
}

/// `may`, `may not`.
pub(super) fn may(allowed: bool) -> &'static str {
    if allowed { "may" } else { "may not" }
}

/// `read, update`.
pub(super) fn operations(operations: &[Operation]) -> String {
    let words: Vec<&str> = operations.iter().map(|operation| operation.word()).collect();
    words.join(", ")
}
