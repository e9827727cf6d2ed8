//! What docs/protocol.md says of snapshots, positions and channel names, each sentence against a real server.

use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::socket::Socket;

fn id(n: u8) -> String {
    format!("01900000-0000-7000-8000-0000000000{n:02}")
}

async fn subscribed(app: &TestApp, payload: Value) -> (Socket, Value) {
    let mut socket = Socket::open(app.address).await;
    let answer = socket.subscribe("entity:Task", payload).await;
    (socket, answer)
}

/// The ids of the snapshot's rows, and its closing pong.
async fn snapshot(socket: &mut Socket) -> (Vec<String>, Value) {
    let mut ids = Vec::new();
    loop {
        let frame = socket.frame().await;
        if frame["type"] == "pong" {
            return (ids, frame);
        }
        assert_eq!(frame["type"], "snapshot", "{frame}");
        for row in frame["payload"]["rows"].as_array().unwrap() {
            ids.push(row["id"].as_str().unwrap().to_owned());
        }
    }
}

#[tokio::test]
async fn the_limit_of_a_snapshot_bounds_its_rows_and_no_event() {
    let app = TestApp::start().await;
    let client = app.client();
    // Not in the order of their ids.
    for n in [3, 1, 4, 2] {
        client.create("tasks", json!({"id": id(n), "title": format!("{n}")})).await;
    }
    let (mut socket, _) = subscribed(&app, json!({"snapshot": true, "limit": 2})).await;
    let (ids, pong) = snapshot(&mut socket).await;
    assert_eq!(ids, [id(1), id(2)]);
    client.patch(&format!("/api/tasks/{}", id(4)), json!({"priority": 1})).await;
    assert_eq!(socket.expect("entity:updated").await["payload"]["id"], id(4));

    // The subscription remembers the limit, until it is given another.
    let nowhere = json!({"epoch": pong["payload"]["epoch"], "seq": 999, "view": pong["payload"]["view"]});
    let answer = socket.subscribe("entity:Task", json!({"since": nowhere})).await;
    assert_eq!(answer["payload"]["recovered"], false, "{answer}");
    assert_eq!(answer["payload"]["limited"], true, "{answer}");
    assert_eq!(snapshot(&mut socket).await.0, [id(1), id(2)]);
    socket.subscribe("entity:Task", json!({"snapshot": true, "limit": 4})).await;
    assert_eq!(snapshot(&mut socket).await.0.len(), 4);
    socket.subscribe("entity:Task", json!({"snapshot": true, "limit": 3, "sort": "-title"})).await;
    assert_eq!(snapshot(&mut socket).await.0, [id(4), id(3), id(2)]);

    socket.send(&json!({"type": "subscribe", "channel": "entity:Note", "payload": {"snapshot": true, "limit": 0}})).await;
    assert_eq!(socket.expect("error").await["payload"]["code"], "BAD_FRAME");
}

#[tokio::test]
async fn what_was_resumed_is_a_position_of_the_new_epoch_too() {
    let app = TestApp::start().await;
    app.client().create("tasks", json!({"title": "Before"})).await;
    let (mut socket, _) = subscribed(&app, json!({"snapshot": true})).await;
    let (_, pong) = snapshot(&mut socket).await;
    let mut position = pong["payload"].clone();
    app.client().create("tasks", json!({"title": "Missed"})).await;
    app.stop().await;
    let TestApp { folder, .. } = app;
    let schema = tidewire::schema::load(&crate::support::process::plain_schemas()).unwrap().schema;
    let app = TestApp::again(folder, schema.into(), |_| {}).await;

    let (_broken, answer) = subscribed(&app, json!({"since": position})).await;
    assert_eq!(answer["payload"]["recovered"], true, "{answer}");
    assert_ne!(answer["payload"]["epoch"], position["epoch"], "the server was started again");
    // The connection breaks before any event: epoch and view of the answer, the seq that was asked with.
    (position["epoch"], position["view"]) =
        (answer["payload"]["epoch"].clone(), answer["payload"]["view"].clone());
    let (mut socket, answer) = subscribed(&app, json!({"since": position})).await;
    assert_eq!(answer["payload"]["recovered"], true, "{answer}");
    let event = socket.expect("entity:created").await;
    assert_eq!((&event["prev"], &event["payload"]["title"]), (&position["seq"], &json!("Missed")), "{event}");
}

#[tokio::test]
async fn a_filter_may_stand_unencoded_and_is_another_channel_than_the_encoded_one() {
    let app = TestApp::start().await;
    let mut socket = Socket::open(app.address).await;
    let channels = [
        "entity:Task?title[starts]=Größe 3",
        "entity:Task?title%5Bstarts%5D=Gr%C3%B6%C3%9Fe%203",
        "entity:Task?title=Größe 3 = #4?",
    ];
    for channel in channels {
        socket.subscribe(channel, json!({})).await;
    }
    app.client().create("tasks", json!({"title": "Größe 3 = #4?"})).await;
    let mut told = Vec::new();
    for _ in channels {
        told.push(socket.expect("entity:created").await["channel"].as_str().unwrap().to_owned());
    }
    told.sort();
    let mut all = channels.to_vec();
    all.sort_unstable();
    assert_eq!(told, all);

    // A plus is a space, so it must be encoded.
    socket.subscribe("entity:Task?title=a+b", json!({})).await;
    socket.subscribe("entity:Task?title=a%2Bb%26c%25", json!({})).await;
    app.client().create("tasks", json!({"title": "a b"})).await;
    assert_eq!(socket.expect("entity:created").await["channel"], "entity:Task?title=a+b");
    app.client().create("tasks", json!({"title": "a+b&c%"})).await;
    assert_eq!(socket.expect("entity:created").await["channel"], "entity:Task?title=a%2Bb%26c%25");
    let values = "entity:Task?title[in]=a\\,b,c";
    socket.subscribe(values, json!({})).await;
    app.client().create("tasks", json!({"title": "a,b"})).await;
    assert_eq!(socket.expect("entity:created").await["channel"], values);

    // In the address of a poll the whole name is encoded once more.
    let path = "/api/changes?channel=entity:Task%3Fstatus%3Dopen%26priority%5Bgte%5D%3D3";
    let answer = app.client().get(path).await;
    assert_eq!(answer["channels"][0]["channel"], "entity:Task?status=open&priority[gte]=3", "{answer}");
}

#[tokio::test]
async fn a_subscribe_with_neither_is_live_at_once_and_has_no_closing_pong() {
    let app = TestApp::start().await;
    app.client().create("tasks", json!({"title": "There"})).await;
    let (mut socket, answer) = subscribed(&app, json!({})).await;
    assert_eq!((&answer["payload"]["seq"], &answer["more"]), (&json!(1), &Value::Null), "{answer}");
    socket.nothing_else().await;
}
