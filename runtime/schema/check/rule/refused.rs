//! Words for what rules do not have, and what to write instead.
//!
//! Knows no scope.

use crate::schema::cel::{Identifier, SyntaxNode, Unsupported};
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
use crate::schema::message::{quoted, suggestion};
use crate::schema::tree::Span;

const FUNCTIONS: &[&str] = &["has", "startsWith", "endsWith", "contains", "size", "exists"];

pub(super) fn known_function(name: &str) -> bool {
    FUNCTIONS.contains(&name)
}

/// What others call the size of a text or list.
pub(super) fn is_size(name: &str) -> bool {
    matches!(name, "length" | "len" | "count" | "size" | "length_of" | "strlen")
}

/// The constant that others write so.
pub(super) fn constant(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "true" | "yes" => "true",
        "false" | "no" => "false",
        "null" | "none" | "nil" | "undefined" => "null",
        _ => return None,
    })
}

/// What to write instead of a word that is no field, but means something elsewhere.
pub(super) fn word(name: &str, is_update: bool) -> Option<&'static str> {
    Some(match (name, is_update) {
        ("old", true) => {
            "write the plain name for the stored value, and `change.field` for the value after the write"
        }
        ("old", false) => "write the plain name: only an update has a value before it",
        ("target", _) => "write a field of this record: `target` is only for `where` of an [[on]]",
        ("today" | "timestamp" | "current_time" | "current_date" | "current_timestamp", _) => {
            "write `now` for the time of the write; create, update and delete rules have it"
        }
        ("now", _) => "write `now` with nothing behind it, as in `until > now`: it has no parts",
        ("claims", _) => "write `user.claims.team`: claims belong to the user",
        _ => return None,
    })
}

pub(super) fn unsupported(span: Span, message: impl Into<String>, label: &str) -> Diagnostic {
    Diagnostic::new(DiagnosticCode::RuleUnsupported, span, message).label(label)
}

pub(super) fn misfit(node: &SyntaxNode, message: String) -> Diagnostic {
    Diagnostic::new(DiagnosticCode::RuleType, node.span.clone(), message).label("does not fit")
}

pub(super) fn no_condition(node: &SyntaxNode, what: &str) -> Diagnostic {
    Diagnostic::new(DiagnosticCode::RuleType, node.span.clone(), format!("{what} is not a condition"))
        .label("not true or false")
}

pub(super) fn no_list(node: &SyntaxNode, what: &str) -> Diagnostic {
    misfit(node, format!("{what} is not a list")).help(
        "after `in` write ['a', 'b'], a json field, a claim, or a field of a user's records; for a part of a text write `text.contains('a')`",
    )
}

pub(super) fn two_constants(node: &SyntaxNode) -> Diagnostic {
    misfit(node, "constants are compared with each other".to_owned())
        .help("compare with a field or with `user`; a rule that always holds is `true`")
}

pub(super) fn null(node: &SyntaxNode) -> Diagnostic {
    misfit(node, "`null` has no order and is in no list".to_owned()).help("write `x == null` or `x != null`")
}

pub(super) fn condition_as_value(node: &SyntaxNode) -> Diagnostic {
    unsupported(node.span.clone(), "a condition is compared with something", "a condition")
        .help("write the condition alone, or `!(…)` for its opposite; join conditions with `&&` and `||`")
}

pub(super) fn set(node: &SyntaxNode) -> Diagnostic {
    misfit(node, "this is a set of values, not one".to_owned())
        .help("write `x in user.memberships.project`, or `user.memberships.exists(m, m.project == project)`")
}

pub(super) fn exists_of(node: &SyntaxNode) -> Diagnostic {
    unsupported(node.span.clone(), "`exists` is only for the records of a user", "not `user.…`")
        .help("write `user.memberships.exists(m, …)` or `exists(Membership, m, …)`; for an element of a json list write `x in list`")
}

pub(super) fn arguments(word: &Identifier, example: &str) -> Diagnostic {
    unsupported(
        word.span.clone(),
        format!("{} is written in another way", quoted(&word.text)),
        "other arguments",
    )
    .help(format!("write `{example}`"))
}

pub(super) fn function(of_something: bool, word: &Identifier) -> Diagnostic {
    let name = word.text.as_str();
    let help = match name {
        "all" | "any" | "some" | "none" | "find" | "select" | "exists_one" | "existsOne" | "map" | "filter" => {
            "write `user.memberships.exists(m, …)` or, in create, update and delete, `exists(Membership, m, …)`; for an element of a json list write `x in list`".to_owned()
        }
        "changed" => "write `has(change.status)`, or `change.status != status`; `changed` is only for `when` of an [[on]]".to_owned(),
        "count" => "write `size(x)` for a text or list; records are not counted, `exists(Membership, m, …)` asks whether there is one".to_owned(),
        "matches" => {
            "write `text.startsWith('a')`, `text.endsWith('a')` or `text.contains('a')`, or store the answer in a field"
                .to_owned()
        }
        "lower" | "upper" | "toLowerCase" | "toUpperCase" | "lowerAscii" | "upperAscii" | "trim" => {
            "store the text as you compare it: write normalize = [\"trim\", \"lower\"] at its field".to_owned()
        }
        name if is_size(name) => "write `size(x)`".to_owned(),
        "timestamp" => "compare with a text: `created_at > '2026-11-21T08:00:00Z'`".to_owned(),
        "now" => "write `now` without brackets; only create, update and delete rules have it".to_owned(),
        "duration" => "rules have no arithmetic: store the time itself in a field and compare that".to_owned(),
        "int" | "uint" | "double" | "string" | "bool" | "bytes" | "dyn" | "type" => {
            "values are not converted: compare those of one type".to_owned()
        }
        _ => suggestion(name, FUNCTIONS, "the functions are"),
    };
    let what = if of_something { format!(".{name}(…)") } else { format!("{name}(…)") };
    unsupported(word.span.clone(), format!("rules have no {}", quoted(&what)), "not in rules").help(help)
}

pub(super) fn other(node: &SyntaxNode, other: Unsupported) -> Diagnostic {
    let (what, help) = match other {
        Unsupported::Arithmetic => (
            "arithmetic",
            "store the result in a field and compare that; a datetime field can have default = \"now + 7d\"",
        ),
        Unsupported::Conditional => ("`a ? b : c`", "write `(a && b) || (!a && c)`"),
        Unsupported::Index => (
            "`a[b]`",
            "write a name after a dot, as in `project.owner` or `user.claims.team`; for an element of a list write `x in list`",
        ),
        Unsupported::Map => ("maps", "join comparisons with `&&` and `||`"),
        Unsupported::Struct => ("structures", "join comparisons with `&&` and `||`"),
        Unsupported::Bytes => ("bytes", "write a text without the `b` before it"),
        Unsupported::Unsigned => ("unsigned numbers", "write the number without the `u`"),
    };
    unsupported(node.span.clone(), format!("rules have no {what}"), "not in rules").help(help)
}

pub(super) fn no_part(of: &Identifier, part: &Identifier) -> Diagnostic {
    let help = match is_size(&part.text) {
        true => "for how long a text or list is write `size(x)`",
        false => "remove the dot and what follows it",
    };
    unknown(part.span.clone(), format!("{} has no {}", quoted(&of.text), quoted(&part.text))).help(help)
}

pub(super) fn no_name(node: &SyntaxNode) -> Diagnostic {
    Diagnostic::new(DiagnosticCode::RuleUnsupported, node.span.clone(), "a name is missing before the dot")
        .label("no name")
        .help("write a field, or `user` and one of its fields")
}

pub(super) fn unknown(span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(DiagnosticCode::RuleName, span, message).label("unknown")
}
