//! Limits a minute over real sockets: requests without a user, requests of a user, openings of live connections; and what is free
//! of them. The windows themselves are tested in runtime/http/windows.rs.

use serde_json::{Value, json};
use tidewire::config::Config;

use crate::support::app::{Answer, TestApp};
use crate::support::process::plain_schemas;
use crate::support::socket::Socket;
use crate::support::stream::EventSource;

/// Limits that hold on loopback, where the tests are.
async fn limited(change: impl FnOnce(&mut Config)) -> TestApp {
    TestApp::with(|config| {
        config.http.limit_loopback = true;
        change(config);
    })
    .await
}

fn is_refused(answer: &Answer, who: &str) {
    assert_eq!((answer.status, answer.json["code"].as_str()), (429, Some("RATE_LIMITED")), "{}", answer.text);
    assert!(answer.json["detail"].as_str().unwrap().contains(who), "{}", answer.text);
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "until the end of the minute, not {wait} s");
}

#[tokio::test]
async fn an_address_without_a_user_is_refused_beyond_its_limit() {
    let app = limited(|config| config.http.anonymous_requests = 4).await;
    let api = app.client();
    for path in ["/api/tasks", "/api/tasks/count", "/api/schema", "/api/nowhere/at/all/or/so"] {
        assert_ne!(api.call("GET", path, Value::Null).await.status, 429, "{path}");
    }
    for path in ["/api/tasks", "/api/schema", "/api/nowhere/at/all/or/so", "/api/unknown"] {
        is_refused(&api.call("GET", path, Value::Null).await, "this address");
    }
    is_refused(&api.call("POST", "/api/tasks", json!({"title": "one more"})).await, "this address");
    assert!(app.client_as("ada").rows("tasks").await.is_empty(), "and a user of the same address is let in");
}

#[tokio::test]
async fn a_refused_token_counts_as_a_request_without_a_user() {
    let app = limited(|config| config.http.anonymous_requests = 2).await;
    let api = app.client();
    let guess = async |token: &str| {
        let authorization = format!("Bearer {token}");
        api.call_with("GET", "/api/tasks", Value::Null, &[("Authorization", &authorization)]).await
    };
    for token in ["one", "two"] {
        assert_eq!(guess(token).await.status, 401);
    }
    is_refused(&guess("three").await, "this address");
}

#[tokio::test]
async fn a_user_has_one_limit_on_all_connections() {
    let app = limited(|config| config.http.user_requests = 3).await;
    for _ in 0..3 {
        assert_eq!(app.client_as("ada").get_any("/api/tasks").await.0, 200);
    }
    is_refused(&app.client_as("ada").call("GET", "/api/tasks", Value::Null).await, "this user");
    assert_eq!(app.client_as("ben").get_any("/api/tasks").await.0, 200, "others go on");
    assert_eq!(app.client().get_any("/api/tasks").await.0, 200);
}

#[tokio::test]
async fn an_address_opens_so_many_sockets_in_a_minute() {
    let app = limited(|config| config.http.stream_openings = 3).await;
    for _ in 0..3 {
        // Closed again, and counted all the same.
        Socket::open(app.address).await;
    }
    let refused = Socket::try_open(app.address, "/ws", &[], None).await.err().expect("no fourth");
    assert!(refused.to_string().contains("429"), "{refused}");
    assert_eq!(app.client().get_any("/api/tasks").await.0, 200, "requests have a limit of their own");
}

#[tokio::test]
async fn an_address_opens_so_many_streams_in_a_minute_and_is_told_when_to_come_back() {
    let app = limited(|config| config.http.stream_openings = 2).await;
    let path = "/sse?channel=entity:Task";
    // A socket counts as a stream does.
    Socket::open(app.address).await;
    drop(EventSource::open(app.client().request("GET", path)).await);
    is_refused(&app.client().call("GET", path, Value::Null).await, "this address");
}

#[tokio::test]
async fn a_machine_is_not_limited_and_a_guest_counts_as_an_anonymous_caller() {
    const GUESTS: &str = "k9Jx2mQ7vR4tW8yB3nL6pF1sD5gH0zCa-X";
    const MACHINE: &str = "Zq8Wn3Vb6Xc1Ly4Kt9Hs2Gd7Fj5Pm0Ra-Y";
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.toml");
    let file =
        format!("[shared.page]\nsecrets = [\"{GUESTS}\"]\n[services.worker]\nsecrets = [\"{MACHINE}\"]\n");
    std::fs::write(&tokens, file).unwrap();
    let schema = tidewire::schema::load(&plain_schemas()).unwrap().schema;
    let app = TestApp::again(folder, schema.into(), |config| {
        (config.http.limit_loopback, config.auth.tokens) = (true, Some(tokens));
        (config.http.anonymous_requests, config.http.user_requests) = (2, 2);
    })
    .await;
    let api = app.client();
    let ask = async |token: &str| {
        let bearer = format!("Bearer {token}");
        api.call_with("GET", "/api/tasks", Value::Null, &[("authorization", &bearer)]).await
    };
    for _ in 0..20 {
        assert_eq!(ask(MACHINE).await.status, 200);
    }
    // Each request is another guest, so what counts is the address.
    for _ in 0..2 {
        assert_eq!(ask(GUESTS).await.status, 200);
    }
    is_refused(&ask(GUESTS).await, "this address");
    is_refused(&api.call("GET", "/api/tasks", Value::Null).await, "this address");
    assert_eq!(ask(MACHINE).await.status, 200);
}

#[tokio::test]
async fn assets_pages_and_checks_are_free() {
    let app = limited(|config| (config.http.anonymous_requests, config.http.user_requests) = (1, 1)).await;
    let api = app.client();
    assert_eq!(api.get_any("/api/tasks").await.0, 200);
    is_refused(&api.call("GET", "/api/tasks", Value::Null).await, "this address");
    for path in [
        "/health",
        "/healthz",
        "/readyz",
        "/metrics",
        "/static/signal.js",
        "/_/",
        "/_/e/tasks",
        "/_/llms.txt",
    ] {
        for _ in 0..3 {
            assert_eq!(api.call("GET", path, Value::Null).await.status, 200, "{path}");
        }
    }
}

#[tokio::test]
async fn callers_on_this_machine_are_not_limited_by_default() {
    let app = TestApp::with(|config| {
        (config.http.anonymous_requests, config.http.user_requests, config.http.stream_openings) = (1, 1, 1);
    })
    .await;
    for _ in 0..3 {
        assert_eq!(app.client().get_any("/api/tasks").await.0, 200);
        assert_eq!(app.client_as("ada").get_any("/api/tasks").await.0, 200);
        Socket::open(app.address).await;
    }
}

#[tokio::test]
async fn a_limit_of_nothing_is_none() {
    let app = limited(|config| {
        (config.http.anonymous_requests, config.http.user_requests, config.http.stream_openings) = (0, 0, 0);
    })
    .await;
    for _ in 0..200 {
        assert_eq!(app.client().get_any("/api/schema").await.0, 200);
    }
    Socket::open(app.address).await;
}

/// A refusal says nothing of what was asked for: it is the same for an entity that is closed to the caller and for one that
/// does not exist.
#[tokio::test]
async fn a_refusal_is_the_same_for_what_exists_and_what_does_not() {
    let app = limited(|config| config.http.anonymous_requests = 1).await;
    let api = app.client();
    assert_eq!(api.get_any("/api/schema").await.0, 200);
    let mut answers = Vec::new();
    for path in ["/api/tasks", "/api/tasks/nope", "/api/secrets", "/api/secrets/nope"] {
        let mut answer = api.call("GET", path, Value::Null).await;
        is_refused(&answer, "this address");
        for changing in ["requestId", "detail"] {
            answer.json.as_object_mut().unwrap().remove(changing);
        }
        answers.push(answer.json);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
}
