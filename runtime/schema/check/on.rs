//! The `[[on]]` tables of a file (SEMANTICS X3): what each says, and, once every entity is known, what that means.
//!
//! Knows no expression: `rule.rs` reads them. Circles are found by `on_circle.rs`.

use std::fmt::Write as _;

use super::doubt::Doubts;
use super::draft::{EntityDraft, OnDraft, SetDraft};
use super::reader::TableReader;
use super::rule::{self, OnScope, Purpose, Wanted};
use super::rule_text::rule_text;
use crate::schema::builtin;
use crate::schema::cel::{Binary, SyntaxData, SyntaxNode};
use crate::schema::column::{Column, FieldIndex};
use crate::schema::diagnostics::{Diagnostic, DiagnosticCode, DiagnosticSink};
use crate::schema::message::{quoted, suggestion};
use crate::schema::model::{Entity, FieldKind, IdKind, Operation};
use crate::schema::rule::Rule;
use crate::schema::tree::{Data, Entry, Node, Span, TableNode};
use crate::schema::trigger::{OnExisting, SetField, SetValue, Trigger, TriggerAct, TriggerTarget};
use crate::schema::unindexed;

pub(in crate::schema) const ON_KEYS: &[&str] =
    &["event", "when", "create", "update", "delete", "where", "set", "exists"];
pub(in crate::schema) const EVENTS: &[&str] = &["create", "update", "delete"];
/// Most tables `[[on]]` of one entity.
pub(in crate::schema) const MOST_TRIGGERS: usize = 32;
const EXAMPLE: &str = "event = \"create\", create = \"Notification\", set = { text = \"title\" }";

/// Every `[[on]]` of the file. One with a problem is left out.
pub(super) fn check(entry: &Entry, reader: &mut TableReader<'_>) -> Vec<OnDraft> {
    let Some(items) = reader.list(entry, "[[on]]") else { return Vec::new() };
    if let Some(over) = items.get(MOST_TRIGGERS) {
        let message = format!("{} tables [[on]], and an entity has at most {MOST_TRIGGERS}", items.len());
        let problem =
            Diagnostic::new(DiagnosticCode::TooMany, over.span.clone(), message).label("one too many");
        reader.add(problem.help("join conditions by `||`, or let one [[on]] of another entity do the rest"));
    }
    items.iter().filter_map(|item| one(item, reader)).collect()
}

fn one(item: &Node, reader: &mut TableReader<'_>) -> Option<OnDraft> {
    let Data::Table(table) = &item.data else {
        let message = format!("an [[on]] must be a table, found {}", item.data.noun());
        let problem =
            Diagnostic::new(DiagnosticCode::WrongKind, item.span.clone(), message).label("expected a table");
        reader.add(problem.help(format!("write [[on]] and below it {EXAMPLE}")));
        return None;
    };
    let before = reader.count();
    reader.unknown_keys(table, ON_KEYS, &[], "of an [[on]]");
    let event = event(table, &item.span, reader);
    let act = act(table, &item.span, reader);
    let when = table.get("when").and_then(|entry| {
        Some((rule_text(entry, "when = \"status == 'done'\"", reader)?, entry.value.span.clone()))
    });
    let find = table.get("where").and_then(|entry| {
        let rule = rule_text(entry, "where = \"target.id == task\"", reader)?;
        Some((rule.source.to_string(), entry.value.span.clone()))
    });
    let (set, set_span) = set(table, &item.span, reader);
    let exists = exists(table, reader);
    let (event, (act, entity, entity_span)) = event.zip(act)?;
    goes_together(act, table, &item.span, reader);
    let sound = reader.count() == before;
    sound.then(|| OnDraft {
        span: item.span.clone(),
        event,
        when,
        act,
        entity,
        entity_span,
        find,
        set,
        set_span,
        exists,
    })
}

fn operation(word: &str) -> Option<Operation> {
    [Operation::Create, Operation::Update, Operation::Delete].into_iter().find(|act| act.word() == word)
}

fn event(table: &TableNode, span: &Span, reader: &mut TableReader<'_>) -> Option<Operation> {
    let Some(entry) = table.get("event") else {
        reader.add(missing(span, "event", "event = \"create\", or \"update\" or \"delete\""));
        return None;
    };
    let word = reader.text(entry, "event = \"create\"")?;
    let event = operation(word);
    if event.is_none() {
        let message = format!("{} is no event", quoted(word));
        let problem = Diagnostic::new(DiagnosticCode::OnAction, entry.value.span.clone(), message);
        reader.add(problem.label("unknown event").help(suggestion(word, EVENTS, "the events are")));
    }
    event
}

fn missing(span: &Span, key: &str, example: &str) -> Diagnostic {
    Diagnostic::new(DiagnosticCode::MissingKey, span.clone(), format!("this [[on]] has no {}", quoted(key)))
        .label(format!("no {}", quoted(key)))
        .help(format!("add: {example}"))
}

/// What is done, the name of the entity, and where that stands.
type ActDraft = (Operation, String, Span);

fn act(table: &TableNode, span: &Span, reader: &mut TableReader<'_>) -> Option<ActDraft> {
    let mut acts = table.entries.iter().filter(|entry| EVENTS.contains(&entry.key.as_str()));
    let Some(entry) = acts.next() else {
        let problem = Diagnostic::new(DiagnosticCode::OnAction, span.clone(), "this [[on]] does nothing");
        reader.add(
            problem
                .label("no action")
                .help("add one of: create = \"Entity\", update = \"Entity\", delete = \"Entity\""),
        );
        return None;
    };
    if let Some(second) = acts.next() {
        let message = format!("{} and {} in one [[on]]", quoted(&entry.key), quoted(&second.key));
        let problem = Diagnostic::new(DiagnosticCode::OnAction, second.key_span.clone(), message);
        reader.add(problem.label("a second action").help("write a second [[on]] for it"));
        return None;
    }
    let name = reader.text(entry, &format!("{} = \"Notification\"", entry.key))?;
    Some((operation(&entry.key)?, name.to_owned(), entry.value.span.clone()))
}

fn set(table: &TableNode, span: &Span, reader: &mut TableReader<'_>) -> (Vec<SetDraft>, Span) {
    let Some(entry) = table.get("set") else { return (Vec::new(), span.clone()) };
    let fields =
        reader.table(entry, "set = { task = \"id\" }").map(|table| &table.entries[..]).unwrap_or_default();
    let one = |entry: &Entry| SetDraft {
        field: entry.key.clone(),
        key_span: entry.key_span.clone(),
        value: entry.value.clone(),
    };
    (fields.iter().map(one).collect(), entry.key_span.clone())
}

fn exists(table: &TableNode, reader: &mut TableReader<'_>) -> OnExisting {
    let Some(entry) = table.get("exists") else { return OnExisting::Fail };
    match reader.text(entry, "exists = \"skip\"") {
        Some("skip") => OnExisting::Skip,
        Some(other) => {
            let message = format!("`exists` cannot be {}", quoted(other));
            let problem = Diagnostic::new(DiagnosticCode::OnAction, entry.value.span.clone(), message);
            reader.add(problem.label("not known here").help("write exists = \"skip\", or leave it out"));
            OnExisting::Fail
        }
        None => OnExisting::Fail,
    }
}

/// `where` is for records that there are, `exists` for those to come, `set` for what is left of them.
fn goes_together(act: Operation, table: &TableNode, span: &Span, reader: &mut TableReader<'_>) {
    let wrong: &[&str] = match act {
        Operation::Create => &["where"],
        Operation::Update => &["exists"],
        Operation::Delete | Operation::Read | Operation::List | Operation::Lease => &["exists", "set"],
    };
    for entry in wrong.iter().filter_map(|key| table.get(key)) {
        let message = format!("{} does not go with {}", quoted(&entry.key), quoted(act.word()));
        let problem = Diagnostic::new(DiagnosticCode::OnAction, entry.key_span.clone(), message);
        reader.add(problem.label("not here").help("remove it"));
    }
    if act != Operation::Create && table.get("where").is_none() {
        reader.add(missing(span, "where", "where = \"target.id == task\""));
    }
    if act != Operation::Delete
        && table
            .get("set")
            .is_none_or(|entry| entry.value.data.as_table().is_some_and(|set| set.entries.is_empty()))
    {
        reader.add(missing(span, "set", "set = { text = \"title\" }"));
    }
}

/// Gives every `[[on]]` its meaning, or reports why it has none. Answers with where the triggers of each draft stand.
pub(super) fn resolve(
    drafts: &mut [EntityDraft],
    doubts: &Doubts,
    report: &mut DiagnosticSink,
) -> Vec<Vec<Span>> {
    let mut entities: Vec<Entity> = drafts.iter().map(|draft| draft.entity.clone()).collect();
    if !entities.iter().any(|entity| &*entity.name == builtin::USER) {
        entities.push(builtin::user());
    }
    let mut spans = Vec::with_capacity(drafts.len());
    for (at, draft) in drafts.iter_mut().enumerate() {
        let mut of_draft = Vec::new();
        for on in std::mem::take(&mut draft.on) {
            let scope = OnScope { entities: &entities, doubts, own: &entities[at], event: on.event };
            let resolver = Resolver { scope, file: draft.file, report };
            if let Some(trigger) = resolver.trigger(&on) {
                draft.entity.triggers.push(trigger);
                of_draft.push(on.span);
            }
        }
        spans.push(of_draft);
    }
    spans
}

struct Resolver<'a, 'r> {
    scope: OnScope<'a>,
    file: usize,
    report: &'r mut DiagnosticSink,
}

impl<'a> Resolver<'a, '_> {
    fn trigger(mut self, on: &OnDraft) -> Option<Trigger> {
        let before = self.report.count();
        let when = on.when.as_ref().map(|(rule, span)| {
            let (meaning, problems) = self.scope.condition(&rule.source);
            rule::tell(self.file, &rule.source, span, problems, self.report);
            Rule { source: rule.source.clone(), meaning }
        });
        let target = self.target(on)?;
        let set = self.set(on, target);
        let act = match on.act {
            Operation::Create => {
                self.is_complete(on, target, &set);
                Some(TriggerAct::Create { entity: target.name.clone(), set, exists: on.exists })
            }
            Operation::Update => self.find(on, target).map(|of| TriggerAct::Update { of, set }),
            Operation::Delete | Operation::Read | Operation::List | Operation::Lease => {
                self.find(on, target).map(|of| TriggerAct::Delete { of })
            }
        }?;
        let sound = self.report.count() == before;
        sound.then(|| Trigger { source: source(on).into(), event: on.event, when, act })
    }

    fn add(&mut self, problem: Diagnostic) {
        self.report.add(self.file, problem);
    }

    fn target(&mut self, on: &OnDraft) -> Option<&'a Entity> {
        let problem =
            |message: String| Diagnostic::new(DiagnosticCode::OnTarget, on.entity_span.clone(), message);
        let Some(target) = self.scope.entities.iter().find(|entity| *entity.name == *on.entity) else {
            if !self.scope.doubts.entity(&on.entity) {
                let names: Vec<&str> = self.scope.entities.iter().map(|entity| &*entity.name).collect();
                let message = format!("there is no entity {}", quoted(&on.entity));
                let help = suggestion(&on.entity, &names, "there are");
                self.add(problem(message).label("unknown entity").help(help));
            }
            return None;
        };
        if on.act == Operation::Create && target.id_kind == IdKind::Text {
            let message = format!("the server makes no ids for {}", quoted(&target.name));
            let help = "a `User` record is created at the user's first request; here it can only be updated or deleted";
            self.add(problem(message).label("cannot be created").help(help));
            return None;
        }
        if on.exists == OnExisting::Skip
            && target.unique.is_empty()
            && !target.fields.iter().any(|field| field.unique)
        {
            let message =
                format!("`exists = \"skip\"` needs a unique field, and {} has none", quoted(&target.name));
            let help = "make one of its fields unique, add a [[unique]] to its file, or remove `exists`";
            self.add(
                Diagnostic::new(DiagnosticCode::OnAction, on.entity_span.clone(), message)
                    .label("nothing to skip")
                    .help(help),
            );
        }
        Some(target)
    }

    fn set(&mut self, on: &OnDraft, target: &Entity) -> Vec<SetField> {
        let mut set = Vec::new();
        for draft in &on.set {
            let Some((field, _)) = self.settable(draft, target) else { continue };
            let wanted = Wanted { entity: target, column: Column::Field(field), purpose: Purpose::Store };
            if let Some(value) = self.value(&draft.value, wanted) {
                if value == SetValue::Constant(crate::schema::value::Value::Null) && target.at(field).required
                {
                    let message = format!("{} is required and cannot be null", quoted(&draft.field));
                    self.add(misfit(&draft.value.span, message).help("give it a value"));
                }
                set.push(SetField { field, value });
            }
        }
        set
    }

    fn settable<'t>(
        &mut self,
        draft: &SetDraft,
        target: &'t Entity,
    ) -> Option<(FieldIndex, &'t crate::schema::model::Field)> {
        if self.scope.doubts.field(&target.name, &draft.field) {
            return None;
        }
        let Some((at, field)) = target.field(&draft.field) else {
            let known: Vec<&str> = target.fields.iter().map(|field| &*field.name).collect();
            let message = format!("{} has no field {} to be set", quoted(&target.name), quoted(&draft.field));
            let problem = misfit(&draft.key_span, message);
            self.add(problem.help(suggestion(&draft.field, &known, "the fields are")));
            return None;
        };
        if field.lookup.is_some() {
            let message = format!("{} is a lookup, which the server copies by itself", quoted(&draft.field));
            self.add(misfit(&draft.key_span, message).help("set the ref that it goes through"));
            return None;
        }
        if field.sequence.is_some() {
            let message =
                format!("{} is a sequence, which the server numbers by itself", quoted(&draft.field));
            self.add(misfit(&draft.key_span, message).help("take it out"));
            return None;
        }
        Some((at, field))
    }

    /// A string is an expression; a number and a flag stand for themselves.
    fn value(&mut self, node: &Node, wanted: Wanted<'_>) -> Option<SetValue> {
        let constant = |data| Some(SyntaxNode { span: node.span.clone(), data });
        let parsed = match &node.data {
            Data::Text(text) => {
                let found = rule::parsed(text).map_err(|problem| vec![no_value(text, problem)]);
                let found = found.and_then(|parsed| self.scope.value(&parsed, wanted));
                return found
                    .map_err(|problems| rule::tell(self.file, text, &node.span, problems, self.report))
                    .ok();
            }
            Data::Bool(flag) => constant(SyntaxData::Bool(*flag)),
            Data::Int(number) => constant(SyntaxData::Int(*number)),
            Data::Float(number) => constant(SyntaxData::Float(*number)),
            Data::Null => constant(SyntaxData::Null),
            Data::Datetime(_) | Data::List(_) | Data::Table(_) => None,
        };
        let Some(parsed) = parsed else {
            let message =
                format!("a value must be a string, a number, true or false, found {}", node.data.noun());
            let problem = Diagnostic::new(DiagnosticCode::WrongKind, node.span.clone(), message);
            self.add(problem.label("no value").help(
                "write a text as \"'open'\", a field as \"title\", a time as \"'2026-11-21T08:00:00Z'\"",
            ));
            return None;
        };
        match self.scope.value(&parsed, wanted) {
            Ok(value) => Some(value),
            Err(problems) => {
                problems.into_iter().for_each(|problem| self.add(problem));
                None
            }
        }
    }

    /// What is required must be set or have a default.
    fn is_complete(&mut self, on: &OnDraft, target: &Entity, set: &[SetField]) {
        let given = |at: usize| {
            set.iter().any(|set| set.field.0 == at)
                || on.set.iter().any(|draft| *draft.field == *target.fields[at].name)
        };
        let lacking = |(at, field): &(usize, &crate::schema::model::Field)| {
            field.required && field.default.is_none() && field.lookup.is_none() && !given(*at)
        };
        for (_, field) in target.fields.iter().enumerate().filter(lacking) {
            let message =
                format!("{} of {} is required and not set", quoted(&field.name), quoted(&target.name));
            self.add(misfit(&on.set_span, message).help("set it, or give it a default in its file"));
        }
    }

    /// `target.id == task`, either way round.
    fn find(&mut self, on: &OnDraft, target: &Entity) -> Option<TriggerTarget> {
        let (text, span) = on.find.as_ref()?;
        let found = rule::parsed(text).map_err(|problem| vec![problem]);
        let found = found.and_then(|node| equality(&node, &self.scope, target));
        match found {
            Ok((column, value)) => Some(TriggerTarget { entity: target.name.clone(), column, value }),
            Err(problems) => {
                rule::tell(self.file, text, span, problems, self.report);
                None
            }
        }
    }
}

fn equality(
    node: &SyntaxNode,
    scope: &OnScope<'_>,
    target: &Entity,
) -> Result<(Column, SetValue), Vec<Diagnostic>> {
    let wrong = |span: &Span, message: String| {
        Diagnostic::new(DiagnosticCode::OnWhere, span.clone(), message).label("no equality")
    };
    let SyntaxData::Binary(Binary::Equal, left, right) = &node.data else {
        return Err(vec![
            wrong(&node.span, "records are found by one equality".to_owned())
                .help("write `target.id == task`, or another indexed field of the target"),
        ]);
    };
    let (name, other) = match (of_target(left), of_target(right)) {
        (Some(name), None) => (name, right),
        (None, Some(name)) => (name, left),
        (Some(_), Some(_)) | (None, None) => {
            return Err(vec![
                wrong(&node.span, "one side names the target, the other this record".to_owned())
                    .help("write `target.id == task`"),
            ]);
        }
    };
    let column = match (name, target.field(name)) {
        ("id", _) => Column::Id,
        (_, Some((at, _))) if unindexed::is_indexed(target, Column::Field(at)) => Column::Field(at),
        (_, Some((at, field))) => {
            let message = format!("no index finds records of {} by {}", target.name, quoted(&field.name));
            let help = match target.at(at).kind {
                FieldKind::Json => "a json field has none: use another field".to_owned(),
                FieldKind::Text { .. }
                | FieldKind::Int { .. }
                | FieldKind::Float { .. }
                | FieldKind::Bool
                | FieldKind::Enum { .. }
                | FieldKind::Date
                | FieldKind::Datetime
                | FieldKind::Uuid
                | FieldKind::Ref { .. } => {
                    format!("add to its file: [[index]] fields = [\"{}\"]", field.name)
                }
            };
            return Err(vec![wrong(&node.span, message).help(help)]);
        }
        (_, None) if scope.doubts.field(&target.name, name) => return Err(Vec::new()),
        (_, None) => {
            let known: Vec<&str> = target.fields.iter().map(|field| &*field.name).collect();
            let message = format!("{} has no field {}", quoted(&target.name), quoted(name));
            return Err(vec![wrong(&node.span, message).help(suggestion(name, &known, "the fields are"))]);
        }
    };
    let value = scope.value(other, Wanted { entity: target, column, purpose: Purpose::Find })?;
    Ok((column, value))
}

/// The name after `target.`.
fn of_target(node: &SyntaxNode) -> Option<&str> {
    let SyntaxData::Select(of, word) = &node.data else { return None };
    (of.data == SyntaxData::Name("target".to_owned())).then_some(&word.text)
}

/// Of a text of `set` that is no expression: most often it was meant as a text, and lacks the inner quotes.
fn no_value(text: &str, problem: Diagnostic) -> Diagnostic {
    if problem.code != DiagnosticCode::RuleSyntax {
        return problem;
    }
    let message =
        problem.message.replace("this is not a rule", "this is not a value").replace("the rule", "the value");
    let help = match text.contains(['\'', '"', '+']) {
        true => {
            "a value is a field, a constant, `user.id`, `now`, or texts joined by `+`: \"'Hello ' + name\""
                .to_owned()
        }
        false => format!("if it is a text, write it in quotes of its own: \"'{text}'\""),
    };
    Diagnostic { message, ..problem }.help(help)
}

fn misfit(span: &Span, message: String) -> Diagnostic {
    Diagnostic::new(DiagnosticCode::OnSet, span.clone(), message).label("does not fit")
}

/// All that the table says, in one form.
fn source(on: &OnDraft) -> String {
    let mut text = format!("{} {} {}", on.event.word(), on.act.word(), on.entity);
    if let Some((rule, _)) = &on.when {
        let _ = write!(text, " when {}", rule.source);
    }
    if let Some((find, _)) = &on.find {
        let _ = write!(text, " where {find}");
    }
    for set in &on.set {
        let _ = write!(text, " set {} {:?}", set.field, set.value.data);
    }
    if on.exists == OnExisting::Skip {
        text.push_str(" exists skip");
    }
    text
}
