//! Who a socket is on a server that needs a token from every caller, and how a user whose account ends loses every
//! connection, subscribed or not.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::account::{Account, PASSWORD, open};
use crate::support::app::{Client, TestApp};
use crate::support::socket::{Came, Socket};

/// A server without anonymous callers.
async fn closed(token_wait: Duration) -> TestApp {
    TestApp::serving(|config| {
        open(config);
        config.auth.anonymous = false;
        config.auth.token_wait = token_wait;
        config.realtime.connections_per_user = 2;
    })
    .await
}

const LONG: Duration = Duration::from_secs(60);

fn auth(token: &str) -> Value {
    json!({"type": "auth", "requestId": "a", "payload": {"token": token}})
}

/// The very next thing is this error, then the close.
async fn is_sent_away(socket: &mut Socket, code: &str, request: Value, close: u16) {
    let error = socket.frame().await;
    assert_eq!((&error["type"], &error["payload"]["code"]), (&json!("error"), &json!(code)), "{error}");
    assert_eq!(error["requestId"], request, "{error}");
    assert_eq!(socket.closed().await, Some(close));
}

#[tokio::test]
async fn a_socket_comes_in_by_the_token_in_its_first_frame() {
    let app = closed(LONG).await;
    let ada = Account::register(&app, "ada").await;
    let mut socket = Socket::open_at(app.address, "/ws").await;
    socket.send(&json!({"type": "ping", "requestId": "p"})).await;
    let pong = socket.frame().await;
    assert_eq!((&pong["type"], &pong["requestId"]), (&json!("pong"), &json!("p")), "{pong}");
    assert!(pong["payload"].get("seq").is_none_or(Value::is_null), "a stranger learns no position: {pong}");

    socket.send(&auth(&ada.token)).await;
    let connected = socket.frame().await;
    assert_eq!(
        (&connected["type"], &connected["payload"]["userId"]),
        (&json!("connected"), &json!(ada.id)),
        "{connected}"
    );
    assert!(connected["payload"]["expiresAt"].is_string(), "{connected}");
    let done = socket.frame().await;
    assert_eq!(
        (&done["type"], &done["requestId"], &done["payload"]["userId"]),
        (&json!("auth:ok"), &json!("a"), &json!(ada.id)),
        "{done}"
    );
    socket.subscribe("entity:Task", json!({})).await;
    ada.call("POST", "/api/tasks", json!({"title": "one"})).await;
    assert_eq!(socket.expect("entity:created").await["payload"]["title"], "one");
    assert_eq!(ada.call("POST", "/api/auth/logout", Value::Null).await.status, 204);
    is_sent_away(&mut socket, "UNAUTHENTICATED", Value::Null, 4401).await;
}

#[tokio::test]
async fn a_socket_that_sends_no_token_in_time_is_closed_and_learns_nothing() {
    for wait in [Duration::from_millis(50), Duration::ZERO] {
        let app = closed(wait).await;
        let mut socket = Socket::open_at(app.address, "/ws").await;
        is_sent_away(&mut socket, "UNAUTHENTICATED", Value::Null, 4401).await;
        assert_eq!(app.client().call("GET", "/api/tasks", Value::Null).await.status, 401);
    }
}

#[tokio::test]
async fn nothing_but_a_good_token_opens_the_door() {
    let app = closed(LONG).await;
    let ada = Account::register(&app, "ada").await;
    let gone = Account::log_in(&app, "ada").await;
    assert_eq!(gone.call("POST", "/api/auth/logout", Value::Null).await.status, 204);
    let frame = |kind: &str| json!({"type": kind, "channel": "entity:Task", "requestId": "r"}).to_string();
    for (text, request) in [
        (frame("subscribe"), json!("r")),
        (frame("unsubscribe"), json!("r")),
        (frame("mutate"), json!("r")),
        ("not JSON".to_owned(), Value::Null),
        (json!({"type": "auth", "requestId": "a", "payload": {}}).to_string(), json!("a")),
        (auth("").to_string(), json!("a")),
        (auth("tws_nonsense").to_string(), json!("a")),
        (auth(&gone.token).to_string(), json!("a")),
        (auth(&format!("Bearer {}", ada.token)).to_string(), json!("a")),
    ] {
        let mut socket = Socket::open_at(app.address, "/ws").await;
        socket.send_text(&text).await;
        is_sent_away(&mut socket, "UNAUTHENTICATED", request, 4401).await;
    }
    // The door holds the cap of a user, too.
    let mut first = Vec::new();
    for _ in 0..2 {
        let mut socket = Socket::open_at(app.address, "/ws").await;
        socket.send(&auth(&ada.token)).await;
        socket.expect("connected").await;
        socket.expect("auth:ok").await;
        first.push(socket);
    }
    let mut third = Socket::open_at(app.address, "/ws").await;
    third.send(&auth(&ada.token)).await;
    is_sent_away(&mut third, "CONNECTION_LIMIT", json!("a"), 4020).await;
    drop(first);
    app.wait_for_metric("tidewire_sessions{transport=\"ws\"}", 0.0).await;
}

#[tokio::test]
async fn peers_at_the_door_are_told_to_come_back_when_the_server_stops() {
    let app = closed(LONG).await;
    let mut socket = Socket::open_at(app.address, "/ws").await;
    socket.send(&json!({"type": "ping"})).await;
    socket.expect("pong").await;
    let stopped = app.stop();
    assert_eq!(socket.closed().await, Some(1012));
    stopped.await;
}

/// A socket of a user of `dev` or of a session, past `connected`.
async fn socket(app: &TestApp, path: &str, account: Option<&Account>) -> Socket {
    let bearer = account.map(Account::bearer).unwrap_or_default();
    let headers: &[(&'static str, &str)] =
        if account.is_some() { &[("authorization", &bearer)] } else { &[] };
    let mut socket = Socket::try_open(app.address, path, headers, None).await.unwrap();
    assert_eq!(socket.frame().await["type"], "connected");
    socket
}

#[tokio::test]
async fn a_disabled_user_loses_connections_without_a_subscription_too() {
    let app = TestApp::with(open).await;
    let (ada, ben) = (Account::register(&app, "ada").await, Account::register(&app, "ben").await);
    let mut of_ada = [socket(&app, "/ws", Some(&ada)).await, socket(&app, "/ws", Some(&ada)).await];
    let mut renewed = socket(&app, "/ws", None).await;
    renewed.send(&auth(&ada.token)).await;
    renewed.expect("auth:ok").await;
    let (mut eve, mut of_ben) =
        (socket(&app, "/ws?as=eve", None).await, socket(&app, "/ws", Some(&ben)).await);
    let root = app.client();
    // Other changes of a user are no reason to close anything.
    root.patch(&format!("/api/users/{}", ada.id), json!({"name": "Ada"})).await;
    for user in [&*ada.id, "eve"] {
        root.patch(&format!("/api/users/{user}"), json!({"disabled": true})).await;
    }
    for socket in of_ada.iter_mut().chain([&mut renewed, &mut eve]) {
        is_sent_away(socket, "ACCOUNT_DISABLED", Value::Null, 4403).await;
    }
    of_ben.nothing_else().await;
}

/// A hundred records a second, until it is aborted.
fn writing(by: Client) -> tokio::task::JoinHandle<()> {
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    tokio::spawn(async move {
        loop {
            pace.tick().await;
            by.create("tasks", json!({"title": "x"})).await;
        }
    })
}

/// How the rights of a user end.
#[derive(Debug, Clone, Copy)]
enum End {
    Disabled,
    LoggedOut,
    Deleted,
    /// By another session of theirs.
    NewPassword,
    /// By an administrator.
    Revoked,
}

impl End {
    async fn perform(self, ada: &Account, elsewhere: &Account, root: &Client) {
        let path = format!("/api/users/{}", ada.id);
        match self {
            End::Disabled => drop(root.patch(&path, json!({"disabled": true})).await),
            End::LoggedOut => drop(ada.call("POST", "/api/auth/logout", Value::Null).await),
            End::Deleted => root.delete(&path).await,
            End::NewPassword => {
                let body = json!({"oldPassword": PASSWORD, "password": "another horse"});
                assert_eq!(elsewhere.call("POST", "/api/auth/password", body).await.status, 200);
            }
            End::Revoked => {
                let listed = root.get("/api/admin/sessions").await;
                for session in listed["items"].as_array().unwrap() {
                    root.delete(&format!("/api/admin/sessions/{}", session["id"].as_str().unwrap())).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn under_a_hundred_writes_a_second_nothing_follows_the_end_of_a_user() {
    for end in [End::Disabled, End::LoggedOut, End::Deleted, End::NewPassword, End::Revoked] {
        let app = TestApp::with(open).await;
        let (ada, root) = (Account::register(&app, "ada").await, app.client_as("root:admin"));
        let elsewhere = Account::log_in(&app, "ada").await;
        let (mut idle, mut live) =
            (socket(&app, "/ws", Some(&ada)).await, socket(&app, "/ws", Some(&ada)).await);
        live.subscribe("entity:Task", json!({})).await;
        let writer = writing(root.clone());
        for _ in 0..20 {
            live.expect("entity:created").await;
        }
        end.perform(&ada, &elsewhere, &root).await;
        let (at, head) = (Instant::now(), app.head());
        // What was committed before the end may still be on its way.
        let last = loop {
            match live.came().await {
                Came::Frame(frame) if frame["type"] == "entity:created" => {
                    assert!(frame["seq"].as_u64().unwrap() <= head, "{end:?}: {frame} came after {head}");
                }
                Came::Frame(frame) if frame["type"] == "error" || frame["type"] == "pong" => {}
                Came::Frame(frame) => panic!("{end:?}: {frame}"),
                Came::Closed(code) => break code,
            }
        };
        let expected = if matches!(end, End::Disabled) { 4403 } else { 4401 };
        assert_eq!(last, Some(expected), "{end:?}");
        while let Came::Frame(frame) = idle.came().await {
            assert_eq!(frame["type"], "error", "{end:?}: {frame}");
        }
        assert!(at.elapsed() < Duration::from_secs(1), "{end:?}: {:?}", at.elapsed());
        writer.abort();
    }
}
