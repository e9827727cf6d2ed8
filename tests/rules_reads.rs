//! Reads of the store for a user: what is not theirs to see is as if absent, and finding what is theirs does not cost more
//! than there is of it.

use std::sync::Arc;

use tidewire::channels::Ring;
use tidewire::config::RealtimeConfig;
use tidewire::ids::{Position, Seq};
use tidewire::protocol::reason::RIGHTS;
use tidewire::realtime::LiveReader;
use tidewire::realtime::channel::{Channel, Checkup};
use tidewire::realtime::resume::{Claim, Resume, decide};
use tidewire::rules::Person;
use tidewire::schema::{Column, Expr, FieldIndex, Generation, Term, UserTerm, Value};
use tidewire::store::{Advice, Op, Query, StoreError, Test};

use crate::support::at_once::Now;
use crate::support::fixture::SqliteFixture;
use crate::support::owned::*;
use crate::support::studio::{ALL, id, update, words};

#[tokio::test]
async fn a_few_records_among_many_cost_a_few_rows() {
    let by_state = |state: &str| has_state(state);
    let many = |from: u128| (from..from + 1_000).map(|n| task(n, BO, None, "open"));
    for (read, served) in [
        (owned(), true),
        (Expr::All(vec![owned(), Expr::Not(Box::new(by_state("gone")))]), true),
        (Expr::Any(vec![owned(), is(PARENT, Term::User(UserTerm::Id))]), true),
        (by_state("rare"), false),
        (Expr::Any(vec![owned(), by_state("rare")]), false),
    ] {
        let studio = studio::<SqliteFixture>(read.clone()).await;
        let mut ops: Vec<Op> = many(100).collect();
        ops.extend((1..=10).map(|n| task(5_000 + n, ADA, None, "rare")));
        studio.commit(ops).await.unwrap();
        let (listed, counted) =
            (listed(&studio, &all(person(ADA))), studio.store.count(&count(person(ADA))).now());
        if served {
            assert_eq!(listed.unwrap().len(), 10, "{read:?}");
            assert_eq!(counted.unwrap().value.count, 10);
            continue;
        }
        for refused in [listed.map(drop).unwrap_err(), counted.map(drop).unwrap_err()] {
            let StoreError::TooBroad { advice, rows, .. } = refused else { panic!("{refused:?}") };
            assert_eq!((advice, rows), (Advice::Index(vec![Column::Field(STATE)]), 50), "{read:?}");
        }
    }
}

#[tokio::test]
async fn an_advised_index_begins_with_what_the_rule_asks() {
    let studio = studio::<SqliteFixture>(has_state("open")).await;
    studio.commit((100..200).map(|n| task(n, BO, None, "open"))).await.unwrap();
    let filter = condition(TITLE, Test::Eq(words("x")));
    let refused = listed(&studio, &Query { filter, ..all(person(ADA)) }).unwrap_err();
    let StoreError::TooBroad { advice, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(advice, Advice::Index(vec![Column::Field(STATE), Column::Field(TITLE)]));
}

#[tokio::test]
async fn a_resume_from_a_ring_that_is_behind_sees_later_changes_of_rights() {
    let studio = studio::<SqliteFixture>(owned()).await;
    let config = RealtimeConfig::default();
    let ring = Ring::new(studio.store.head().now().unwrap().epoch, Seq(3), Generation(1), ALL);
    let reader = LiveReader::new(studio.store.clone(), Arc::new(ring), &config);
    // Committed and not yet fanned out: they come and go, so that the view is what it was.
    for disabled in [true, false] {
        studio.commit([update("User", ADA, [(FieldIndex(2), Value::Bool(disabled))])]).await.unwrap();
    }
    let ada = Arc::new(Person { id: Some(id(ADA).as_str().into()), ..Person::default() });
    let principal = reader.principal(ada).await.unwrap();
    let channel = Channel::resolve(&Arc::new(schema(owned())), Generation(1), "entity:Task").unwrap();
    let mut bound = channel.open(&principal.value, principal.seq).unwrap();
    let since = Position { epoch: principal.epoch, seq: Seq(3) };
    let standing = bound.rights_check(Some(since.seq));
    let survey = reader.survey(channel.scope(), since, standing).await.unwrap();
    assert_eq!((survey.read.seq, principal.seq), (Seq(3), Seq(5)), "the ring is behind the principal");
    assert_eq!(bound.check(&survey), Checkup::Same);
    let claim = Claim { since: Seq(3), view: Some(bound.view.as_str()), limited: false };
    assert_eq!(decide(claim, &bound, &survey, 10), Resume::Restart(RIGHTS));
}
