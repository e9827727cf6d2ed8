//! What every backend of `trait Store` owes, as stories. Each runs on SQLite and on the memory model.

use std::time::Duration;

use tidewire::config::StoreConfig;
use tidewire::ids::{Epoch, Position, RecordId, Seq, Timestamp};
use tidewire::schema::{FieldIndex, Generation, Value};
use tidewire::store::{
    ChangeOp, Column, CommitError, Condition, Count, Direction, Expand, Idempotency, LogLimit, LogPage, Op,
    OpStatus, Query, Scope, StoreError, Test, Unit,
};

use crate::support::at_once::Now;
use crate::support::studio::*;

macro_rules! stories {
    ($($story:ident($config:expr);)*) => {
        mod on_sqlite {
            use super::*;
            $(#[tokio::test] async fn $story() { super::$story(Studio::sqlite(&$config)).await })*
        }
        mod on_memory {
            use super::*;
            $(#[tokio::test] async fn $story() { super::$story(Studio::memory(&$config)).await })*
        }
    };
}

fn defaults() -> StoreConfig {
    StoreConfig::default()
}

stories! {
    a_create_is_answered_logged_and_published(defaults());
    an_update_logs_what_changed_and_what_it_was(defaults());
    an_update_that_changes_nothing_leaves_no_trace(defaults());
    a_wrong_version_is_told_the_current_record(defaults());
    a_deleted_id_continues_its_version(defaults());
    a_unit_commits_whole_or_not_at_all(defaults());
    a_unit_sees_its_own_writes(defaults());
    references_must_lead_somewhere(defaults());
    ids_and_unique_values_are_taken_once(defaults());
    every_type_comes_back_as_it_went_in(defaults());
    a_delete_takes_children_first_and_each_once(defaults());
    cycles_end(defaults());
    a_restricted_grandchild_keeps_all(defaults());
    a_delete_has_a_limit(StoreConfig { cascade_records: 3, ..defaults() });
    a_unit_has_bounds(StoreConfig { unit_entries: 3, group_bytes: 2_000, ..defaults() });
    another_generation_is_turned_away(defaults());
    a_repeated_mutation_gets_todays_record(defaults());
    a_mutation_id_means_one_request_of_one_owner(defaults());
    a_refused_mutation_may_be_repeated(defaults());
    old_answers_leave(StoreConfig { idempotency_per_user: 2, ..defaults() });
    answers_age(StoreConfig { idempotency_age: Duration::from_secs(60), ..defaults() });
    lists_filter_sort_and_page(defaults());
    a_page_of_a_list_ends_with_the_record_that_reaches_its_bytes(defaults());
    searches_find_words_by_their_beginnings(defaults());
    counts_agree_with_lists(defaults());
    references_are_followed_as_of_the_list(defaults());
    pages_of_the_log_hold_whole_units(defaults());
    the_log_is_trimmed_by_count(StoreConfig { retention_changes: 3, ..defaults() });
    the_log_is_trimmed_by_age_in_chunks(StoreConfig {
        retention_age: Duration::from_secs(60),
        trim_chunk: 2,
        ..defaults()
    });
    a_survey_knows_what_a_resume_needs(defaults());
    unknown_entities_are_named(defaults());
}

async fn a_create_is_answered_logged_and_published(mut studio: Studio) {
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

async fn an_update_logs_what_changed_and_what_it_was(studio: Studio) {
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

async fn an_update_that_changes_nothing_leaves_no_trace(studio: Studio) {
    studio.commit([task(1, [(TITLE, words("a"))])]).await.unwrap();
    studio.commit([task(2, [])]).await.unwrap();
    let before = studio.json("Task", &id(1));
    let outcome = studio.commit([update("Task", 1, [(TITLE, words("a"))])]).await.unwrap();
    assert_eq!((outcome.seq, outcome.results[0].status), (Seq(2), OpStatus::Unchanged));
    assert_eq!(outcome.results[0].record.as_ref().unwrap().json, before.clone().unwrap());
    assert_eq!((studio.head(), studio.json("Task", &id(1))), (2, before));
    assert_eq!(studio.commit([]).await.unwrap().seq, Seq(2));
}

async fn a_wrong_version_is_told_the_current_record(studio: Studio) {
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
}

async fn a_deleted_id_continues_its_version(studio: Studio) {
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

async fn a_unit_commits_whole_or_not_at_all(studio: Studio) {
    studio.commit([project(1)]).await.unwrap();
    let failing = [project(2), update("Project", 1, [(FieldIndex(0), words("x"))]), delete("Project", 9)];
    assert_eq!(studio.commit(failing).await, Err(CommitError::NotFound { op: 2 }));
    assert_eq!((studio.json("Project", &id(2)), studio.head()), (None, 1));
    assert!(studio.json("Project", &id(1)).unwrap().contains(r#""version":1,"code":null"#));

    assert_eq!(studio.commit([project(2), project(3)]).await.unwrap().seq, Seq(3));
    let ends: Vec<bool> = studio.log(0).iter().map(|change| change.unit_last).collect();
    assert_eq!(ends, [true, false, true]);
}

async fn a_unit_sees_its_own_writes(studio: Studio) {
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

async fn references_must_lead_somewhere(studio: Studio) {
    let unknown = |op, field: &str| Err(CommitError::UnknownReference { op, field: field.into() });
    assert_eq!(studio.commit([task(1, [(PROJECT, link(9))])]).await, unknown(0, "project"));
    studio.commit([project(1), user(1), task(1, [(PROJECT, link(1))])]).await.unwrap();
    let set = [(PROJECT, Value::Null), (REVIEWER, link(7)), (OWNER, link(1))];
    assert_eq!(studio.commit([project(2), update("Task", 1, set)]).await, unknown(1, "reviewer"));
    // A user of that id is no project of that id.
    studio.commit([user(3)]).await.unwrap();
    assert_eq!(studio.commit([update("Task", 1, [(PROJECT, link(3))])]).await, unknown(0, "project"));
    assert_eq!(studio.head(), 4);
    studio.commit([update("Task", 1, [(PARENT, link(1)), (PROJECT, Value::Null)])]).await.unwrap();
}

async fn ids_and_unique_values_are_taken_once(studio: Studio) {
    let code = |n, code: &str| create("Project", n, vec![words(code)]);
    studio.commit([code(1, "x"), code(2, "y"), project(3), project(4)]).await.unwrap();
    let taken = |op| Err(CommitError::NotUnique { op, field: "code".into() });
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

async fn every_type_comes_back_as_it_went_in(studio: Studio) {
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

async fn a_delete_takes_children_first_and_each_once(studio: Studio) {
    // Task 3 belongs to the project both by itself and by its parent, task 2.
    studio.commit([project(1), user(1), user(2)]).await.unwrap();
    studio.commit([task(2, [(PROJECT, link(1)), (OWNER, link(1))])]).await.unwrap();
    studio.commit([task(3, [(PROJECT, link(1)), (PARENT, link(2))])]).await.unwrap();
    studio.commit([task(4, [(PARENT, link(3))]), task(5, [])]).await.unwrap();
    let outcome = studio.commit([delete("Project", 1)]).await.unwrap();
    assert_eq!(studio.story(7), ["delete task:4", "delete task:3", "delete task:2", "delete project:1"]);
    assert_eq!(outcome.results.len(), 1);
    assert_eq!(outcome.seq, Seq(11));
    assert!(studio.log(7).iter().all(|change| change.unit_last == (change.seq == Seq(11))));

    // A record that refers twice to what goes loses both references in one change.
    studio.commit([task(6, [(OWNER, link(2)), (REVIEWER, link(2)), (TITLE, words("t"))])]).await.unwrap();
    studio.commit([delete("User", 2)]).await.unwrap();
    assert_eq!(studio.story(12), ["update task:6", "delete user:2"]);
    let change = studio.log(12).remove(0);
    let two = id(2);
    assert_eq!(change.before.as_ref().unwrap(), &format!(r#"{{"owner":"{two}","reviewer":"{two}"}}"#));
    assert_eq!(change.changed.as_ref().unwrap(), r#"["owner","reviewer"]"#);
    assert!(studio.json("Task", &id(6)).unwrap().contains(r#""version":2,"title":"t""#));
}

async fn cycles_end(studio: Studio) {
    studio.commit([task(1, [(PARENT, link(1))])]).await.unwrap();
    studio.commit([delete("Task", 1)]).await.unwrap();
    studio.commit([task(1, []), task(2, [(PARENT, link(1))]), task(3, [(PARENT, link(2))])]).await.unwrap();
    studio.commit([update("Task", 1, [(PARENT, link(3))])]).await.unwrap();
    studio.commit([delete("Task", 1)]).await.unwrap();
    assert_eq!(studio.story(6), ["delete task:3", "delete task:2", "delete task:1"]);
}

async fn a_restricted_grandchild_keeps_all(studio: Studio) {
    studio.commit([project(1), task(2, [(PROJECT, link(1))]), task(3, [(PARENT, link(2))])]).await.unwrap();
    studio.commit([invoice(4, 3)]).await.unwrap();
    let restricted = Err(CommitError::Restricted { op: 1, entity: Some("Invoice".into()) });
    assert_eq!(studio.commit([project(9), delete("Project", 1)]).await, restricted);
    assert_eq!((studio.head(), studio.json("Project", &id(9))), (4, None));
    assert!(studio.json("Task", &id(3)).is_some());
    studio.commit([delete("Invoice", 4), delete("Project", 1)]).await.unwrap();
    assert_eq!(studio.json("Task", &id(3)), None);
}

async fn a_delete_has_a_limit(studio: Studio) {
    studio.commit([project(1), user(1)]).await.unwrap();
    for n in 2..6 {
        studio.commit([task(n, [(PROJECT, link(1)), (OWNER, link(1))])]).await.unwrap();
    }
    let too_large = Err(CommitError::CascadeTooLarge { op: 0, limit: 3 });
    assert_eq!(studio.commit([delete("Project", 1)]).await, too_large);
    assert_eq!(studio.commit([delete("User", 1)]).await, too_large);
    assert_eq!(studio.head(), 6);
    studio.commit([delete("Task", 5)]).await.unwrap();
    studio.commit([delete("User", 1)]).await.unwrap();
    studio.commit([delete("Project", 1)]).await.unwrap();
}

async fn a_unit_has_bounds(studio: Studio) {
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

async fn another_generation_is_turned_away(studio: Studio) {
    let stale = Unit { generation: Generation(studio.generation.0 + 1), ..named("m", 1, [project(1)]) };
    assert_eq!(studio.store.commit(stale).await, Err(CommitError::StaleGeneration));
    assert_eq!(studio.head(), 0);
    studio.store.commit(named("m", 2, [project(1)])).await.unwrap();
    assert_eq!(studio.commit([create("Planet", 1, vec![])]).await, Err(CommitError::StaleGeneration));
}

async fn a_repeated_mutation_gets_todays_record(studio: Studio) {
    let unit = named("m", 1, [project(1), task(2, [(PROJECT, link(1))]), update("Task", 2, [])]);
    let first = studio.store.commit(unit.clone()).await.unwrap();
    assert!(studio.log(0).iter().all(|change| change.mid.as_ref().unwrap().as_str() == "m"));
    studio.commit([update("Project", 1, [(FieldIndex(0), words("x"))])]).await.unwrap();
    studio.commit([delete("Task", 2)]).await.unwrap();

    let again = studio.store.commit(unit).await.unwrap();
    assert_eq!((again.replayed, again.seq, studio.head()), (true, Seq(4), 4));
    let told = |outcome: &tidewire::store::Outcome| -> Vec<(RecordId, OpStatus)> {
        outcome.results.iter().map(|result| (result.id.clone(), result.status)).collect()
    };
    assert_eq!(told(&again), told(&first));
    assert_eq!(again.results[0].record.as_ref().unwrap().version, 2);
    assert_eq!((&again.results[1].record, &again.results[2].record), (&None, &None));

    // What changed nothing is remembered too.
    let no_op = named("n", 1, [update("Project", 1, [(FieldIndex(0), words("x"))])]);
    assert!(!studio.store.commit(no_op.clone()).await.unwrap().replayed);
    studio.commit([update("Project", 1, [(FieldIndex(0), words("y"))])]).await.unwrap();
    let again = studio.store.commit(no_op).await.unwrap();
    assert_eq!((again.replayed, again.results[0].status, again.seq), (true, OpStatus::Unchanged, Seq(5)));
    assert!(studio.json("Project", &id(1)).unwrap().contains(r#""code":"y""#));
}

async fn a_mutation_id_means_one_request_of_one_owner(studio: Studio) {
    studio.store.commit(named("m", 1, [project(1)])).await.unwrap();
    assert_eq!(studio.store.commit(named("m", 2, [project(2)])).await, Err(CommitError::MutationReused));
    let key = Idempotency { owner: "user:bo".into(), mid: "m".parse().unwrap(), hash: [2; 32] };
    let of_another = Unit { idempotency: Some(key), ..unit([project(2)]) };
    assert!(!studio.store.commit(of_another).await.unwrap().replayed);
    assert_eq!(studio.head(), 2);

    // Both in flight at once: one writes, the other is told.
    let (one, other) = tokio::join!(
        studio.store.commit(named("twin", 1, [project(3)])),
        studio.store.commit(named("twin", 1, [project(3)])),
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.replayed, other.replayed), (false, true));
    assert_eq!((&one.results[0].record, studio.head()), (&other.results[0].record, 3));
}

async fn a_refused_mutation_may_be_repeated(studio: Studio) {
    let unit = named("m", 1, [task(1, [(PROJECT, link(1))])]);
    assert!(studio.store.commit(unit.clone()).await.is_err());
    studio.commit([project(1)]).await.unwrap();
    assert!(!studio.store.commit(unit).await.unwrap().replayed);
    let twice = named("n", 1, [project(2), project(2)]);
    assert_eq!(studio.store.commit(twice.clone()).await, Err(CommitError::IdTaken { op: 1 }));
    assert_eq!(studio.store.commit(twice).await, Err(CommitError::IdTaken { op: 1 }));
}

async fn old_answers_leave(studio: Studio) {
    for n in 1..=3 {
        studio.store.commit(named(&format!("m{n}"), 1, [project(n)])).await.unwrap();
    }
    assert!(studio.store.commit(named("m2", 1, [project(2)])).await.unwrap().replayed);
    assert!(studio.store.commit(named("m3", 1, [project(3)])).await.unwrap().replayed);
    assert_eq!(studio.store.commit(named("m1", 1, [project(1)])).await, Err(CommitError::IdTaken { op: 0 }));
}

async fn answers_age(studio: Studio) {
    let at = |seconds: i64, unit: Unit| Unit { at: Timestamp(NOON.0 + seconds * 1_000), ..unit };
    studio.store.commit(at(0, named("m", 1, [project(1)]))).await.unwrap();
    studio.store.commit(at(60, named("n", 1, [project(2)]))).await.unwrap();
    assert!(studio.store.commit(at(60, named("m", 1, [project(1)]))).await.unwrap().replayed);
    studio.store.commit(at(61, named("o", 1, [project(3)]))).await.unwrap();
    let again = studio.store.commit(at(61, named("m", 1, [project(1)]))).await;
    assert_eq!(again, Err(CommitError::IdTaken { op: 0 }));
}

async fn lists_filter_sort_and_page(studio: Studio) {
    studio.commit([user(1)]).await.unwrap();
    let rows = [
        (None, None),
        (Some(1), Some("b")),
        (Some(1), None),
        (Some(1), Some("a")),
        (None, Some("a")),
        (Some(2), Some("b")),
    ];
    for (n, (priority, title)) in (1..).zip(rows) {
        let priority = priority.map_or(Value::Null, Value::Int);
        let title = title.map_or(Value::Null, words);
        studio.commit([task(n, [(PRIORITY, priority), (TITLE, title)])]).await.unwrap();
    }
    let (priority, title) = (Column::Field(PRIORITY), Column::Field(TITLE));
    let (up, down) = (Direction::Ascending, Direction::Descending);
    let all = Query::all("Task", Generation(1), 100);
    let sorted = |sort: &[(Column, Direction)]| Query { sort: sort.to_vec(), ..all.clone() };
    assert_eq!(paged(&studio, &sorted(&[])), [1, 2, 3, 4, 5, 6]);
    assert_eq!(paged(&studio, &sorted(&[(priority, up)])), [1, 5, 2, 3, 4, 6]);
    assert_eq!(paged(&studio, &sorted(&[(priority, down)])), [6, 4, 3, 2, 5, 1]);
    assert_eq!(paged(&studio, &sorted(&[(priority, up), (title, up)])), [1, 5, 3, 4, 2, 6]);
    assert_eq!(paged(&studio, &sorted(&[(priority, down), (title, up)])), [6, 3, 4, 2, 1, 5]);
    assert_eq!(paged(&studio, &sorted(&[(priority, up), (title, down)])), [5, 1, 2, 4, 3, 6]);
    assert_eq!(paged(&studio, &sorted(&[(Column::Id, down)])), [6, 5, 4, 3, 2, 1]);
    assert_eq!(
        paged(&studio, &sorted(&[(Column::UpdatedAt, up), (Column::Version, down)])),
        [6, 5, 4, 3, 2, 1]
    );

    let only = |filter: &[(Column, Test)]| {
        let filter = filter.iter().map(|(column, test)| Condition::new(*column, test.clone())).collect();
        Query { filter, ..all.clone() }
    };
    let int = |number| Value::Int(number);
    assert_eq!(paged(&studio, &only(&[(priority, Test::Eq(int(1)))])), [2, 3, 4]);
    assert_eq!(paged(&studio, &only(&[(title, Test::Null(true))])), [1, 3]);
    assert_eq!(paged(&studio, &only(&[(title, Test::Eq(words("b"))), (priority, Test::Eq(int(1)))])), [2]);
    assert_eq!(paged(&studio, &only(&[(Column::Id, Test::Eq(link(4)))])), [4]);
    assert_eq!(paged(&studio, &only(&[(Column::CreatedAt, Test::Eq(int(NOON.0)))])).len(), 6);
    assert_eq!(paged(&studio, &only(&[(title, Test::Eq(words("' OR 1 --")))])), Vec::<u128>::new());
    let none: [u128; 0] = [];
    for (test, expected) in [
        (Test::Null(false), &[2, 4, 5, 6][..]),
        (Test::Ne(words("a")), &[2, 6]),
        (Test::Lt(words("b")), &[4, 5]),
        (Test::Lte(words("b")), &[2, 4, 5, 6]),
        (Test::Gt(words("b")), &none),
        (Test::Gte(words("b")), &[2, 6]),
        (Test::In(vec![words("a"), words("c"), words("b")]), &[2, 4, 5, 6]),
        (Test::In(vec![]), &none),
        (Test::Contains(String::new()), &[2, 4, 5, 6]),
        (Test::Contains("B".to_owned()), &none),
        (Test::Starts("a".to_owned()), &[4, 5]),
        (Test::Starts("%".to_owned()), &none),
        (Test::Starts(String::new()), &[2, 4, 5, 6]),
    ] {
        assert_eq!(paged(&studio, &only(&[(title, test.clone())])), expected, "{test:?}: null meets nothing");
    }
    let listed = studio.store.list(&sorted(&[(priority, up), (Column::Id, up)])).now().unwrap();
    let rows = &listed.value.rows;
    assert_eq!((listed.seq, &rows[2].sort_values), (Seq(7), &vec![Value::Int(1), link(2)]));
    assert_eq!(rows[2].stored.json, studio.json("Task", &id(2)).unwrap());
}

async fn a_page_of_a_list_ends_with_the_record_that_reaches_its_bytes(studio: Studio) {
    for n in 1..=4 {
        studio.commit([task(n, [(TITLE, words("same")), (PRIORITY, Value::Int(n as i64))])]).await.unwrap();
    }
    let one = studio.json("Task", &id(1)).unwrap().len();
    let down = vec![(Column::Field(PRIORITY), Direction::Descending)];
    for sort in [vec![], down] {
        let query = Query { sort, ..Query::all("Task", Generation(1), 3) };
        for (limit, bytes, expected) in [
            (9, 1, (1, true)),
            (9, one, (1, true)),
            (9, one + 1, (2, true)),
            (9, 3 * one, (3, true)),
            (9, 3 * one + 1, (4, false)),
            (9, usize::MAX, (4, false)),
            (4, usize::MAX, (4, false)),
            (3, usize::MAX, (3, true)),
            (2, 3 * one, (2, true)),
        ] {
            let page = studio.store.list(&Query { limit, bytes, ..query.clone() }).now().unwrap().value;
            assert_eq!((page.rows.len(), page.more), expected, "{limit} records, {bytes} bytes");
        }
        let first = studio.store.list(&query).now().unwrap().value.rows.pop().unwrap();
        let after = Some((first.sort_values, first.id));
        let page = studio.store.list(&Query { after, bytes: 1, ..query }).now().unwrap().value;
        assert_eq!((page.rows.len(), page.more), (1, false), "the last record ends the list");
    }
}

async fn searches_find_words_by_their_beginnings(studio: Studio) {
    let titles = [
        "Caf\u{e9} au lait",
        "cafeteria, LAIT!",
        "e-mail \u{1f30a} wave",
        "mail e",
        "\"quoted\" OR lait*",
        "",
    ];
    for (n, title) in (1..).zip(titles) {
        studio.commit([task(n, [(TITLE, words(title))])]).await.unwrap();
    }
    studio.commit([task(7, [])]).await.unwrap();
    let found = |search: &[&str]| {
        let search = search.iter().map(|word| (*word).to_owned()).collect();
        paged(&studio, &Query { search, ..Query::all("Task", Generation(1), 100) })
    };
    assert_eq!(found(&["cafe"]), [1, 2]);
    assert_eq!(found(&["CAF\u{c9}"]), [1, 2]);
    assert_eq!(found(&["lait", "caf"]), [1, 2]);
    assert_eq!(found(&["lait", "au"]), [1]);
    assert_eq!(found(&["e-mail"]), [3], "the parts of a word stand together");
    assert_eq!(found(&["ma"]), [3, 4]);
    assert_eq!(found(&["wave"]), [3]);
    assert_eq!(found(&["ave"]), Vec::<u128>::new(), "not in the middle of a word");
    assert_eq!(found(&["\"quoted"]), [5]);
    assert_eq!(found(&["or"]), [5]);
    for syntax in
        ["title:lait", "lait*", "NOT lait", "lait AND cafe", "^lait", "(lait", "{title_} : lait", "\"\"lait"]
    {
        found(&[syntax]);
    }
    // A change of the text, of something else, and a delete that takes children with it.
    studio
        .commit([update("Task", 1, [(TITLE, words("tea"))]), update("Task", 2, [(PRIORITY, Value::Int(1))])])
        .await
        .unwrap();
    studio.commit([update("Task", 4, [(PARENT, link(3))])]).await.unwrap();
    studio.commit([delete("Task", 3)]).await.unwrap();
    assert_eq!((found(&["cafe"]), found(&["tea"]), found(&["mail"])), (vec![2], vec![1], vec![]));
    studio.commit([task(3, [(TITLE, words("mail again"))])]).await.unwrap();
    assert_eq!(found(&["mail"]), [3]);
    let refused = studio.commit([task(8, [(TITLE, words("tea"))]), delete("Task", 9)]).await;
    assert_eq!(refused, Err(CommitError::NotFound { op: 1 }));
    assert_eq!(found(&["tea"]), [1], "a refused unit leaves no words behind");
}

async fn counts_agree_with_lists(studio: Studio) {
    for (n, title) in (1..).zip([Some("b"), Some("a"), None, Some("b"), None, Some("c")]) {
        studio.commit([task(n, title.map(|title| (TITLE, words(title))))]).await.unwrap();
    }
    let (title, all) = (Column::Field(TITLE), || Count {
        entity: "Task".into(),
        generation: Generation(1),
        who: tidewire::store::Who::System,
        filter: vec![],
        search: vec![],
        group: None,
    });
    let counted = studio.store.count(&all()).now().unwrap();
    assert_eq!((counted.value.count, counted.value.groups, counted.seq), (6, vec![], Seq(6)));
    let some = Count { filter: vec![Condition::new(title, Test::Gt(words("a")))], ..all() };
    assert_eq!(studio.store.count(&some).now().unwrap().value.count, 3);
    let groups =
        |count: Count| studio.store.count(&Count { group: Some(title), ..count }).now().unwrap().value;
    let expected = [(Value::Null, 2), (words("b"), 2), (words("a"), 1), (words("c"), 1)];
    assert_eq!((groups(all()).count, groups(all()).groups), (6, expected.to_vec()));
    assert_eq!(groups(some).groups, [(words("b"), 2), (words("c"), 1)]);
    let found = Count { search: vec!["B".to_owned()], ..all() };
    assert_eq!(groups(found).groups, [(words("b"), 2)]);
    assert!(studio.store.count(&Count { entity: "Planet".into(), ..all() }).now().is_err());
}

async fn references_are_followed_as_of_the_list(studio: Studio) {
    studio.commit([user(1), project(2), task(3, [(PROJECT, link(2)), (OWNER, link(1))])]).await.unwrap();
    studio
        .commit([task(4, [(PARENT, link(3))]), task(5, [(PARENT, link(4)), (PROJECT, link(2))])])
        .await
        .unwrap();
    let of = |field, then| Expand { field, then };
    let up = of(PARENT, vec![of(PARENT, vec![of(OWNER, vec![])]), of(PROJECT, vec![])]);
    let query = Query { expand: vec![of(PROJECT, vec![]), up], ..Query::all("Task", Generation(1), 10) };
    let rows = studio.store.list(&query).now().unwrap().value.rows;
    let json = |entity: &str, n| studio.json(entity, &id(n)).unwrap();
    assert_eq!(
        (rows[0].expanded[0].as_ref().unwrap().stored.json.clone(), rows[0].expanded[1].is_none()),
        (json("Project", 2).into(), true)
    );
    assert!(rows[1].expanded[0].is_none());
    let parent = rows[2].expanded[1].as_ref().unwrap();
    assert_eq!(parent.stored.json, json("Task", 4));
    assert!(parent.expanded[1].is_none());
    let grandparent = parent.expanded[0].as_ref().unwrap();
    assert_eq!(grandparent.stored.json, json("Task", 3));
    assert_eq!(grandparent.expanded[0].as_ref().unwrap().stored.json, json("User", 1));
    assert_eq!((rows[2].expanded[0].clone(), rows.len()), (rows[0].expanded[0].clone(), 3));
}

/// The ids of a list, read in pages of every size; the pages must agree.
fn paged(studio: &Studio, query: &Query) -> Vec<u128> {
    let number = |id: &RecordId| id.as_str().parse::<uuid::Uuid>().unwrap().as_u128();
    let whole: Vec<u128> =
        studio.store.list(query).now().unwrap().value.rows.iter().map(|listed| number(&listed.id)).collect();
    for limit in 1..=whole.len() {
        let (mut read, mut page) = (Vec::new(), Query { limit, ..query.clone() });
        while let Some(last) = {
            let listed = studio.store.list(&page).now().unwrap().value.rows;
            read.extend(listed.iter().map(|listed| number(&listed.id)));
            listed.into_iter().next_back()
        } {
            page.after = Some((last.sort_values, last.id));
        }
        assert_eq!(read, whole, "in pages of {limit}");
    }
    whole
}

async fn pages_of_the_log_hold_whole_units(studio: Studio) {
    studio.commit([project(1), project(2), project(3)]).await.unwrap();
    studio.commit([project(4)]).await.unwrap();
    studio.commit([project(5), project(6)]).await.unwrap();
    let page = |after, changes, bytes| {
        let at = studio.store.log(Seq(after), LogLimit { changes, bytes }).now().unwrap();
        let LogPage::Changes { to, changes } = &at.value else { panic!("nothing was trimmed") };
        assert_eq!(changes.last().map_or(Seq(after), |change| change.seq), *to);
        (to.0, changes.len(), at.seq.0)
    };
    assert_eq!(page(0, 1, usize::MAX), (3, 3, 6));
    assert_eq!(page(0, 4, usize::MAX), (4, 4, 6));
    assert_eq!(page(0, 5, usize::MAX), (6, 6, 6));
    assert_eq!(page(3, 1, usize::MAX), (4, 1, 6));
    assert_eq!(page(6, 1, usize::MAX), (6, 0, 6));
    assert_eq!(page(9, 1, usize::MAX), (9, 0, 6));
    assert_eq!(page(0, usize::MAX, 1), (3, 3, 6));
    let bytes = studio.log(0)[0].after.as_ref().unwrap().len();
    assert_eq!(page(0, usize::MAX, 3 * bytes + 1), (4, 4, 6));
}

async fn the_log_is_trimmed_by_count(studio: Studio) {
    for n in 1..=3 {
        studio.commit([project(n)]).await.unwrap();
    }
    assert_eq!(studio.store.head().now().unwrap().floor, Seq(0));
    studio.commit([delete("Project", 1)]).await.unwrap();
    studio.commit([update("Project", 2, [])]).await.unwrap();
    assert_eq!(studio.store.head().now().unwrap().floor, Seq(1));
    assert_eq!(studio.store.log(Seq(0), ALL).now().unwrap().value, LogPage::BelowFloor);
    assert_eq!(studio.log(1).len(), 3);
    // The grave is as old as its log entry.
    studio.commit([project(5), project(6), project(7), project(8)]).await.unwrap();
    assert_eq!(studio.store.get("Project", &id(2)).now().unwrap().floor, Seq(5));
    assert_eq!(studio.commit([project(1)]).await.unwrap().results[0].record.as_ref().unwrap().version, 1);
}

async fn the_log_is_trimmed_by_age_in_chunks(studio: Studio) {
    let at = |seconds: i64, op| {
        studio.clock.passed(Duration::from_secs(seconds.unsigned_abs()));
        Unit { at: Timestamp(NOON.0 + seconds * 1_000), ..unit([op]) }
    };
    for n in 1..=3 {
        studio.store.commit(at(n, project(n as u128))).await.unwrap();
    }
    studio.store.commit(at(61, project(4))).await.unwrap();
    assert_eq!(studio.store.head().now().unwrap().floor, Seq(0));
    studio.store.commit(at(90, project(5))).await.unwrap();
    assert_eq!(studio.store.head().now().unwrap().floor, Seq(2));
    studio.store.commit(at(90, project(6))).await.unwrap();
    assert_eq!(studio.store.head().now().unwrap().floor, Seq(3));
    studio.store.commit(at(1_000, project(7))).await.unwrap();
    studio.store.commit(at(1_000, project(8))).await.unwrap();
    assert_eq!((studio.store.head().now().unwrap().floor, studio.head()), (Seq(6), 8));
    assert_eq!(studio.log(6).len(), 2);
}

async fn a_survey_knows_what_a_resume_needs(studio: Studio) {
    studio.commit([project(1), project(2)]).await.unwrap();
    studio.commit([update("Project", 1, [(FieldIndex(0), words("x"))])]).await.unwrap();
    let epoch = studio.commit([user(1)]).await.unwrap().epoch;
    let survey = |scope: &Scope, epoch: &Epoch, seq| {
        let at = studio.store.survey(scope, &Position { epoch: epoch.clone(), seq: Seq(seq) }).now().unwrap();
        assert_eq!((at.seq, at.floor, at.generation), (Seq(4), Seq(0), studio.generation));
        (at.value.known, at.value.schema_changed, at.value.backlog, at.value.rows)
    };
    let projects = Scope::Entity("Project".into());
    let record = |n| Scope::Record("Project".into(), id(n));
    assert_eq!(survey(&projects, &epoch, 0), (true, false, 3, 2));
    assert_eq!(survey(&projects, &epoch, 2), (true, false, 1, 2));
    assert_eq!(survey(&record(1), &epoch, 0), (true, false, 2, 1));
    assert_eq!(survey(&record(9), &epoch, 0), (true, false, 0, 0));
    assert_eq!(survey(&projects, &epoch, 4), (true, false, 0, 2));
    assert_eq!(survey(&projects, &epoch, 5), (false, false, 0, 0));
    let foreign = Epoch::from_uuid(uuid::Uuid::from_u128(77));
    assert_eq!(survey(&projects, &foreign, 1), (false, false, 0, 0));
}

async fn unknown_entities_are_named(studio: Studio) {
    let unknown = StoreError::UnknownEntity("Planet".into());
    let epoch = studio.store.head().now().unwrap().epoch;
    let scope = Scope::Entity("Planet".into());
    let query = Query::all("Planet", Generation(1), 1);
    assert_eq!(studio.store.get("Planet", &id(1)).now().unwrap_err(), unknown);
    assert_eq!(studio.store.list(&query).now().unwrap_err(), unknown);
    assert_eq!(studio.store.survey(&scope, &Position { epoch, seq: Seq(0) }).now().unwrap_err(), unknown);
    assert_eq!(studio.store.get("Project", &id(1)).now().unwrap().value, None);
}
