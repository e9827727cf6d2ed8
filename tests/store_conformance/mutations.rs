//! Mutation ids: a request that is made again is answered, not done again.

use std::time::Duration;

use tidewire::config::StoreConfig;
use tidewire::ids::{RecordId, Seq, Timestamp};
use tidewire::schema::FieldIndex;
use tidewire::store::{CommitError, Idempotency, OpStatus, Unit};

use crate::support::fixture::Fixture;
use crate::support::studio::*;

fn defaults() -> StoreConfig {
    StoreConfig::default()
}

pub(super) async fn a_repeated_mutation_gets_todays_record<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
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

pub(super) async fn a_mutation_id_means_one_request_of_one_owner<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    studio.store.commit(named("m", 1, [project(1)])).await.unwrap();
    assert_eq!(studio.store.commit(named("m", 2, [project(2)])).await, Err(CommitError::MutationReused));
    let key = Idempotency { owner: "user:bo".into(), mid: "m".parse().unwrap(), hash: [2; 32] };
    let of_another = Unit { idempotency: Some(key), ..unit([project(2)]) };
    assert!(!studio.store.commit(of_another).await.unwrap().replayed);
    assert_eq!(studio.head(), 2);

    // Both in flight at once: one writes, the other gets its answer.
    let (one, other) = tokio::join!(
        studio.store.commit(named("twin", 1, [project(3)])),
        studio.store.commit(named("twin", 1, [project(3)])),
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!((one.replayed, other.replayed), (false, true));
    assert_eq!((&one.results[0].record, studio.head()), (&other.results[0].record, 3));
}

pub(super) async fn a_refused_mutation_may_be_repeated<F: Fixture>() {
    let studio = F::open(schema(), &defaults());
    let unit = named("m", 1, [task(1, [(PROJECT, link(1))])]);
    assert!(studio.store.commit(unit.clone()).await.is_err());
    studio.commit([project(1)]).await.unwrap();
    assert!(!studio.store.commit(unit).await.unwrap().replayed);
    let twice = named("n", 1, [project(2), project(2)]);
    assert_eq!(studio.store.commit(twice.clone()).await, Err(CommitError::IdTaken { op: 1 }));
    assert_eq!(studio.store.commit(twice).await, Err(CommitError::IdTaken { op: 1 }));
}

pub(super) async fn old_answers_leave<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig { idempotency_per_user: 2, ..defaults() });
    for n in 1..=3 {
        studio.store.commit(named(&format!("m{n}"), 1, [project(n)])).await.unwrap();
    }
    assert!(studio.store.commit(named("m2", 1, [project(2)])).await.unwrap().replayed);
    assert!(studio.store.commit(named("m3", 1, [project(3)])).await.unwrap().replayed);
    assert_eq!(studio.store.commit(named("m1", 1, [project(1)])).await, Err(CommitError::IdTaken { op: 0 }));
}

pub(super) async fn answers_age<F: Fixture>() {
    let studio = F::open(schema(), &StoreConfig { idempotency_age: Duration::from_secs(60), ..defaults() });
    let at = |seconds: i64, unit: Unit| Unit { at: Timestamp(NOON.0 + seconds * 1_000), ..unit };
    studio.store.commit(at(0, named("m", 1, [project(1)]))).await.unwrap();
    studio.store.commit(at(60, named("n", 1, [project(2)]))).await.unwrap();
    assert!(studio.store.commit(at(60, named("m", 1, [project(1)]))).await.unwrap().replayed);
    studio.store.commit(at(61, named("o", 1, [project(3)]))).await.unwrap();
    let again = studio.store.commit(at(61, named("m", 1, [project(1)]))).await;
    assert_eq!(again, Err(CommitError::IdTaken { op: 0 }));
}
