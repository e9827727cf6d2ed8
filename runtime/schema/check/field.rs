//! One field: its name, and the constraints that every type may have.
//!
//! Knows no entity; `kind.rs` reads the type, `default.rs` the default.

use super::reader::Reader;
use super::{default, kind, names};
use crate::schema::diagnostics::{Code, Problem};
use crate::schema::message::quoted;
use crate::schema::model::{Field, FieldKind, OnDelete};
use crate::schema::tree::{Entry, Span, Table};

/// Where a field names the entity that it refers to.
pub(super) struct RefSite {
    pub(super) entity: String,
    pub(super) span: Span,
}

/// A field as far as it could be made out.
pub(super) struct Checked {
    pub(super) field: Field,
    pub(super) reference: Option<RefSite>,
}

/// Checks one entry of `[fields]`; `None` if its type is not known, which has then been reported.
pub(super) fn check(entry: &Entry, reader: &mut Reader<'_>) -> Option<Checked> {
    names::field(&entry.key, &entry.key_span).into_iter().for_each(|problem| reader.add(problem));
    let table = table_of(entry, reader)?;
    // Before the type, without which the rest is not looked at.
    let [required, unique, readonly] = ["required", "unique", "readonly"].map(|key| reader.flag(table, key));
    let kind = kind::check(entry, table, reader)?;
    let field = Field {
        name: entry.key.as_str().into(),
        required,
        unique,
        readonly,
        default: table.get("default").and_then(|entry| default::check(entry, &kind, reader)),
        kind,
    };
    never_set(&field, entry, table, reader);
    unique_json(&field, table, reader);
    set_null_required(&field, table, reader);
    let reference = reference(&field, table);
    Some(Checked { field, reference })
}

fn table_of<'t>(entry: &'t Entry, reader: &mut Reader<'_>) -> Option<&'t Table> {
    // `title = "text"` is what many try first.
    let word = entry.value.data.as_text().unwrap_or("text");
    reader.table(entry, &format!("{} = {{ type = \"{word}\" }}", entry.key))
}

fn never_set(field: &Field, entry: &Entry, table: &Table, reader: &mut Reader<'_>) {
    if field.required && field.readonly && table.get("default").is_none() {
        let message = format!("{} is required and readonly and has no default", quoted(&entry.key));
        let problem =
            Problem::new(Code::NeverSet, entry.key_span.clone(), message).label("nobody can set it");
        reader.add(problem.help("add a default, or leave `required` or `readonly` out"));
    }
}

fn unique_json(field: &Field, table: &Table, reader: &mut Reader<'_>) {
    if let (true, FieldKind::Json, Some(entry)) = (field.unique, &field.kind, table.get("unique")) {
        let problem = Problem::new(Code::Unique, entry.key_span.clone(), "a json field cannot be unique");
        reader.add(problem.label("not for json").help("keep what must be unique in a field of its own"));
    }
}

fn set_null_required(field: &Field, table: &Table, reader: &mut Reader<'_>) {
    let sets_null = matches!(field.kind, FieldKind::Ref { on_delete: OnDelete::SetNull, .. });
    if let (true, true, Some(entry)) = (sets_null, field.required, table.get("on_delete")) {
        let message = format!("{} is required and cannot be set to null", quoted(&field.name));
        let problem = Problem::new(Code::SetNullRequired, entry.value.span.clone(), message);
        let problem = problem.label("sets it to null");
        reader.add(problem.help("leave `required` out, or use on_delete = \"restrict\" or \"cascade\""));
    }
}

fn reference(field: &Field, table: &Table) -> Option<RefSite> {
    let FieldKind::Ref { entity, .. } = &field.kind else { return None };
    // A ref whose entity is missing has been reported, and leads nowhere.
    let entry = table.get("entity").filter(|_| !entity.is_empty())?;
    Some(RefSite { entity: entity.to_string(), span: entry.value.span.clone() })
}
