//! The log: pages, what leaves it, and what a resume asks of it.

use std::time::Duration;

use tidewire::config::StoreConfig;
use tidewire::ids::{Epoch, Position, Seq, Timestamp};
use tidewire::schema::{FieldIndex, Generation};
use tidewire::store::{LogLimit, LogPage, Query, Scope, StoreError, Unit};

use crate::support::at_once::Now;
use crate::support::fixture::Fixture;
use crate::support::studio::*;

fn defaults() -> StoreConfig {
    StoreConfig::default()
}

pub(super) async fn pages_of_the_log_hold_whole_units<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
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

pub(super) async fn the_log_is_trimmed_by_count<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig { retention_changes: 3, ..defaults() });
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

pub(super) async fn the_log_is_trimmed_by_age_in_chunks<F: Fixture>() {
    let studio = F::open(
        schema(),
        &StoreConfig { retention_age: Duration::from_secs(60), trim_chunk: 2, ..defaults() },
    );
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

pub(super) async fn a_survey_knows_what_a_resume_needs<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    studio.commit([project(1), project(2)]).await.unwrap();
    studio.commit([update("Project", 1, [(FieldIndex(0), words("x"))])]).await.unwrap();
    let epoch = studio.commit([user(1)]).await.unwrap().epoch;
    let survey = |scope: &Scope, epoch: &Epoch, seq| {
        let at = studio
            .store
            .survey(Some(scope), &Position { epoch: epoch.clone(), seq: Seq(seq) })
            .now()
            .unwrap();
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

pub(super) async fn unknown_entities_are_named<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    let unknown = StoreError::UnknownEntity("Planet".into());
    let epoch = studio.store.head().now().unwrap().epoch;
    let scope = Scope::Entity("Planet".into());
    let query = Query::all("Planet", Generation(1), 1);
    assert_eq!(studio.store.get("Planet", &id(1)).now().unwrap_err(), unknown);
    assert_eq!(studio.store.list(&query).now().unwrap_err(), unknown);
    assert_eq!(
        studio.store.survey(Some(&scope), &Position { epoch, seq: Seq(0) }).now().unwrap_err(),
        unknown
    );
    assert_eq!(studio.store.get("Project", &id(1)).now().unwrap().value, None);
}
