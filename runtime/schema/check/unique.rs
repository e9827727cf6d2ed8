//! The `[[unique]]` tables of an entity: fields whose values no two records share.
//!
//! Knows the entity's fields, no database.

use super::names::RECORD_FIELDS;
use super::reader::TableReader;
use crate::schema::column::FieldIndex;
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
use crate::schema::message::{quoted, suggestion};
use crate::schema::model::{Entity, FieldKind, KeyFields};
use crate::schema::tree::{Data, Entry, Node, Span};

/// Most `[[unique]]` tables of one entity.
pub(in crate::schema) const MOST_UNIQUE: usize = 16;

const EXAMPLE: &str = "fields = [\"person\", \"project\"]";

/// The fields of one table, and where they stand.
struct UniqueFields {
    key: KeyFields,
    span: Span,
}

/// Every table of the entity. `known` are all field names of the file, those of fields with problems too; `lookups` those of
/// fields with `from`, sound or not.
pub(super) fn check(
    entry: &Entry,
    entity: &Entity,
    known: &[&str],
    lookups: &[&str],
    reader: &mut TableReader<'_>,
) -> Vec<KeyFields> {
    let Some(items) = reader.list(entry, "[[unique]]") else { return Vec::new() };
    if let Some(over) = items.get(MOST_UNIQUE) {
        let message = format!("{} tables [[unique]], and an entity has at most {MOST_UNIQUE}", items.len());
        let problem =
            Diagnostic::new(DiagnosticCode::TooMany, over.span.clone(), message).label("one too many");
        reader.add(problem.help("each is looked up by every write: keep those that must hold"));
    }
    let names = MemberNames { entity, known, lookups };
    let mut all: Vec<UniqueFields> = Vec::new();
    for item in items {
        let Some(one) = one(item, &names, reader) else { continue };
        // The order of the fields makes no difference to what is unique.
        let same = |other: &&UniqueFields| sorted(&other.key.fields) == sorted(&one.key.fields);
        if let Some(first) = all.iter().find(same) {
            let message = "these fields are unique together twice";
            let problem = Diagnostic::new(DiagnosticCode::UniqueFields, one.span.clone(), message);
            reader
                .add(problem.label("second time").also(first.span.clone(), "first time").help("remove one"));
            continue;
        }
        all.push(one);
    }
    all.into_iter().map(|one| one.key).collect()
}

fn sorted(fields: &[FieldIndex]) -> Vec<FieldIndex> {
    let mut fields = fields.to_vec();
    fields.sort_unstable();
    fields
}

/// What a name in the list can stand for.
struct MemberNames<'a> {
    entity: &'a Entity,
    known: &'a [&'a str],
    lookups: &'a [&'a str],
}

/// `None` if anything is wrong with it.
fn one(item: &Node, names: &MemberNames<'_>, reader: &mut TableReader<'_>) -> Option<UniqueFields> {
    let Data::Table(table) = &item.data else {
        let message = format!("what is unique together must be a table, found {}", item.data.noun());
        let problem =
            Diagnostic::new(DiagnosticCode::WrongKind, item.span.clone(), message).label("expected a table");
        reader.add(problem.help(format!("write [[unique]] and below it {EXAMPLE}")));
        return None;
    };
    reader.unknown_keys(table, &["fields", "ignore_case"], &[], "of [[unique]]");
    let ignore_case = reader.flag(table, "ignore_case");
    let Some(entry) = table.get("fields") else {
        let problem =
            Diagnostic::new(DiagnosticCode::MissingKey, item.span.clone(), "this [[unique]] has no `fields`");
        reader.add(problem.label("no `fields`").help(format!("add them: {EXAMPLE}")));
        return None;
    };
    let span = &entry.value.span;
    let items = reader.list(entry, EXAMPLE)?;
    let problem =
        |span: &Span, message: String| Diagnostic::new(DiagnosticCode::UniqueFields, span.clone(), message);
    match items {
        [] => {
            let message = "this [[unique]] has no fields".to_owned();
            reader.add(problem(span, message).label("empty").help(format!("name at least two: {EXAMPLE}")));
            return None;
        }
        [one] => {
            let message = "this [[unique]] has one field, and needs two or more".to_owned();
            let name = one.data.as_text().unwrap_or("code");
            let help = format!("write `unique = true` at the field {}, and remove this table", quoted(name));
            reader.add(problem(span, message).label("one field").help(help));
            return None;
        }
        [_, _, ..] => {}
    }
    let mut fields = Vec::with_capacity(items.len());
    let mut sound = true;
    for item in items {
        match member(item, names, reader) {
            Some(at) if fields.contains(&at) => {
                let message = format!("{} is twice in this [[unique]]", quoted(&names.entity.at(at).name));
                reader.add(problem(&item.span, message).label("second time").help("remove one"));
                sound = false;
            }
            Some(at) => fields.push(at),
            None => sound = false,
        }
    }
    let is_text = |at: &FieldIndex| matches!(names.entity.at(*at).kind, FieldKind::Text { .. });
    if let (true, true, false, Some(entry)) =
        (sound, ignore_case, fields.iter().any(is_text), table.get("ignore_case"))
    {
        let message = "this [[unique]] has `ignore_case` and no text";
        let problem = Diagnostic::new(DiagnosticCode::IgnoreCase, entry.key_span.clone(), message);
        let help = "remove it: only texts are compared without case, and not ids, times or values of an enum";
        reader.add(problem.label("nothing to ignore").help(help));
        return None;
    }
    sound.then(|| UniqueFields { key: KeyFields { fields, ignore_case }, span: span.clone() })
}

fn member(item: &Node, names: &MemberNames<'_>, reader: &mut TableReader<'_>) -> Option<FieldIndex> {
    let MemberNames { entity, known, lookups } = names;
    let problem = |message: String| Diagnostic::new(DiagnosticCode::UniqueMember, item.span.clone(), message);
    let Data::Text(name) = &item.data else {
        let message = format!("a field of [[unique]] is named by a string, found {}", item.data.noun());
        let problem = Diagnostic::new(DiagnosticCode::WrongKind, item.span.clone(), message);
        reader.add(problem.label("expected a string").help(EXAMPLE));
        return None;
    };
    let name = name.as_str();
    if lookups.contains(&name) {
        let message = format!("{} is a lookup and cannot be in [[unique]]", quoted(name));
        let help = "name the ref that it is copied through: a lookup changes when another record does";
        reader.add(problem(message).label("a copy").help(help));
        return None;
    }
    match entity.field(name) {
        Some((_, field)) if field.kind == FieldKind::Json => {
            let message = format!("{} is a json field and cannot be in [[unique]]", quoted(name));
            let help = "store what must be unique in a field of its own";
            reader.add(problem(message).label("not for json").help(help));
            None
        }
        Some((at, _)) => Some(at),
        None if known.contains(&name) => None,
        None if RECORD_FIELDS.contains(&name) => {
            let message = format!("{} cannot be in [[unique]]", quoted(name));
            let help = match name {
                "id" => "leave it out: every id is unique by itself",
                _ => "name fields of the file only",
            };
            reader.add(problem(message).label("not a field of the file").help(help));
            None
        }
        None => {
            let message = format!("there is no field {} to be unique", quoted(name));
            let help = suggestion(name, known, "the fields are");
            reader.add(problem(message).label("unknown field").help(help));
            None
        }
    }
}
