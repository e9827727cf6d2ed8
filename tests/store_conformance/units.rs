//! Creates, updates and deletes, one unit each or several in one, and the bounds of a unit.

use tidewire::config::StoreConfig;
use tidewire::ids::{Seq, Timestamp};
use tidewire::schema::{FieldIndex, Generation, Value};
use tidewire::store::{ChangeOp, CommitError, Op, OpStatus, Unit};

use crate::support::fixture::Fixture;
use crate::support::studio::*;

fn defaults() -> StoreConfig {
    StoreConfig::default()
}

pub(super) async fn a_create_is_answered_logged_and_published<F: Fixture>() {
    let mut studio = F::open(schema(), &defaults());
    let outcome = studio.commit([project(1)]).await.unwrap();
    let json = r#"{"id":"00000000-0000-0000-0000-000000000001","version":1,"code":null,"created_at":"2027-01-15T08:00:00.000Z","updated_at":"2027-01-15T08:00:00.000Z"}"#;
    assert_eq!((outcome.seq, outcome.replayed, outcome.results.len()), (Seq(1), false, 1));
    assert_eq!((outcome.results[0].status, &outcome.results[0].id), (OpStatus::Created, &id(1)));
    assert_eq!(outcome.results[0].record.as_ref().unwrap().json, json);
    assert_eq!(studio.json("Project", &id(1)).unwrap(), json);

    let batch = studio.batches.next().await;
    assert_eq!((batch.first(), batch.last(), &batch.epoch), (Seq(1), Seq(1), &outcome.epoch));
    let change = &studio.log(0)[0];
    assert_eq!(batch.changes[0], *change);
    assert_eq!((&*change.entity, &change.id, change.op), ("Project", &id(1), ChangeOp::Create));
    assert_eq!(
        (&change.before, change.after.as_ref().unwrap(), &change.changed),
        (&None, &json.into(), &None)
    );
    assert_eq!((change.actor.as_deref(), &change.mid, change.at), (Some("ada"), &None, NOON));
    assert_eq!((change.unit_last, change.generation), (true, Generation(1)));

    let fresh = Op::Create { entity: "User".into(), id: id(2), values: vec![words("Bo")], fresh_id: true };
    assert_eq!(studio.commit([fresh]).await.unwrap().results[0].record.as_ref().unwrap().version, 1);
}

pub(super) async fn an_update_logs_what_changed_and_what_it_was<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    studio.commit([task(1, [(TITLE, words("a")), (PRIORITY, Value::Int(1))])]).await.unwrap();
    let set = [(PRIORITY, Value::Int(2)), (TITLE, words("b")), (DONE, Value::Null)];
    let later = Unit { at: Timestamp(NOON.0 + 1), actor: None, ..unit([update("Task", 1, set)]) };
    let outcome = studio.store.commit(later).await.unwrap();
    let change = studio.log(1).remove(0);
    assert_eq!((change.op, change.seq, &change.actor), (ChangeOp::Update, Seq(2), &None));
    assert_eq!(change.before.as_ref().unwrap(), r#"{"title":"a","priority":1}"#);
    assert_eq!(change.changed.as_ref().unwrap(), r#"["title","priority"]"#);
    let record = outcome.results[0].record.clone().unwrap();
    assert_eq!((record.version, Some(&record.json)), (2, change.after.as_ref()));
    let json = studio.json("Task", &id(1)).unwrap();
    assert_eq!(json.as_bytes(), &record.json[..]);
    assert!(
        json.contains(r#""created_at":"2027-01-15T08:00:00.000Z","updated_at":"2027-01-15T08:00:00.001Z""#)
    );

    studio.commit([update("Task", 1, [(SCORE, Value::Float(2.5))])]).await.unwrap();
    assert_eq!(studio.log(2)[0].before.as_ref().unwrap(), r#"{"score":null}"#);
    assert!(studio.json("Task", &id(1)).unwrap().contains(r#""title":"b","priority":2,"score":2.5"#));
}

pub(super) async fn an_update_that_changes_nothing_leaves_no_trace<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    studio.commit([task(1, [(TITLE, words("a"))])]).await.unwrap();
    studio.commit([task(2, [])]).await.unwrap();
    let before = studio.json("Task", &id(1));
    let outcome = studio.commit([update("Task", 1, [(TITLE, words("a"))])]).await.unwrap();
    assert_eq!((outcome.seq, outcome.results[0].status), (Seq(2), OpStatus::Unchanged));
    assert_eq!(outcome.results[0].record.as_ref().unwrap().json, before.clone().unwrap());
    assert_eq!((studio.head(), studio.json("Task", &id(1))), (2, before));
    assert_eq!(studio.commit([]).await.unwrap().seq, Seq(2));
}

pub(super) async fn a_wrong_version_is_told_the_current_record<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    let first = studio.commit([project(1)]).await.unwrap().results.remove(0).record.unwrap();
    let conflict = Err(CommitError::VersionConflict { op: 0, current: first });
    let stale = at_version(update("Project", 1, [(FieldIndex(0), words("x"))]), 2);
    assert_eq!(studio.commit([stale]).await, conflict);
    assert_eq!(studio.commit([at_version(delete("Project", 1), 2)]).await, conflict);
    assert_eq!(studio.commit([update("Project", 9, [])]).await, Err(CommitError::NotFound { op: 0 }));
    assert_eq!(studio.commit([delete("Project", 9)]).await, Err(CommitError::NotFound { op: 0 }));
    assert_eq!(studio.head(), 1);
    let outcome = studio.commit([at_version(delete("Project", 1), 1)]).await.unwrap();
    assert_eq!((outcome.results[0].status, &outcome.results[0].record), (OpStatus::Deleted, &None));

    // An earlier version is as wrong as one that there was never.
    let coded = |code| update("Project", 2, [(FieldIndex(0), words(code))]);
    let mut outcome = studio.commit([project(2), coded("x")]).await.unwrap();
    let conflict =
        Err(CommitError::VersionConflict { op: 0, current: outcome.results.remove(1).record.unwrap() });
    assert_eq!(studio.commit([at_version(coded("y"), 1)]).await, conflict);
    assert_eq!(studio.commit([at_version(delete("Project", 2), 1)]).await, conflict);
}

pub(super) async fn a_deleted_id_continues_its_version<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    studio.commit([project(1)]).await.unwrap();
    studio.commit([update("Project", 1, [(FieldIndex(0), words("x"))])]).await.unwrap();
    let last = studio.json("Project", &id(1)).unwrap();
    studio.commit([delete("Project", 1)]).await.unwrap();
    let change = studio.log(2).remove(0);
    assert_eq!(
        (change.before.as_ref().unwrap(), &change.after, &change.changed),
        (&last.into(), &None, &None)
    );
    assert_eq!(studio.json("Project", &id(1)), None);
    let again = studio.commit([project(1)]).await.unwrap();
    assert_eq!(again.results[0].record.as_ref().unwrap().version, 3);
    let reborn = [delete("Project", 1), project(1), delete("Project", 1), project(1)];
    assert_eq!(studio.commit(reborn).await.unwrap().results[3].record.as_ref().unwrap().version, 5);
}

pub(super) async fn a_unit_commits_whole_or_not_at_all<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    studio.commit([project(1)]).await.unwrap();
    let failing = [project(2), update("Project", 1, [(FieldIndex(0), words("x"))]), delete("Project", 9)];
    assert_eq!(studio.commit(failing).await, Err(CommitError::NotFound { op: 2 }));
    assert_eq!((studio.json("Project", &id(2)), studio.head()), (None, 1));
    assert!(studio.json("Project", &id(1)).unwrap().contains(r#""version":1,"code":null"#));

    assert_eq!(studio.commit([project(2), project(3)]).await.unwrap().seq, Seq(3));
    let ends: Vec<bool> = studio.log(0).iter().map(|change| change.unit_last).collect();
    assert_eq!(ends, [true, false, true]);
}

pub(super) async fn a_unit_sees_its_own_writes<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    let ops = [
        project(1),
        task(2, [(PROJECT, link(1)), (PARENT, link(2))]),
        at_version(update("Task", 2, [(TITLE, words("a"))]), 1),
        update("Task", 2, [(TITLE, words("a"))]),
        at_version(update("Task", 2, [(TITLE, words("b"))]), 2),
        delete("Project", 1),
        task(2, []),
    ];
    let outcome = studio.commit(ops).await.unwrap();
    let statuses: Vec<OpStatus> = outcome.results.iter().map(|result| result.status).collect();
    use OpStatus::{Created, Deleted, Unchanged, Updated};
    assert_eq!(statuses, [Created, Created, Updated, Unchanged, Updated, Deleted, Created]);
    let story = ["create project:1", "create task:2", "update task:2", "update task:2", "delete task:2"];
    assert_eq!(studio.story(0)[..5], story);
    assert_eq!(studio.story(5), ["delete project:1", "create task:2"]);
    assert_eq!(outcome.results[6].record.as_ref().unwrap().version, 4);
    assert_eq!(studio.log(0).iter().filter(|change| change.unit_last).count(), 1);
}

pub(super) async fn ids_and_unique_values_are_taken_once<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    let code = |n, code: &str| create("Project", n, vec![words(code)]);
    studio.commit([code(1, "x"), code(2, "y"), project(3), project(4)]).await.unwrap();
    let taken = |op| Err(CommitError::NotUnique { op, fields: vec!["code".into()] });
    assert_eq!(studio.commit([code(5, "x")]).await, taken(0));
    assert_eq!(studio.commit([update("Project", 2, [(FieldIndex(0), words("x"))])]).await, taken(0));
    assert_eq!(studio.commit([code(5, "z"), code(6, "z")]).await, taken(1));
    assert_eq!(studio.commit([code(1, "y")]).await, Err(CommitError::IdTaken { op: 0 }));
    let same_id =
        Op::Create { entity: "Project".into(), id: id(1), values: vec![words("q")], fresh_id: true };
    assert_eq!(studio.commit([same_id]).await, Err(CommitError::IdTaken { op: 0 }));
    assert_eq!(studio.head(), 4);
    // A value is free again as soon as its record lets go of it.
    studio.commit([update("Project", 1, [(FieldIndex(0), Value::Null)]), code(5, "x")]).await.unwrap();
    studio.commit([delete("Project", 2), code(6, "y")]).await.unwrap();
}

pub(super) async fn every_type_comes_back_as_it_went_in<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    let limit = 9_007_199_254_740_991;
    let values = [
        (TITLE, words("it's \"quoted\"\n\u{1f30a} \u{2028}")),
        (PRIORITY, Value::Int(-limit)),
        (SCORE, Value::Float(-0.1)),
        (DONE, Value::Bool(false)),
        (TAGS, Value::Json(r#"{"b":[1,null],"a":"é"}"#.to_owned())),
    ];
    let created = studio.commit([task(1, values)]).await.unwrap().results.remove(0).record.unwrap();
    assert_eq!(studio.json("Task", &id(1)).unwrap().as_bytes(), &created.json[..]);
    let set = [(PRIORITY, Value::Int(limit)), (SCORE, Value::Float(3.0)), (DONE, Value::Bool(true))];
    let updated = studio.commit([update("Task", 1, set)]).await.unwrap().results.remove(0).record.unwrap();
    let json = studio.json("Task", &id(1)).unwrap();
    assert_eq!(json.as_bytes(), &updated.json[..]);
    assert!(
        json.contains(r#""priority":9007199254740991,"score":3.0,"done":true,"tags":{"b":[1,null],"a":"é"}"#)
    );
    // A negative zero becomes zero, in the log as in the record.
    studio.commit([task(2, [(SCORE, Value::Float(-0.0))])]).await.unwrap();
    let json = studio.json("Task", &id(2)).unwrap();
    assert!(json.contains(r#""score":0.0"#));
    assert_eq!(studio.log(2)[0].after.as_ref().unwrap(), &json);
}

pub(super) async fn a_unit_has_bounds<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig { unit_entries: 3, group_bytes: 2_000, ..defaults() });
    let too_large = Err(CommitError::UnitTooLarge { entries: 3, bytes: 2_000 });
    studio.commit([project(1), project(2), project(3)]).await.unwrap();
    assert_eq!(studio.commit((4..8).map(project)).await, too_large);
    let long = |n| task(n, [(TITLE, words(&"x".repeat(1_000)))]);
    assert_eq!(studio.commit([long(1), long(2)]).await, too_large);
    assert_eq!(studio.commit([task(1, [(TITLE, words(&"x".repeat(2_000)))])]).await, too_large);
    assert_eq!(studio.head(), 3);
    for n in 1..4 {
        studio.commit([task(n, [(PROJECT, link(1))])]).await.unwrap();
    }
    assert_eq!(studio.commit([delete("Project", 1)]).await, too_large);
    assert_eq!(studio.head(), 6);
    studio.commit([long(8)]).await.unwrap();
}

pub(super) async fn another_generation_is_turned_away<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    let stale = Unit { generation: Generation(studio.generation.0 + 1), ..named("m", 1, [project(1)]) };
    assert_eq!(studio.store.commit(stale).await, Err(CommitError::StaleGeneration));
    assert_eq!(studio.head(), 0);
    studio.store.commit(named("m", 2, [project(1)])).await.unwrap();
    assert_eq!(studio.commit([create("Planet", 1, vec![])]).await, Err(CommitError::StaleGeneration));
}
