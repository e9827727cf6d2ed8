//! Changes of many records over HTTP: which they are, what is answered, where it continues, and how a delete that is too large for one
//! unit is done in steps.

use serde_json::{Value, json};

use crate::support::app::{Answer, Client, TestApp};
use crate::support::entities;
use crate::support::socket::Socket;

async fn app() -> TestApp {
    TestApp::over(entities::schema(), |_| {}).await
}

fn id(n: u32) -> String {
    format!("0190a000-0000-7000-8000-{n:012x}")
}

async fn tasks(api: &Client, statuses: &[&str]) {
    for (n, status) in (1..).zip(statuses) {
        api.create("tasks", json!({"id": id(n), "title": "x", "status": status})).await;
    }
}

fn told(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json.clone()
}

#[tokio::test]
async fn every_record_that_meets_the_conditions_changes_in_one_unit() {
    let app = app().await;
    let ann = app.client_as("ann");
    tasks(&ann, &["open", "done", "open"]).await;
    let mut socket = Socket::open(app.address).await;
    socket.subscribe("entity:Task", json!({})).await;
    let head = app.head();
    let changed = ann.call("PATCH", "/api/tasks?status=open", json!({"status": "done", "priority": 5})).await;
    assert_eq!(told(&changed), json!({"changed": 2, "refused": 0, "next": null}));
    assert_eq!(changed.header("tidewire-seq").split_once(':').unwrap().1, (head + 2).to_string());
    let [first, second] = [socket.expect("entity:updated").await, socket.expect("entity:updated").await];
    assert_eq!((&first["payload"]["id"], &first["more"]), (&json!(id(1)), &json!(true)), "one unit");
    assert_eq!((&second["payload"]["id"], second.get("more")), (&json!(id(3)), None));
    let gone = ann.call("DELETE", "/api/tasks?status=done&priority[gte]=5", Value::Null).await;
    assert_eq!(told(&gone)["changed"], 2);
    assert_eq!(app.rows("tasks").await.len(), 1);
    let none = ann.call("DELETE", "/api/tasks?status=nothing", Value::Null).await;
    assert_eq!((none.status, &none.json["code"]), (400, &json!("BAD_QUERY")), "{}", none.text);
    let none = ann.call("DELETE", "/api/tasks?priority=5", Value::Null).await;
    assert_eq!(told(&none)["changed"], 0);
}

#[tokio::test]
async fn a_repeated_request_is_answered_and_not_done_again() {
    let app = app().await;
    let ann = app.client_as("ann");
    tasks(&ann, &["open", "done"]).await;
    let once =
        async |path: &str, body: Value| ann.call_with("PATCH", path, body, &[("Idempotency-Key", "k")]).await;
    let body = json!({"status": "done"});
    assert_eq!(told(&once("/api/tasks?status=open", body.clone()).await)["changed"], 1);
    ann.create("tasks", json!({"id": id(3), "title": "new", "status": "open"})).await;
    let again = once("/api/tasks?status=open", body.clone()).await;
    assert_eq!((&told(&again)["changed"], again.header("tidewire-replayed")), (&json!(1), "true"));
    assert_eq!(ann.get(&format!("/api/tasks/{}", id(3))).await["status"], "open");
    for (path, body) in [("/api/tasks?status=done", body), ("/api/tasks?status=open", json!({"priority": 1}))]
    {
        let other = once(path, body).await;
        assert_eq!(other.json["code"], "IDEMPOTENCY_MISMATCH", "{}", other.text);
    }
}

/// A change of many that passes over the limit continues by its cursor; what it may not change is counted.
#[tokio::test]
async fn a_draft_with_more_segments_than_a_unit_holds_can_be_deleted() {
    let app = app().await;
    let ann = app.client_as("ann");
    ann.create("projects", json!({"id": id(1), "name": "Draft"})).await;
    for part in 0..21 {
        let create = |n: u32| json!({"op": "create", "entity": "Task", "data": {"title": n.to_string(), "project": id(1)}});
        let ops: Vec<Value> = (0..500).map(|n| create(part * 500 + n)).collect();
        assert_eq!(ann.call("POST", "/api/batch", json!({"ops": ops})).await.status, 200);
    }
    let path = format!("/api/projects/{}", id(1));
    let refused = ann.call("DELETE", &path, Value::Null).await;
    assert_eq!((refused.status, &refused.json["code"]), (422, &json!("CASCADE_TOO_LARGE")));
    let way = format!("/api/tasks?project={}", id(1));
    assert!(
        refused.json["detail"].as_str().unwrap().contains(&format!("`DELETE {way}`")),
        "{}",
        refused.text
    );
    let first = told(&ann.call("DELETE", &way, Value::Null).await);
    assert_eq!((&first["changed"], &first["refused"]), (&json!(10_000), &json!(0)));
    let next = first["next"].as_str().unwrap();
    let rest = told(&ann.call("DELETE", &format!("{way}&cursor={next}"), Value::Null).await);
    assert_eq!(rest, json!({"changed": 500, "refused": 0, "next": null}));
    assert_eq!(ann.call("DELETE", &path, Value::Null).await.status, 204);
}

#[tokio::test]
async fn a_record_that_fails_is_named_and_nothing_is_done() {
    let app = app().await;
    let ann = app.client_as("ann");
    tasks(&ann, &["open", "open"]).await;
    let unknown = ann.call("PATCH", "/api/tasks?status=open", json!({"project": id(9)})).await;
    assert_eq!((unknown.status, &unknown.json["code"]), (422, &json!("UNKNOWN_REFERENCE")));
    assert_eq!(unknown.json["errors"][0]["field"], "project");
    assert!(
        unknown.json["detail"].as_str().unwrap().starts_with(&format!("Task `{}`: ", id(1))),
        "{}",
        unknown.text
    );
}
