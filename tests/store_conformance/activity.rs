//! The activity: what happened, told to each user as far as they may list it, and no values (SEMANTICS X6).

use std::sync::Arc;

use tidewire::config::StoreConfig;
use tidewire::ids::Seq;
use tidewire::schema::{Entity, Schema};
use tidewire::store::{
    ActivityEntry, ActivityPage, ActivityQuery, ActivityScope, ActivitySight, Op, StoreError, Who,
};

use crate::support::at_once::Now;
use crate::support::club::{
    self, OWNER, PROJECT, SECRET, STATUS, TITLE, ask, club_over, comment, person, task, titled,
};
use crate::support::fixture::Fixture;
use crate::support::studio::{Studio, create, delete, link, update, words};

/// The club with labels, and bills that have no activity.
fn schema() -> Schema {
    let with = |entity: &Arc<Entity>| {
        let mut entity = (**entity).clone();
        match &*entity.name {
            "Task" => entity.label = Some(TITLE),
            "Bill" => entity.activity = false,
            _ => {}
        }
        entity
    };
    Schema::new(club::schema().entities().map(with))
}

fn of(name: &str, entities: Option<&[&str]>) -> ActivitySight {
    let entities = entities.map(|named| named.iter().map(|name| (*name).into()).collect());
    ActivitySight::Of { who: Who::Person(person(name)), entities }
}

fn tasks_of(name: &str) -> ActivitySight {
    of(name, Some(&["Task"]))
}

fn page(
    studio: &Studio,
    sight: ActivitySight,
    before: Option<u64>,
    limit: usize,
) -> Result<ActivityPage, StoreError> {
    let query = ActivityQuery { sight, before: before.map(Seq), limit };
    studio.store.activity(&query).now().map(|at| at.value)
}

/// `update task:15 a title [title,status] by ada`
fn short(entry: &ActivityEntry) -> String {
    let id = entry.id.as_str().trim_start_matches(['0', '-']);
    let label = entry.label.as_deref().unwrap_or("-");
    let changed = entry.changed.as_ref().map(|names| names.join(",")).unwrap_or_default();
    let by = entry.by.as_deref().unwrap_or("-");
    format!("{} {}:{id} {label} [{changed}] by {by}", entry.op.word(), entry.entity).to_lowercase()
}

fn told(studio: &Studio, sight: ActivitySight) -> Vec<String> {
    page(studio, sight, None, 1_000).unwrap().entries.iter().map(short).collect()
}

/// Ada writes as one who may.
async fn ada(studio: &Studio, op: Op) {
    ask(studio, "ada", [op]).await.unwrap();
}

pub(super) async fn an_activity_tells_each_what_they_may_list_on_every_side<F: Fixture>() {
    let studio = club_over::<F>(schema()).await;
    ada(&studio, task(21, 1, Some("ada"))).await;
    ada(&studio, titled(21, "b")).await;
    // Out of the project that bo and ada see, and back; it stays ada's own.
    for project in [2, 1] {
        studio.commit([update("Task", 21, [(PROJECT, link(project))])]).await.unwrap();
    }
    ada(&studio, delete("Task", 21)).await;
    let all = [
        "delete task:15 b [] by ada",
        "update task:15 b [project] by ada",
        "update task:15 b [project] by ada",
        "update task:15 b [title] by ada",
        "create task:15 a task [] by ada",
    ];
    assert_eq!(told(&studio, tasks_of("ada")), all);
    assert_eq!(told(&studio, tasks_of("bo")), [all[0], all[3], all[4]]);
    assert_eq!(told(&studio, tasks_of("dan")), Vec::<String>::new());
    let everything = ActivitySight::Of { who: Who::System, entities: Some(vec!["Task".into()]) };
    assert_eq!(told(&studio, everything), all);
    // The rights of now decide about the record as it was then.
    studio.commit([club::member(14, "dan", 1, "viewer")]).await.unwrap();
    assert_eq!(told(&studio, tasks_of("dan")), all);
}

pub(super) async fn an_activity_names_nothing_that_is_hidden<F: Fixture>() {
    let secret = |entity: &Arc<Entity>| {
        let mut entity = (**entity).clone();
        if &*entity.name == "Task" {
            entity.label = Some(SECRET);
        }
        entity
    };
    let studio = club_over::<F>(Schema::new(club::schema().entities().map(secret))).await;
    ada(&studio, task(21, 1, Some("ada"))).await;
    ada(&studio, update("Task", 21, [(SECRET, words("psst")), (STATUS, words("late"))])).await;
    // Of each of the two the secret is hidden on one side.
    let given = [(SECRET, words("pst")), (OWNER, words("bo"))];
    ada(&studio, update("Task", 21, given)).await;
    assert_eq!(
        told(&studio, tasks_of("ada")),
        [
            "update task:15 - [owner] by ada",
            "update task:15 psst [secret,status] by ada",
            "create task:15 hush [] by ada"
        ]
    );
    assert_eq!(
        told(&studio, tasks_of("bo")),
        [
            "update task:15 pst [owner] by ada",
            "update task:15 - [status] by ada",
            "create task:15 - [] by ada"
        ]
    );
}

pub(super) async fn pages_of_the_activity_follow_each_other_to_the_end<F: Fixture>() {
    let studio = club_over::<F>(schema()).await;
    for n in 21..26 {
        ada(&studio, task(n, 1, Some("ada"))).await;
        studio.commit([task(n + 10, 2, Some("dan"))]).await.unwrap();
    }
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let page = page(&studio, tasks_of("bo"), before, 2).unwrap();
        found.extend(page.entries.iter().map(|entry| entry.seq.0));
        assert!(page.next.is_none() || page.entries.len() == 2);
        let Some(Seq(next)) = page.next else { break };
        before = Some(next);
    }
    let head = studio.head();
    assert_eq!(found, [head - 1, head - 3, head - 5, head - 7, head - 9]);
    assert_eq!(page(&studio, tasks_of("bo"), Some(0), 2).unwrap().entries, []);
}

pub(super) async fn an_entity_without_an_activity_is_as_if_it_did_not_exist<F: Fixture>() {
    let studio = club_over::<F>(schema()).await;
    ada(&studio, task(21, 1, Some("ada"))).await;
    ada(&studio, comment(31, 21)).await;
    ada(&studio, create("Bill", 41, vec![link(21)])).await;
    for (named, error) in [
        ("Bill", StoreError::UnknownEntity("Bill".into())),
        ("Nothing", StoreError::UnknownEntity("Nothing".into())),
        // Closed to everyone: it has no rules.
        ("Ledger", StoreError::Closed("Ledger".into())),
    ] {
        let sight = of("ada", Some(&["Task", named]));
        assert_eq!(page(&studio, sight, None, 10).unwrap_err(), error, "{named}");
    }
    let entities = |name: &str| -> Vec<String> {
        let page = page(&studio, of(name, None), None, 2).unwrap();
        page.entries.iter().map(|entry| entry.entity.to_string()).collect()
    };
    assert_eq!(entities("ada"), ["Comment", "Task"]);
    assert_eq!(entities("cy"), ["User", "User"]);
}

pub(super) async fn a_bound_activity_is_taken_for_what_it_says<F: Fixture>() {
    let studio = club_over::<F>(schema()).await;
    ada(&studio, task(21, 1, Some("ada"))).await;
    ada(&studio, update("Task", 21, [(SECRET, words("psst")), (STATUS, words("late"))])).await;
    ada(&studio, comment(31, 21)).await;
    let schema = schema();
    for name in ["ada", "bo", "cy", "dan", "root"] {
        let principal = studio.store.principal(&person(name)).now().unwrap();
        let active = schema.entities().filter(|entity| entity.activity);
        let bound = ActivityScope::bind(active, principal.generation, &principal.value).unwrap();
        let bound = told(&studio, ActivitySight::Bound(Arc::new(bound)));
        assert_eq!(bound, told(&studio, of(name, None)), "{name}");
    }
}

pub(super) async fn the_activity_reaches_as_far_as_the_log<F: Fixture>() {
    let config = StoreConfig { retention_changes: 5, ..StoreConfig::default() };
    let studio = F::open(schema(), &config);
    for n in 0..9 {
        studio.commit([club::user_record(&format!("user{n}"), words("member"))]).await.unwrap();
    }
    let everything = ActivitySight::Of { who: Who::System, entities: None };
    let floor = studio.store.head().now().unwrap().floor;
    assert!(floor > Seq(0));
    let page = page(&studio, everything, None, 100).unwrap();
    let seqs: Vec<u64> = page.entries.iter().map(|entry| entry.seq.0).collect();
    assert_eq!(seqs, (floor.0 + 1..=9).rev().collect::<Vec<_>>());
    assert_eq!(page.next, None);
}
