//! A server behind a proxy: what `X-Forwarded-*` headers do, and from whom.

use serde_json::{Value, json};

use crate::support::app::{Answer, Client, TestApp};

/// A server with two requests a minute for an address, whose proxy, on loopback, is trusted or not.
async fn behind(trusted: &[&str]) -> TestApp {
    let trusted = trusted.iter().map(|network| network.parse().unwrap()).collect();
    TestApp::with(|config| {
        config.trusted_proxies = trusted;
        config.http.anonymous_requests = 2;
        config.allowed_hosts = vec!["tide.example".to_owned()];
    })
    .await
}

async fn from(api: &Client, client: &str) -> Answer {
    api.call_with("GET", "/api/tasks", Value::Null, &[("X-Forwarded-For", client)]).await
}

#[tokio::test]
async fn each_client_of_a_trusted_proxy_has_limits_of_its_own() {
    let app = behind(&["127.0.0.1/32"]).await;
    let api = app.client();
    for _ in 0..2 {
        assert_eq!(from(&api, "203.0.113.7").await.status, 200);
    }
    assert_eq!(from(&api, "203.0.113.7").await.status, 429);
    for invented in ["127.0.0.1, 203.0.113.7", "203.0.113.8, 203.0.113.7", "nonsense, 203.0.113.7:99"] {
        assert_eq!(from(&api, invented).await.status, 429, "{invented}");
    }
    assert_eq!(from(&api, "203.0.113.8").await.status, 200, "others go on");
    let bad = from(&api, "nonsense").await;
    assert_eq!((bad.status, bad.json["code"].as_str()), (400, Some("BAD_HEADER")), "{}", bad.text);
}

#[tokio::test]
async fn nobody_but_a_trusted_proxy_is_believed() {
    let app = behind(&["10.0.0.0/8"]).await;
    let api = app.client();
    for number in 0..5 {
        // Still this machine, which has no limit.
        assert_eq!(from(&api, &format!("203.0.113.{number}")).await.status, 200);
        assert_eq!(from(&api, "203.0.113.7").await.status, 200);
    }
    let secure = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "tide.example")];
    let answer = api.call_with("GET", "/health", Value::Null, &secure).await;
    assert_eq!((answer.status, answer.header("strict-transport-security")), (200, ""));
    let foreign = [("X-Forwarded-Host", "127.0.0.1"), ("Host", "evil.example")];
    let answer = api.call_with("GET", "/health", Value::Null, &foreign).await;
    assert_eq!(answer.json["code"], "FORBIDDEN_HOST", "a header does not lead past the check of the host");
}

#[tokio::test]
async fn scheme_and_host_of_a_trusted_proxy_count_for_hsts_and_origins() {
    let app = behind(&["127.0.0.0/8"]).await;
    let api = app.client();
    let proxied = |origin: &'static str| {
        [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "tide.example"), ("Origin", origin)]
    };
    let own =
        api.call_with("POST", "/api/tasks", json!({"title": "x"}), &proxied("https://tide.example")).await;
    assert_eq!(own.status, 201, "{}", own.text);
    assert_eq!(own.header("strict-transport-security"), "max-age=31536000");
    let other =
        api.call_with("POST", "/api/tasks", json!({"title": "x"}), &proxied("https://evil.example")).await;
    assert_eq!(other.status, 403);
    let unknown = [("X-Forwarded-Host", "evil.example")];
    assert_eq!(api.call_with("GET", "/health", Value::Null, &unknown).await.json["code"], "FORBIDDEN_HOST");
    let plain = [("X-Forwarded-Proto", "http")];
    assert_eq!(
        api.call_with("GET", "/health", Value::Null, &plain).await.header("strict-transport-security"),
        ""
    );
}
