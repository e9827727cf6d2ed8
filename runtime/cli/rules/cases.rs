//! The cases of a file: who may, or may not, do what with which record, and which fields are seen.

use std::ops::Range;
use std::sync::Arc;

use toml::de::DeTable;

use super::file::{FileMember, RulesReader, Word, members};
use super::scene::{GivenValues, Scene};
use crate::schema::message::{quoted, suggestion};
use crate::schema::{Entity, FieldIndex, Operation, Record};

const KEYS: [&str; 9] = ["about", "who", "may", "may_not", "record", "entity", "set", "sees", "sees_not"];

/// One case, checked.
pub(super) struct Case {
    pub(super) line: usize,
    /// What the author says of it.
    pub(super) about: Option<String>,
    pub(super) who: Vec<String>,
    pub(super) expected: Vec<Expected>,
    pub(super) entity: Arc<Entity>,
    /// What it is about: `Task.paint`, `Task`.
    pub(super) subject: String,
    /// `None` for a create.
    pub(super) record: Option<Record>,
    pub(super) set: Option<GivenValues>,
    /// Fields that are shown, or not.
    pub(super) fields: Vec<(FieldIndex, Shown)>,
}

/// What must come out for an operation.
#[derive(Clone, Copy)]
pub(super) struct Expected {
    pub(super) operation: Operation,
    pub(super) allowed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Yes,
    No,
}

/// What the keys of a case hold before they are put together.
#[derive(Default)]
struct CaseDraft<'t> {
    about: Option<String>,
    who: Vec<Word>,
    may: Vec<Word>,
    may_not: Vec<Word>,
    record: Option<Word>,
    entity: Option<Word>,
    set: Option<(&'t DeTable<'t>, Range<usize>)>,
    sees: Vec<Word>,
    sees_not: Vec<Word>,
    /// `record` or `entity` is there, and is no string: that was reported.
    is_about_something: bool,
}

impl CaseDraft<'_> {
    /// By what its author says of it, or else by what it is about.
    fn name(&self) -> String {
        if let Some(about) = &self.about {
            return format!("the case {}", quoted(about));
        }
        match self.record.as_ref().or(self.entity.as_ref()) {
            Some(subject) => format!("this case of {}", quoted(&subject.text)),
            None => "this case".to_owned(),
        }
    }
}

/// Every case of the file; what cannot be understood is reported.
pub(super) fn read(
    scene: &Scene<'_>,
    root: &[FileMember<'_>],
    text: &str,
    reader: &mut RulesReader,
) -> Vec<Case> {
    let mut cases = Vec::new();
    for member in root.iter().filter(|member| member.key.text == "case") {
        let Some(items) = member.value.get_ref().as_array() else {
            reader.fault(&member.value.span(), "`case` must be a list of tables", "write `[[case]]`");
            continue;
        };
        for item in items {
            let Some(table) = item.get_ref().as_table() else {
                reader.fault(&item.span(), "a case must be a table", "write `[[case]]`");
                continue;
            };
            let place = members(table).next().map_or(item.span(), |first| first.key.span);
            let line = 1 + text[..place.start.min(text.len())].matches('\n').count();
            let draft = draft(table, reader);
            cases.extend(case(scene, draft, line, place, reader));
        }
    }
    cases
}

fn draft<'t>(table: &'t DeTable<'t>, reader: &mut RulesReader) -> CaseDraft<'t> {
    let mut draft = CaseDraft::default();
    for member in reader.known(table, &KEYS, "of a case") {
        draft.is_about_something |= matches!(&*member.key.text, "record" | "entity");
        match &*member.key.text {
            "about" => draft.about = reader.word(&member, "about = \"an owner\"").map(|word| word.text),
            "who" => draft.who = reader.words(&member, "who = [\"ada\", \"ben\"]"),
            "may" => draft.may = reader.words(&member, "may = [\"read\", \"update\"]"),
            "may_not" => draft.may_not = reader.words(&member, "may_not = \"delete\""),
            "record" => draft.record = reader.word(&member, "record = \"Task.paint\""),
            "entity" => draft.entity = reader.word(&member, "entity = \"Task\""),
            "sees" => draft.sees = reader.words(&member, "sees = [\"email\"]"),
            "sees_not" => draft.sees_not = reader.words(&member, "sees_not = \"email\""),
            _ => {
                let table = reader.table(&member, "set = { title = \"Paint\" }");
                draft.set = table.map(|table| (table, member.value.span()));
            }
        }
    }
    draft
}

fn case(
    scene: &Scene<'_>,
    draft: CaseDraft<'_>,
    line: usize,
    place: Range<usize>,
    reader: &mut RulesReader,
) -> Option<Case> {
    if draft.who.is_empty() {
        reader.fault(&place, "this case does not say who asks", "write `who = \"ada\"`");
    }
    let who: Vec<String> =
        draft.who.iter().filter(|word| scene.knows(word, reader)).map(|word| word.text.clone()).collect();
    let mut expected = Vec::new();
    for (words, allowed) in [(&draft.may, true), (&draft.may_not, false)] {
        let operations = words.iter().filter_map(|word| operation(word, reader));
        expected.extend(operations.map(|operation| Expected { operation, allowed }));
    }
    if draft.may.is_empty() && draft.may_not.is_empty() && draft.sees.is_empty() && draft.sees_not.is_empty()
    {
        let help = "write `may = \"read\"`, or `may_not`, `sees`, `sees_not`";
        reader.fault(&place, format!("{} expects nothing", draft.name()), help);
    }
    undecided(&draft, reader);
    let (entity, record, subject) = subject(scene, &draft, &place, reader)?;
    let fits = fits(&draft, &expected, record.is_some(), &place, reader);
    let mut fields = shown(&entity, &draft.sees, Shown::Yes, reader);
    fields.extend(shown(&entity, &draft.sees_not, Shown::No, reader));
    let set = draft.set.map(|(table, _)| scene.requested(&entity, table, reader));
    fits.then_some(Case { line, about: draft.about, who, expected, entity, subject, record, set, fields })
}

/// What is expected to be so and not so.
fn undecided(draft: &CaseDraft<'_>, reader: &mut RulesReader) {
    for (yes, no, keys) in [
        (&draft.may, &draft.may_not, "`may` and `may_not`"),
        (&draft.sees, &draft.sees_not, "`sees` and `sees_not`"),
    ] {
        for word in no.iter().filter(|word| yes.iter().any(|other| other.text == word.text)) {
            let message = format!("{} names {} in both {keys}", draft.name(), quoted(&word.text));
            reader.fault(&word.span, message, "keep one of the two, or write a case for each user");
        }
    }
}

fn operation(word: &Word, reader: &mut RulesReader) -> Option<Operation> {
    let found = Operation::ALL.into_iter().find(|operation| operation.word() == word.text);
    if found.is_none() {
        let words = Operation::ALL.map(Operation::word);
        let help = suggestion(&word.text, &words, "the operations are");
        reader.fault(&word.span, format!("{} is not an operation", quoted(&word.text)), help);
    }
    found
}

type CaseSubject = (Arc<Entity>, Option<Record>, String);

/// What the case is about: a record by entity and name, or an entity for a create.
fn subject(
    scene: &Scene<'_>,
    draft: &CaseDraft<'_>,
    place: &Range<usize>,
    reader: &mut RulesReader,
) -> Option<CaseSubject> {
    match (&draft.record, &draft.entity) {
        (Some(record), None) => {
            let Some((entity, name)) = record.text.split_once('.') else {
                let message = format!("{} names no record", quoted(&record.text));
                reader.fault(&record.span, message, "write entity and name, as in `record = \"Task.paint\"`");
                return None;
            };
            let word = Word { text: entity.to_owned(), span: record.span.clone() };
            let entity = scene.entity(&word, reader)?;
            let found = scene.find(&entity.name, name).cloned();
            if found.is_none() {
                let message = format!("there is no {} {} in this file", entity.name, quoted(name));
                let names = scene.names(&entity.name);
                let help = suggestion(name, &names, "there are");
                let help = if names.is_empty() { "describe it below [records]".to_owned() } else { help };
                reader.fault(&record.span, message, help);
            }
            Some((entity, Some(found?), record.text.clone()))
        }
        (None, Some(word)) => scene.entity(word, reader).map(|entity| (entity, None, word.text.clone())),
        (Some(_), Some(word)) => {
            let help = "keep `entity` for a create, `record` for everything else";
            reader.fault(&word.span, "a case is about an entity or about a record", help);
            None
        }
        (None, None) if draft.is_about_something => None,
        (None, None) => {
            let help = "write `record = \"Task.paint\"`, or for a create `entity = \"Task\"`";
            reader.fault(place, "this case names neither a record nor an entity", help);
            None
        }
    }
}

/// Whether the operations go with what the case is about.
fn fits(
    draft: &CaseDraft<'_>,
    expected: &[Expected],
    has_record: bool,
    place: &Range<usize>,
    reader: &mut RulesReader,
) -> bool {
    let creates = |expected: &&Expected| expected.operation == Operation::Create;
    let (created, others) =
        (expected.iter().filter(creates).count(), expected.iter().filter(|each| !creates(each)).count());
    let sets = expected.iter().any(|each| matches!(each.operation, Operation::Create | Operation::Update));
    let asks_fields = !draft.sees.is_empty() || !draft.sees_not.is_empty();
    let wrong = if has_record && created > 0 {
        Some(("a create is about an entity, not about a record", "write `entity = \"Task\"` and `set`"))
    } else if !has_record && (others > 0 || asks_fields) {
        Some(("only a create is about an entity alone", "write `record = \"Task.paint\"`"))
    } else if draft.set.is_some() && !sets {
        Some(("`set` goes with create and update", "take it out, or expect something of an update"))
    } else {
        None
    };
    if let Some((message, help)) = wrong {
        let span = draft.set.as_ref().filter(|_| message.starts_with("`set`")).map(|(_, span)| span);
        reader.fault(span.unwrap_or(place), message, help);
    }
    wrong.is_none()
}

fn shown(
    entity: &Entity,
    words: &[Word],
    shown: Shown,
    reader: &mut RulesReader,
) -> Vec<(FieldIndex, Shown)> {
    let mut fields = Vec::new();
    for word in words {
        match entity.field(&word.text) {
            Some((at, _)) => fields.push((at, shown)),
            None => {
                let names: Vec<&str> = entity.fields.iter().map(|field| &*field.name).collect();
                let message = format!("{} is not a field of {}", quoted(&word.text), entity.name);
                reader.fault(&word.span, message, suggestion(&word.text, &names, "the fields are"));
            }
        }
    }
    fields
}
