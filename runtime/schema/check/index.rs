//! The `[[index]]` tables of an entity.
//!
//! Knows the entity's fields, no database.

use super::names::RECORD_FIELDS;
use super::reader::TableReader;
use crate::schema::column::Column;
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
use crate::schema::message::{quoted, suggestion};
use crate::schema::model::{Entity, FieldKind};
use crate::schema::tree::{Data, Entry, Node, Span};

/// Most indexes of one entity.
pub const MOST_INDEXES: usize = 64;

const EXAMPLE: &str = "fields = [\"status\", \"due\"]";

/// Every index of the entity. `known` are all field names of the file, those of fields with problems too.
pub(super) fn check(
    entry: &Entry,
    entity: &Entity,
    known: &[&str],
    reader: &mut TableReader<'_>,
) -> Vec<Vec<Column>> {
    let Some(items) = reader.list(entry, "[[index]]") else { return Vec::new() };
    if let Some(over) = items.get(MOST_INDEXES) {
        let message = format!("{} indexes, and an entity has at most {MOST_INDEXES}", items.len());
        let problem =
            Diagnostic::new(DiagnosticCode::TooMany, over.span.clone(), message).label("one too many");
        reader.add(
            problem.help("each index slows every write: keep those that lists are filtered and sorted by"),
        );
    }
    let mut indexes: Vec<(Vec<Column>, Span)> = Vec::new();
    for item in items {
        let Some((fields, span)) = one(item, entity, known, reader) else { continue };
        if let Some((_, first)) = indexes.iter().find(|(other, _)| *other == fields) {
            let problem =
                Diagnostic::new(DiagnosticCode::IndexRepeated, span, "the same index is given twice")
                    .label("second time");
            reader.add(problem.also(first.clone(), "first time").help("remove one"));
            continue;
        }
        indexes.push((fields, span));
    }
    indexes.into_iter().map(|(fields, _)| fields).collect()
}

/// One index, and where its fields stand; `None` if anything is wrong with it.
fn one(
    item: &Node,
    entity: &Entity,
    known: &[&str],
    reader: &mut TableReader<'_>,
) -> Option<(Vec<Column>, Span)> {
    let Data::Table(table) = &item.data else {
        let message = format!("an index must be a table, found {}", item.data.noun());
        let problem =
            Diagnostic::new(DiagnosticCode::WrongKind, item.span.clone(), message).label("expected a table");
        reader.add(problem.help(format!("write [[index]] and below it {EXAMPLE}")));
        return None;
    };
    reader.unknown_keys(table, &["fields"], &[], "of an index");
    let Some(entry) = table.get("fields") else {
        let problem =
            Diagnostic::new(DiagnosticCode::MissingKey, item.span.clone(), "this index has no `fields`");
        reader.add(problem.label("no `fields`").help(format!("add them: {EXAMPLE}")));
        return None;
    };
    let items = reader.list(entry, EXAMPLE)?;
    if items.is_empty() {
        let problem = Diagnostic::new(
            DiagnosticCode::IndexRepeated,
            entry.value.span.clone(),
            "this index has no fields",
        );
        reader.add(problem.label("empty").help(format!("name at least one: {EXAMPLE}")));
        return None;
    }
    let mut fields: Vec<Column> = Vec::with_capacity(items.len());
    let mut sound = true;
    for item in items {
        match member(item, entity, known, reader) {
            Some(at) if fields.contains(&at) => {
                let message = format!("{} is twice in this index", quoted(entity.name_of(at)));
                let problem = Diagnostic::new(DiagnosticCode::IndexRepeated, item.span.clone(), message)
                    .label("second time");
                reader.add(problem.help("remove one"));
                sound = false;
            }
            Some(at) => fields.push(at),
            None => sound = false,
        }
    }
    if fields == [Column::CreatedAt] {
        let message = "every entity has an index over `created_at`";
        let problem = Diagnostic::new(DiagnosticCode::IndexRepeated, entry.value.span.clone(), message);
        reader.add(problem.label("built in").help("remove this index"));
        return None;
    }
    sound.then(|| (fields, entry.value.span.clone()))
}

fn member(item: &Node, entity: &Entity, known: &[&str], reader: &mut TableReader<'_>) -> Option<Column> {
    let problem = |code, message: String| Diagnostic::new(code, item.span.clone(), message);
    let Data::Text(name) = &item.data else {
        let message = format!("a field of an index is named by a string, found {}", item.data.noun());
        reader.add(problem(DiagnosticCode::WrongKind, message).label("expected a string").help(EXAMPLE));
        return None;
    };
    match entity.field(name) {
        Some((_, field)) if field.kind == FieldKind::Json => {
            let message = format!("{} is a json field and cannot be in an index", quoted(name));
            let help = "store what lists filter by in a field of its own";
            reader.add(problem(DiagnosticCode::IndexJson, message).label("not for json").help(help));
            None
        }
        Some((at, _)) => Some(Column::Field(at)),
        None if name == "created_at" => Some(Column::CreatedAt),
        None if name == "updated_at" => Some(Column::UpdatedAt),
        None if known.contains(&name.as_str()) => None,
        None if RECORD_FIELDS.contains(&name.as_str()) => {
            let message = format!("{} cannot be in an index", quoted(name));
            let help = "an index names fields of the file, `created_at` and `updated_at`";
            reader.add(
                problem(DiagnosticCode::IndexUnknown, message).label("not a field of the file").help(help),
            );
            None
        }
        None => {
            let message = format!("there is no field {} to be in an index", quoted(name));
            let help = suggestion(name, known, "the fields are");
            reader.add(problem(DiagnosticCode::IndexUnknown, message).label("unknown field").help(help));
            None
        }
    }
}
