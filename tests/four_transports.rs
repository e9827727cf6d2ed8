//! One meaning on every way in: each story is told over `/ws`, over `/sse` with its session, over a session of polls, by a plain
//! `EventSource`, and over polls that stand alone.

use serde_json::{Value, json};

use crate::support::app::{Client, TestApp};
use crate::support::audience::{Audience, TRANSPORTS, Transport};
use crate::support::peer::{Peer, WAYS, Way};
use crate::support::ruled;
use crate::support::stream::EventSource;

const TASKS: &str = "entity:Task";

/// Ada is in the project p1, and root sees everything.
async fn start(change: impl FnOnce(&mut tidewire::config::Config)) -> (TestApp, Client) {
    let app = TestApp::over(ruled::schema(), change).await;
    let root = app.client_as("root");
    app.client_as("ada").get("/api/boards").await;
    for project in ["p1", "p2"] {
        join(&root, "root", project).await;
    }
    join(&root, "ada", "p1").await;
    (app, root)
}

async fn join(root: &Client, person: &str, project: &str) -> Value {
    root.create("memberships", json!({"person": person, "project": project})).await
}

async fn task(root: &Client, project: &str, title: &str) -> Value {
    root.create("tasks", json!({"project": project, "title": title, "status": "open", "wage": 1})).await
}

fn path(plural: &str, record: &Value) -> String {
    format!("/api/{plural}/{}", record["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_channel_begins_with_its_records_and_goes_on_with_every_change() {
    for transport in TRANSPORTS {
        let (app, root) = start(|_| {}).await;
        task(&root, "p1", "before").await;
        task(&root, "p2", "hidden").await;
        let mut ada = Audience::open(transport, &app, "ada", TASKS).await;
        assert_eq!(ada.titles(), ["before".to_owned()].into(), "{transport:?}");
        let after = task(&root, "p1", "after").await;
        task(&root, "p2", "hidden too").await;
        ada.shows(&["before", "after"]).await;
        root.patch(&path("tasks", &after), json!({"title": "other"})).await;
        ada.shows(&["before", "other"]).await;
        root.delete(&path("tasks", &after)).await;
        ada.shows(&["before"]).await;
        ada.catch_up(app.head()).await;
    }
}

#[tokio::test]
async fn a_client_that_was_away_gets_what_it_missed_and_only_that() {
    for transport in TRANSPORTS {
        let (app, root) = start(|_| {}).await;
        let gone = task(&root, "p1", "gone").await;
        let away = Audience::open(transport, &app, "ada", TASKS).await.cut().await;
        task(&root, "p1", "missed").await;
        root.delete(&path("tasks", &gone)).await;
        let ada = away.come_back(&app).await;
        assert!(ada.recovered(), "{transport:?}");
        assert_eq!(ada.titles(), ["missed".to_owned()].into(), "{transport:?}");
    }
}

#[tokio::test]
async fn a_client_that_was_away_while_the_server_restarted_misses_nothing() {
    for transport in TRANSPORTS {
        let (app, root) = start(|_| {}).await;
        let gone = task(&root, "p1", "gone").await;
        let away = Audience::open(transport, &app, "ada", TASKS).await.cut().await;
        root.delete(&path("tasks", &gone)).await;
        app.stop().await;
        let TestApp { folder, .. } = app;
        let app = TestApp::again(folder, ruled::schema(), |_| {}).await;
        task(&app.client_as("root"), "p1", "missed").await;
        let ada = away.come_back(&app).await;
        assert!(ada.recovered(), "{transport:?}: the log reaches back");
        assert_eq!(ada.titles(), ["missed".to_owned()].into(), "{transport:?}");
    }
}

/// Without `snapshot` and `since` a channel begins where it is, and a poll with the position to go on from.
#[tokio::test]
async fn a_channel_without_a_snapshot_begins_with_what_happens_next() {
    for way in WAYS {
        let (app, root) = start(|_| {}).await;
        task(&root, "p1", "before").await;
        let mut ada = Peer::open(way, &app, Some("ada")).await;
        let subscribed = ada.subscribe(TASKS, Value::Null).await;
        assert_eq!(subscribed["payload"]["seq"], app.head(), "{way:?}");
        task(&root, "p1", "after").await;
        let created = ada.expect("entity:created").await;
        assert_eq!((&created["payload"]["title"], &created["seq"]), (&json!("after"), &json!(app.head())));
    }
    let (app, root) = start(|_| {}).await;
    task(&root, "p1", "before").await;
    let ada = app.client_as("ada");
    let answer = ada.get("/api/changes?channel=entity:Task").await;
    assert_eq!((&answer["events"], &answer["seq"]), (&json!([]), &json!(app.head())));
}

#[tokio::test]
async fn a_server_that_is_about_to_stop_lets_nobody_begin_and_says_when_to_come_back() {
    let (app, _) = start(|_| {}).await;
    let mut there = Peer::open(Way::Ws, &app, Some("ada")).await;
    let client = app.client_as("ada");
    app.sessions().lifecycle().drain();
    while there.came().await.is_some_and(|frame| frame["type"] != "drain") {}
    let mut stream = EventSource::open(client.request("GET", "/sse?channel=entity:Task")).await;
    assert_eq!(stream.expect("error").await["payload"]["code"], "SHUTTING_DOWN");
    assert!(stream.retry.is_some(), "a browser comes back then");
    assert_eq!(stream.came().await, None);
    let opened = client.call("POST", "/api/realtime/session", Value::Null).await;
    assert_eq!((opened.status, &opened.json["code"]), (503, &json!("SHUTTING_DOWN")), "{}", opened.text);
    app.stop().await;
}

#[tokio::test]
async fn below_the_floor_and_of_another_log_everything_is_shown_anew_and_says_so() {
    for transport in TRANSPORTS {
        let (app, root) = start(|config| {
            config.store.retention_changes = 5;
            config.realtime.ring_changes = 1;
        })
        .await;
        let gone = task(&root, "p1", "gone").await;
        let away = Audience::open(transport, &app, "ada", TASKS).await.cut().await;
        root.delete(&path("tasks", &gone)).await;
        for _ in 0..40 {
            task(&root, "p1", "many").await;
        }
        let ada = away.come_back(&app).await;
        assert!(!ada.recovered(), "{transport:?}: the log no longer reaches back");
        assert_eq!(ada.titles(), ["many".to_owned()].into(), "{transport:?}");
        let mut away = ada.cut().await;
        away.of_another_log();
        let ada = away.come_back(&app).await;
        assert!(!ada.recovered(), "{transport:?}: the epoch is unknown");
        assert_eq!(ada.titles(), ["many".to_owned()].into(), "{transport:?}");
    }
}

#[tokio::test]
async fn rights_that_were_lost_while_away_show_everything_anew() {
    for transport in TRANSPORTS {
        let (app, root) = start(|_| {}).await;
        let membership = join(&root, "ada", "p2").await;
        task(&root, "p1", "stays").await;
        task(&root, "p2", "lost").await;
        let away = Audience::open(transport, &app, "ada", TASKS).await.cut().await;
        root.delete(&path("memberships", &membership)).await;
        task(&root, "p2", "secret").await;
        let ada = away.come_back(&app).await;
        assert!(!ada.recovered(), "{transport:?}");
        assert_eq!(ada.titles(), ["stays".to_owned()].into(), "{transport:?}");
    }
}

#[tokio::test]
async fn rights_that_are_lost_while_there_take_their_records_away_and_gained_ones_bring_theirs() {
    for transport in TRANSPORTS {
        let (app, root) = start(|_| {}).await;
        task(&root, "p1", "stays").await;
        task(&root, "p2", "comes").await;
        let mut ada = Audience::open(transport, &app, "ada", TASKS).await;
        let membership = join(&root, "ada", "p2").await;
        ada.shows(&["stays", "comes"]).await;
        root.delete(&path("memberships", &membership)).await;
        task(&root, "p2", "secret").await;
        ada.shows(&["stays"]).await;
        ada.catch_up(app.head()).await;
        assert_eq!(ada.titles(), ["stays".to_owned()].into(), "{transport:?}");
    }
}

#[tokio::test]
async fn a_record_enters_and_leaves_a_live_query() {
    for transport in TRANSPORTS {
        let (app, root) = start(|_| {}).await;
        let mut ada = Audience::open(transport, &app, "ada", "entity:Task?status=open").await;
        let record = task(&root, "p1", "turns").await;
        ada.shows(&["turns"]).await;
        root.patch(&path("tasks", &record), json!({"status": "done"})).await;
        ada.shows(&[]).await;
        root.patch(&path("tasks", &record), json!({"status": "open"})).await;
        ada.shows(&["turns"]).await;
    }
}

#[tokio::test]
async fn one_subscription_too_many_is_refused_and_the_others_go_on() {
    for transport in TRANSPORTS {
        let (app, root) = start(|config| config.realtime.subscriptions = 1).await;
        let mut ada = Audience::open(transport, &app, "ada", TASKS).await;
        match ada.peer() {
            Some(peer) => {
                peer.say(json!({"type": "subscribe", "channel": "entity:Board"})).await;
                let error = loop {
                    let frame = peer.came().await.unwrap();
                    if frame["type"] == "error" {
                        break frame;
                    }
                };
                assert_eq!(error["payload"]["code"], "SUBSCRIPTION_LIMIT", "{transport:?}");
            }
            None => {
                let two = "/api/changes?channel=entity:Task&channel=entity:Board";
                let answer = app.client_as("ada").get(two).await;
                assert_eq!(answer["errors"][0]["code"], "SUBSCRIPTION_LIMIT", "{answer}");
                assert_eq!(answer["channels"].as_array().unwrap().len(), 1);
            }
        }
        task(&root, "p1", "one").await;
        ada.shows(&["one"]).await;
    }
}

#[tokio::test]
async fn a_channel_that_is_none_is_refused_in_the_same_words() {
    let table = [
        ("entity:Tsak", "UNKNOWN_ENTITY"),
        ("entity:Vault", "UNKNOWN_ENTITY"),
        ("entity:", "BAD_CHANNEL"),
        ("nonsense", "BAD_CHANNEL"),
        ("entity:Task?titel=x", "BAD_CHANNEL"),
    ];
    for transport in TRANSPORTS {
        let (app, _) = start(|_| {}).await;
        for (channel, code) in table {
            let mut ada = Audience::begin(transport, &app, "ada", channel).await;
            assert_eq!(ada.refusal().await, code, "{transport:?}: {channel}");
        }
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_for_a_while_misses_nothing() {
    for transport in TRANSPORTS {
        let (app, root) = start(|config| {
            config.realtime.outbox_batches = 2;
            config.realtime.ring_changes = 4;
        })
        .await;
        let mut ada = Audience::open(transport, &app, "ada", TASKS).await;
        let large = "x".repeat(20_000);
        let mut titles = Vec::new();
        for n in 0..120 {
            let title = format!("{n} {large}");
            task(&root, "p1", &title).await;
            titles.push(title);
        }
        ada.catch_up(app.head()).await;
        assert_eq!(ada.titles(), titles.into_iter().collect(), "{transport:?}");
    }
}

#[tokio::test]
async fn another_schema_is_announced_and_everything_shown_anew() {
    for transport in TRANSPORTS {
        let (app, root) = start(|_| {}).await;
        task(&root, "p2", "of p2").await;
        let mut ada = Audience::open(transport, &app, "ada", TASKS).await;
        assert!(ada.titles().is_empty());
        let open_to_all = ruled::FILES[2].1.replace("project in user.memberships.project", "user != null");
        app.reshape(ruled::schema_with(&[("task.toml", &open_to_all)])).await.unwrap();
        ada.shows(&["of p2"]).await;
    }
}

#[tokio::test]
async fn a_server_that_stops_says_so_to_those_who_are_connected() {
    for transport in TRANSPORTS {
        let (app, root) = start(|_| {}).await;
        task(&root, "p1", "one").await;
        let mut ada = Audience::open(transport, &app, "ada", TASKS).await;
        let Some(peer) = ada.peer() else {
            app.stop().await;
            continue;
        };
        let drained = async {
            while let Some(frame) = peer.came().await {
                if frame["type"] == "drain" {
                    return true;
                }
            }
            false
        };
        let stopped = async {
            if transport == Transport::Live(Way::LongPoll) {
                // Only a poll that waits can be told.
                app.wait_for_metric("tidewire_http_requests_in_flight", 1.0).await;
            }
            app.stop().await;
        };
        let (drained, ()) = tokio::join!(drained, stopped);
        assert!(drained, "{transport:?}");
    }
}

/// A mutation that came four times at once has one effect and one answer.
#[tokio::test]
async fn the_same_mutation_by_every_way_at_once_happens_once() {
    let app = TestApp::start().await;
    app.client_as("ada").get("/api/projects").await;
    let payload = json!({"op": "create", "entity": "Project", "data": {"name": "one"}, "mid": "0190f3a2-7b4c-7d5e-8f60-112233445566"});
    let mut peers = Vec::new();
    for way in WAYS.into_iter().chain(WAYS) {
        peers.push(Peer::open(way, &app, Some("ada")).await);
    }
    let ada = app.client_as("ada");
    let by_http = ada.call_with(
        "POST",
        "/api/projects",
        json!({"name": "one"}),
        &[("idempotency-key", "0190f3a2-7b4c-7d5e-8f60-112233445566")],
    );
    let by_peers = futures_util::future::join_all(peers.iter_mut().map(|peer| {
        let payload = payload.clone();
        async move {
            peer.say(json!({"type": "mutate", "requestId": "m", "payload": payload})).await;
            peer.expect("ack").await["payload"]["record"].clone()
        }
    }));
    let (by_http, by_peers) = tokio::join!(by_http, by_peers);
    assert_eq!(by_http.status, 201, "{}", by_http.text);
    for record in by_peers {
        assert_eq!(record, by_http.json, "the same answer");
    }
    assert_eq!(app.rows("projects").await.len(), 1, "one effect");
}
