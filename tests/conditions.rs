//! Conditions of requests (RFC 9110, section 13): which are met, which are not, and which the server refuses to guess at. A
//! condition that is overlooked lets a write through that it was sent to prevent.

use serde_json::{Value, json};

use crate::support::app::{Answer, Client, TestApp};
use crate::support::entities;

/// A task at version 12, and its address.
async fn task_at_version_12(api: &Client) -> String {
    let created = api.create("tasks", json!({"title": "0"})).await;
    let path = format!("/api/tasks/{}", created["id"].as_str().unwrap());
    for n in 1..12 {
        api.patch(&path, json!({"title": n.to_string()})).await;
    }
    assert_eq!(api.get(&path).await["version"], 12);
    path
}

/// A request with headers and the body that its method takes.
async fn with(api: &Client, (method, path): (&str, &str), headers: &[(&str, &str)]) -> Answer {
    let body = match method {
        "GET" | "DELETE" => Value::Null,
        _ if path == "/api/batch" => {
            json!({"ops": [{"op": "create", "entity": "Task", "data": {"title": "x"}}]})
        }
        _ => json!({"title": "written"}),
    };
    let mut request = api.request(method, path);
    if !body.is_null() {
        request = request.json(&body);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    api.send(request).await
}

/// Status, code and words of the answer to a condition on a write to a record at version 12.
type Row = (&'static [(&'static str, &'static str)], u16, &'static str, &'static str);

const ON_A_WRITE: [Row; 42] = [
    (&[("If-Match", "\"12\"")], 200, "", ""),
    (&[("If-Match", "*")], 200, "", ""),
    // From proxies that compress: nginx and HAProxy, Apache and Caddy, Jetty.
    (&[("If-Match", "W/\"12\"")], 200, "", ""),
    (&[("If-Match", "\"12-gzip\"")], 200, "", ""),
    (&[("If-Match", "\"12-br\"")], 200, "", ""),
    (&[("If-Match", "\"12-zstd\"")], 200, "", ""),
    (&[("If-Match", "\"12-deflate\"")], 200, "", ""),
    (&[("If-Match", "\"12--gzip\"")], 200, "", ""),
    (&[("If-Match", "W/\"12-gzip\"")], 200, "", ""),
    // Parts of the version, and versions of which it is a part.
    (&[("If-Match", "\"1\"")], 412, "VERSION_CONFLICT", "version 12"),
    (&[("If-Match", "\"2\"")], 412, "VERSION_CONFLICT", "version 12"),
    (&[("If-Match", "\"11\"")], 412, "VERSION_CONFLICT", "version 12"),
    (&[("If-Match", "\"13\"")], 412, "VERSION_CONFLICT", "version 12"),
    (&[("If-Match", "\"21\"")], 412, "VERSION_CONFLICT", "version 12"),
    (&[("If-Match", "\"112\"")], 412, "VERSION_CONFLICT", "version 12"),
    (&[("If-Match", "\"120\"")], 412, "VERSION_CONFLICT", "version 12"),
    (&[("If-Match", "\"0\"")], 412, "VERSION_CONFLICT", "version 12"),
    (&[("If-Match", "W/\"1\"")], 412, "VERSION_CONFLICT", "version 12"),
    (&[("If-Match", "\"1-gzip\"")], 412, "VERSION_CONFLICT", "version 12"),
    (&[("If-Match", "\"18446744073709551615\"")], 412, "VERSION_CONFLICT", "version 12"),
    // Not what this server sends as an ETag.
    (&[("If-Match", "\"012\"")], 400, "BAD_HEADER", "If-Match must be one ETag"),
    (&[("If-Match", "\"12-\"")], 400, "BAD_HEADER", "If-Match must be one ETag"),
    (&[("If-Match", "\"12-x\"")], 400, "BAD_HEADER", "If-Match must be one ETag"),
    (&[("If-Match", "\"12---gzip\"")], 400, "BAD_HEADER", "If-Match must be one ETag"),
    (&[("If-Match", "\"-gzip\"")], 400, "BAD_HEADER", "If-Match must be one ETag"),
    (&[("If-Match", "w/\"12\"")], 400, "BAD_HEADER", "If-Match must be one ETag"),
    (&[("If-Match", "\"12\", \"13\"")], 400, "BAD_HEADER", "If-Match must be one ETag"),
    (&[("If-Match", "\"12\", *")], 400, "BAD_HEADER", "If-Match must be one ETag"),
    (&[("If-Match", "12")], 400, "BAD_HEADER", "If-Match must be one ETag"),
    (&[("If-Match", "\"12\""), ("If-Match", "\"12\"")], 400, "BAD_HEADER", "`if-match` is given twice"),
    // The record exists, and these ask that it does not, or not so.
    (&[("If-None-Match", "*")], 412, "VERSION_CONFLICT", "exists, at version 12"),
    (&[("If-None-Match", "*"), ("If-Match", "\"12\"")], 412, "VERSION_CONFLICT", "exists, at version 12"),
    (&[("If-None-Match", "\"1\"")], 400, "BAD_HEADER", "If-Match"),
    (&[("If-None-Match", "W/\"12\"")], 400, "BAD_HEADER", "If-Match"),
    (&[("If-None-Match", "\"x\"")], 400, "BAD_HEADER", "If-Match"),
    (&[("If-None-Match", "")], 400, "BAD_HEADER", "If-Match"),
    (&[("If-None-Match", "*"), ("If-None-Match", "*")], 400, "BAD_HEADER", "`if-none-match` is given twice"),
    // Nothing that a version answers.
    (&[("If-Unmodified-Since", "Sat, 21 Nov 2026 08:00:00 GMT")], 400, "BAD_HEADER", "If-Match"),
    (&[("If-Modified-Since", "Sat, 21 Nov 2026 08:00:00 GMT")], 400, "BAD_HEADER", "If-Match"),
    (&[("If-Range", "\"12\"")], 400, "BAD_HEADER", "If-Match"),
    (&[("If", "(<urn:uuid:1>)")], 400, "BAD_HEADER", "If-Match"),
    (&[("If-Schedule-Tag-Match", "\"12\""), ("If-Match", "\"12\"")], 400, "BAD_HEADER", "If-Match"),
];

#[tokio::test]
async fn a_write_happens_only_under_a_condition_that_is_met() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    for method in ["PATCH", "PUT", "DELETE"] {
        let mut path = task_at_version_12(&api).await;
        let stored = api.get(&path).await;
        for (headers, status, code, words) in ON_A_WRITE {
            let name = format!("{method} {headers:?}");
            let answer = with(&api, (method, &path), headers).await;
            if status == 200 {
                assert!([200, 204].contains(&answer.status), "{name}: {}", answer.text);
                path = task_at_version_12(&api).await;
                continue;
            }
            assert_eq!((answer.status, answer.json["code"].as_str()), (status, Some(code)), "{name}");
            assert!(answer.json["detail"].as_str().unwrap().contains(words), "{name}: {}", answer.text);
            let now = api.get(&path).await;
            assert_eq!((&now["version"], &now["title"]), (&json!(12), &stored["title"]), "{name}");
            if status == 412 {
                assert_eq!(answer.json["current"], now, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn an_unsupported_condition_is_refused_and_not_ignored() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    let path = task_at_version_12(&api).await;
    let missing = "/api/tasks/01900000-0000-7000-8000-0000000000ff";
    for condition in
        ["If-Match", "If-None-Match", "If-Unmodified-Since", "If-Modified-Since", "If-Range", "If-Other"]
    {
        for address in ["/api/tasks", "/api/batch"] {
            let answer = with(&api, ("POST", address), &[(condition, "*")]).await;
            let named = condition.to_lowercase();
            assert_eq!(
                (answer.status, &answer.json["code"]),
                (400, &json!("BAD_HEADER")),
                "{address} {named}"
            );
            assert!(answer.json["detail"].as_str().unwrap().contains(&named), "{}", answer.text);
        }
        let answer = with(&api, ("GET", &path), &[(condition, "\"1\"")]).await;
        let refused = ["If-Match", "If-Unmodified-Since"].contains(&condition);
        assert_eq!(answer.status, if refused { 400 } else { 200 }, "GET {condition}: {}", answer.text);
    }
    for (method, tag) in [("PATCH", "*"), ("PUT", "*"), ("DELETE", "*"), ("PUT", "\"1\"")] {
        let name = if tag == "*" { "If-None-Match" } else { "If-Match" };
        let answer = with(&api, (method, missing), &[(name, tag)]).await;
        assert_eq!((answer.status, &answer.json["code"]), (404, &json!("NOT_FOUND")), "{method} {name}");
    }
    assert_eq!(app.rows("tasks").await.len(), 1, "nothing was created");
    assert_eq!(api.get(&path).await["version"], 12);
}

#[tokio::test]
async fn a_read_is_answered_in_full_also_to_who_holds_the_version() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    let path = task_at_version_12(&api).await;
    for query in ["", "?fields=title", "?expand=project"] {
        let answer = with(&api, ("GET", &format!("{path}{query}")), &[("If-None-Match", "\"12\"")]).await;
        assert_eq!((answer.status, answer.header("etag")), (200, "\"12\""), "{query}");
        assert_eq!(answer.json["title"], "11", "{query}");
    }
}
