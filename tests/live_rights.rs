//! Rules on live data, over real sockets: what each person is sent when records, rights and rules change.

use serde_json::{Value, json};

use crate::support::app::{Client, TestApp};
use crate::support::ruled;
use crate::support::socket::{Came, Socket};

const TASKS: &str = "entity:Task";

/// The app over the schema with rules, and a root who is a member of every project.
async fn start() -> (TestApp, Client) {
    let app = TestApp::over(ruled::schema(), |_| {}).await;
    let root = app.client_as("root");
    root.create("boards", json!({"title": "makes the user"})).await;
    for project in ["p1", "p2", "p3"] {
        join(&root, "root", project).await;
    }
    (app, root)
}

async fn join(root: &Client, person: &str, project: &str) -> Value {
    root.create("memberships", json!({"person": person, "project": project})).await
}

/// A socket of a person, whose `User` record there is from now on.
async fn open(app: &TestApp, person: &str) -> Socket {
    let mut socket = Socket::open_at(app.address, &format!("/ws?as={person}")).await;
    socket.expect("connected").await;
    socket
}

async fn task(root: &Client, project: &str, title: &str) -> Value {
    root.create("tasks", json!({"project": project, "title": title, "status": "open", "wage": 9})).await
}

fn path(plural: &str, record: &Value) -> String {
    format!("/api/{plural}/{}", record["id"].as_str().unwrap())
}

/// What came up to the closing pong of a channel: (type, cause, title or id), and the pong.
async fn until_pong(socket: &mut Socket) -> (Vec<(String, Value, Value)>, Value) {
    let mut told = Vec::new();
    loop {
        let frame = socket.frame().await;
        if frame["type"] == "pong" && frame["channel"].is_string() {
            return (told, frame);
        }
        assert_eq!(frame["more"], true, "{frame}");
        let payload = &frame["payload"];
        let shown = payload.get("title").filter(|title| !title.is_null()).unwrap_or(&payload["id"]).clone();
        told.push((frame["type"].as_str().unwrap().to_owned(), frame["cause"].clone(), shown));
    }
}

fn entered(title: &str) -> (String, Value, Value) {
    ("entity:created".to_owned(), json!("entered"), json!(title))
}

fn gone(record: &Value) -> (String, Value, Value) {
    ("entity:deleted".to_owned(), Value::Null, record["id"].clone())
}

#[tokio::test]
async fn a_granted_and_revoked_membership_changes_only_its_users_view() {
    let (app, root) = start().await;
    let (mut ada, mut bob) = (open(&app, "ada").await, open(&app, "bob").await);
    let of_bob = join(&root, "bob", "p2").await;
    let first = task(&root, "p1", "first").await;
    // Ada begins behind it, so that it comes into read scope and is no news.
    app.wait_for_metric("tidewire_fan_out_position", app.head() as f64).await;
    let view = ada.subscribe(TASKS, json!({})).await["payload"]["view"].clone();
    bob.subscribe(TASKS, json!({})).await;
    let membership = join(&root, "ada", "p1").await;
    let (told, pong) = until_pong(&mut ada).await;
    assert_eq!(told, [entered("first")]);
    assert_ne!(pong["payload"]["view"], view, "another view from here on");
    let second = task(&root, "p1", "second").await;
    let event = ada.expect("entity:created").await;
    assert_eq!((&event["payload"]["title"], event["payload"].get("wage")), (&json!("second"), None));
    bob.nothing_else().await;
    root.delete(&path("memberships", &membership)).await;
    let (mut told, pong) = until_pong(&mut ada).await;
    told.sort_by_key(|(_, _, id)| id.to_string());
    let mut expected = [gone(&first), gone(&second)];
    expected.sort_by_key(|(_, _, id)| id.to_string());
    assert_eq!((told.as_slice(), &pong["payload"]["view"]), (expected.as_slice(), &view));
    root.patch(&path("tasks", &first), json!({"title": "secret"})).await;
    ada.nothing_else().await;
    bob.nothing_else().await;
    root.delete(&path("memberships", &of_bob)).await;
    assert!(until_pong(&mut bob).await.0.is_empty(), "bob had seen nothing");
}

#[tokio::test]
async fn a_record_that_moves_enters_leaves_and_is_lost() {
    let (app, root) = start().await;
    let mut ada = open(&app, "ada").await;
    join(&root, "ada", "p1").await;
    let moving = task(&root, "p2", "moving").await;
    let open_tasks = "entity:Task?status=open";
    ada.subscribe(TASKS, json!({})).await;
    ada.subscribe(open_tasks, json!({})).await;
    root.patch(&path("tasks", &moving), json!({"project": "p1"})).await;
    for _ in 0..2 {
        let event = ada.expect("entity:created").await;
        assert_eq!((&event["cause"], &event["by"]), (&json!("entered"), &json!("root")), "{event}");
    }
    root.patch(&path("tasks", &moving), json!({"status": "done"})).await;
    let (mut whole, mut part) = (ada.frame().await, ada.frame().await);
    if whole["channel"] != TASKS {
        std::mem::swap(&mut whole, &mut part);
    }
    assert_eq!((&whole["type"], &whole["changed"]), (&json!("entity:updated"), &json!(["status"])));
    assert_eq!((&part["type"], &part["cause"]), (&json!("entity:deleted"), &json!("left")));
    assert_eq!((&part["by"], &part["channel"]), (&json!("root"), &json!(open_tasks)));
    root.patch(&path("tasks", &moving), json!({"project": "p3"})).await;
    let lost = ada.expect("entity:deleted").await;
    let mut keys: Vec<&str> = lost.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["channel", "payload", "prev", "seq", "timestamp", "type"], "nothing else is sent");
    ada.nothing_else().await;
}

#[tokio::test]
async fn a_role_in_the_user_record_opens_an_entity_and_fields_and_closes_them_again() {
    let (app, root) = start().await;
    let mut ada = open(&app, "ada").await;
    join(&root, "ada", "p1").await;
    let paid = task(&root, "p1", "paid").await;
    ada.send(&json!({"type": "subscribe", "channel": "entity:Vault"})).await;
    assert_eq!(ada.expect("error").await["payload"]["code"], "UNKNOWN_ENTITY");
    ada.subscribe(TASKS, json!({})).await;
    root.patch("/api/users/ada", json!({"role": "admin"})).await;
    ada.expect("rights:changed").await;
    let (told, _) = until_pong(&mut ada).await;
    assert_eq!(told, [("entity:updated".to_owned(), Value::Null, json!("paid"))], "with its wage");
    ada.subscribe("entity:Vault", json!({})).await;
    root.patch(&path("tasks", &paid), json!({"wage": 10})).await;
    assert_eq!(ada.expect("entity:updated").await["payload"]["wage"], 10);
    app.client_as("boss:admin").create("vaults", json!({"title": "gold"})).await;
    assert_eq!(ada.expect("entity:created").await["payload"]["title"], "gold");
    root.patch("/api/users/ada", json!({"role": "member"})).await;
    let (mut first, _) = until_pong(&mut ada).await;
    first.extend(until_pong(&mut ada).await.0);
    let kinds: Vec<&str> = first.iter().map(|(kind, _, _)| kind.as_str()).collect();
    assert!(kinds.contains(&"entity:deleted") && kinds.contains(&"entity:updated"), "{first:?}");
    app.client_as("boss:admin").create("vaults", json!({"title": "silver"})).await;
    ada.nothing_else().await;
}

#[tokio::test]
async fn a_disabled_account_is_closed_and_does_not_come_back() {
    let (app, root) = start().await;
    let (mut ada, mut idle) = (open(&app, "ada").await, open(&app, "ada").await);
    ada.subscribe(TASKS, json!({})).await;
    root.patch("/api/users/ada", json!({"disabled": true})).await;
    assert_eq!(ada.expect("error").await["payload"]["code"], "ACCOUNT_DISABLED");
    assert_eq!(ada.closed().await, Some(4403));
    idle.send(&json!({"type": "subscribe", "channel": TASKS})).await;
    assert_eq!(idle.expect("error").await["payload"]["code"], "ACCOUNT_DISABLED");
    assert_eq!(idle.closed().await, Some(4403));
    let mut again = Socket::open_at(app.address, "/ws?as=ada").await;
    assert_eq!(again.expect("error").await["payload"]["code"], "ACCOUNT_DISABLED");
    assert_eq!(again.closed().await, Some(4403));
    app.wait_for_groups(0).await;
}

#[tokio::test]
async fn a_live_query_has_a_snapshot_and_is_resumed() {
    let (app, root) = start().await;
    let mut ada = open(&app, "ada").await;
    join(&root, "ada", "p1").await;
    task(&root, "p1", "seen").await;
    task(&root, "p2", "hidden").await;
    let done = task(&root, "p1", "done").await;
    root.patch(&path("tasks", &done), json!({"status": "done"})).await;
    let channel = "entity:Task?status=open";
    let answer = ada.subscribe(channel, json!({"snapshot": true})).await;
    let rows = ada.expect("snapshot").await;
    let titles: Vec<&Value> =
        rows["payload"]["rows"].as_array().unwrap().iter().map(|row| &row["title"]).collect();
    assert_eq!(titles, ["seen"]);
    let pong = until_pong(&mut ada).await.1;
    assert_eq!(pong["payload"]["view"], answer["payload"]["view"]);
    drop(ada);
    root.patch(&path("tasks", &done), json!({"status": "open"})).await;
    task(&root, "p2", "hidden too").await;
    let mut back = open(&app, "ada").await;
    let answer = back.subscribe(channel, json!({"since": pong["payload"]})).await;
    assert_eq!(answer["payload"]["recovered"], true);
    let event = back.expect("entity:created").await;
    assert_eq!((&event["cause"], &event["prev"]), (&json!("entered"), &pong["payload"]["seq"]));
    back.expect("pong").await;
    back.nothing_else().await;
}

#[tokio::test]
async fn a_resume_over_a_change_of_rights_is_not_recovered() {
    let (app, root) = start().await;
    let mut ada = open(&app, "ada").await;
    let membership = join(&root, "ada", "p1").await;
    task(&root, "p1", "one").await;
    ada.subscribe(TASKS, json!({"snapshot": true})).await;
    ada.expect("snapshot").await;
    let pong = until_pong(&mut ada).await.1;
    drop(ada);
    root.delete(&path("memberships", &membership)).await;
    let leaked = task(&root, "p1", "not for ada").await;
    root.delete(&path("tasks", &leaked)).await;
    join(&root, "ada", "p1").await;
    let mut back = open(&app, "ada").await;
    let answer = back.subscribe(TASKS, json!({"since": pong["payload"]})).await;
    assert_eq!(answer["payload"]["recovered"], false, "the view is the same, the way to it was not");
    assert_eq!(answer["payload"]["view"], pong["payload"]["view"]);
    let rows = back.expect("snapshot").await;
    assert_eq!(rows["payload"]["rows"].as_array().unwrap().len(), 1);
    assert!(until_pong(&mut back).await.0.is_empty());
}

#[tokio::test]
async fn the_channel_of_a_hidden_record_is_silent_until_it_comes_into_sight() {
    let (app, root) = start().await;
    let mut ada = open(&app, "ada").await;
    join(&root, "ada", "p1").await;
    let hidden = task(&root, "p2", "hidden").await;
    let id = hidden["id"].as_str().unwrap();
    let absent = "01890000-0000-7000-8000-00000000000a";
    let mut answers = Vec::new();
    for id in [id, absent] {
        let answer = ada.subscribe(&format!("{TASKS}:{id}"), json!({"snapshot": true})).await;
        answers.push((answer["more"].clone(), answer["payload"].clone()));
        until_pong(&mut ada).await;
    }
    assert_eq!(answers[0], answers[1], "a hidden record is a missing one");
    root.patch(&path("tasks", &hidden), json!({"title": "still hidden"})).await;
    ada.nothing_else().await;
    root.patch(&path("tasks", &hidden), json!({"project": "p1"})).await;
    let event = ada.expect("entity:created").await;
    assert_eq!((&event["cause"], &event["payload"]["title"]), (&json!("entered"), &json!("still hidden")));
    ada.nothing_else().await;
}

#[tokio::test]
async fn a_set_that_grows_too_large_suspends_the_channels_that_ask_for_it() {
    let (app, root) = start().await;
    let mut ada = open(&app, "ada").await;
    ada.subscribe(TASKS, json!({})).await;
    ada.subscribe("entity:Board", json!({})).await;
    for batch in 0..3 {
        let op = |n: usize| {
            let data = json!({"person": "ada", "project": format!("many{batch}-{n}")});
            json!({"op": "create", "entity": "Membership", "data": data})
        };
        let ops: Vec<Value> = (0..400).map(op).collect();
        let (status, answer) = root.any("POST", "/api/batch", json!({"atomic": true, "ops": ops})).await;
        assert_eq!(status, 200, "{answer}");
    }
    let error = loop {
        let frame = ada.frame().await;
        if frame["type"] == "error" {
            break frame;
        }
    };
    assert_eq!((&error["channel"], &error["payload"]["code"]), (&json!(TASKS), &json!("RULE_LIMIT")));
    assert_eq!(
        error["payload"]["message"],
        "a rule uses the records that belong to you, and you have more than 1000 of one entity"
    );
    // What the rule asks is the log's to tell: who reads tasks need not know of it.
    for (method, at, body) in [
        ("GET", "/api/tasks", json!(null)),
        ("GET", "/api/tasks/count", json!(null)),
        ("POST", "/api/tasks", json!({"project": "p1"})),
    ] {
        let answer = app.client_as("ada").call(method, at, body).await;
        assert!(
            !answer.text.contains("Membership") && !answer.text.contains("membership"),
            "{}",
            answer.text
        );
    }
    let answer = app.client_as("ada").call("GET", "/api/tasks", json!(null)).await;
    assert_eq!((answer.status, &answer.json["code"]), (403, &json!("RULE_LIMIT")));
    app.wait_for_metric("tidewire_subscriptions_suspended_total", 1.0).await;
    root.create("boards", json!({"title": "news"})).await;
    let event = loop {
        let frame = ada.frame().await;
        if frame["type"] == "entity:created" {
            break frame;
        }
        assert_eq!((&frame["type"], &frame["channel"]), (&json!("pong"), &json!("entity:Board")), "{frame}");
    };
    assert_eq!((&event["channel"], &event["payload"]["title"]), (&json!("entity:Board"), &json!("news")));
    // `tidewire explain RULE_LIMIT` shows this very answer.
    let page = include_str!("../docs/errors/RULE_LIMIT.md");
    let example = page.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let example: Value = serde_json::from_str(example).unwrap();
    let one = path("tasks", &task(&root, "many0-0", "one of hers").await);
    for (method, path, body) in [
        ("GET", "/api/tasks", Value::Null),
        ("GET", "/api/tasks/count", Value::Null),
        ("GET", &one, Value::Null),
        ("PATCH", &one, json!({"title": "x"})),
        ("DELETE", &one, Value::Null),
    ] {
        let answer = app.client_as("ada").call(method, path, body).await;
        let shown = example.as_object().unwrap().keys().map(|key| (key.clone(), answer.json[key].clone()));
        assert_eq!(Value::Object(shown.collect()), example, "{method} {path}: {}", answer.text);
        assert_eq!(answer.status, 403, "{method} {path}");
    }
    let (status, answer) = app.client_as("root").any("GET", "/api/tasks", Value::Null).await;
    assert_eq!(status, 200, "nobody else is concerned: {answer}");
}

#[tokio::test]
async fn a_slow_reader_whose_rights_change_is_never_sent_what_came_after_them() {
    const LARGE: usize = 100_000;
    let app = TestApp::over(ruled::schema(), |config| {
        config.realtime.outbox_batches = 4;
        config.realtime.ring_changes = 2;
        config.realtime.write_timeout = std::time::Duration::from_secs(60);
    })
    .await;
    let root = app.client_as("root");
    root.create("boards", json!({"title": "makes the user"})).await;
    join(&root, "root", "p1").await;
    let made = open(&app, "ada").await;
    let membership = join(&root, "ada", "p1").await;
    let mut ada = Socket::try_open(app.address, "/ws?as=ada", &[], Some(4096)).await.unwrap();
    ada.expect("connected").await;
    ada.subscribe(TASKS, json!({})).await;
    drop(made);
    let mut before = Vec::new();
    for n in 0..60 {
        before.push(task(&root, "p1", &format!("before {n} {}", "x".repeat(LARGE))).await);
    }
    root.delete(&path("memberships", &membership)).await;
    for n in 0..60 {
        task(&root, "p1", &format!("after {n} {}", "x".repeat(LARGE))).await;
    }
    assert!(app.lags() > 0, "the story is about a connection that fell behind");
    let mut shown = std::collections::BTreeSet::new();
    loop {
        let frame = match ada.came().await {
            Came::Frame(frame) => frame,
            Came::Closed(code) => panic!("closed with {code:?}"),
        };
        let title = frame["payload"]["title"].as_str().unwrap_or_default();
        assert!(!title.starts_with("after"), "leaked: {}", &title[..12]);
        let id = frame["payload"]["id"].as_str().unwrap_or_default().to_owned();
        match frame["type"].as_str().unwrap() {
            "entity:created" => _ = shown.insert(id),
            "entity:deleted" => _ = shown.remove(&id),
            "resync" => shown.clear(),
            "pong" if frame["channel"].is_string() && shown.is_empty() => break,
            _ => {}
        }
    }
    ada.nothing_else().await;
}

#[tokio::test]
async fn a_changed_rule_sends_every_channel_again() {
    let (app, root) = start().await;
    let mut ada = open(&app, "ada").await;
    task(&root, "p2", "of p2").await;
    ada.subscribe(TASKS, json!({})).await;
    let open_to_all = "entity = \"Task\"\n[fields]\n\
         title = { type = \"text\" }\nproject = { type = \"text\" }\nstatus = { type = \"text\" }\n\
         wage = { type = \"int\", read = \"user.role == 'admin'\" }\n\
         [access]\nread = \"user != null\"\ncreate = \"true\"\nupdate = \"true\"\ndelete = \"true\"\n";
    app.reshaper.reshape(ruled::schema_with(&[("task.toml", open_to_all)])).await.unwrap();
    ada.expect("schema:changed").await;
    let resync = ada.expect("resync").await;
    assert_eq!(resync["payload"]["reason"], "schema_changed");
    let rows = ada.expect("snapshot").await;
    assert_eq!(rows["payload"]["rows"][0]["title"], "of p2");
    assert!(until_pong(&mut ada).await.0.is_empty());
}

#[tokio::test]
async fn a_poll_sees_what_its_person_may_see_and_ends_its_wait_when_that_changes() {
    let (app, root) = start().await;
    drop(open(&app, "ada").await);
    let membership = join(&root, "ada", "p1").await;
    let ada = app.client_as("ada");
    let start = ada.get("/api/changes?channel=entity:Task&channel=entity:Board&channel=entity:Vault").await;
    assert_eq!(start["errors"][0]["code"], "UNKNOWN_ENTITY");
    let (view, board) = (&start["channels"][0]["view"], &start["channels"][1]["view"]);
    let query = |seq: &Value, wait: u32| {
        format!(
            "/api/changes?channel=entity:Task&view={}&channel=entity:Board&view={}&since={}:{seq}&wait={wait}",
            view.as_str().unwrap(),
            board.as_str().unwrap(),
            start["epoch"].as_str().unwrap(),
        )
    };
    task(&root, "p2", "hidden").await;
    task(&root, "p1", "seen").await;
    let answer = ada.get(&query(&start["seq"], 0)).await;
    let titles: Vec<&Value> =
        answer["events"].as_array().unwrap().iter().map(|event| &event["payload"]["title"]).collect();
    assert_eq!(titles, ["seen"]);
    let waiting = {
        let (ada, query) = (ada.clone(), query(&answer["seq"], 20));
        tokio::spawn(async move { ada.get(&query).await })
    };
    app.wait_for_groups(2).await;
    root.delete(&path("memberships", &membership)).await;
    task(&root, "p1", "not any more").await;
    root.create("boards", json!({"title": "for all"})).await;
    let answer = waiting.await.unwrap();
    assert_eq!(answer["channels"][0]["recovered"], false);
    assert_eq!(answer["channels"][1]["recovered"], true);
    assert_ne!(&answer["channels"][0]["view"], view);
    assert!(!answer.to_string().contains("not any more"), "{answer}");
    root.patch("/api/users/ada", json!({"disabled": true})).await;
    let (status, problem) = ada.get_any("/api/changes?channel=entity:Task").await;
    assert_eq!((status, &problem["code"]), (403, &json!("ACCOUNT_DISABLED")));
}

#[tokio::test]
async fn a_change_of_rights_ends_no_live_query_because_of_a_full_table() {
    let app = TestApp::over(ruled::schema_with(&[(
        "task.toml",
        "entity = \"Task\"\n[fields]\ntitle = { type = \"text\" }\nproject = { type = \"text\" }\nstatus = { type = \"text\" }\n\
         wage = { type = \"int\", read = \"user.role == 'admin'\" }\n\
         [access]\nread = \"project in user.memberships.project || project != 'private'\"\n\
         create = \"true\"\nupdate = \"true\"\ndelete = \"true\"\n",
    )]), |config| config.realtime.scan_groups = 1)
    .await;
    let root = app.client_as("root");
    let (mut ada, mut bob) = (open(&app, "ada").await, open(&app, "bob").await);
    // Both see the same as yet, so they are one group.
    ada.subscribe(TASKS, json!({})).await;
    bob.subscribe(TASKS, json!({})).await;
    let membership = join(&root, "ada", "private").await;
    until_pong(&mut ada).await;
    task(&root, "private", "hers").await;
    assert_eq!(ada.expect("entity:created").await["payload"]["title"], "hers");
    root.delete(&path("memberships", &membership)).await;
    assert_eq!(until_pong(&mut ada).await.0.len(), 1);
    join(&root, "bob", "private").await;
    let (told, _) = until_pong(&mut bob).await;
    assert_eq!(told.iter().map(|(_, _, title)| title).collect::<Vec<_>>(), ["hers"]);
    // A new user finds no room.
    let mut third = open(&app, "eve").await;
    join(&root, "eve", "other").await;
    third.send(&json!({"type": "subscribe", "channel": "entity:Task?status[ne]=x", "requestId": "r"})).await;
    assert_eq!(third.expect("error").await["payload"]["code"], "QUERY_LIMIT");
    ada.nothing_else().await;
}

/// Subscribes to a channel that is refused; the words of the refusal without the entity's name.
async fn refused(socket: &mut Socket, entity: &str, payload: &Value) -> String {
    let channel = format!("entity:{entity}");
    socket
        .send(&json!({"type": "subscribe", "channel": channel, "payload": payload, "requestId": "r"}))
        .await;
    let mut error = socket.expect("error").await;
    error["timestamp"] = Value::Null;
    error.to_string().replace(entity, "X")
}

#[tokio::test]
async fn a_refused_client_learns_of_changed_rights_and_is_then_let_in() {
    let (app, root) = start().await;
    let boss = app.client_as("boss:admin");
    boss.create("vaults", json!({"title": "gold"})).await;
    for payload in [json!({}), json!({"snapshot": true})] {
        let (mut ada, mut bob) = (open(&app, "ada").await, open(&app, "bob").await);
        refused(&mut ada, "Vault", &payload).await;
        refused(&mut ada, "Vault?title=gold", &payload).await;
        refused(&mut bob, "Vault", &payload).await;
        root.patch("/api/users/ada", json!({"role": "admin"})).await;
        let told = ada.expect("rights:changed").await;
        assert_eq!(
            (&told["payload"], told.get("channel")),
            (&json!({}), None),
            "nothing of what is open now"
        );
        let subscribed = ada.subscribe("entity:Vault", payload.clone()).await;
        assert_eq!(subscribed["type"], "subscribed", "{subscribed}");
        if payload["snapshot"] == true {
            assert_eq!(ada.expect("snapshot").await["payload"]["rows"][0]["title"], "gold");
            ada.expect("pong").await;
        }
        // It comes once only: a live subscription follows its own rights.
        root.patch("/api/users/ada", json!({"role": "member"})).await;
        let (told, _) = until_pong(&mut ada).await;
        assert!(told.iter().all(|(kind, _, _)| kind == "entity:deleted"), "{told:?}");
        ada.nothing_else().await;
        bob.nothing_else().await;
    }
}

#[tokio::test]
async fn a_filter_by_a_hidden_field_and_a_rule_of_another_schema_open_like_a_closed_entity() {
    let (app, root) = start().await;
    let mut ada = open(&app, "ada").await;
    refused(&mut ada, "Task?wage=9", &json!({})).await;
    root.patch("/api/users/ada", json!({"role": "admin"})).await;
    ada.expect("rights:changed").await;
    assert_eq!(ada.subscribe("entity:Task?wage=9", json!({})).await["type"], "subscribed");
    let mut bob = open(&app, "bob").await;
    refused(&mut bob, "Vault", &json!({})).await;
    let for_all = "entity = \"Vault\"\n[fields]\ntitle = { type = \"text\" }\n[access]\nread = \"true\"\n";
    app.reshaper.reshape(ruled::schema_with(&[("vault.toml", for_all)])).await.unwrap();
    bob.expect("schema:changed").await;
    assert_eq!(bob.subscribe("entity:Vault", json!({})).await["type"], "subscribed");
}

#[tokio::test]
async fn events_about_rights_do_not_reveal_a_closed_entity() {
    let (app, root) = start().await;
    let (mut closed, mut absent) = (open(&app, "ada").await, open(&app, "ada").await);
    for round in 0..2 {
        let words =
            (refused(&mut closed, "Vault", &json!({})).await, refused(&mut absent, "Nope", &json!({})).await);
        assert_eq!(words.0, words.1);
        closed.nothing_else().await;
        absent.nothing_else().await;
        // A right to something else.
        join(&root, "ada", ["p1", "p2"][round]).await;
        let told = (closed.expect("rights:changed").await, absent.expect("rights:changed").await);
        assert_eq!(told.0["payload"], told.1["payload"]);
        closed.nothing_else().await;
        absent.nothing_else().await;
    }
}

#[tokio::test]
async fn a_poll_that_names_a_refused_channel_ends_its_wait_when_that_opens() {
    let (app, root) = start().await;
    for person in ["ada", "bob"] {
        drop(open(&app, person).await);
    }
    let member_of = |n: usize| {
        let data = json!({"person": "bob", "project": n.to_string()});
        json!({"op": "create", "entity": "Membership", "data": data})
    };
    let ops: Vec<Value> = (0..1001).map(member_of).collect();
    for ops in ops.chunks(500) {
        let (status, answer) = root.any("POST", "/api/batch", json!({"atomic": true, "ops": ops})).await;
        assert_eq!(status, 200, "{answer}");
    }
    let one_too_many = root.get("/api/memberships?person=bob&limit=1").await["items"][0].clone();
    for (person, closed, code) in
        [("ada", "entity:Vault", "UNKNOWN_ENTITY"), ("bob", "entity:Task", "RULE_LIMIT")]
    {
        let poll = app.client_as(person);
        let start = poll.get(&format!("/api/changes?channel=entity:Board&channel={closed}")).await;
        assert_eq!(
            (&start["errors"][0]["channel"], &start["errors"][0]["code"]),
            (&json!(closed), &json!(code))
        );
        let query = format!(
            "/api/changes?channel=entity:Board&view={}&channel={closed}&view=&since={}:{}&wait=25",
            start["channels"][0]["view"].as_str().unwrap(),
            start["epoch"].as_str().unwrap(),
            start["seq"],
        );
        let waiting = tokio::spawn(async move { poll.get(&query).await });
        app.wait_for_groups(1).await;
        if person == "ada" {
            root.patch("/api/users/ada", json!({"role": "admin"})).await;
        } else {
            root.delete(&path("memberships", &one_too_many)).await;
        }
        // Long before the wait is over.
        let answer = tokio::time::timeout(std::time::Duration::from_secs(15), waiting).await;
        let answer = answer.expect("the change ends the wait").unwrap();
        let opened = &answer["channels"][1];
        assert_eq!((&opened["channel"], &opened["recovered"]), (&json!(closed), &json!(false)));
        assert_eq!(answer["errors"], json!([]));
        app.wait_for_groups(0).await;
    }
}

#[tokio::test]
async fn a_live_query_that_no_longer_fits_the_schema_ends_and_says_why() {
    let task = |fields: &str| {
        format!(
            "entity = \"Task\"\n[fields]\n{fields}\nproject = {{ type = \"text\" }}\n\
             wage = {{ type = \"int\" }}\n[access]\nread = \"true\"\ncreate = \"true\"\nupdate = \"true\"\ndelete = \"true\"\n"
        )
    };
    let title = "title = { type = \"text\" }";
    let other = "level = { type = \"int\" }";
    for (fields, said) in [
        (
            format!("{title}\nstate = {{ type = \"text\", was = \"status\" }}\n{other}"),
            "it is now called `state`",
        ),
        (format!("{title}\nstatus = {{ type = \"text\", hidden = true }}\n{other}"), "status"),
    ] {
        let (app, root) = start().await;
        let first = task(&format!("{title}\nstatus = {{ type = \"text\" }}\n{other}"));
        app.reshaper.reshape(ruled::schema_with(&[("task.toml", &first)])).await.unwrap();
        root.create("tasks", json!({"title": "one", "status": "open"})).await;
        let mut ada = open(&app, "ada").await;
        let query = "entity:Task?status=open";
        ada.subscribe(query, json!({"snapshot": true})).await;
        ada.expect("snapshot").await;
        ada.expect("pong").await;
        ada.subscribe("entity:Board", json!({})).await;
        app.reshaper.reshape(ruled::schema_with(&[("task.toml", &task(&fields))])).await.unwrap();
        ada.expect("schema:changed").await;
        let ended = loop {
            let frame = ada.frame().await;
            if frame["type"] == "error" {
                break frame;
            }
            assert_eq!(frame["channel"], "entity:Board", "the others go on: {frame}");
        };
        assert_eq!((&ended["channel"], &ended["payload"]["code"]), (&json!(query), &json!("BAD_CHANNEL")));
        assert!(
            ended.get("requestId").is_none() && ended["payload"]["message"].as_str().unwrap().contains(said),
            "{ended}"
        );
    }
}
