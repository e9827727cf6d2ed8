//! Fields that the server numbers (`sequence`): which records are counted together.
//!
//! Knows the fields of one file, no other.

use super::draft::{EntityDraft, SequenceSite};
use super::names::RECORD_FIELDS;
use super::reader::TableReader;
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
use crate::schema::message::{quoted, suggestion};
use crate::schema::model::{FieldKind, Sequence};
use crate::schema::tree::{Data, Entry, TableNode};

/// Keys that say what a number may be or who gives it.
pub(in crate::schema) const NOT_FOR_SEQUENCES: &[&str] =
    &["required", "unique", "readonly", "default", "min", "max"];

/// The server counts from 1. An import brings no smaller number.
pub(super) const KIND: FieldKind = FieldKind::Int { min: Some(1), max: None };

const EXAMPLE: &str = "sequence = \"project\"";

/// Reads the key. `None` where it says nothing, or was reported.
pub(super) fn check(
    field: &Entry,
    entry: &Entry,
    table: &TableNode,
    reader: &mut TableReader<'_>,
) -> Option<SequenceSite> {
    let by = match &entry.value.data {
        Data::Bool(false) => return None,
        Data::Bool(true) => None,
        Data::Text(name) => Some(name.clone()),
        Data::Null | Data::Int(_) | Data::Float(_) | Data::Datetime(_) | Data::List(_) | Data::Table(_) => {
            return reader.wrong_kind(entry, "true or the name of a field", EXAMPLE);
        }
    };
    for other in NOT_FOR_SEQUENCES.iter().filter_map(|key| table.get(key)) {
        let message = format!("{} is not possible with `sequence`", quoted(&other.key));
        let problem = Diagnostic::new(DiagnosticCode::Sequence, other.key_span.clone(), message);
        reader.add(
            problem.label("not for a sequence").help("remove it: the server gives the numbers 1, 2, 3..."),
        );
    }
    Some(SequenceSite { field: field.key.clone(), by, span: entry.value.span.clone() })
}

/// Gives each sequence the field that it counts by. `known` are all names of fields, `lookups` those of copies.
pub(super) fn resolve(
    draft: &mut EntityDraft,
    sites: &[SequenceSite],
    known: &[&str],
    lookups: &[&str],
    reader: &mut TableReader<'_>,
) {
    for site in sites {
        let Some((own, _)) = draft.entity.field(&site.field) else { continue };
        draft.entity.fields[own.0].sequence = match &site.by {
            None => Some(Sequence::Whole),
            Some(name) => counted_by(draft, site, name, known, lookups, reader),
        };
    }
}

fn counted_by(
    draft: &EntityDraft,
    site: &SequenceSite,
    name: &str,
    known: &[&str],
    lookups: &[&str],
    reader: &mut TableReader<'_>,
) -> Option<Sequence> {
    let problem = |message: String| Diagnostic::new(DiagnosticCode::Sequence, site.span.clone(), message);
    if name == site.field {
        let message = format!("{} cannot count by itself", quoted(name));
        reader.add(problem(message).label("the same field").help(
            "name the field that the counted records have in common; for all records of the entity write sequence = true",
        ));
        return None;
    }
    if lookups.contains(&name) {
        let message = format!("{} is a lookup and cannot be counted by", quoted(name));
        let help = "name the ref that it is copied through: a lookup changes when another record does";
        reader.add(problem(message).label("a copy").help(help));
        return None;
    }
    match draft.entity.field(name) {
        Some((at, field)) if is_countable(&field.kind) => Some(Sequence::Within(at)),
        Some((_, field)) => {
            let message =
                format!("{} is of type {} and cannot be counted by", quoted(name), field.kind.word());
            let help = "name a field of type ref, text, enum, date or uuid";
            reader.add(problem(message).label("not for counting").help(help));
            None
        }
        None if known.contains(&name) => None,
        None if RECORD_FIELDS.contains(&name) => {
            let message = format!("{} cannot be counted by", quoted(name));
            reader.add(
                problem(message)
                    .label("not a field of the file")
                    .help("name a field of the file; for all records of the entity write sequence = true"),
            );
            None
        }
        None => {
            let message = format!("there is no field {} to count by", quoted(name));
            let help = suggestion(name, known, "the fields are");
            reader.add(problem(message).label("unknown field").help(help));
            None
        }
    }
}

/// Whether values are the same exactly when their texts are.
fn is_countable(kind: &FieldKind) -> bool {
    match kind {
        FieldKind::Ref { .. }
        | FieldKind::Text { .. }
        | FieldKind::Enum { .. }
        | FieldKind::Date
        | FieldKind::Uuid => true,
        FieldKind::Int { .. }
        | FieldKind::Float { .. }
        | FieldKind::Bool
        | FieldKind::Json
        | FieldKind::Datetime => false,
    }
}
