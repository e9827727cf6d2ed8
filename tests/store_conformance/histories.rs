//! The history of records: every change of an entity with `history`, beyond the log's retention, until its own age takes it.

use std::sync::Arc;
use std::time::Duration;

use tidewire::config::StoreConfig;
use tidewire::ids::{Seq, Timestamp};
use tidewire::store::{LogLimit, LogPage, Op, Past, StoreError, Unit};

use crate::support::at_once::Now;
use crate::support::chain::*;
use crate::support::fixture::Fixture;
use crate::support::studio::{ALL, NOON, Studio, delete, id, link, unit, update, words};

fn defaults() -> StoreConfig {
    StoreConfig::default()
}

fn past(studio: &Studio, entity: &str, n: u128) -> Past {
    studio
        .store
        .history(entity, &id(n), &tidewire::store::Who::System, None, ALL)
        .now()
        .unwrap()
        .value
        .unwrap()
}

/// `update@3 at 7`: op, version and seq of each change, newest first.
fn told(past: &Past) -> Vec<String> {
    let tell = |change: &Arc<tidewire::store::Change>| {
        format!("{:?}@{} at {}", change.op, change.version(), change.seq).to_lowercase()
    };
    past.changes.iter().map(tell).collect()
}

fn title(n: u128, to: &str) -> Op {
    update("Task", n, [(TITLE, words(to))])
}

pub(super) async fn a_history_is_every_change_newest_first<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    studio.commit([make("Task", 1, []), make("Task", 2, [(PARENT, link(1))])]).await.unwrap();
    studio.commit([title(1, "a")]).await.unwrap();
    studio.commit([delete("Task", 1)]).await.unwrap();
    studio.commit([make("Task", 1, [])]).await.unwrap();
    assert_eq!(
        told(&past(&studio, "Task", 1)),
        ["create@3 at 7", "delete@2 at 6", "update@2 at 3", "create@1 at 1"]
    );
    // What followed and what lost its reference are in it like what a client wrote.
    assert_eq!(told(&past(&studio, "Task", 2)), ["update@3 at 5", "update@2 at 4", "create@1 at 2"]);
    let log = studio.log(0);
    let of_two: Vec<_> = log.iter().rev().filter(|change| change.id == id(2)).cloned().collect();
    assert_eq!(past(&studio, "Task", 2).changes, of_two, "the entries are those of the log");
    assert_eq!(told(&past(&studio, "Task", 9)), Vec::<String>::new());
    assert_eq!(
        studio.store.history("Task", &id(1), &tidewire::store::Who::System, None, ALL).now().unwrap().seq,
        Seq(7)
    );
}

pub(super) async fn a_page_of_history_is_bounded<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    studio.commit([make("Task", 1, [])]).await.unwrap();
    for n in 0..5 {
        studio.commit([title(1, &n.to_string())]).await.unwrap();
    }
    let all = past(&studio, "Task", 1).changes;
    for changes in 1..=7 {
        let (mut read, mut before) = (Vec::new(), None);
        loop {
            let limit = LogLimit { changes, bytes: usize::MAX };
            let page = studio
                .store
                .history("Task", &id(1), &tidewire::store::Who::System, before, limit)
                .now()
                .unwrap()
                .value
                .unwrap();
            assert!(page.changes.len() <= changes);
            before = page.changes.last().map(|change| change.seq);
            read.extend(page.changes);
            if !page.more {
                break;
            }
        }
        assert_eq!(read, all, "in pages of {changes}");
    }
    let small = LogLimit { changes: 100, bytes: 1 };
    let page = studio
        .store
        .history("Task", &id(1), &tidewire::store::Who::System, None, small)
        .now()
        .unwrap()
        .value
        .unwrap();
    assert_eq!((page.changes.len(), page.more), (1, true), "a page has at least one change");
    let first = studio
        .store
        .history("Task", &id(1), &tidewire::store::Who::System, Some(Seq(1)), ALL)
        .now()
        .unwrap()
        .value
        .unwrap();
    assert_eq!(first, Past::default());
}

pub(super) async fn a_history_outlives_its_record_and_the_log<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig { retention_changes: 2, ..defaults() });
    studio.commit([make("Project", 1, [])]).await.unwrap();
    studio.commit([make("Task", 2, [(PROJECT, link(1))])]).await.unwrap();
    studio.commit([title(2, "a")]).await.unwrap();
    studio.commit([delete("Task", 2)]).await.unwrap();
    for n in 10..20 {
        studio.commit([make("Project", n, [])]).await.unwrap();
    }
    let head = studio.store.head().now().unwrap();
    assert_eq!((head.seq, head.floor), (Seq(14), Seq(12)));
    assert_eq!(told(&past(&studio, "Task", 2)), ["delete@2 at 4", "update@2 at 3", "create@1 at 2"]);
    let log = studio.store.log(Seq(3), ALL).now().unwrap().value;
    assert_eq!(log, LogPage::BelowFloor, "resumes go by the floor, whatever is kept below it");
    assert_eq!(studio.log(12).len(), 2);
}

pub(super) async fn a_version_goes_on_as_long_as_the_history<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig { retention_changes: 2, ..defaults() });
    studio.commit([make("Task", 2, []), make("Project", 3, [])]).await.unwrap();
    studio.commit([title(2, "a"), delete("Task", 2), delete("Project", 3)]).await.unwrap();
    for n in 10..20 {
        studio.commit([make("Org", n, [])]).await.unwrap();
    }
    let outcome = studio.commit([make("Task", 2, []), make("Project", 3, [])]).await.unwrap();
    let versions: Vec<u64> =
        outcome.results.iter().map(|result| result.record.as_ref().unwrap().version).collect();
    assert_eq!(versions, [3, 1], "a history never tells a version twice");
}

pub(super) async fn a_history_ages_by_its_own_rule<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig { retention_age: Duration::from_secs(60), ..defaults() });
    let at = |minutes: i64, ops: Vec<Op>| {
        studio.clock.passed(Duration::from_secs(60 * minutes.unsigned_abs()));
        Unit { at: Timestamp(NOON.0 + minutes * 60_000), ..unit(ops) }
    };
    let store = &studio.store;
    store.commit(at(0, vec![make("Task", 1, []), make("Comment", 2, []), make("Org", 3, [])])).await.unwrap();
    store.commit(at(10, vec![update("Comment", 2, [(BODY, words("b"))])])).await.unwrap();
    store.commit(at(20, vec![delete("Comment", 2)])).await.unwrap();
    let everything = ["delete@2 at 5", "update@2 at 4", "create@1 at 2"];
    store.commit(at(60, vec![make("Org", 4, [])])).await.unwrap();
    assert_eq!(store.head().now().unwrap().floor, Seq(5), "the log keeps a minute");
    assert_eq!(told(&past(&studio, "Comment", 2)), everything, "comments are kept for an hour");
    store.commit(at(71, vec![make("Org", 5, [])])).await.unwrap();
    assert_eq!(told(&past(&studio, "Comment", 2)), everything[..1]);
    store.commit(at(81, vec![make("Org", 6, [])])).await.unwrap();
    assert_eq!(told(&past(&studio, "Comment", 2)), Vec::<String>::new());
    assert_eq!(told(&past(&studio, "Task", 1)), ["create@1 at 1"], "tasks for ever");
    let again = store.commit(at(82, vec![make("Comment", 2, [])])).await.unwrap();
    assert_eq!(again.results[0].record.as_ref().unwrap().version, 1, "the grave went with the history");
}

pub(super) async fn only_entities_with_history_have_one<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    studio.commit([make("Org", 1, [])]).await.unwrap();
    assert_eq!(
        studio.store.history("Org", &id(1), &tidewire::store::Who::System, None, ALL).now().unwrap().value,
        None
    );
    let unknown = StoreError::UnknownEntity("Planet".into());
    assert_eq!(
        studio.store.history("Planet", &id(1), &tidewire::store::Who::System, None, ALL).now().unwrap_err(),
        unknown
    );
}
