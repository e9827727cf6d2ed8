//! Changes of many records whose rules look at many others, and whose tables write more than their own record: they stop where a
//! unit is full, and go on behind the last record.

use serde_json::{Value, json};
use tidewire::schema::{Format, SourceFile, check};

use crate::support::app::{Client, TestApp};

const ROOM: &str = "entity = \"Room\"\n[fields]\nname = { type = \"text\" }\n\
                    [access]\nread = \"true\"\ncreate = \"true\"\ndelete = \"true\"\n";

/// A change is judged by all seats of the room.
const SEAT: &str = r#"
entity = "Seat"
[fields]
room  = { type = "ref", entity = "Room", on_delete = "cascade" }
taken = { type = "bool", default = false }
note  = { type = "text", max = 20, required = true, default = "free" }
[access]
read   = "true"
create = "true"
update = "!exists(Seat, s, s.room == room && s.note == 'locked')"
delete = "!exists(Seat, s, s.room == room && s.note == 'locked')"
"#;

/// The user who takes a desk gets a note, and so does the house.
const DESK: &str = r#"
entity = "Desk"
[fields]
room  = { type = "ref", entity = "Room", on_delete = "cascade" }
taken = { type = "bool", default = false }
[access]
read   = "true"
create = "true"
update = "true"
delete = "true"
[[on]]
event  = "update"
create = "Notice"
set    = { desk = "id", text = "'taken'" }
[[on]]
event  = "update"
create = "Notice"
set    = { desk = "id", text = "'look after it'" }
"#;

const NOTICE: &str = "entity = \"Notice\"\n[fields]\ndesk = { type = \"uuid\" }\n\
                      text = { type = \"text\", max = 20 }\n[access]\nread = \"true\"\n";

async fn app(unit_entries: usize) -> TestApp {
    let files = [("room", ROOM), ("seat", SEAT), ("desk", DESK), ("notice", NOTICE)];
    let source = |(name, text): (&str, &str)| SourceFile {
        name: format!("schemas/{name}.toml"),
        format: Format::Toml,
        text: text.to_owned(),
    };
    let schema = check(&files.map(source)).unwrap_or_else(|errors| panic!("{errors}"));
    let folder = tempfile::tempdir().unwrap();
    TestApp::governed(folder, schema.into(), |config| config.store.unit_entries = unit_entries).await
}

/// A room with so many of an entity in it.
async fn room(api: &Client, entity: &str, count: usize) -> String {
    let room = api.create("rooms", json!({"name": "Hall"})).await["id"].as_str().unwrap().to_owned();
    for from in (0..count).step_by(500) {
        let one = json!({"op": "create", "entity": entity, "data": {"room": room}});
        let ops = vec![one; 500.min(count - from)];
        let (status, answer) = api.any("POST", "/api/batch", json!({"atomic": true, "ops": ops})).await;
        assert_eq!(status, 200, "{answer}");
    }
    room
}

/// Sends a change of many until nothing is left; how many each request changed.
async fn in_steps(api: &Client, method: &str, path: &str, body: Value) -> Vec<u64> {
    let (mut changed, mut cursor) = (Vec::new(), String::new());
    loop {
        let (status, answer) = api.any(method, &format!("{path}{cursor}"), body.clone()).await;
        assert_eq!((status, &answer["refused"]), (200, &json!(0)), "{answer}");
        changed.push(answer["changed"].as_u64().unwrap());
        match answer["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return changed,
        }
    }
}

/// 330 seats, each judged by 330: more rows than the rules of one unit may step over.
#[tokio::test]
async fn a_change_of_many_stops_where_its_rules_have_looked_at_enough() {
    let app = app(10_000).await;
    let ada = app.client_as("ada");
    let room = room(&ada, "Seat", 330).await;
    let path = format!("/api/seats?room={room}");
    let steps = in_steps(&ada, "PATCH", &path, json!({"taken": true})).await;
    assert!(steps.len() > 1 && steps.iter().sum::<u64>() == 330, "{steps:?}");
    assert_eq!(ada.get(&format!("/api/seats/count?room={room}&taken=true")).await["count"], 330);
    // One at a time, and with a batch, the bound is the same; the refusal says what to do.
    let seats = ada.rows("seats").await;
    let op = |id: &String| json!({"op": "update", "entity": "Seat", "id": id, "data": {"taken": false}});
    let ops: Vec<Value> = seats.keys().map(op).collect();
    let (status, answer) = ada.any("POST", "/api/batch", json!({"atomic": true, "ops": ops})).await;
    assert_eq!((status, &answer["code"]), (403, &json!("RULE_LIMIT")), "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("send fewer changes at once"), "{answer}");
    assert_eq!(ada.get(&format!("/api/seats/count?room={room}&taken=true")).await["count"], 330);
    // What the rule refuses counts as refused, in each step.
    let first = seats.keys().next().unwrap();
    ada.patch(&format!("/api/seats/{first}"), json!({"note": "locked"})).await;
    let (status, answer) = ada.any("DELETE", &path, Value::Null).await;
    assert_eq!((status, &answer["changed"], answer["next"].is_string()), (200, &json!(0), true), "{answer}");
    assert!(answer["refused"].as_u64().unwrap() > 100, "{answer}");
}

#[tokio::test]
async fn a_change_of_many_stops_before_what_its_tables_have_no_room_for() {
    let app = app(20).await;
    let ada = app.client_as("ada");
    let room = room(&ada, "Desk", 15).await;
    let head = app.head();
    let steps = in_steps(&ada, "PATCH", &format!("/api/desks?room={room}"), json!({"taken": true})).await;
    assert!(steps.iter().all(|changed| *changed <= 6) && steps.iter().sum::<u64>() == 15, "{steps:?}");
    assert_eq!(app.head(), head + 45, "each desk with its two notices");
    assert_eq!(ada.get("/api/notices/count").await["count"], 30);
}
