//! A world for groups: records as JSON, rules and filters each written twice, once as the runtime has them and once by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value as Json, json};
use tidewire::channels::group::ConnectionKey;
use tidewire::channels::{Admission, Attach, AttachFrom, AttachmentId, Item, Outbox, Sight, Watch};
use tidewire::ids::{RecordId, Seq, Timestamp};
use tidewire::outbox::{Lag, OutboxLimits};
use tidewire::protocol::{View, WireForm};
use tidewire::rules::{Condition, Person, Principal, ReadScope, RelatedRecords, Test};
use tidewire::schema::{
    Access, Column, Comparison, Entity, Expr, Field, FieldIndex, FieldKind, Generation, Record, RelatedSet,
    Rule, Term, UserTerm, Value,
};
use tidewire::store::{Change, ChangeOp, CommitBatch, Decoded, Scope};

use crate::support::fixtures::{epoch, id};
use crate::support::wire::frames_in;

const FIELDS: [&str; 7] = ["title", "status", "priority", "score", "owner", "project", "tags"];
const TITLE: Column = Column::Field(FieldIndex(0));
const STATUS: Column = Column::Field(FieldIndex(1));
const PRIORITY: Column = Column::Field(FieldIndex(2));
const SCORE: Column = Column::Field(FieldIndex(3));
const OWNER: Column = Column::Field(FieldIndex(4));
const PROJECT: Column = Column::Field(FieldIndex(5));
const TAGS: Column = Column::Field(FieldIndex(6));
/// Shown to the owner of the record alone.
const SECRET: Column = Column::Field(FieldIndex(7));

pub const RULES: usize = 7;
pub const FILTERS: usize = 10;

/// A subscriber.
#[derive(Debug, Clone)]
pub struct Someone {
    pub id: Option<String>,
    pub projects: BTreeSet<String>,
}

impl Someone {
    pub fn nobody() -> Someone {
        Someone { id: None, projects: BTreeSet::new() }
    }

    pub fn named(id: &str, projects: &[&str]) -> Someone {
        let projects = projects.iter().map(|project| (*project).to_owned()).collect();
        Someone { id: Some(id.to_owned()), projects }
    }
}

fn text() -> FieldKind {
    FieldKind::Text { min: None, max: None, pattern: None }
}

fn rule(meaning: Expr) -> Option<Rule> {
    Some(Rule { source: format!("{meaning:?}").into(), meaning })
}

fn is_owner() -> Expr {
    Expr::Compare(Term::Record(OWNER), Comparison::Eq, Term::User(UserTerm::Id))
}

/// `Task` under one of the rules.
pub fn entity(nth: usize) -> Arc<Entity> {
    let kinds = [
        text(),
        text(),
        FieldKind::Int { min: None, max: None },
        FieldKind::Float { min: None, max: None },
        text(),
        text(),
        FieldKind::Json,
    ];
    let mut fields: Vec<Field> =
        FIELDS.iter().zip(kinds).map(|(name, kind)| Field::new(name, kind)).collect();
    fields.push(Field { read: rule(is_owner()), ..Field::new("secret", text()) });
    let of_project = RelatedSet { entity: "Membership".into(), column: Column::Field(FieldIndex(0)) };
    let number = |comparison, number| {
        Expr::Compare(Term::Record(PRIORITY), comparison, Term::Value(Value::Int(number)))
    };
    let read = match nth {
        0 => Expr::Constant(true),
        1 => is_owner(),
        2 => Expr::Any(vec![is_owner(), Expr::Related(Term::Record(PROJECT), of_project)]),
        3 => Expr::Member(Term::User(UserTerm::Id), Term::Record(TAGS)),
        4 => Expr::Any(vec![number(Comparison::Gte, 3), Expr::IsNull(Term::Record(OWNER))]),
        5 => Expr::Constant(false),
        _ => Expr::All(vec![Expr::Not(Box::new(is_owner())), number(Comparison::Lt, 4)]),
    };
    let access = Access { read: rule(read), ..Access::default() };
    Arc::new(Entity { access, ..Entity::new("Task", "tasks", fields) })
}

/// The same by hand: whether the rule lets the person read the record. What is null is unknown, and grants nothing.
pub fn may_read(nth: usize, record: &Json, who: &Someone) -> bool {
    let mine = who.id.is_some() && record["owner"].as_str() == who.id.as_deref();
    let priority = record["priority"].as_i64();
    match nth {
        0 => true,
        1 => mine,
        2 => {
            let member = record["project"].as_str().is_some_and(|project| who.projects.contains(project));
            who.id.is_some() && (mine || member)
        }
        3 => record["tags"].as_array().is_some_and(|tags| {
            who.id.as_ref().is_some_and(|id| tags.iter().any(|tag| tag.as_str() == Some(id)))
        }),
        4 => priority.is_some_and(|priority| priority >= 3) || record["owner"].is_null(),
        5 => false,
        _ => {
            let known = who.id.is_some() && !record["owner"].is_null();
            known && !mine && priority.is_some_and(|priority| priority < 4)
        }
    }
}

pub fn conditions(nth: usize) -> Vec<Condition> {
    let text = |text: &str| Value::Text(text.to_owned());
    match nth {
        0 => vec![],
        1 => vec![Condition::new(STATUS, Test::Eq(text("open")))],
        2 => vec![Condition::new(PRIORITY, Test::In(vec![Value::Int(1), Value::Int(2)]))],
        3 => vec![Condition::new(OWNER, Test::Null(true))],
        4 => vec![Condition::new(SCORE, Test::Eq(Value::Float(1.0)))],
        5 => vec![Condition::new(TITLE, Test::Starts("a".to_owned()))],
        6 => vec![
            Condition::new(STATUS, Test::Eq(text("open"))),
            Condition::new(PRIORITY, Test::Gte(Value::Int(3))),
        ],
        7 => vec![Condition::new(SECRET, Test::Eq(text("s1")))],
        8 => vec![
            Condition::new(STATUS, Test::Eq(text("open"))),
            Condition::new(PROJECT, Test::In(vec![text("p1"), text("p2")])),
        ],
        _ => vec![
            Condition::new(STATUS, Test::Eq(text("open"))),
            Condition::new(PRIORITY, Test::In(vec![Value::Int(1), Value::Int(2), Value::Int(3)])),
            Condition::new(OWNER, Test::Eq(text("u1"))),
            Condition::new(SCORE, Test::Eq(Value::Float(1.0))),
            Condition::new(TITLE, Test::Ne(text("b"))),
            Condition::new(PROJECT, Test::In(vec![text("p1"), text("p2"), text("p3")])),
        ],
    }
}

/// The same by hand.
pub fn meets(nth: usize, record: &Json, who: &Someone) -> bool {
    let open = record["status"] == "open";
    let priority = record["priority"].as_i64();
    match nth {
        0 => true,
        1 => open,
        2 => matches!(priority, Some(1 | 2)),
        3 => record["owner"].is_null(),
        4 => record["score"].as_f64() == Some(1.0),
        5 => record["title"].as_str().is_some_and(|title| title.starts_with('a')),
        6 => open && priority.is_some_and(|priority| priority >= 3),
        7 => record["secret"] == "s1" && shows_secret(record, who),
        8 => open && matches!(record["project"].as_str(), Some("p1" | "p2")),
        _ => {
            let project = record["project"].as_str().is_some_and(|project| project.starts_with('p'));
            let title = record["title"].as_str().is_some_and(|title| title != "b");
            let owned = record["owner"] == "u1" && record["score"].as_f64() == Some(1.0);
            open && owned && project && title && priority.is_some_and(|priority| priority <= 3)
        }
    }
}

pub fn shows_secret(record: &Json, who: &Someone) -> bool {
    who.id.is_some() && record["owner"].as_str() == who.id.as_deref()
}

pub fn read_scope(nth: usize, filter: usize, who: &Someone) -> Arc<ReadScope> {
    let membership = |project: &String| Record {
        id: id(1),
        version: 1,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        values: vec![Value::Text(project.clone())],
    };
    let records = who.projects.iter().map(membership).collect();
    let person = Person { id: who.id.as_deref().map(Into::into), ..Person::default() };
    let related = BTreeMap::from([("Membership".into(), RelatedRecords::Records(records))]);
    let principal = Principal::new(Arc::new(person), None, related);
    let read_scope = ReadScope::bind(&entity(nth), Generation(1), &principal).unwrap();
    Arc::new(read_scope.through(conditions(filter)))
}

/// Everything through a filter.
pub fn filtered(conditions: Vec<Condition>) -> Arc<ReadScope> {
    Arc::new(ReadScope::everything(&entity(0), Generation(1)).through(conditions))
}

pub fn view_of(read_scope: &ReadScope) -> View {
    let text = read_scope.text();
    View::new(&text.predicate, &text.fields, read_scope.generation)
}

/// Of a connection by WebSocket.
pub fn outbox() -> Arc<Outbox> {
    outbox_of(WireForm::WebSocket)
}

pub fn outbox_of(form: WireForm) -> Arc<Outbox> {
    let limits = OutboxLimits { batches: 1 << 20, bytes: 1 << 30, controls: 1 << 20 };
    Arc::new(Outbox::new(limits, form))
}

/// An attachment to all records of `Task` that is the first of its connection.
pub fn attach(connection: u64, channel: &str, read_scope: &Arc<ReadScope>, outbox: &Arc<Outbox>) -> Attach {
    Attach {
        connection: ConnectionKey(connection),
        attachment: AttachmentId { slot: 0, serial: 1 },
        outbox: outbox.clone(),
        channel: channel.into(),
        sight: Sight::Records { scope: Scope::Entity("Task".into()), read_scope: read_scope.clone() },
        view: view_of(read_scope),
        interval: None,
        watch: None,
        admission: Admission::Sought,
        from: AttachFrom::Now { request_id: None },
    }
}

/// What is seen of one record.
pub fn of_record(n: u128, read_scope: &Arc<ReadScope>) -> Sight {
    Sight::Records { scope: Scope::Record("Task".into(), id(n)), read_scope: read_scope.clone() }
}

pub fn watch(person: &str, bound_at: u64) -> Option<Watch> {
    Some(Watch { person: person.into(), bound_at: Seq(bound_at) })
}

/// The log's form of a change: from `old` to `new`, each the whole record.
pub fn change(seq: u64, record: &RecordId, old: Option<&Json>, new: Option<&Json>) -> Change {
    let op = match (old, new) {
        (None, _) => ChangeOp::Create,
        (Some(_), Some(_)) => ChangeOp::Update,
        (Some(_), None) => ChangeOp::Delete,
    };
    let differing: Vec<&String> = match (old, new) {
        (Some(old), Some(new)) => {
            let fields = old.as_object().unwrap().keys();
            fields.filter(|name| *name != "version" && old[*name] != new[*name]).collect()
        }
        _ => Vec::new(),
    };
    let bytes = |json: &Json| Bytes::from(serde_json::to_vec(json).unwrap());
    let before = match (op, old) {
        (ChangeOp::Update, Some(old)) => {
            let old: serde_json::Map<String, Json> =
                differing.iter().map(|name| ((*name).clone(), old[*name].clone())).collect();
            Some(bytes(&Json::Object(old)))
        }
        (_, old) => old.map(bytes),
    };
    Change {
        seq: Seq(seq),
        entity: "Task".into(),
        id: record.clone(),
        op,
        before,
        after: new.map(bytes),
        changed: (op == ChangeOp::Update).then(|| bytes(&json!(differing))),
        actor: Some("ada".into()),
        mid: None,
        at: Timestamp(1_700_000_000_000),
        unit_last: true,
        generation: Generation(1),
        cause: None,
        rights: Vec::new(),
        decoded: Decoded::default(),
    }
}

pub fn batch(changes: Vec<Change>) -> CommitBatch {
    CommitBatch { epoch: epoch(), changes: changes.into_iter().map(Arc::new).collect() }
}

/// A record with every field, in the order and form of the log.
pub fn record(record: &RecordId, values: &Json) -> Json {
    let mut json = json!({
        "id": record.as_str(), "version": 1, "title": "a", "status": "open", "priority": 3, "score": 1.0,
        "owner": "ada", "project": "p1", "tags": [], "secret": "s1",
        "created_at": "2026-11-21T08:00:00.000Z", "updated_at": "2026-11-21T08:00:00.000Z",
    });
    for (name, value) in values.as_object().unwrap() {
        json[name] = value.clone();
    }
    json
}

/// The events that wait in an outbox.
pub fn taken(outbox: &Outbox) -> Vec<Json> {
    let mut events = Vec::new();
    for item in outbox.drain(usize::MAX).items {
        if let Item::Batch { frames, .. } = item {
            events.extend(frames_in(outbox.form(), &frames));
        }
    }
    events
}

pub const FIRST_LAG: Lag = Lag(0);
