//! Values that the server gives where a request leaves a field out: random texts, and times later than now.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidewire::ids::Timestamp;
use tidewire::schema::{Format, Schema, SourceFile, check};

use crate::support::app::{Client, TestApp};
use crate::support::clock::HandClock;
use crate::support::process::{Process, ended, tidewire};
use crate::support::socket::Socket;

const INVITATION: &str = r#"
entity = "Invitation"
[fields]
title  = { type = "text", required = true }
link   = { type = "text", default = "random", unique = true, find = true, required = true, readonly = true, read = "author == user.id" }
pin    = { type = "text", default = "random", min = 32, max = 32 }
author = { type = "text", default = "user.id" }
until  = { type = "datetime", default = "now + 7d" }
remind = { type = "date", default = "now + 36h" }
[access]
read = "true"
create = "true"
update = "true"
delete = "true"
"#;

/// Each makes an invitation.
const EVENT: &str = r#"
entity = "Event"
[fields]
name = { type = "text" }
host = { type = "text" }
[access]
read = "true"
create = "true"
update = "true"
[[on]]
event = "create"
create = "Invitation"
set = { title = "name", author = "host" }
"#;

/// Has a secret of its own from the first request on.
const USER: &str = r#"
entity = "User"
[fields]
feed = { type = "text", default = "random", required = true, read = "id == user.id" }
[access]
read = "true"
"#;

fn files(files: &[(&str, &str)]) -> Arc<Schema> {
    let file = |(name, text): &(&str, &str)| SourceFile {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
        format: Format::Toml,
    };
    let files: Vec<_> = files.iter().map(file).collect();
    check(&files).unwrap_or_else(|errors| panic!("{errors}")).into()
}

fn schema() -> Arc<Schema> {
    files(&[("invitation.toml", INVITATION), ("event.toml", EVENT), ("user.toml", USER)])
}

fn is_random(value: &Value) -> bool {
    value.as_str().is_some_and(|text| {
        text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    })
}

/// Every random text of these records; fails where one is none.
fn random(records: &[Value]) -> BTreeSet<String> {
    let texts = records.iter().flat_map(|record| [&record["link"], &record["pin"]]);
    let text = |value: &Value| {
        assert!(is_random(value), "{value} in {records:?}");
        value.as_str().unwrap().to_owned()
    };
    texts.map(text).collect()
}

fn at(record: &Value) -> String {
    format!("/api/invitations/{}", record["id"].as_str().unwrap())
}

#[tokio::test]
async fn every_way_to_create_a_record_gives_it_a_secret_of_its_own() {
    let app = TestApp::over(schema(), |_| {}).await;
    let ada = app.client_as("ada");
    ada.create("invitations", json!({"title": "one"})).await;
    let op = |title: &str| json!({"op": "create", "entity": "Invitation", "data": {"title": title}});
    for atomic in [true, false] {
        let (status, told) =
            ada.any("POST", "/api/batch", json!({"atomic": atomic, "ops": [op("two"), op("three")]})).await;
        assert_eq!(status, 200, "{told}");
    }
    ada.create("events", json!({"name": "by an event", "host": "ada"})).await;
    let page = ada.get("/api/invitations").await;
    let records = page["items"].as_array().unwrap();
    assert_eq!((records.len(), random(records).len()), (6, 12), "none is like another: {page}");
    // A client's own value, where it may give one.
    let own = ada.create("invitations", json!({"title": "own", "pin": "x".repeat(32)})).await;
    assert_eq!(own["pin"], "x".repeat(32));
    let (status, refused) = ada.any("POST", "/api/invitations", json!({"title": "x", "link": "mine"})).await;
    assert_eq!((status, &refused["errors"][0]["code"]), (422, &json!("readonly")));
    // Also of a record that no request asks for by name.
    let me = ada.get("/api/users/ada").await;
    assert!(is_random(&me["feed"]), "{me}");
}

#[tokio::test]
async fn a_secret_is_shown_to_those_who_may_read_its_field() {
    let app = TestApp::over(schema(), |_| {}).await;
    let (ada, ben) = (app.client_as("ada"), app.client_as("ben"));
    let mut socket = Socket::open_at(app.address, "/ws?as=ben").await;
    socket.expect("connected").await;
    socket.subscribe("entity:Invitation", json!({})).await;
    let made = ada.create("invitations", json!({"title": "Come"})).await;
    let link = made["link"].as_str().unwrap();
    let event = socket.expect("entity:created").await;
    assert_eq!(event["payload"]["title"], "Come");
    let shown = [
        event.to_string(),
        ben.get(&at(&made)).await.to_string(),
        ben.get("/api/invitations").await.to_string(),
    ];
    assert!(shown.iter().all(|text| !text.contains(link)), "{shown:?}");
    assert_eq!(ben.get(&format!("/api/invitations/by/link/{link}")).await["id"], made["id"]);
    // One who creates in another's name learns nothing either.
    let other = ben.create("invitations", json!({"title": "Come", "author": "ada"})).await;
    assert_eq!(other.get("link"), None, "{other}");
}

#[tokio::test]
async fn a_secret_stays_until_it_is_changed_by_name() {
    let app = TestApp::over(schema(), |_| {}).await;
    let ada = app.client_as("ada");
    let made = ada.create("invitations", json!({"title": "Come"})).await;
    let put = ada.any("PUT", &at(&made), json!({"title": "Go"})).await.1;
    assert_eq!((&put["link"], &put["pin"], &put["title"]), (&made["link"], &made["pin"], &json!("Go")));
    let (status, changed) = ada.any("PATCH", "/api/invitations?title=Go", json!({"title": "Stay"})).await;
    assert_eq!((status, &changed["changed"]), (200, &json!(1)));
    let patched = ada.patch(&at(&made), json!({"pin": null})).await;
    assert_eq!((&patched["link"], &patched["pin"]), (&made["link"], &Value::Null));
    // A repeated create is the first one.
    let key = [("idempotency-key", "k")];
    let body = || json!({"title": "once"});
    let first = ada.call_with("POST", "/api/invitations", body(), &key).await;
    let again = ada.call_with("POST", "/api/invitations", body(), &key).await;
    assert_eq!((again.header("tidewire-replayed"), &again.json), ("true", &first.json));
}

#[tokio::test]
async fn a_time_later_than_now_is_counted_from_the_request() {
    let wall = Timestamp(1_795_600_800_000); // 2026-11-25T10:00:00Z
    let clock = HandClock::at(wall);
    let app = TestApp::timed(tempfile::tempdir().unwrap(), schema(), clock.env(), |_| {}).await;
    let ada = app.client_as("ada");
    let made = ada.create("invitations", json!({"title": "Come"})).await;
    assert_eq!(made["created_at"], "2026-11-25T10:00:00.000Z");
    assert_eq!((&made["until"], &made["remind"]), (&json!("2026-12-02T10:00:00.000Z"), &json!("2026-11-26")));
    clock.pass(Duration::from_secs(3 * 3600));
    let later = ada.create("events", json!({"name": "late", "host": "ada"})).await;
    assert_eq!(later["created_at"], "2026-11-25T13:00:00.000Z");
    let by_event = &ada.get("/api/invitations?title=late").await["items"][0];
    assert_eq!(
        (&by_event["until"], &by_event["remind"]),
        (&json!("2026-12-02T13:00:00.000Z"), &json!("2026-11-27"))
    );
    let put = ada.any("PUT", &at(&made), json!({"title": "Come", "until": null})).await.1;
    assert_eq!(
        (&put["until"], &put["remind"]),
        (&Value::Null, &json!("2026-11-27")),
        "as every default of a PUT"
    );
    let described = ada.get("/api/schema").await;
    let fields =
        described["entities"].as_array().unwrap().iter().find(|entity| entity["name"] == "Invitation");
    let default = |name: &str| {
        let fields = fields.unwrap()["fields"].as_array().unwrap();
        fields.iter().find(|field| field["name"] == name).unwrap()["default"].clone()
    };
    assert_eq!(default("until"), json!({"from": "now + 7d"}));
    assert_eq!(default("remind"), json!({"from": "now + 36h"}));
    assert_eq!(default("pin"), json!({"from": "random"}));
}

#[tokio::test]
async fn records_that_are_there_get_secrets_of_their_own_with_the_field() {
    let before =
        "entity = \"Invitation\"\n[fields]\ntitle = { type = \"text\" }\npin = { type = \"text\" }\n";
    let app = TestApp::over(files(&[("invitation.toml", before)]), |_| {}).await;
    let ada = app.client_as("ada");
    for number in 0..3 {
        ada.create("invitations", json!({"title": "x", "pin": number.to_string()})).await;
    }
    let ops: Vec<_> =
        (0..500).map(|_| json!({"op": "create", "entity": "Invitation", "data": {"title": "y"}})).collect();
    for _ in 0..3 {
        assert_eq!(ada.any("POST", "/api/batch", json!({"atomic": true, "ops": ops})).await.0, 200);
    }
    let after = "entity = \"Invitation\"\n[fields]\ntitle = { type = \"text\" }\n\
                 pin = { type = \"text\", required = true, unique = true, default = \"random\" }\n\
                 link = { type = \"text\", required = true, unique = true, find = true, default = \"random\" }\n";
    app.reshape(files(&[("invitation.toml", after)])).await.unwrap();
    let rows = ada.rows("invitations").await;
    assert_eq!(rows.len(), 1_503);
    let links: BTreeSet<&str> = rows.values().map(|row| row["link"].as_str().unwrap()).collect();
    let pins: BTreeSet<&str> = rows.values().map(|row| row["pin"].as_str().unwrap()).collect();
    assert_eq!((links.len(), pins.len()), (1_503, 1_503));
    assert!(rows.values().all(|row| is_random(&row["link"])));
    assert_eq!(pins.iter().filter(|pin| pin.len() == 1).count(), 3, "what had a value keeps it");
    let one = rows.values().next().unwrap();
    let found = ada.get(&format!("/api/invitations/by/link/{}", one["link"].as_str().unwrap())).await;
    assert_eq!(found["id"], one["id"]);
}

#[tokio::test]
async fn imports_fill_in_what_their_lines_leave_out() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("schemas")).unwrap();
    std::fs::write(folder.path().join("schemas/invitation.toml"), INVITATION).unwrap();
    let lines = "{\"title\": \"one\"}\n{\"title\": \"two\", \"link\": \"kept\"}\n{\"title\": \"three\"}\n";
    std::fs::write(folder.path().join("lines.jsonl"), lines).unwrap();
    let import = |more: &[&str]| {
        let mut command = tidewire(folder.path());
        command.args(["import", "Invitation", "lines.jsonl"]).args(more);
        command
    };
    let done = ended(&mut import(&[])).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    let server = Process::over(&folder.path().join("schemas"), &folder.path().join("data"), 0).await;
    let client = Client::new(server.address);
    let page = client.get("/api/invitations?sort=title").await;
    let records = page["items"].as_array().unwrap();
    let pins: Vec<_> = records.iter().map(|record| record["pin"].clone()).collect();
    assert!(pins.iter().all(is_random) && pins[0] != pins[1] && pins[1] != pins[2], "{page}");
    assert_eq!(client.get("/api/invitations/by/link/kept").await["title"], "two");
    server.stop().await;
}
