//! `mutate` over a socket: the same writes as over HTTP, with the same answers, as many on their way as the client likes.

use std::sync::Arc;

use serde_json::{Value, json};
use tidewire::config::RealtimeConfig;
use tidewire::ids::Seq;
use tidewire::protocol::CloseCode;
use tidewire::realtime::transport::{Arrival, Ended};
use tidewire::store::CommitError;

use crate::support::account::{Account, open};
use crate::support::app::TestApp;
use crate::support::entities;
use crate::support::fixtures::{self, epoch};
use crate::support::live::{Done, LiveServer, Peer, until};
use crate::support::puppet::Puppet;
use crate::support::socket::Socket;

fn id(n: u32) -> String {
    format!("0190a000-0000-7000-8000-{n:012x}")
}

async fn app() -> TestApp {
    TestApp::over(entities::schema(), |_| {}).await
}

async fn socket_of(app: &TestApp, name: &str) -> Socket {
    let mut socket = Socket::open_at(app.address, &format!("/ws?as={name}")).await;
    socket.expect("connected").await;
    socket
}

async fn ask(socket: &mut Socket, request: &str, payload: Value) {
    socket.send(&json!({"type": "mutate", "requestId": request, "payload": payload})).await;
}

/// The payload of the answer, which is of this type.
async fn answer(socket: &mut Socket, kind: &str, request: &str) -> Value {
    let frame = socket.expect(kind).await;
    assert_eq!(frame["requestId"], request, "{frame}");
    assert!(frame.get("channel").is_none() && frame["timestamp"].is_u64(), "{frame}");
    frame["payload"].clone()
}

async fn mutate(socket: &mut Socket, payload: Value) -> Value {
    ask(socket, "m", payload).await;
    answer(socket, "ack", "m").await
}

#[tokio::test]
async fn every_verb_is_answered_with_the_record_that_http_shows() {
    let app = app().await;
    let ann = app.client_as("ann");
    let mut socket = socket_of(&app, "ann").await;
    let created =
        mutate(&mut socket, json!({"op": "create", "entity": "Task", "data": {"id": id(1), "title": "a"}}));
    let created = created.await;
    let path = format!("/api/tasks/{}", id(1));
    assert_eq!((&created["status"], &created["id"]), (&json!(201), &json!(id(1))));
    assert_eq!(created["record"], ann.get(&path).await);
    assert_eq!(created["seq"], app.head());
    assert_eq!(created.get("replayed"), None);
    let updated =
        json!({"op": "update", "entity": "Task", "id": id(1), "data": {"title": "b"}, "version": 1});
    let updated = mutate(&mut socket, updated).await;
    assert_eq!((&updated["status"], &updated["record"]), (&json!(200), &ann.get(&path).await));
    let replaced = json!({"op": "replace", "entity": "Task", "id": id(1), "data": {"title": "c"}});
    assert_eq!(mutate(&mut socket, replaced).await["record"]["title"], "c");
    assert_eq!(ann.get(&path).await["version"], 3);
    let deleted = mutate(&mut socket, json!({"op": "delete", "entity": "Task", "id": id(1)})).await;
    assert_eq!((&deleted["status"], deleted.get("record")), (&json!(204), None));
    assert_eq!(deleted["epoch"].as_str().map(str::len), Some(32));
    assert_eq!(ann.get_any(&path).await.0, 404);
}

#[tokio::test]
async fn a_subscriber_sees_who_wrote_and_with_which_mutation_id() {
    let app = app().await;
    let mut reader = Socket::open(app.address).await;
    reader.subscribe("entity:Task", json!({})).await;
    let mut writer = socket_of(&app, "ann").await;
    let payload = json!({"op": "create", "entity": "Task", "data": {"title": "a"}, "mid": "m-1"});
    let ack = mutate(&mut writer, payload).await;
    let event = reader.expect("entity:created").await;
    assert_eq!((&event["by"], &event["mid"], &event["seq"]), (&json!("ann"), &json!("m-1"), &ack["seq"]));
    assert_eq!(event["payload"], ack["record"]);
}

/// Everything of a problem that an `error` frame has too.
fn in_words_of_a_frame(problem: &Value) -> Value {
    let mut same = json!({"code": problem["code"], "message": problem["detail"], "hint": problem["hint"]});
    for part in ["errors", "op", "current"] {
        if let Some(value) = problem.get(part) {
            same[part] = value.clone();
        }
    }
    same
}

#[tokio::test]
async fn a_write_that_http_refuses_is_refused_in_the_same_words() {
    let app = app().await;
    let ann = app.client_as("ann");
    ann.create("tasks", json!({"id": id(1), "title": "there"})).await;
    let task = |rest: &str| format!("/api/tasks{rest}");
    let here = task(&format!("/{}", id(1)));
    let table = [
        ("POST", task(""), json!({"op": "create", "entity": "Task", "data": {}})),
        ("POST", task(""), json!({"op": "create", "entity": "Task", "data": {"title": 3, "colour": "red"}})),
        ("POST", task(""), json!({"op": "create", "entity": "Task", "data": {"id": id(1), "title": "x"}})),
        (
            "POST",
            task(""),
            json!({"op": "create", "entity": "Task", "data": {"title": "x", "project": id(7)}}),
        ),
        (
            "PATCH",
            here.clone(),
            json!({"op": "update", "entity": "Task", "id": id(1), "data": {"version": 9}}),
        ),
        (
            "PATCH",
            here.clone(),
            json!({"op": "update", "entity": "Task", "id": id(1), "data": {"title": "x"}, "version": 7}),
        ),
        ("PUT", here.clone(), json!({"op": "replace", "entity": "Task", "id": id(1), "data": {}})),
        (
            "PATCH",
            task(&format!("/{}", id(2))),
            json!({"op": "update", "entity": "Task", "id": id(2), "data": {"title": "x"}}),
        ),
        (
            "PATCH",
            task("/no-uuid"),
            json!({"op": "update", "entity": "Task", "id": "no-uuid", "data": {"title": "x"}}),
        ),
        ("DELETE", task(&format!("/{}", id(2))), json!({"op": "delete", "entity": "Task", "id": id(2)})),
    ];
    let mut socket = socket_of(&app, "ann").await;
    for (method, path, payload) in table {
        let version = payload.get("version").map(|version| format!("\"{version}\""));
        let headers: Vec<(&str, &str)> =
            version.iter().map(|version| ("if-match", version.as_str())).collect();
        let body = payload.get("data").cloned().unwrap_or_default();
        let problem = ann.call_with(method, &path, body, &headers).await;
        assert!(problem.status >= 400, "{}", problem.text);
        ask(&mut socket, "m", payload.clone()).await;
        let mut error = answer(&mut socket, "error", "m").await;
        let retry = error.as_object_mut().unwrap().remove("retry");
        assert_eq!(retry, Some(json!(false)), "{error}");
        assert_eq!(error, in_words_of_a_frame(&problem.json), "{payload}");
    }
    assert_eq!(app.rows("tasks").await.len(), 1);
}

#[tokio::test]
async fn a_frame_that_is_no_mutation_is_refused_and_the_connection_lives() {
    let app = app().await;
    let mut socket = socket_of(&app, "ann").await;
    let table = [
        (r#""payload":null"#, "BAD_FRAME", "the frame has no `payload`"),
        (r#""other":1"#, "BAD_FRAME", "the frame has no `payload`"),
        (r#""payload":[1]"#, "BAD_FRAME", "`payload` is an array, not an object"),
        (r#""payload":"x""#, "BAD_FRAME", "`payload` is a string, not an object"),
        (r#""payload":{},"payload":{}"#, "BAD_FRAME", "once each"),
        (r#""payload":{}"#, "BAD_JSON", "`payload.op` is missing"),
        (r#""payload":{"op":"merge"}"#, "BAD_JSON", "`payload.op` must be one of"),
        (
            r#""payload":{"op":"delete","entity":"Task","id":"a","if":1}"#,
            "BAD_JSON",
            "`payload.if` is not a key",
        ),
        (
            r#""payload":{"op":"create","entity":"Task","data":{"title":"a","title":"b"}}"#,
            "BAD_JSON",
            "appears twice",
        ),
        (
            r#""payload":{"op":"update","entity":"Task","id":"a","data":{},"version":1e400}"#,
            "BAD_JSON",
            "`version`",
        ),
        (r#""payload":{"op":"create","entity":"Tsak","data":{}}"#, "UNKNOWN_ENTITY", "Tsak"),
        (
            r#""payload":{"op":"create","entity":"Task","data":{"title":"a"},"mid":""}"#,
            "BAD_JSON",
            "`payload.mid`",
        ),
        (r#""payload":{"ops":[]}"#, "BAD_JSON", "a batch has 1 to 500"),
    ];
    for (rest, code, words) in table {
        socket.send_text(&format!(r#"{{"type":"mutate","requestId":"m",{rest}}}"#)).await;
        let error = socket.expect("error").await;
        let payload = &error["payload"];
        assert_eq!(payload["code"], code, "{rest}: {error}");
        assert!(payload["message"].as_str().unwrap().contains(words), "{rest}: {error}");
    }
    socket.nothing_else().await;
    assert_eq!(app.rows("tasks").await.len(), 0);
}

#[tokio::test]
async fn a_number_that_is_not_kept_as_sent_is_refused_as_over_http() {
    let app = app().await;
    let ann = app.client_as("ann");
    let mut socket = socket_of(&app, "ann").await;
    for number in ["9007199254740993", "1e400", "0.30000000000000004441"] {
        let data = format!(r#"{{"title":"a","priority":{number}}}"#);
        let request = ann.request("POST", "/api/tasks").header("content-type", "application/json");
        let problem = ann.send(request.body(data.clone())).await;
        let payload = format!(r#"{{"op":"create","entity":"Task","data":{data}}}"#);
        socket.send_text(&format!(r#"{{"type":"mutate","requestId":"m","payload":{payload}}}"#)).await;
        let error = answer(&mut socket, "error", "m").await;
        assert_eq!((&error["code"], &error["errors"]), (&problem.json["code"], &problem.json["errors"]));
    }
}

#[tokio::test]
async fn a_batch_is_one_unit_or_many_as_over_http() {
    let app = app().await;
    let ann = app.client_as("ann");
    let mut socket = socket_of(&app, "ann").await;
    let create = |n: u32| json!({"op": "create", "entity": "Task", "data": {"id": id(n), "title": "t"}});
    let ack = mutate(&mut socket, json!({"ops": [create(1), create(2)], "mid": "b"})).await;
    assert_eq!((&ack["results"][1]["status"], &ack["replayed"]), (&json!(201), &json!(false)));
    let headers = [("idempotency-key", "b")];
    let http = ann.call_with("POST", "/api/batch", json!({"ops": [create(1), create(2)]}), &headers).await;
    assert_eq!((http.status, &http.json["replayed"]), (200, &json!(true)), "{}", http.text);
    assert_eq!(http.json["results"], ack["results"]);
    ask(&mut socket, "m", json!({"ops": [create(3), create(1)]})).await;
    let error = answer(&mut socket, "error", "m").await;
    assert_eq!((&error["code"], &error["op"]), (&json!("ID_TAKEN"), &json!(1)));
    let mut third = create(3);
    third["mid"] = "e".into();
    let ack = mutate(&mut socket, json!({"atomic": false, "ops": [create(1), third]})).await;
    assert_eq!(ack["results"][0]["error"]["code"], "ID_TAKEN", "{ack}");
    assert_eq!((&ack["results"][1]["status"], &ack["results"][1]["id"]), (&json!(201), &json!(id(3))));
    assert_eq!(app.rows("tasks").await.len(), 3);
}

#[tokio::test]
async fn mutations_are_answered_in_the_order_in_which_they_came() {
    let app = app().await;
    let mut socket = socket_of(&app, "ann").await;
    // Each of these stands on the one before it, and some are wrong.
    for n in 0..40 {
        let create = json!({"op": "create", "entity": "Task", "data": {"id": id(n), "title": "0"}});
        ask(&mut socket, &format!("{n}-create"), create).await;
        let update =
            json!({"op": "update", "entity": "Task", "id": id(n), "data": {"title": "1"}, "version": 1});
        ask(&mut socket, &format!("{n}-update"), update).await;
        ask(&mut socket, &format!("{n}-wrong"), json!({"op": "create", "entity": "Task"})).await;
        ask(&mut socket, &format!("{n}-delete"), json!({"op": "delete", "entity": "Task", "id": id(n)}))
            .await;
    }
    for n in 0..40 {
        let kinds = [("create", "ack"), ("update", "ack"), ("wrong", "error"), ("delete", "ack")];
        for (request, kind) in kinds {
            answer(&mut socket, kind, &format!("{n}-{request}")).await;
        }
    }
    socket.nothing_else().await;
    assert_eq!(app.head() % 3, 1, "forty records in three entries each, after Ann's own");
}

#[tokio::test]
async fn one_mutation_id_is_one_effect_whichever_way_it_comes() {
    let app = app().await;
    let ann = app.client_as("ann");
    let data = json!({"title": "once"});
    let payload = json!({"op": "create", "entity": "Task", "data": data, "mid": "same"});
    let over_socket = async || mutate(&mut socket_of(&app, "ann").await, payload.clone()).await;
    let over_http = async || {
        let headers = [("idempotency-key", "same")];
        ann.call_with("POST", "/api/tasks", data.clone(), &headers).await
    };
    let (first, second, third, fourth) = tokio::join!(over_socket(), over_http(), over_socket(), over_http());
    let records = [&first["record"], &second.json, &third["record"], &fourth.json];
    assert!(records.iter().all(|record| *record == records[0] && record["title"] == "once"), "{records:?}");
    assert_eq!(app.rows("tasks").await.len(), 1);
    let replays = [first.get("replayed"), third.get("replayed")].into_iter().flatten().count()
        + usize::from(second.header("tidewire-replayed") == "true")
        + usize::from(fourth.header("tidewire-replayed") == "true");
    assert_eq!(replays, 3, "one of four was the first");
    let mut socket = socket_of(&app, "ann").await;
    ask(&mut socket, "m", json!({"op": "create", "entity": "Task", "data": {"title": "x"}, "mid": "same"}))
        .await;
    assert_eq!(answer(&mut socket, "error", "m").await["code"], "IDEMPOTENCY_MISMATCH");
    let payload = json!({"op": "create", "entity": "Task", "data": {"title": "x"}, "mid": "same"});
    assert_eq!(mutate(&mut socket_of(&app, "ben").await, payload).await["status"], 201, "Ben's own");
}

#[tokio::test]
async fn a_repetition_shows_an_anonymous_caller_no_record() {
    let app = app().await;
    let mut socket = Socket::open(app.address).await;
    let payload = json!({"op": "create", "entity": "Task", "data": {"title": "a"}, "mid": "m-1"});
    let first = mutate(&mut socket, payload.clone()).await;
    assert_eq!(first["record"]["title"], "a");
    let again = mutate(&mut socket, payload).await;
    assert_eq!((&again["id"], &again["replayed"], again.get("record")), (&first["id"], &json!(true), None));
}

#[tokio::test]
async fn who_logs_in_on_the_socket_writes_as_that_user() {
    let app = TestApp::over(entities::schema(), open).await;
    let ann = Account::register(&app, "ann").await;
    let mut socket = Socket::open(app.address).await;
    let create = json!({"op": "create", "entity": "Task", "data": {"title": "a"}});
    // One frame behind the other: who asks is decided when a frame comes.
    ask(&mut socket, "before", create.clone()).await;
    socket.send(&json!({"type": "auth", "payload": {"token": ann.token}})).await;
    ask(&mut socket, "after", create).await;
    let mut acks = Vec::new();
    while acks.len() < 2 {
        let frame = socket.frame().await;
        if frame["type"] == "ack" {
            acks.push(frame["payload"]["id"].as_str().unwrap().to_owned());
        }
    }
    let activity = app.client().get("/api/activity?entity=Task").await;
    let author = |id: &str| {
        let items = activity["items"].as_array().unwrap();
        items.iter().find(|item| item["id"] == id).map(|item| item["by"].clone()).unwrap()
    };
    assert_eq!((author(&acks[0]), author(&acks[1])), (Value::Null, json!(ann.id)));
}

#[tokio::test]
async fn a_flood_of_mutations_ends_the_connection_like_any_flood() {
    let app = TestApp::over(entities::schema(), |config| {
        (config.realtime.messages_per_second, config.realtime.message_burst) = (1, 5);
    })
    .await;
    let mut socket = socket_of(&app, "ann").await;
    for n in 0..6 {
        ask(&mut socket, "m", json!({"op": "create", "entity": "Task", "data": {"title": n.to_string()}}))
            .await;
    }
    assert_eq!(socket.closed().await, Some(4029));
}

/// Over a store that commits nothing and says that it did; nothing is ever fanned out.
fn server(change: impl FnOnce(&mut RealtimeConfig)) -> (LiveServer, Arc<Puppet>) {
    let mut config = RealtimeConfig::default();
    change(&mut config);
    let puppet = Arc::new(Puppet::default());
    let server = LiveServer::over(puppet.clone(), fixtures::schema(), epoch(), Seq(1), config);
    (server, puppet)
}

fn create(request: usize) -> Value {
    let data = json!({"id": id(u32::try_from(request).unwrap()), "title": "t"});
    let payload = json!({"op": "create", "entity": "Task", "data": data});
    json!({"type": "mutate", "requestId": request.to_string(), "payload": payload})
}

async fn connected(server: &LiveServer) -> Peer {
    let mut peer = server.connect(None);
    peer.takes(&["connected"]).await;
    peer
}

#[tokio::test(start_paused = true)]
async fn an_ack_waits_for_no_fan_out() {
    let (server, _) = server(|_| {});
    let mut peer = connected(&server).await;
    peer.subscribe("entity:Task", &json!({}));
    peer.takes(&["subscribed"]).await;
    peer.say(&create(1));
    assert_eq!(peer.takes(&["ack"]).await[0]["payload"]["status"], 201);
    assert_eq!(server.sessions.stats().events, 0);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stands_still_holds_sixty_four_mutations_of_a_connection_and_loses_none() {
    let (server, puppet) = server(|config| config.message_burst = 1_000);
    let mut peer = connected(&server).await;
    puppet.held.send_replace(true);
    (0..100).for_each(|n| peer.say(&create(n)));
    peer.say(&json!({"type": "ping", "requestId": "p"}));
    until(|| puppet.units.lock().len() >= 64).await;
    // Long enough for a peer that says nothing to be given up. On the paused clock: it takes no real time, and passes only when
    // every task of the server waits.
    tokio::time::sleep(std::time::Duration::from_secs(120)).await;
    assert_eq!(puppet.units.lock().len(), 64, "the others wait with the peer");
    puppet.held.send_replace(false);
    let mut answers = Vec::new();
    while answers.len() < 101 {
        match peer.done().await {
            Done::Frame(frame) if frame["type"] == "pong" && frame.get("requestId").is_none() => {}
            Done::Frame(frame) => answers.push((frame["type"].clone(), frame["requestId"].clone())),
            Done::Ping => peer.arrives(Arrival::Life),
            Done::Closed(ended) => panic!("{ended:?}"),
        }
    }
    let acks: Vec<_> = answers.iter().filter(|(kind, _)| kind == "ack").map(|(_, id)| id.clone()).collect();
    assert_eq!(acks, (0..100).map(|n| json!(n.to_string())).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_answers_what_it_is_writing() {
    let (server, puppet) = server(|_| {});
    let mut peer = connected(&server).await;
    puppet.held.send_replace(true);
    (0..3).for_each(|n| peer.say(&create(n)));
    until(|| puppet.units.lock().len() == 3).await;
    server.sessions.lifecycle().drain();
    // The notice has arrived when the commits complete: on the paused clock this passes only when every task of the server waits.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    puppet.held.send_replace(false);
    peer.takes(&["ack", "ack", "ack", "drain"]).await;
    assert_eq!(peer.done().await, Done::Closed(Ended::ByServer(CloseCode::Restart)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_does_not_wait_for_a_store_that_stands_still() {
    let (server, puppet) = server(|_| {});
    let mut peer = connected(&server).await;
    puppet.held.send_replace(true);
    peer.say(&create(1));
    until(|| puppet.units.lock().len() == 1).await;
    server.sessions.lifecycle().drain();
    peer.takes(&["drain"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_in_trouble_is_told_with_its_code_and_a_later_try() {
    let (server, puppet) = server(|_| {});
    let mut peer = connected(&server).await;
    let table = [
        (CommitError::Overloaded, "OVERLOADED"),
        (CommitError::Closed, "SHUTTING_DOWN"),
        (CommitError::Storage("secret".to_owned()), "STORAGE_ERROR"),
    ];
    for (refusal, code) in table {
        puppet.refusals.lock().push(refusal);
        peer.say(&create(1));
        let error = &peer.takes(&["error"]).await[0];
        assert_eq!((&error["payload"]["code"], &error["payload"]["retry"]), (&json!(code), &json!(true)));
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
