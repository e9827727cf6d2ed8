//! Wall clocks that are wrong, set back, or set right: ids continue in the order of creation, and nothing is forgotten early.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tidewire::config::StoreConfig;
use tidewire::env::Env;
use tidewire::ids::Timestamp;
use tidewire::schema::Schema;
use tidewire::store::Store;
use tidewire::store::import::{Forward, ImportJob};
use tidewire::store::sqlite::{DatabaseFile, SqliteImport};

use crate::support::app::{Client, TestApp};
use crate::support::at_once::Now;
use crate::support::clock::HandClock;
use crate::support::process::{Process, plain_schemas};
use crate::support::studio::{NOON, create, id, open_at, schema, unit, words};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const MINUTES_10: i64 = 10 * 60 * 1_000;
const YEAR: i64 = 365 * 24 * 3_600 * 1_000;

/// Notes keep their history for a day.
fn notes() -> Arc<Schema> {
    let folder = tempfile::tempdir().unwrap();
    let text = "entity = 'Note'\nhistory = '1d'\n[fields]\ntitle = { type = 'text' }\n";
    std::fs::write(folder.path().join("note.toml"), text).unwrap();
    tidewire::schema::load(folder.path()).unwrap_or_else(|errors| panic!("{errors}")).schema.into()
}

async fn start(folder: tempfile::TempDir, clock: &HandClock) -> TestApp {
    TestApp::timed(folder, notes(), clock.env(), |_| {}).await
}

/// The ids of a list in its own order.
async fn ids(client: &Client, path: &str) -> Vec<String> {
    let list = client.get(path).await;
    let items = list["items"].as_array().unwrap_or_else(|| panic!("{list}"));
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

async fn note(client: &Client, title: &str) -> String {
    client.create("notes", json!({"title": title})).await["id"].as_str().unwrap().to_owned()
}

/// Starts the server again in the folder of one that stops.
async fn again(app: TestApp, clock: &HandClock) -> TestApp {
    app.stop().await;
    start(app.folder, clock).await
}

#[tokio::test]
async fn a_restart_with_the_clock_set_back_makes_ids_that_sort_last() {
    let clock = HandClock::at(NOON);
    let mut app = start(tempfile::tempdir().unwrap(), &clock).await;
    let mut made = vec![note(&app.client(), "first").await];
    for back in [MINUTES_10, YEAR, -MINUTES_10] {
        clock.jump(-back);
        app = again(app, &clock).await;
        for title in ["a", "b", "c"] {
            made.push(note(&app.client(), title).await);
        }
    }
    assert_eq!(ids(&app.client(), "/api/notes").await, made);

    // The newest record may be gone, and its entry in the log too.
    let newest = made.pop().unwrap();
    app.client().delete(&format!("/api/notes/{newest}")).await;
    clock.jump(-YEAR);
    app = again(app, &clock).await;
    let next = note(&app.client(), "d").await;
    assert!(next > newest, "{next} follows {newest}");
    // A clock that is right again is followed again.
    clock.jump(3 * YEAR);
    let much_later = note(&app.client(), "e").await;
    let millis = u64::from_str_radix(&much_later.replace('-', "")[..12], 16).unwrap();
    assert_eq!(millis, (NOON.0 - MINUTES_10 - YEAR - YEAR + MINUTES_10 + 3 * YEAR).unsigned_abs());
}

#[tokio::test]
async fn ids_stay_in_order_while_the_clock_jumps() {
    let clock = HandClock::at(NOON);
    let app = start(tempfile::tempdir().unwrap(), &clock).await;
    let mut made = Vec::new();
    for jump in [0, 2 * MINUTES_10, -MINUTES_10, -YEAR, YEAR, 1] {
        clock.jump(jump);
        for title in ["a", "b"] {
            made.push(note(&app.client(), title).await);
        }
    }
    assert_eq!(ids(&app.client(), "/api/notes").await, made);
}

/// The real program with the real clock, in a folder that was written by a clock ten minutes ahead.
#[tokio::test]
async fn a_program_that_restarts_with_an_earlier_clock_makes_ids_that_sort_last() {
    let folder = tempfile::tempdir().unwrap();
    let ahead = HandClock::at(Timestamp(Env::system().now().0 + MINUTES_10));
    let loaded = tidewire::schema::load(&plain_schemas()).unwrap();
    let app = TestApp::timed(folder, loaded.schema.into(), ahead.env(), |_| {}).await;
    let mut made: Vec<Json> =
        vec![app.client().create("tasks", json!({"title": "ahead"})).await["id"].clone()];
    app.stop().await;
    for title in ["one", "two"] {
        let process = Process::start(&app.folder.path().join("data"), 0).await;
        let client = Client::new(process.address);
        for _ in 0..3 {
            made.push(client.create("tasks", json!({"title": title})).await["id"].clone());
        }
        let listed: Vec<Json> = ids(&client, "/api/tasks").await.into_iter().map(Json::from).collect();
        assert_eq!(listed, made);
        process.stop().await;
    }
}

/// A record with a history, and an answer to a mutation id.
async fn remembered(client: &Client, mid: &str) -> Json {
    let created = client.create("notes", json!({"title": mid})).await;
    let path = format!("/api/notes/{}", created["id"].as_str().unwrap());
    client.patch_with_mid(&path, json!({"title": "changed"}), mid).await;
    created["id"].clone()
}

async fn is_remembered(client: &Client, id: &Json, mid: &str) -> bool {
    let path = format!("/api/notes/{}", id.as_str().unwrap());
    let key = [("Idempotency-Key", mid)];
    let again = client.call_with("PATCH", &path, json!({"title": "changed"}), &key).await;
    let history = client.get(&format!("{path}/history")).await;
    let changes = history["items"].as_array().unwrap_or_else(|| panic!("{history}")).len();
    again.header("tidewire-replayed") == "true" && changes == 2
}

#[tokio::test]
async fn two_seconds_of_a_wrong_clock_forget_nothing() {
    for wrong in [YEAR, -YEAR] {
        let clock = HandClock::at(NOON);
        let app = start(tempfile::tempdir().unwrap(), &clock).await;
        let client = app.client();
        let before = remembered(&client, "before").await;
        clock.pass(SECOND);
        clock.jump(wrong);
        let meanwhile = remembered(&client, "meanwhile").await;
        clock.pass(SECOND);
        remembered(&client, "wrong").await;
        clock.pass(SECOND);
        clock.jump(-wrong);
        remembered(&client, "right").await;
        clock.pass(HOUR);
        remembered(&client, "later").await;
        assert!(is_remembered(&client, &before, "before").await, "{wrong}");
        assert!(is_remembered(&client, &meanwhile, "meanwhile").await, "{wrong}");
        assert_eq!(app.floor(), 0, "{wrong}");
    }
}

#[tokio::test]
async fn a_restart_under_a_wrong_clock_forgets_nothing() {
    let clock = HandClock::at(NOON);
    let app = start(tempfile::tempdir().unwrap(), &clock).await;
    let before = remembered(&app.client(), "before").await;
    clock.jump(YEAR);
    let app = again(app, &clock).await;
    note(&app.client(), "wrong").await;
    let app = again(app, &clock).await;
    note(&app.client(), "wrong again").await;
    clock.jump(-YEAR);
    let app = again(app, &clock).await;
    remembered(&app.client(), "right").await;
    assert!(is_remembered(&app.client(), &before, "before").await);
    assert_eq!(app.floor(), 0);
}

/// Red if a clock that jumped is never believed.
#[tokio::test]
async fn a_clock_that_jumped_is_accepted_after_an_hour() {
    let clock = HandClock::at(NOON);
    let app = start(tempfile::tempdir().unwrap(), &clock).await;
    let old = remembered(&app.client(), "old").await;
    // The server was off for a year.
    clock.jump(YEAR);
    let app = again(app, &clock).await;
    let client = app.client();
    let new = remembered(&client, "new").await;
    let head = app.head();
    clock.pass(HOUR - SECOND);
    remembered(&client, "soon").await;
    assert_eq!(app.floor(), 0);
    clock.pass(SECOND);
    remembered(&client, "now").await;
    note(&client, "and the rest").await;
    assert!(app.floor() > 0 && app.floor() < head, "{}", app.floor());
    assert!(!is_remembered(&client, &old, "old").await);
    assert!(is_remembered(&client, &new, "new").await, "what was written meanwhile is as old as it is");
}

#[tokio::test]
async fn an_import_under_a_wrong_clock_forgets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::at(NOON);
    let config = StoreConfig::default();
    let opened = open_at(folder.path(), schema(), &config, clock.env());
    opened.store.commit(unit([create("Project", 1, vec![words("p")])])).await.unwrap();
    opened.store.close().await;
    clock.jump(YEAR);
    let env = clock.env();
    let mut import =
        SqliteImport::open(&DatabaseFile::within(folder.path()), &schema(), &config, &env).unwrap();
    import
        .page("m".parse().unwrap(), Forward::Refused, |page| {
            page.apply(1, &create("Project", 2, vec![words("q")]))
        })
        .unwrap();
    import.commit("job", &ImportJob::default()).unwrap();
    import.close();
    clock.jump(-YEAR);
    let opened = open_at(folder.path(), schema(), &config, clock.env());
    assert_eq!(opened.store.head().now().unwrap().floor.0, 0);
    assert!(opened.store.get("Project", &id(1)).now().unwrap().value.is_some());
    opened.store.close().await;
}

/// A database from before has neither time; both are taken from its log.
#[tokio::test]
async fn a_database_that_never_noted_a_time_takes_it_from_its_log() {
    let clock = HandClock::at(NOON);
    let app = start(tempfile::tempdir().unwrap(), &clock).await;
    let first = note(&app.client(), "first").await;
    let before = remembered(&app.client(), "before").await;
    app.stop().await;
    forget_the_times(&app.folder.path().join("data"));
    clock.jump(-YEAR);
    let app = start(app.folder, &clock).await;
    assert!(note(&app.client(), "second").await > first);
    app.stop().await;
    forget_the_times(&app.folder.path().join("data"));
    clock.jump(3 * YEAR);
    let app = start(app.folder, &clock).await;
    note(&app.client(), "wrong").await;
    assert!(is_remembered(&app.client(), &before, "before").await);
    assert_eq!(app.floor(), 0);
}

fn forget_the_times(data: &Path) {
    let raw = rusqlite::Connection::open(data.join("tidewire.db")).unwrap();
    raw.execute_batch(
        r#"ALTER TABLE "_meta" DROP COLUMN "clock"; ALTER TABLE "_meta" DROP COLUMN "newest_id""#,
    )
    .unwrap();
}
