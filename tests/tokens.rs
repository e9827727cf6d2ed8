//! Shared tokens and those of machines: made and revoked by the command line, used over every way, beside a running server.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tidewire::schema::{Format, Schema, SourceFile, check};

use crate::support::app::{Answer, TestApp};
use crate::support::process::{Ended, ended, tidewire};
use crate::support::socket::{Came, Socket};

const NOTE: &str = r#"
entity = "Note"
[fields]
title = { type = "text" }
open  = { type = "bool", default = false }
[access]
read   = "open || user.role == 'worker'"
create = "user.role == 'guest' || user.role == 'worker'"
update = "user != null"
"#;

fn schema() -> Arc<Schema> {
    let file = SourceFile { name: "note.toml".to_owned(), text: NOTE.to_owned(), format: Format::Toml };
    check(&[file]).unwrap_or_else(|errors| panic!("{errors}")).into()
}

async fn started() -> TestApp {
    TestApp::governed(tempfile::tempdir().unwrap(), schema(), |_| {}).await
}

async fn command(folder: &Path, words: &[&str]) -> Ended {
    ended(tidewire(folder).arg("token").args(words)).await
}

/// The secret of a new token.
async fn issue(folder: &Path, words: &[&str]) -> String {
    let done = command(folder, &[&["issue"], words].concat()).await;
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(!done.stderr.contains(done.stdout.trim()), "the secret is on stdout alone");
    let secret = done.stdout.strip_suffix('\n').unwrap().to_owned();
    assert!(!secret.contains(char::is_whitespace), "stdout is the secret and nothing else: {secret:?}");
    secret
}

async fn call(app: &TestApp, token: &str, method: &str, path: &str, body: Value) -> Answer {
    let bearer = format!("Bearer {token}");
    app.client().call_with(method, path, body, &[("authorization", &bearer)]).await
}

async fn socket(app: &TestApp, token: &str) -> (Socket, Value) {
    let bearer = format!("Bearer {token}");
    let opened = Socket::try_open(app.address, "/ws", &[("authorization", &bearer)], None).await;
    let mut socket = opened.unwrap();
    let connected = socket.expect("connected").await;
    (socket, connected["payload"].clone())
}

/// The next frame is UNAUTHENTICATED, and then the socket is closed with 4401.
async fn is_thrown_out(socket: &mut Socket) {
    let error = socket.expect("error").await;
    assert_eq!(error["payload"]["code"], "UNAUTHENTICATED", "{error}");
    assert_eq!(socket.closed().await, Some(4401));
}

#[tokio::test]
async fn a_machine_writes_under_its_own_name_and_role() {
    let app = started().await;
    let token =
        issue(app.folder.path(), &["worker", "--role", "worker", "--publish", "room:project/*"]).await;
    let made = call(&app, &token, "POST", "/api/notes", json!({"title": "of a machine"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let me = call(&app, &token, "GET", "/api/auth/me", Value::Null).await.json;
    assert_eq!(me["user"], json!({"id": "service:worker", "name": "worker", "role": "worker"}));
    assert_eq!((&me["expiresAt"], &me["session"]), (&Value::Null, &Value::Null), "{me}");
    let (mut live, connected) = socket(&app, &token).await;
    assert_eq!((&connected["userId"], &connected["expiresAt"]), (&json!("service:worker"), &Value::Null));
    live.subscribe("entity:Note", json!({})).await;
    call(&app, &token, "POST", "/api/notes", json!({"title": "second"})).await;
    assert_eq!(live.expect("entity:created").await["payload"]["title"], "second");
    for path in ["/api/auth/logout", "/api/auth/refresh"] {
        let answer = call(&app, &token, "POST", path, Value::Null).await;
        assert_eq!(answer.status, 401, "{path} is for sessions: {}", answer.text);
    }
}

#[tokio::test]
async fn a_shared_token_makes_each_connection_a_guest_with_what_rules_give_guests() {
    let app = started().await;
    let token = issue(app.folder.path(), &["page", "--shared"]).await;
    let made = call(&app, &token, "POST", "/api/notes", json!({"title": "letter", "open": true})).await;
    assert_eq!(made.status, 201, "`user.role == 'guest'` lets guests create: {}", made.text);
    let path = format!("/api/notes/{}", made.json["id"].as_str().unwrap());
    let refused = call(&app, &token, "PATCH", &path, json!({"title": "x"})).await;
    assert_eq!(refused.status, 403, "`user != null` lets no guest in: {}", refused.text);
    let anonymous = app.client().call("POST", "/api/notes", json!({"title": "x"})).await;
    assert_eq!(anonymous.status, 403, "an anonymous caller is no guest: {}", anonymous.text);
    let me = async || call(&app, &token, "GET", "/api/auth/me", Value::Null).await.json;
    let (one, two) = (me().await, me().await);
    assert_eq!(one["user"], Value::Null);
    assert!(
        one["guest"].as_str().unwrap().starts_with("guest:") && one["guest"] != two["guest"],
        "{one} {two}"
    );
    let (mut live, connected) = socket(&app, &token).await;
    assert_eq!(connected["userId"], Value::Null, "{connected}");
    live.subscribe("entity:Note", json!({})).await;
    let guest = one["guest"].as_str().unwrap();
    assert_eq!(app.repository.person(guest).await.unwrap(), None, "guests leave no records");
}

#[tokio::test]
async fn guests_of_a_page_are_present_each_as_one_until_their_connection_ends() {
    let app = started().await;
    let token = issue(app.folder.path(), &["page", "--shared"]).await;
    let join = json!({"type": "presence:join", "channel": "presence:Note", "requestId": "j"});
    let mut watcher = Socket::open(app.address).await;
    watcher.subscribe("presence:Note", json!({"count": true})).await;
    watcher.expect("presence:count").await;
    watcher.send(&join).await;
    assert_eq!(watcher.expect("error").await["payload"]["code"], "UNAUTHENTICATED", "anonymous is no guest");
    let ((mut one, first), (mut two, second)) = (socket(&app, &token).await, socket(&app, &token).await);
    let (first, second) = (first["guest"].as_str().unwrap(), second["guest"].as_str().unwrap());
    assert!(first.starts_with("guest:") && first != second, "{first} {second}");
    one.send(&join).await;
    let here = one.expect("presence:sync").await["payload"]["users"].clone();
    assert_eq!((&here[0]["id"], here.as_array().unwrap().len()), (&json!(first), 1), "`connected` named it");
    let letters = first[first.len() - 4..].to_uppercase();
    assert_eq!(here[0]["name"], format!("Guest {letters}"));
    two.send(&join).await;
    assert_eq!(two.expect("presence:sync").await["payload"]["users"].as_array().unwrap().len(), 2);
    assert_eq!(one.expect("presence:join").await["payload"]["users"][0]["id"], second);
    let mut counts = Vec::new();
    while counts.last() != Some(&json!({"users": 2, "connections": 2})) {
        counts.push(watcher.expect("presence:count").await["payload"].clone());
    }
    // The next connection is another guest, so this one is not waited for.
    two.cut();
    assert_eq!(one.expect("presence:leave").await["payload"]["users"], json!([{"id": second}]));
    assert_eq!(watcher.expect("presence:count").await["payload"], json!({"users": 1, "connections": 1}));
}

#[tokio::test]
async fn a_service_token_publishes_within_its_patterns_and_nowhere_else() {
    let app = TestApp::start().await;
    let words = ["deployer", "--publish", "room:deploy/*", "--publish", "user:ada"];
    let token = issue(app.folder.path(), &words).await;
    let mut ada = Socket::open_at(app.address, "/ws?as=ada").await;
    ada.expect("connected").await;
    for channel in ["room:deploy/eu", "room:lobby", "user:ada"] {
        ada.subscribe(channel, Value::Null).await;
    }
    let message = json!({"event": "deployed", "data": {"version": "1.4"}});
    for (path, channel) in [
        ("rooms/deploy%2Feu", Some("room:deploy/eu")),
        ("notify/ada", Some("user:ada")),
        ("rooms/lobby", None),
        ("notify/ben", None),
    ] {
        let path = format!("/api/realtime/{path}");
        let answer = call(&app, &token, "POST", &path, message.clone()).await;
        let Some(channel) = channel else {
            assert_eq!((answer.status, &answer.json["code"]), (403, &json!("FORBIDDEN")), "{path}");
            continue;
        };
        assert_eq!((answer.status, &answer.json), (200, &json!({"receivers": 1})), "{path}");
        let came = ada.expect("message").await;
        assert_eq!((&came["channel"], &came["payload"]), (&json!(channel), &message));
        assert!(came.get("by").is_none(), "it is the server's: {came}");
    }
    let shared = issue(app.folder.path(), &["page", "--shared"]).await;
    let refused = call(&app, &shared, "POST", "/api/realtime/notify/ada", message).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    ada.nothing_else().await;
}

#[tokio::test]
async fn two_tokens_of_a_name_are_good_at_once_and_a_revoked_one_ends_its_connections() {
    let app = started().await;
    let folder = app.folder.path();
    let (old, new) = (issue(folder, &["worker"]).await, issue(folder, &["worker"]).await);
    let third = command(folder, &["issue", "worker"]).await;
    assert_eq!((third.code, third.stdout.as_str()), (1, ""), "{}", third.stderr);
    assert!(third.stderr.contains("two tokens already"), "{}", third.stderr);
    let mixed = command(folder, &["issue", "worker", "--shared"]).await;
    assert!(mixed.code == 1 && mixed.stderr.contains("belongs to a service token"), "{}", mixed.stderr);
    let (mut of_old, _) = socket(&app, &old).await;
    let (mut of_new, _) = socket(&app, &new).await;
    let listed = command(folder, &["list", "--json"]).await.stdout;
    assert!(!listed.contains(&old) && !listed.contains(&new), "the list has no secrets");
    let rows: Value = serde_json::from_str(&listed).unwrap();
    let first = rows[0]["id"].as_str().unwrap();
    let revoked = command(folder, &["revoke", "worker", first]).await;
    assert_eq!((revoked.code, revoked.stdout.as_str()), (0, "1 token of worker revoked\n"));
    is_thrown_out(&mut of_old).await;
    assert_eq!(call(&app, &old, "GET", "/api/auth/me", Value::Null).await.status, 401);
    assert_eq!(call(&app, &new, "GET", "/api/auth/me", Value::Null).await.status, 200);
    assert_eq!(command(folder, &["revoke", "worker"]).await.code, 0);
    is_thrown_out(&mut of_new).await;
    assert_eq!(command(folder, &["revoke", "worker"]).await.code, 1, "there is none any more");
}

#[tokio::test]
async fn a_token_comes_by_every_way_and_opens_a_socket_by_a_ticket() {
    let app = started().await;
    let token = issue(app.folder.path(), &["worker", "--role", "worker"]).await;
    let ticket = call(&app, &token, "POST", "/api/auth/ticket", Value::Null).await;
    let ticket = ticket.json["ticket"].as_str().unwrap_or_else(|| panic!("{}", ticket.text)).to_owned();
    let protocols = format!("tidewire.v1, bearer.{token}");
    let ways: [(String, Vec<(&str, &str)>); 3] = [
        (format!("/ws?token={token}"), vec![]),
        (format!("/ws?ticket={ticket}"), vec![]),
        ("/ws".to_owned(), vec![("sec-websocket-protocol", &protocols)]),
    ];
    for (path, headers) in ways {
        let mut socket = Socket::try_open(app.address, &path, &headers, None).await.unwrap();
        assert_eq!(socket.expect("connected").await["payload"]["userId"], "service:worker", "{path}");
    }
    let mut anonymous = Socket::open(app.address).await;
    anonymous.send(&json!({"type": "auth", "requestId": "a", "payload": {"token": token}})).await;
    let done = anonymous.expect("auth:ok").await;
    assert_eq!(done["payload"], json!({"userId": "service:worker"}), "a token without an end names none");
    let mut twice = Socket::open_at(app.address, &format!("/ws?ticket={ticket}")).await;
    assert!(
        matches!(twice.came().await, Came::Frame(frame) if frame["payload"]["code"] == "UNAUTHENTICATED")
    );
}

#[tokio::test]
async fn bad_arguments_of_the_command_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    for (words, told) in [
        (&["issue", "a b"][..], "letters, digits"),
        (&["issue", ""], "letters, digits"),
        (&["issue", "w", "--publish", "lobby"], "must begin with room: or user:"),
        (&["issue", "w", "--publish", "room:a*"], "a star within a part"),
        (&["issue", "w", "--role", "two words"], "1 to 64 visible characters"),
        (&["issue", "w", "--shared", "--role", "x"], "cannot be used with"),
        (&["issue", "w", "--days", "0"], "0 is not in 1..=3650"),
    ] {
        let done = command(folder.path(), words).await;
        assert!(done.code == 2 && done.stderr.contains(told), "{words:?}: {} {}", done.code, done.stderr);
        assert_eq!(done.stdout, "", "{words:?}");
    }
    let none = command(folder.path(), &["revoke", "w"]).await;
    assert!(none.code == 1 && none.stderr.contains("there is no token `w`"), "{}", none.stderr);
    let empty = command(folder.path(), &["list"]).await;
    assert!(empty.code == 0 && empty.stdout.contains("There are no tokens"), "{}", empty.stdout);
}

#[tokio::test]
async fn guests_and_machines_have_reserved_names() {
    let app = started().await;
    for name in ["service:worker:admin", "guest:1:admin"] {
        let (status, problem) = app.client().get_any(&format!("/api/notes?as={name}")).await;
        assert_eq!((status, &problem["code"]), (401, &json!("UNAUTHENTICATED")), "{name}: {problem}");
    }
}

#[tokio::test]
async fn rules_are_tested_for_people_of_every_source() {
    let folder = tempfile::tempdir().unwrap();
    let schemas = folder.path().join("schemas");
    std::fs::create_dir_all(schemas.join("tests")).unwrap();
    std::fs::write(schemas.join("note.toml"), NOTE).unwrap();
    let cases = |visitor: &str| {
        format!(
            r#"
[persons.visitor]
kind = "{visitor}"
[persons.worker]
kind = "service"
role = "worker"
[persons."acme:ada"]
claims = {{ projects = ["red"] }}
[records.Note.mine]
title = "Mine"
[[case]]
who = ["visitor", "worker"]
may = "create"
entity = "Note"
set = {{ title = "x" }}
[[case]]
who = ["acme:ada", "nobody"]
may_not = "create"
entity = "Note"
set = {{ title = "x" }}
[[case]]
who = "worker"
may = ["read", "update"]
record = "Note.mine"
[[case]]
who = ["visitor", "nobody", "acme:ada"]
may_not = "read"
record = "Note.mine"
"#
        )
    };
    let rules = async |text: String| {
        std::fs::write(schemas.join("tests/cases.toml"), text).unwrap();
        ended(tidewire(folder.path()).args(["rules", "test"])).await
    };
    let told = rules(cases("guest")).await;
    assert_eq!(told.code, 0, "{} {}", told.stdout, told.stderr);
    let told = rules(cases("gast")).await;
    assert!(told.code != 0 && told.stderr.contains("there is no kind `gast` of a person"), "{}", told.stderr);
    let told = rules(cases("guest\"\nrole = \"admin")).await;
    assert!(told.code != 0 && told.stderr.contains("unknown key `role` of a guest"), "{}", told.stderr);
}
