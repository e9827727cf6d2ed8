//! What a change costs where thousands see different records: the index of groups beside a loop over all subscribers, which
//! must come to the same events. In this process, with neither server nor sockets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use bytes::Bytes;
use tidewire::channels::group::{ConnectionKey, Member};
use tidewire::channels::groups::Groups;
use tidewire::channels::{Admission, Attach, AttachFrom, AttachmentId, Outbox, Sight, judge};
use tidewire::ids::{Epoch, RecordId, Seq, Timestamp};
use tidewire::outbox::OutboxLimits;
use tidewire::protocol::{View, WireForm};
use tidewire::rules::{Condition, Person, Principal, ReadScope, RelatedRecords, Subject, Test, evaluate};
use tidewire::schema::{
    Access, Column, Comparison, Entity, Expr, Field, FieldIndex, FieldKind, Generation, Record, RelatedSet,
    Rule, Term, UserTerm, Value,
};
use tidewire::store::{Change, ChangeOp, CommitBatch, Decoded, Rows, Scope};

use crate::error::{BenchError, Outcome};
use crate::lab::Lab;
use crate::report::{Aim, Report, Row};
use crate::stats::median;

const OWNER: FieldIndex = FieldIndex(0);
const PROJECT: FieldIndex = FieldIndex(1);
const STATUS: FieldIndex = FieldIndex(2);
const PRIORITY: FieldIndex = FieldIndex(3);

const PERSONS: u64 = 10_000;
const PROJECTS: u64 = 500;
const PROJECTS_EACH: u64 = 5;
const STATUSES: [&str; 4] = ["open", "doing", "done", "dropped"];
/// With the statuses 100,000 queries.
const PRIORITIES: u64 = 25_000;

/// Changes that are made before they are looked up.
const NEAR: usize = 50;

/// Nanoseconds an event, and how many times less than the loop, that are aimed at.
const EVENT_AIM: f64 = 500.0;
const EVALUATION_AIM: f64 = 100.0;
const RATIO_AIM: f64 = 500.0;
const DELIVERY_AIM: f64 = 1.3;

/// Who subscribes to what.
struct Crowd {
    label: &'static str,
    read_scopes: Vec<(Arc<str>, Arc<ReadScope>)>,
}

pub(crate) fn run(lab: &Lab, report: &mut Report) -> Outcome<()> {
    let events = if lab.scale.full { 20_000 } else { 500 };
    let mut rows = Vec::new();
    for crowd in [owners(), members(), queries()] {
        rows.push(found(&crowd, events, report)?);
    }
    report.table("rules", rows);
    evaluations(events / 20, report);
    deliveries(events / 100, report);
    Ok(())
}

/// 10,000 persons, each of whom sees their own records.
fn owners() -> Crowd {
    let entity = entity(owns());
    let read_scopes = (0..PERSONS).map(|n| (text("entity:Task"), bound(&entity, n, &[]))).collect();
    Crowd { label: "10,000 x owner == user.id", read_scopes }
}

/// 10,000 persons, each of whom sees five of 500 projects.
fn members() -> Crowd {
    let entity = entity(belongs());
    let projects = |n: u64| (0..PROJECTS_EACH).map(|nth| (n * 7 + nth * 101) % PROJECTS).collect::<Vec<_>>();
    let read_scopes = (0..PERSONS).map(|n| (text("entity:Task"), bound(&entity, n, &projects(n)))).collect();
    Crowd { label: "10,000 x 5 of 500 projects", read_scopes }
}

/// 100,000 live queries, each of one status and one priority.
fn queries() -> Crowd {
    let entity = entity(Expr::Constant(true));
    let mut read_scopes = Vec::new();
    for priority in 0..PRIORITIES {
        for status in STATUSES {
            let is = |field, value| Condition::new(Column::Field(field), Test::Eq(value));
            let filter =
                vec![is(STATUS, Value::Text(status.to_owned())), is(PRIORITY, Value::Int(priority as i64))];
            let read_scope = ReadScope::everything(&entity, Generation(1)).through(filter);
            read_scopes.push((
                text(&format!("entity:Task?status={status}&priority={priority}")),
                Arc::new(read_scope),
            ));
        }
    }
    Crowd { label: "100,000 x status and priority", read_scopes }
}

/// The events of `events` changes by the index; the first of them also by a loop.
fn found(crowd: &Crowd, events: u64, report: &mut Report) -> Outcome<Row> {
    let mut groups = Groups::new(Seq(0), 1_000);
    for (nth, (channel, read_scope)) in crowd.read_scopes.iter().enumerate() {
        join(&mut groups, nth as u64, channel, read_scope, &outbox());
    }
    // What the first look-ups allocate is there for those that follow.
    for seq in 0..1_000 {
        groups.count(&change(seq, PROJECTS));
    }
    // A few changes at a time, so that each is as near as it is in the server when it is looked up; the median, since the one who
    // else wants this core takes a few of them aside.
    let (mut times, mut matches, mut of_first) = (Vec::new(), 0, 0);
    for first in (1..=events).step_by(NEAR) {
        let batches: Vec<CommitBatch> =
            (first..first + NEAR as u64).map(|seq| change(seq, PROJECTS)).collect();
        let begin = Instant::now();
        matches += batches.iter().map(|batch| groups.count(batch).deliveries).sum::<usize>();
        times.push(nanos_each(begin.elapsed(), NEAR as u64));
        of_first = if first == 1 { matches } else { of_first };
    }
    let by_index = median(&times);
    let scope = Scope::Entity("Task".into());
    let (mut times, mut by_hand) = (Vec::new(), 0);
    for batch in (1..=NEAR as u64).map(|seq| change(seq, PROJECTS)) {
        let (change, begin) = (&batch.changes[0], Instant::now());
        by_hand += crowd
            .read_scopes
            .iter()
            .filter(|(_, read_scope)| judge(change, &scope, read_scope).is_some())
            .count();
        times.push(nanos_each(begin.elapsed(), 1));
    }
    let by_loop = median(&times);
    if by_hand != of_first {
        return Err(BenchError::Wire(format!(
            "{}: the index found {of_first} events and a loop {by_hand}",
            crowd.label
        )));
    }
    report.judge(format!("rules: ns an event, {}", crowd.label), by_index, Aim::AtMost(EVENT_AIM));
    report.judge(
        format!("rules: loop / index, {}", crowd.label),
        by_loop / by_index,
        Aim::AtLeast(RATIO_AIM),
    );
    let values = vec![
        ("groups", groups.group_count() as f64),
        ("matches/event", matches as f64 / events as f64),
        ("ns/event", by_index),
        ("loop ns/event", by_loop),
        ("loop / index", by_loop / by_index),
    ];
    Ok(Row { label: crowd.label.to_owned(), values })
}

/// `owner == user.id` on a thousand records in turn, one in ten of them the person's own: as the rule stands, by which writes are
/// judged, and as it is left when it is bound to the person.
fn evaluations(rounds: u64, report: &mut Report) {
    const RECORDS: u64 = 1_000;
    let principal = principal(7, &[]);
    let read_scope = bound(&entity(owns()), 7, &[]);
    let records: Vec<Record> =
        (0..RECORDS).map(|n| record(vec![Value::Text(format!("u{}", n % 10))])).collect();
    let rule = owns();
    let by_rule =
        |record: &Record| evaluate(&rule, Subject { principal: &principal, record, proposal: None }).grants();
    let by_predicate = |record: &Record| read_scope.sees(record);
    let mut rows = Vec::new();
    for (label, holds) in [
        ("the rule on a record", &by_rule as &dyn Fn(&Record) -> bool),
        ("bound to the person", &by_predicate),
    ] {
        let mut times = Vec::new();
        let mut granted = 0;
        for _ in 0..rounds {
            let begin = Instant::now();
            granted += records.iter().filter(|record| holds(record)).count() as u64;
            times.push(nanos_each(begin.elapsed(), RECORDS));
        }
        let nanos = median(&times);
        let share = granted as f64 / (rounds * RECORDS) as f64;
        rows.push(Row { label: label.to_owned(), values: vec![("granted", share), ("ns/record", nanos)] });
        report.judge(format!("rules: ns a record, {label}"), nanos, Aim::AtMost(EVALUATION_AIM));
    }
    report.table("rules: owner == user.id", rows);
}

/// A thousand outboxes: without a rule, under one read scope, and under a read scope of their own each.
fn deliveries(events: u64, report: &mut Report) {
    let own = entity(belongs());
    let everything = Arc::new(ReadScope::everything(&own, Generation(1)));
    let all: Vec<u64> = (0..PROJECTS_EACH).collect();
    let shared = bound(&own, 0, &all);
    let mut each = Vec::new();
    for (label, read_scope_of) in [
        ("no rule", &(|_| everything.clone()) as &dyn Fn(u64) -> Arc<ReadScope>),
        ("one read_scope under a rule", &|_| shared.clone()),
        ("a read_scope each under a rule", &|n| bound(&own, n, &all)),
    ] {
        let mut groups = Groups::new(Seq(0), 1_000);
        let outboxes: Vec<Arc<Outbox>> = (0..1_000).map(|_| outbox()).collect();
        for (n, outbox) in (0..).zip(&outboxes) {
            join(&mut groups, n, &text("entity:Task"), &differing(&read_scope_of(n), n, label), outbox);
        }
        let mut times = Vec::new();
        for batch in (1..=events).map(|seq| change(seq, PROJECTS_EACH)) {
            let begin = Instant::now();
            let deliveries = groups.fan_out(&batch).deliveries as u64;
            times.push(nanos_each(begin.elapsed(), deliveries));
            outboxes.iter().for_each(|outbox| drop(outbox.drain(usize::MAX)));
        }
        each.push((label, groups.group_count(), median(&times)));
    }
    let plain = each.first().map_or(1.0, |(_, _, nanos)| *nanos);
    let rows = each.iter().map(|(label, groups, nanos)| {
        let values = vec![("groups", *groups as f64), ("ns/delivery", *nanos), ("x no rule", nanos / plain)];
        Row { label: (*label).to_owned(), values }
    });
    report.table("rules: fan-out to 1,000 outboxes", rows.collect());
    // What a buffer for each costs beside the way to the socket is for `fanout-rules` to say.
    for (label, _, nanos) in &each[1..2] {
        report.judge(
            format!("rules: delivery / delivery without, {label}"),
            nanos / plain,
            Aim::AtMost(DELIVERY_AIM),
        );
    }
}

/// Persons who all see every record, each by a filter of their own.
fn differing(read_scope: &Arc<ReadScope>, n: u64, label: &str) -> Arc<ReadScope> {
    if label != "a read_scope each under a rule" {
        return read_scope.clone();
    }
    let below = Condition::new(Column::Field(PRIORITY), Test::Lt(Value::Int((PRIORITIES + n) as i64)));
    Arc::new(ReadScope::clone(read_scope).through(vec![below]))
}

fn nanos_each(took: Duration, count: u64) -> f64 {
    took.as_nanos() as f64 / count.max(1) as f64
}

fn text(text: &str) -> Arc<str> {
    text.into()
}

fn outbox() -> Arc<Outbox> {
    let limits = OutboxLimits { batches: 1 << 20, bytes: 1 << 30, controls: 16 };
    Arc::new(Outbox::new(limits, WireForm::WebSocket))
}

fn join(groups: &mut Groups, n: u64, channel: &Arc<str>, read_scope: &Arc<ReadScope>, outbox: &Arc<Outbox>) {
    let text = read_scope.text();
    let attach = Attach {
        connection: ConnectionKey(n),
        attachment: AttachmentId { slot: 0, serial: 1 },
        outbox: outbox.clone(),
        channel: channel.clone(),
        sight: Sight::Records {
            scope: Scope::Entity(read_scope.entity.name.clone()),
            read_scope: read_scope.clone(),
        },
        view: View::new(&text.predicate, &text.fields, read_scope.generation),
        interval: None,
        watch: None,
        admission: Admission::Sought,
        from: AttachFrom::Now { request_id: None },
    };
    groups.join(&attach, Member { outbox: outbox.clone(), lag: outbox.lag(), from: Seq(0) });
}

fn owns() -> Expr {
    Expr::Compare(Term::Record(Column::Field(OWNER)), Comparison::Eq, Term::User(UserTerm::Id))
}

fn belongs() -> Expr {
    let set = RelatedSet { entity: "Membership".into(), column: Column::Field(FieldIndex(0)) };
    Expr::Related(Term::Record(Column::Field(PROJECT)), set)
}

fn entity(read: Expr) -> Arc<Entity> {
    let text = || FieldKind::Text { min: None, max: None, pattern: None };
    let fields = vec![
        Field::new("owner", text()),
        Field::new("project", text()),
        Field::new("status", text()),
        Field::new("priority", FieldKind::Int { min: None, max: None }),
    ];
    let access = Access {
        read: Some(Rule { source: format!("{read:?}").into(), meaning: read }),
        ..Access::default()
    };
    Arc::new(Entity { access, ..Entity::new("Task", "tasks", fields) })
}

fn record(values: Vec<Value>) -> Record {
    let id = RecordId::parse_text("one").expect("a short word is an id");
    Record { id, version: 1, created_at: Timestamp(0), updated_at: Timestamp(0), values }
}

fn bound(entity: &Arc<Entity>, person: u64, projects: &[u64]) -> Arc<ReadScope> {
    let principal = principal(person, projects);
    Arc::new(
        ReadScope::bind(entity, Generation(1), &principal)
            .expect("a few hundred records are a set that binds"),
    )
}

fn principal(person: u64, projects: &[u64]) -> Principal {
    let records = projects.iter().map(|project| record(vec![Value::Text(format!("p{project}"))])).collect();
    let related = BTreeMap::from([("Membership".into(), RelatedRecords::Records(records))]);
    let id = Some(format!("u{person}").into());
    Principal::new(Arc::new(Person { id, ..Person::default() }), None, related)
}

/// An update that leaves the record where it is for everybody, of values that follow no order, in one of so many projects.
fn change(seq: u64, projects: u64) -> CommitBatch {
    let mixed = seq.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let values = vec![
        Value::Text(format!("u{}", mixed % PERSONS)),
        Value::Text(format!("p{}", mixed % projects)),
        Value::Text(STATUSES[(mixed % 4) as usize].to_owned()),
        Value::Int((mixed / 4 % PRIORITIES) as i64),
    ];
    let (old, new) = (record(values.clone()), record(values));
    let image = Bytes::from(format!("{{\"id\":\"one\",\"version\":1,\"filler\":\"{}\"}}", "x".repeat(200)));
    let change = Change {
        seq: Seq(seq),
        entity: "Task".into(),
        id: new.id.clone(),
        op: ChangeOp::Update,
        before: Some(Bytes::from_static(b"{}")),
        after: Some(image),
        changed: Some(Bytes::from_static(b"[]")),
        actor: None,
        mid: None,
        at: Timestamp(0),
        unit_last: true,
        generation: Generation(1),
        cause: None,
        rights: Vec::new(),
        decoded: Decoded::known(Rows { old: Some(old), new: Some(new) }),
    };
    let epoch: Epoch = "0123456789abcdef0123456789abcdef".parse().expect("32 hex digits are an epoch");
    CommitBatch { epoch, changes: vec![Arc::new(change)] }
}
