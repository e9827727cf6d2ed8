//! One file for itself: its name, plural, label, fields, indexes and access rules.
//!
//! Knows no other file: `across.rs` looks at names that must differ and references that must lead somewhere.

use super::field::{self, RefSite};
use super::reader::Reader;
use super::{MOST_FIELDS, index, names};
use crate::schema::builtin::{self, USER};
use crate::schema::diagnostics::{Code, Problem};
use crate::schema::message::{quoted, suggestion};
use crate::schema::model::{Access, Entity, Field, FieldIndex, FieldKind, IdKind};
use crate::schema::tree::{Entry, Span, Table};

pub(in crate::schema) const KEYS: &[&str] =
    &["entity", "plural", "label", "fields", "access", "index", EDITOR_KEY];
/// Tells an editor where the JSON Schema of this file is.
const EDITOR_KEY: &str = "$schema";
const KEYS_LATER: &[&str] = &["history", "was", "search", "hidden", "presence"];
pub(in crate::schema) const OPERATIONS: &[&str] = &["read", "create", "update", "delete"];

/// Longest access rule in bytes.
pub(in crate::schema) const LONGEST_RULE: usize = 4 << 10;

/// What one file describes. Whole only if nothing was reported of the file.
pub(super) struct Draft {
    pub(super) file: usize,
    pub(super) entity: Entity,
    /// Where the entity's name stands; `None` if the file names no entity.
    pub(super) name_span: Option<Span>,
    /// Where the plural stands, or the name that it was made of.
    pub(super) plural_span: Span,
    pub(super) refs: Vec<RefSite>,
}

/// Checks the tree of one file.
pub(super) fn check(root: &Table, reader: &mut Reader<'_>) -> Draft {
    reader.unknown_keys(root, KEYS, KEYS_LATER, "of an entity");
    if let Some(entry) = root.get(EDITOR_KEY) {
        reader.text(entry, "\"$schema\" = \"../tidewire.schema.json\"");
    }
    let mut draft = named(root, reader);
    let known = fields(root, &mut draft, reader);
    if let Some(entry) = root.get("label") {
        draft.entity.label = label(entry, &draft.entity, &known, reader);
    }
    if let Some(entry) = root.get("index") {
        draft.entity.indexes = index::check(entry, &draft.entity, &known, reader);
    }
    if let Some(entry) = root.get("access") {
        draft.entity.access = access(entry, reader);
    }
    draft
}

/// The name in a file whose syntax is broken elsewhere, so that references to it are not called unknown.
pub(super) fn name_only(root: &Table, file: usize) -> Option<Draft> {
    let entry = root.get("entity")?;
    let name = entry.value.data.as_text()?;
    let given = root.get("plural").and_then(|entry| entry.value.data.as_text());
    let plural = given.map_or_else(|| default_plural(name), str::to_owned);
    let span = entry.value.span.clone();
    let entity = blank(name, &plural);
    Some(Draft { file, entity, name_span: Some(span.clone()), plural_span: span, refs: Vec::new() })
}

/// A draft with name and plural, `User` with what is built in.
fn named(root: &Table, reader: &mut Reader<'_>) -> Draft {
    let file = reader.file;
    let Some((name, span)) = name(root, reader) else {
        return Draft { file, entity: blank("", ""), name_span: None, plural_span: 0..0, refs: Vec::new() };
    };
    let mut draft = Draft {
        file,
        entity: blank(name, ""),
        name_span: Some(span.clone()),
        plural_span: span,
        refs: Vec::new(),
    };
    if name == USER {
        draft.entity = builtin::user();
        for entry in ["plural", "label"].iter().filter_map(|key| root.get(key)) {
            let message = format!("{} of the built-in `User` cannot be changed", quoted(&entry.key));
            let problem = Problem::new(Code::BuiltIn, entry.key_span.clone(), message).label("built in");
            reader.add(problem.help("a file for `User` only adds fields: take this line out"));
        }
        return draft;
    }
    draft.entity.plural = plural(name, root, &mut draft.plural_span, reader).into();
    draft
}

/// The plural, and in `span` where it stands if it stands anywhere. One made of a bad name is not looked at.
fn plural(name: &str, root: &Table, span: &mut Span, reader: &mut Reader<'_>) -> String {
    let plural = match root.get("plural") {
        Some(entry) => {
            let Some(plural) = reader.text(entry, "plural = \"tasks\"") else { return String::new() };
            *span = entry.value.span.clone();
            plural.to_owned()
        }
        None if names::entity(name, span).is_some() => return String::new(),
        None => default_plural(name),
    };
    names::plural(&plural, span).into_iter().for_each(|problem| reader.add(problem));
    plural
}

fn name<'t>(root: &'t Table, reader: &mut Reader<'_>) -> Option<(&'t str, Span)> {
    let Some(entry) = root.get("entity") else {
        let problem =
            Problem::new(Code::MissingKey, 0..0, "this file does not say which entity it describes");
        reader.add(problem.help("begin it with a line like: entity = \"Task\""));
        return None;
    };
    let name = reader.text(entry, "entity = \"Task\"")?;
    names::entity(name, &entry.value.span).into_iter().for_each(|problem| reader.add(problem));
    Some((name, entry.value.span.clone()))
}

/// Adds the fields of the file to the draft; answers with every name that stands there, those of bad fields too.
fn fields<'t>(root: &'t Table, draft: &mut Draft, reader: &mut Reader<'_>) -> Vec<&'t str> {
    let is_user = &*draft.entity.name == USER;
    let Some(entry) = root.get("fields") else {
        // A file without a name has been told to begin with one.
        if let (Some(span), false) = (draft.name_span.clone(), is_user) {
            no_fields(span, reader);
        }
        return Vec::new();
    };
    let Some(table) = reader.table(entry, "[fields]") else { return Vec::new() };
    if table.entries.is_empty() && !is_user {
        no_fields(entry.key_span.clone(), reader);
    }
    let own = draft.entity.fields.len();
    if let Some(over) = table.entries.get(MOST_FIELDS - own) {
        let message =
            format!("{} fields, and an entity has at most {MOST_FIELDS}", table.entries.len() + own);
        let problem = Problem::new(Code::TooMany, over.key_span.clone(), message).label("one too many");
        reader.add(problem.help("move some into another entity with a `ref`, or into one `json` field"));
    }
    for entry in &table.entries {
        let built_in = draft.entity.fields[..own].iter().any(|field| *field.name == *entry.key);
        if built_in {
            let message = format!("{} is a built-in field of `User`", quoted(&entry.key));
            let problem = Problem::new(Code::BuiltIn, entry.key_span.clone(), message).label("built in");
            reader.add(problem.help("take it out; a file for `User` only adds fields"));
            continue;
        }
        if let Some(checked) = field::check(entry, reader) {
            if is_user {
                fits_first_sight(&checked.field, entry, reader);
            }
            draft.refs.extend(checked.reference);
            draft.entity.fields.push(checked.field);
        }
    }
    table.entries.iter().map(|entry| entry.key.as_str()).collect()
}

fn no_fields(span: Span, reader: &mut Reader<'_>) {
    let problem = Problem::new(Code::MissingKey, span, "this entity has no fields").label("no [fields]");
    reader.add(problem.help("add a table [fields] with lines like: title = { type = \"text\" }"));
}

/// A User record is made by the server the first time somebody is seen: nobody is there to supply a value.
fn fits_first_sight(field: &Field, entry: &Entry, reader: &mut Reader<'_>) {
    if field.required && field.default.is_none() {
        let message = format!("{} of `User` is required and has no default", quoted(&entry.key));
        let problem =
            Problem::new(Code::NeverSet, entry.key_span.clone(), message).label("nobody can supply it");
        reader
            .add(problem.help("a User is recorded when first seen: add a default, or leave `required` out"));
    }
}

fn label(entry: &Entry, entity: &Entity, known: &[&str], reader: &mut Reader<'_>) -> Option<FieldIndex> {
    if &*entity.name == USER {
        return entity.label;
    }
    let name = reader.text(entry, "label = \"title\"")?;
    let problem = |message: String| Problem::new(Code::Label, entry.value.span.clone(), message);
    match entity.field(name) {
        Some((at, field)) if names_a_record(&field.kind) => return Some(at),
        Some((_, field)) => {
            let message =
                format!("{} is of type {} and cannot name a record", quoted(name), field.kind.word());
            let problem = problem(message).label("not a text");
            reader.add(problem.help("a label is a field of type text, enum, date, datetime or uuid"));
        }
        None if known.contains(&name) => {}
        None => {
            let problem =
                problem(format!("there is no field {} to be the label", quoted(name))).label("unknown field");
            reader.add(problem.help(suggestion(name, known, "the fields are")));
        }
    }
    None
}

fn names_a_record(kind: &FieldKind) -> bool {
    match kind {
        FieldKind::Text { .. }
        | FieldKind::Enum { .. }
        | FieldKind::Date
        | FieldKind::Datetime
        | FieldKind::Uuid => true,
        FieldKind::Int { .. }
        | FieldKind::Float { .. }
        | FieldKind::Bool
        | FieldKind::Json
        | FieldKind::Ref { .. } => false,
    }
}

fn access(entry: &Entry, reader: &mut Reader<'_>) -> Access {
    let Some(table) = reader.table(entry, "[access]") else { return Access::default() };
    reader.unknown_keys(table, OPERATIONS, &[], "in [access]");
    let mut rule = |operation: &str| {
        let entry = table.get(operation)?;
        let text = reader.text(entry, &format!("{operation} = \"user != null\""))?;
        let wrong = match text.len() {
            _ if text.trim().is_empty() => "is empty".to_owned(),
            bytes if bytes > LONGEST_RULE => format!("is longer than {LONGEST_RULE} bytes"),
            _ => return Some(text.to_owned()),
        };
        let message = format!("the rule {} {wrong}", quoted(operation));
        let problem = Problem::new(Code::AccessRule, entry.value.span.clone(), message).label("this rule");
        reader.add(problem.help("a rule is one expression; without the key nobody may"));
        None
    };
    Access { read: rule("read"), create: rule("create"), update: rule("update"), delete: rule("delete") }
}

fn default_plural(name: &str) -> String {
    names::snake_case(name) + "s"
}

fn blank(name: &str, plural: &str) -> Entity {
    Entity {
        name: name.into(),
        plural: plural.into(),
        label: None,
        id_kind: IdKind::Uuid,
        fields: Vec::new(),
        indexes: Vec::new(),
        access: Access::default(),
    }
}
