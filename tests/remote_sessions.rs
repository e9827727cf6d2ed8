//! Sessions of clients without a socket: what they say by requests, what they hear by a stream or by polls, and to whom a session
//! belongs.

use serde_json::{Value, json};

use crate::support::account::{Account, open};
use crate::support::app::{Client, TestApp};
use crate::support::peer::{Peer, WAYS, Way};
use crate::support::socket::PATIENCE;

async fn say(client: &Client, session: &str, action: &str, body: Value) -> (u16, Value) {
    client.any("POST", &format!("/api/realtime/session/{session}/{action}"), body).await
}

#[tokio::test]
async fn a_client_without_a_socket_subscribes_writes_and_unsubscribes_as_one_with_a_socket() {
    for way in WAYS {
        let app = TestApp::start().await;
        let mut peer = Peer::open(way, &app, Some("ada")).await;
        let subscribed = peer.subscribe("entity:Project", json!({"snapshot": true})).await;
        assert_eq!(subscribed["payload"]["recovered"], false, "{way:?}");
        peer.say(json!({"type": "mutate", "requestId": "m", "payload": {"op": "create", "entity": "Project", "data": {"name": "one"}, "mid": "first"}})).await;
        // An answer may come before or after its event.
        let mut both = Vec::new();
        while both.len() < 2 {
            let frame = peer.came().await.unwrap();
            match frame["type"].as_str().unwrap() {
                "ack" => {
                    assert_eq!(
                        (&frame["requestId"], &frame["payload"]["status"]),
                        (&json!("m"), &json!(201))
                    );
                    both.push(frame["payload"]["record"].clone());
                }
                "entity:created" => both.push(frame["payload"].clone()),
                "snapshot" | "pong" => {}
                other => panic!("{way:?}: {other}: {frame}"),
            }
        }
        assert_eq!(both[0], both[1], "{way:?}");
        peer.say(json!({"type": "unsubscribe", "channel": "entity:Project"})).await;
        peer.expect("unsubscribed").await;
        app.client_as("ben").create("projects", json!({"name": "two"})).await;
        peer.nothing_else().await;
    }
}

#[tokio::test]
async fn messages_of_a_room_reach_peers_on_every_transport() {
    let app = TestApp::start().await;
    let mut peers = Vec::new();
    for (way, name) in WAYS.into_iter().zip(["ada", "ben", "eve"]) {
        let mut peer = Peer::open(way, &app, Some(name)).await;
        peer.subscribe("room:x", Value::Null).await;
        peers.push((name, peer));
    }
    for sender in 0..peers.len() {
        let name = peers[sender].0;
        peers[sender]
            .1
            .say(json!({"type": "message", "channel": "room:x", "payload": {"event": "e", "data": name}}))
            .await;
        for (_, peer) in &mut peers {
            let came = peer.expect("message").await;
            assert_eq!((&came["by"], &came["payload"]["data"]), (&json!(name), &json!(name)));
        }
    }
}

#[tokio::test]
async fn a_session_of_another_caller_is_not_there_and_nothing_happens_in_it() {
    let app = TestApp::start().await;
    for way in [Way::Sse, Way::LongPoll] {
        let mut peer = Peer::open(way, &app, Some("ada")).await;
        let id = peer.session.clone();
        assert!(id.len() >= 22, "{id} has 128 bits");
        for other in [app.client_as("ben"), app.client()] {
            let (status, body) = say(&other, &id, "subscribe", json!({"channel": "entity:Project"})).await;
            assert_eq!((status, &body["code"]), (404, &json!("NOT_FOUND")), "{body}");
            let mutate = json!({"payload": {"op": "create", "entity": "Project", "data": {"name": "one"}}});
            assert_eq!(say(&other, &id, "mutate", mutate).await.0, 404);
            let path = format!("/api/realtime/session/{id}");
            assert_eq!(other.any("GET", &path, Value::Null).await.0, 404);
            assert_eq!(other.any("DELETE", &path, Value::Null).await.0, 404);
        }
        peer.nothing_else().await;
        assert!(app.rows("projects").await.is_empty(), "nothing was written");
        // The caller that opened it may.
        let end =
            app.client_as("ada").any("DELETE", &format!("/api/realtime/session/{id}"), Value::Null).await;
        assert_eq!(end.0, 204);
        while peer.came().await.is_some() {}
        assert_eq!(say(&app.client_as("ada"), &id, "ping", json!({})).await.0, 404);
    }
}

#[tokio::test]
async fn a_user_has_no_way_into_the_session_of_an_anonymous_caller() {
    let app = TestApp::start().await;
    for way in [Way::Sse, Way::LongPoll] {
        let mut peer = Peer::open(way, &app, None).await;
        assert_eq!(say(&app.client_as("ada"), &peer.session, "ping", json!({})).await.0, 404);
        // Another anonymous caller who knows the id is the same to the server.
        assert_eq!(say(&app.client(), &peer.session, "ping", json!({"requestId": "p"})).await.0, 202);
        assert_eq!(peer.expect("pong").await["requestId"], "p");
    }
}

#[tokio::test]
async fn a_session_that_is_sent_another_token_outlives_the_first_login() {
    for way in [Way::Sse, Way::LongPoll] {
        let app = TestApp::with(open).await;
        let (desk, phone) = (Account::register(&app, "ada").await, Account::log_in(&app, "ada").await);
        let mut peer = Peer::by_requests(way, Client::bearing(app.address, &desk.token)).await;
        peer.subscribe("entity:Task", json!({})).await;
        let auth = json!({"type": "auth", "requestId": "a", "payload": {"token": phone.token}});
        let path = format!("/api/realtime/session/{}/auth", peer.session);
        let accepted = phone.call("POST", &path, auth).await;
        assert_eq!(accepted.status, 202, "{way:?}: {}", accepted.text);
        let renewed = peer.expect("auth:ok").await;
        assert_eq!(
            (&renewed["requestId"], &renewed["payload"]["userId"]),
            (&json!("a"), &json!(phone.id)),
            "{way:?}: {renewed}"
        );
        peer.comes_as(Client::bearing(app.address, &phone.token));
        assert_eq!(desk.call("POST", "/api/auth/logout", Value::Null).await.status, 204);
        phone.call("POST", "/api/tasks", json!({"title": "after"})).await;
        let created = peer.expect("entity:created").await;
        assert_eq!(created["payload"]["title"], "after", "{way:?}: the channel goes on");
        assert_eq!(phone.call("POST", "/api/auth/logout", Value::Null).await.status, 204);
        // Without a token a poll is not answered.
        if way == Way::Sse {
            assert_eq!(peer.expect("error").await["payload"]["code"], "UNAUTHENTICATED");
            assert_eq!(peer.came().await, None);
        }
    }
}

#[tokio::test]
async fn a_session_takes_no_token_of_another_user_and_one_without_a_user_takes_none() {
    for way in [Way::Sse, Way::LongPoll] {
        let app = TestApp::with(open).await;
        let (ada, ben) = (Account::register(&app, "ada").await, Account::register(&app, "ben").await);
        let auth = |token: &str| json!({"requestId": "a", "payload": {"token": token}});
        let mut peer = Peer::by_requests(way, Client::new(app.address)).await;
        let path = format!("/api/realtime/session/{}/auth", peer.session);
        let (status, body) = app.client().any("POST", &path, auth(&ada.token)).await;
        assert_eq!((status, &body["code"]), (401, &json!("UNAUTHENTICATED")), "{way:?}: {body}");
        assert_eq!(ada.call("POST", &path, auth(&ada.token)).await.status, 404, "{way:?}");
        peer.nothing_else().await;

        let mut peer = Peer::by_requests(way, Client::bearing(app.address, &ada.token)).await;
        let path = format!("/api/realtime/session/{}/auth", peer.session);
        assert_eq!(ben.call("POST", &path, auth(&ben.token)).await.status, 404, "{way:?}");
        peer.nothing_else().await;
        assert_eq!(ada.call("POST", &path, auth(&ben.token)).await.status, 202, "{way:?}");
        let refused = peer.expect("error").await;
        assert_eq!(
            (&refused["requestId"], &refused["payload"]["code"]),
            (&json!("a"), &json!("UNAUTHENTICATED")),
            "{way:?}: {refused}"
        );
        assert_eq!(peer.came().await, None, "{way:?}");
    }
}

#[tokio::test]
async fn a_session_that_takes_nothing_more_can_be_ended_all_the_same() {
    let app = TestApp::start().await;
    let ada = app.client_as("ada");
    let opened = ada.call("POST", "/api/realtime/session?channel=entity:Project", Value::Null).await.json;
    let session = opened["session"].as_str().unwrap();
    // More events than wait for a poll, so the session reads nothing from its peer either.
    let ops: Vec<Value> = (0..300)
        .map(|n| json!({"op": "create", "entity": "Project", "data": {"name": n.to_string()}}))
        .collect();
    ada.call("POST", "/api/batch", json!({"atomic": false, "ops": ops})).await;
    while say(&ada, session, "ping", json!({})).await.0 != 429 {}
    let path = format!("/api/realtime/session/{session}");
    assert_eq!(ada.call("DELETE", &path, Value::Null).await.status, 204);
    for (method, status) in [("GET", 404), ("DELETE", 404)] {
        assert_eq!(ada.call(method, &path, Value::Null).await.status, status, "{method}");
    }
    let gone = async {
        while app.connections() > 0 {
            tokio::task::yield_now().await;
        }
    };
    // Without a sign of life it would end after 75 seconds.
    tokio::time::timeout(PATIENCE, gone).await.expect("the session ends now");
}

#[tokio::test]
async fn a_poll_whose_answer_was_lost_gets_the_same_frames_again() {
    let app = TestApp::start().await;
    let ada = app.client_as("ada");
    let opened = ada.call("POST", "/api/realtime/session?channel=entity:Project", Value::Null).await.json;
    let session = opened["session"].as_str().unwrap();
    let after = |cursor: &Value| format!("/api/realtime/session/{session}?after={cursor}&wait=15");
    let mut twice = Vec::new();
    for _ in 0..2 {
        // The answer to the opening is as if it were lost.
        let mut first = ada.get(&after(&json!(0))).await;
        while first["frames"].as_array().unwrap().len() < 2 {
            first = ada.get(&after(&json!(0))).await;
        }
        assert_eq!(first["frames"][0]["type"], "connected", "{first}");
        twice.push(first);
    }
    let again = twice.pop().unwrap();
    assert_eq!(again, twice[0]);
    app.client_as("ben").create("projects", json!({"name": "one"})).await;
    let next = ada.get(&after(&again["cursor"])).await;
    assert_eq!(next["frames"][0]["type"], "entity:created", "{next}");
    let (status, ahead) = ada.get_any(&after(&json!(99))).await;
    assert_eq!((status, &ahead["code"]), (400, &json!("BAD_QUERY")), "{ahead}");
}
