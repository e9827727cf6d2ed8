//! One walk through the API, in which every operation succeeds and fails in its ways: each answer is as described.

use serde_json::{Value, json};

use super::judge::Judge;
use super::{COMING, PLURALS, generic, json, shipped};
use crate::support::app::{Answer, Client, TestApp};

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
        let told = answer.json["code"].as_str().unwrap_or_default();
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
        ["", "api", _, "count"] => path.to_owned(),
        ["", "api", plural, _, rest @ ..] if PLURALS.contains(plural) => {
            ["", "api", plural, "{id}"].iter().chain(rest).copied().collect::<Vec<_>>().join("/")
        }
        _ => path.to_owned(),
    }
}

#[tokio::test]
async fn every_answer_is_as_the_document_describes_it() {
    let app = TestApp::start().await;
    let document = app.client().get("/api/openapi.json").await;
    assert_eq!(document, json(&shipped()), "the route answers what the command prints");
    let mut walk = Walk { client: app.client(), judge: Judge::new(document.clone()) };
    about(&mut walk).await;
    records(&mut walk).await;
    refusals(&mut walk).await;
    repetitions(&mut walk).await;
    lists(&mut walk).await;
    changes(&mut walk).await;

    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let key = generic(path, &PLURALS);
            let coming = COMING.contains(&(method.as_str(), key.as_str()));
            let walked = walk.judge.succeeded.contains(&(method.clone(), path.clone()));
            assert_eq!(walked, !coming, "{method} {path}: does the walk come by?");
        }
    }
}

async fn about(walk: &mut Walk) {
    for path in ["/health", "/healthz", "/readyz", "/api/schema", "/api/openapi.json", "/api/types.d.ts"] {
        walk.step(&format!("GET {path}"), Value::Null, (200, "")).await;
    }
    walk.step("GET /api/admin/websocket/stats", Value::Null, (200, "")).await;
    walk.step_with(
        "GET /api/schema",
        Value::Null,
        &[("authorization", "Bearer x")],
        (401, "UNAUTHENTICATED"),
    )
    .await;
    walk.step_with("GET /health", Value::Null, &[("host", "elsewhere")], (403, "FORBIDDEN_HOST")).await;
    walk.step("GET /api/openapi.json?as=", Value::Null, (401, "UNAUTHENTICATED")).await;
    walk.step("GET /api/types.d.ts?as=%ff", Value::Null, (400, "BAD_QUERY")).await;
}

async fn records(walk: &mut Walk) {
    let project = walk.step("POST /api/projects?as=ada", json!({"name": "Home"}), (201, "")).await.id();
    let task = json!({"title": "Write", "project": project, "due": "2026-11-21", "tags": {"a": [1]}});
    let task = walk.step("POST /api/tasks?as=ada", task, (201, "")).await.id();
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
    walk.step("GET /api/tasks/count?group=status&priority[gte]=2", Value::Null, (200, "")).await;
    walk.step("GET /api/tasks/count?limit=1", Value::Null, (400, "BAD_QUERY")).await;
    walk.step("GET /api/tasks?expand=project,owner&fields=title", Value::Null, (200, "")).await;
    for title in ["a", "b", "c"] {
        walk.step("POST /api/tasks?as=ada", json!({"title": title}), (201, "")).await;
    }
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
    ] {
        walk.step(&format!("GET /api/tasks?{query}"), Value::Null, (400, "BAD_QUERY")).await;
    }
}

async fn changes(walk: &mut Walk) {
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
}
