//! References: where they may lead, and what a delete does to the records that refer to what goes.

use tidewire::config::StoreConfig;
use tidewire::ids::Seq;
use tidewire::schema::Value;
use tidewire::store::CommitError;

use crate::support::fixture::Fixture;
use crate::support::studio::*;

fn defaults() -> StoreConfig {
    StoreConfig::default()
}

pub(super) async fn references_must_lead_somewhere<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
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

pub(super) async fn a_delete_takes_children_first_and_each_once<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
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

pub(super) async fn cycles_end<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    studio.commit([task(1, [(PARENT, link(1))])]).await.unwrap();
    studio.commit([delete("Task", 1)]).await.unwrap();
    studio.commit([task(1, []), task(2, [(PARENT, link(1))]), task(3, [(PARENT, link(2))])]).await.unwrap();
    studio.commit([update("Task", 1, [(PARENT, link(3))])]).await.unwrap();
    studio.commit([delete("Task", 1)]).await.unwrap();
    assert_eq!(studio.story(6), ["delete task:3", "delete task:2", "delete task:1"]);
}

pub(super) async fn a_restricted_grandchild_keeps_all<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    studio.commit([project(1), task(2, [(PROJECT, link(1))]), task(3, [(PARENT, link(2))])]).await.unwrap();
    studio.commit([invoice(4, 3)]).await.unwrap();
    let restricted = Err(CommitError::Restricted { op: 1, entity: Some("Invoice".into()) });
    assert_eq!(studio.commit([project(9), delete("Project", 1)]).await, restricted);
    assert_eq!((studio.head(), studio.json("Project", &id(9))), (4, None));
    assert!(studio.json("Task", &id(3)).is_some());
    studio.commit([delete("Invoice", 4), delete("Project", 1)]).await.unwrap();
    assert_eq!(studio.json("Task", &id(3)), None);
}

pub(super) async fn a_delete_has_a_limit<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig { cascade_records: 3, ..defaults() });
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
