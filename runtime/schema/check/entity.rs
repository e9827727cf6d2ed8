//! One file for itself: its name, plural, label, fields, indexes and access rules.
//!
//! Knows no other file: `across.rs` looks at names that must differ and references that must lead somewhere.

use std::collections::HashMap;
use std::time::Duration;

use super::draft::{EntityDraft, RulePlace, RuleSite};
use super::names::RECORD_FIELDS;
use super::reader::TableReader;
use super::rule_text::rule_text;
use super::{field, index, names, on, sequence, unique};
use crate::schema::builtin::{self, USER};
use crate::schema::column::{EntityName, FieldIndex};
use crate::schema::delay::Delay;
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode};
use crate::schema::message::{quoted, suggestion};
use crate::schema::model::{Entity, Field, FieldKind, History, Operation};
use crate::schema::tree::{Entry, Span, TableNode};

pub(in crate::schema) const KEYS: &[&str] = &[
    "entity", "plural", "label", "fields", "access", "index", "unique", "on", "history", "activity", "rate",
    "lease", "expires", "was", EDITOR_KEY,
];
/// Tells an editor where the JSON Schema of this file is.
const EDITOR_KEY: &str = "$schema";
const KEYS_LATER: &[&str] = &["hidden", "presence"];
pub(in crate::schema) const OPERATIONS: &[&str] = &["read", "list", "create", "update", "delete", "lease"];

/// Most fields of one entity, the built-in ones of `User` included.
pub const MOST_FIELDS: usize = 200;

/// Most batches in a second that `rate` can name. Beyond it, it would change nothing.
pub const MOST_RATE: u32 = 1_000;

/// Checks the tree of one file.
pub(super) fn check(root: &TableNode, reader: &mut TableReader<'_>) -> EntityDraft {
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
    if let Some(entry) = root.get("unique") {
        let lookups = lookups(root);
        draft.entity.unique = unique::check(entry, &draft.entity, &known, &lookups, reader);
    }
    if let Some(entry) = root.get("access") {
        access(entry, &mut draft, reader);
    }
    if let Some(entry) = root.get("on") {
        draft.on = on::check(entry, reader);
    }
    if let Some(entry) = root.get("expires") {
        draft.entity.expires = expires(entry, &draft, &known, reader);
    }
    if let Some(entry) = root.get("history") {
        draft.entity.history = history(entry, reader);
    }
    if let Some(entry) = root.get("activity") {
        let said = entry.value.data.as_bool();
        let said = said.or_else(|| reader.wrong_kind(entry, "true or false", "activity = false"));
        draft.entity.activity = said.unwrap_or(false);
    }
    if let Some(entry) = root.get("rate") {
        draft.entity.rate = rate(entry, reader);
    }
    if let Some(entry) = root.get("lease") {
        draft.entity.lease_required = lease(entry, reader);
        draft.lease = Some(entry.value.span.clone());
    }
    if let Some(entry) = root.get("was") {
        draft.entity.was = was(entry, &draft, reader);
        draft.was = Some(entry.value.span.clone());
    }
    draft
}

/// Names of the fields that copy from another record, sound or not.
fn lookups(root: &TableNode) -> Vec<&str> {
    let fields = root.get("fields").and_then(|entry| entry.value.data.as_table());
    let copies =
        |entry: &&Entry| entry.value.data.as_table().is_some_and(|field| field.get("from").is_some());
    fields
        .map(|table| table.entries.iter().filter(copies).map(|entry| entry.key.as_str()).collect())
        .unwrap_or_default()
}

/// The name in a file whose syntax is broken elsewhere, so that references to it are not called unknown.
pub(super) fn name_only(root: &TableNode, file: usize) -> Option<EntityDraft> {
    let entry = root.get("entity")?;
    let name = entry.value.data.as_text()?;
    let given = root.get("plural").and_then(|entry| entry.value.data.as_text());
    let plural = given.map_or_else(|| default_plural(name), str::to_owned);
    let span = entry.value.span.clone();
    Some(EntityDraft { unread: true, ..EntityDraft::new(file, blank(name, &plural), Some(span)) })
}

/// A draft with name and plural, `User` with what is built in.
fn named(root: &TableNode, reader: &mut TableReader<'_>) -> EntityDraft {
    let file = reader.file;
    let Some((name, span)) = name(root, reader) else {
        return EntityDraft::new(file, blank("", ""), None);
    };
    let mut draft = EntityDraft::new(file, blank(name, ""), Some(span));
    if name == USER {
        draft.entity = builtin::user();
        for entry in ["plural", "label"].iter().filter_map(|key| root.get(key)) {
            let message = format!("{} of the built-in `User` cannot be changed", quoted(&entry.key));
            let problem =
                Diagnostic::new(DiagnosticCode::BuiltIn, entry.key_span.clone(), message).label("built in");
            reader.add(problem.help("a file for `User` only adds fields: remove this line"));
        }
        return draft;
    }
    draft.entity.plural = plural(name, root, &mut draft.plural_span, reader).into();
    draft
}

/// The plural, and in `span` its place if the file has it. One made of a bad name is not looked at.
fn plural(name: &str, root: &TableNode, span: &mut Span, reader: &mut TableReader<'_>) -> String {
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

fn name<'t>(root: &'t TableNode, reader: &mut TableReader<'_>) -> Option<(&'t str, Span)> {
    let Some(entry) = root.get("entity") else {
        let problem = Diagnostic::new(
            DiagnosticCode::MissingKey,
            0..0,
            "this file does not say which entity it describes",
        );
        reader.add(problem.help("begin it with a line like: entity = \"Task\""));
        return None;
    };
    let name = reader.text(entry, "entity = \"Task\"")?;
    names::entity(name, &entry.value.span).into_iter().for_each(|problem| reader.add(problem));
    Some((name, entry.value.span.clone()))
}

/// Adds the fields of the file to the draft; answers with every name that is there, those of bad fields too.
fn fields<'t>(root: &'t TableNode, draft: &mut EntityDraft, reader: &mut TableReader<'_>) -> Vec<&'t str> {
    let is_user = &*draft.entity.name == USER;
    let Some(entry) = root.get("fields") else {
        draft.unread = !is_user;
        // A file without a name already got an error.
        if let (Some(span), false) = (draft.name_span.clone(), is_user) {
            no_fields(span, reader);
        }
        return Vec::new();
    };
    let Some(table) = reader.table(entry, "[fields]") else {
        draft.unread = true;
        return Vec::new();
    };
    if table.entries.is_empty() && !is_user {
        no_fields(entry.key_span.clone(), reader);
    }
    let own = draft.entity.fields.len();
    if let Some(over) = table.entries.get(MOST_FIELDS - own) {
        let message =
            format!("{} fields, and an entity has at most {MOST_FIELDS}", table.entries.len() + own);
        let problem =
            Diagnostic::new(DiagnosticCode::TooMany, over.key_span.clone(), message).label("one too many");
        reader.add(problem.help("move some into another entity with a `ref`, or into one `json` field"));
    }
    let (mut identities, mut sequences) = (Vec::new(), Vec::new());
    for entry in &table.entries {
        let built_in = draft.entity.fields[..own].iter().any(|field| *field.name == *entry.key);
        if built_in {
            let message = format!("{} is a built-in field of `User`", quoted(&entry.key));
            let problem =
                Diagnostic::new(DiagnosticCode::BuiltIn, entry.key_span.clone(), message).label("built in");
            reader.add(problem.help("remove it; a file for `User` only adds fields"));
            continue;
        }
        if is_user {
            names::field_of_user(&entry.key, &entry.key_span)
                .into_iter()
                .for_each(|problem| reader.add(problem));
        }
        draft.names.push((entry.key.as_str().into(), entry.key_span.clone()));
        let checked = match field::check(entry, reader) {
            Ok(checked) => checked,
            Err(rule) => {
                draft.doubtful.push(entry.key.clone());
                draft.loose_rules.extend(rule);
                continue;
            }
        };
        if is_user {
            fits_first_sight(&checked.field, entry, reader);
        }
        if checked.is_doubtful {
            draft.doubtful.push(entry.key.clone());
        }
        draft.refs.extend(checked.reference);
        draft.lookups.extend(checked.lookup);
        sequences.extend(checked.sequence);
        let at = FieldIndex(draft.entity.fields.len());
        let site = |span| RuleSite { place: RulePlace::Field(at), span };
        draft.rules.extend(checked.rule.map(site));
        identities.extend(checked.identity.map(|span| (at, span)));
        draft.entity.fields.push(checked.field);
    }
    let before = reader.count();
    draft.entity.identity = identity(draft, &identities, reader);
    draft.owner_doubtful = reader.count() > before;
    former_names(table, reader);
    let known: Vec<&str> = table.entries.iter().map(|entry| entry.key.as_str()).collect();
    sequence::resolve(draft, &sequences, &known, &lookups(root), reader);
    known
}

/// The ref to `User` that says whose a record is: the one that is marked, or the only one.
fn identity(
    draft: &EntityDraft,
    marked: &[(FieldIndex, Span)],
    reader: &mut TableReader<'_>,
) -> Option<FieldIndex> {
    let entity = &draft.entity;
    let refs: Vec<FieldIndex> = entity.refs_to_user().collect();
    let problem =
        |span: &Span, message: String| Diagnostic::new(DiagnosticCode::RuleRelation, span.clone(), message);
    for (at, span) in marked {
        let field = entity.at(*at);
        if &*entity.name == USER {
            let problem = problem(span, "a `User` record belongs to no other user".to_owned());
            reader.add(problem.label("not for `User`").help("take `identity` out"));
        } else if matches!(field.kind, FieldKind::Ref { .. }) && !refs.contains(at) {
            let problem = problem(span, format!("{} does not refer to `User`", quoted(&field.name)));
            reader.add(
                problem
                    .label("no user")
                    .help("mark the ref to `User` that says which user a record belongs to"),
            );
        }
    }
    if let [(first, first_span), (_, span), ..] = marked {
        let problem = problem(span, "a record belongs to one user".to_owned()).label("the second `identity`");
        let problem = problem.also(first_span.clone(), "the first");
        reader.add(problem.help(format!("keep the one of {} or this one", quoted(&entity.at(*first).name))));
    }
    match (marked, refs.as_slice()) {
        _ if &*entity.name == USER => None,
        ([(at, _), ..], _) | ([], [at]) => Some(*at),
        ([], _) => None,
    }
}

/// A former name that is still a field's own, or that two fields claim, would give one value to two.
fn former_names(table: &TableNode, reader: &mut TableReader<'_>) {
    let mut seen: HashMap<&str, &Span> = HashMap::new();
    for entry in &table.entries {
        let Some(was) = entry.value.data.as_table().and_then(|field| field.get("was")) else { continue };
        let Some(name) = was.value.data.as_text().filter(|name| *name != entry.key) else { continue };
        let problem = |message: String| Diagnostic::new(DiagnosticCode::Was, was.value.span.clone(), message);
        if let Some(present) = table.get(name) {
            let problem = problem(format!("the field {} is still there", quoted(name))).label("was its name");
            reader.add(problem.also(present.key_span.clone(), "this one").help("remove `was` or the field"));
        } else if let Some(first) = seen.insert(name, &was.value.span) {
            let problem = problem(format!("two fields were {}", quoted(name))).label("the second");
            reader.add(problem.also(first.clone(), "the first").help("remove one of them"));
        }
    }
}

fn no_fields(span: Span, reader: &mut TableReader<'_>) {
    let problem =
        Diagnostic::new(DiagnosticCode::MissingKey, span, "this entity has no fields").label("no [fields]");
    reader.add(problem.help("add a table [fields] with lines like: title = { type = \"text\" }"));
}

/// A User record is made by the server the first time a user is seen: no request can supply a value.
fn fits_first_sight(field: &Field, entry: &Entry, reader: &mut TableReader<'_>) {
    if field.required && field.default.is_none() {
        let message = format!("{} of `User` is required and has no default", quoted(&entry.key));
        let problem = Diagnostic::new(DiagnosticCode::NeverSet, entry.key_span.clone(), message)
            .label("no request can supply it");
        reader.add(
            problem
                .help("the server creates a User at the first request: add a default, or remove `required`"),
        );
    }
}

fn label(entry: &Entry, entity: &Entity, known: &[&str], reader: &mut TableReader<'_>) -> Option<FieldIndex> {
    if &*entity.name == USER {
        return entity.label;
    }
    let name = reader.text(entry, "label = \"title\"")?;
    let problem = |message: String| Diagnostic::new(DiagnosticCode::Label, entry.value.span.clone(), message);
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

/// The datetime field that says until when a record is kept.
fn expires(
    entry: &Entry,
    draft: &EntityDraft,
    known: &[&str],
    reader: &mut TableReader<'_>,
) -> Option<FieldIndex> {
    let name = reader.text(entry, "expires = \"until\"")?;
    let problem =
        |message: String| Diagnostic::new(DiagnosticCode::Expires, entry.value.span.clone(), message);
    let entity = &draft.entity;
    if &*entity.name == USER {
        let problem = problem("a `User` record does not expire".to_owned()).label("not for `User`");
        reader.add(problem.help("set `disabled`, or let the records expire that give rights"));
        return None;
    }
    match entity.field(name) {
        Some(_) if draft.lookups.iter().any(|lookup| lookup.field == name) => {
            let problem = problem(format!("{} is a lookup, which another record decides", quoted(name)));
            reader.add(problem.label("a copy").help("name a field of the record's own"));
        }
        Some((at, field)) if field.kind == FieldKind::Datetime => return Some(at),
        Some((_, field)) => {
            let message = format!("{} is of type {} and says no moment", quoted(name), field.kind.word());
            reader.add(problem(message).label("not a datetime").help("name a field of type datetime"));
        }
        None if known.contains(&name) => {}
        None if RECORD_FIELDS.contains(&name) || Delay::parse(name).is_ok() => {
            let message = format!("{} is no field of the file", quoted(name));
            reader.add(problem(message).label("not a field of the file").help(
                "name a datetime field that says when, and give it a default: until = { type = \"datetime\", default = \"now + 7d\" }",
            ));
        }
        None => {
            let problem = problem(format!("there is no field {} to expire by", quoted(name)));
            let times = entity.fields.iter().filter(|field| field.kind == FieldKind::Datetime);
            let times: Vec<&str> = times.map(|field| &*field.name).collect();
            let help = match times.is_empty() {
                true => "name a field of type datetime: until = { type = \"datetime\" }".to_owned(),
                false => suggestion(name, &times, "the datetime fields are"),
            };
            reader.add(problem.label("unknown field").help(help));
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

/// The texts of the rules. What they mean is seen when every entity is known.
fn access(entry: &Entry, draft: &mut EntityDraft, reader: &mut TableReader<'_>) {
    let Some(table) = reader.table(entry, "[access]") else { return };
    reader.unknown_keys(table, OPERATIONS, &[], "in [access]");
    for operation in Operation::ALL {
        let Some(entry) = table.get(operation.word()) else { continue };
        let constant = entry.value.data.as_bool().unwrap_or(false);
        let Some(rule) = rule_text(entry, &format!("{} = \"{constant}\"", entry.key), reader) else {
            continue;
        };
        draft.rules.push(RuleSite { place: RulePlace::Entity(operation), span: entry.value.span.clone() });
        *draft.entity.access.source_mut(operation) = Some(rule);
    }
}

/// Batches of events in a second: 1 to 1000.
fn rate(entry: &Entry, reader: &mut TableReader<'_>) -> Option<u32> {
    let Some(number) = entry.value.data.as_int() else {
        return reader.wrong_kind(entry, "a number of batches in a second", "rate = 10");
    };
    let rate = u32::try_from(number).ok().filter(|rate| (1..=MOST_RATE).contains(rate));
    if rate.is_none() {
        let message = format!("{number} is not a number of batches in a second");
        let problem = Diagnostic::new(DiagnosticCode::Rate, entry.value.span.clone(), message);
        let help = format!(
            "write a whole number from 1 to {MOST_RATE}, or remove the line: events then go out at once"
        );
        reader.add(problem.label("how many?").help(help));
    }
    rate
}

/// Whether a client must hold the lease of a record that it changes. There is one word for it.
fn lease(entry: &Entry, reader: &mut TableReader<'_>) -> bool {
    let Some(text) = reader.text(entry, "lease = \"required\"") else { return false };
    let is_required = text == "required";
    if !is_required {
        let message = format!("{} does not say when a lease is needed", quoted(text));
        let problem = Diagnostic::new(DiagnosticCode::Lease, entry.value.span.clone(), message);
        let help = "write lease = \"required\", or remove the line: a lease is then possible and not needed";
        reader.add(problem.label("not known here").help(help));
    }
    is_required
}

/// `90d` or `12h`, at least an hour, at most a hundred years; or `forever`.
fn history(entry: &Entry, reader: &mut TableReader<'_>) -> Option<History> {
    let text = reader.text(entry, "history = \"90d\"")?;
    let history =
        if text == "forever" { Some(History::Forever) } else { days_or_hours(text).map(History::For) };
    if history.is_none() {
        let message = format!("{} is not a time to keep changes for", quoted(text));
        let problem =
            Diagnostic::new(DiagnosticCode::History, entry.value.span.clone(), message).label("how long?");
        reader
            .add(problem.help("write days or hours, as in \"90d\" or \"12h\", up to 36500d; or \"forever\""));
    }
    history
}

fn days_or_hours(text: &str) -> Option<Duration> {
    let (number, hours) = match text.strip_suffix('d') {
        Some(number) => (number, 24),
        None => (text.strip_suffix('h')?, 1),
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let hours = number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(hours)?;
    (1..=36_500 * 24).contains(&hours).then(|| Duration::from_secs(hours * 3600))
}

/// The entity's former name.
fn was(entry: &Entry, draft: &EntityDraft, reader: &mut TableReader<'_>) -> Option<EntityName> {
    let name = reader.text(entry, "was = \"OldName\"")?;
    let span = &entry.value.span;
    if &*draft.entity.name == USER {
        let problem =
            Diagnostic::new(DiagnosticCode::BuiltIn, entry.key_span.clone(), "`User` never had another name");
        reader.add(problem.label("built in").help("take it out"));
        return None;
    }
    if *name == *draft.entity.name {
        reader.add(names::was_itself(name, span));
        return None;
    }
    match names::entity(name, span) {
        Some(problem) => reader.add(problem),
        None => return Some(name.into()),
    }
    None
}

fn default_plural(name: &str) -> String {
    names::snake_case(name) + "s"
}

fn blank(name: &str, plural: &str) -> Entity {
    Entity::new(name, plural, Vec::new())
}
