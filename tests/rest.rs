//! REST: the life of a record, versions, retries, lists, and what a server says to requests that are wrong.

use std::io::Write as _;

use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::{Value, json};

use crate::support::app::{Answer, Client, TestApp};
use crate::support::entities;

fn null() -> Value {
    Value::Null
}

const UNKNOWN: &str = "0190a000-0000-7000-8000-0000000000ff";

#[tokio::test]
async fn a_record_lives_through_every_method() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client_as("ann");

    let created =
        api.call("POST", "/api/tasks", json!({"title": "Write", "tags": {"b": 1, "a": [2.5]}})).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let (id, path) = (created.id(), format!("/api/tasks/{}", created.id()));
    assert_eq!(created.header("location"), path);
    assert_eq!(created.header("etag"), "\"1\"");
    assert_eq!(created.header("cache-control"), "no-store");
    assert_eq!(created.json["status"], "open");
    assert_eq!(created.json["priority"], 3);
    assert_eq!(created.json["owner"], "ann");
    assert_eq!(created.json["due"], null());
    assert_eq!(created.json["tags"], json!({"a": [2.5], "b": 1}));

    let read = api.call("GET", &path, null()).await;
    assert_eq!((read.status, &read.json), (200, &created.json));
    assert_eq!(read.header("etag"), "\"1\"");
    assert_eq!(read.header("tidewire-seq"), created.header("tidewire-seq"));
    let head = api.call("HEAD", &path, null()).await;
    assert_eq!((head.status, head.text.as_str(), head.header("etag")), (200, "", "\"1\""));

    let patched = api.call("PATCH", &path, json!({"status": "done", "id": id.to_uppercase()})).await;
    assert_eq!((patched.status, patched.header("etag")), (200, "\"2\""), "{}", patched.text);
    assert_eq!((&patched.json["title"], &patched.json["status"]), (&json!("Write"), &json!("done")));
    assert!(seq(&patched) > seq(&created));

    let put = api.call("PUT", &path, json!({"title": "Anew"})).await;
    assert_eq!((put.status, put.header("etag")), (200, "\"3\""));
    assert_eq!((&put.json["status"], &put.json["tags"]), (&json!("open"), &null()), "default, or null");

    let deleted = api.call("DELETE", &path, null()).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (204, ""));
    assert!(seq(&deleted) > seq(&put));
    assert_eq!(api.call("GET", &path, null()).await.json["code"], "NOT_FOUND");
    assert_eq!(api.call("DELETE", &path, null()).await.status, 404);
}

fn seq(answer: &Answer) -> u64 {
    let (epoch, seq) = answer.header("tidewire-seq").split_once(':').expect("a position");
    assert_eq!(epoch.len(), 32);
    seq.parse().unwrap()
}

#[tokio::test]
async fn an_update_that_changes_nothing_is_no_change() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    let created = api.call("POST", "/api/tasks", json!({"title": "x", "tags": [1]})).await;
    let path = format!("/api/tasks/{}", created.id());
    for (method, body) in [
        ("PATCH", json!({})),
        ("PATCH", json!({"title": "x", "tags": [1]})),
        ("PUT", json!({"title": "x", "tags": [1]})),
    ] {
        let answer = api.call(method, &path, body).await;
        assert_eq!((answer.status, answer.header("etag")), (200, "\"1\""), "{method}");
        assert_eq!((seq(&answer), &answer.json), (seq(&created), &created.json), "{method}");
    }
}

#[tokio::test]
async fn if_match_keeps_writers_from_overwriting_each_other() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    let created = api.create("tasks", json!({"title": "x"})).await;
    let path = format!("/api/tasks/{}", created["id"].as_str().unwrap());
    let with = async |method, body, tag| api.call_with(method, &path, body, &[("If-Match", tag)]).await;

    assert_eq!(with("PATCH", json!({"title": "mine"}), "\"1\"").await.status, 200);
    for (method, body) in
        [("PATCH", json!({"title": "theirs"})), ("PUT", json!({"title": "theirs"})), ("DELETE", null())]
    {
        let late = with(method, body, "\"1\"").await;
        assert_eq!((late.status, &late.json["code"]), (412, &json!("VERSION_CONFLICT")), "{method}");
        assert_eq!(late.json["current"]["title"], "mine", "{method}");
        assert_eq!(late.json["current"]["version"], 2, "{method}");
    }
    assert_eq!(with("PATCH", json!({"title": "any"}), "*").await.status, 200);
    let gone =
        api.call_with("PATCH", &format!("/api/tasks/{UNKNOWN}"), json!({}), &[("If-Match", "*")]).await;
    assert_eq!(gone.status, 404);
    assert_eq!(with("DELETE", null(), "\"3\"").await.status, 204);
}

#[tokio::test]
async fn a_retry_gets_the_first_answer_and_does_nothing() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let ann = app.client_as("ann");
    let key = [("Idempotency-Key", "k-1")];
    let first = ann.call_with("POST", "/api/tasks", json!({"title": "once", "priority": 2}), &key).await;
    // The same content in another order of keys.
    let request = ann.request("POST", "/api/tasks").header("Idempotency-Key", "k-1");
    let body = r#" { "priority" : 2, "title" : "once" } "#;
    let again = ann.send(request.header("Content-Type", "application/json").body(body)).await;
    assert_eq!((again.status, &again.json), (201, &first.json));
    assert_eq!((first.header("tidewire-replayed"), again.header("tidewire-replayed")), ("", "true"));
    assert_eq!(again.header("location"), first.header("location"));

    let other = ann.call_with("POST", "/api/tasks", json!({"title": "other"}), &key).await;
    assert_eq!((other.status, &other.json["code"]), (422, &json!("IDEMPOTENCY_MISMATCH")));
    let elsewhere = ann.call_with("PATCH", first.header("location"), json!({"title": "once"}), &key).await;
    assert_eq!(elsewhere.status, 422, "the same key on another address");

    let bob = app.client_as("bob").call_with("POST", "/api/tasks", json!({"title": "other"}), &key).await;
    assert_eq!(bob.status, 201, "a key belongs to its user");
    assert_eq!(app.rows("tasks").await.len(), 2);
}

#[tokio::test]
async fn every_kind_of_write_can_be_retried() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let ann = app.client_as("ann");
    let path =
        format!("/api/tasks/{}", ann.create("tasks", json!({"title": "x"})).await["id"].as_str().unwrap());
    for (method, body, status) in [
        ("PATCH", json!({"title": "y"}), 200),
        ("PATCH", json!({}), 200),
        ("PUT", json!({"title": "z"}), 200),
        ("DELETE", null(), 204),
    ] {
        let mid = format!("{method}-{body}");
        let key = [("Idempotency-Key", mid.as_str())];
        let first = ann.call_with(method, &path, body.clone(), &key).await;
        let again = ann.call_with(method, &path, body, &key).await;
        assert_eq!((first.status, again.status), (status, status), "{method} {}", again.text);
        assert_eq!(again.header("tidewire-replayed"), "true", "{method}");
        assert_eq!(first.json, again.json, "{method}");
    }
}

#[tokio::test]
async fn an_anonymous_retry_learns_the_id_alone() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    let key = [("Idempotency-Key", "k")];
    let first = api.call_with("POST", "/api/tasks", json!({"title": "secret"}), &key).await;
    let again = api.call_with("POST", "/api/tasks", json!({"title": "secret"}), &key).await;
    assert_eq!((again.status, again.json), (201, json!({"id": first.id()})));
    assert_eq!(again.headers.get("etag"), None);
    api.delete(&format!("/api/tasks/{}", first.id())).await;
    let gone = api.call_with("POST", "/api/tasks", json!({"title": "secret"}), &key).await;
    assert_eq!((gone.status, gone.json), (201, json!({"id": first.id()})));
    assert!(app.rows("tasks").await.is_empty(), "a retry brings nothing back");
}

#[tokio::test]
async fn clients_may_choose_any_uuid() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    let id = "A0190000-0000-4000-8000-00000000ABCD";
    let created = api.create("tasks", json!({"id": id, "title": "x"})).await;
    assert_eq!(created["id"], id.to_lowercase());
    assert_eq!(api.get(&format!("/api/tasks/{id}")).await, created, "any form of the id finds it");
    let again = api.call("POST", "/api/tasks", json!({"id": id, "title": "y"})).await;
    assert_eq!((again.status, &again.json["code"]), (409, &json!("ID_TAKEN")));
}

#[tokio::test]
async fn deletes_follow_the_schema() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client_as("ann");
    let project = api.create("projects", json!({"name": "p"})).await;
    let task = api.create("tasks", json!({"title": "t", "project": project["id"]})).await;
    api.create("comments", json!({"body": "c", "task": task["id"]})).await;
    let path = format!("/api/projects/{}", project["id"].as_str().unwrap());

    let sample = api.create("samples", json!({"keeper": project["id"]})).await;
    let refused = api.call("DELETE", &path, null()).await;
    assert_eq!((refused.status, &refused.json["code"]), (409, &json!("RESTRICTED")));
    assert!(refused.json["detail"].as_str().unwrap().contains("Sample"), "{}", refused.text);

    api.delete(&format!("/api/samples/{}", sample["id"].as_str().unwrap())).await;
    api.delete(&path).await;
    assert!(app.rows("tasks").await.is_empty() && app.rows("comments").await.is_empty());

    let task = api.create("tasks", json!({"title": "t"})).await;
    api.delete("/api/users/ann").await;
    let orphan = app.client().get(&format!("/api/tasks/{}", task["id"].as_str().unwrap())).await;
    assert_eq!(orphan["owner"], null());
}

#[tokio::test]
async fn every_named_caller_has_a_user_record_and_gets_it_back() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let zoe = app.client_as("Zo%C3%AB%20%2F%20x");
    zoe.get("/api/tasks").await;
    let user = app.client().get("/api/users/Zo%C3%AB%20%2F%20x").await;
    assert_eq!((&user["id"], &user["name"]), (&json!("Zoë / x"), &json!("Zoë / x")));
    app.client().delete("/api/users/Zo%C3%AB%20%2F%20x").await;
    assert_eq!(zoe.create("tasks", json!({"title": "x"})).await["owner"], "Zoë / x");

    let many = (0..16).map(|n| {
        let api = app.client_as("crowd");
        tokio::spawn(async move { api.create("tasks", json!({"title": format!("{n}")})).await })
    });
    for task in many.collect::<Vec<_>>() {
        assert_eq!(task.await.unwrap()["owner"], "crowd", "first requests that meet all come through");
    }
}

#[tokio::test]
async fn a_text_id_survives_its_way_through_a_location() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    let created = api.call("POST", "/api/users", json!({"id": "a/b c?#%ü", "name": "odd"})).await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!(api.get(created.header("location")).await, created.json);
}

#[tokio::test]
async fn a_list_is_walked_page_by_page_without_loss_under_any_sort() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    for n in 0..23 {
        let due = if n % 3 == 0 { null() } else { json!(format!("2026-01-{:02}", 1 + n % 4)) };
        api.create("tasks", json!({"title": format!("t{:02}", n % 7), "priority": 1 + n % 5, "due": due}))
            .await;
    }
    let all = app.rows("tasks").await;
    for sort in
        ["", "title", "-priority,title", "due,-title", "-due", "-created_at,id", "-version,-id", "status"]
    {
        let mut seen: Vec<Value> = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = api.get(&format!("/api/tasks?limit=5&sort={sort}{cursor}")).await;
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 5);
            assert!(page["view"].is_string() && page["seq"].is_u64() && page["epoch"].is_string());
            seen.extend(items.iter().cloned());
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let whole = api.get(&format!("/api/tasks?limit=1000&sort={sort}")).await;
        assert_eq!(&seen, whole["items"].as_array().unwrap(), "sort {sort}: pages differ from the whole");
        assert_eq!(seen.len(), all.len(), "sort {sort}");
    }
    let best = api.get("/api/tasks?sort=-priority,title&limit=1").await;
    assert_eq!(best["items"][0]["priority"], 5);
}

#[tokio::test]
async fn a_list_shows_what_its_filters_say() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client_as("ann");
    let project = api.create("projects", json!({"name": "p"})).await["id"].as_str().unwrap().to_owned();
    let due = json!({"title": "a b&c", "due": "2026-11-21", "project": project, "priority": 5});
    let task = api.create("tasks", due).await;
    app.client().create("tasks", json!({"title": "other", "status": "done"})).await;
    let id = task["id"].as_str().unwrap();
    for (query, count) in [
        ("status=open".to_owned(), 1),
        ("status=done".to_owned(), 1),
        ("status=doing".to_owned(), 0),
        ("priority=5&status=open".to_owned(), 1),
        ("priority=5&status=done".to_owned(), 0),
        ("priority=77".to_owned(), 0),
        ("title=a+b%26c".to_owned(), 1),
        ("due=2026-11-21".to_owned(), 1),
        (format!("project={}", project.to_uppercase()), 1),
        ("owner=ann".to_owned(), 1),
        (format!("id={id}"), 1),
        ("version=1".to_owned(), 2),
    ] {
        let page = api.get(&format!("/api/tasks?{query}")).await;
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{query}: {page}");
    }
}

#[tokio::test]
async fn all_errors_of_a_body_are_reported_at_once() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let body =
        json!({"title": 5, "priority": 9, "status": "opne", "tite": "x", "version": 3, "due": "2026-02-30"});
    let answer = app.client().call("POST", "/api/tasks", body).await;
    assert_eq!(answer.status, 422);
    let mut faults: Vec<(&str, &str)> = Vec::new();
    for error in answer.json["errors"].as_array().unwrap() {
        faults.push((error["field"].as_str().unwrap(), error["code"].as_str().unwrap()));
    }
    faults.sort_unstable();
    assert_eq!(
        faults,
        [
            ("due", "bad_date"),
            ("priority", "too_large"),
            ("status", "not_one_of"),
            ("tite", "unknown_field"),
            ("title", "wrong_type"),
            ("version", "system_field"),
        ]
    );
    assert!(answer.text.contains("did you mean `title`") && answer.text.contains("did you mean `open`"));
}

/// A body as it is written, and what the answer must say about it.
const BAD_BODIES: &[(&str, u16, &str, &str)] = &[
    ("", 400, "BAD_JSON", "empty"),
    ("   ", 400, "BAD_JSON", "empty"),
    ("{", 400, "BAD_JSON", "line 1"),
    ("{\"title\": \"x\"} x", 400, "BAD_JSON", "trailing"),
    ("[]", 400, "BAD_JSON", "an array"),
    ("null", 400, "BAD_JSON", "null"),
    ("\"title\"", 400, "BAD_JSON", "a text"),
    ("5", 400, "BAD_JSON", "a number"),
    ("true", 400, "BAD_JSON", "a bool"),
    ("{'title': 'x'}", 400, "BAD_JSON", "column"),
    ("{\"title\": \"x\", \"title\": \"y\"}", 400, "BAD_JSON", "`title` appears twice"),
    ("{\"title\": \"x\", \"tags\": {\"a\": 1, \"a\": 2}}", 400, "BAD_JSON", "`a` appears twice"),
    ("{\"title\": \"\\ud800\"}", 400, "BAD_JSON", "line 1"),
    ("{\"title\": \"x\", \"priority\": 1e999}", 422, "VALIDATION_FAILED", "`1e999`"),
    ("{}", 422, "VALIDATION_FAILED", "`title` is required"),
    ("{\"title\": null}", 422, "VALIDATION_FAILED", "`title` is required"),
    ("{\"title\": 5}", 422, "VALIDATION_FAILED", "`title` must be a text, not a number"),
    ("{\"title\": \"a\\u0000b\"}", 422, "VALIDATION_FAILED", "U+0000"),
    ("{\"title\": \"x\", \"status\": \"closed\"}", 422, "VALIDATION_FAILED", "open, doing, done"),
    ("{\"title\": \"x\", \"priority\": 0}", 422, "VALIDATION_FAILED", "smallest allowed is 1"),
    ("{\"title\": \"x\", \"priority\": 6}", 422, "VALIDATION_FAILED", "largest allowed is 5"),
    ("{\"title\": \"x\", \"priority\": \"3\"}", 422, "VALIDATION_FAILED", "must be an int"),
    ("{\"title\": \"x\", \"priority\": 2.5}", 422, "VALIDATION_FAILED", "2.5"),
    ("{\"title\": \"x\", \"priority\": 9007199254740993}", 422, "VALIDATION_FAILED", "9007199254740991"),
    ("{\"title\": \"x\", \"due\": \"21.11.2026\"}", 422, "VALIDATION_FAILED", "21.11.2026"),
    ("{\"title\": \"x\", \"due\": 5}", 422, "VALIDATION_FAILED", "must be a date"),
    ("{\"title\": \"x\", \"project\": \"p\"}", 422, "VALIDATION_FAILED", "not a UUID"),
    ("{\"title\": \"x\", \"colour\": \"red\"}", 422, "VALIDATION_FAILED", "`colour` is not a field of Task"),
    ("{\"title\": \"x\", \"version\": 1}", 422, "VALIDATION_FAILED", "`version` is set by the server"),
    ("{\"title\": \"x\", \"created_at\": \"now\"}", 422, "VALIDATION_FAILED", "`created_at`"),
    ("{\"title\": \"x\", \"updated_at\": null}", 422, "VALIDATION_FAILED", "`updated_at`"),
    ("{\"title\": \"x\", \"id\": \"1\"}", 422, "VALIDATION_FAILED", "`1` is not a UUID"),
    ("{\"title\": \"x\", \"id\": 1}", 422, "VALIDATION_FAILED", "`id` must be a text"),
    (
        "{\"title\": \"x\", \"project\": \"0190a000-0000-7000-8000-0000000000ff\"}",
        422,
        "UNKNOWN_REFERENCE",
        "`project`",
    ),
];

#[tokio::test]
async fn a_bad_body_gets_an_error_that_names_the_mistake() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    for (body, status, code, words) in BAD_BODIES {
        let request =
            api.request("POST", "/api/tasks").header("Content-Type", "application/json").body(*body);
        expect(&api.send(request).await, *status, code, words, body);
    }
    let deep = format!("{{\"title\": \"x\", \"tags\": {}{}}}", "[".repeat(200), "]".repeat(200));
    let request = api.request("POST", "/api/tasks").header("Content-Type", "application/json").body(deep);
    expect(&api.send(request).await, 400, "BAD_JSON", "recursion", "200 levels");
    assert!(app.rows("tasks").await.is_empty(), "nothing happened");
}

/// What every problem has, and the words of this one.
fn expect(answer: &Answer, status: u16, code: &str, words: &str, request: &str) {
    assert_eq!(
        (answer.status, answer.json["code"].as_str()),
        (status, Some(code)),
        "{request}: {}",
        answer.text
    );
    assert_eq!(answer.header("content-type"), "application/problem+json", "{request}");
    assert_eq!(answer.json["status"], status, "{request}");
    assert_eq!(answer.json["requestId"], answer.header("x-request-id"), "{request}");
    for key in ["title", "detail", "hint"] {
        assert!(answer.json[key].as_str().is_some_and(|text| text.len() > 5), "{request}: no {key}");
    }
    let told = format!("{} {}", answer.json["detail"], answer.json["errors"]);
    assert!(told.contains(words), "{request}: `{words}` is not in {told}");
    for leak in ["SQL", "sqlite", "panicked", ".rs:"] {
        assert!(!answer.text.contains(leak), "{request}: {}", answer.text);
    }
}

const BAD_SAMPLES: &[(&str, &str, &str)] = &[
    ("{\"code\": \"a\"}", "too_short", "at least 2"),
    ("{\"code\": \"abcde\"}", "too_long", "at most 4"),
    ("{\"code\": \"AB\"}", "pattern", "[a-z]{2,4}"),
    ("{\"count\": -1}", "too_small", "`count`"),
    ("{\"ratio\": 1.5}", "too_large", "1.5"),
    ("{\"ratio\": \"1\"}", "wrong_type", "must be a number, not a text"),
    ("{\"on\": 1}", "wrong_type", "true or false"),
    ("{\"on\": \"true\"}", "wrong_type", "true or false"),
    ("{\"day\": \"2025-02-29\"}", "bad_date", "2025-02-29"),
    ("{\"at\": \"2026-11-21T08:00:00\"}", "bad_datetime", "offset"),
    ("{\"at\": \"2026-11-21T25:00:00Z\"}", "bad_datetime", "25:00"),
    ("{\"token\": \"x\"}", "bad_id", "not a UUID"),
    ("{\"extra\": \"\\u0000\"}", "bad_character", "U+0000"),
    ("{\"stamp\": \"2026-11-21T08:00:00Z\"}", "readonly", "`stamp` is readonly"),
    ("{\"keeper\": 7}", "wrong_type", "the id of a record"),
    ("{\"ration\": 1}", "unknown_field", "did you mean `ratio`"),
];

#[tokio::test]
async fn every_constraint_has_its_code_and_its_words() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    let path = format!("/api/samples/{}", api.create("samples", json!({})).await["id"].as_str().unwrap());
    for (method, path) in [("POST", "/api/samples"), ("PATCH", &path), ("PUT", &path)] {
        for (body, code, words) in BAD_SAMPLES {
            let request = api.request(method, path).header("Content-Type", "application/json").body(*body);
            let answer = api.send(request).await;
            expect(&answer, 422, "VALIDATION_FAILED", words, body);
            assert_eq!(answer.json["errors"][0]["code"], *code, "{method} {body}");
        }
    }
    api.create("samples", json!({"code": "abc"})).await;
    let taken = api.call("PATCH", &path, json!({"code": "abc"})).await;
    expect(&taken, 409, "NOT_UNIQUE", "`code`", "a value that is taken");
    assert_eq!(taken.json["errors"][0]["code"], "not_unique");
}

#[tokio::test]
async fn bad_addresses_and_queries_get_errors_that_name_the_mistake() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    for (method, path, status, code, words) in [
        ("GET", "/api/nope", 404, "UNKNOWN_ENTITY", "/api/nope"),
        ("POST", "/api/nope", 404, "UNKNOWN_ENTITY", "/api/nope"),
        ("GET", "/api/Task", 404, "UNKNOWN_ENTITY", "/api/Task"),
        ("GET", "/api", 404, "NOT_FOUND", "nothing"),
        ("GET", "/api/", 404, "NOT_FOUND", "nothing"),
        ("GET", "/api/tasks/", 404, "NOT_FOUND", "nothing"),
        ("GET", "/api/tasks/a/b", 404, "NOT_FOUND", "nothing"),
        ("GET", "/api/tasks/%FF", 404, "NOT_FOUND", "UTF-8"),
        ("GET", "/api/tasks/5", 404, "NOT_FOUND", "its ids are UUIDs"),
        ("GET", "/api/tasks/0190a000-0000-7000-8000-0000000000ff", 404, "NOT_FOUND", "0000000000ff"),
        ("DELETE", "/api/tasks/5", 404, "NOT_FOUND", "its ids are UUIDs"),
        ("DELETE", "/api/tasks", 400, "BAD_QUERY", "at least one condition"),
        ("PATCH", "/api/tasks", 400, "BAD_QUERY", "at least one condition"),
        ("PUT", "/api/tasks", 405, "METHOD_NOT_ALLOWED", "PUT"),
        ("POST", "/api/tasks/5", 405, "METHOD_NOT_ALLOWED", "POST"),
        ("OPTIONS", "/api/tasks", 405, "METHOD_NOT_ALLOWED", "OPTIONS"),
        ("POST", "/health", 405, "METHOD_NOT_ALLOWED", "/health"),
        ("GET", "/api/tasks?limit=0", 400, "BAD_QUERY", "1 to 1000"),
        ("GET", "/api/tasks?limit=1001", 400, "BAD_QUERY", "1 to 1000"),
        ("GET", "/api/tasks?limit=-1", 400, "BAD_QUERY", "`-1`"),
        ("GET", "/api/tasks?limit=ten", 400, "BAD_QUERY", "`ten`"),
        ("GET", "/api/tasks?limit=", 400, "BAD_QUERY", "`limit`"),
        ("GET", "/api/tasks?limit=99999999999999999999999", 400, "BAD_QUERY", "`limit`"),
        ("GET", "/api/tasks?limit=1&limit=2", 400, "BAD_QUERY", "twice"),
        ("GET", "/api/tasks?sort=colour", 400, "BAD_QUERY", "`colour` is not a field"),
        ("GET", "/api/tasks?sort=titel", 400, "BAD_QUERY", "did you mean `title`"),
        ("GET", "/api/tasks?sort=title,-title", 400, "BAD_QUERY", "twice"),
        ("GET", "/api/tasks?sort=tags", 400, "BAD_QUERY", "json"),
        ("GET", "/api/tasks?sort=,", 400, "BAD_QUERY", "not a field"),
        ("GET", "/api/tasks?sort=--title", 400, "BAD_QUERY", "`-title`"),
        ("GET", "/api/tasks?colour=red", 400, "BAD_QUERY", "`colour` is not a field of Task"),
        ("GET", "/api/tasks?status=closed", 400, "BAD_QUERY", "open, doing, done"),
        ("GET", "/api/tasks?priority=high", 400, "BAD_QUERY", "`priority` must be a number"),
        ("GET", "/api/tasks?priority=1.5", 400, "BAD_QUERY", "1.5"),
        ("GET", "/api/tasks?due=today", 400, "BAD_QUERY", "`due`"),
        ("GET", "/api/tasks?project=x", 400, "BAD_QUERY", "not a UUID"),
        ("GET", "/api/tasks?tags=x", 400, "BAD_QUERY", "json"),
        ("GET", "/api/tasks?status=open&status=done", 400, "BAD_QUERY", "twice"),
        ("GET", "/api/tasks?title=%FF", 400, "BAD_QUERY", "UTF-8"),
        ("GET", "/api/samples?on=1", 400, "BAD_QUERY", "true or false"),
        ("GET", "/api/tasks?cursor=", 400, "BAD_CURSOR", "cursor"),
        ("GET", "/api/tasks?cursor=abc", 400, "BAD_CURSOR", "cursor"),
        ("GET", "/api/tasks?as=", 401, "UNAUTHENTICATED", "`as` must name a user"),
        ("GET", "/api/tasks?as=a%00b", 401, "UNAUTHENTICATED", "`as` must name a user"),
        ("GET", "/api/tasks?as=a&as=b", 400, "BAD_QUERY", "twice"),
    ] {
        let body = if matches!(method, "POST" | "PATCH") { json!({"title": "x"}) } else { null() };
        expect(&api.call(method, path, body).await, status, code, words, &format!("{method} {path}"));
    }
    let wrong = api.call("PUT", "/api/tasks", null()).await;
    let mut allowed: Vec<_> = wrong.header("allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["DELETE", "GET", "HEAD", "PATCH", "POST"]);
}

#[tokio::test]
async fn a_cursor_serves_its_own_list_only() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    for n in 0..3 {
        api.create("tasks", json!({"title": format!("{n}")})).await;
        api.create("projects", json!({"name": format!("{n}")})).await;
    }
    let cursor = api.get("/api/tasks?limit=1&sort=title").await["next"].as_str().unwrap().to_owned();
    assert_eq!(api.get(&format!("/api/tasks?sort=title&cursor={cursor}")).await["items"][0]["title"], "1");
    let altered = format!("{}A", &cursor[..cursor.len() - 1]);
    for path in [
        format!("/api/tasks?cursor={cursor}"),
        format!("/api/tasks?sort=-title&cursor={cursor}"),
        format!("/api/projects?sort=name&cursor={cursor}"),
        format!("/api/tasks?sort=title&cursor={altered}x"),
    ] {
        expect(&api.call("GET", &path, null()).await, 400, "BAD_CURSOR", "cursor", &path);
    }
}

#[tokio::test]
async fn a_byte_order_mark_before_a_text_is_accepted() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    let send = async |method: &str, path: &str, body: &str| {
        let request = api.request(method, path).header("Content-Type", "application/json");
        api.send(request.body(format!("\u{feff}{body}"))).await
    };
    let created = send("POST", "/api/tasks", "{\"title\": \"x\"}").await;
    assert_eq!(created.status, 201, "{}", created.text);
    let path = format!("/api/tasks/{}", created.id());
    for method in ["PATCH", "PUT"] {
        assert_eq!(send(method, &path, "{\"title\": \"y\"}").await.status, 200, "{method}");
    }
    let batch = send(
        "POST",
        "/api/batch",
        "{\"ops\": [{\"op\": \"create\", \"entity\": \"Task\", \"data\": {\"title\": \"z\"}}]}",
    )
    .await;
    assert_eq!(batch.status, 200, "{}", batch.text);
    let mut socket = crate::support::socket::Socket::open(app.address).await;
    socket
        .send_text("\u{feff}{\"type\": \"subscribe\", \"channel\": \"entity:Task\", \"requestId\": \"r\"}")
        .await;
    assert_eq!(socket.frame().await["type"], "subscribed");
    // In the middle of a text it is a character like others.
    let kept = send("POST", "/api/tasks", "{\"title\": \"\u{feff}x\"}").await;
    assert_eq!(kept.json["title"], "\u{feff}x");
    expect(&send("POST", "/api/tasks", "\u{feff}{}").await, 400, "BAD_JSON", "line 1", "two marks");
    expect(&send("POST", "/api/tasks", "").await, 400, "BAD_JSON", "empty", "nothing but a mark");
}

#[tokio::test]
async fn bad_headers_get_errors_that_name_the_mistake() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let api = app.client();
    let path =
        format!("/api/tasks/{}", api.create("tasks", json!({"title": "x"})).await["id"].as_str().unwrap());
    let long = "k".repeat(129);
    for (method, path, name, value, status, code, words) in [
        ("PATCH", path.as_str(), "If-Match", "1", 400, "BAD_HEADER", "\\\"3\\\""),
        ("PATCH", &path, "If-Match", "\"1\", \"2\"", 400, "BAD_HEADER", "If-Match"),
        ("PATCH", &path, "If-Match", "\"x\"", 400, "BAD_HEADER", "If-Match"),
        ("PATCH", &path, "If-Match", "\"\"", 400, "BAD_HEADER", "If-Match"),
        ("DELETE", &path, "If-Match", "\"99\"", 412, "VERSION_CONFLICT", "version 1"),
        ("POST", "/api/tasks", "If-Match", "\"1\"", 400, "BAD_HEADER", "create"),
        ("POST", "/api/tasks", "Idempotency-Key", "", 400, "BAD_HEADER", "Idempotency-Key"),
        ("POST", "/api/tasks", "Idempotency-Key", "a b", 400, "BAD_HEADER", "visible ASCII"),
        ("POST", "/api/tasks", "Idempotency-Key", &long, 400, "BAD_HEADER", "128"),
        ("POST", "/api/tasks", "Content-Type", "text/plain", 415, "UNSUPPORTED_MEDIA_TYPE", "text/plain"),
        ("POST", "/api/tasks", "Content-Type", "multipart/form-data", 415, "UNSUPPORTED_MEDIA_TYPE", "JSON"),
        (
            "PATCH",
            &path,
            "Content-Type",
            "application/x-www-form-urlencoded",
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "JSON",
        ),
    ] {
        let mut request = api.request(method, path);
        if name != "Content-Type" {
            request = request.header("Content-Type", "application/json");
        }
        let answer = api.send(request.header(name, value).body(r#"{"title":"y"}"#)).await;
        expect(&answer, status, code, words, &format!("{method} {name}: {value}"));
    }
    let untyped = api.send(api.request("POST", "/api/tasks").body("{}")).await;
    expect(&untyped, 415, "UNSUPPORTED_MEDIA_TYPE", "no Content-Type", "no type");
    assert_eq!(app.rows("tasks").await.len(), 1, "nothing happened");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_body_is_decoded_by_its_encoding_or_refused() {
    let app = TestApp::over(entities::schema(), |config| config.http.body_bytes = 100_000).await;
    let api = app.client();
    let plain = br#"{"title": "packed"}"#.to_vec();
    let packed = gzip(&plain);
    let bomb = gzip(&[&br#"{"title": ""#[..], &vec![b'x'; 20_000_000], br#""}"#].concat());
    assert!(bomb.len() < 100_000, "the bomb itself fits");
    let in_two_parts = [gzip(&plain[..5]), gzip(&plain[5..])].concat();
    let cut = packed[..packed.len() - 4].to_vec();
    for (encoding, body, status, words) in [
        ("gzip", &packed, 201, "packed"),
        ("GZIP", &packed, 201, "packed"),
        ("x-gzip", &packed, 201, "packed"),
        ("identity, gzip", &packed, 201, "packed"),
        ("gzip", &in_two_parts, 201, "packed"),
        ("identity", &plain, 201, "packed"),
        ("", &plain, 201, "packed"),
        ("gzip", &bomb, 413, "100000 bytes"),
        ("gzip", &plain, 400, "not gzip"),
        ("gzip", &cut, 400, "not gzip"),
        ("gzip", &Vec::new(), 400, "not gzip"),
        ("identity", &packed, 400, "not valid JSON"),
        ("br", &plain, 415, "`br` is not understood"),
        ("deflate", &plain, 415, "compressed once by gzip"),
        ("zstd", &plain, 415, "gzip"),
        ("gzip, gzip", &packed, 415, "gzip"),
        ("gzip, br", &packed, 415, "`br`"),
        ("aws-chunked", &plain, 415, "gzip"),
    ] {
        let request = api.request("POST", "/api/tasks").header("Content-Type", "application/json");
        let answer = api.send(request.header("Content-Encoding", encoding).body(body.clone())).await;
        assert_eq!(answer.status, status, "{encoding}: {}", answer.text);
        assert!(answer.text.contains(words), "{encoding}: {}", answer.text);
        if status == 415 {
            assert_eq!(answer.header("accept-encoding"), "gzip");
        }
    }
    assert_eq!(app.rows("tasks").await.len(), 7, "what was refused is not kept");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_announced_or_not() {
    let app = TestApp::over(entities::schema(), |config| config.http.body_bytes = 1000).await;
    let api = app.client();
    let large = format!("{{\"title\": \"{}\"}}", "x".repeat(1000));
    let json = |api: &Client| api.request("POST", "/api/tasks").header("Content-Type", "application/json");
    let announced = api.send(json(&api).body(large.clone())).await;
    expect(&announced, 413, "BODY_TOO_LARGE", "1000 bytes", "announced");
    let frame = |text: &str| Ok::<_, std::io::Error>(Frame::data(Bytes::from(text.to_owned())));
    let pieces = futures_util::stream::iter([frame(&large[..500]), frame(&large[500..])]);
    let body = reqwest::Body::wrap(StreamBody::new(pieces));
    let streamed = api.send(json(&api).body(body)).await;
    expect(&streamed, 413, "BODY_TOO_LARGE", "1000 bytes", "streamed");
}
