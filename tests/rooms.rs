//! Rooms and private channels over real sockets: who gets a message, who does not, and what is refused.

use serde_json::{Value, json};
use tidewire::config::{NameRuleText, NameRuleTexts, WordRuleText};
use tidewire::protocol::RoomMessage;

use crate::support::app::{Client, TestApp};
use crate::support::ruled;
use crate::support::socket::Socket;
use crate::support::stream::EventSource;

const SOCKETS: &str = "tidewire_sessions{transport=\"ws\"}";

async fn socket(app: &TestApp, name: &str) -> Socket {
    let mut socket = Socket::open_at(app.address, &format!("/ws?as={name}")).await;
    socket.expect("connected").await;
    socket
}

fn message(channel: &str, payload: Value) -> Value {
    json!({"type": "message", "channel": channel, "payload": payload})
}

/// The next frame is an error with this code; its text.
async fn refused(socket: &mut Socket, code: &str) -> String {
    let error = socket.expect("error").await;
    assert_eq!(error["payload"]["code"], code, "{error}");
    error["payload"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_message_reaches_all_members_of_its_room_and_no_other_socket() {
    let app = TestApp::start().await;
    let (mut ada, mut ben, mut eve) =
        (socket(&app, "ada").await, socket(&app, "ben").await, socket(&app, "eve").await);
    let subscribed = ada.subscribe("room:board/1", Value::Null).await;
    assert_eq!(subscribed["payload"], json!({}), "a room has no position");
    ben.subscribe("room:board/1", Value::Null).await;
    eve.subscribe("room:board/2", Value::Null).await;
    let head = app.head();

    ada.send(&message("room:board/1", json!({"event": "typing", "data": {"field": "title"}}))).await;
    for socket in [&mut ada, &mut ben] {
        let came = socket.expect("message").await;
        assert_eq!(came["channel"], "room:board/1");
        assert_eq!(came["by"], "ada");
        assert_eq!(came["payload"], json!({"event": "typing", "data": {"field": "title"}}));
        assert!(came["timestamp"].is_number() && came.get("seq").is_none(), "{came}");
    }
    eve.nothing_else().await;
    assert_eq!(app.head(), head, "nothing was stored");
}

#[tokio::test]
async fn a_sender_may_leave_itself_out_and_ask_for_an_answer() {
    let app = TestApp::start().await;
    let (mut ada, mut ben) = (socket(&app, "ada").await, socket(&app, "ben").await);
    ada.subscribe("room:x", Value::Null).await;
    ben.subscribe("room:x", Value::Null).await;
    let mut said = message("room:x", json!({"event": "cursor", "data": 7, "echo": false}));
    said["requestId"] = json!("m1");
    ada.send(&said).await;
    let ack = ada.expect("ack").await;
    assert_eq!((&ack["requestId"], &ack["channel"]), (&json!("m1"), &json!("room:x")));
    assert_eq!(ben.expect("message").await["payload"]["data"], 7);
    ada.nothing_else().await;
}

/// Whether all these frames came, in any order.
fn is_greeted(came: &[Value]) -> bool {
    let has = |kind: &str, channel: &str| {
        came.iter().any(|frame| frame["type"] == kind && frame["channel"] == channel)
    };
    let refused = came.iter().any(|frame| frame["payload"]["code"] == "FORBIDDEN_CHANNEL");
    let subscribed =
        ["room:board/1", "user:ben", "entity:Task"].iter().all(|channel| has("subscribed", channel));
    subscribed && refused && has("error", "user:ada")
}

/// Channels of records, of messages, and one of another user.
const ADDRESS: &str =
    "snapshot=true&channel=room:board/1&channel=user:ben&channel=entity:Task&channel=user:ada";

#[tokio::test]
async fn the_address_of_a_stream_names_rooms_too_and_they_are_entered_again_when_it_comes_back() {
    let app = TestApp::start().await;
    let (mut ada, ben) = (socket(&app, "ada").await, app.client_as("ben"));
    let mut last_event_id = String::new();
    for round in 0..2 {
        let request = ben.request("GET", &format!("/sse?{ADDRESS}")).header("last-event-id", &last_event_id);
        let mut stream = EventSource::open(request).await;
        stream.expect("welcome").await;
        let mut came = Vec::new();
        while !is_greeted(&came) {
            came.push(stream.came().await.expect("the stream goes on"));
        }
        let task =
            came.iter().find(|frame| frame["type"] == "subscribed" && frame["channel"] == "entity:Task");
        assert_eq!(task.unwrap()["payload"]["recovered"], round > 0, "{came:?}");
        ada.send(&message("room:board/1", json!({"event": "hello"}))).await;
        let said = loop {
            let frame = stream.came().await.expect("the stream goes on");
            if frame["type"] == "message" {
                break frame;
            }
        };
        assert_eq!((&said["channel"], &said["by"]), (&json!("room:board/1"), &json!("ada")));
        app.client().create("tasks", json!({"title": "one"})).await;
        stream.reach(app.head()).await;
        last_event_id = stream.last_event_id.clone();
    }
}

#[tokio::test]
async fn the_address_of_a_session_of_polls_names_rooms_too() {
    let app = TestApp::start().await;
    let (mut ada, ben) = (socket(&app, "ada").await, app.client_as("ben"));
    let opened = ben.call("POST", &format!("/api/realtime/session?{ADDRESS}"), Value::Null).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    let session = opened.json["session"].as_str().unwrap().to_owned();
    let mut answer = opened.json;
    let mut came = Vec::new();
    let mut said = false;
    loop {
        came.extend(answer["frames"].as_array().unwrap().iter().cloned());
        if came.iter().any(|frame: &Value| frame["type"] == "message") {
            break;
        }
        if is_greeted(&came) && !said {
            said = true;
            ada.send(&message("room:board/1", json!({"event": "hello"}))).await;
        }
        let path = format!("/api/realtime/session/{session}?after={}&wait=15", answer["cursor"]);
        answer = ben.get(&path).await;
        assert_ne!(answer["frames"], json!([]), "nothing came in fifteen seconds, after {came:?}");
    }
}

#[tokio::test]
async fn after_unsubscribed_no_message_follows() {
    let app = TestApp::start().await;
    let (mut ada, mut ben) = (socket(&app, "ada").await, socket(&app, "ben").await);
    ada.subscribe("room:x", Value::Null).await;
    ben.subscribe("room:x", Value::Null).await;
    ben.send(&json!({"type": "unsubscribe", "channel": "room:x"})).await;
    ben.expect("unsubscribed").await;
    ada.send(&message("room:x", json!({"event": "hello"}))).await;
    assert_eq!(ada.expect("message").await["payload"], json!({"event": "hello", "data": null}));
    ben.nothing_else().await;
    ben.send(&json!({"type": "unsubscribe", "channel": "room:x"})).await;
    refused(&mut ben, "NOT_SUBSCRIBED").await;
}

#[tokio::test]
async fn a_socket_that_is_cut_is_in_no_room() {
    let app = TestApp::start().await;
    let (mut ada, mut ben) = (socket(&app, "ada").await, socket(&app, "ben").await);
    ada.subscribe("room:x", Value::Null).await;
    ben.subscribe("room:x", Value::Null).await;
    ben.cut();
    app.wait_for_metric(SOCKETS, 1.0).await;
    let said = RoomMessage { event: "hello".into(), data: Value::Null, echo: true };
    assert_eq!(app.rooms().publish("x", &said), Ok(1));
    drop(ada);
    app.wait_for_metric(SOCKETS, 0.0).await;
    assert_eq!(app.rooms().publish("x", &said), Ok(0));
    assert_eq!(app.rooms().count(), 0, "an empty room is forgotten");
}

#[tokio::test]
async fn a_private_channel_is_for_its_user_alone_on_all_their_connections() {
    let app = TestApp::start().await;
    let (mut tab, mut phone, mut ben) =
        (socket(&app, "ada").await, socket(&app, "ada").await, socket(&app, "ben").await);
    tab.subscribe("user:ada", Value::Null).await;
    phone.subscribe("user:ada", Value::Null).await;
    ben.send(&json!({"type": "subscribe", "channel": "user:ada"})).await;
    assert!(refused(&mut ben, "FORBIDDEN_CHANNEL").await.contains("that user alone"));
    let mut nobody = Socket::open(app.address).await;
    nobody.send(&json!({"type": "subscribe", "channel": "user:ada"})).await;
    refused(&mut nobody, "FORBIDDEN_CHANNEL").await;

    let said = RoomMessage { event: "mention".into(), data: json!({"task": 1}), echo: true };
    assert_eq!(app.rooms().notify("ada", &said), Ok(2));
    for socket in [&mut tab, &mut phone] {
        let came = socket.expect("message").await;
        assert_eq!((&came["channel"], &came["payload"]["event"]), (&json!("user:ada"), &json!("mention")));
        assert!(came.get("by").is_none(), "it is the server's: {came}");
    }
    tab.send(&message("user:ada", json!({"event": "forged"}))).await;
    assert!(refused(&mut tab, "FORBIDDEN_CHANNEL").await.contains("only the server"));
    ben.send(&message("user:ada", json!({"event": "forged"}))).await;
    refused(&mut ben, "FORBIDDEN_CHANNEL").await;
    phone.nothing_else().await;
}

#[tokio::test]
async fn a_private_channel_has_one_spelling() {
    let app = TestApp::start().await;
    let mut ada = socket(&app, "ada%20b").await;
    ada.send(&json!({"type": "subscribe", "channel": "user:ada b"})).await;
    assert!(refused(&mut ada, "BAD_CHANNEL").await.contains("`user:ada%20b`"));
    ada.subscribe("user:ada%20b", Value::Null).await;
    let said = RoomMessage { event: "hello".into(), data: Value::Null, echo: true };
    assert_eq!(app.rooms().notify("ada b", &said), Ok(1));
}

#[tokio::test]
async fn bad_messages_say_what_is_wrong_and_the_connection_lives() {
    let app = TestApp::with(|config| config.realtime.message_bytes = 1024).await;
    let mut ada = socket(&app, "ada").await;
    let long = "e".repeat(65);
    for (frame, code, word) in [
        (json!({"type": "message", "payload": {"event": "x"}}), "BAD_CHANNEL", "no `channel`"),
        (json!({"type": "message", "channel": "room:x"}), "BAD_FRAME", "`payload` must be an object"),
        (message("room:x", json!([])), "BAD_FRAME", "`payload` must be an object"),
        (message("room:x", json!({})), "BAD_FRAME", "`payload.event` is missing"),
        (message("room:x", json!({"event": 7})), "BAD_FRAME", "`payload.event` is a number"),
        (message("room:x", json!({"event": ""})), "BAD_FRAME", "1 to 64 bytes"),
        (message("room:x", json!({"event": long})), "BAD_FRAME", "1 to 64 bytes"),
        (message("room:x", json!({"event": "a\nb"})), "BAD_FRAME", "control"),
        (message("room:x", json!({"event": "x", "echo": 1})), "BAD_FRAME", "`payload.echo` is a number"),
        (message("room:x", json!({"event": "x", "dta": 1})), "BAD_FRAME", "`payload.dta` is not known"),
        (
            message("room:x", json!({"event": "x", "data": "y".repeat(1023)})),
            "MESSAGE_TOO_LARGE",
            "1024 bytes",
        ),
        (message("room:", json!({"event": "x"})), "BAD_CHANNEL", "empty"),
        (message("room:a//b", json!({"event": "x"})), "BAD_CHANNEL", "empty"),
        (message("entity:Task", json!({"event": "x"})), "FORBIDDEN_CHANNEL", "messages go to rooms"),
        (json!({"type": "subscribe", "channel": "room:x?a=b"}), "BAD_CHANNEL", "no filter"),
        (
            json!({"type": "subscribe", "channel": "room:x", "payload": {"snapshot": true}}),
            "BAD_FRAME",
            "no records",
        ),
        (json!({"type": "subscribe", "channel": "user:"}), "BAD_CHANNEL", "empty"),
    ] {
        ada.send(&frame).await;
        let text = refused(&mut ada, code).await;
        assert!(text.contains(word), "{frame}: {text}");
    }
    ada.subscribe("room:x", Value::Null).await;
    let largest = "y".repeat(1022);
    ada.send(&message("room:x", json!({"event": "x", "data": largest}))).await;
    assert_eq!(ada.expect("message").await["payload"]["data"], largest, "the limit itself fits");
}

/// Sends more messages at once than a minute allows, and answers with the refusals and how many were sent.
async fn flood(app: &TestApp) -> (Vec<String>, usize) {
    let mut ada = socket(app, "ada").await;
    for _ in 0..60 {
        ada.send(&message("room:x", json!({"event": "x"}))).await;
    }
    ada.send(&json!({"type": "ping", "requestId": "end"})).await;
    let mut texts = Vec::new();
    loop {
        let frame = ada.frame().await;
        if frame["type"] == "pong" {
            return (texts, 60);
        }
        assert_eq!(frame["payload"]["code"], "RATE_LIMITED", "{frame}");
        texts.push(frame["payload"]["message"].as_str().unwrap().to_owned());
    }
}

#[tokio::test]
async fn a_sender_has_a_rate_and_the_connection_lives() {
    let app = TestApp::with(|config| config.realtime.room_sender_messages = 1).await;
    let (texts, sent) = flood(&app).await;
    assert!(!texts.is_empty() && texts.len() < sent, "the first pass, and not all: {texts:?}");
    assert!(texts.iter().all(|text| text.contains("into rooms")), "{texts:?}");
}

#[tokio::test]
async fn a_room_has_a_rate_and_the_connection_lives() {
    let app = TestApp::with(|config| {
        config.realtime.room_messages = 1;
        config.realtime.room_sender_messages = 1_000;
    })
    .await;
    let mut eve = socket(&app, "eve").await;
    eve.subscribe("room:x", Value::Null).await;
    let (texts, sent) = flood(&app).await;
    assert!(!texts.is_empty() && texts.len() < sent, "the first pass, and not all: {texts:?}");
    assert!(texts.iter().all(|text| text.contains("this room")), "{texts:?}");
    eve.expect("message").await;
}

#[tokio::test]
async fn rooms_count_as_subscriptions() {
    let app = TestApp::with(|config| config.realtime.subscriptions = 2).await;
    let mut ada = socket(&app, "ada").await;
    ada.subscribe("room:x", Value::Null).await;
    ada.subscribe("entity:Task", Value::Null).await;
    ada.subscribe("room:x", Value::Null).await;
    for channel in ["room:y", "entity:User", "user:ada"] {
        ada.send(&json!({"type": "subscribe", "channel": channel})).await;
        refused(&mut ada, "SUBSCRIPTION_LIMIT").await;
    }
}

#[tokio::test]
async fn a_poll_has_no_messages() {
    let app = TestApp::start().await;
    let answer = app.client_as("ada").get("/api/changes?channel=room:x&channel=user:ada").await;
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{answer}");
    assert!(errors.iter().all(|error| error["code"] == "FORBIDDEN_CHANNEL"), "{errors:?}");
}

#[tokio::test]
async fn an_administrator_publishes_over_http_and_others_do_not() {
    let app = TestApp::with(|config| config.realtime.message_bytes = 1024).await;
    let mut ada = socket(&app, "ada").await;
    ada.subscribe("room:deploy/eu", Value::Null).await;
    ada.subscribe("user:ada", Value::Null).await;
    let root = app.client_as("root:admin");
    let sent = root
        .any("POST", "/api/realtime/rooms/deploy%2Feu", json!({"event": "done", "data": {"ok": true}}))
        .await;
    assert_eq!(sent, (200, json!({"receivers": 1})));
    let came = ada.expect("message").await;
    assert_eq!(
        (&came["channel"], &came["payload"]["data"]),
        (&json!("room:deploy/eu"), &json!({"ok": true}))
    );
    let sent = root.any("POST", "/api/realtime/notify/ada", json!({"event": "mention"})).await;
    assert_eq!(sent, (200, json!({"receivers": 1})));
    assert_eq!(ada.expect("message").await["channel"], "user:ada");

    for name in ["ada", "ben:editor"] {
        for path in ["/api/realtime/rooms/x", "/api/realtime/notify/ada"] {
            let (status, refused) = app.client_as(name).any("POST", path, json!({"event": "x"})).await;
            assert_eq!((status, &refused["code"]), (403, &json!("FORBIDDEN")));
        }
    }
    for (body, status, code) in [
        (json!({}), 400, "BAD_JSON"),
        (json!({"event": 1}), 400, "BAD_JSON"),
        (json!({"event": "x", "to": "ada"}), 400, "BAD_JSON"),
        (json!({"event": "x", "data": "y".repeat(1023)}), 413, "MESSAGE_TOO_LARGE"),
    ] {
        let (answered, refused) = root.any("POST", "/api/realtime/rooms/x", body.clone()).await;
        assert_eq!((answered, &refused["code"]), (status, &json!(code)), "{body}");
    }
    ada.nothing_else().await;
}

fn rules(pattern: &str, words: &[(&str, &str)]) -> NameRuleText {
    let rules = words
        .iter()
        .map(|(word, source)| WordRuleText { word: (*word).to_owned(), source: (*source).to_owned() });
    NameRuleText { pattern: pattern.to_owned(), rules: rules.collect() }
}

/// Rooms of projects are for their members, and only admins announce. Nothing else is open.
async fn ruled_app() -> (TestApp, Client) {
    let app = TestApp::governed(tempfile::tempdir().unwrap(), ruled::schema(), |config| {
        config.rooms = NameRuleTexts(vec![
            rules(
                "project/{project}",
                &[
                    ("subscribe", "project in user.memberships.project"),
                    ("publish", "project in user.memberships.project"),
                ],
            ),
            rules("news", &[("subscribe", "true"), ("publish", "user.role == 'admin'")]),
        ]);
    })
    .await;
    let root = app.client_as("root:admin");
    root.create("boards", json!({"title": "makes the user"})).await;
    (app, root)
}

#[tokio::test]
async fn rooms_follow_the_rules_of_their_pattern_and_are_closed_without_one() {
    let (app, root) = ruled_app().await;
    let mut ada = socket(&app, "ada").await;
    for channel in ["room:project/p1", "room:lobby"] {
        ada.send(&json!({"type": "subscribe", "channel": channel})).await;
        refused(&mut ada, "FORBIDDEN_CHANNEL").await;
        ada.send(&message(channel, json!({"event": "x"}))).await;
        refused(&mut ada, "FORBIDDEN_CHANNEL").await;
    }
    ada.subscribe("room:news", Value::Null).await;
    ada.send(&message("room:news", json!({"event": "x"}))).await;
    refused(&mut ada, "FORBIDDEN_CHANNEL").await;

    root.create("memberships", json!({"person": "ada", "project": "p1"})).await;
    ada.expect("rights:changed").await;
    ada.subscribe("room:project/p1", Value::Null).await;
    ada.send(&message("room:project/p1", json!({"event": "x"}))).await;
    ada.expect("message").await;
    let mut admin = socket(&app, "root:admin").await;
    admin.send(&message("room:news", json!({"event": "x"}))).await;
    assert_eq!(ada.expect("message").await["channel"], "room:news");
}

#[tokio::test]
async fn a_right_that_is_lost_ends_the_subscription_and_publishing_at_once() {
    let (app, root) = ruled_app().await;
    let mut socket_of_root = socket(&app, "root:admin").await;
    let mut ada = socket(&app, "ada").await;
    root.create("memberships", json!({"person": "root", "project": "p1"})).await;
    let member = root.create("memberships", json!({"person": "ada", "project": "p1"})).await;
    ada.subscribe("room:project/p1", Value::Null).await;
    ada.subscribe("room:news", Value::Null).await;
    root.delete(&format!("/api/memberships/{}", member["id"].as_str().unwrap())).await;
    let error = ada.expect("error").await;
    assert_eq!(
        (&error["channel"], &error["payload"]["code"]),
        (&json!("room:project/p1"), &json!("FORBIDDEN_CHANNEL"))
    );
    assert!(error.get("requestId").is_none(), "it answers no frame: {error}");

    ada.send(&message("room:project/p1", json!({"event": "x"}))).await;
    refused(&mut ada, "FORBIDDEN_CHANNEL").await;
    socket_of_root.send(&message("room:project/p1", json!({"event": "secret"}))).await;
    socket_of_root.send(&message("room:news", json!({"event": "public"}))).await;
    assert_eq!(ada.expect("message").await["payload"]["event"], "public", "the other room stays");
    root.create("memberships", json!({"person": "ada", "project": "p1"})).await;
    ada.expect("rights:changed").await;
    ada.subscribe("room:project/p1", Value::Null).await;
}
