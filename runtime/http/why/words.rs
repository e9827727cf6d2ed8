//! The JSON of answers, and the sentences that begin them.

use serde_json::{Value, json};

use crate::ids::Timestamp;
use crate::rules::{Clause, Truth};
use crate::store::RuleEvidence;

/// `ada`, or `an anonymous caller`.
pub(super) fn who(user: Option<&str>) -> String {
    user.map_or_else(|| "an anonymous caller".to_owned(), |user| format!("`{user}`"))
}

pub(super) fn rule(rule: &RuleEvidence) -> Value {
    json!({
        "entity": rule.entity,
        "operation": rule.operation.word(),
        "source": rule.source.as_deref().map(one_line),
        "truth": truth(rule.truth),
        "clauses": clauses(&rule.clauses),
    })
}

pub(super) fn clauses(clauses: &[Clause]) -> Vec<Value> {
    clauses.iter().map(clause).collect()
}

fn clause(clause: &Clause) -> Value {
    let values: Vec<Value> =
        clause.values.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let mut json = json!({"text": clause.text, "truth": truth(clause.truth), "values": values});
    if !clause.records.is_empty() {
        json["records"] = clauses(&clause.records).into();
    }
    json
}

fn truth(truth: Truth) -> &'static str {
    match truth {
        Truth::True => "true",
        Truth::False => "false",
        Truth::Unknown => "unknown",
    }
}

/// The clauses that decided.
pub(super) fn because(rule: &RuleEvidence) -> String {
    match (&rule.source, &rule.clauses[..]) {
        (None, [only]) if only.text == "false" => {
            format!("because {} has no rule for `{}`", rule.entity, rule.operation.word())
        }
        (None, [only]) if only.text == "true" => {
            format!("because {} has no rules, and `tidewire dev` opens such entities", rule.entity)
        }
        // A lease without a rule of its own is judged by the one for updates.
        (_, clauses) => format!("because {}", judged(clauses)),
    }
}

/// ``"`owner == user.id` is false"``, of several all of them.
pub(super) fn judged(clauses: &[Clause]) -> String {
    let texts: Vec<String> =
        clauses.iter().map(|clause| format!("`{}` is {}", clause.text, truth(clause.truth))).collect();
    texts.join(" and ")
}

pub(super) fn time(at: Timestamp) -> Value {
    at.rfc3339().into()
}

/// A rule over several lines, on one.
fn one_line(source: &str) -> String {
    source.split_whitespace().collect::<Vec<_>>().join(" ")
}
