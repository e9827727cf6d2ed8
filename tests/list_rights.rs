//! `list` beside `read` (SEMANTICS X2): what one may ask for by its id, and what is in one's lists, over HTTP and over real sockets.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tidewire::schema::Schema;

use crate::support::app::{Client, TestApp};
use crate::support::ruled;
use crate::support::socket::Socket;

const LETTER: &str = r#"
entity = "Letter"
history = "forever"
[fields]
title = { type = "text", search = true }
owner = { type = "text" }
status = { type = "text" }
pinned_by = { type = "text" }
[access]
read = "status != 'burnt'"
list = "owner == user.id || pinned_by in user.memberships.project"
create = "true"
update = "true"
delete = "true"
"#;

/// A note refers to a letter, and everybody lists notes.
const NOTE: &str = r#"
entity = "Note"
[fields]
letter = { type = "ref", entity = "Letter" }
[access]
read = "true"
create = "true"
"#;

/// Everyone can read one by its id; no list shows them.
const TICKET: &str = r#"
entity = "Ticket"
[fields]
title = { type = "text" }
[access]
read = "true"
list = "false"
create = "true"
update = "true"
delete = "true"
"#;

fn schema() -> Arc<Schema> {
    ruled::schema_with(&[("letter.toml", LETTER), ("note.toml", NOTE), ("ticket.toml", TICKET)])
}

async fn letter(client: &Client, title: &str, owner: &str) -> Value {
    client.create("letters", json!({"title": title, "owner": owner, "status": "sent"})).await
}

fn id(record: &Value) -> &str {
    record["id"].as_str().unwrap()
}

fn path(record: &Value) -> String {
    format!("/api/letters/{}", id(record))
}

fn titles(page: &Value) -> BTreeSet<String> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
}

fn only(title: &str) -> BTreeSet<String> {
    BTreeSet::from([title.to_owned()])
}

async fn open(app: &TestApp, person: &str) -> Socket {
    let mut socket = Socket::open_at(app.address, &format!("/ws?as={person}")).await;
    socket.expect("connected").await;
    socket
}

#[tokio::test]
async fn who_knows_the_id_reads_what_no_list_shows_them() {
    let app = TestApp::over(schema(), |_| {}).await;
    let (ada, ben) = (app.client_as("ada"), app.client_as("ben"));
    let (of_ada, of_ben) = (letter(&ada, "dear ben", "ada").await, letter(&ben, "dear ada", "ben").await);
    let note = ben.create("notes", json!({"letter": id(&of_ada)})).await;
    for way in ["", "?sort=-title", "?status=sent", "?title=dear%20ben&owner=ada", "?search=dear", "?limit=1"]
    {
        let page = ben.get(&format!("/api/letters{way}")).await;
        let expected = if way.contains("owner=ada") { BTreeSet::new() } else { only("dear ada") };
        assert_eq!((titles(&page), &page["next"]), (expected, &Value::Null), "{way}");
    }
    assert_eq!(ben.get("/api/letters/count").await["count"], 1);
    assert_eq!(ben.get("/api/letters/count?group=owner").await["groups"].as_array().unwrap().len(), 1);
    // By its id, behind a reference, in its history, and to be referred to.
    assert_eq!(ben.get(&path(&of_ada)).await["title"], "dear ben");
    assert_eq!(ben.get(&format!("{}/history", path(&of_ada))).await["items"][0]["op"], "create");
    let shown = ben.get(&format!("/api/notes/{}?expand=letter", id(&note))).await;
    let listed = ben.get("/api/notes?expand=letter").await["items"][0].clone();
    assert_eq!(listed["expanded"]["letter"]["title"], "dear ben", "{shown}");
    // What may not be read is in no list, whatever the list rule says.
    ben.patch(&path(&of_ben), json!({"status": "burnt"})).await;
    assert!(titles(&ben.get("/api/letters").await).is_empty());
    assert_eq!(ben.get_any(&path(&of_ben)).await.0, 404);
}

#[tokio::test]
async fn changes_of_many_select_by_the_list() {
    let app = TestApp::over(schema(), |_| {}).await;
    let (ada, ben) = (app.client_as("ada"), app.client_as("ben"));
    let (of_ada, of_ben) = (letter(&ada, "one", "ada").await, letter(&ben, "two", "ben").await);
    let (status, told) = ben.any("PATCH", "/api/letters?status=sent", json!({"status": "read"})).await;
    assert_eq!((status, &told["changed"], &told["refused"]), (200, &json!(1), &json!(0)), "{told}");
    assert_eq!(ada.get(&path(&of_ada)).await["status"], "sent");
    assert_eq!(ada.get(&path(&of_ben)).await["status"], "read");
    // One that is known by its id is changed by its id.
    ben.patch(&path(&of_ada), json!({"status": "read"})).await;
}

#[tokio::test]
async fn channels_of_the_entity_follow_the_list_and_channels_of_a_record_the_read_rule() {
    let app = TestApp::over(schema(), |_| {}).await;
    let ada = app.client_as("ada");
    let of_ada = letter(&ada, "dear ben", "ada").await;
    app.wait_for_metric("tidewire_fan_out_position", app.head() as f64).await;
    let mut ben = open(&app, "ben").await;
    let record = format!("entity:Letter:{}", id(&of_ada));
    let views = [
        ben.subscribe("entity:Letter", json!({})).await["payload"]["view"].clone(),
        ben.subscribe(&record, json!({})).await["payload"]["view"].clone(),
    ];
    assert_ne!(views[0], views[1], "each is named by its own predicate");
    ada.patch(&path(&of_ada), json!({"title": "dear dear ben"})).await;
    let event = ben.expect("entity:updated").await;
    assert_eq!((&event["channel"], &event["payload"]["title"]), (&json!(record), &json!("dear dear ben")));
    ben.nothing_else().await;

    // It comes into the list, leaves it as a right that is lost, and is still readable.
    ada.patch(&path(&of_ada), json!({"owner": "ben"})).await;
    let mut entered = false;
    for _ in 0..2 {
        let event = ben.frame().await;
        match event["channel"].as_str().unwrap() {
            "entity:Letter" => {
                entered = true;
                assert_eq!((&event["type"], &event["cause"]), (&json!("entity:created"), &json!("entered")));
            }
            _ => assert_eq!(event["type"], "entity:updated", "{event}"),
        }
    }
    assert!(entered);
    ada.patch(&path(&of_ada), json!({"owner": "ada"})).await;
    for _ in 0..2 {
        let event = ben.frame().await;
        if event["channel"] == "entity:Letter" {
            let mut keys: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
            keys.sort_unstable();
            assert_eq!(event["type"], "entity:deleted");
            assert_eq!(
                keys,
                ["channel", "payload", "prev", "seq", "timestamp", "type"],
                "it has no other member"
            );
        } else {
            assert_eq!(event["type"], "entity:updated", "{event}");
        }
    }
    ben.nothing_else().await;
}

#[tokio::test]
async fn rights_that_only_the_list_asks_for_are_live() {
    let app = TestApp::over(schema(), |_| {}).await;
    let ada = app.client_as("ada");
    let pinned = ada
        .create("letters", json!({"title": "pinned", "owner": "ada", "status": "sent", "pinned_by": "p1"}))
        .await;
    let mut ben = open(&app, "ben").await;
    ben.subscribe("entity:Letter", json!({})).await;
    ben.nothing_else().await;
    let membership = ada.create("memberships", json!({"person": "ben", "project": "p1"})).await;
    let event = ben.expect("entity:created").await;
    assert_eq!((&event["payload"]["id"], &event["cause"]), (&pinned["id"], &json!("entered")));
    ben.expect("pong").await;
    ada.delete(&format!("/api/memberships/{}", id(&membership))).await;
    let event = ben.expect("entity:deleted").await;
    assert_eq!((&event["payload"]["id"], event.get("cause")), (&pinned["id"], None), "a right is lost");
    ben.expect("pong").await;
    assert_eq!(app.client_as("ben").get(&path(&pinned)).await["title"], "pinned");
}

#[tokio::test]
async fn where_nobody_lists_the_list_is_empty_and_its_channel_silent() {
    let app = TestApp::over(schema(), |_| {}).await;
    let (ada, ben) = (app.client_as("ada"), app.client_as("ben"));
    let mut live = open(&app, "ben").await;
    live.subscribe("entity:Ticket", json!({"snapshot": true})).await;
    let ticket = ada.create("tickets", json!({"title": "a seat"})).await;
    live.expect("pong").await;
    assert_eq!(ben.get("/api/tickets").await["items"], json!([]));
    assert_eq!(ben.get("/api/tickets/count").await["count"], 0);
    assert_eq!(ben.get(&format!("/api/tickets/{}", id(&ticket))).await["title"], "a seat");
    ada.patch(&format!("/api/tickets/{}", id(&ticket)), json!({"title": "two seats"})).await;
    live.nothing_else().await;
}
