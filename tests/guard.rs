//! Foreign requests: unknown host names, pages of other origins, invalid tokens.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::support::app::TestApp;

/// Sends a request as it is written, which no HTTP client would, and reads the answer to its end.
fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

const ROUTES: [(&str, &str); 15] = [
    ("GET", "/api/tasks"),
    ("POST", "/api/tasks"),
    ("GET", "/api/tasks/0190a000-0000-7000-8000-00000000000a"),
    ("PATCH", "/api/tasks/0190a000-0000-7000-8000-00000000000a"),
    ("PUT", "/api/tasks/0190a000-0000-7000-8000-00000000000a"),
    ("DELETE", "/api/tasks/0190a000-0000-7000-8000-00000000000a"),
    ("GET", "/api/changes?channel=entity:Task"),
    ("GET", "/api/schema"),
    ("GET", "/api/nope/at/all"),
    ("GET", "/ws"),
    ("GET", "/"),
    ("GET", "/_/"),
    ("GET", "/_/llms.txt"),
    ("GET", "/static/signal.js"),
    ("GET", "/health"),
];

#[tokio::test]
async fn a_name_that_points_here_by_rebinding_reaches_no_route() {
    let app = TestApp::start().await;
    let api = app.client();
    let port = app.address.port();
    for (method, path) in ROUTES {
        for host in [format!("evil.example:{port}"), "evil.example".to_owned(), format!("10.0.0.1:{port}")] {
            let answer = api.call_with(method, path, json!({}), &[("Host", &host)]).await;
            assert_eq!(answer.status, 403, "{method} {path} as {host}");
            assert_eq!(answer.json["code"], "FORBIDDEN_HOST", "{method} {path} as {host}");
            assert!(answer.json["detail"].as_str().unwrap().contains(&host), "{}", answer.json);
        }
    }
    assert!(app.rows("tasks").await.is_empty(), "nothing happened");
}

#[tokio::test]
async fn own_host_names_are_accepted_only_with_the_own_port() {
    let app = TestApp::start().await;
    let api = app.client();
    let port = app.address.port();
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        assert_eq!(
            api.call_with("GET", "/health", json!(null), &[("Host", &host)]).await.status,
            200,
            "{host}"
        );
    }
    let other = api.call_with("GET", "/health", json!(null), &[("Host", "localhost:1")]).await;
    assert_eq!(other.json["code"], "FORBIDDEN_HOST");
}

/// A name of our own with something before it, behind it or cut off: code that compares ends or beginnings takes it for ours.
fn lookalikes(own: &str) -> Vec<String> {
    let (name, port) = own.rsplit_once(':').unwrap();
    vec![
        format!("evil-{own}"),
        format!("evil.{own}"),
        format!("evil{own}"),
        format!("{name}.evil.example:{port}"),
        format!("{name}evil:{port}"),
        format!("{own}0"),
        format!("{name}:1{port}"),
        format!("{}:{port}", &name[1..]),
        format!("{}:{port}", &name[..name.len() - 1]),
    ]
}

#[tokio::test]
async fn a_host_that_begins_or_ends_like_an_allowed_one_is_refused() {
    let allowed = vec!["tide.example:443".to_owned(), "plain.example".to_owned()];
    let app = TestApp::with(|config| config.allowed_hosts = allowed).await;
    let (api, port) = (app.client(), app.address.port());
    for own in [format!("localhost:{port}"), "tide.example:443".to_owned(), "plain.example:8443".to_owned()] {
        let known = api.call_with("GET", "/api/schema", Value::Null, &[("Host", &own)]).await;
        assert_eq!(known.status, 200, "{own}");
        // A name that is allowed without a port is allowed under every port.
        let any_port = |host: &str| own.starts_with("plain") && host.starts_with("plain.example:");
        for host in lookalikes(&own).into_iter().filter(|host| !any_port(host)) {
            let answer = api.call_with("GET", "/api/schema", Value::Null, &[("Host", &host)]).await;
            assert_eq!((answer.status, &answer.json["code"]), (403, &json!("FORBIDDEN_HOST")), "{host}");
        }
    }
}

#[tokio::test]
async fn an_origin_that_begins_or_ends_like_an_allowed_one_is_refused() {
    let allowed = vec!["tide.example:443".to_owned(), "plain.example".to_owned()];
    let app = TestApp::with(|config| config.allowed_hosts = allowed).await;
    let api = app.client();
    let own = format!("localhost:{}", app.address.port());
    for page in [own.as_str(), "tide.example:443", "plain.example:8443"] {
        let body = json!({"title": page});
        let origin = format!("http://{page}");
        let headers = [("Host", own.as_str()), ("Origin", &origin)];
        assert_eq!(api.call_with("POST", "/api/tasks", body.clone(), &headers).await.status, 201, "{origin}");
        let any_port = |other: &str| page.starts_with("plain") && other.starts_with("plain.example:");
        for other in lookalikes(page).into_iter().filter(|other| !any_port(other)) {
            let origin = format!("http://{other}");
            let headers = [("Host", own.as_str()), ("Origin", &origin)];
            for (method, path) in [("POST", "/api/tasks"), ("GET", "/ws"), ("GET", "/api/tasks?as=mallory")] {
                let answer = api.call_with(method, path, body.clone(), &headers).await;
                assert_eq!(
                    (answer.status, &answer.json["code"]),
                    (403, &json!("FORBIDDEN_ORIGIN")),
                    "{method} {path} from {origin}"
                );
            }
        }
    }
    assert_eq!(app.rows("tasks").await.len(), 3, "one of each page of our own");
    assert!(app.rows("users").await.is_empty(), "nobody was made a user");
}

/// The status and the body of the answer to a request that is written byte by byte.
async fn answered(address: SocketAddr, head: &str) -> (String, String) {
    let request = format!("{head}Connection: close\r\n\r\n");
    let answer = tokio::task::spawn_blocking(move || raw(address, &request)).await.unwrap();
    (answer.split(' ').nth(1).unwrap_or_default().to_owned(), answer)
}

#[tokio::test]
async fn health_needs_no_host() {
    let app = TestApp::start().await;
    let port = app.address.port();
    for head in [
        "GET /health HTTP/1.0\r\n".to_owned(),
        "GET /healthz HTTP/1.0\r\n".to_owned(),
        "GET /readyz HTTP/1.0\r\n".to_owned(),
        "HEAD /healthz HTTP/1.0\r\n".to_owned(),
        "GET /healthz HTTP/1.0\r\nHost:\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost:\r\n".to_owned(),
        "GET /healthz?from=balancer HTTP/1.0\r\n".to_owned(),
        format!("GET http://127.0.0.1:{port}/healthz HTTP/1.0\r\n"),
        format!("GET http://localhost:{port}/api/schema HTTP/1.0\r\n"),
        format!("GET http://localhost:{port}/api/schema HTTP/1.1\r\nHost: localhost:{port}\r\n"),
    ] {
        let (status, answer) = answered(app.address, &head).await;
        assert_eq!(status, "200", "{head} was answered {answer}");
    }
}

#[tokio::test]
async fn odd_requests_name_no_host() {
    let app = TestApp::start().await;
    let port = app.address.port();
    let mut heads = vec![
        format!("GET /health HTTP/1.1\r\nHost: localhost:{port}\r\nHost: evil.example\r\n"),
        "GET /health HTTP/1.0\r\nHost: evil.example\r\n".to_owned(),
        format!("GET http://evil.example/health HTTP/1.1\r\nHost: localhost:{port}\r\n"),
        format!("GET http://localhost:{port}/health HTTP/1.1\r\nHost: evil.example\r\n"),
        "GET http://evil.example/health HTTP/1.0\r\n".to_owned(),
        format!("GET http://evil-localhost:{port}/health HTTP/1.0\r\n"),
        format!("GET http://me@localhost:{port}/health HTTP/1.0\r\n"),
        "POST /healthz HTTP/1.0\r\nContent-Length: 0\r\n".to_owned(),
        "GET //healthz HTTP/1.0\r\n".to_owned(),
        "GET /healthz/ HTTP/1.0\r\n".to_owned(),
    ];
    let others = ROUTES.iter().filter(|(method, path)| *method == "GET" && *path != "/health");
    heads.extend(others.map(|(method, path)| format!("{method} {path} HTTP/1.0\r\n")));
    heads.push("GET /metrics HTTP/1.0\r\n".to_owned());
    for head in heads {
        let (status, answer) = answered(app.address, &head).await;
        assert!(["400", "403"].contains(&status.as_str()), "{head} was answered {answer}");
        assert!(!answer.contains("healthy"), "{head} was answered {answer}");
    }
    let (_, answer) = answered(app.address, "GET /api/schema HTTP/1.0\r\n").await;
    assert!(answer.contains("the request names no Host: send the header; only `/health`"), "{answer}");
}

#[tokio::test]
async fn pages_of_foreign_origins_change_nothing() {
    let app = TestApp::start().await;
    let api = app.client();
    let own = format!("http://{}", app.address);
    let body = json!({"title": "x"});
    for origin in ["http://evil.example", "null", "http://localhost:1", "https://127.0.0.1", "file://"] {
        let answer = api.call_with("POST", "/api/tasks", body.clone(), &[("Origin", origin)]).await;
        assert_eq!((answer.status, &answer.json["code"]), (403, &json!("FORBIDDEN_ORIGIN")), "{origin}");
        let socket = api.call_with("GET", "/ws", json!(null), &[("Origin", origin)]).await;
        assert_eq!((socket.status, &socket.json["code"]), (403, &json!("FORBIDDEN_ORIGIN")), "{origin}");
        for name in ["as", "%61s", "a%73"] {
            let path = format!("/api/tasks?{name}=mallory");
            let named = api.call_with("GET", &path, json!(null), &[("Origin", origin)]).await;
            assert_eq!(named.status, 403, "{origin}: naming a user makes one, however it is spelled");
        }
    }
    let sites = [("Sec-Fetch-Site", "cross-site")];
    assert_eq!(api.call_with("POST", "/api/tasks", body.clone(), &sites).await.status, 403);
    assert!(app.rows("tasks").await.is_empty() && app.rows("users").await.is_empty(), "nothing happened");
    assert_eq!(api.call_with("POST", "/api/tasks", body, &[("Origin", &own)]).await.status, 201);
}

#[tokio::test]
async fn hosts_that_the_operator_names_are_let_in() {
    let app = TestApp::with(|config| config.allowed_hosts = vec!["Tide.Example".to_owned()]).await;
    let api = app.client();
    let headers = [("Host", "tide.example"), ("Origin", "https://tide.example")];
    assert_eq!(api.call_with("POST", "/api/tasks", json!({"title": "x"}), &headers).await.status, 201);
}

#[tokio::test]
async fn a_token_in_any_place_is_refused_and_never_taken_as_anonymous() {
    let app = TestApp::start().await;
    let api = app.client();
    let record = api.create("tasks", json!({"title": "x"})).await;
    let one = format!("/api/tasks/{}", record["id"].as_str().unwrap());
    let routes = [
        ("GET", "/api/tasks"),
        ("POST", "/api/tasks"),
        ("GET", one.as_str()),
        ("PATCH", one.as_str()),
        ("PUT", one.as_str()),
        ("DELETE", one.as_str()),
        ("GET", "/api/changes?channel=entity:Task"),
        ("GET", "/api/schema"),
        ("GET", "/api/admin/websocket/stats"),
    ];
    for (method, path) in routes {
        let glue = if path.contains('?') { '&' } else { '?' };
        let places: [(String, &[(&str, &str)]); 10] = [
            (path.to_owned(), &[("Authorization", "Bearer xyz")]),
            (path.to_owned(), &[("Authorization", "Basic YTpi")]),
            (path.to_owned(), &[("Authorization", "")]),
            (format!("{path}{glue}token=xyz"), &[]),
            (format!("{path}{glue}ticket=xyz"), &[]),
            (format!("{path}{glue}token="), &[]),
            (format!("{path}{glue}access_token=xyz"), &[]),
            (format!("{path}{glue}api_key=xyz"), &[]),
            (path.to_owned(), &[("X-API-Key", "xyz")]),
            (format!("{path}{glue}as=ann&token=xyz"), &[]),
        ];
        for (path, headers) in places {
            let answer = api.call_with(method, &path, json!({"title": "y"}), headers).await;
            assert_eq!(answer.status, 401, "{method} {path} {headers:?}: {}", answer.text);
            assert_eq!(answer.json["code"], "UNAUTHENTICATED", "{method} {path}");
            assert_eq!(answer.header("www-authenticate"), "Bearer");
            assert!(!answer.text.contains("xyz"), "a token is not repeated: {}", answer.text);
        }
    }
    let rows = app.rows("tasks").await;
    assert_eq!(rows.values().collect::<Vec<&Value>>(), [&record], "nothing happened");
    assert!(app.rows("users").await.is_empty());
}
