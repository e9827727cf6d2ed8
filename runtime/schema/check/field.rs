//! One field: its name, and the constraints that every type may have.
//!
//! Knows no entity; `kind.rs` reads the type, `default.rs` the default.

use std::sync::Arc;

use super::draft::{LookupSite, LooseRule, RefSite, SequenceSite};
use super::reader::TableReader;
use super::rule_text::rule_text;
use super::{default, kind, names, normalize, sequence};
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
use crate::schema::message::quoted;
use crate::schema::model::{Field, FieldDefault, FieldKind, OnDelete};
use crate::schema::rule::{Expr, Rule};
use crate::schema::text_form;
use crate::schema::tree::{Entry, Span, TableNode};
use crate::schema::value::Value;

/// A field as far as it could be made out.
pub(super) struct CheckedField {
    pub(super) field: Field,
    pub(super) reference: Option<RefSite>,
    pub(super) lookup: Option<LookupSite>,
    /// Where it says by which field it counts.
    pub(super) sequence: Option<SequenceSite>,
    /// The place of the rule that says who may see it.
    pub(super) rule: Option<Span>,
    /// Where it says that it is the identity.
    pub(super) identity: Option<Span>,
    /// Something was wrong with the type, so what may be compared with it is not certain.
    pub(super) is_doubtful: bool,
}

/// Checks one entry of `[fields]`. If its type is not known, which has then been reported, only its rule is left.
pub(super) fn check(entry: &Entry, reader: &mut TableReader<'_>) -> Result<CheckedField, Option<LooseRule>> {
    names::field(&entry.key, &entry.key_span).into_iter().for_each(|problem| reader.add(problem));
    let table = table_of(entry, reader).ok_or(None)?;
    // Before the type, without which the rest is not looked at.
    let [required, unique, ignore_case, find, readonly, search, identity] =
        ["required", "unique", "ignore_case", "find", "readonly", "search", "identity"]
            .map(|key| reader.flag(table, key));
    let (read, rule) = read_rule(table, search, reader);
    let before = reader.count();
    let Some(kind) = kind::check(entry, table, reader) else {
        let loose = |(rule, span)| LooseRule { rule, span };
        return Err(read.zip(rule).map(loose));
    };
    let is_doubtful = reader.count() > before;
    let sequence = table.get("sequence").filter(|_| matches!(kind, FieldKind::Int { .. }));
    let sequence = sequence.and_then(|sequence| sequence::check(entry, sequence, table, reader));
    let kind = if sequence.is_some() { sequence::KIND } else { kind };
    let lookup = table.get("from").and_then(|from| lookup(entry, from, table, reader));
    let is_text = matches!(kind, FieldKind::Text { .. });
    let steps = table.get("normalize").filter(|_| is_text);
    let steps = steps.map_or_else(Vec::new, |entry| normalize::check(entry, reader));
    let field = Field {
        required,
        unique,
        ignore_case: ignore_case && unique && is_text,
        find: find && unique,
        normalize: steps,
        // A lookup and a number are set by the server alone.
        readonly: readonly || lookup.is_some() || sequence.is_some(),
        default: table.get("default").and_then(|entry| default::check(entry, &kind, reader)),
        search: search && matches!(kind, FieldKind::Text { .. }),
        was: table.get("was").and_then(|was| former_name(entry, was, reader)),
        read,
        ..Field::new(&entry.key, kind)
    };
    never_set(&field, entry, table, reader);
    unique_json(&field, table, reader);
    find_one(&field, table, find, reader);
    without_case(&field, table, ignore_case, reader);
    unique_default(&field, table, reader);
    normalize::default(&field, table, reader);
    set_null_required(&field, table, reader);
    let reference = reference(&field, table);
    // On another type the key has been reported.
    let identity = identity && reference.is_some();
    let identity = table.get("identity").filter(|_| identity).map(|entry| entry.key_span.clone());
    Ok(CheckedField { field, reference, lookup, sequence, rule, identity, is_doubtful })
}

/// Who may see the field, and where the file says so unless it is hidden from everyone.
fn read_rule(table: &TableNode, search: bool, reader: &mut TableReader<'_>) -> (Option<Rule>, Option<Span>) {
    let hidden = reader.flag(table, "hidden");
    let read = table.get("read").and_then(|entry| {
        let rule = rule_text(entry, "read = \"owner == user.id\"", reader)?;
        Some((rule, entry.value.span.clone()))
    });
    let problem = |entry: &Entry, message: &str| {
        Diagnostic::new(DiagnosticCode::FieldRule, entry.key_span.clone(), message)
    };
    if let (true, Some(hides), Some(entry)) = (hidden, table.get("hidden"), table.get("read")) {
        let problem = problem(entry, "a hidden field has a rule about who sees it").label("this rule");
        reader.add(
            problem.also(hides.key_span.clone(), "hidden from every user").help("remove one of the two"),
        );
    }
    let says = if hidden { table.get("hidden") } else { table.get("read") };
    if let (true, Some(says)) = (search, says) {
        let problem =
            problem(says, "a searched field cannot be hidden from some users").label("searched and hidden");
        reader.add(problem.help("remove `search`: the results would reveal what the field contains"));
    }
    match (hidden, read) {
        (true, _) => (Some(Rule { source: "false".into(), meaning: Expr::Constant(false) }), None),
        (false, Some((rule, span))) => (Some(rule), Some(span)),
        (false, None) => (None, None),
    }
}

fn table_of<'t>(entry: &'t Entry, reader: &mut TableReader<'_>) -> Option<&'t TableNode> {
    // `title = "text"` is what many try first.
    let word = entry.value.data.as_text().unwrap_or("text");
    reader.table(entry, &format!("{} = {{ type = \"{word}\" }}", entry.key))
}

fn never_set(field: &Field, entry: &Entry, table: &TableNode, reader: &mut TableReader<'_>) {
    let by_server = table.get("from").is_some() || table.get("sequence").is_some();
    if field.required && field.readonly && !by_server && table.get("default").is_none() {
        let message = format!("{} is required and readonly and has no default", quoted(&entry.key));
        let problem = Diagnostic::new(DiagnosticCode::NeverSet, entry.key_span.clone(), message)
            .label("no request can set it");
        reader.add(problem.help("add a default, or leave `required` or `readonly` out"));
    }
}

fn unique_json(field: &Field, table: &TableNode, reader: &mut TableReader<'_>) {
    if let (true, FieldKind::Json, Some(entry)) = (field.unique, &field.kind, table.get("unique")) {
        let problem =
            Diagnostic::new(DiagnosticCode::Unique, entry.key_span.clone(), "a json field cannot be unique");
        reader.add(problem.label("not for json").help("store what must be unique in a field of its own"));
    }
}

/// A value that two records have names none. On a lookup the key has been reported.
fn find_one(field: &Field, table: &TableNode, find: bool, reader: &mut TableReader<'_>) {
    if let (true, false, false, Some(entry)) =
        (find, field.unique, table.get("from").is_some(), table.get("find"))
    {
        let message = format!("{} has `find` and is not unique", quoted(&field.name));
        let problem = Diagnostic::new(DiagnosticCode::Find, entry.key_span.clone(), message);
        let help = "add unique = true: an address by a value leads to one record";
        reader.add(problem.label("needs `unique`").help(help));
    }
}

/// On another type, and on a lookup, the key has been reported.
fn without_case(field: &Field, table: &TableNode, ignore_case: bool, reader: &mut TableReader<'_>) {
    let is_text = matches!(field.kind, FieldKind::Text { .. });
    let lone = ignore_case && is_text && !field.unique && table.get("from").is_none();
    if let (true, Some(entry)) = (lone, table.get("ignore_case")) {
        let message = format!("{} has `ignore_case` and is not unique", quoted(&field.name));
        let problem = Diagnostic::new(DiagnosticCode::IgnoreCase, entry.key_span.clone(), message);
        let help = "add unique = true, or remove it: filters compare texts letter for letter";
        reader.add(problem.label("needs `unique`").help(help));
    }
}

/// What a client may not write is no default either.
fn unique_default(field: &Field, table: &TableNode, reader: &mut TableReader<'_>) {
    let Some(FieldDefault::Value(Value::Text(text))) = &field.default else { return };
    let is_text = matches!(field.kind, FieldKind::Text { .. });
    if let (true, false, Some(entry)) =
        (field.unique && is_text, text_form::is_composed(text), table.get("default"))
    {
        let message = "the default of a unique text is not in Unicode's composed form (NFC)";
        let problem = Diagnostic::new(DiagnosticCode::DefaultRange, entry.value.span.clone(), message)
            .label("this default");
        reader.add(problem.help("write letter and accent as one character"));
    }
}

fn set_null_required(field: &Field, table: &TableNode, reader: &mut TableReader<'_>) {
    let sets_null = matches!(field.kind, FieldKind::Ref { on_delete: OnDelete::SetNull, .. });
    if let (true, true, Some(entry)) = (sets_null, field.required, table.get("on_delete")) {
        let message = format!("{} is required and cannot be set to null", quoted(&field.name));
        let problem = Diagnostic::new(DiagnosticCode::SetNullRequired, entry.value.span.clone(), message);
        let problem = problem.label("sets it to null");
        reader.add(problem.help("leave `required` out, or use on_delete = \"restrict\" or \"cascade\""));
    }
}

fn former_name(field: &Entry, was: &Entry, reader: &mut TableReader<'_>) -> Option<Arc<str>> {
    let name = reader.text(was, "was = \"old_name\"")?;
    if name == field.key {
        reader.add(names::was_itself(name, &was.value.span));
        return None;
    }
    match names::former_field(name, &was.value.span) {
        Some(problem) => reader.add(problem),
        None => return Some(name.into()),
    }
    None
}

/// Keys that say what a value may be or become: a lookup has the value of another record's field.
pub(in crate::schema) const NOT_FOR_LOOKUPS: &[&str] = &[
    "required",
    "unique",
    "ignore_case",
    "normalize",
    "find",
    "readonly",
    "default",
    "min",
    "max",
    "pattern",
    "on_delete",
    "sequence",
];

fn lookup(
    field: &Entry,
    from: &Entry,
    table: &TableNode,
    reader: &mut TableReader<'_>,
) -> Option<LookupSite> {
    const EXAMPLE: &str = "from = \"task.project\"";
    let text = reader.text(from, EXAMPLE)?;
    for entry in NOT_FOR_LOOKUPS.iter().filter_map(|key| table.get(key)) {
        let message = format!("{} is not possible with `from`", quoted(&entry.key));
        let problem = Diagnostic::new(DiagnosticCode::Lookup, entry.key_span.clone(), message)
            .label("not for a lookup");
        reader.add(problem.help("remove it: the server copies the value of the field that `from` names"));
    }
    match text.split_once('.') {
        Some((via, source)) if !via.is_empty() && !source.is_empty() && !source.contains('.') => {
            Some(LookupSite {
                field: field.key.clone(),
                via: via.to_owned(),
                source: source.to_owned(),
                span: from.value.span.clone(),
            })
        }
        _ => {
            let message = format!("{} does not say from which field of which record", quoted(text));
            let problem = Diagnostic::new(DiagnosticCode::Lookup, from.value.span.clone(), message)
                .label("no such path");
            reader.add(problem.help("name a ref of this entity, a dot, and a field of the entity that it refers to: from = \"task.project\""));
            None
        }
    }
}

fn reference(field: &Field, table: &TableNode) -> Option<RefSite> {
    let FieldKind::Ref { entity, .. } = &field.kind else { return None };
    // A ref whose entity is missing has been reported, and leads nowhere.
    let entry = table.get("entity").filter(|_| !entity.is_empty())?;
    Some(RefSite { entity: entity.to_string(), span: entry.value.span.clone() })
}
