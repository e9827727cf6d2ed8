//! Records that expire: what a sweep deletes and when it looks again, over every store; and once more through a whole server.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidewire::config::StoreConfig;
use tidewire::expiry::{NextLook, Sweep};
use tidewire::ids::{Position, Seq, Timestamp};
use tidewire::schema::{FieldIndex, Format, Schema, SourceFile, Value, check};
use tidewire::store::{ChangeCause, ChangeOp, Op, Scope};

use crate::support::app::TestApp;
use crate::support::at_once::Now;
use crate::support::clock::HandClock;
use crate::support::fixture::{Fixture, MemoryFixture, SqliteFixture};
use crate::support::socket::Socket;
use crate::support::studio::{NOON, Studio, create, delete, id, link, update, words};

const UNTIL: FieldIndex = FieldIndex(0);
const MINUTE: i64 = 60_000;

/// An invitation that expires, seats that go with it, guests that go with a seat, and a bill that keeps it.
fn schema() -> Schema {
    let texts = [
        "entity = 'Invitation'\nexpires = 'until'\nhistory = 'forever'\n[fields]\nuntil = { type = 'datetime' }\n",
        "entity = 'Seat'\n[fields]\nof = { type = 'ref', entity = 'Invitation', on_delete = 'cascade' }\n",
        "entity = 'Guest'\n[fields]\nseat = { type = 'ref', entity = 'Seat', on_delete = 'cascade' }\n",
        "entity = 'Bill'\n[fields]\nof = { type = 'ref', entity = 'Invitation' }\n",
    ];
    let source = |(at, text): (usize, &str)| SourceFile {
        name: format!("{at}.toml"),
        format: Format::Toml,
        text: text.to_owned(),
    };
    let sources: Vec<SourceFile> = texts.into_iter().enumerate().map(source).collect();
    check(&sources).unwrap_or_else(|errors| panic!("{errors}"))
}

fn at(minutes: i64) -> Timestamp {
    Timestamp(NOON.0 + minutes * MINUTE)
}

fn until(minutes: i64) -> Value {
    words(&at(minutes).rfc3339())
}

fn invitation(n: u128, minutes: i64) -> Op {
    create("Invitation", n, vec![until(minutes)])
}

struct Stage {
    studio: Studio,
    sweep: Sweep,
    schema: Arc<Schema>,
}

impl Stage {
    fn open<F: Fixture>(config: &StoreConfig) -> Stage {
        let studio = F::open(schema(), config);
        let sweep = Sweep::new(studio.store.clone(), studio.clock.env());
        Stage { studio, sweep, schema: Arc::new(schema()) }
    }

    async fn sweep(&mut self) -> NextLook {
        self.sweep.run(&self.schema, self.studio.generation).await.unwrap()
    }

    fn pass(&self, minutes: u64) {
        self.studio.clock.pass(Duration::from_secs(minutes * 60));
    }

    fn has(&self, entity: &str, n: u128) -> bool {
        self.studio.json(entity, &id(n)).is_some()
    }
}

fn after(minutes: u64) -> NextLook {
    NextLook::After(Duration::from_secs(minutes * 60))
}

async fn what_is_due_goes_and_the_next_is_waited_for<F: Fixture>() {
    let mut stage = Stage::open::<F>(&StoreConfig::default());
    assert_eq!(stage.sweep().await, NextLook::Never);
    let never = create("Invitation", 4, vec![Value::Null]);
    let all = [invitation(1, 10), invitation(2, 20), invitation(3, 10), never];
    stage.studio.commit(all).await.unwrap();
    let head = stage.studio.head();
    assert_eq!(stage.sweep().await, NextLook::At(at(10)));
    assert_eq!(stage.studio.head(), head, "nothing is due");
    stage.pass(10);
    assert_eq!(stage.sweep().await, NextLook::At(at(20)));
    let log = stage.studio.log(head);
    assert_eq!(log.iter().map(|change| change.id.clone()).collect::<Vec<_>>(), [id(1), id(3)]);
    assert!(
        log.iter()
            .all(|change| change.op == ChangeOp::Delete && change.actor.is_none() && change.mid.is_none())
    );
    assert_eq!(log.iter().map(|change| change.unit_last).collect::<Vec<_>>(), [false, true], "one unit");
    // One that is given more time stays.
    stage.studio.commit([update("Invitation", 2, [(UNTIL, until(40))])]).await.unwrap();
    stage.pass(15);
    assert_eq!(stage.sweep().await, NextLook::At(at(40)));
    stage.pass(15);
    assert_eq!(stage.sweep().await, NextLook::Never);
    assert!(!stage.has("Invitation", 2) && stage.has("Invitation", 4));
}

async fn what_is_held_back_waits_a_minute_and_holds_nothing_else_back<F: Fixture>() {
    let mut stage = Stage::open::<F>(&StoreConfig::default());
    let bill = create("Bill", 9, vec![link(2)]);
    let all = [invitation(1, 1), invitation(2, 1), invitation(3, 1), invitation(4, 30), bill];
    stage.studio.commit(all).await.unwrap();
    stage.pass(2);
    assert_eq!(stage.sweep().await, after(1));
    assert!(!stage.has("Invitation", 1) && stage.has("Invitation", 2) && !stage.has("Invitation", 3));
    // Before the minute is over only what became due since is looked at.
    stage.studio.commit([delete("Bill", 9), invitation(5, 3)]).await.unwrap();
    stage.studio.clock.pass(Duration::from_secs(30));
    assert_eq!(stage.sweep().await, NextLook::After(Duration::from_secs(30)));
    assert!(stage.has("Invitation", 2));
    stage.studio.clock.pass(Duration::from_secs(30));
    assert_eq!(stage.sweep().await, NextLook::At(at(30)));
    assert!(!stage.has("Invitation", 2) && !stage.has("Invitation", 5));
}

async fn a_clock_that_jumps_deletes_nothing_for_an_hour<F: Fixture>() {
    let mut stage = Stage::open::<F>(&StoreConfig::default());
    stage.studio.commit([invitation(1, 100), invitation(2, 500)]).await.unwrap();
    assert_eq!(stage.sweep().await, NextLook::At(at(100)));
    stage.studio.clock.jump(300 * MINUTE);
    assert_eq!(stage.sweep().await, after(60));
    stage.pass(40);
    assert_eq!(stage.sweep().await, after(20));
    assert!(stage.has("Invitation", 1));
    stage.pass(20);
    assert_eq!(stage.sweep().await, NextLook::At(at(500)));
    assert!(!stage.has("Invitation", 1) && stage.has("Invitation", 2));
}

async fn what_is_too_large_to_cascade_goes_from_the_leaves_up<F: Fixture>() {
    let config = StoreConfig { cascade_records: 3, ..StoreConfig::default() };
    let mut stage = Stage::open::<F>(&config);
    stage.studio.commit([invitation(1, 1), invitation(2, 1)]).await.unwrap();
    stage.studio.commit((10..15).map(|n| create("Seat", n, vec![link(1)]))).await.unwrap();
    // One of the seats is too large by itself.
    stage.studio.commit((20..30).map(|n| create("Guest", n, vec![link(12)]))).await.unwrap();
    stage.pass(1);
    let head = stage.studio.head();
    assert_eq!(stage.sweep().await, NextLook::Never);
    let gone: Vec<String> = stage.studio.log(head).iter().map(|change| change.entity.to_string()).collect();
    assert_eq!(gone.len(), 17);
    assert!(!stage.has("Invitation", 1) && !stage.has("Invitation", 2) && !stage.has("Seat", 12));
    let last = |name: &str| gone.iter().rposition(|entity| entity == name).unwrap();
    assert!(last("Guest") < last("Seat") && last("Seat") < last("Invitation"), "{gone:?}");
}

async fn what_expires_says_so_and_what_goes_with_it_does_not<F: Fixture>() {
    let mut stage = Stage::open::<F>(&StoreConfig::default());
    stage.studio.commit([invitation(1, 1), invitation(2, 1), invitation(3, 9)]).await.unwrap();
    stage.studio.commit([create("Seat", 10, vec![link(1)])]).await.unwrap();
    let (scope, epoch) = (Scope::Entity("Invitation".into()), stage.studio.store.head().now().unwrap().epoch);
    let since = Position { epoch, seq: Seq(0) };
    let count = |stage: &Stage| stage.studio.store.survey(Some(&scope), &since).now().unwrap().value.rows;
    assert_eq!(count(&stage), 3);
    stage.pass(1);
    let head = stage.studio.head();
    stage.sweep().await;
    stage.studio.commit([delete("Invitation", 3)]).await.unwrap();
    let told: Vec<(String, Option<ChangeCause>)> =
        stage.studio.log(head).iter().map(|change| (change.entity.to_string(), change.cause)).collect();
    let told = told.iter().map(|(entity, cause)| (&**entity, *cause)).collect::<Vec<_>>();
    let expired = Some(ChangeCause::Expired);
    let invitations = [expired, expired, None].map(|cause| ("Invitation", cause));
    assert_eq!((told[0], &told[1..]), (("Seat", None), &invitations[..]));
    // A record is counted as gone whatever the reason, also where a count is kept and only brought up to date.
    stage.studio.commit([invitation(7, 90)]).await.unwrap();
    assert_eq!(count(&stage), 1);
}

macro_rules! stories {
    ($($story:ident)*) => {
        mod sqlite {
            $(#[tokio::test] async fn $story() { super::$story::<super::SqliteFixture>().await })*
        }
        mod memory {
            $(#[tokio::test] async fn $story() { super::$story::<super::MemoryFixture>().await })*
        }
    };
}

stories! {
    what_is_due_goes_and_the_next_is_waited_for
    what_is_held_back_waits_a_minute_and_holds_nothing_else_back
    a_clock_that_jumps_deletes_nothing_for_an_hour
    what_is_too_large_to_cascade_goes_from_the_leaves_up
    what_expires_says_so_and_what_goes_with_it_does_not
}

#[tokio::test]
async fn a_unit_has_at_most_a_thousand() {
    let mut stage = Stage::open::<SqliteFixture>(&StoreConfig::default());
    for part in 0..5 {
        stage.studio.commit((0..500).map(|n| invitation(1 + part * 500 + n, 1))).await.unwrap();
    }
    stage.pass(1);
    let head = stage.studio.head();
    assert_eq!(stage.sweep().await, NextLook::Never);
    let ends = stage.studio.log(head);
    let mut ends = ends.iter().enumerate().filter(|(_, change)| change.unit_last).map(|(at, _)| at + 1);
    assert_eq!(
        [ends.next(), ends.next(), ends.next(), ends.next()],
        [Some(1_000), Some(2_000), Some(2_500), None]
    );
}

#[tokio::test]
async fn what_came_due_while_the_server_was_stopped_is_deleted_at_its_start() {
    let clock = HandClock::at(NOON);
    let open = |folder| TestApp::timed(folder, schema().into(), clock.env(), |_| {});
    let app = open(tempfile::tempdir().unwrap()).await;
    let text = Timestamp(NOON.0 + MINUTE).rfc3339();
    let made = app.client().create("invitations", json!({"until": text})).await;
    let answer = Socket::open(app.address).await.subscribe("entity:Invitation", json!({})).await;
    let since = json!({"epoch": answer["payload"]["epoch"], "seq": answer["payload"]["seq"]});
    app.stop().await;
    clock.pass(Duration::from_secs(120));
    let app = open(app.folder).await;
    let mut socket = Socket::open(app.address).await;
    socket.subscribe("entity:Invitation", json!({"since": since})).await;
    // It comes with what was missed, or behind that.
    let mut gone = socket.frame().await;
    while gone["type"] == "pong" {
        gone = socket.frame().await;
    }
    assert_eq!((&gone["type"], &gone["cause"]), (&json!("entity:deleted"), &json!("expired")), "{gone}");
    assert_eq!(gone["payload"]["id"], made["id"], "{gone}");
}

#[tokio::test]
async fn a_server_deletes_what_is_due_also_what_was_due_before_its_start() {
    let app = TestApp::over(schema().into(), |_| {}).await;
    let api = app.client_as("ada");
    let mut socket = Socket::open(app.address).await;
    socket.subscribe("entity:Invitation", json!({})).await;
    let made = api.create("invitations", json!({"until": "2020-01-01T00:00:00Z"})).await;
    assert_eq!(socket.expect("entity:created").await["payload"]["id"], made["id"]);
    let gone = socket.expect("entity:deleted").await;
    assert_eq!(
        (&gone["payload"]["id"], gone["payload"].get("by").is_none_or(|by| by.is_null())),
        (&made["id"], true),
        "{gone}"
    );
    assert_eq!(gone["cause"], "expired", "{gone}");
    let history = api.get(&format!("/api/invitations/{}/history", made["id"].as_str().unwrap())).await;
    let causes = |page: &serde_json::Value| -> Vec<serde_json::Value> {
        page["items"].as_array().unwrap().iter().map(|item| item["cause"].clone()).collect()
    };
    assert_eq!(causes(&history), [json!("expired"), json!(null)], "{history}");
    let activity = api.get("/api/activity?entity=Invitation").await;
    assert_eq!(causes(&activity), [json!("expired"), json!(null)], "{activity}");
    // A delete that somebody asked for has no cause.
    let asked = api.create("invitations", json!({"until": "2120-01-01T00:00:00Z"})).await;
    api.delete(&format!("/api/invitations/{}", asked["id"].as_str().unwrap())).await;
    socket.expect("entity:created").await;
    assert_eq!(socket.expect("entity:deleted").await.get("cause"), None);

    // The same file without `expires`, for as long as it takes to store one that is due.
    app.stop().await;
    let whole = schema();
    let without = whole.entities().map(|entity| {
        let mut entity = (**entity).clone();
        entity.expires = None;
        entity
    });
    let app = TestApp::again(app.folder, Schema::new(without.collect::<Vec<_>>()).into(), |_| {}).await;
    let kept = app.client().create("invitations", json!({"until": "2020-01-01T00:00:00Z"})).await;
    // Beginning to expire it is a loss that must be allowed.
    let refused = app.reshape(schema().into()).await.unwrap_err().to_string();
    assert!(refused.contains("1 record is due and would be deleted"), "{refused}");
    assert!(refused.ends_with("tidewire migrate apply --allow-expire Invitation"), "{refused}");
    let path = format!("/api/invitations/{}", kept["id"].as_str().unwrap());
    assert_eq!(app.client().get(&path).await["id"], kept["id"]);
}
