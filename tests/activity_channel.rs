//! The channel `activity` (SEMANTICS X6) over real sockets and polls: a page of what happened, then each entry as it happens. What
//! it tells is held to what `GET /api/activity` tells.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::app::{Client, TestApp};
use crate::support::bulletin::{LETTER, NOISE, TASK, club, path, schema, settle};
use crate::support::random::Random;
use crate::support::ruled;
use crate::support::socket::Socket;

/// A socket of the user, when everything of before was handed to the sockets.
async fn join(app: &TestApp, name: &str) -> Socket {
    app.wait_for_metric("tidewire_fan_out_position", app.head() as f64).await;
    let mut socket = Socket::open_at(app.address, &format!("/ws?as={name}")).await;
    socket.expect("connected").await;
    socket
}

fn open_task(title: &str) -> Value {
    json!({"title": title, "project": "p", "status": "open"})
}

async fn items(client: &Client, query: &str) -> Vec<Value> {
    let page = client.get(&format!("/api/activity{query}")).await;
    page["items"].as_array().unwrap().clone()
}

/// A client of the channel by docs/protocol.md, which writes down every promise that the server breaks.
#[derive(Default)]
struct Listener {
    channel: String,
    entries: BTreeMap<u64, Value>,
    /// Of the snapshot under way: its position, and the entries in it.
    page: Option<(u64, BTreeSet<u64>)>,
    position: Value,
    seen: u64,
    resyncs: Vec<String>,
    /// Entries that came as they happened.
    events: usize,
}

impl Listener {
    fn of(channel: &str) -> Listener {
        Listener { channel: channel.to_owned(), ..Listener::default() }
    }

    fn take(&mut self, frame: &Value) {
        if frame["channel"] != self.channel.as_str() {
            let is_pong = frame["type"] == "pong" && frame["channel"].is_null();
            assert!(is_pong, "{frame}");
            return;
        }
        let payload = &frame["payload"];
        match frame["type"].as_str().unwrap() {
            "subscribed" if payload["recovered"] == true => {
                self.position["epoch"] = payload["epoch"].clone();
            }
            kind @ ("subscribed" | "resync") => {
                assert_eq!(payload["limited"], true, "a snapshot is a page: {frame}");
                let first = payload["seq"].as_u64().unwrap();
                (self.seen, self.page) = (first, Some((first, BTreeSet::new())));
                if kind == "resync" {
                    self.resyncs.push(payload["reason"].as_str().unwrap().to_owned());
                }
            }
            "snapshot" => {
                let (_, known) = self.page.as_mut().expect("a page within a snapshot");
                for entry in payload["rows"].as_array().unwrap() {
                    let seq = entry["seq"].as_u64().unwrap();
                    known.insert(seq);
                    self.entries.insert(seq, entry.clone());
                }
            }
            "pong" => {
                if let Some((first, known)) = self.page.take() {
                    self.entries.retain(|seq, _| *seq > first || known.contains(seq));
                }
                self.position = payload.clone();
                self.seen = payload["seq"].as_u64().unwrap();
            }
            "activity" => {
                let (seq, prev) = (frame["seq"].as_u64().unwrap(), frame["prev"].as_u64().unwrap());
                assert!(seq > self.seen && prev <= self.seen, "seen {}: {frame}", self.seen);
                assert_eq!(payload["seq"], frame["seq"], "{frame}");
                for key in ["by", "mid", "changed", "cause", "at"] {
                    assert!(frame.get(key).is_none(), "the entry says it: {frame}");
                }
                assert!(self.entries.insert(seq, payload.clone()).is_none(), "told twice: {frame}");
                self.seen = seq;
                if frame["more"] != true && self.page.is_none() {
                    self.position["seq"] = json!(seq);
                }
                self.events += 1;
            }
            _ => panic!("{frame}"),
        }
    }

    /// Subscribes, and takes everything up to the closing pong.
    async fn begin(&mut self, socket: &mut Socket, payload: Value) -> Value {
        let answer = socket.subscribe(&self.channel, payload).await;
        self.take(&answer);
        self.settle(socket).await;
        answer
    }

    /// Takes everything up to a closing pong.
    async fn settle(&mut self, socket: &mut Socket) {
        loop {
            let frame = socket.frame().await;
            self.take(&frame);
            if frame["type"] == "pong" && frame["channel"] == self.channel.as_str() {
                return;
            }
        }
    }

    /// Takes everything up to a position, and whatever changes of rights lead to on the way.
    async fn reach(&mut self, socket: &mut Socket, head: u64) {
        loop {
            socket.send(&json!({"type": "ping", "requestId": "reach"})).await;
            let at = loop {
                let frame = socket.frame().await;
                self.take(&frame);
                if frame["requestId"] == "reach" {
                    break frame["payload"]["seq"].as_u64();
                }
            };
            if at.is_some_and(|at| at >= head) && self.page.is_none() {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Newest first, as over HTTP.
    fn newest(&self) -> Vec<Value> {
        self.entries.values().rev().cloned().collect()
    }
}

fn labels(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["label"].as_str().unwrap_or("-")).collect()
}

#[tokio::test]
async fn who_joins_late_gets_the_last_entries_and_then_each_as_it_happens() {
    let app = club().await;
    let (ada, ben) = (app.client_as("ada"), app.client_as("ben"));
    for n in 0..60 {
        ada.create("tasks", open_task(&format!("{n}"))).await;
    }
    let mut socket = join(&app, "ben").await;
    let mut told = Listener::of("activity");
    let answer = told.begin(&mut socket, json!({"snapshot": true})).await;
    assert_eq!(
        (&answer["payload"]["limited"], &answer["payload"]["recovered"]),
        (&json!(true), &json!(false))
    );
    let page = ben.get("/api/activity?limit=50").await;
    assert_eq!(json!(told.newest()), page["items"], "fifty, the newest");
    assert_eq!(page["view"], answer["payload"]["view"], "a page and the channel show the same");

    let task = ada.create("tasks", open_task("Write")).await;
    ben.patch(&path(&task), json!({"title": "Rewrite", "status": "done"})).await;
    ada.delete(&path(&task)).await;
    let mut frames = Vec::new();
    for _ in 0..3 {
        frames.push(socket.expect("activity").await);
    }
    let entries: Vec<Value> = frames.iter().rev().map(|frame| frame["payload"].clone()).collect();
    assert_eq!(entries, items(&ben, "?limit=3").await, "the same entries as over HTTP");
    let text = json!(frames).to_string();
    assert!(!text.contains("done") && !text.contains("open"), "values are not told: {text}");
    socket.nothing_else().await;
}

#[tokio::test]
async fn a_snapshot_has_as_many_entries_as_were_asked_for() {
    let app = club().await;
    let (ada, mut socket) = (app.client_as("ada"), join(&app, "ada").await);
    for n in 0..5 {
        ada.create("tasks", open_task(&format!("{n}"))).await;
    }
    for limit in [1, 3, 1_000] {
        let mut told = Listener::of("activity");
        told.begin(&mut socket, json!({"snapshot": true, "limit": limit})).await;
        assert_eq!(told.newest(), items(&ada, &format!("?limit={limit}")).await, "{limit}");
    }
    // Without a payload nothing of before is sent.
    let mut other = join(&app, "ada").await;
    let answer = other.subscribe("activity", json!({})).await;
    assert_eq!(answer["payload"]["seq"], json!(app.head()));
    ada.create("tasks", open_task("new")).await;
    assert_eq!(other.expect("activity").await["payload"]["label"], "new");
}

#[tokio::test]
async fn what_moves_into_or_out_of_sight_is_not_told() {
    let app = club().await;
    let ada = app.client_as("ada");
    let mut sockets = Vec::new();
    for name in ["ada", "ben", "eva"] {
        let mut socket = join(&app, name).await;
        socket.subscribe("activity?entity=Task", json!({})).await;
        sockets.push(socket);
    }
    let task = ada.create("tasks", json!({"title": "Plan", "project": "q", "status": "open"})).await;
    for change in [
        json!({"project": "p"}),
        json!({"title": "Planned"}),
        json!({"status": "draft"}),
        json!({"title": "Secretly"}),
        json!({"status": "open"}),
        json!({"project": "q"}),
    ] {
        ada.patch(&path(&task), change).await;
    }
    ada.delete(&path(&task)).await;
    let expected: [&[&str]; 3] = [&["Plan", "Plan", "Planned", "Secretly", "Secretly"], &["Planned"], &[]];
    for (socket, expected) in sockets.iter_mut().zip(expected) {
        for label in expected {
            assert_eq!(socket.expect("activity").await["payload"]["label"], *label);
        }
        socket.nothing_else().await;
    }
}

#[tokio::test]
async fn fields_and_labels_that_one_may_not_see_are_named_nowhere() {
    let app = club().await;
    let ada = app.client_as("ada");
    let (mut ada_socket, mut ben_socket) = (join(&app, "ada").await, join(&app, "ben").await);
    for socket in [&mut ada_socket, &mut ben_socket] {
        socket.subscribe("activity", json!({})).await;
    }
    let task =
        json!({"title": "Pay", "project": "p", "status": "open", "owner": "ada", "wage": 1, "pin": "x"});
    let task = ada.create("tasks", task).await;
    ada.patch(&path(&task), json!({"wage": 2, "pin": "y", "title": "Paid"})).await;
    ada.patch(&path(&task), json!({"pin": "z"})).await;
    // Each of the two sees the wage on one side only.
    ada.patch(&path(&task), json!({"owner": "ben", "wage": 3})).await;
    ada.create("letters", json!({"subject": "love", "owner": "ada"})).await;
    for (socket, names, letter) in [
        (&mut ada_socket, [json!(["title", "wage"]), json!([]), json!(["owner"])], json!("love")),
        (&mut ben_socket, [json!(["title"]), json!([]), json!(["owner"])], Value::Null),
    ] {
        socket.expect("activity").await;
        for names in names {
            let mut changed = socket.expect("activity").await["payload"]["changed"].clone();
            changed.as_array_mut().unwrap().sort_by_key(Value::to_string);
            assert_eq!(changed, names);
        }
        let told = socket.expect("activity").await;
        assert_eq!((&told["payload"]["entity"], &told["payload"]["label"]), (&json!("Letter"), &letter));
    }
}

#[tokio::test]
async fn the_channel_is_narrowed_to_entities_and_leaves_out_those_without_an_activity() {
    let app = club().await;
    let ada = app.client_as("ada");
    let mut socket = join(&app, "ada").await;
    let channels = ["activity", "activity?entity=Board", "activity?entity=Board,Task,Board"];
    for channel in channels {
        socket.subscribe(channel, json!({})).await;
    }
    ada.create("noise", json!({"level": 3})).await;
    ada.create("boards", json!({"title": "b"})).await;
    ada.create("letters", json!({"subject": "l"})).await;
    ada.create("tasks", open_task("t")).await;
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for _ in 0..6 {
        let frame = socket.expect("activity").await;
        let entity = frame["payload"]["entity"].as_str().unwrap().to_owned();
        told.entry(frame["channel"].as_str().unwrap().to_owned()).or_default().push(entity);
    }
    socket.nothing_else().await;
    let expected = [&["Board", "Letter", "Task"][..], &["Board"], &["Board", "Task"]];
    for (channel, expected) in channels.iter().zip(expected) {
        assert_eq!(told[*channel], expected, "{channel}");
    }
}

#[tokio::test]
async fn the_entries_of_a_unit_say_that_more_of_it_follows() {
    let app = club().await;
    let (ada, mut socket) = (app.client_as("ada"), join(&app, "ben").await);
    socket.subscribe("activity", json!({})).await;
    let create = |project: &str| {
        let data = json!({"title": "t", "project": project, "status": "open"});
        json!({"op": "create", "entity": "Task", "data": data})
    };
    let ops = json!([create("p"), create("q"), create("p"), create("q")]);
    ada.call("POST", "/api/batch", json!({"atomic": true, "ops": ops})).await;
    let frames = [socket.expect("activity").await, socket.expect("activity").await];
    let head = app.head();
    assert_eq!((&frames[0]["seq"], &frames[1]["seq"]), (&json!(head - 3), &json!(head - 1)));
    assert_eq!((&frames[0]["more"], &frames[1]["more"]), (&json!(true), &Value::Null));
    assert_eq!(frames[1]["prev"], frames[0]["seq"]);
    socket.nothing_else().await;
}

#[tokio::test]
async fn rights_that_change_bring_another_page_at_once() {
    let app = club().await;
    let (ada, eva) = (app.client_as("ada"), app.client_as("eva"));
    let task = ada.create("tasks", open_task("Old")).await;
    let mut socket = join(&app, "eva").await;
    let mut told = Listener::of("activity?entity=Task");
    told.begin(&mut socket, json!({"snapshot": true})).await;
    assert!(told.entries.is_empty());

    let member = app.client().create("memberships", json!({"person": "eva", "project": "p"})).await;
    told.settle(&mut socket).await;
    assert_eq!((labels(&told.newest()), &told.resyncs[..]), (vec!["Old"], &["rights".to_owned()][..]));
    ada.patch(&path(&task), json!({"title": "New"})).await;
    told.reach(&mut socket, app.head()).await;
    assert_eq!(labels(&told.newest()), ["New", "Old"]);

    // In one unit, so that what comes after it is judged by other rights than what came before.
    let ops = json!([
        {"op": "update", "entity": "Task", "id": task["id"], "data": {"title": "Before"}},
        {"op": "delete", "entity": "Membership", "id": member["id"]},
        {"op": "update", "entity": "Task", "id": task["id"], "data": {"title": "After"}},
    ]);
    ada.call("POST", "/api/batch", json!({"atomic": true, "ops": ops})).await;
    let events = told.events;
    told.reach(&mut socket, app.head()).await;
    assert!(told.entries.is_empty(), "{:?}", told.entries);
    assert_eq!((told.events, told.resyncs.len()), (events, 2));
    assert_eq!(items(&eva, "?entity=Task").await, told.newest());

    // Rights that show the same as before are no reason for another page.
    app.client().create("memberships", json!({"person": "ada", "project": "z"})).await;
    let mut ada_socket = join(&app, "ada").await;
    let mut of_boards = Listener::of("activity?entity=Board");
    of_boards.begin(&mut ada_socket, json!({"snapshot": true})).await;
    app.client().create("memberships", json!({"person": "ada", "project": "y"})).await;
    of_boards.reach(&mut ada_socket, app.head()).await;
    assert!(of_boards.resyncs.is_empty());
}

#[tokio::test]
async fn an_entity_that_is_closed_is_refused_and_announced_when_rights_change() {
    let app = club().await;
    let root = app.client_as("root:admin");
    root.create("vaults", json!({"title": "gold"})).await;
    let mut socket = join(&app, "eva").await;
    let mut errors = Vec::new();
    for channel in ["activity?entity=Vault", "activity?entity=Task,Vaultt", "activity?entity=Noise"] {
        socket.send(&json!({"type": "subscribe", "channel": channel, "payload": {}})).await;
        let error = socket.expect("error").await;
        errors.push((error["payload"]["code"].clone(), error["payload"]["message"].clone()));
    }
    let unknown = |name: &str| (json!("UNKNOWN_ENTITY"), json!(format!("there is no entity `{name}`")));
    assert_eq!(errors, [unknown("Vault"), unknown("Vaultt"), unknown("Noise")]);

    let mut all = Listener::of("activity");
    all.begin(&mut socket, json!({"snapshot": true, "limit": 1000})).await;
    assert!(!all.entries.values().any(|entry| entry["entity"] == "Vault"));
    root.patch("/api/users/eva", json!({"role": "admin"})).await;
    let mut announced = false;
    while !announced || all.page.is_some() || all.resyncs.is_empty() {
        let frame = socket.frame().await;
        if frame["type"] == "rights:changed" {
            announced = true;
        } else {
            all.take(&frame);
        }
    }
    assert!(all.entries.values().any(|entry| entry["entity"] == "Vault"), "open now");
    let mut vault = Listener::of("activity?entity=Vault");
    let answer = socket.subscribe("activity?entity=Vault", json!({"snapshot": true})).await;
    vault.take(&answer);
    vault.settle(&mut socket).await;
    assert_eq!(labels(&vault.newest()).len(), 1);

    // What is closed again has no entries, and the channel stays.
    root.patch("/api/users/eva", json!({"role": "member"})).await;
    while vault.resyncs.is_empty() || vault.page.is_some() {
        let frame = socket.frame().await;
        if frame["channel"] == "activity" { all.take(&frame) } else { vault.take(&frame) }
    }
    assert!(vault.entries.is_empty());
}

#[tokio::test]
async fn a_resume_tells_exactly_what_was_missed_also_after_a_restart() {
    let app = club().await;
    let (ada, mut socket) = (app.client_as("ada"), join(&app, "ben").await);
    let mut told = Listener::of("activity");
    told.begin(&mut socket, json!({"snapshot": true})).await;
    ada.create("tasks", open_task("seen")).await;
    told.reach(&mut socket, app.head()).await;
    socket.cut();
    for n in 0..3 {
        ada.create("tasks", open_task(&format!("missed {n}"))).await;
        ada.create("tasks", json!({"title": "hidden", "project": "q", "status": "open"})).await;
    }
    let events = told.events;
    let mut again = join(&app, "ben").await;
    let answer = told.begin(&mut again, json!({"since": told.position})).await;
    assert_eq!(answer["payload"]["recovered"], true, "{answer}");
    assert_eq!(told.events, events + 3);
    assert_eq!(labels(&told.newest())[..3], ["missed 2", "missed 1", "missed 0"]);

    // The position of a page over HTTP is one of the channel.
    let page = app.client_as("ben").get("/api/activity?limit=2").await;
    let since = json!({"epoch": page["epoch"], "seq": page["seq"], "view": page["view"]});
    ada.create("tasks", open_task("after the page")).await;
    let mut third = join(&app, "ben").await;
    let answer = third.subscribe("activity", json!({"since": since})).await;
    assert_eq!(answer["payload"]["recovered"], true, "{answer}");
    assert_eq!(third.expect("activity").await["payload"]["label"], "after the page");
    // Another narrowing is another view.
    let mut other = join(&app, "ben").await;
    let answer = other.subscribe("activity?entity=Task", json!({"since": since})).await;
    assert_eq!(answer["payload"]["recovered"], false, "{answer}");

    told.reach(&mut again, app.head()).await;
    app.stop().await;
    let app = TestApp::again(app.folder, schema(), |_| {}).await;
    app.client_as("ada").create("tasks", open_task("after the restart")).await;
    let events = told.events;
    let mut socket = join(&app, "ben").await;
    let answer = told.begin(&mut socket, json!({"since": told.position})).await;
    assert_eq!(answer["payload"]["recovered"], true, "{answer}");
    assert_eq!((told.events, labels(&told.newest())[0]), (events + 1, "after the restart"));
    assert_eq!(told.newest(), items(&app.client_as("ben"), "?limit=1000").await);
}

#[tokio::test]
async fn a_resume_behind_a_thousand_changes_begins_with_a_page() {
    let app = club().await;
    let (ada, mut socket) = (app.client_as("ada"), join(&app, "ben").await);
    let mut told = Listener::of("activity");
    told.begin(&mut socket, json!({"snapshot": true, "limit": 2})).await;
    socket.cut();
    let create = |title: String| json!({"op": "create", "entity": "Task", "data": open_task(&title)});
    let position = told.position.clone();
    for (count, recovered) in [(1_000, true), (1, false)] {
        for part in 0..(count + 499) / 500 {
            let left = 500.min(count - part * 500);
            let ops: Vec<Value> = (0..left).map(|n| create(format!("{part} {n}"))).collect();
            let answer = ada.call("POST", "/api/batch", json!({"atomic": true, "ops": ops})).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        let mut again = join(&app, "ben").await;
        let answer = told.begin(&mut again, json!({"since": position, "limit": 2})).await;
        assert_eq!(answer["payload"]["recovered"], recovered, "{count}");
    }
    assert_eq!(labels(&told.newest()), ["0 0", "1 499"], "the page replaces what was there");
}

#[tokio::test]
async fn a_slow_reader_misses_no_entry_and_gets_none_twice() {
    let app = TestApp::over(schema(), |config| {
        config.realtime.outbox_batches = 8;
        config.realtime.write_timeout = std::time::Duration::from_secs(60);
    })
    .await;
    settle(&app).await;
    let ada = app.client_as("ada");
    let mut socket = Socket::try_open(app.address, "/ws?as=ben", &[], Some(4096)).await.unwrap();
    socket.expect("connected").await;
    let mut told = Listener::of("activity");
    told.begin(&mut socket, json!({"snapshot": true})).await;
    let large = "x".repeat(60_000);
    for n in 0..200 {
        ada.create("tasks", open_task(&format!("{n} {large}"))).await;
    }
    told.reach(&mut socket, app.head()).await;
    assert!(app.lags() > 0, "the story is about a connection that fell behind");
    assert_eq!((told.events, told.resyncs.len()), (200, 0));
    assert_eq!(told.newest(), items(&app.client_as("ben"), "?limit=1000").await);
}

#[tokio::test]
async fn a_poll_of_the_channel_tells_the_same() {
    let app = club().await;
    let (ada, ben) = (app.client_as("ada"), app.client_as("ben"));
    let page = ben.get("/api/activity?limit=5").await;
    let (view, mut at) = (page["view"].clone(), page.clone());
    let poll = |at: &Value, wait: u64| {
        let since = format!("{}:{}", at["epoch"].as_str().unwrap(), at["seq"]);
        let channels = json!([{"channel": "activity", "view": view}]);
        json!({"channels": channels, "since": since, "wait": wait})
    };
    let mut socket = join(&app, "ben").await;
    socket.subscribe("activity", json!({})).await;
    ada.create("tasks", open_task("one")).await;
    ada.create("tasks", json!({"title": "hidden", "project": "q"})).await;
    ada.create("letters", json!({"subject": "hidden label", "owner": "ada"})).await;
    let answer = ben.call("POST", "/api/changes", poll(&at, 0)).await.json;
    assert_eq!(answer["channels"][0]["recovered"], true, "{answer}");
    let events = answer["events"].as_array().unwrap();
    assert_eq!(events.len(), 2);
    for event in events {
        assert_eq!(socket.expect("activity").await, *event, "the same object");
    }
    // Only what may be told ends the wait.
    at = answer;
    socket.cut();
    app.wait_for_groups(0).await;
    let waiting = {
        let (ben, question) = (ben.clone(), poll(&at, 25));
        tokio::spawn(async move { ben.call("POST", "/api/changes", question).await.json })
    };
    app.wait_for_groups(1).await;
    ada.create("tasks", json!({"title": "hidden", "project": "q"})).await;
    ada.create("tasks", open_task("two")).await;
    let answer = waiting.await.unwrap();
    let labels: Vec<&Value> =
        answer["events"].as_array().unwrap().iter().map(|event| &event["payload"]["label"]).collect();
    assert_eq!(labels, ["two"]);
    // Rights that change leave no position to continue from.
    let since = answer;
    app.client().create("memberships", json!({"person": "ben", "project": "q"})).await;
    let answer = ben.call("POST", "/api/changes", poll(&since, 0)).await.json;
    assert_eq!((&answer["channels"][0]["recovered"], &answer["events"]), (&json!(false), &json!([])));
}

#[tokio::test]
async fn bad_questions_are_refused_by_name() {
    let app = club().await;
    let mut socket = join(&app, "ada").await;
    let many = format!("activity?entity={}", vec!["Task"; 201].join(","));
    for (channel, payload, code, words) in [
        ("activity:Task", json!({}), "BAD_CHANNEL", "`activity?entity=Task`"),
        ("activity?", json!({}), "BAD_CHANNEL", "nothing follows"),
        ("activity?entity=", json!({}), "BAD_CHANNEL", "`Task,Comment`"),
        ("activity?entity=Task,", json!({}), "BAD_CHANNEL", "`Task,Comment`"),
        ("activity?entity=Task&entity=Board", json!({}), "BAD_CHANNEL", "`entity` is given twice"),
        ("activity?limit=5", json!({}), "BAD_CHANNEL", "`payload.limit`"),
        ("activity?before=5", json!({}), "BAD_CHANNEL", "`GET /api/activity?before=…`"),
        ("activity?status=open", json!({}), "BAD_CHANNEL", "`status`"),
        (&many, json!({}), "BAD_CHANNEL", "more than 200"),
        ("activity?entity=Nope", json!({}), "UNKNOWN_ENTITY", "`Nope`"),
        ("activity", json!({"snapshot": true, "limit": 0}), "BAD_FRAME", "1 to 1000"),
        ("activity", json!({"snapshot": true, "limit": 1001}), "BAD_FRAME", "1 to 1000"),
        ("activity", json!({"snapshot": true, "limit": "5"}), "BAD_FRAME", "1 to 1000"),
        ("activity", json!({"snapshot": true, "sort": "-seq"}), "BAD_FRAME", "`payload.limit`"),
        ("activity", json!({"snapshot": true, "sort": "-seq", "limit": 5}), "BAD_CHANNEL", "`payload.sort`"),
        ("activity", json!({"sort": "title", "limit": 5}), "BAD_CHANNEL", "`payload.sort`"),
    ] {
        socket
            .send(&json!({"type": "subscribe", "channel": channel, "payload": payload, "requestId": "r"}))
            .await;
        let error = socket.expect("error").await;
        assert_eq!(
            (&error["payload"]["code"], &error["requestId"]),
            (&json!(code), &json!("r")),
            "{channel} {payload}: {error}"
        );
        let message = error["payload"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{channel} {payload}: {message}");
    }
    let polled = app.client_as("ada").get("/api/changes?channel=activity%3Flimit%3D5&channel=activity").await;
    assert_eq!(polled["errors"][0]["code"], "BAD_CHANNEL");
    assert_eq!(polled["channels"][0]["channel"], "activity");
}

#[tokio::test]
async fn another_schema_begins_the_channel_again_or_ends_it() {
    let app = club().await;
    let ada = app.client_as("ada");
    ada.create("tasks", json!({"title": "Kept", "project": "p", "status": "open", "owner": "ben"})).await;
    let mut socket = join(&app, "ada").await;
    let mut of_tasks = Listener::of("activity?entity=Task");
    of_tasks.begin(&mut socket, json!({"snapshot": true})).await;
    let mut all = Listener::of("activity");
    all.begin(&mut socket, json!({"snapshot": true, "limit": 1000})).await;
    let silent = TASK.replace("label = \"title\"", "label = \"title\"\nactivity = false");
    let other = [("task.toml", &*silent), ("letter.toml", LETTER), ("noise.toml", NOISE)];
    app.reshape(ruled::schema_with(&other)).await.unwrap();
    socket.expect("schema:changed").await;
    let (mut ended, mut again) = (false, false);
    while !ended || !again || all.page.is_some() {
        let frame = socket.frame().await;
        if frame["type"] == "error" {
            assert_eq!(frame["channel"], "activity?entity=Task");
            assert_eq!(frame["payload"]["code"], "UNKNOWN_ENTITY", "{frame}");
            ended = true;
        } else {
            again |= frame["type"] == "resync";
            all.take(&frame);
        }
    }
    assert_eq!(all.resyncs, ["schema_changed"]);
    assert!(!all.entries.values().any(|entry| entry["entity"] == "Task"));
    ada.create("tasks", open_task("silent")).await;
    ada.create("boards", json!({"title": "told"})).await;
    all.reach(&mut socket, app.head()).await;
    assert_eq!(all.newest(), items(&ada, "?limit=1000").await);
}

/// One of the writers, and what they do next.
async fn something(app: &TestApp, random: &mut Random, n: usize, known: &mut Vec<String>) {
    fn pick<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
        of[random.below(of.len() as u64) as usize]
    }
    let ada = app.client_as("ada");
    let (project, status) = (pick(random, &["p", "q", "r"]), pick(random, &["open", "open", "draft"]));
    let owner = pick(random, &["ada", "ben"]);
    match random.below(12) {
        0..=3 => {
            let writer = app.client_as(pick(random, &["ada", "ben", "eva"]));
            let task = json!({"title": format!("t{n}"), "project": project, "status": status, "owner": owner, "wage": n % 3});
            known.push(path(&writer.create("tasks", task).await));
        }
        4..=7 if !known.is_empty() => {
            let at = random.below(known.len() as u64) as usize;
            let change = match random.below(4) {
                0 => json!({"project": project}),
                1 => json!({"status": status}),
                2 => json!({"owner": owner, "wage": n % 3}),
                _ => json!({"title": format!("u{n}")}),
            };
            ada.any("PATCH", &known[at], change).await;
        }
        8 if !known.is_empty() => {
            let at = random.below(known.len() as u64) as usize;
            ada.any("DELETE", &known.swap_remove(at), Value::Null).await;
        }
        9 => drop(ada.create("letters", json!({"subject": format!("l{n}"), "owner": owner})).await),
        10 => {
            let person = pick(random, &["ben", "eva"]);
            app.client().create("memberships", json!({"person": person, "project": project})).await;
        }
        _ => {
            let person = pick(random, &["ben", "eva"]);
            let members = app.client().get(&format!("/api/memberships?person={person}")).await;
            for member in members["items"].as_array().unwrap().iter().take(1) {
                app.client().delete(&format!("/api/memberships/{}", member["id"].as_str().unwrap())).await;
            }
        }
    }
}

#[tokio::test]
async fn the_channel_tells_what_get_tells_whatever_happens() {
    let (mut events, mut resyncs) = (0, 0);
    for seed in 1..=4 {
        let app = club().await;
        let (mut random, mut known) = (Random::new(seed), Vec::new());
        let mut followed = Vec::new();
        for (name, channel) in
            [("ada", "activity"), ("ben", "activity"), ("ben", "activity?entity=Task"), ("eva", "activity")]
        {
            let mut socket = join(&app, name).await;
            let mut told = Listener::of(channel);
            told.begin(&mut socket, json!({"snapshot": true, "limit": 1000})).await;
            followed.push((name, socket, told));
        }
        for n in 0..120 {
            something(&app, &mut random, n, &mut known).await;
            let at = random.below(followed.len() as u64 * 6) as usize;
            // Now and then one of them loses the connection and continues.
            if let Some((name, socket, told)) = followed.get_mut(at) {
                *socket = join(&app, name).await;
                told.page = None;
                told.seen = told.position["seq"].as_u64().unwrap();
                told.entries.retain(|seq, _| *seq <= told.seen);
                let since = json!({"since": told.position, "limit": 1000});
                told.begin(socket, since).await;
            }
        }
        let head = app.head();
        for (name, socket, told) in &mut followed {
            told.reach(socket, head).await;
            let narrowed = told.channel.strip_prefix("activity?").map(|of| format!("&{of}"));
            let query = format!("?limit=1000{}", narrowed.unwrap_or_default());
            let over_http = items(&app.client_as(name), &query).await;
            assert_eq!(told.newest(), over_http, "seed {seed}, {name} {}", told.channel);
            events += told.events;
            resyncs += told.resyncs.len();
        }
    }
    assert!(events > 100 && resyncs > 10, "{events} events, {resyncs} resyncs");
}
