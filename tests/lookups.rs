//! Lookup fields: copied on every write and in step at every position, with a log entry for each record that follows. What a
//! schema that changes does to them, random writes held against joins, and the way through the whole server.
//!
//! What every backend owes of them is in `store_conformance/lookups.rs`.

use std::sync::Arc;

use futures_util::future::join_all;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tidewire::config::StoreConfig;
use tidewire::ids::Timestamp;
use tidewire::schema::{Entity, Field, FieldIndex, Lookup, Schema, Value};
use tidewire::store::{Change, CommitError, LogLimit, Op, Store, Unit};

use crate::support::app::TestApp;
use crate::support::at_once::Now;
use crate::support::chain::*;
use crate::support::properties::stories;
use crate::support::socket::Socket;
use crate::support::studio::{Studio, create, delete, field, id, link, open, text, unit, update, words};

fn defaults() -> StoreConfig {
    StoreConfig::default()
}

#[tokio::test]
async fn thousands_follow_in_one_unit() {
    let studio = Studio::sqlite_over(schema(), &defaults());
    studio.commit([make("Org", 1, []), make("Project", 2, [(ORG, link(1))])]).await.unwrap();
    for part in 0..6 {
        let tasks = (0..500).map(|n| make("Task", 100 + part * 500 + n, [(PROJECT, link(2))]));
        studio.commit(tasks).await.unwrap();
    }
    let outcome = studio.commit([update("Org", 1, [(NAME, words("all"))])]).await.unwrap();
    assert_eq!(outcome.seq.0, 3_002 + 3_002);
    in_step(studio.folder.as_ref().unwrap().path());
    the_log_tells_all(&studio);
}

/// The schema with another shape of `Comment`: its first three fields, and then these.
fn with_comments(more: &[Field]) -> Schema {
    let schema = schema();
    let reshaped = schema.entities().map(|entity| match &*entity.name {
        "Comment" => Entity { fields: [&entity.fields[..3], more].concat(), ..(**entity).clone() },
        _ => (**entity).clone(),
    });
    Schema::new(reshaped.collect::<Vec<_>>())
}

#[tokio::test]
async fn a_lookup_that_is_new_to_the_schema_is_filled_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let looked_up = |name, via, source| {
        let lookup = Lookup { via: FieldIndex(via), field: FieldIndex(source) };
        Field { lookup: Some(lookup), ..field(name, text()) }
    };
    let start = async |schema: Schema| {
        let opened = open(folder.path(), schema, &defaults());
        let json = opened.store.get("Comment", &id(4)).now().unwrap().value;
        let shown = json.map(|stored| serde_json::from_slice::<Json>(&stored.json).unwrap()["extra"].clone());
        (shown, opened)
    };
    let (_, first) = start(with_comments(&[])).await;
    let ops = [
        make("Org", 1, [(NAME, words("acme"))]),
        make("Project", 2, [(ORG, link(1))]),
        make("Task", 3, [(TITLE, words("write")), (PROJECT, link(2))]),
        create("Comment", 4, vec![words("why"), link(3), link(4)]),
        create("Comment", 5, vec![Value::Null; 3]),
    ];
    first.store.commit(unit(ops)).await.unwrap();
    first.store.close().await;

    // A plain field that becomes a lookup, and one that copies from elsewhere, all through lookups of the same start.
    let steps = [
        (with_comments(&[field("extra", text())]), Json::Null),
        (with_comments(&[looked_up("extra", 1, 4)]), json!("acme")),
        (with_comments(&[looked_up("extra", 1, 0)]), json!("write")),
        (with_comments(&[looked_up("extra", 2, 0)]), json!("why")),
        // What is no lookup any longer keeps what it held, and clients may set it.
        (with_comments(&[field("extra", text())]), json!("why")),
    ];
    let mut generation = first.generation;
    for (schema, expected) in steps {
        let (shown, opened) = start(schema).await;
        assert_eq!(shown, Some(expected));
        assert!(opened.generation > generation, "nobody resumes across it");
        generation = opened.generation;
        let version = opened.store.get("Comment", &id(4)).now().unwrap().value.unwrap().version;
        assert_eq!(version, 1, "no version, no entry");
        opened.store.close().await;
    }
}

#[tokio::test]
async fn a_start_brings_every_lookup_into_step_with_a_new_schema() {
    let folder = tempfile::tempdir().unwrap();
    let plain = || {
        let strip = |entity: &Arc<Entity>| {
            let fields = entity.fields.iter().filter(|field| field.lookup.is_none()).cloned().collect();
            Entity { fields, ..(**entity).clone() }
        };
        let schema = schema();
        Schema::new(schema.entities().map(strip).collect::<Vec<_>>())
    };
    let opened = open(folder.path(), plain(), &defaults());
    let ops = [
        create("Org", 1, vec![words("acme"), Value::Null]),
        create("Project", 2, vec![Value::Null, link(1)]),
        create("Project", 3, vec![Value::Null, Value::Null]),
        create("Task", 4, vec![words("a"), link(2), link(4)]),
        create("Task", 5, vec![words("b"), link(3), link(4)]),
        create("Comment", 6, vec![words("c"), link(4), link(6)]),
        create("Comment", 7, vec![words("d"), link(5), link(6)]),
        create("Invoice", 8, vec![link(4), link(1)]),
    ];
    opened.store.commit(unit(ops)).await.unwrap();
    opened.store.close().await;
    let opened = open(folder.path(), schema(), &defaults());
    in_step(folder.path());
    let json = opened.store.get("Comment", &id(7)).now().unwrap().value.unwrap().json;
    let json: Json = serde_json::from_slice(&json).unwrap();
    assert_eq!((&json["parent_title"], &json["reply_body"]), (&json!("a"), &json!("c")));
}

#[tokio::test]
async fn a_lookup_that_comes_under_a_running_server_is_filled_and_followed() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path(), with_comments(&[]), &defaults());
    let comment = create("Comment", 4, vec![words("why"), link(3), Value::Null]);
    let ops = [make("Task", 3, [(TITLE, words("write"))]), comment];
    opened.store.commit(unit(ops)).await.unwrap();
    let lookup = Some(Lookup { via: TASK, field: TITLE });
    let grown = with_comments(&[Field { lookup, ..field("extra", text()) }]);
    let generation = opened.store.evolve(Arc::new(grown)).await.unwrap().generation;
    let shown = || {
        let json = opened.store.get("Comment", &id(4)).now().unwrap().value.unwrap().json;
        serde_json::from_slice::<Json>(&json).unwrap()["extra"].clone()
    };
    assert_eq!(shown(), json!("write"));
    let unit = Unit { generation, ..unit([update("Task", 3, [(TITLE, words("read"))])]) };
    opened.store.commit(unit).await.unwrap();
    assert_eq!(shown(), json!("read"));
}

/// Few enough ids that records meet all the time.
const IDS: std::ops::Range<u128> = 1..5;

/// Small enough that the bounds are met, too.
fn small() -> StoreConfig {
    StoreConfig { unit_entries: 12, cascade_records: 6, group_ops: 5, ..defaults() }
}

fn maybe_link() -> impl Strategy<Value = Value> {
    prop_oneof![1 => Just(Value::Null), 4 => IDS.prop_map(link)]
}

fn word() -> impl Strategy<Value = Value> {
    prop_oneof![1 => Just(Value::Null), 4 => "[abc]{1,2}".prop_map(Value::Text)]
}

/// Fields of an entity, its lookups too: what is said of them must not count.
fn some_fields(entity: &'static str) -> impl Strategy<Value = Vec<(FieldIndex, Value)>> {
    let texts: &[usize] = match entity {
        "Org" => &[0, 1],
        "Project" => &[0, 2],
        "Task" => &[0, 4],
        "Comment" => &[0, 3],
        _ => &[2],
    };
    let refs: &[usize] = match entity {
        "Org" => &[],
        "Project" => &[1],
        "Task" => &[1, 1, 2, 3],
        "Comment" => &[1, 1, 2, 6],
        _ => &[0, 1],
    };
    let text = (prop::sample::select(texts), word());
    let some = match refs {
        [] => text.boxed(),
        refs => prop_oneof![text, (prop::sample::select(refs), maybe_link())].boxed(),
    };
    prop::collection::vec(some.prop_map(|(at, value)| (FieldIndex(at), value)), 0..4)
}

fn op() -> impl Strategy<Value = Op> {
    let entity =
        || prop::sample::select(&["Org", "Project", "Task", "Task", "Comment", "Comment", "Invoice"][..]);
    let with_fields = move || entity().prop_flat_map(|entity| (Just(entity), IDS, some_fields(entity)));
    prop_oneof![
        7 => with_fields().prop_map(|(entity, n, set)| make(entity, n, set)),
        8 => with_fields().prop_map(|(entity, n, set)| update(entity, n, set)),
        2 => (entity(), IDS).prop_map(|(entity, n)| delete(entity, n)),
    ]
}

fn some_unit() -> impl Strategy<Value = Unit> {
    let ops = prop_oneof![4 => prop::collection::vec(op(), 1..2), 2 => prop::collection::vec(op(), 2..6)];
    ops.prop_map(unit)
}

proptest! {
    #![proptest_config(stories(64))]

    #[test]
    fn every_lookup_is_what_the_joins_give(
        groups in prop::collection::vec(prop::collection::vec(some_unit(), 1..6), 1..24),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (sqlite, memory) =
                (Studio::sqlite_over(schema(), &small()), Studio::memory_over(schema(), &small()));
            let everything = (1..5).flat_map(|n| {
                [make("Org", n, [(NAME, words("o"))]), make("Project", n, [(ORG, link(n))])]
            });
            for op in everything {
                sqlite.commit([op.clone()]).await.unwrap();
                memory.commit([op]).await.unwrap();
            }
            for (time, group) in (0..).zip(groups) {
                let timed = |unit: &Unit| Unit { at: Timestamp(unit.at.0 + time), ..unit.clone() };
                let real = join_all(group.iter().map(|unit| sqlite.store.commit(timed(unit)))).await;
                for (unit, real) in group.iter().zip(real) {
                    let model = memory.store.commit(timed(unit)).await;
                    let told = |outcome: Result<tidewire::store::Outcome, CommitError>| {
                        outcome.map(|outcome| (outcome.seq, outcome.results))
                    };
                    assert_eq!(told(real), told(model), "{unit:?}");
                }
                in_step(sqlite.folder.as_ref().unwrap().path());
            }
            let logs: [Vec<Arc<Change>>; 2] = [sqlite.log(0), memory.log(0)];
            assert_eq!(logs[0], logs[1]);
            for (entity, n) in ["Task", "Comment", "Org"].into_iter().flat_map(|entity| IDS.map(move |n| (entity, n))) {
                let limit = LogLimit { changes: 3, bytes: usize::MAX };
                let of = |studio: &Studio| studio.store.history(entity, &id(n), &tidewire::store::Who::System, None, limit).now().unwrap().value;
                assert_eq!(of(&sqlite), of(&memory), "{entity} {n}");
            }
            the_log_tells_all(&sqlite);
        });
    }
}

#[tokio::test]
async fn subscribers_of_a_following_record_get_it_in_the_same_unit() {
    let app = TestApp::over(Arc::new(schema()), |_| {}).await;
    let api = app.client_as("ann");
    let project = api.create("projects", json!({"name": "p"})).await;
    let task = api.create("tasks", json!({"title": "t"})).await;
    let path = format!("/api/tasks/{}", task["id"].as_str().unwrap());
    for body in ["one", "two"] {
        api.create("comments", json!({"body": body, "task": task["id"]})).await;
    }
    let mut socket = Socket::open(app.address).await;
    socket.subscribe("entity:Comment", json!({})).await;
    socket.subscribe("entity:Task", json!({})).await;
    api.patch_with_mid(&path, json!({"project": project["id"]}), "move").await;
    let mut events = Vec::new();
    while events.len() < 3 {
        let frame = socket.frame().await;
        if frame["type"].as_str().is_some_and(|kind| kind.starts_with("entity:")) {
            events.push(frame);
        }
    }
    socket.nothing_else().await;
    let (tasks, comments): (Vec<&Json>, Vec<&Json>) =
        events.iter().partition(|event| event["channel"] == "entity:Task");
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0]["changed"], json!(["project"]));
    for (place, event) in comments.iter().enumerate() {
        assert_eq!((&event["type"], &event["changed"]), (&json!("entity:updated"), &json!(["project"])));
        assert_eq!((&event["by"], &event["mid"]), (&json!("ann"), &json!("move")));
        assert_eq!((&event["payload"]["project"], &event["payload"]["version"]), (&project["id"], &json!(2)));
        assert_eq!(
            event["seq"],
            tasks[0]["seq"].as_u64().unwrap() + 1 + place as u64,
            "the task's entry is first"
        );
        assert_eq!(event["more"] == true, place == 0, "one unit");
    }
}

#[tokio::test]
async fn a_client_that_sets_a_lookup_gets_an_error_that_names_its_source() {
    let app = TestApp::over(Arc::new(schema()), |_| {}).await;
    let api = app.client();
    let project = api.create("projects", json!({"name": "p"})).await;
    let task = api.create("tasks", json!({"title": "t", "project": project["id"]})).await;
    let comment = api.create("comments", json!({"body": "b", "task": task["id"]})).await;
    let path = format!("/api/comments/{}", comment["id"].as_str().unwrap());
    let forged = json!({"body": "c", "project": project["id"], "org_name": "x"});
    for (method, path) in [("POST", "/api/comments"), ("PATCH", &path), ("PUT", &path)] {
        let answer = api.call(method, path, forged.clone()).await;
        assert_eq!((answer.status, &answer.json["code"]), (422, &json!("VALIDATION_FAILED")), "{method}");
        let errors = answer.json["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 2, "{}", answer.text);
        assert!(errors.iter().all(|error| error["code"] == "readonly"), "{}", answer.text);
        let message = |at: usize| errors[at]["message"].as_str().unwrap();
        assert_eq!(
            message(0),
            "`org_name` is readonly: the server copies it from `project.org_name`; set that instead"
        );
        assert!(message(1).contains("`task.project`"), "{}", message(1));
    }
    let put = api.call("PUT", &path, json!({"body": "c", "task": task["id"]})).await;
    assert_eq!((put.status, &put.json["project"]), (200, &project["id"]), "a PUT leaves lookups alone");
    let listed = api.get(&format!("/api/comments?project={}", project["id"].as_str().unwrap())).await;
    assert_eq!(listed["items"], json!([put.json]), "lists filter by it like by any field");
}
