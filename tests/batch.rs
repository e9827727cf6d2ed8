//! `POST /api/batch`: all or none, each for itself, retries, and what is said to batches that are wrong.

use serde_json::{Value, json};

use crate::support::app::{Answer, Client, TestApp};
use crate::support::entities;
use crate::support::follower::Follower;
use crate::support::socket::Socket;

fn id(n: u32) -> String {
    format!("0190a000-0000-7000-8000-{n:012x}")
}

fn create(n: u32, title: &str) -> Value {
    json!({"op": "create", "entity": "Task", "data": {"id": id(n), "title": title}})
}

async fn post(api: &Client, body: Value) -> Answer {
    api.call("POST", "/api/batch", body).await
}

fn statuses(answer: &Answer) -> Vec<u64> {
    let results = answer.json["results"].as_array().unwrap_or_else(|| panic!("{}", answer.text));
    results.iter().map(|result| result["status"].as_u64().unwrap()).collect()
}

async fn app() -> TestApp {
    TestApp::over(entities::schema(), |_| {}).await
}

#[tokio::test]
async fn an_atomic_batch_commits_every_kind_of_operation_as_one_unit() {
    let app = app().await;
    let ann = app.client_as("ann");
    ann.create("tasks", json!({"id": id(1), "title": "old"})).await;
    ann.create("tasks", json!({"id": id(2), "title": "goes"})).await;
    let head = app.head();
    let body = json!({"ops": [
        {"op": "create", "entity": "Project", "data": {"id": id(9), "name": "Harbour"}},
        {"op": "create", "entity": "Task", "id": id(3), "data": {"title": "new", "project": id(9)}},
        {"op": "update", "entity": "Task", "id": id(1).to_uppercase(), "data": {"title": "newer"}, "version": 1},
        {"op": "replace", "entity": "Task", "id": id(1), "data": {"title": "newest"}, "version": 2},
        {"op": "delete", "entity": "Task", "id": id(2)},
        {"op": "update", "entity": "Task", "id": id(1), "data": {}},
    ]});
    let answer = post(&ann, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(statuses(&answer), [201, 201, 200, 200, 204, 200]);
    assert_eq!(answer.json["seq"], head + 5);
    assert_eq!(answer.json["replayed"], false);
    let epoch = answer.json["epoch"].as_str().unwrap();
    assert_eq!(answer.header("tidewire-seq"), format!("{epoch}:{}", head + 5));
    let results = &answer.json["results"];
    assert_eq!((&results[1]["id"], &results[1]["record"]["project"]), (&json!(id(3)), &json!(id(9))));
    assert_eq!(
        (&results[2]["record"]["title"], &results[3]["record"]["version"]),
        (&json!("newer"), &json!(3))
    );
    assert_eq!(results[4].get("record"), None);
    let rows = app.rows("tasks").await;
    assert_eq!(rows.keys().cloned().collect::<Vec<_>>(), [id(1), id(3)]);
    assert_eq!((&rows[&id(1)]["title"], &rows[&id(3)]["owner"]), (&json!("newest"), &json!("ann")));
}

#[tokio::test]
async fn an_atomic_batch_that_fails_changes_nothing_and_names_the_operation() {
    let app = app().await;
    let api = app.client();
    api.create("tasks", json!({"id": id(1), "title": "there"})).await;
    let head = app.head();
    let cases = [
        (
            json!({"op": "create", "entity": "Task", "data": {}}),
            422,
            "VALIDATION_FAILED",
            "`ops[1]`: `title` is required",
        ),
        (
            json!({"op": "create", "entity": "Task", "data": {"title": "x", "tilte": 1}}),
            422,
            "VALIDATION_FAILED",
            "did you mean `title`",
        ),
        (
            json!({"op": "create", "entity": "tasks", "data": {}}),
            404,
            "UNKNOWN_ENTITY",
            "`ops[1]`: there is no entity `tasks`",
        ),
        (
            json!({"op": "update", "entity": "Task", "id": id(7), "data": {}}),
            404,
            "NOT_FOUND",
            &format!("`ops[1]`: there is no Task with the id `{}`", id(7)),
        ),
        (
            json!({"op": "delete", "entity": "Task", "id": "seven"}),
            404,
            "NOT_FOUND",
            "`ops[1]`: `seven` cannot be the id of a Task",
        ),
        (
            json!({"op": "update", "entity": "Task", "id": id(1), "data": {}, "version": 4}),
            412,
            "VERSION_CONFLICT",
            "`ops[1]`: the Task is at version 1",
        ),
        (create(1, "again"), 409, "ID_TAKEN", "`ops[1]`: there is already a Task"),
        (create(2, "the batch's own"), 409, "ID_TAKEN", "`ops[1]`"),
        (
            json!({"op": "create", "entity": "Task", "data": {"title": "x", "project": id(5)}}),
            422,
            "UNKNOWN_REFERENCE",
            "`ops[1]`: `project`",
        ),
    ];
    for (op, status, code, words) in cases {
        let answer = post(&api, json!({"ops": [create(2, "first"), op, create(3, "last")]})).await;
        assert_eq!((answer.status, &answer.json["code"]), (status, &json!(code)), "{op}: {}", answer.text);
        assert_eq!(answer.json["op"], 1, "{op}");
        let detail = answer.json["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{op}: {detail}");
        assert!(answer.json["requestId"].is_string());
        if status == 412 {
            assert_eq!(answer.json["current"]["title"], "there");
        }
        let field = answer.json["errors"][0]["field"].as_str();
        assert!(field.is_none_or(|field| field.starts_with("ops[1].")), "{op}: {field:?}");
    }
    assert_eq!(app.head(), head, "nothing was committed");
    assert_eq!(app.rows("tasks").await.len(), 1);
}

#[tokio::test]
async fn all_errors_of_all_operations_are_reported_at_once() {
    let app = app().await;
    let answer = post(
        &app.client(),
        json!({"ops": [
            create(1, "good"),
            {"op": "create", "entity": "Task", "data": {"title": 5, "status": "opne"}},
            {"op": "create", "entity": "Tusk", "data": {}},
            {"op": "update", "entity": "Task", "id": "x", "data": {}},
            {"op": "create", "entity": "Task", "data": {"title": "x", "version": 3}},
        ]}),
    )
    .await;
    assert_eq!(
        (answer.status, &answer.json["code"], &answer.json["op"]),
        (422, &json!("VALIDATION_FAILED"), &json!(1))
    );
    let mut errors: Vec<_> = answer.json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (error["field"].as_str().unwrap(), error["code"].as_str().unwrap()))
        .collect();
    errors.sort_unstable();
    assert_eq!(
        errors,
        [
            ("ops[1].status", "not_one_of"),
            ("ops[1].title", "wrong_type"),
            ("ops[2].entity", "unknown_entity"),
            ("ops[3].id", "not_found"),
            ("ops[4].version", "system_field"),
        ]
    );
    assert!(app.rows("tasks").await.is_empty());
}

#[tokio::test]
async fn without_atomic_each_operation_succeeds_or_fails_alone() {
    let app = app().await;
    let ann = app.client_as("ann");
    let head = app.head();
    ann.create("tasks", json!({"id": id(1), "title": "there"})).await;
    let answer = post(
        &ann,
        json!({"atomic": false, "ops": [
            create(2, "one"),
            create(1, "taken"),
            {"op": "create", "entity": "Comment", "data": {"body": "on the one before", "task": id(2)}},
            {"op": "update", "entity": "Task", "id": id(2), "data": {"title": ""}, "version": 9},
            {"op": "create", "entity": "Task", "data": {"status": "opne"}},
            {"op": "delete", "entity": "Task", "id": id(1)},
        ]}),
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(statuses(&answer), [201, 409, 201, 412, 422, 204]);
    let results = &answer.json["results"];
    let seqs: Vec<_> =
        results.as_array().unwrap().iter().filter_map(|result| result["seq"].as_u64()).collect();
    assert_eq!(seqs.len(), 3);
    assert!(seqs.is_sorted() && seqs[0] > head && seqs[2] == app.head(), "{seqs:?}");
    assert_eq!(answer.json["seq"], seqs[2]);
    for (place, code) in [(1, "ID_TAKEN"), (3, "VERSION_CONFLICT"), (4, "VALIDATION_FAILED")] {
        let error = &results[place]["error"];
        assert_eq!((&error["code"], &error["status"]), (&json!(code), &results[place]["status"]), "{error}");
        assert_eq!((error.get("requestId"), error.get("op")), (None, None), "{error}");
    }
    let title = json!({"field": "title", "code": "required", "message": "`title` is required"});
    assert!(results[4]["error"]["errors"].as_array().unwrap().contains(&title), "{}", results[4]);
    assert_eq!(results[3]["error"]["current"]["title"], "one");
    assert_eq!(app.rows("tasks").await.len(), 1);
    assert_eq!(app.rows("comments").await.len(), 1);

    let none =
        post(&ann, json!({"atomic": false, "ops": [{"op": "create", "entity": "Task", "data": {}}]})).await;
    assert_eq!((none.status, &none.json["seq"]), (200, &json!(app.head())));
}

#[tokio::test]
async fn a_retried_batch_is_answered_and_not_repeated() {
    let app = app().await;
    let body = json!({"ops": [
        {"op": "create", "entity": "Task", "data": {"title": "x"}},
        {"op": "create", "entity": "Task", "data": {"title": "y"}},
    ]});
    let key = [("Idempotency-Key", "batch-1")];
    for (client, knows) in [(app.client_as("ann"), true), (app.client(), false)] {
        let before = app.rows("tasks").await.len();
        let send = async |body: &Value| client.call_with("POST", "/api/batch", body.clone(), &key).await;
        let (first, again) = (send(&body).await, send(&body).await);
        assert_eq!((first.json["replayed"] == true, again.json["replayed"] == true), (false, true));
        assert_eq!((first.header("tidewire-replayed"), again.header("tidewire-replayed")), ("", "true"));
        assert_eq!(statuses(&again), [201, 201]);
        for place in 0..2 {
            let (first, again) = (&first.json["results"][place], &again.json["results"][place]);
            assert_eq!(first["id"], again["id"]);
            assert_eq!(
                again.get("record").is_some(),
                knows,
                "a stranger who guesses the key learns no record"
            );
        }
        let mut other = body.clone();
        other["ops"][1]["data"]["title"] = json!("z");
        assert_eq!(send(&other).await.json["code"], "IDEMPOTENCY_MISMATCH");
        let swapped = json!({"ops": [body["ops"][1], body["ops"][0]]});
        assert_eq!(send(&swapped).await.json["code"], "IDEMPOTENCY_MISMATCH", "the order counts");
        assert_eq!(app.rows("tasks").await.len(), before + 2);
    }
}

#[tokio::test]
async fn the_same_mutation_is_known_by_its_id_whichever_way_it_comes() {
    let app = app().await;
    let ann = app.client_as("ann");
    let key = [("Idempotency-Key", "m-1")];
    let posted = ann.call_with("POST", "/api/tasks", json!({"title": "once"}), &key).await;
    let op = json!({"op": "create", "entity": "Task", "data": {"title": "once"}, "mid": "m-1"});
    let each = json!({"atomic": false, "ops": [op, {"op": "create", "entity": "Task", "data": {"title": "other"}, "mid": "m-1"}]});
    let batched = post(&ann, each.clone()).await;
    assert_eq!(statuses(&batched), [201, 422]);
    let results = &batched.json["results"];
    assert_eq!((&results[0]["id"], &results[0]["replayed"]), (&posted.json["id"], &json!(true)));
    assert_eq!(results[1]["error"]["code"], "IDEMPOTENCY_MISMATCH");

    let update = |mid: Value| {
        json!({"atomic": false, "ops": [
        {"op": "update", "entity": "Task", "id": posted.id(), "data": {"title": "y"}, "version": 1, "mid": mid}]})
    };
    assert_eq!(statuses(&post(&ann, update(json!("m-2"))).await), [200]);
    let headers = [("Idempotency-Key", "m-2"), ("If-Match", "\"1\"")];
    let path = format!("/api/tasks/{}", posted.id());
    let retried = ann.call_with("PATCH", &path, json!({"title": "y"}), &headers).await;
    assert_eq!((retried.status, retried.header("tidewire-replayed")), (200, "true"));
    assert_eq!(app.rows("tasks").await.len(), 1);

    let nobody = app.client();
    let first = post(&nobody, each.clone()).await;
    let again = post(&nobody, each).await;
    assert_eq!(statuses(&first), [201, 422]);
    let again = &again.json["results"][0];
    assert_eq!(
        (&again["id"], again.get("record"), &again["replayed"]),
        (&first.json["results"][0]["id"], None, &json!(true))
    );
    assert!(again["seq"].is_u64());
}

#[tokio::test]
async fn a_batch_of_the_wrong_shape_is_refused_with_the_place_of_the_mistake() {
    let app = app().await;
    let api = app.client();
    let op = |op: Value| json!({"ops": [create(1, "good"), op]}).to_string();
    let many = |count: usize| json!({"ops": vec![create(1, "x"); count]}).to_string();
    let cases: Vec<(String, &str)> = vec![
        ("".into(), "the body is empty"),
        ("[]".into(), "the body is an array; expected one JSON object"),
        ("{".into(), "not valid JSON"),
        ("{}".into(), "`ops` is missing"),
        (r#"{"ops": {}}"#.into(), "`ops` must be an array of operations, not an object"),
        (r#"{"ops": []}"#.into(), "`ops` has 0 operations; a batch has 1 to 500"),
        (many(501), "`ops` has 501 operations; a batch has 1 to 500"),
        (
            r#"{"ops": [], "atomc": false}"#.into(),
            "`atomc` is not a key of a batch: atomic, ops; did you mean `atomic`?",
        ),
        (r#"{"atomic": "no", "ops": []}"#.into(), "`atomic` must be true or false, not a text"),
        (r#"{"atomic": null, "ops": []}"#.into(), "`atomic` must be true or false, not null"),
        (r#"{"ops": [], "ops": []}"#.into(), "the key `ops` appears twice"),
        (r#"{"ops": [{"op": "create", "op": "delete"}]}"#.into(), "the key `op` appears twice"),
        (op(json!("create")), "`ops[1]` must be an object, not a text"),
        (op(json!({})), "`ops[1].op` is missing: it is one of create, update, replace, delete"),
        (
            op(json!({"op": "crate", "entity": "Task", "data": {}})),
            "`ops[1].op` must be one of create, update, replace, delete, not `crate`; did you mean `create`?",
        ),
        (op(json!({"op": "upsert"})), "not `upsert`"),
        (op(json!({"op": 7})), "`ops[1].op` must be a text, not 7"),
        (op(json!({"op": "create", "data": {}})), "`ops[1].entity` is missing"),
        (
            op(json!({"op": "create", "entity": ["Task"], "data": {}})),
            "`ops[1].entity` must be a text, not an array",
        ),
        (op(json!({"op": "create", "entity": "Task"})), "`ops[1].data` is missing"),
        (
            op(json!({"op": "create", "entity": "Task", "data": []})),
            "`ops[1].data` must be an object, not an array",
        ),
        (
            op(json!({"op": "create", "entity": "Task", "data": {}, "version": 1})),
            "`ops[1].version` is not possible in a create",
        ),
        (
            op(json!({"op": "create", "entity": "Task", "id": id(1), "data": {"id": id(2)}})),
            "`ops[1].id` and `ops[1].data.id` differ",
        ),
        (op(json!({"op": "update", "entity": "Task", "data": {}})), "`ops[1].id` is missing"),
        (
            op(json!({"op": "update", "entity": "Task", "id": 3, "data": {}})),
            "`ops[1].id` must be a text, not 3",
        ),
        (op(json!({"op": "replace", "entity": "Task", "id": id(1)})), "`ops[1].data` is missing"),
        (op(json!({"op": "delete", "entity": "Task"})), "`ops[1].id` is missing"),
        (
            op(json!({"op": "delete", "entity": "Task", "id": id(1), "data": {}})),
            "`ops[1].data` is not possible in a delete",
        ),
        (
            op(json!({"op": "delete", "entity": "Task", "id": id(1), "version": 0})),
            "`ops[1].version` must be a whole number of at least 1, not 0",
        ),
        (
            op(json!({"op": "delete", "entity": "Task", "id": id(1), "version": "1"})),
            "`ops[1].version` must be a whole number of at least 1, not a text",
        ),
        (
            op(json!({"op": "delete", "entity": "Task", "id": id(1), "verison": 1})),
            "`ops[1].verison` is not a key of an operation: op, entity, id, data, version, lease, mid; did you mean `version`?",
        ),
        (
            op(json!({"op": "delete", "entity": "Task", "id": id(1), "mid": ""})),
            "`ops[1].mid`: a mutation id has 1 to 128 visible ASCII characters",
        ),
        (
            op(json!({"op": "delete", "entity": "Task", "id": id(1), "mid": "m"})),
            "`ops[1].mid` is given, but an atomic batch has one mutation id",
        ),
    ];
    for (body, words) in cases {
        let request = api.request("POST", "/api/batch").header("Content-Type", "application/json");
        let answer = api.send(request.body(body.clone())).await;
        assert_eq!(
            (answer.status, &answer.json["code"]),
            (400, &json!("BAD_JSON")),
            "{body}: {}",
            answer.text
        );
        let detail = answer.json["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{body}: {detail}");
    }
    assert_eq!(app.head(), 0);
}

/// Some clients have no other numbers, and a field of type int takes them, too.
#[tokio::test]
async fn a_version_that_is_written_with_a_point_is_not_refused() {
    let app = app().await;
    let api = app.client();
    api.create("tasks", json!({"id": id(1), "title": "old"})).await;
    let update = |version: f64| json!({"ops": [{"op": "update", "entity": "Task", "id": id(1), "data": {"title": "new"}, "version": version}]});
    assert_eq!(post(&api, update(2.0)).await.json["code"], "VERSION_CONFLICT");
    assert_eq!(statuses(&post(&api, update(1.0)).await), [200]);
    for wrong in [1.5, 0.0, -1.0, 1e300] {
        assert_eq!(post(&api, update(wrong)).await.json["code"], "BAD_JSON", "{wrong}");
    }
}

#[tokio::test]
async fn headers_methods_and_sizes_that_do_not_fit_a_batch_are_refused() {
    let app = TestApp::over(entities::schema(), |config| {
        config.http.body_bytes = 4096;
        config.store.unit_entries = 3;
    })
    .await;
    let api = app.client();
    let each = json!({"atomic": false, "ops": [create(1, "x")]});
    let with = async |body: &Value, name, value| {
        api.call_with("POST", "/api/batch", body.clone(), &[(name, value)]).await
    };
    let key = with(&each, "Idempotency-Key", "k").await;
    assert_eq!((key.status, &key.json["code"]), (400, &json!("BAD_HEADER")), "{}", key.text);
    assert!(key.text.contains("give each operation its `mid`"));
    let version = with(&json!({"ops": [create(1, "x")]}), "If-Match", "\"1\"").await;
    assert_eq!((version.status, &version.json["code"]), (400, &json!("BAD_HEADER")));
    let get = api.call("GET", "/api/batch", Value::Null).await;
    assert_eq!((get.status, get.header("allow")), (405, "POST"));
    let large = post(&api, json!({"ops": [create(1, &"x".repeat(5000))]})).await;
    assert_eq!((large.status, &large.json["code"]), (413, &json!("BODY_TOO_LARGE")));
    let four: Vec<_> = (1..=4).map(|n| create(n, "x")).collect();
    let unit = post(&api, json!({"ops": four})).await;
    assert_eq!((unit.status, &unit.json["code"]), (422, &json!("UNIT_TOO_LARGE")));
    assert_eq!(app.head(), 0);
    let apart = post(&api, json!({"atomic": false, "ops": four})).await;
    assert_eq!(statuses(&apart), [201; 4], "each is a unit of its own");
}

#[tokio::test]
async fn subscribers_see_all_of_an_atomic_batch_or_nothing() {
    let app = app().await;
    let ann = app.client_as("ann");
    let record = format!("entity:Task:{}", id(1));
    let mut sockets = Vec::new();
    for channel in ["entity:Task", "entity:Task", "entity:Comment", &record] {
        let (mut socket, mut follower) = (Socket::open(app.address).await, Follower::new(channel));
        socket.send(&follower.subscribe()).await;
        while !follower.live {
            follower.take(&socket.frame().await);
        }
        sockets.push((socket, follower));
    }
    let comment = |n: u32| json!({"op": "create", "entity": "Comment", "data": {"id": id(n), "body": "b", "task": id(1)}});
    let batch = json!({"ops": [
        create(1, "first"), comment(11), create(2, "second"),
        {"op": "update", "entity": "Task", "id": id(1), "data": {"status": "done"}}, comment(12), create(3, "third"),
    ]});
    let refused = json!({"ops": [create(4, "not seen"), create(1, "taken")]});
    let key = [("Idempotency-Key", "all-or-nothing")];
    let written = ann.call_with("POST", "/api/batch", batch, &key).await;
    assert_eq!(written.status, 200, "{}", written.text);
    assert_eq!(post(&ann, refused).await.status, 409);

    for ((socket, follower), events) in sockets.iter_mut().zip([4, 4, 2, 2]) {
        for place in 1..=events {
            let before = follower.position;
            let frame = socket.frame().await;
            assert_eq!(frame["mid"], "all-or-nothing", "{frame}");
            assert_eq!(frame["more"] == true, place < events, "{}: {frame}", follower.channel);
            follower.take(&frame);
            assert_eq!(
                follower.position > before,
                place == events,
                "the position moves with the last of the unit"
            );
        }
        socket.nothing_else().await;
        assert_eq!(follower.broken, Vec::<String>::new());
    }
    let rows = app.rows("tasks").await;
    assert_eq!(rows.len(), 3);
    assert_eq!((&sockets[0].1.rows, &sockets[1].1.rows), (&rows, &rows));
    assert_eq!(sockets[2].1.rows, app.rows("comments").await);

    let apart = json!({"atomic": false, "ops": [
        {"op": "create", "entity": "Task", "data": {"title": "x"}, "mid": "one"},
        {"op": "create", "entity": "Task", "data": {"title": "y"}, "mid": "two"},
    ]});
    assert_eq!(post(&ann, apart).await.status, 200);
    for mid in ["one", "two"] {
        let frame = sockets[0].0.frame().await;
        assert_eq!((&frame["mid"], frame.get("more")), (&json!(mid), None), "{frame}");
    }
}
