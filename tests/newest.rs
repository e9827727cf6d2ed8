//! Newest first: for users who may see many records or few, on databases that lacked the index too; and what `check` says
//! of rules for which an index is missing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};
use tidewire::config::StoreConfig;
use tidewire::schema::{Column, FieldIndex, Schema};
use tidewire::store::{Direction, Query, SortBy};

use crate::support::app::{Client, TestApp};
use crate::support::at_once::Now;
use crate::support::clock::HandClock;
use crate::support::studio::{NOON, Studio, open, project, schema as plain};

const NOTE: &str = "entity = 'Note'\n[fields]\ntitle = { type = 'text' }\nteam = { type = 'text' }\n\
    owner = { type = 'ref', entity = 'User', default = 'user.id' }\n";
const OWNED: &str = "[access]\nread = \"owner == user.id\"\ncreate = 'true'\n";

fn write(folder: &Path, note: &str) {
    std::fs::write(folder.join("note.toml"), note).unwrap();
}

fn schema(note: &str) -> Arc<Schema> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), note);
    tidewire::schema::load(folder.path()).unwrap_or_else(|errors| panic!("{errors}")).schema.into()
}

/// A server that steps over fifty rows at most. Ann wrote 60 notes, then Bo 20, then Cy 100, one a second.
async fn notes(note: &str) -> TestApp {
    let clock = HandClock::at(NOON);
    let folder = tempfile::tempdir().unwrap();
    let app = TestApp::timed(folder, schema(note), clock.env(), |config| config.store.scan_rows = 50).await;
    for (name, count) in [("ann", 60), ("bo", 20), ("cy", 100)] {
        let client = app.client_as(name);
        for n in 0..count {
            client.create("notes", json!({"title": format!("{name} {n}")})).await;
            clock.pass(Duration::from_secs(1));
        }
    }
    app
}

/// The titles of all pages, or why one was refused.
async fn titles(client: &Client, query: &str) -> Result<Vec<String>, Json> {
    let (mut titles, mut next) = (Vec::new(), String::new());
    loop {
        let (status, page) = client.get_any(&format!("/api/notes?{query}{next}")).await;
        if status != 200 {
            return Err(page);
        }
        let items = page["items"].as_array().unwrap();
        titles.extend(items.iter().map(|item| item["title"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => return Ok(titles),
        }
    }
}

fn written(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{name} {n}")).collect()
}

#[tokio::test]
async fn a_user_who_sees_every_record_reads_them_newest_first() {
    let app = notes(NOTE).await;
    let all: Vec<String> =
        [("ann", 60), ("bo", 20), ("cy", 100)].iter().flat_map(|(name, n)| written(name, *n)).collect();
    let newest: Vec<String> = all.iter().rev().cloned().collect();
    assert_eq!(titles(&app.client(), "sort=-created_at&limit=7").await.unwrap(), newest);
    assert_eq!(titles(&app.client(), "sort=created_at&limit=7").await.unwrap(), all);
    let since = "created_at[gte]=2027-01-15T08:02:50.000Z&sort=-created_at&limit=4";
    assert_eq!(titles(&app.client(), since).await.unwrap(), newest[..10]);
}

#[tokio::test]
async fn a_user_who_sees_few_records_reads_them_newest_first() {
    let app = notes(&format!("{NOTE}{OWNED}")).await;
    for (name, count, query) in [
        ("bo", 20, "sort=-created_at"),
        ("bo", 20, "sort=created_at,id"),
        ("cy", 100, "sort=-created_at"),
        ("ann", 60, "sort=created_at"),
    ] {
        let mut expected = written(name, count);
        if query.contains('-') {
            expected.reverse();
        }
        let page = app.client_as(name).get(&format!("/api/notes?{query}&limit=5")).await;
        let items = page["items"].as_array().unwrap();
        let titles: Vec<&str> = items.iter().map(|item| item["title"].as_str().unwrap()).collect();
        assert_eq!(titles, expected[..5], "{name} {query}");
    }
    assert_eq!(titles(&app.client_as("bo"), "sort=-created_at&limit=3").await.unwrap().len(), 20);
    // Sixty records, all behind a hundred of others.
    let refused = titles(&app.client_as("ann"), "sort=-created_at&limit=5").await.unwrap_err();
    assert_eq!(refused["code"], "QUERY_TOO_BROAD");
    assert!(
        refused["detail"].as_str().unwrap().contains(r#"[[index]] fields = ["owner", "created_at"]"#),
        "{refused}"
    );
}

#[tokio::test]
async fn the_index_that_a_refusal_names_serves_the_list() {
    let app = notes(&format!("{NOTE}[[index]]\nfields = ['owner', 'created_at']\n{OWNED}")).await;
    for (name, count) in [("ann", 60), ("bo", 20), ("cy", 100)] {
        let mut expected = written(name, count);
        assert_eq!(
            titles(&app.client_as(name), "sort=created_at&limit=9").await.unwrap(),
            expected,
            "{name}"
        );
        expected.reverse();
        assert_eq!(
            titles(&app.client_as(name), "sort=-created_at&limit=9").await.unwrap(),
            expected,
            "{name}"
        );
    }
}

#[tokio::test]
async fn an_index_may_hold_the_time_of_the_last_change() {
    let app = notes(&format!("{NOTE}[[index]]\nfields = ['updated_at']\n")).await;
    let mut expected = written("ann", 60);
    expected.extend(written("bo", 20));
    expected.extend(written("cy", 100));
    assert_eq!(titles(&app.client(), "sort=updated_at&limit=30").await.unwrap(), expected);
    let described = app.client().get("/api/schema").await;
    let note =
        described["entities"].as_array().unwrap().iter().find(|entity| entity["name"] == "Note").unwrap();
    assert_eq!(note["indexes"], json!([["updated_at"]]));
}

#[tokio::test]
async fn a_database_without_the_index_gets_it_at_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path(), plain(), &StoreConfig::default());
    first.store.close().await;
    let raw = rusqlite::Connection::open(folder.path().join("tidewire.db")).unwrap();
    raw.execute_batch(r#"DROP INDEX "tasks:created_at""#).unwrap();
    drop(raw);
    let second = open(folder.path(), plain(), &StoreConfig::default());
    assert_eq!(second.report.added_indexes, ["tasks:created_at"]);
    assert_eq!(
        (second.generation, second.report.head),
        (first.generation, first.report.head),
        "nobody starts anew"
    );
    second.store.close().await;
}

/// Random rules are compared elsewhere; here the ways of a list agree on the order, equal times included.
#[tokio::test]
async fn every_way_to_the_newest_has_the_same_order() {
    let config = StoreConfig { scan_rows: 30, ..StoreConfig::default() };
    let studio = Studio::sqlite(&config);
    for n in 0..20u128 {
        studio.commit([project(2 * n + 1), project(2 * n + 2)]).await.unwrap();
    }
    let query = Query {
        sort: vec![SortBy { column: Column::CreatedAt, direction: Direction::Descending }],
        ..Query::all("Project", studio.generation, 10)
    };
    let rows = studio.store.list(&query).now().unwrap().value.rows;
    let ids: Vec<_> = rows.iter().map(|row| row.id.clone()).collect();
    let mut expected = ids.clone();
    expected.sort();
    expected.reverse();
    assert_eq!((&ids, ids.len()), (&expected, 10), "equal times are in the order of their ids");
    let code = Column::Field(FieldIndex(0));
    let filter = vec![tidewire::store::Condition::new(code, tidewire::store::Test::Null(true))];
    let filtered = studio.store.list(&Query { filter, ..query }).now().unwrap().value.rows;
    assert_eq!(filtered.into_iter().map(|row| row.id).collect::<Vec<_>>(), ids);
}

fn warned(rest: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &format!("{NOTE}{rest}"));
    let loaded = tidewire::schema::load(folder.path()).unwrap_or_else(|errors| panic!("{errors}"));
    let warnings = loaded.warnings.to_json();
    let told = |warning: &Json| {
        assert_eq!(warning["code"], "W0103");
        warning["help"].as_str().unwrap().split("fields = ").nth(1).unwrap().to_owned()
    };
    warnings.as_array().unwrap().iter().map(told).collect()
}

#[test]
fn check_names_the_index_that_a_rule_needs() {
    let read = |rule: &str| format!("[access]\nread = \"{rule}\"\n");
    let index = "[[index]]\nfields = ['team', 'created_at']\n";
    let by_team = r#"["team", "created_at"]"#;
    for (rule, expected) in [
        ("team == user.claims.team", &[by_team][..]),
        ("user.role == team || owner == user.id", &[by_team]),
        (
            "team == user.claims.team || title == user.id && team == user.role",
            &[by_team, r#"["title", "created_at"]"#],
        ),
        ("team in user.claims.teams", &[by_team]),
        ("team == user.claims.team && owner == user.id", &[]),
        ("owner == user.id || user.role == 'admin'", &[]),
        ("user.role == 'admin'", &[]),
        ("team == 'open' || user != null", &[]),
        ("!(team == user.claims.team)", &[]),
    ] {
        assert_eq!(warned(&read(rule)), expected, "{rule}");
        assert_eq!(warned(&format!("{index}{}", read(rule))), Vec::<String>::new(), "{rule}");
    }
}

#[test]
fn an_index_over_what_has_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (fields, code) in [("['created_at']", "E0162"), ("['version']", "E0160"), ("['id']", "E0160")] {
        write(folder.path(), &format!("{NOTE}[[index]]\nfields = {fields}\n"));
        let errors = tidewire::schema::load(folder.path()).unwrap_err();
        assert_eq!(errors.codes().map(|code| code.as_str()).collect::<Vec<_>>(), [code], "{fields}");
    }
}
