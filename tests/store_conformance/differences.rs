//! What a change of rights changes for a subscriber, as the store reports it: one step for each record that differs between what
//! they saw then and what they see now, and no other.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use tidewire::config::StoreConfig;
use tidewire::ids::RecordId;
use tidewire::rules::{BindError, Condition, Test, Verdict};
use tidewire::schema::{Column, FieldIndex, Generation, Schema, Value};
use tidewire::store::{Differ, LogLimit, Op, Scope, Steps, StoreError};

use crate::support::at_once::Now;
use crate::support::club::{
    MISSING, OWNER, PROJECT, STATUS, TITLE, club, club_over, member, mine, person, rule, schema, task,
};
use crate::support::fixture::Fixture;
use crate::support::random::Random;
use crate::support::studio::{ALL, Studio, create, delete, id, link, update, words};
use crate::support::subscriber::{HIDDEN, Subscriber, WHOLE};

fn on(field: FieldIndex, test: Test) -> Condition {
    Condition::new(Column::Field(field), test)
}

fn set(n: u128, field: FieldIndex, value: Value) -> Op {
    update("Task", n, [(field, value)])
}

/// Every way from (seen then, seen now). Red if what was seen at the position is judged by the rights of now, or by the
/// record of now; the expectations are written down by hand.
pub(super) async fn each_record_that_differs_is_one_step<F: Fixture>() {
    use Verdict::{Created, Deleted, Entered, Lost, Updated};
    let (studio, schema) = (club::<F>().await, schema());
    studio
        .commit([
            task(1, 1, None),
            task(2, 1, Some("ada")),
            task(3, 2, None),
            task(4, 2, Some("ada")),
            task(5, 1, None),
            task(6, 2, None),
            task(7, 1, None),
            task(8, 1, Some("bo")),
        ])
        .await
        .unwrap();
    let ada = Subscriber::of(&studio, &schema, "ada", Vec::new());
    assert_eq!(ada.steps(&studio), [], "nothing changed");
    // Ada moves from project 1 to project 2; meanwhile records are touched, moved, created and deleted.
    studio.commit([delete("Membership", 11), member(51, "ada", 2, "viewer")]).await.unwrap();
    studio
        .commit([
            set(5, PROJECT, link(2)),
            set(6, PROJECT, link(1)),
            delete("Task", 7),
            set(8, OWNER, words("ada")),
            task(21, 2, None),
            task(22, 1, None),
            task(23, 2, None),
        ])
        .await
        .unwrap();
    studio.commit([delete("Task", 23), set(21, TITLE, words("again"))]).await.unwrap();
    let expected = [
        (1, Lost, None),
        // 2 and 4 are hers before and after.
        (3, Entered, HIDDEN),
        (5, Updated, HIDDEN),
        // 6 was hidden and is.
        (7, Deleted, None),
        (8, Updated, WHOLE),
        (21, Created, HIDDEN),
    ];
    assert_eq!(ada.steps(&studio), expected);
    // The same for one record: its step or none.
    for n in [1, 2, 3, 5, 6, 7, 8, 21, 22, 23, MISSING] {
        let one = Subscriber {
            scope: Scope::Record("Task".into(), id(n)),
            filter: Vec::new(),
            old: ada.old.clone(),
            ..ada
        };
        let step: Vec<_> = expected.iter().filter(|(number, ..)| *number == n).copied().collect();
        assert_eq!(one.steps(&studio), step, "{n}");
    }
}

pub(super) async fn what_leaves_the_filter_alone_has_left_and_is_not_lost<F: Fixture>() {
    use Verdict::{Entered, Left, Lost};
    let (studio, schema) = (club::<F>().await, schema());
    studio.commit([task(1, 1, None), task(2, 1, None), task(3, 1, Some("ada"))]).await.unwrap();
    let open = || vec![on(STATUS, Test::Eq(words("open")))];
    let ada = Subscriber::of(&studio, &schema, "ada", open());
    studio.commit([set(2, STATUS, words("done"))]).await.unwrap();
    assert_eq!(ada.steps(&studio), [(2, Left, None)]);
    studio.commit([set(3, STATUS, words("done")), delete("Membership", 11), task(4, 2, None)]).await.unwrap();
    assert_eq!(ada.steps(&studio), [(1, Lost, None), (2, Lost, None), (3, Left, None)]);
    studio.commit([member(51, "ada", 2, "viewer"), member(52, "ada", 1, "viewer")]).await.unwrap();
    assert_eq!(ada.steps(&studio), [(2, Left, None), (3, Left, None), (4, Verdict::Created, HIDDEN)]);
    studio.commit([set(2, STATUS, words("open")), task(5, 2, None)]).await.unwrap();
    let later = Subscriber::of(&studio, &schema, "cy", open());
    studio.commit([member(53, "cy", 2, "viewer")]).await.unwrap();
    assert_eq!(later.steps(&studio), [(4, Entered, HIDDEN), (5, Entered, HIDDEN)]);
}

/// Red if the sets are sets: one of two memberships of the same project is no right less.
pub(super) async fn a_right_that_is_held_twice_is_not_lost_with_one<F: Fixture>() {
    let (studio, schema) = (club::<F>().await, schema());
    studio.commit([task(1, 1, None), member(51, "ada", 1, "viewer")]).await.unwrap();
    let ada = Subscriber::of(&studio, &schema, "ada", Vec::new());
    studio.commit([delete("Membership", 11)]).await.unwrap();
    assert_eq!(ada.steps(&studio), []);
    let now = Subscriber::of(&studio, &schema, "ada", Vec::new());
    assert_eq!(now.old.text(), ada.old.text());
    studio.commit([delete("Membership", 51)]).await.unwrap();
    assert_eq!(ada.steps(&studio), [(1, Verdict::Lost, None)]);
}

/// Only which fields are shown changes: of untouched records, only those come whose fields differ.
pub(super) async fn a_field_that_is_shown_or_hidden_now_is_a_step<F: Fixture>() {
    let admins = schema_with_secret(crate::support::club::admin());
    let studio = club_over::<F>(admins.clone()).await;
    studio.commit([task(1, 1, None), task(2, 1, Some("ada")), task(3, 2, None)]).await.unwrap();
    let ada = Subscriber::of(&studio, &admins, "ada", Vec::new());
    let role = |role| {
        let (entity, id) = ("User".into(), RecordId::stored("ada"));
        Op::Update { entity, id, set: vec![(FieldIndex(1), role)], omitted: Vec::new(), if_version: None }
    };
    studio.commit([role(words("admin"))]).await.unwrap();
    let updated = |shown| vec![(1, Verdict::Updated, shown), (2, Verdict::Updated, shown)];
    assert_eq!(ada.steps(&studio), updated(WHOLE));
    let admin = Subscriber::of(&studio, &admins, "ada", Vec::new());
    studio.commit([role(Value::Null)]).await.unwrap();
    assert_eq!(admin.steps(&studio), updated(HIDDEN));
    assert_eq!(ada.steps(&studio), []);

    // A rule of the field that asks for the record and for memberships: one task of two.
    let editors = schema_with_secret(tidewire::schema::Expr::Any(vec![
        mine(OWNER),
        crate::support::club::of_my_projects(crate::support::club::own(STATUS)),
    ]));
    let studio = club_over::<F>(editors.clone()).await;
    studio.commit([task(1, 1, None), set(1, STATUS, link(2)), task(2, 1, None)]).await.unwrap();
    let bo = Subscriber::of(&studio, &editors, "bo", Vec::new());
    studio.commit([member(51, "bo", 2, "viewer")]).await.unwrap();
    assert_eq!(bo.steps(&studio), [(1, Verdict::Updated, WHOLE)]);
}

fn schema_with_secret(read: tidewire::schema::Expr) -> Schema {
    Schema::new(schema().entities().map(|entity| {
        let mut entity = (**entity).clone();
        if &*entity.name == "Task" {
            entity.fields[3].read = rule(read.clone());
        }
        entity
    }))
}

pub(super) async fn a_disabled_account_and_a_closed_entity_lose_everything_that_was_seen<F: Fixture>() {
    let (studio, schema) = (club::<F>().await, schema());
    studio.commit([task(1, 1, None), task(2, 2, None), task(3, 2, Some("ada"))]).await.unwrap();
    let ada = Subscriber::of(&studio, &schema, "ada", Vec::new());
    let disable = Op::Update {
        entity: "User".into(),
        id: RecordId::stored("ada"),
        set: vec![(FieldIndex(2), Value::Bool(true))],
        omitted: Vec::new(),
        if_version: None,
    };
    studio.commit([disable, task(4, 1, None)]).await.unwrap();
    assert_eq!(ada.steps(&studio), [(1, Verdict::Lost, None), (3, Verdict::Lost, None)]);
    assert!(ada.asked(&studio).principal.is_disabled());
}

pub(super) async fn facts_come_with_the_answer_for_every_subscription_of_the_person<F: Fixture>() {
    let (studio, schema) = (club::<F>().await, schema());
    let ada = Subscriber::of(&studio, &schema, "ada", Vec::new());
    studio.commit([member(51, "ada", 2, "viewer")]).await.unwrap();
    let answer = studio.store.differ(&ada.differ(ALL)).now().unwrap();
    assert_eq!(answer.seq.0, studio.head());
    assert_eq!(answer.value.principal, studio.store.principal(&person("ada")).now().unwrap().value);
}

pub(super) async fn a_difference_that_is_too_large_or_cannot_be_known_is_told<F: Fixture>() {
    let (studio, schema) = (club::<F>().await, schema());
    studio.commit((1..=6).map(|n| task(n, 2, None))).await.unwrap();
    let ada = Subscriber::of(&studio, &schema, "ada", Vec::new());
    studio.commit([member(51, "ada", 2, "viewer"), set(1, TITLE, words("touched"))]).await.unwrap();
    let steps =
        |changes, bytes| studio.store.differ(&ada.differ(LogLimit { changes, bytes })).now().unwrap().value;
    assert!(matches!(steps(6, usize::MAX).steps, Steps::Few(steps) if steps.len() == 6));
    assert_eq!(steps(5, usize::MAX).steps, Steps::Many);
    assert_eq!(steps(0, usize::MAX).steps, Steps::Many);
    assert_eq!(steps(6, 600).steps, Steps::Many);

    let mut stale = (*ada.old).clone();
    stale.generation = Generation(9);
    let other = Differ { old: Arc::new(stale), ..ada.differ(ALL) };
    assert_eq!(studio.store.differ(&other).now().unwrap_err(), StoreError::StaleGeneration);
    let other = Differ { scope: Scope::Entity("Nothing".into()), ..ada.differ(ALL) };
    assert_eq!(
        studio.store.differ(&other).now().unwrap_err(),
        StoreError::UnknownEntity("Nothing".to_owned())
    );

    studio.commit((0..1_000).map(|n| member(1_000 + n, "ada", 1, "viewer"))).await.unwrap();
    let error = BindError::SetTooLarge { entity: "Membership".into() };
    assert_eq!(ada.asked(&studio).steps, Steps::Failed(error));
}

pub(super) async fn below_the_floor_nothing_is_known_of_the_position<F: Fixture>() {
    let config = StoreConfig { retention_changes: 3, trim_chunk: 100, ..StoreConfig::default() };
    let schema = schema();
    let studio = F::open(schema.clone(), &config);
    let user = |name| crate::support::club::user_record(name, Value::Null);
    studio.commit([user("ada"), create("Project", 1, vec![words("p")])]).await.unwrap();
    let ada = Subscriber::of(&studio, &schema, "ada", Vec::new());
    studio.commit([member(11, "ada", 1, "viewer")]).await.unwrap();
    assert_eq!(ada.steps(&studio), []);
    for n in 1..9 {
        studio.commit([task(n, 1, None)]).await.unwrap();
    }
    assert_eq!(ada.asked(&studio).steps, Steps::Many);
}

/// The log does not hold when a record had been updated before, so it is unknown whether it was seen then.
pub(super) async fn a_filter_by_the_time_of_the_last_update_asks_for_a_snapshot_once_something_was_updated<
    F: Fixture,
>() {
    let (studio, schema) = (club::<F>().await, schema());
    studio.commit([task(1, 1, None)]).await.unwrap();
    let recent = || vec![Condition::new(Column::UpdatedAt, Test::Gt(Value::Int(0)))];
    let ada = Subscriber::of(&studio, &schema, "ada", recent());
    studio.commit([task(2, 1, None)]).await.unwrap();
    assert_eq!(ada.steps(&studio), [(2, Verdict::Created, HIDDEN)]);
    studio.commit([set(1, TITLE, words("x"))]).await.unwrap();
    assert_eq!(ada.asked(&studio).steps, Steps::Many);
}

/// What Ada sees of the tasks, said once more and by hand: those of her projects and those that she owns, with the secret
/// of her own.
fn seen_by_ada(studio: &Studio) -> BTreeMap<String, Json> {
    let read = |entity: &str, n: u128| studio.json(entity, &id(n)).map(|json| json.parse::<Json>().unwrap());
    let members: Vec<Json> = (100..112).filter_map(|n| read("Membership", n)).collect();
    let mut seen = BTreeMap::new();
    for mut task in (1..16).filter_map(|n| read("Task", n)) {
        let own = task["owner"] == json!("ada");
        let member = members
            .iter()
            .any(|member| member["user"] == json!("ada") && member["project"] == task["project"]);
        if !own {
            task.as_object_mut().unwrap().remove("secret");
        }
        if own || (member && !task["project"].is_null()) {
            seen.insert(task["id"].as_str().unwrap().to_owned(), task);
        }
    }
    seen
}

/// Random writes; after each few the steps bring what Ada had to what she sees now, and touch nothing that is the same.
pub(super) async fn steps_lead_from_what_was_seen_to_what_is_seen<F: Fixture>() {
    let schema = schema();
    for seed in 0..12 {
        let mut random = Random::new(seed);
        let studio = club::<F>().await;
        studio.commit([delete("Membership", 11)]).await.unwrap();
        for round in 0..25 {
            let ada = Subscriber::of(&studio, &schema, "ada", Vec::new());
            let mut had = seen_by_ada(&studio);
            for _ in 0..random.below(5) {
                let _ = studio.commit([some_op(&mut random)]).await;
            }
            let touched: Vec<String> =
                studio.log(ada.since.0).iter().map(|change| change.id.as_str().to_owned()).collect();
            let Steps::Few(steps) = ada.asked(&studio).steps else { panic!("no steps") };
            for step in steps {
                let id = step.id.as_str().to_owned();
                let now = step.record.map(|record| serde_json::from_slice::<Json>(&record.json).unwrap());
                let told = format!("seed {seed}, round {round}: {id} {:?}", step.verdict);
                assert!(touched.contains(&id) || had.get(&id) != now.as_ref(), "{told} changes nothing");
                let comes = matches!(step.verdict, Verdict::Created | Verdict::Entered);
                assert_eq!(comes, !had.contains_key(&id), "{told}");
                match now {
                    Some(record) => drop(had.insert(id, record)),
                    None => drop(had.remove(&id)),
                }
            }
            assert_eq!(had, seen_by_ada(&studio), "seed {seed}, round {round}");
        }
    }
}

fn some_op(random: &mut Random) -> Op {
    let task_number = 1 + u128::from(random.below(15));
    let membership = 100 + u128::from(random.below(12));
    let project = 1 + u128::from(random.below(2));
    let name = if random.below(2) == 0 { "ada" } else { "bo" };
    match random.below(9) {
        0 => task(task_number, project, Some(name)),
        1 => task(task_number, project, None),
        2 => set(task_number, PROJECT, link(project)),
        3 => set(task_number, OWNER, words(name)),
        4 => set(task_number, TITLE, words(if random.below(2) == 0 { "a" } else { "b" })),
        5 => delete("Task", task_number),
        6 => member(membership, name, project, "viewer"),
        7 => update("Membership", membership, [(FieldIndex(1), link(project))]),
        _ => delete("Membership", membership),
    }
}
