//! The history of records: every change of an entity with `history`, beyond the log's retention, until its own age takes it.
//! What it costs on a disk, and the way through the whole server.
//!
//! What every backend owes of it is in `store_conformance/histories.rs`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value as Json, json};
use tidewire::config::StoreConfig;
use tidewire::ids::Timestamp;
use tidewire::schema::{Entity, History, Schema, Value};
use tidewire::store::migration::Allow;
use tidewire::store::{Past, Store, Unit};

use crate::support::app::{Client, TestApp};
use crate::support::at_once::Now;
use crate::support::chain::*;
use crate::support::studio::{
    ALL, NOON, Opened, create, delete, entity, field, id, migrate, open, text, unit, update, words,
};

fn defaults() -> StoreConfig {
    StoreConfig::default()
}

/// `update@3 at 7`: op, version and seq of each change, newest first.
fn told(past: &Past) -> Vec<String> {
    let tell = |change: &Arc<tidewire::store::Change>| {
        format!("{:?}@{} at {}", change.op, change.version(), change.seq).to_lowercase()
    };
    past.changes.iter().map(tell).collect()
}

/// How many rows the log's table holds.
fn rows(folder: &Path) -> u64 {
    let conn = Connection::open(folder.join("tidewire.db")).unwrap();
    conn.query_row(r#"SELECT count(*) FROM "_changes""#, [], |row| row.get::<_, i64>(0)).unwrap() as u64
}

#[tokio::test]
async fn the_table_of_changes_stays_as_small_as_log_and_history_together() {
    let config = StoreConfig {
        retention_changes: 10,
        retention_age: Duration::from_secs(60),
        trim_chunk: 3,
        ..defaults()
    };
    let folder = tempfile::tempdir().unwrap();
    let Opened { store, batches, .. } = open(folder.path(), schema(), &config);
    drop(batches);
    store.commit(unit([make("Comment", 1, []), make("Org", 2, [])])).await.unwrap();
    for n in 0..300_i64 {
        let write = match n % 2 {
            0 => update("Comment", 1, [(BODY, words(&n.to_string()))]),
            _ => update("Org", 2, [(NAME, words(&n.to_string()))]),
        };
        store.commit(Unit { at: Timestamp(NOON.0 + n * 60_000), ..unit([write]) }).await.unwrap();
    }
    // An hour of comments at one in two minutes, and at most ten entries of the log.
    let past = store
        .history("Comment", &id(1), &tidewire::store::Who::System, None, ALL)
        .now()
        .unwrap()
        .value
        .unwrap();
    let kept = past.changes.len() as u64;
    assert!((30..=32).contains(&kept), "{kept}");
    let rows = rows(folder.path());
    assert!(rows <= kept + 10, "{rows}");
}

/// `Note` with or without history.
fn notes(history: Option<History>) -> Schema {
    Schema::new([Entity { history, ..entity("Note", "notes", vec![field("title", text())]) }])
}

#[tokio::test]
async fn a_database_from_before_histories_opens_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let config = StoreConfig { retention_changes: 3, ..defaults() };
    let first = open(folder.path(), notes(None), &config);
    for n in 1..=5 {
        first.store.commit(unit([create("Note", n, vec![Value::Null])])).await.unwrap();
    }
    first.store.close().await;
    let conn = Connection::open(folder.path().join("tidewire.db")).unwrap();
    let count = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let indexes =
        r#"SELECT count(*) FROM sqlite_master WHERE "name" IN ('_changes:history', '_changes:ages')"#;
    assert_eq!(count(indexes), 0, "who keeps no history has no index for it");
    assert_eq!(count(r#"SELECT count(*) FROM "_schema" WHERE "text" LIKE '%history%'"#), 0);
    drop(conn);

    let kept = open(folder.path(), notes(Some(History::For(Duration::from_secs(9)))), &config);
    let history = |opened: &Opened, n| {
        opened
            .store
            .history("Note", &id(n), &tidewire::store::Who::System, None, ALL)
            .now()
            .unwrap()
            .value
            .map(|past| told(&past))
    };
    assert_eq!(history(&kept, 2), Some(vec![]), "what was trimmed is gone");
    assert_eq!(history(&kept, 3), Some(vec!["create@1 at 3".to_owned()]), "what the log has is there");
    let generation = kept.generation;
    for n in 6..=12 {
        let unit = Unit { generation, ..unit([create("Note", n, vec![Value::Null])]) };
        kept.store.commit(unit).await.unwrap();
    }
    assert_eq!(history(&kept, 3), Some(vec!["create@1 at 3".to_owned()]));
    kept.store.close().await;

    let forever = open(folder.path(), notes(Some(History::Forever)), &config);
    assert_eq!(history(&forever, 3), Some(vec!["create@1 at 3".to_owned()]));
    forever.store.close().await;
    let before = rows(folder.path());

    let allow = Allow { forget: ["Note".to_owned()].into(), ..Allow::default() };
    migrate(folder.path(), &notes(None), &allow).unwrap();
    let without = open(folder.path(), notes(None), &config);
    assert_eq!(history(&without, 3), None);
    without.store.close().await;
    let marker = 1;
    assert_eq!(before + marker - rows(folder.path()), 7, "without the key nothing is kept below the floor");
}

#[tokio::test]
async fn a_renamed_entity_keeps_its_history() {
    let folder = tempfile::tempdir().unwrap();
    let named = |renames: [(&str, &str, Option<&str>); 2]| {
        let entities = renames.map(|(name, plural, was)| Entity {
            history: Some(History::Forever),
            was: was.map(Into::into),
            ..entity(name, plural, vec![field("title", text())])
        });
        Schema::new(entities)
    };
    let config = StoreConfig { retention_changes: 2, ..defaults() };
    let first = open(folder.path(), named([("Note", "notes", None), ("Page", "pages", None)]), &config);
    for n in 1..=4 {
        let ops = [create("Note", n, vec![Value::Null]), create("Page", 10 + n, vec![Value::Null])];
        first.store.commit(unit(ops)).await.unwrap();
    }
    first.store.commit(unit([delete("Note", 1)])).await.unwrap();
    first.store.close().await;
    let renamed = [("Memo", "memos", Some("Note")), ("Sheet", "sheets", Some("Page"))];
    let second = open(folder.path(), named(renamed), &config);
    let history = |entity: &str, n| {
        second
            .store
            .history(entity, &id(n), &tidewire::store::Who::System, None, ALL)
            .now()
            .unwrap()
            .value
            .map(|past| told(&past))
    };
    assert_eq!(history("Memo", 1).unwrap(), ["delete@1 at 9", "create@1 at 1"]);
    assert_eq!(history("Sheet", 11).unwrap(), ["create@1 at 2"]);
    let unit = Unit { generation: second.generation, ..unit([create("Memo", 1, vec![Value::Null])]) };
    let again = second.store.commit(unit).await.unwrap();
    assert_eq!(again.results[0].record.as_ref().unwrap().version, 2);
}

async fn call(api: &Client, path: &str) -> Json {
    let answer = api.call("GET", path, Json::Null).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json
}

#[tokio::test]
async fn the_history_of_a_record_is_read_page_by_page() {
    let app = TestApp::over(Arc::new(schema()), |_| {}).await;
    let (ann, nobody) = (app.client_as("ann"), app.client());
    let task = ann.create("tasks", json!({"title": "one"})).await;
    let path = format!("/api/tasks/{}", task["id"].as_str().unwrap());
    let two = ann.patch_with_mid(&path, json!({"title": "two"}), "m-2").await;
    nobody.delete(&path).await;
    let again = nobody.create("tasks", json!({"id": task["id"], "title": "anew"})).await;
    assert_eq!(again["version"], 3);

    let answer = nobody.call("GET", &format!("{path}/history"), Json::Null).await;
    let page = &answer.json;
    let items = page["items"].as_array().unwrap();
    let first = items[3]["seq"].as_u64().unwrap();
    assert_eq!(
        items[3],
        json!({"seq": first, "op": "create", "version": 1, "at": task["created_at"], "by": "ann", "after": task})
    );
    assert_eq!(
        items[2],
        json!({"seq": first + 1, "op": "update", "version": 2, "at": two["updated_at"], "by": "ann", "mid": "m-2",
            "changed": ["title"], "before": {"title": "one"}, "after": two})
    );
    assert_eq!(
        items[1],
        json!({"seq": first + 2, "op": "delete", "version": 2, "at": items[1]["at"], "by": null, "before": two})
    );
    assert_eq!(
        (&items[0]["op"], &items[0]["version"], &items[0]["after"]),
        (&json!("create"), &json!(3), &again)
    );
    assert_eq!((items.len(), &page["next"], page["seq"].as_u64()), (4, &Json::Null, Some(first + 3)));
    let position = format!("{}:{}", page["epoch"].as_str().unwrap(), page["seq"]);
    assert_eq!(answer.header("tidewire-seq"), position);

    let (mut read, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = call(&nobody, &format!("{path}/history?limit=1{cursor}")).await;
        assert_eq!(page["items"].as_array().unwrap().len(), 1);
        read.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(read, *items);

    // Another spelling of the id is the same record.
    let spelt = format!("/api/tasks/{}/history", task["id"].as_str().unwrap().to_uppercase());
    assert_eq!(call(&nobody, &spelt).await["items"], page["items"]);
    nobody.delete(&path).await;
    assert_eq!(call(&nobody, &format!("{path}/history")).await["items"][0]["op"], "delete");
}

#[tokio::test]
async fn a_bad_history_query_gets_an_error_that_names_the_mistake() {
    let app = TestApp::over(Arc::new(schema()), |_| {}).await;
    let api = app.client();
    let task = api.create("tasks", json!({"title": "t"})).await;
    let other = api.create("tasks", json!({"title": "o"})).await;
    let org = api.create("orgs", json!({"name": "o"})).await;
    let at =
        |plural: &str, record: &Json| format!("/api/{plural}/{}/history", record["id"].as_str().unwrap());
    let (task, other, org) = (at("tasks", &task), at("tasks", &other), at("orgs", &org));
    api.patch(other.trim_end_matches("/history"), json!({"title": "p"})).await;
    let foreign = call(&api, &format!("{other}?limit=1")).await["next"].as_str().unwrap().to_owned();
    let list = call(&api, "/api/tasks?limit=1").await["next"].as_str().unwrap().to_owned();
    const NEVER: &str = "/api/tasks/0190a000-0000-7000-8000-0000000000ff/history";
    let cases = [
        (org.clone(), 404, "NO_HISTORY", "Org keeps no history: add `history = \"90d\"`"),
        (format!("{org}?limit=0"), 400, "BAD_QUERY", "`limit`"),
        ("/api/planets/x/history".to_owned(), 404, "UNKNOWN_ENTITY", "/api/planets"),
        ("/api/tasks/7/history".to_owned(), 404, "NOT_FOUND", "`7` cannot be the id of a Task"),
        ("/api/tasks/%ff/history".to_owned(), 404, "NOT_FOUND", "UTF-8"),
        (NEVER.to_owned(), 404, "NOT_FOUND", "no Task with the id"),
        (format!("{task}/more"), 404, "NOT_FOUND", "nothing at this address"),
        (format!("{task}?limit=0"), 400, "BAD_QUERY", "from 1 to 1000, not `0`"),
        (format!("{task}?limit=1001"), 400, "BAD_QUERY", "not `1001`"),
        (format!("{task}?limit=-1"), 400, "BAD_QUERY", "not `-1`"),
        (format!("{task}?limit="), 400, "BAD_QUERY", "`limit`"),
        (format!("{task}?limit=1&limit=2"), 400, "BAD_QUERY", "`limit` is given twice"),
        (format!("{task}?sort=seq"), 400, "BAD_QUERY", "not `sort`"),
        (format!("{task}?op=delete"), 400, "BAD_QUERY", "not `op`"),
        (format!("{task}?title[eq]=t"), 400, "BAD_QUERY", "not `title[eq]`"),
        (format!("{task}?cursor="), 400, "BAD_CURSOR", "not made for this history"),
        (format!("{task}?cursor=42"), 400, "BAD_CURSOR", "not made for this history"),
        (format!("{task}?cursor={foreign}"), 400, "BAD_CURSOR", "not made for this history"),
        (format!("{task}?cursor={list}"), 400, "BAD_CURSOR", "not made for this history"),
        (format!("{other}?cursor={foreign}x"), 400, "BAD_CURSOR", "altered"),
        (format!("{task}?cursor=%ff"), 400, "BAD_QUERY", "UTF-8"),
    ];
    for (path, status, code, words) in cases {
        let answer = api.call("GET", &path, Json::Null).await;
        assert_eq!((answer.status, &answer.json["code"]), (status, &json!(code)), "{path}: {}", answer.text);
        let detail = answer.json["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{path}: {detail}");
        assert!(!answer.json["hint"].as_str().unwrap().is_empty());
    }
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let answer = api.call(method, &task, json!({})).await;
        assert_eq!((answer.status, &answer.json["code"]), (405, &json!("METHOD_NOT_ALLOWED")), "{method}");
        assert_eq!(answer.header("allow"), "GET,HEAD");
    }
}
