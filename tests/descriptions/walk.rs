//! One walk through the API, in which every operation succeeds and fails in its ways: each answer is as described.

use serde_json::{Value, json};

use super::judge::Judge;
use super::{PLURALS, grown, json};
use crate::support::app::{Answer, Client, TestApp};
use crate::support::issuer::TestIssuer;
use crate::support::socket::Socket;
use crate::support::stream::EventSource;

const ABSENT: &str = "0190a000-0000-7000-8000-00000000000a";

struct Walk {
    client: Client,
    judge: Judge,
}

impl Walk {
    async fn step(&mut self, request: &str, body: Value, expected: (u16, &str)) -> Answer {
        self.step_with(request, body, &[], expected).await
    }

    /// `request` is `GET /api/tasks/{id}?limit=1`, the id being the one of `ID` within.
    async fn step_with(
        &mut self,
        request: &str,
        body: Value,
        headers: &[(&str, &str)],
        (status, code): (u16, &str),
    ) -> Answer {
        let (method, address) = request.split_once(' ').unwrap();
        let answer = self.client.call_with(method, address, body, headers).await;
        // Why something was refused is no refusal, and tells its code.
        let told = if answer.status < 400 { "" } else { answer.json["code"].as_str().unwrap_or_default() };
        assert_eq!((answer.status, told), (status, code), "{request}: {}", answer.text);
        self.judge.accept(&method.to_lowercase(), &template(address), &answer);
        answer
    }
}

/// `/api/tasks/0190…?x=1` → `/api/tasks/{id}`.
fn template(address: &str) -> String {
    let path = address.split('?').next().unwrap();
    let segments: Vec<&str> = path.split('/').collect();
    match segments.as_slice() {
        ["", "api", _, "count" | "query"] => path.to_owned(),
        ["", "api", "auth", "issuers", _, step] => format!("/api/auth/issuers/{{name}}/{step}"),
        ["", "api", "auth", "sessions", _] => "/api/auth/sessions/{id}".to_owned(),
        ["", "api", "admin", "users", _, "name"] => "/api/admin/users/{id}/name".to_owned(),
        ["", "api", "admin", kind, _] if !["websocket", "inspect"].contains(kind) => {
            format!("/api/admin/{kind}/{{id}}")
        }
        ["", "api", plural, "by", field, _] => format!("/api/{plural}/by/{field}/{{value}}"),
        ["", "api", plural, _, rest @ ..] if PLURALS.contains(plural) => {
            ["", "api", plural, "{id}"].iter().chain(rest).copied().collect::<Vec<_>>().join("/")
        }
        ["", "api", "realtime", "presence", ..] => "/api/realtime/presence/{resource}".to_owned(),
        ["", "api", "realtime", "session", _] => "/api/realtime/session/{session}".to_owned(),
        ["", "api", "realtime", "session", _, _] => "/api/realtime/session/{session}/{action}".to_owned(),
        ["", "api", "realtime", "rooms", _] => "/api/realtime/rooms/{name}".to_owned(),
        ["", "api", "realtime", "notify", _] => "/api/realtime/notify/{user}".to_owned(),
        _ => path.to_owned(),
    }
}

#[tokio::test]
async fn every_answer_is_as_the_document_describes_it() {
    let (issuer, folder) = (TestIssuer::start(&[("rsa", "k1")]).await, tempfile::tempdir().unwrap());
    let tokens = folder.path().join("tokens.toml");
    let login = "[issuers.acme.login]\nclient_id = \"tide\"\nclient_secret = \"the-secret-of-this-client\"\n";
    std::fs::write(&tokens, format!("[issuers.acme]\nissuer = \"{}\"\n{login}", issuer.name())).unwrap();
    // Nothing listens there: what is asked for is put into a queue, and the answer does not wait for the mail.
    let mail = folder.path().join("mail.toml");
    let text =
        "server = \"smtp://127.0.0.1:9\"\nfrom = \"tide@example.org\"\nurl = \"https://tide.example\"\n";
    std::fs::write(&mail, text).unwrap();
    let app = TestApp::over(grown().into(), |config| {
        crate::support::account::open(config);
        config.auth.tokens = Some(tokens);
        config.auth.mail = Some(mail);
    })
    .await;
    let document = app.client().get("/api/openapi.json").await;
    assert_eq!(document, json(&tidewire::http::openapi::openapi(&grown(), &Default::default())));
    let mut walk = Walk { client: app.client(), judge: Judge::new(document.clone()) };
    about(&mut walk).await;
    records(&mut walk).await;
    refusals(&mut walk).await;
    repetitions(&mut walk).await;
    lists(&mut walk).await;
    shapes(&mut walk).await;
    histories(&mut walk).await;
    batches(&mut walk).await;
    batches_of_single_ops(&mut walk).await;
    changes(&mut walk).await;
    messages(&mut walk).await;
    streams(&mut walk).await;
    sessions(&mut walk).await;
    issuers(&mut walk, app.address).await;
    users(&mut walk).await;
    administration(&mut walk, &app).await;

    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let walked = walk.judge.succeeded.contains(&(method.clone(), path.clone()));
            assert!(walked, "{method} {path}: the walk does not come by");
        }
    }
}

async fn about(walk: &mut Walk) {
    for path in
        ["/health", "/healthz", "/readyz", "/metrics", "/api/schema", "/api/openapi.json", "/api/types.d.ts"]
    {
        walk.step(&format!("GET {path}"), Value::Null, (200, "")).await;
    }
    walk.step("GET /api/admin/websocket/stats", Value::Null, (403, "FORBIDDEN")).await;
    walk.step("GET /api/admin/websocket/stats?as=ops:admin", Value::Null, (200, "")).await;
    walk.step_with(
        "GET /api/schema",
        Value::Null,
        &[("authorization", "Bearer x")],
        (401, "UNAUTHENTICATED"),
    )
    .await;
    for path in ["/health", "/metrics"] {
        let elsewhere = [("host", "elsewhere")];
        walk.step_with(&format!("GET {path}"), Value::Null, &elsewhere, (403, "FORBIDDEN_HOST")).await;
    }
    walk.step("GET /api/openapi.json?as=", Value::Null, (401, "UNAUTHENTICATED")).await;
    walk.step("GET /api/types.d.ts?as=%ff", Value::Null, (400, "BAD_QUERY")).await;
}

async fn messages(walk: &mut Walk) {
    let message = json!({"event": "done", "data": {"ok": true}});
    for address in ["/api/realtime/rooms/board", "/api/realtime/notify/ada"] {
        walk.step(&format!("POST {address}?as=root:admin"), message.clone(), (200, "")).await;
        walk.step(&format!("POST {address}?as=ada"), message.clone(), (403, "FORBIDDEN")).await;
        walk.step(&format!("POST {address}?as=root:admin"), json!({}), (400, "BAD_JSON")).await;
    }
    let large = json!({"event": "done", "data": "x".repeat(20_000)});
    walk.step("POST /api/realtime/rooms/board?as=root:admin", large, (413, "MESSAGE_TOO_LARGE")).await;
    walk.step("POST /api/realtime/rooms/a%2F%2Fb?as=root:admin", message, (400, "BAD_CHANNEL")).await;
}

/// An answer without an end is read for its head and its first event.
async fn streams(walk: &mut Walk) {
    walk.step("GET /sse?snapshot=maybe", Value::Null, (400, "BAD_QUERY")).await;
    walk.step("GET /sse?channel=entity:Task&since=7", Value::Null, (400, "BAD_POSITION")).await;
    let mut stream = EventSource::open(walk.client.request("GET", "/sse?channel=entity:Task")).await;
    stream.expect("welcome").await;
    walk.judge.succeeded.insert(("get".to_owned(), "/sse".to_owned()));
}

/// A session of polls, from its opening to its end.
async fn sessions(walk: &mut Walk) {
    walk.step("POST /api/realtime/session?since=7", Value::Null, (400, "BAD_POSITION")).await;
    let opened = walk.step("POST /api/realtime/session?channel=entity:Task", Value::Null, (201, "")).await;
    let session = format!("/api/realtime/session/{}", opened.json["session"].as_str().unwrap());
    let ping = format!("POST {session}/ping");
    walk.step(&ping, json!({"requestId": "p"}), (202, "")).await;
    walk.step(&ping, json!({"type": "subscribe"}), (400, "BAD_FRAME")).await;
    walk.step(&format!("GET {session}?wait=5"), Value::Null, (200, "")).await;
    walk.step(&format!("GET {session}?after=99"), Value::Null, (400, "BAD_QUERY")).await;
    walk.step(&format!("DELETE {session}"), Value::Null, (204, "")).await;
    walk.step("POST /api/realtime/session/none/ping", json!({}), (404, "NOT_FOUND")).await;
}

async fn issuers(walk: &mut Walk, address: std::net::SocketAddr) {
    walk.step("GET /api/auth/issuers", Value::Null, (200, "")).await;
    walk.step("GET /api/auth/issuers/other/login", Value::Null, (404, "NOT_FOUND")).await;
    let elsewhere = "GET /api/auth/issuers/acme/login?return=https%3A%2F%2Felsewhere.example";
    walk.step(elsewhere, Value::Null, (400, "BAD_QUERY")).await;
    let begun = walk.step("GET /api/auth/issuers/acme/login?return=/tasks", Value::Null, (303, "")).await;
    let cookie = begun.header("set-cookie").split(';').next().unwrap().to_owned();
    let back = walk.client.http.get(begun.header("location")).send().await.unwrap();
    let back = back.headers()["location"].to_str().unwrap().replace(&format!("http://{address}"), "");
    let cookie = [("cookie", &*cookie)];
    walk.step_with(&format!("GET {back}"), Value::Null, &cookie, (303, "")).await;
    walk.step_with(&format!("GET {back}"), Value::Null, &cookie, (401, "UNAUTHENTICATED")).await;
    walk.step("GET /api/auth/issuers/acme/callback?error=denied", Value::Null, (401, "LOGIN_FAILED")).await;
}

async fn users(walk: &mut Walk) {
    let ada = json!({"name": "ada", "password": "correct horse"});
    walk.step("POST /api/auth/register", ada.clone(), (201, "")).await;
    walk.step("POST /api/auth/register", ada.clone(), (409, "NOT_UNIQUE")).await;
    walk.step("POST /api/auth/register", json!({"name": "ben"}), (422, "VALIDATION_FAILED")).await;
    let linked = json!({"name": "ben", "password": "correct horse", "link": "x"});
    walk.step("POST /api/auth/register", linked, (410, "BAD_LINK")).await;
    walk.step("POST /api/auth/login", json!({"name": "eve", "password": "x"}), (401, "LOGIN_FAILED")).await;
    walk.step("POST /api/auth/login", json!([]), (400, "BAD_JSON")).await;
    walk.step("POST /api/auth/login", Value::Null, (415, "UNSUPPORTED_MEDIA_TYPE")).await;
    let token = async |walk: &mut Walk| {
        let answer = walk.step("POST /api/auth/login", ada.clone(), (200, "")).await;
        format!("Bearer {}", answer.json["token"].as_str().unwrap())
    };
    let (first, second) = (token(walk).await, token(walk).await);
    let (first, second) = ([("authorization", &*first)], [("authorization", &*second)]);
    walk.step("GET /api/auth/me", Value::Null, (200, "")).await;
    walk.step_with("GET /api/auth/me", Value::Null, &first, (200, "")).await;
    walk.step_with("POST /api/auth/ticket", Value::Null, &first, (200, "")).await;
    walk.step_with("POST /api/auth/refresh", Value::Null, &first, (200, "")).await;
    let listed = walk.step_with("GET /api/auth/sessions", Value::Null, &second, (200, "")).await;
    let other = listed.json["items"].as_array().unwrap().iter().find(|row| row["current"] == false).unwrap();
    let other = format!("DELETE /api/auth/sessions/{}", other["id"].as_str().unwrap());
    walk.step_with(&other, Value::Null, &second, (204, "")).await;
    walk.step_with(&other, Value::Null, &second, (404, "NOT_FOUND")).await;
    walk.step_with("DELETE /api/auth/sessions", Value::Null, &second, (200, "")).await;
    walk.step_with("POST /api/auth/logout", Value::Null, &second, (204, "")).await;
    walk.step_with("POST /api/auth/logout", Value::Null, &second, (401, "UNAUTHENTICATED")).await;
    let by_link = json!({"link": "x", "password": "correct horse"});
    walk.step("POST /api/auth/password", by_link, (410, "BAD_LINK")).await;
    walk.step("POST /api/auth/reset", json!({"name": "ada"}), (202, "")).await;
    walk.step("POST /api/auth/reset", json!({}), (422, "VALIDATION_FAILED")).await;
    let third = token(walk).await;
    let third = [("authorization", &*third)];
    let wrong = json!({"oldPassword": "x", "password": "another horse"});
    let (renamed, wrongly) = (json!({"name": "Ada", "password": "correct horse"}), json!({"name": "eve"}));
    walk.step_with("POST /api/auth/name", wrongly, &third, (422, "VALIDATION_FAILED")).await;
    walk.step_with("POST /api/auth/name", renamed.clone(), &third, (204, "")).await;
    walk.step("POST /api/auth/name", renamed, (401, "UNAUTHENTICATED")).await;
    walk.step_with("POST /api/auth/password", wrong, &third, (422, "VALIDATION_FAILED")).await;
    let right = json!({"oldPassword": "correct horse", "password": "another horse"});
    walk.step_with("POST /api/auth/password", right, &third, (200, "")).await;
}

async fn administration(walk: &mut Walk, app: &TestApp) {
    let login = json!({"name": "ada", "password": "another horse"});
    let login_of = walk.step("POST /api/auth/login", login, (200, "")).await;
    let user = login_of.json["user"]["id"].as_str().unwrap().to_owned();
    let rename = format!("POST /api/admin/users/{user}/name");
    walk.step(&rename, json!({"name": "ada"}), (403, "FORBIDDEN")).await;
    walk.step(&format!("{rename}?as=ops:admin"), json!({"name": ""}), (422, "VALIDATION_FAILED")).await;
    walk.step(&format!("{rename}?as=ops:admin"), json!({"name": "ada"}), (204, "")).await;
    walk.step("POST /api/admin/users/none/name?as=ops:admin", json!({"name": "x"}), (404, "NOT_FOUND")).await;
    walk.step("GET /api/admin/sessions?after=x&as=ops:admin", Value::Null, (400, "BAD_QUERY")).await;
    let _socket = Socket::open(app.address).await;
    walk.step("GET /api/admin/presence", Value::Null, (403, "FORBIDDEN")).await;
    walk.step("GET /api/admin/presence?as=ops:admin", Value::Null, (200, "")).await;
    walk.step("GET /api/realtime/presence/Task", Value::Null, (200, "")).await;
    walk.step("GET /api/realtime/presence/Task/none", Value::Null, (404, "NOT_FOUND")).await;
    walk.step("GET /api/realtime/presence/Task?limit=0", Value::Null, (400, "BAD_QUERY")).await;
    inspection(walk).await;
    for kind in ["connections", "sessions"] {
        let list = format!("GET /api/admin/{kind}");
        walk.step(&list, Value::Null, (403, "FORBIDDEN")).await;
        walk.step(&format!("{list}?limit=0&as=ops:admin"), Value::Null, (400, "BAD_QUERY")).await;
        let listed = walk.step(&format!("{list}?as=ops:admin"), Value::Null, (200, "")).await;
        let id = listed.json["items"][0]["id"].as_str().unwrap();
        if kind == "connections" {
            walk.step(&format!("GET /api/admin/connections/{id}?as=ops:admin"), Value::Null, (200, "")).await;
            walk.step("GET /api/admin/connections/x?as=ops:admin", Value::Null, (404, "NOT_FOUND")).await;
            walk.step("GET /api/admin/connections/x", Value::Null, (403, "FORBIDDEN")).await;
        }
        let end = format!("DELETE /api/admin/{kind}/{id}");
        walk.step(&end, Value::Null, (403, "FORBIDDEN")).await;
        walk.step(&format!("{end}?as=ops:admin"), Value::Null, (204, "")).await;
        walk.step(&format!("{end}?as=ops:admin"), Value::Null, (404, "NOT_FOUND")).await;
    }
}

async fn inspection(walk: &mut Walk) {
    let refused = walk.step("GET /api/admin/inspect/refusals", Value::Null, (403, "FORBIDDEN")).await;
    let id = refused.json["requestId"].as_str().unwrap();
    walk.step(&format!("GET /api/admin/why/{id}"), Value::Null, (403, "FORBIDDEN")).await;
    walk.step(&format!("GET /api/admin/why/{id}?as=ops:admin"), Value::Null, (200, "")).await;
    walk.step("GET /api/admin/why/none?as=ops:admin", Value::Null, (404, "NOT_FOUND")).await;
    walk.step("GET /api/admin/why/none?entity=Task&as=ops:admin", Value::Null, (400, "BAD_QUERY")).await;
    let task = format!("entity=Task&record={ABSENT}&as=ops:admin");
    walk.step(&format!("GET /api/admin/why/none?{task}"), Value::Null, (200, "")).await;
    walk.step("GET /api/admin/explain", Value::Null, (403, "FORBIDDEN")).await;
    walk.step(&format!("GET /api/admin/explain?{task}"), Value::Null, (200, "")).await;
    walk.step("GET /api/admin/explain?as=ops:admin", Value::Null, (400, "BAD_QUERY")).await;
    walk.step("GET /api/admin/explain?entity=X&record=x&as=ops:admin", Value::Null, (404, "UNKNOWN_ENTITY"))
        .await;
    walk.step("GET /api/admin/inspect/refusals?limit=0&as=ops:admin", Value::Null, (400, "BAD_QUERY")).await;
    walk.step("GET /api/admin/inspect/refusals?as=ops:admin", Value::Null, (200, "")).await;
    for path in ["", "/channels", "/events"] {
        let path = format!("GET /api/admin/inspect{path}");
        walk.step(&path, Value::Null, (403, "FORBIDDEN")).await;
        walk.step(&format!("{path}?as=ops:admin"), Value::Null, (200, "")).await;
        walk.step(&format!("{path}?page=1&as=ops:admin"), Value::Null, (400, "BAD_QUERY")).await;
    }
}

async fn records(walk: &mut Walk) {
    let project = walk.step("POST /api/projects?as=ada", json!({"name": "Home"}), (201, "")).await.id();
    let task = json!({"title": "Write", "project": project, "due": "2026-11-21", "tags": {"a": [1]}});
    let task = walk.step("POST /api/tasks?as=ada", task, (201, "")).await.id();
    walk.step(&format!("PATCH /api/tasks/{task}"), json!({"slug": "a/b"}), (200, "")).await;
    walk.step("GET /api/tasks/by/slug/a%2Fb?fields=title", Value::Null, (200, "")).await;
    walk.step("GET /api/tasks/by/slug/c?as=ada", Value::Null, (404, "NOT_FOUND")).await;
    walk.step("GET /api/tasks/by/slug/c?fields=x", Value::Null, (400, "BAD_QUERY")).await;
    let comment = json!({"body": "So", "task": task});
    let comment = walk.step("POST /api/comments", comment, (201, "")).await.id();
    walk.step("POST /api/users", json!({"id": "löwe/x", "name": "Lea"}), (201, "")).await;
    for (plural, id, change) in [
        ("projects", project.as_str(), json!({"name": "House", "color": null})),
        ("tasks", &task, json!({"title": "Rewrite", "priority": 5})),
        ("users", "l%C3%B6we%2Fx", json!({"role": "reader"})),
        ("comments", &comment, json!({"body": "Or so", "task": task})),
    ] {
        let at = format!("/api/{plural}/{id}");
        walk.step(&format!("GET {at}"), Value::Null, (200, "")).await;
        walk.step(&format!("PATCH {at}"), change.clone(), (200, "")).await;
        walk.step(&format!("PATCH {at}"), json!({}), (200, "")).await;
        walk.step(&format!("PUT {at}"), change, (200, "")).await;
        walk.step(&format!("GET /api/{plural}"), Value::Null, (200, "")).await;
        let one = format!("/api/{plural}?id={id}");
        walk.step(&format!("PATCH {one}"), json!({}), (200, "")).await;
        walk.step(&format!("PATCH {one}"), json!({"id": id}), (422, "VALIDATION_FAILED")).await;
        walk.step(&format!("DELETE {one}&version=99"), Value::Null, (200, "")).await;
        walk.step(&format!("DELETE {one}&cursor=x"), Value::Null, (400, "BAD_CURSOR")).await;
        walk.step(&format!("DELETE /api/{plural}"), Value::Null, (400, "BAD_QUERY")).await;
    }
    for (plural, id) in
        [("comments", comment.as_str()), ("tasks", &task), ("projects", &project), ("users", "l%C3%B6we%2Fx")]
    {
        walk.step(&format!("DELETE /api/{plural}/{id}"), Value::Null, (204, "")).await;
        walk.step(&format!("DELETE /api/{plural}/{id}"), Value::Null, (404, "NOT_FOUND")).await;
        walk.step(&format!("GET /api/{plural}/{id}"), Value::Null, (404, "NOT_FOUND")).await;
    }
}

async fn refusals(walk: &mut Walk) {
    let task = walk.step("POST /api/tasks", json!({"title": "Write"}), (201, "")).await.id();
    let at = format!("/api/tasks/{task}");
    let wrong =
        json!({"title": "", "status": "opne", "priority": 9, "due": 3, "colour": "red", "version": 1});
    for write in ["POST /api/tasks".to_owned(), format!("PATCH {at}"), format!("PUT {at}")] {
        let answer = walk.step(&write, wrong.clone(), (422, "VALIDATION_FAILED")).await;
        assert!(answer.json["errors"].as_array().unwrap().len() > 5, "{}", answer.text);
        walk.step(&write, json!([]), (400, "BAD_JSON")).await;
        walk.step(&write, json!({"title": "x", "project": ABSENT}), (422, "UNKNOWN_REFERENCE")).await;
        walk.step_with(&write, Value::Null, &[], (415, "UNSUPPORTED_MEDIA_TYPE")).await;
        walk.step(&write, json!({"title": "x".repeat(2 << 20)}), (413, "BODY_TOO_LARGE")).await;
        walk.step_with(&write, json!({"title": "x"}), &[("idempotency-key", "a b")], (400, "BAD_HEADER"))
            .await;
        let foreign = [("origin", "http://elsewhere.example")];
        walk.step_with(&write, json!({"title": "x"}), &foreign, (403, "FORBIDDEN_ORIGIN")).await;
    }
    walk.step("POST /api/tasks", json!({"id": task, "title": "x"}), (409, "ID_TAKEN")).await;
    let stale = [("if-match", "\"7\"")];
    for (method, body) in
        [("PATCH", json!({"title": "x"})), ("PUT", json!({"title": "x"})), ("DELETE", Value::Null)]
    {
        walk.step_with(&format!("{method} {at}"), body.clone(), &stale, (412, "VERSION_CONFLICT")).await;
        walk.step(&format!("{method} /api/tasks/{ABSENT}"), body.clone(), (404, "NOT_FOUND")).await;
        walk.step(&format!("{method} /api/tasks/none"), body.clone(), (404, "NOT_FOUND")).await;
        walk.step_with(&format!("{method} {at}"), body, &[("if-match", "7")], (400, "BAD_HEADER")).await;
    }
    walk.step("GET /api/tasks/none", Value::Null, (404, "NOT_FOUND")).await;
    walk.step("POST /api/tasks?as=bob", json!({"title": "Bob's"}), (201, "")).await;
    walk.step("DELETE /api/users/bob", Value::Null, (409, "RESTRICTED")).await;
}

async fn repetitions(walk: &mut Walk) {
    let once = [("idempotency-key", "once")];
    let first = walk.step_with("POST /api/tasks?as=ada", json!({"title": "x"}), &once, (201, "")).await;
    let again = walk.step_with("POST /api/tasks?as=ada", json!({"title": "x"}), &once, (201, "")).await;
    assert_eq!((first.id(), again.header("tidewire-replayed")), (again.id(), "true"));
    walk.step_with("POST /api/tasks?as=ada", json!({"title": "y"}), &once, (422, "IDEMPOTENCY_MISMATCH"))
        .await;
    walk.step_with("POST /api/tasks", json!({"title": "x"}), &once, (201, "")).await;
    let nobody = walk.step_with("POST /api/tasks", json!({"title": "x"}), &once, (201, "")).await;
    assert_eq!(nobody.json, json!({"id": nobody.id()}), "nobody in particular gets the id alone");
    let at = format!("/api/tasks/{}", nobody.id());
    for _ in 0..2 {
        let key = [("idempotency-key", "patch")];
        walk.step_with(&format!("PATCH {at}"), json!({"title": "z"}), &key, (200, "")).await;
    }
    for _ in 0..2 {
        walk.step_with(&format!("DELETE {at}"), Value::Null, &[("idempotency-key", "gone")], (204, "")).await;
    }
}

async fn lists(walk: &mut Walk) {
    for plural in PLURALS {
        walk.step(&format!("GET /api/{plural}/count?version[gte]=1"), Value::Null, (200, "")).await;
    }
    for title in ["a", "b", "c"] {
        walk.step("POST /api/tasks?as=ada", json!({"title": title}), (201, "")).await;
    }
    for group in ["status", "owner", "project", "due", "version", "created_at"] {
        let counted = format!("GET /api/tasks/count?group={group}&priority[gte]=2&search=a");
        let groups = walk.step(&counted, Value::Null, (200, "")).await.json["groups"].clone();
        assert_eq!(groups.as_array().unwrap().len(), 1, "{groups}");
    }
    for query in ["limit=1", "group=tags", "group=colour", "search=", "fields=title"] {
        walk.step(&format!("GET /api/tasks/count?{query}"), Value::Null, (400, "BAD_QUERY")).await;
    }
    for query in [
        "status[in]=open,done&title[starts]=a&created_at[gte]=2026-01-01T00:00:00Z",
        "due[null]=true&owner[ne]=bob&id[gt]=0190a000-0000-7000-8000-00000000000a",
        "search=b&sort=-created_at,title",
    ] {
        let found = walk.step(&format!("GET /api/tasks?{query}"), Value::Null, (200, "")).await;
        assert!(!found.json["items"].as_array().unwrap().is_empty(), "{query}");
    }
    long_questions(walk).await;
    let page =
        walk.step("GET /api/tasks?limit=2&sort=-title,priority&status=open", Value::Null, (200, "")).await;
    let next = page.json["next"].as_str().unwrap().to_owned();
    walk.step(
        &format!("GET /api/tasks?limit=2&sort=-title,priority&status=open&cursor={next}"),
        Value::Null,
        (200, ""),
    )
    .await;
    walk.step("GET /api/tasks?cursor=x", Value::Null, (400, "BAD_CURSOR")).await;
    for query in [
        "limit=0",
        "limit=x",
        "sort=colour",
        "colour=red",
        "status=opne",
        "version=x",
        "tags=1",
        "limit=1&limit=1",
        "status[like]=o",
        "version[contains]=1",
        "project[gt]=0190a000-0000-7000-8000-00000000000a",
        "due[null]=maybe",
        "expand=title",
        "fields=colour",
        "search=-",
        "group=status",
    ] {
        walk.step(&format!("GET /api/tasks?{query}"), Value::Null, (400, "BAD_QUERY")).await;
    }
}

/// The same questions in a body.
async fn long_questions(walk: &mut Walk) {
    for plural in PLURALS {
        walk.step(&format!("POST /api/{plural}/count"), json!({"version": {"gte": 1}}), (200, "")).await;
        walk.step(&format!("POST /api/{plural}/query"), json!({"version": {"gte": 1}}), (200, "")).await;
    }
    let question = json!({
        "status": {"in": ["open", "done"]}, "due": null, "priority": {"gte": 2}, "title": "b",
        "sort": ["-title"], "limit": 1, "fields": ["title"], "expand": ["project"], "search": "b",
    });
    let found = walk.step("POST /api/tasks/query?as=ada", question, (200, "")).await;
    assert_eq!(found.json["items"].as_array().unwrap().len(), 1, "{}", found.text);
    walk.step("POST /api/tasks/count", json!({"group": "status", "search": "a"}), (200, "")).await;
    walk.step("POST /api/tasks/query", json!({"cursor": "x"}), (400, "BAD_CURSOR")).await;
    for path in ["/api/tasks/query", "/api/tasks/count"] {
        let request = format!("POST {path}");
        walk.step(&request, json!({"colour": "red"}), (400, "BAD_QUERY")).await;
        walk.step(&request, json!([]), (400, "BAD_JSON")).await;
        walk.step(&request, Value::Null, (415, "UNSUPPORTED_MEDIA_TYPE")).await;
        walk.step(&request, json!({"title": "x".repeat(2 << 20)}), (413, "BODY_TOO_LARGE")).await;
        let foreign = [("origin", "http://elsewhere.example")];
        walk.step_with(&request, json!({}), &foreign, (403, "FORBIDDEN_ORIGIN")).await;
    }
}

/// `expand` and `fields`, of lists and of single records.
async fn shapes(walk: &mut Walk) {
    let project = walk.step("POST /api/projects?as=ada", json!({"name": "Home"}), (201, "")).await.id();
    let task = json!({"title": "Shaped", "project": project});
    let task = walk.step("POST /api/tasks?as=ada", task, (201, "")).await.id();
    walk.step("POST /api/comments", json!({"body": "So", "task": task}), (201, "")).await;
    for (path, expected) in [
        (format!("/api/tasks/{task}?expand=project,owner"), "/expanded/project/name"),
        (
            format!("/api/tasks/{task}?fields=title,project&expand=project.owner"),
            "/expanded/project/expanded/owner",
        ),
        ("/api/tasks?search=shaped&expand=project&fields=title".to_owned(), "/items/0/expanded/project/id"),
        (
            "/api/comments?expand=task.project,project&fields=body".to_owned(),
            "/items/0/expanded/task/expanded/project/name",
        ),
    ] {
        let answer = walk.step(&format!("GET {path}"), Value::Null, (200, "")).await;
        assert!(
            answer.json.pointer(expected).is_some_and(|there| !there.is_null()),
            "{path}: {}",
            answer.text
        );
    }
    for query in ["fields=", "expand=", "expand=title", "fields=title,title", "sort=title"] {
        walk.step(&format!("GET /api/tasks/{task}?{query}"), Value::Null, (400, "BAD_QUERY")).await;
    }
}

async fn histories(walk: &mut Walk) {
    let key = [("idempotency-key", "past")];
    let task = walk.step_with("POST /api/tasks?as=ada", json!({"title": "Past"}), &key, (201, "")).await.id();
    let (record, history) = (format!("/api/tasks/{task}"), format!("/api/tasks/{task}/history"));
    walk.step(&format!("PATCH {record}"), json!({"title": "Passed", "due": "2026-11-21"}), (200, "")).await;
    walk.step(&format!("DELETE {record}"), Value::Null, (204, "")).await;
    let page = walk.step(&format!("GET {history}?limit=2"), Value::Null, (200, "")).await;
    let next = page.json["next"].as_str().unwrap().to_owned();
    let last = walk.step(&format!("GET {history}?limit=2&cursor={next}"), Value::Null, (200, "")).await;
    let words: Vec<&Value> = [&page, &last]
        .into_iter()
        .flat_map(|page| page.json["items"].as_array().unwrap())
        .map(|item| &item["op"])
        .collect();
    assert_eq!(words, ["delete", "update", "create"]);
    assert_eq!((&last.json["items"][0]["mid"], &last.json["next"]), (&json!("past"), &Value::Null));
    for (query, code) in [("cursor=x", "BAD_CURSOR"), ("limit=0", "BAD_QUERY"), ("sort=seq", "BAD_QUERY")] {
        walk.step(&format!("GET {history}?{query}"), Value::Null, (400, code)).await;
    }
    walk.step(&format!("GET /api/tasks/{ABSENT}/history"), Value::Null, (404, "NOT_FOUND")).await;
    // Described only where there is a history: clients with an older description meet this.
    let without = walk.client.call("GET", &format!("/api/projects/{ABSENT}/history"), Value::Null).await;
    assert_eq!(without.json["code"], "NO_HISTORY");
    walk.judge.accept("get", "/api/tasks/{id}/history", &without);
}

async fn batches(walk: &mut Walk) {
    let batch = "POST /api/batch";
    let task = walk.step("POST /api/tasks?as=ada", json!({"title": "Batch"}), (201, "")).await.id();
    let ops = json!([
        {"op": "create", "entity": "Project", "id": "0190a000-0000-7000-8000-0000000000aa", "data": {"name": "Port"}},
        {"op": "update", "entity": "Task", "id": task, "data": {"project": "0190a000-0000-7000-8000-0000000000aa"}},
        {"op": "replace", "entity": "Task", "id": task, "data": {"title": "Anew"}, "version": 2},
        {"op": "delete", "entity": "Task", "id": task},
    ]);
    let done = walk.step(&format!("{batch}?as=ada"), json!({"ops": ops}), (200, "")).await;
    let statuses: Vec<&Value> =
        done.json["results"].as_array().unwrap().iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, [201, 200, 200, 204]);
    for address in [batch.to_owned(), format!("{batch}?as=ada")] {
        let body =
            json!({"atomic": true, "ops": [{"op": "create", "entity": "Task", "data": {"title": "x"}}]});
        let key = [("idempotency-key", "batch")];
        walk.step_with(&address, body.clone(), &key, (200, "")).await;
        let again = walk.step_with(&address, body, &key, (200, "")).await;
        assert_eq!((&again.json["replayed"], again.header("tidewire-replayed")), (&json!(true), "true"));
        let other = json!({"ops": [{"op": "create", "entity": "Task", "data": {"title": "y"}}]});
        walk.step_with(&address, other, &key, (422, "IDEMPOTENCY_MISMATCH")).await;
    }
    let good = json!({"op": "create", "entity": "Task", "data": {"title": "x"}});
    let current = walk.step("POST /api/tasks?as=bob", json!({"title": "Bob's"}), (201, "")).await.id();
    for (op, refusal) in [
        (
            json!({"op": "create", "entity": "Task", "data": {"title": 3, "colour": 1}}),
            (422, "VALIDATION_FAILED"),
        ),
        (json!({"op": "create", "entity": "Task", "data": {"id": current, "title": "x"}}), (409, "ID_TAKEN")),
        (
            json!({"op": "create", "entity": "Task", "data": {"title": "x", "project": ABSENT}}),
            (422, "UNKNOWN_REFERENCE"),
        ),
        (
            json!({"op": "update", "entity": "Task", "id": current, "data": {}, "version": 7}),
            (412, "VERSION_CONFLICT"),
        ),
        (json!({"op": "delete", "entity": "Task", "id": ABSENT}), (404, "NOT_FOUND")),
        (json!({"op": "delete", "entity": "User", "id": "bob"}), (409, "RESTRICTED")),
        (json!({"op": "delete", "entity": "Tsak", "id": ABSENT}), (404, "UNKNOWN_ENTITY")),
    ] {
        let failed = walk.step(batch, json!({"ops": [good, op]}), refusal).await;
        assert_eq!(failed.json["op"], 1, "{}", failed.text);
    }
    for wrong in [json!([]), json!({}), json!({"ops": []}), json!({"ops": [good, {"op": "crate"}]})] {
        walk.step(batch, wrong, (400, "BAD_JSON")).await;
    }
    let if_match = [("if-match", "\"1\"")];
    walk.step_with(batch, json!({"ops": [good]}), &if_match, (400, "BAD_HEADER")).await;
}

async fn batches_of_single_ops(walk: &mut Walk) {
    let each = json!({"atomic": false, "ops": [
        {"op": "create", "entity": "Task", "data": {"title": "x"}, "mid": "each-1"},
        {"op": "create", "entity": "Task", "data": {"title": 3, "colour": "red"}},
        {"op": "update", "entity": "Task", "id": ABSENT, "data": {}},
        {"op": "update", "entity": "User", "id": "bob", "data": {"name": "Bob"}, "version": 9},
        {"op": "delete", "entity": "Tsak", "id": ABSENT},
        {"op": "update", "entity": "User", "id": "bob", "data": {"name": "Bob"}},
    ]});
    for caller in ["", "?as=ada"] {
        for replayed in [Value::Null, json!(true)] {
            let address = format!("POST /api/batch{caller}");
            let results = walk.step(&address, each.clone(), (200, "")).await.json["results"].clone();
            let statuses: Vec<&Value> =
                results.as_array().unwrap().iter().map(|result| &result["status"]).collect();
            assert_eq!(statuses, [201, 422, 404, 412, 404, 200]);
            assert_eq!(results[0]["replayed"], replayed, "{results}");
        }
    }
    let failing = json!({"atomic": false, "ops": [{"op": "delete", "entity": "Task", "id": ABSENT}]});
    walk.step("POST /api/batch", failing.clone(), (200, "")).await;
    walk.step_with("POST /api/batch", failing, &[("idempotency-key", "k")], (400, "BAD_HEADER")).await;
    walk.step("POST /api/batch", json!({"atomic": 0, "ops": [{}]}), (400, "BAD_JSON")).await;
}

async fn changes(walk: &mut Walk) {
    for query in ["", "?limit=2", "?entity=Task&before=3"] {
        walk.step(&format!("GET /api/activity{query}"), Value::Null, (200, "")).await;
    }
    walk.step("GET /api/activity?entity=Tsak", Value::Null, (404, "UNKNOWN_ENTITY")).await;
    walk.step("GET /api/activity?before=x", Value::Null, (400, "BAD_QUERY")).await;
    let now = walk.step("GET /api/changes?channel=entity:Task", Value::Null, (200, "")).await;
    let since = format!("{}:0", now.json["epoch"].as_str().unwrap());
    let page = walk
        .step(&format!("GET /api/changes?channel=entity:Task&since={since}"), Value::Null, (200, ""))
        .await;
    assert!(page.json["errors"].as_array().unwrap().is_empty(), "{}", page.text);
    let odd = walk.step("GET /api/changes?channel=entity:Tsak&channel=odd", Value::Null, (200, "")).await;
    assert_eq!(odd.json["errors"].as_array().unwrap().len(), 2);
    walk.step("GET /api/changes", Value::Null, (400, "BAD_QUERY")).await;
    walk.step("GET /api/changes?channel=entity:Task&since=x", Value::Null, (400, "BAD_POSITION")).await;

    let (path, channels) =
        ("POST /api/changes", json!([{"channel": "entity:Task"}, {"channel": "odd", "view": "x"}]));
    let polled = walk.step(path, json!({"channels": channels, "since": since, "wait": 0}), (200, "")).await;
    assert_eq!(polled.json["errors"].as_array().unwrap().len(), 1, "{}", polled.text);
    walk.step(path, json!({"channels": channels, "since": "x"}), (400, "BAD_POSITION")).await;
    walk.step(path, json!({"channels": []}), (400, "BAD_QUERY")).await;
    walk.step(path, json!({"channels": 3}), (400, "BAD_JSON")).await;
    walk.step(path, Value::Null, (415, "UNSUPPORTED_MEDIA_TYPE")).await;
}
