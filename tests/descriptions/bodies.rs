//! Bodies: the server takes what the description allows and refuses what it does not. Two judges that share no code
//! look at the same value.

use serde_json::{Value, json};

use super::judge::Judge;
use crate::support::app::TestApp;
use crate::support::entities;

/// Values for every field of `Sample`, good and bad.
fn values() -> Vec<Value> {
    let id = "0190a000-0000-7000-8000-00000000000a";
    let texts = [
        "",
        "a",
        "ab",
        "abc",
        "abcd",
        "abcde",
        "AB",
        "a1",
        "äö",
        "ab\n",
        "2026-02-28",
        "2026-02-30",
        "now",
        id,
    ];
    let moments = [
        "2026-11-21T08:00:00Z",
        "2026-11-21T08:00:00.5+02:00",
        "2026-11-21T08:00:00",
        "2026-11-21 08:00",
        "true",
    ];
    let mut values: Vec<Value> = texts.iter().chain(&moments).map(|text| json!(text)).collect();
    values.extend([
        Value::Null,
        json!(true),
        json!(false),
        json!(-1),
        json!(0),
        json!(1),
        json!(10),
        json!(11),
        json!(0.0),
        json!(3.0),
        json!(0.5),
        json!(-0.5),
        json!(1.5),
        json!(9_007_199_254_740_992_i64),
        json!(1e300),
        json!([]),
        json!({}),
        json!([1, null, {"a": "b"}]),
    ]);
    values
}

const FIELDS: [&str; 13] = [
    "code",
    "count",
    "ratio",
    "on",
    "day",
    "at",
    "token",
    "extra",
    "keeper",
    "stamp",
    "stamp_day",
    "version",
    "cuont",
];

#[tokio::test]
async fn the_server_takes_the_bodies_that_are_described_and_no_others() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let client = app.client();
    let judge = Judge::new(client.get("/api/openapi.json").await);
    let (mut taken, mut refused) = (0, 0);
    for (method, suffix) in [("POST", "Create"), ("PATCH", "Update"), ("PUT", "Replace")] {
        let schema = json!({"$ref": format!("#/components/schemas/Sample{suffix}")});
        for field in FIELDS {
            for value in values() {
                let body = json!({field: value});
                let described = judge.matches(&schema, &body);
                let path = match method {
                    "POST" => "/api/samples".to_owned(),
                    _ => format!(
                        "/api/samples/{}",
                        client.create("samples", json!({})).await["id"].as_str().unwrap()
                    ),
                };
                let answer = client.call(method, &path, body.clone()).await;
                // No description can say which records there are.
                let by_others =
                    ["UNKNOWN_REFERENCE", "NOT_UNIQUE"].iter().any(|code| answer.json["code"] == *code);
                let takes = answer.status < 300 || by_others;
                assert_eq!(takes, described.is_ok(), "{method} {body}: {} {described:?}", answer.text);
                *(if takes { &mut taken } else { &mut refused }) += 1;
            }
        }
    }
    assert!(taken > 100 && refused > 100, "{taken} were taken and {refused} refused");
}

#[tokio::test]
async fn what_is_required_is_what_the_server_requires() {
    let app = TestApp::start().await;
    let client = app.client();
    let judge = Judge::new(client.get("/api/openapi.json").await);
    let task = client.create("tasks", json!({"title": "Write"})).await["id"].clone();
    for (plural, name, whole) in [
        ("tasks", "Task", json!({"title": "Write", "status": "open", "priority": 1})),
        ("comments", "Comment", json!({"body": "So", "task": task})),
        ("projects", "Project", json!({"name": "Home", "color": "red"})),
        ("users", "User", json!({"name": "Ada"})),
    ] {
        let schema = json!({"$ref": format!("#/components/schemas/{name}Create")});
        let members: Vec<String> = whole.as_object().unwrap().keys().cloned().collect();
        for missing in members {
            for null in [false, true] {
                let mut body = whole.clone();
                match null {
                    true => body[&missing] = Value::Null,
                    false => drop(body.as_object_mut().unwrap().remove(&missing)),
                }
                let (status, answer) = client.any("POST", &format!("/api/{plural}"), body.clone()).await;
                assert_eq!(status == 201, judge.matches(&schema, &body).is_ok(), "{name} {body}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn the_server_takes_the_batches_that_are_described_and_no_others() {
    let app = TestApp::over(entities::schema(), |_| {}).await;
    let client = app.client();
    let judge = Judge::new(client.get("/api/openapi.json").await);
    let schema = json!({"$ref": "#/components/schemas/Batch"});
    let (mut taken, mut refused) = (0, 0);
    for op in ops() {
        for atomic in [None, Some(json!(true)), Some(json!(false)), Some(Value::Null), Some(json!("true"))] {
            let mut body = json!({"ops": [op]});
            if let Some(atomic) = atomic {
                body["atomic"] = atomic;
            }
            let answer = client.call("POST", "/api/batch", body.clone()).await;
            // Without `atomic` the whole is taken, and the op's own answer shows it.
            let told = answer.json["code"].as_str().or(answer.json["results"][0]["error"]["code"].as_str());
            let by_others =
                told.is_some_and(|code| ["NOT_FOUND", "VERSION_CONFLICT", "ID_TAKEN"].contains(&code));
            let takes = told.is_none() || by_others && !answer.text.contains("cannot be the id");
            let described = judge.matches(&schema, &body);
            assert_eq!(takes, described.is_ok(), "{body}: {} {described:?}", answer.text);
            *(if takes { &mut taken } else { &mut refused }) += 1;
        }
    }
    assert!(taken > 20 && refused > 50, "{taken} were taken and {refused} refused");
}

/// Each op, and its result with each member left out, null or of another kind.
fn ops() -> Vec<Value> {
    let id = "0190a000-0000-7000-8000-00000000000a";
    let whole = [
        json!({"op": "create", "entity": "Project", "id": id, "data": {"name": "x"}, "mid": "a"}),
        json!({"op": "update", "entity": "Project", "id": id, "data": {"name": "x"}, "version": 1, "mid": "b"}),
        json!({"op": "replace", "entity": "Project", "id": id, "data": {"name": "x"}, "version": 1, "mid": "c"}),
        json!({"op": "delete", "entity": "Project", "id": id, "version": 1, "mid": "d"}),
    ];
    let mut ops = vec![json!(null), json!([]), json!("delete")];
    for op in whole {
        for member in op.as_object().unwrap().keys() {
            let mut without = op.clone();
            without.as_object_mut().unwrap().remove(member);
            without.as_object_mut().unwrap().remove("mid");
            ops.push(without.clone());
            for other in
                [Value::Null, json!(0), json!(true), json!("x y"), json!(""), json!([]), json!({"name": 1})]
            {
                without[member] = other;
                ops.push(without.clone());
            }
        }
        let mut stranger = op.clone();
        stranger["colour"] = json!("red");
        ops.extend([op, stranger]);
    }
    ops
}

/// Bounds may be tightened while records stay: what is stored is described by its type alone.
#[test]
fn a_record_that_is_older_than_a_bound_is_still_as_described() {
    let document = super::json(&super::plain());
    let (task, create) =
        (&document["components"]["schemas"]["Task"], &document["components"]["schemas"]["TaskCreate"]);
    assert_eq!(create["properties"]["title"]["maxLength"], 200);
    assert_eq!(create["properties"]["priority"]["maximum"], 5);
    assert_eq!(task["properties"]["title"], json!({"type": "string"}));
    assert_eq!(task["properties"]["priority"]["maximum"], 9_007_199_254_740_991_i64);
}
