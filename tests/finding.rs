//! Records found by a value (SEMANTICS X2): `GET /api/{plural}/by/{field}/{value}` over real sockets.

use std::sync::Arc;

use serde_json::{Value, json};
use tidewire::schema::Schema;

use crate::support::app::{Answer, Client, TestApp};
use crate::support::process::Process;
use crate::support::ruled;

/// Everyone who has the link reads an invitation that is open; only its author lists it and sees the link.
const INVITATION: &str = r#"
entity = "Invitation"
[fields]
title = { type = "text", required = true }
link = { type = "text", unique = true, find = true, read = "author == user.id" }
pin = { type = "text", unique = true, find = true, hidden = true }
number = { type = "int", unique = true, find = true }
seat = { type = "uuid", unique = true }
author = { type = "ref", entity = "User", default = "user.id", readonly = true }
status = { type = "enum", values = ["open", "closed"], default = "open" }
[access]
read = "status == 'open' || author == user.id"
list = "author == user.id"
create = "user != null"
update = "author == user.id"
"#;

const VAULT: &str = r#"
entity = "Vault"
[fields]
key = { type = "text", unique = true, find = true }
[access]
read = "user.role == 'admin'"
create = "true"
"#;

fn schema() -> Arc<Schema> {
    ruled::schema_with(&[("invitation.toml", INVITATION), ("vault.toml", VAULT)])
}

async fn invite(client: &Client, title: &str, link: &str) -> Value {
    client.create("invitations", json!({"title": title, "link": link})).await
}

/// An answer without what differs between two requests.
fn told(answer: &Answer) -> (u16, Vec<(String, String)>, Value) {
    let mut json = answer.json.clone();
    if let Some(problem) = json.as_object_mut() {
        problem.remove("requestId");
    }
    let headers =
        answer.headers.iter().filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()));
    let text = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    (answer.status, headers.map(text).collect(), json)
}

#[tokio::test]
async fn who_has_the_value_opens_the_record_that_no_list_shows() {
    let app = TestApp::over(schema(), |_| {}).await;
    let (ada, ben, nobody) = (app.client_as("ada"), app.client_as("ben"), app.client());
    let made = invite(&ada, "Come", "s3cret").await;
    let by = "/api/invitations/by/link/s3cret";
    for guest in [&ben, &nobody] {
        assert_eq!(guest.get("/api/invitations").await["items"], json!([]));
        let found = guest.call("GET", by, Value::Null).await;
        assert_eq!((found.status, found.json["title"].as_str()), (200, Some("Come")), "{}", found.text);
        assert_eq!((found.json["id"].as_str(), found.header("etag")), (made["id"].as_str(), "\"1\""));
        assert!(found.header("tidewire-seq").contains(':'));
        assert_eq!(found.json.get("link"), None, "the value itself is the author's to see");
        let by_id = guest.get(&format!("/api/invitations/{}", made["id"].as_str().unwrap())).await;
        assert_eq!(by_id, found.json, "as by its id");
    }
    assert_eq!(ada.get(by).await["link"], "s3cret");
    let head = ben.call("HEAD", by, Value::Null).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    // What it shows follows the request, and its references.
    let shaped = ben.get(&format!("{by}?fields=author&expand=author")).await;
    assert_eq!(shaped["expanded"]["author"]["id"], "ada", "{shaped}");
    assert_eq!(shaped.get("title"), None);
    // A field that everyone sees, and its value in another form.
    ada.patch(
        &format!("/api/invitations/{}", made["id"].as_str().unwrap()),
        json!({"number": 7, "pin": "é/ü ?"}),
    )
    .await;
    assert_eq!(ben.get("/api/invitations/by/number/7").await["title"], "Come");
    // By a field that no answer shows, percent-encoded.
    assert_eq!(ben.get("/api/invitations/by/pin/%C3%A9%2F%C3%BC%20%3F").await["title"], "Come");
    assert_eq!(ben.get_any("/api/invitations?pin=x").await.0, 400, "which is all that it is good for");
    // A record by its id is shaped by what may be read, too.
    let by_id = format!("/api/invitations/{}?fields=title", made["id"].as_str().unwrap());
    assert_eq!(ben.get(&by_id).await["title"], "Come");
}

#[tokio::test]
async fn a_hidden_record_and_a_value_that_there_is_not_are_one_answer() {
    let app = TestApp::over(schema(), |_| {}).await;
    let (ada, ben) = (app.client_as("ada"), app.client_as("ben"));
    let made = invite(&ada, "Come", "s3cret").await;
    ada.patch(
        &format!("/api/invitations/{}", made["id"].as_str().unwrap()),
        json!({"status": "closed", "number": 7}),
    )
    .await;
    let hidden = ben.call("GET", "/api/invitations/by/link/s3cret", Value::Null).await;
    let missing = ben.call("GET", "/api/invitations/by/link/another", Value::Null).await;
    assert_eq!(told(&hidden), told(&missing));
    assert_eq!((hidden.status, &hidden.json["code"]), (404, &json!("NOT_FOUND")));
    assert!(!hidden.text.contains("s3cret"));
    let hidden = ben.call("GET", "/api/invitations/by/number/7", Value::Null).await;
    for odd in ["8", "seven", "7.5", "%207", "99999999999999999999", "%00"] {
        let missing = ben.call("GET", &format!("/api/invitations/by/number/{odd}"), Value::Null).await;
        assert_eq!(told(&hidden), told(&missing), "{odd}");
    }
    assert_eq!(
        ada.get("/api/invitations/by/link/s3cret").await["status"],
        "closed",
        "its author still reads it"
    );
    // An entity that is closed to the caller has no such address.
    app.client_as("root:admin").create("vaults", json!({"key": "k"})).await;
    assert_eq!(app.client_as("root:admin").get("/api/vaults/by/key/k").await["key"], "k");
    let (closed, unknown) = ("/api/vaults/by/key/k", "/api/vaultz/by/key/k");
    for address in [closed, unknown] {
        let (status, problem) = ben.get_any(address).await;
        assert_eq!((status, &problem["code"]), (404, &json!("UNKNOWN_ENTITY")), "{address}");
    }
}

#[tokio::test]
async fn an_address_that_asks_wrongly_is_told_why() {
    let app = TestApp::over(schema(), |_| {}).await;
    let ada = app.client_as("ada");
    invite(&ada, "Come", "s3cret").await;
    for (request, status, code) in [
        // No field with `find`: whether there is such a field at all is not told.
        ("GET /api/invitations/by/title/Come", 404, "NOT_FOUND"),
        ("GET /api/invitations/by/seat/x", 404, "NOT_FOUND"),
        ("GET /api/invitations/by/id/x", 404, "NOT_FOUND"),
        ("GET /api/invitations/by/nothing/x", 404, "NOT_FOUND"),
        ("GET /api/invitations/by/%ff/x", 404, "NOT_FOUND"),
        ("GET /api/invitations/by/link/%ff", 404, "NOT_FOUND"),
        ("GET /api/invitations/by/link/", 404, "NOT_FOUND"),
        ("GET /api/invitations/by/link", 404, "NOT_FOUND"),
        ("GET /api/invitations/by/link/a/b", 404, "NOT_FOUND"),
        ("GET /api/invitations/by", 404, "NOT_FOUND"),
        ("GET /api/invitations/by/link/s3cret?sort=title", 400, "BAD_QUERY"),
        ("GET /api/invitations/by/link/s3cret?status=open", 400, "BAD_QUERY"),
        ("GET /api/invitations/by/link/s3cret?fields=nothing", 400, "BAD_QUERY"),
        ("GET /api/invitations/by/link/s3cret?expand=title", 400, "BAD_QUERY"),
        ("GET /api/invitations/by/link/s3cret?token=x", 401, "UNAUTHENTICATED"),
        ("PATCH /api/invitations/by/link/s3cret", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE /api/invitations/by/link/s3cret", 405, "METHOD_NOT_ALLOWED"),
        ("POST /api/invitations/by/link/s3cret", 405, "METHOD_NOT_ALLOWED"),
    ] {
        let (method, address) = request.split_once(' ').unwrap();
        let answer = ada.call(method, address, Value::Null).await;
        assert_eq!(
            (answer.status, answer.json["code"].as_str()),
            (status, Some(code)),
            "{request}: {}",
            answer.text
        );
        assert!(!answer.text.contains("s3cret") || method != "GET", "{request}: {}", answer.text);
    }
    let told =
        |path: &'static str| async { told(&app.client_as("ben").call("GET", path, Value::Null).await) };
    let [title, nothing] =
        [told("/api/invitations/by/title/x").await, told("/api/invitations/by/none/x").await];
    assert_eq!(title, nothing, "a field without `find` and none are one answer");
    let conditional = [("if-match", "\"1\"")];
    let refused = ada.call_with("GET", "/api/invitations/by/link/s3cret", Value::Null, &conditional).await;
    assert_eq!(refused.json["code"], "BAD_HEADER");
    let spared = [("if-none-match", "\"1\"")];
    let whole = ada.call_with("GET", "/api/invitations/by/link/s3cret", Value::Null, &spared).await;
    assert_eq!(whole.status, 200, "a GET answers in full");
}

#[tokio::test]
async fn values_cannot_be_tried_out() {
    let app = TestApp::over(schema(), |_| {}).await;
    let (ada, ben) = (app.client_as("ada"), app.client_as("ben"));
    invite(&ada, "Come", "s3cret").await;
    for guess in 0..30 {
        assert_eq!(ben.get_any(&format!("/api/invitations/by/link/{guess}")).await.0, 404, "{guess}");
    }
    for address in ["/api/invitations/by/link/31", "/api/invitations/by/link/s3cret"] {
        let refused = ben.call("GET", address, Value::Null).await;
        assert_eq!((refused.status, refused.json["code"].as_str()), (429, Some("RATE_LIMITED")));
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&wait), "until the end of the minute, not {wait} s");
    }
    assert_eq!(ben.get_any("/api/invitations").await.0, 200, "nothing else is refused");
}

#[tokio::test]
async fn a_value_is_in_no_log_and_no_label() {
    let folder = tempfile::tempdir().unwrap();
    let schemas = folder.path().join("schemas");
    std::fs::create_dir(&schemas).unwrap();
    std::fs::write(schemas.join("invitation.toml"), INVITATION).unwrap();
    let log = folder.path().join("log");
    let process = Process::prepared(&schemas, &folder.path().join("data"), 0, |command| {
        command.args(["--log", "json"]);
        command.env("TIDEWIRE_LOG", "trace").stderr(std::fs::File::create(&log).unwrap());
    })
    .await;
    let client = Client::named(process.address, "ada");
    invite(&client, "Come", "s3cret").await;
    assert_eq!(client.get_any("/api/invitations/by/link/s3cret").await.0, 200);
    assert_eq!(client.get_any("/api/invitations/by/link/m1ss").await.0, 404);
    let metrics = client.call("GET", "/metrics", Value::Null).await.text;
    assert!(metrics.contains("/api/{plural}/by/{field}/{value}"), "counted under its template");
    process.stop().await;
    let text = std::fs::read_to_string(log).unwrap();
    assert!(text.contains("/api/{plural}/by/{field}/{value}"), "requests are logged by their template");
    for secret in ["s3cret", "m1ss"] {
        assert!(!metrics.contains(secret));
        assert!(
            !text.contains(secret),
            "{secret} is in the log: {}",
            text.lines().find(|line| line.contains(secret)).unwrap()
        );
    }
}
