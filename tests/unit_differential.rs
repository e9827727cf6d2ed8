//! The logic of a unit over two transactions: SQLite, which writes at once and takes back by savepoints, and an overlay that holds a
//! group's writes until it commits and answers nothing at once. The same histories give the same outcomes, log and records.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use proptest::prelude::*;
use tidewire::config::StoreConfig;
use tidewire::ids::{RecordId, Timestamp};
use tidewire::rules::Asker;
use tidewire::schema::{Entity, FieldIndex, KeyFields, Schema, Value};
use tidewire::store::{Change, CommitError, Op, Outcome, Unit};

use crate::support::at_once::Now;
use crate::support::club::{
    self, OF_ROLE, OWNER, PROJECT, SECRET, STATUS, TITLE, member, person, user_record,
};
use crate::support::overlay::OverlayBackend;
use crate::support::properties::stories;
use crate::support::studio::*;

const PEOPLE: [&str; 5] = ["ada", "bo", "cy", "dan", "root"];

/// The club, where no two tasks have the same status, no two memberships the same note and role, and write rules look further.
fn schema() -> Schema {
    let with = |entity: &Arc<Entity>| {
        let mut entity = (**entity).clone();
        match &*entity.name {
            "Task" => {
                entity.fields[STATUS.0].unique = true;
                club::numbered(&mut entity);
            }
            "Membership" => {
                entity.unique = vec![KeyFields::exact(vec![club::OF_NOTE, club::OF_ROLE])];
            }
            _ => {}
        }
        entity
    };
    Schema::new(club::further(&club::schema()).entities().map(with))
}

/// Small enough that every bound is met, too.
fn config() -> StoreConfig {
    StoreConfig {
        unit_entries: 12,
        group_bytes: 6_000,
        cascade_records: 6,
        idempotency_per_user: 3,
        ..StoreConfig::default()
    }
}

/// Few enough that they meet all the time, and of every entity its own.
fn numbered(base: u128) -> impl Strategy<Value = u128> {
    (0..4u128).prop_map(move |n| base + n)
}

fn project() -> impl Strategy<Value = u128> {
    1..3u128
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(&PEOPLE[..])
}

fn maybe(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop_oneof![1 => Just(Value::Null), 3 => value]
}

fn status() -> impl Strategy<Value = Value> {
    maybe(prop::sample::select(&["open", "done", "late"][..]).prop_map(words))
}

fn task() -> impl Strategy<Value = Op> {
    let owner = maybe(name().prop_map(words));
    (numbered(20), maybe(project().prop_map(link)), owner, status()).prop_map(
        |(n, project, owner, status)| {
            create("Task", n, vec![words("a task"), project, owner, words("hush"), status])
        },
    )
}

fn task_field() -> impl Strategy<Value = (FieldIndex, Value)> {
    prop_oneof![
        Just((TITLE, words("b"))),
        maybe(project().prop_map(link)).prop_map(|value| (PROJECT, value)),
        maybe(name().prop_map(words)).prop_map(|value| (OWNER, value)),
        Just((SECRET, words("new"))),
        status().prop_map(|value| (STATUS, value)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let on_task = |entity: &'static str, base| {
        (numbered(base), numbered(20)).prop_map(move |(n, task)| create(entity, n, vec![link(task)]))
    };
    let comment = (numbered(30), maybe(numbered(20).prop_map(link)))
        .prop_map(|(n, task)| create("Comment", n, vec![task, Value::Null, words("hi")]));
    let membership = (numbered(10), name(), project(), any::<bool>());
    let role = |editor: bool| if editor { "editor" } else { "viewer" };
    let removed = prop_oneof![
        3 => numbered(20).prop_map(|n| delete("Task", n)),
        1 => numbered(30).prop_map(|n| delete("Comment", n)),
        1 => numbered(10).prop_map(|n| delete("Membership", n)),
        1 => project().prop_map(|n| delete("Project", n)),
        1 => numbered(40).prop_map(|n| delete("Bill", n)),
        1 => numbered(50).prop_map(|n| delete("Ledger", n)),
        1 => name().prop_map(|name| Op::Delete { entity: "User".into(), id: RecordId::stored(name), if_version: None }),
    ];
    let some = prop_oneof![
        5 => task(),
        3 => comment,
        2 => membership.prop_map(move |(n, name, project, editor)| member(n, name, project, role(editor))),
        1 => project().prop_map(|n| create("Project", n, vec![words("a project")])),
        1 => name().prop_map(|name| user_record(name, Value::Null)),
        1 => on_task("Bill", 40),
        1 => on_task("Ledger", 50),
        5 => (numbered(20), prop::collection::vec(task_field(), 0..3)).prop_map(|(n, set)| update("Task", n, set)),
        2 => (numbered(30), numbered(20)).prop_map(|(n, to)| update("Comment", n, [(FieldIndex(0), link(to))])),
        1 => (numbered(10), any::<bool>()).prop_map(move |(n, editor)| update("Membership", n, [(OF_ROLE, words(role(editor)))])),
        4 => removed,
    ];
    let version = prop_oneof![4 => Just(None), 1 => (1..4u64).prop_map(Some)];
    (some, version).prop_map(|(op, version)| match version {
        Some(version) => at_version(op, version),
        None => op,
    })
}

fn some_unit() -> impl Strategy<Value = Unit> {
    let ops = prop_oneof![3 => prop::collection::vec(op(), 1..2), 2 => prop::collection::vec(op(), 0..6)];
    let mid = prop_oneof![3 => Just(None), 1 => ("[mnop]", 0..2u8).prop_map(Some)];
    let asker = prop_oneof![2 => Just(None), 3 => name().prop_map(Some)];
    (ops, mid, asker).prop_map(|(ops, mid, asker)| {
        let ops: Vec<Op> = ops.into_iter().map(club::unnumbered).collect();
        let unit = match mid {
            Some((mid, request)) => named(&mid, request, ops),
            None => unit(ops),
        };
        let asker = asker.map_or(Asker::System, |name| Asker::Person(person(name)));
        Unit { asker, ..unit }
    })
}

fn founding() -> Vec<Op> {
    let people = PEOPLE.map(|name| {
        let role = if name == "root" { words("admin") } else { Value::Null };
        user_record(name, role)
    });
    let projects = [1, 2].map(|n| create("Project", n, vec![words("a project")]));
    let members =
        [member(10, "ada", 1, "editor"), member(11, "bo", 1, "viewer"), member(12, "dan", 2, "editor")];
    people.into_iter().chain(projects).chain(members).collect()
}

/// An outcome without its epoch, which is each store's own.
fn told(outcome: Result<Outcome, CommitError>) -> impl PartialEq + std::fmt::Debug {
    outcome.map(|outcome| (outcome.seq, outcome.results, outcome.replayed))
}

/// Every record that the log names, as the store has it.
fn records(studio: &Studio, log: &[Arc<Change>]) -> BTreeMap<(Arc<str>, RecordId), Option<String>> {
    let named = log.iter().map(|change| (change.entity.clone(), change.id.clone()));
    named.map(|(entity, id)| ((entity.clone(), id.clone()), studio.json(&entity, &id))).collect()
}

proptest! {
    #![proptest_config(stories(64))]

    #[test]
    fn a_unit_cannot_tell_when_its_writes_reach_the_database(
        groups in prop::collection::vec(prop::collection::vec(some_unit(), 1..6), 1..16),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut sqlite = Studio::sqlite_over(schema(), &config());
            let (backend, batches) = OverlayBackend::open(&schema(), &config());
            let mut overlay = Studio::overlay(backend.clone(), batches);
            let (mut announced, mut held) = (Vec::new(), Vec::new());
            let founding = vec![unit(founding())];
            for (time, group) in (0..).zip([founding].into_iter().chain(groups)) {
                let timed = |unit: &Unit| Unit { at: Timestamp(NOON.0 + time), ..unit.clone() };
                let units: Vec<Unit> = group.iter().map(timed).collect();
                let real = join_all(units.iter().map(|unit| sqlite.store.commit(unit.clone()))).await;
                let done = backend.commit_group(units.clone()).await;
                for ((unit, real), other) in units.iter().zip(real).zip(done.outcomes) {
                    assert_eq!(told(real), told(other), "{unit:?}");
                }
            }
            let log = sqlite.log(0);
            assert_eq!(log, overlay.log(0));
            assert_eq!(records(&sqlite, &log), records(&overlay, &log));
            for person in PEOPLE {
                for entity in ["User", "Membership"].map(|entity| [entity.into()]) {
                    let [real, other] = [&sqlite, &overlay].map(|studio| studio.store.rights_changed(person, &entity).now().unwrap());
                    assert_eq!(real, other, "{person} {entity:?}");
                }
            }
            for (studio, changes) in [(&mut sqlite, &mut announced), (&mut overlay, &mut held)] {
                while changes.len() < log.len() {
                    let batch = studio.batches.next().await;
                    changes.extend(batch.changes.iter().map(|change: &Arc<Change>| (**change).clone()));
                }
            }
            assert_eq!(announced, held, "whose rights a change concerns, too");
        });
    }
}

/// What operations name is known before the group runs, so that a backend on another machine asks for it once.
#[tokio::test]
async fn what_operations_name_is_prefetched() {
    let (backend, _batches) = OverlayBackend::open(&schema(), &StoreConfig::default());
    backend.commit_group(vec![unit(founding())]).await.outcomes.remove(0).unwrap();
    let as_ada = |ops: Vec<Op>| Unit { asker: Asker::Person(person("ada")), ..unit(ops) };
    let units = vec![
        as_ada(vec![club::unnumbered(club::task(20, 1, Some("ada")))]),
        as_ada(vec![club::comment(30, 20), update("Task", 20, [(TITLE, words("b"))])]),
        as_ada(vec![update("Task", 20, [(OWNER, words("bo"))])]),
    ];
    let done = backend.commit_group(units).await;
    done.outcomes.into_iter().for_each(|outcome| drop(outcome.unwrap()));
    assert_eq!(done.asked, 0);
}
