//! What a client without a socket can do by its session, beside following records: be somewhere, see who is there, follow the
//! activity, hold a lease, and be refused when it says too much.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::{Client, TestApp};
use crate::support::entities;
use crate::support::peer::{Peer, WAYS, Way};
use crate::support::ruled;
use crate::support::stream::EventSource;

const BOARD: &str = "presence:Board";

async fn start() -> TestApp {
    let app = TestApp::governed(tempfile::tempdir().unwrap(), ruled::schema(), |config| {
        config.realtime.presence_hold = Duration::from_millis(200);
    })
    .await;
    // A first request makes the `User` record.
    for person in ["root", "ada", "ben", "eve", "joe"] {
        app.client_as(person).get("/api/boards").await;
    }
    app
}

fn ids(frame: &Value) -> Vec<&str> {
    let users = frame["payload"]["users"].as_array().unwrap_or_else(|| panic!("no users: {frame}"));
    users.iter().map(|user| user["id"].as_str().unwrap()).collect()
}

/// The next frame about presence, which says this of these users.
async fn told(peer: &mut Peer, kind: &str, users: &[&str]) -> Value {
    let frame = peer.expect(kind).await;
    assert_eq!((ids(&frame), &frame["channel"]), (users.to_vec(), &json!(BOARD)), "{frame}");
    frame
}

async fn join(peer: &mut Peer) {
    peer.say(json!({"type": "presence:join", "channel": BOARD, "payload": {"metadata": {"at": "x"}}})).await;
}

#[tokio::test]
async fn who_joins_by_any_way_is_seen_by_every_way_and_so_are_updates_and_leaves() {
    for way in WAYS {
        let app = start().await;
        let mut watchers = Vec::new();
        for (way, name) in WAYS.into_iter().zip(["ben", "eve", "joe"]) {
            let mut watcher = Peer::open(way, &app, Some(name)).await;
            watcher.subscribe(BOARD, Value::Null).await;
            told(&mut watcher, "presence:sync", &[]).await;
            watchers.push(watcher);
        }
        let mut ada = Peer::open(way, &app, Some("ada")).await;
        join(&mut ada).await;
        told(&mut ada, "presence:sync", &["ada"]).await;
        for watcher in &mut watchers {
            let came = told(watcher, "presence:join", &["ada"]).await;
            assert_eq!(came["payload"]["users"][0]["metadata"], json!({"at": "x"}), "{way:?}");
        }
        ada.say(json!({"type": "presence:update", "channel": BOARD, "payload": {"metadata": {"at": "y"}}}))
            .await;
        for watcher in &mut watchers {
            let came = told(watcher, "presence:update", &["ada"]).await;
            assert_eq!(came["payload"]["users"][0]["metadata"], json!({"at": "y"}), "{way:?}");
        }
        ada.say(json!({"type": "presence:leave", "channel": BOARD})).await;
        for watcher in &mut watchers {
            told(watcher, "presence:leave", &["ada"]).await;
        }
        // The end of the connection is a leave as well, after the hold.
        join(&mut ada).await;
        for watcher in &mut watchers {
            told(watcher, "presence:join", &["ada"]).await;
        }
        if way == Way::LongPoll {
            let path = format!("/api/realtime/session/{}", ada.session);
            assert_eq!(app.client_as("ada").any("DELETE", &path, Value::Null).await.0, 204);
        }
        drop(ada);
        for watcher in &mut watchers {
            told(watcher, "presence:leave", &["ada"]).await;
        }
        app.stop().await;
    }
}

async fn follow(client: &Client, query: &str, id: Option<&str>) -> EventSource {
    let mut request = client.request("GET", &format!("/sse?{query}"));
    if let Some(id) = id {
        request = request.header("last-event-id", id);
    }
    let mut stream = EventSource::open(request).await;
    stream.expect("welcome").await;
    stream
}

/// Events until each of these types has come, and what came of the last one.
async fn each(stream: &mut EventSource, kinds: &[&str]) -> Vec<Value> {
    let mut found = vec![Value::Null; kinds.len()];
    while found.iter().any(Value::is_null) {
        let event = stream.came().await.expect("the stream goes on");
        let at = kinds.iter().position(|kind| event["type"] == *kind);
        if let Some(at) = at {
            found[at] = event;
        } else {
            assert!(["subscribed", "pong"].contains(&event["type"].as_str().unwrap()), "{event}");
        }
    }
    found
}

/// A plain `EventSource`, whose channels are those of its address alone.
#[tokio::test]
async fn a_stream_follows_the_activity_and_a_presence_and_resumes_what_has_a_position() {
    let app = start().await;
    let (root, ada) = (app.client_as("root"), app.client_as("ada"));
    root.create("boards", json!({"title": "one"})).await;
    let query = "channel=activity%3Fentity%3DBoard&channel=presence:Board&snapshot=true";
    let mut stream = follow(&ada, query, None).await;
    let came = each(&mut stream, &["snapshot", "presence:sync"]).await;
    let entry = &came[0]["payload"]["rows"][0];
    assert_eq!(
        (&entry["op"], &entry["entity"], &entry["by"]),
        (&json!("create"), &json!("Board"), &json!("root"))
    );
    assert!(ids(&came[1]).is_empty());
    let mut ben = Peer::open(Way::Ws, &app, Some("ben")).await;
    join(&mut ben).await;
    root.create("boards", json!({"title": "two"})).await;
    let came = each(&mut stream, &["activity", "presence:join"]).await;
    assert_eq!((&came[0]["payload"]["seq"], ids(&came[1])), (&json!(app.head()), vec!["ben"]));
    // A presence has no position, and holds back no trailer.
    stream.reach(app.head()).await;
    let id = stream.last_event_id.clone();
    drop(stream);
    root.create("boards", json!({"title": "three"})).await;
    let mut stream = follow(&ada, query, Some(&id)).await;
    let (mut sync, mut missed) = (None, Vec::new());
    while sync.is_none() || missed.is_empty() {
        let event = stream.came().await.expect("the stream goes on");
        match event["type"].as_str().unwrap() {
            "subscribed" if event["channel"] == BOARD => {}
            "subscribed" => assert_eq!(event["payload"]["recovered"], true, "{event}"),
            "presence:sync" => sync = Some(event),
            "activity" => missed.push(event["payload"]["seq"].clone()),
            "pong" => {}
            other => panic!("{other}: {event}"),
        }
    }
    assert_eq!((missed, ids(&sync.unwrap())), (vec![json!(app.head())], vec!["ben"]));
    stream.reach(app.head()).await;
}

#[tokio::test]
async fn the_activity_is_the_same_on_every_way() {
    for way in WAYS {
        let app = start().await;
        let root = app.client_as("root");
        let mut ada = Peer::open(way, &app, Some("ada")).await;
        ada.subscribe("activity?entity=Board", json!({"snapshot": true})).await;
        let board = root.create("boards", json!({"title": "one"})).await;
        let event = loop {
            let event = ada.came().await.unwrap();
            if event["type"] == "activity" {
                break event;
            }
        };
        let listed = &app.client_as("ada").get("/api/activity?entity=Board").await["items"][0];
        assert_eq!((&event["payload"], &event["payload"]["id"]), (listed, &board["id"]), "{way:?}");
    }
}

#[tokio::test]
async fn a_lease_is_held_and_released_by_every_way() {
    for way in WAYS {
        let app = start().await;
        let board = app.client_as("root").create("boards", json!({"title": "one"})).await;
        let resource = format!("Board/{}", board["id"].as_str().unwrap());
        let mut ada = Peer::open(way, &app, Some("ada")).await;
        let ask = |kind: &str, rest: Value| {
            let mut payload = json!({"resource": resource});
            payload.as_object_mut().unwrap().extend(rest.as_object().cloned().unwrap_or_default());
            json!({"type": kind, "requestId": "l", "payload": payload})
        };
        ada.say(ask("lease:acquire", Value::Null)).await;
        let held = ada.expect("lease:held").await;
        let mut ben = Peer::open(way, &app, Some("ben")).await;
        ben.say(ask("lease:acquire", Value::Null)).await;
        assert_eq!(ben.expect("error").await["payload"]["code"], "LEASE_HELD", "{way:?}");
        ada.say(ask("lease:release", json!({"fence": held["payload"]["fence"]}))).await;
        assert_eq!(ada.expect("lease:released").await["requestId"], "l", "{way:?}");
    }
}

/// A flood of writes is bounded like any flood of frames, whichever way it comes; what was within the bound is done.
#[tokio::test]
async fn a_flood_of_mutations_ends_a_session_as_it_ends_a_socket() {
    for way in WAYS {
        let app = TestApp::over(entities::schema(), |config| {
            (config.realtime.messages_per_second, config.realtime.message_burst) = (1, 5);
        })
        .await;
        let mut ann = Peer::open(way, &app, Some("ann")).await;
        // A slow machine lets more through, one a second.
        let most = if way == Way::Ws { 6 } else { 100 };
        let mut taken = 0;
        while taken < most {
            let data = json!({"title": taken.to_string()});
            let payload = json!({"op": "create", "entity": "Task", "data": data});
            if !ann.says(json!({"type": "mutate", "requestId": "m", "payload": payload})).await {
                break;
            }
            taken += 1;
        }
        assert!((5..100).contains(&taken), "{way:?}: each request is one message: {taken}");
        let (mut acks, mut last) = (0, Value::Null);
        while let Some(frame) = ann.came().await {
            acks += usize::from(frame["type"] == "ack");
            last = frame;
        }
        assert_eq!(last["payload"]["code"], "RATE_LIMITED", "{way:?}: {last}");
        let written = app.rows("tasks").await.len();
        assert!(acks <= written && written < taken, "{way:?}: {acks} of {written}");
        if way != Way::Ws {
            let path = format!("/api/realtime/session/{}/ping", ann.session);
            assert_eq!(app.client_as("ann").any("POST", &path, json!({})).await.0, 404);
        }
    }
}

/// The token of the session's login is needed for each request: an id is no way around a logout.
#[tokio::test]
async fn the_end_of_a_login_ends_its_sessions() {
    use crate::support::account::{Account, open};
    let app = TestApp::over(entities::schema(), open).await;
    let ann = Account::register(&app, "ann").await;
    let opened = ann.call("POST", "/api/realtime/session?channel=entity:Task", Value::Null).await;
    assert_eq!(opened.status, 201, "{}", opened.text);
    let session = format!("/api/realtime/session/{}", opened.json["session"].as_str().unwrap());
    ann.call("POST", "/api/auth/logout", Value::Null).await;
    assert_eq!(ann.call("GET", &session, Value::Null).await.status, 401);
    app.wait_for_metric("tidewire_sessions{transport=\"ws\"}", 0.0).await;
    // Another token of the same user hears why it ended, and can do nothing with it.
    let again = Account::log_in(&app, "ann").await;
    let answer = again.call("GET", &session, Value::Null).await;
    assert_eq!((answer.status, &answer.json["ended"]), (200, &json!(true)), "{}", answer.text);
    let answer = again.call("POST", &format!("{session}/ping"), json!({})).await;
    assert_eq!((answer.status, &answer.json["code"]), (404, &json!("NOT_FOUND")), "{}", answer.text);
}
