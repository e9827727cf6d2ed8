//! What browsers are told over real sockets: the headers of every answer, and what pages of other origins may do (CORS).

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::account::{Account, PASSWORD, open};
use crate::support::app::{Answer, TestApp};
use crate::support::socket::Socket;

const APP: &str = "https://app.example";

async fn with_origins(origins: &[&str]) -> TestApp {
    let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
    TestApp::with(|config| config.allowed_origins = origins).await
}

async fn preflight(app: &TestApp, path: &str, origin: &str) -> Answer {
    let request = app.client().request("OPTIONS", path).header("Origin", origin);
    app.client().send(request.header("Access-Control-Request-Method", "PATCH")).await
}

#[tokio::test]
async fn every_answer_protects_the_browser_that_shows_it() {
    let app = TestApp::start().await;
    std::fs::create_dir_all(app.folder.path().join("public")).unwrap();
    std::fs::write(app.folder.path().join("public/own.html"), "<!doctype html><title>Own</title>").unwrap();
    let api = app.client();
    for (method, path, status) in [
        ("GET", "/", 307),
        ("GET", "/_/", 200),
        ("GET", "/_/e/tasks", 200),
        ("GET", "/static/pages/icon.svg", 200),
        ("GET", "/static/nothing.js", 404),
        ("GET", "/own.html", 200),
        ("GET", "/nothing", 404),
        ("GET", "/health", 200),
        ("GET", "/metrics", 200),
        ("GET", "/api/tasks", 200),
        ("GET", "/api/unknown", 404),
        ("GET", "/api/tasks?as=:", 401),
        ("POST", "/api/tasks", 415),
        ("DELETE", "/_/", 405),
        ("GET", "/ws", 400),
    ] {
        let answer = api.call(method, path, Value::Null).await;
        assert_eq!(answer.status, status, "{method} {path}");
        for (name, expected) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("x-frame-options", "DENY"),
            ("strict-transport-security", ""),
            ("access-control-allow-origin", ""),
            ("access-control-allow-credentials", ""),
        ] {
            assert_eq!(answer.header(name), expected, "{name} of {method} {path}");
        }
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("default-src '"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert!(answer.header("permissions-policy").contains("microphone=()"), "{path}");
    }
    let data = api.call("GET", "/api/tasks", Value::Null).await;
    assert!(data.header("content-security-policy").starts_with("default-src 'none'"));
}

#[tokio::test]
async fn scripts_and_styles_of_the_server_carry_what_matters_for_them_alone() {
    let app = TestApp::start().await;
    std::fs::create_dir_all(app.folder.path().join("public")).unwrap();
    std::fs::write(app.folder.path().join("public/worker.js"), "onmessage = () => {};").unwrap();
    for path in ["/static/signal.js", "/static/pages/pages.css", "/static/pack/pages/home.js"] {
        let first = app.client().call("GET", path, Value::Null).await;
        let known = [("If-None-Match", first.header("etag"))];
        let again = app.client().call_with("GET", path, Value::Null, &known).await;
        assert_eq!((first.status, again.status), (200, 304), "{path}");
        for answer in [&first, &again] {
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
            for name in
                ["content-security-policy", "permissions-policy", "referrer-policy", "x-frame-options"]
            {
                assert_eq!(answer.header(name), "", "{name} of {path}");
            }
        }
    }
    let own = app.client().call("GET", "/worker.js", Value::Null).await;
    assert!(
        own.header("content-security-policy").contains("default-src 'self'"),
        "a worker has that of its script"
    );
}

#[tokio::test]
async fn own_pages_have_the_policies_of_the_settings_and_the_pages_of_the_server_do_not() {
    let app = TestApp::with(|config| {
        config.http.content_security_policy = "default-src https:".to_owned();
        config.http.permissions_policy = "camera=(self)".to_owned();
    })
    .await;
    std::fs::create_dir_all(app.folder.path().join("public")).unwrap();
    std::fs::write(app.folder.path().join("public/own.html"), "<!doctype html><title>Own</title>").unwrap();
    let own = app.client().call("GET", "/own.html", Value::Null).await;
    assert_eq!(own.header("content-security-policy"), "default-src https:");
    assert_eq!(own.header("permissions-policy"), "camera=(self)");
    let page = app.client().call("GET", "/_/", Value::Null).await;
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
    assert!(page.header("permissions-policy").contains("camera=()"));
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_reads_and_writes_and_brings_no_cookie() {
    let app = with_origins(&[APP]).await;
    let api = app.client();
    let asked = preflight(&app, "/api/tasks", APP).await;
    assert_eq!(asked.status, 204, "{}", asked.text);
    assert_eq!(asked.header("access-control-allow-origin"), APP);
    assert!(asked.header("access-control-allow-methods").contains("PATCH"));
    for header in ["Authorization", "If-Match", "Idempotency-Key", "Last-Event-ID"] {
        assert!(asked.header("access-control-allow-headers").contains(header), "{header}");
    }
    assert_eq!(asked.header("access-control-max-age"), "7200");
    assert!(asked.header("vary").contains("Origin"));
    let written =
        api.call_with("POST", "/api/tasks", json!({"title": "from afar"}), &[("Origin", APP)]).await;
    assert_eq!(written.status, 201, "{}", written.text);
    let read = api.call_with("GET", "/api/tasks", Value::Null, &[("Origin", APP)]).await;
    for answer in [&written, &read, &asked] {
        assert_eq!(answer.header("access-control-allow-origin"), APP);
        assert_eq!(answer.header("access-control-allow-credentials"), "", "never for a foreign origin");
    }
    assert!(read.header("access-control-expose-headers").contains("Tidewire-Seq"));
    let missing = api.call_with("GET", "/api/unknown", Value::Null, &[("Origin", APP)]).await;
    assert_eq!(missing.header("access-control-allow-origin"), APP, "errors can be read too");
    assert!(Socket::try_open(app.address, "/ws", &[("Origin", APP)], None).await.is_ok());
}

#[tokio::test]
async fn a_cookie_from_an_allowed_origin_is_overlooked() {
    let app = TestApp::with(|config| {
        open(config);
        config.allowed_origins = vec![APP.to_owned()];
    })
    .await;
    Account::register(&app, "ada").await;
    let body = json!({"name": "ada", "password": PASSWORD, "cookie": true});
    let set = app.client().call("POST", "/api/auth/login", body).await.header("set-cookie").to_owned();
    let cookie = set.split(';').next().unwrap();
    let task = app.client().create("tasks", json!({"title": "one"})).await;
    let remark = json!({"body": "so", "task": task["id"]});
    let own = format!("http://{}", app.address);
    for (origin, is_ada) in [(APP, false), (&*own, true)] {
        let headers = [("cookie", cookie), ("origin", origin)];
        let me = app.client().call_with("GET", "/api/auth/me", Value::Null, &headers).await;
        assert_eq!((me.status, me.json["user"]["name"] == "ada"), (200, is_ada), "{origin}: {}", me.text);
        let made = app.client().call_with("POST", "/api/comments", remark.clone(), &headers).await;
        assert_eq!((made.status, made.json["author"].is_string()), (201, is_ada), "{origin}: {}", made.text);
        let mut socket = Socket::try_open(app.address, "/ws", &headers, None).await.unwrap();
        let connected = socket.expect("connected").await;
        assert_eq!(connected["payload"]["userId"].is_string(), is_ada, "{origin}: {connected}");
        for answer in [&me, &made] {
            assert_eq!(answer.header("access-control-allow-credentials"), "", "{origin}");
        }
    }
}

#[tokio::test]
async fn a_page_of_another_origin_gets_nothing() {
    let app = with_origins(&[APP, "http://localhost:3000"]).await;
    let api = app.client();
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://evil-app.example",
        "https://sub.app.example",
        "https://APP.example",
        "https://app.example/",
        "http://localhost:30000",
        "http://localhost",
        "null",
        "*",
    ] {
        let asked = preflight(&app, "/api/tasks", origin).await;
        assert_eq!((asked.status, asked.json["code"].as_str()), (403, Some("FORBIDDEN_ORIGIN")), "{origin}");
        let read = api.call_with("GET", "/api/tasks", Value::Null, &[("Origin", origin)]).await;
        assert_eq!(read.status, 200, "a browser does not show it to the page");
        let written = api.call_with("POST", "/api/tasks", json!({"title": "x"}), &[("Origin", origin)]).await;
        assert_eq!(written.status, 403, "{origin}");
        for answer in [&asked, &read, &written] {
            assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
            assert!(
                answer.header("vary").to_lowercase().contains("origin"),
                "a cache keeps them apart: {origin}"
            );
        }
        assert!(Socket::try_open(app.address, "/ws", &[("Origin", origin)], None).await.is_err(), "{origin}");
    }
    assert!(app.rows("tasks").await.is_empty());
}

#[tokio::test]
async fn without_allowed_origins_no_preflight_succeeds() {
    let app = TestApp::start().await;
    let asked = preflight(&app, "/api/tasks", APP).await;
    assert_eq!((asked.status, asked.json["code"].as_str()), (403, Some("FORBIDDEN_ORIGIN")));
    let own = format!("http://{}", app.address);
    let plain = app.client().request(Method::OPTIONS.as_str(), "/api/tasks").header("Origin", &own);
    assert_eq!(app.client().send(plain).await.status, 405, "without a method to ask for it is no preflight");
}
