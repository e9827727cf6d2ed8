//! Changes of many records in one unit: each selected and judged for itself, in the order of their ids.

use tidewire::config::StoreConfig;
use tidewire::ids::{RecordId, Seq};
use tidewire::rules::{Condition, Test};
use tidewire::schema::{Column, Expr, FieldIndex, Schema, Value};
use tidewire::store::{ChangeCause, CommitError, Many, ManyEdit, Op, OpStatus, Outcome, Tally};

use crate::support::club::{
    self, OF_PROJECT, PROJECT, STATUS, ask, club, club_over, of_my_projects, own, rule, task,
};
use crate::support::fixture::Fixture;
use crate::support::seats::{self, CODE, next, not_unique, seat, ticket};
use crate::support::studio::{create, id, link, named, update, words};

fn many(entity: &str, ns: impl IntoIterator<Item = u128>, filter: Vec<Condition>, edit: ManyEdit) -> Op {
    let ids = ns.into_iter().map(id).collect();
    Op::Many(Box::new(Many { entity: entity.into(), ids, more: false, filter, edit }))
}

fn has(field: FieldIndex, text: &str) -> Vec<Condition> {
    vec![Condition::new(Column::Field(field), Test::Eq(words(text)))]
}

fn set(field: FieldIndex, text: &str) -> ManyEdit {
    ManyEdit::Update(vec![(field, words(text))])
}

fn told(outcome: &Outcome) -> (RecordId, Tally) {
    let [result] = &outcome.results[..] else { panic!("one result for all: {outcome:?}") };
    let OpStatus::Many(tally) = result.status else { panic!("{result:?}") };
    assert_eq!(result.record, None);
    (result.id.clone(), tally)
}

fn all(changed: u32, refused: u32) -> Tally {
    Tally { changed, refused, more: false }
}

pub(super) async fn each_record_of_many_is_judged_for_itself<F: Fixture>() {
    let studio = club::<F>().await;
    let tasks = [task(21, 1, Some("bo")), task(22, 1, Some("ada")), task(23, 2, Some("dan"))];
    studio.commit(tasks.into_iter().chain([task(24, 1, Some("bo"))])).await.unwrap();
    let head = studio.head();
    let late = |ns: [u128; 5]| many("Task", ns, has(STATUS, "open"), set(STATUS, "late"));
    // Bo may only look at 22, and does not see 23; 25 does not exist.
    let outcome = ask(&studio, "bo", [late([21, 22, 23, 24, 25])]).await.unwrap();
    assert_eq!(told(&outcome), (id(25), all(2, 1)));
    assert_eq!(studio.story(head), ["update task:15", "update task:18"]);
    assert_eq!((outcome.seq, studio.log(head).last().unwrap().unit_last), (Seq(head + 2), true));
    assert!(studio.log(head).iter().all(|change| change.actor.as_deref() == Some("bo")));

    let go = many("Task", [21, 22, 23, 24], has(STATUS, "late"), ManyEdit::Delete);
    assert_eq!(told(&ask(&studio, "ada", [go.clone()]).await.unwrap()), (id(24), all(0, 2)));
    assert_eq!(told(&ask(&studio, "cy", [go.clone()]).await.unwrap()), (id(24), all(0, 0)));
    assert_eq!(told(&ask(&studio, "bo", [go]).await.unwrap()), (id(24), all(2, 0)));
    assert_eq!(studio.story(head + 2), ["delete task:15", "delete task:18"]);
}

pub(super) async fn what_no_longer_meets_the_filter_is_passed_over<F: Fixture>() {
    let studio = club::<F>().await;
    studio.commit([task(21, 1, Some("ada")), task(22, 1, Some("ada"))]).await.unwrap();
    studio.commit([update("Task", 21, [(STATUS, words("done"))])]).await.unwrap();
    let head = studio.head();
    let go = many("Task", [21, 22], has(STATUS, "open"), ManyEdit::Delete);
    assert_eq!(told(&ask(&studio, "ada", [go.clone()]).await.unwrap()), (id(22), all(1, 0)));
    assert_eq!(told(&ask(&studio, "ada", [go]).await.unwrap()), (id(22), all(0, 0)));
    let nothing = many("Task", [], has(STATUS, "open"), ManyEdit::Delete);
    assert_eq!(told(&ask(&studio, "ada", [nothing]).await.unwrap()), (RecordId::stored(""), all(0, 0)));
    // What a record already has changes nothing.
    let same = many("Task", [21], has(STATUS, "done"), set(STATUS, "done"));
    assert_eq!(told(&studio.commit([same]).await.unwrap()), (id(21), all(0, 0)));
    assert_eq!(studio.story(head), ["delete task:16"]);
}

pub(super) async fn a_change_of_many_stops_where_the_unit_is_full<F: Fixture>() {
    let config = StoreConfig { unit_entries: 5, ..StoreConfig::default() };
    let studio = F::open(seats::schema(), &config);
    for n in 1..=4 {
        studio.commit([seat(n, &n.to_string(), n as i64)]).await.unwrap();
    }
    let note = |n, seat| create("Note", n, vec![link(seat)]);
    studio.commit([note(11, 2), note(12, 2), note(13, 3), note(14, 4)]).await.unwrap();
    let head = studio.head();
    let go = |ns: Vec<u128>| many("Seat", ns, Vec::new(), ManyEdit::Delete);
    let stopped = |id, changed| (id, Tally { changed, refused: 0, more: true });
    let outcome = studio.commit([go(vec![1, 2, 3, 4])]).await.unwrap();
    assert_eq!(told(&outcome), stopped(id(2), 2), "the third and its note would be one too many");
    assert_eq!(studio.head(), head + 4);
    assert_eq!(told(&studio.commit([go(vec![3, 4])]).await.unwrap()), (id(4), all(2, 0)));

    // One that is too large by itself is no reason to stop.
    studio.commit([seat(5, "5", 5)]).await.unwrap();
    for n in 21..=25 {
        studio.commit([note(n, 5)]).await.unwrap();
    }
    let alone = studio.commit([go(vec![5])]).await;
    assert!(matches!(alone, Err(CommitError::UnitTooLarge { entries: 5, .. })), "{alone:?}");

    // The bytes of a unit are as much a bound.
    let config = StoreConfig { group_bytes: 2_000, ..StoreConfig::default() };
    let studio = F::open(seats::schema(), &config);
    for n in 1..=4 {
        studio.commit([seat(n, &format!("{n}{}", "x".repeat(700)), n as i64)]).await.unwrap();
    }
    let outcome = studio.commit([go(vec![1, 2, 3, 4])]).await.unwrap();
    assert_eq!(told(&outcome), stopped(id(2), 2));
}

pub(super) async fn one_record_that_fails_fails_all_and_is_named<F: Fixture>() {
    let studio = F::open(seats::schema(), &StoreConfig::default());
    studio.commit([seat(1, "a", 1), seat(2, "b", 2), seat(3, "c", 3), ticket(7, 3)]).await.unwrap();
    let head = studio.head();
    let same = many("Seat", [1, 2, 3], Vec::new(), set(CODE, "x"));
    assert_eq!(studio.commit([same]).await, Err(not_unique(1, "code")));
    let go = many("Seat", [1, 2, 3], Vec::new(), ManyEdit::Delete);
    let restricted = CommitError::Restricted { op: 2, entity: Some("Ticket".into()) };
    assert_eq!(studio.commit([go]).await, Err(restricted));
    let nowhere = ManyEdit::Update(vec![(seats::NEXT, link(99))]);
    let unknown = CommitError::UnknownReference { op: 0, field: "next".into() };
    assert_eq!(studio.commit([many("Seat", [1, 2], Vec::new(), nowhere)]).await, Err(unknown));
    assert_eq!(studio.head(), head);
}

pub(super) async fn what_goes_with_an_earlier_record_is_passed_over<F: Fixture>() {
    let studio = F::open(crate::support::studio::schema(), &StoreConfig::default());
    let child = |n, of| crate::support::studio::task(n, [(FieldIndex(6), link(of))]);
    studio.commit([crate::support::studio::task(1, []), child(2, 1), child(3, 2)]).await.unwrap();
    let head = studio.head();
    let go = many("Task", [1, 2, 3], Vec::new(), ManyEdit::Delete);
    assert_eq!(told(&studio.commit([go]).await.unwrap()), (id(3), all(1, 0)));
    assert_eq!(studio.story(head), ["delete task:3", "delete task:2", "delete task:1"]);
}

pub(super) async fn many_records_that_refer_to_each_other_go_together<F: Fixture>() {
    let studio = F::open(seats::schema(), &StoreConfig::default());
    studio.commit([seat(1, "a", 1), seat(2, "b", 2), seat(3, "c", 3)]).await.unwrap();
    studio.commit([next(1, 2), next(2, 3), next(3, 1)]).await.unwrap();
    let go = |ns: Vec<u128>| many("Seat", ns, Vec::new(), ManyEdit::Delete);
    let refused = studio.commit([go(vec![1, 2])]).await;
    assert_eq!(refused, Err(CommitError::Restricted { op: 0, entity: Some("Seat".into()) }));
    assert_eq!(told(&studio.commit([go(vec![1, 2, 3])]).await.unwrap()), (id(3), all(3, 0)));
}

pub(super) async fn a_repeated_change_of_many_gets_its_first_answer<F: Fixture>() {
    let studio = club::<F>().await;
    studio.commit([task(21, 1, None), task(22, 1, None)]).await.unwrap();
    let late = |ns: Vec<u128>| many("Task", ns, has(STATUS, "open"), set(STATUS, "late"));
    let first = studio.store.commit(named("m", 1, [late(vec![21, 22])])).await.unwrap();
    studio.commit([task(23, 1, None)]).await.unwrap();
    let head = studio.head();
    // The read before the commit finds others than it did the first time.
    let again = studio.store.commit(named("m", 1, [late(vec![23])])).await.unwrap();
    assert_eq!((told(&again), again.replayed), ((id(22), all(2, 0)), true));
    assert_eq!(told(&first), told(&again));
    assert_eq!(studio.head(), head);
    let more = Many {
        entity: "Task".into(),
        ids: vec![id(23)],
        more: true,
        filter: Vec::new(),
        edit: set(STATUS, "x"),
    };
    for replayed in [false, true] {
        let unit = named("n", 1, [Op::Many(Box::new(more.clone()))]);
        let outcome = studio.store.commit(unit).await.unwrap();
        assert_eq!(told(&outcome).1, Tally { changed: 1, refused: 0, more: true });
        assert_eq!(outcome.replayed, replayed);
    }
}

/// Who may see the memberships of a project is one of its members, and Ada deletes her own first.
pub(super) async fn a_right_that_goes_with_an_earlier_record_is_gone_for_the_next<F: Fixture>() {
    let schema = Schema::new(club::schema().entities().map(|entity| {
        let mut entity = (**entity).clone();
        if &*entity.name == "Membership" {
            entity.access.read = rule(of_my_projects(own(OF_PROJECT)));
            entity.access.delete = rule(Expr::Constant(true));
        }
        entity
    }));
    let studio = club_over::<F>(schema).await;
    let head = studio.head();
    let go = many("Membership", [11, 12], Vec::new(), ManyEdit::Delete);
    assert_eq!(told(&ask(&studio, "ada", [go]).await.unwrap()), (id(12), all(1, 0)));
    assert_eq!(studio.story(head), ["delete membership:b"]);

    // What its writer moves out of sight is done all the same.
    studio.commit([task(21, 2, None), task(22, 2, None)]).await.unwrap();
    let away = ManyEdit::Update(vec![(PROJECT, Value::Null)]);
    let outcome = ask(&studio, "dan", [many("Task", [21, 22], Vec::new(), away)]).await.unwrap();
    assert_eq!(told(&outcome), (id(22), all(2, 0)));
}

pub(super) async fn an_account_that_disables_itself_changes_nothing_after<F: Fixture>() {
    let schema = Schema::new(club::schema().entities().map(|entity| {
        let mut entity = (**entity).clone();
        if &*entity.name == "User" {
            entity.access.update = rule(Expr::Constant(true));
        }
        entity
    }));
    let studio = club_over::<F>(schema).await;
    let head = studio.head();
    let off = ManyEdit::Update(vec![(FieldIndex(2), Value::Bool(true))]);
    let people = ["ada", "bo", "dan"].map(tidewire::ids::RecordId::stored);
    let all_of =
        Many { entity: "User".into(), ids: people.to_vec(), more: false, filter: Vec::new(), edit: off };
    let outcome = ask(&studio, "bo", [Op::Many(Box::new(all_of))]).await.unwrap();
    assert_eq!(told(&outcome), (people[2].clone(), all(2, 0)));
    assert_eq!(studio.log(head).len(), 2, "ada, bo, and no one after that");
}

pub(super) async fn a_record_whose_time_is_over_says_so_and_what_goes_with_it_does_not<F: Fixture>() {
    let studio = club::<F>().await;
    let tasks = [task(21, 1, Some("ada")), task(22, 1, Some("ada")), task(23, 1, Some("ada"))];
    studio.commit(tasks.into_iter().chain([club::comment(31, 21)])).await.unwrap();
    let head = studio.head();
    studio.commit([many("Task", [21, 22], Vec::new(), ManyEdit::Expire)]).await.unwrap();
    studio.commit([many("Task", [23], Vec::new(), ManyEdit::Delete)]).await.unwrap();
    let expired = Some(ChangeCause::Expired);
    let causes: Vec<_> = studio.log(head).iter().map(|change| change.cause).collect();
    assert_eq!(causes, [None, expired, expired, None]);
    assert_eq!(
        studio.story(head),
        ["delete comment:1f", "delete task:15", "delete task:16", "delete task:17"]
    );
}
