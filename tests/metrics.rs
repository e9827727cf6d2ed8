//! `GET /metrics`: what is counted, by how much, under which names; and what never is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tidewire::http::ROUTES;
use tidewire::protocol::{CloseCode, Code, reason};

use crate::support::app::TestApp;
use crate::support::exposition::Exposition;
use crate::support::follower::Follower;
use crate::support::socket::{Came, Socket};

/// How much a series grew between two readings.
fn growth(before: &Exposition, after: &Exposition, series: &str) -> f64 {
    after.value(series) - before.value(series)
}

#[tokio::test]
async fn every_series_is_there_before_its_first_event() {
    let app = TestApp::start().await;
    let now = app.metrics().await;
    for code in Code::ALL {
        for transport in ["http", "ws", "poll", "sse"] {
            let code = code.as_str();
            let series = format!("tidewire_errors_total{{transport=\"{transport}\",code=\"{code}\"}}");
            assert_eq!(now.value(&series), 0.0, "{series}");
        }
    }
    for code in CloseCode::ALL {
        assert_eq!(now.value(&format!("tidewire_closes_total{{code=\"{}\"}}", code.number())), 0.0);
    }
    for word in reason::ALL {
        assert_eq!(now.value(&format!("tidewire_snapshots_total{{reason=\"{word}\"}}")), 0.0);
    }
    for (route, methods) in ROUTES {
        for method in methods.iter().chain(&["other"]) {
            for class in ["1xx", "2xx", "3xx", "4xx", "5xx"] {
                now.value(&format!(
                    "tidewire_http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{class}\"}}"
                ));
            }
        }
    }
    assert_eq!(now.sum("tidewire_http_requests_total"), 0.0, "the first request is this one");
    let later = app.metrics().await;
    let series = |reading: &Exposition| -> BTreeSet<String> {
        let samples = reading.0.values().flat_map(|family| &family.samples);
        samples.map(|sample| format!("{} {:?}", sample.name, sample.labels)).collect()
    };
    assert_eq!(series(&now), series(&later));
    assert_eq!(later.sum("tidewire_http_requests_total"), 1.0);
}

#[tokio::test]
async fn the_reading_asks_for_no_identity_but_for_the_right_host() {
    let app = TestApp::start().await;
    let api = app.client();
    let answer = api.call_with("GET", "/metrics", Value::Null, &[("Authorization", "Bearer x")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-store");
    Exposition::parse(&answer.text);
    let foreign = api.call_with("GET", "/metrics", Value::Null, &[("Host", "evil.example")]).await;
    assert_eq!((foreign.status, &foreign.json["code"]), (403, &json!("FORBIDDEN_HOST")));
    let named = api.call("GET", "/metrics?as=nobody", Value::Null).await;
    assert_eq!(named.status, 200);
    assert!(app.rows("users").await.is_empty(), "a scraper is nobody");
}

#[tokio::test]
async fn creates_are_requests_commits_units_and_changes() {
    let app = TestApp::start().await;
    let api = app.client();
    let before = app.metrics().await;
    for n in 0..7 {
        api.create("tasks", json!({"title": format!("{n}")})).await;
    }
    let key = [("Idempotency-Key", "k")];
    for _ in 0..3 {
        api.call_with("POST", "/api/tasks", json!({"title": "once"}), &key).await;
    }
    let bad = api.call("POST", "/api/tasks", json!({})).await;
    assert_eq!(bad.status, 422);
    api.call("HEAD", "/api/tasks", Value::Null).await;
    api.call("TRACE", "/api/tasks", Value::Null).await;
    api.call("GET", "/nowhere/at/all", Value::Null).await;
    let after = app.metrics().await;
    let grew = |series: &str| growth(&before, &after, series);
    let posts = |class: &str| {
        grew(&format!(
            "tidewire_http_requests_total{{route=\"/api/{{plural}}\",method=\"POST\",status=\"{class}\"}}"
        ))
    };
    assert_eq!((posts("2xx"), posts("4xx"), posts("5xx")), (10.0, 1.0, 0.0));
    let others = |route: &str, method: &str, class: &str| {
        grew(&format!(
            "tidewire_http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{class}\"}}"
        ))
    };
    assert_eq!(others("/api/{plural}", "GET", "2xx"), 1.0, "HEAD is answered by what answers GET");
    assert_eq!(others("/api/{plural}", "other", "4xx"), 1.0);
    assert_eq!(others("other", "other", "4xx"), 1.0);
    assert_eq!(
        grew("tidewire_http_request_duration_seconds_count{route=\"/api/{plural}\",method=\"POST\"}"),
        11.0
    );
    assert_eq!(grew("tidewire_commits_total{result=\"committed\"}"), 10.0, "one after the other");
    assert_eq!(grew("tidewire_commits_total{result=\"failed\"}"), 0.0);
    assert_eq!((grew("tidewire_commit_units_count"), grew("tidewire_commit_units_sum")), (10.0, 10.0));
    assert_eq!(grew("tidewire_commit_changes_sum"), 8.0, "two of the three retries changed nothing");
    assert_eq!(grew("tidewire_commit_duration_seconds_count"), 10.0);
    assert_eq!(grew("tidewire_replayed_writes_total"), 2.0);
    assert_eq!(grew("tidewire_log_head"), 8.0);
    assert_eq!(after.value("tidewire_log_head"), app.head() as f64);
    assert_eq!(after.value("tidewire_committer_queue"), 0.0);
    assert_eq!(after.value("tidewire_http_requests_in_flight"), 1.0, "the one that asks");
    assert_eq!(grew("tidewire_errors_total{transport=\"http\",code=\"VALIDATION_FAILED\"}"), 1.0);
}

#[tokio::test]
async fn sockets_subscriptions_and_deliveries_are_counted_while_they_last() {
    let app = TestApp::start().await;
    let api = app.client();
    let mut first = Socket::open(app.address).await;
    let mut second = Socket::open_at(app.address, "/ws?as=ann").await;
    second.expect("connected").await;
    first.subscribe("entity:Task", json!({})).await;
    second.subscribe("entity:Task", json!({})).await;
    second.subscribe("entity:User", json!({})).await;
    for n in 0..3 {
        api.create("tasks", json!({"title": format!("{n}")})).await;
        first.expect("entity:created").await;
        second.expect("entity:created").await;
    }
    // Counted when the whole batch is handed out.
    app.wait_for_metric("tidewire_fan_out_position", app.head() as f64).await;
    let now = app.metrics().await;
    assert_eq!(now.value("tidewire_sessions{transport=\"ws\"}"), 2.0);
    assert_eq!(now.value("tidewire_sessions_opened_total{transport=\"ws\"}"), 2.0);
    assert_eq!(now.value("tidewire_users"), 1.0);
    assert_eq!(now.value("tidewire_subscriptions"), 3.0);
    assert_eq!(now.value("tidewire_groups"), 2.0);
    assert_eq!(now.value("tidewire_events_total"), 3.0);
    assert_eq!(now.value("tidewire_deliveries_total"), 6.0);
    assert_eq!(now.value("tidewire_fan_out_position"), app.head() as f64);
    assert!(now.value("tidewire_ring_changes") >= 3.0 && now.value("tidewire_ring_bytes") > 0.0);
    let stats = app.client_as("ann:admin").get("/api/admin/websocket/stats").await;
    for (key, series) in [
        ("connections", "tidewire_sessions{transport=\"ws\"}"),
        ("opened", "tidewire_sessions_opened_total{transport=\"ws\"}"),
        ("users", "tidewire_users"),
        ("groups", "tidewire_groups"),
        ("events", "tidewire_events_total"),
        ("deliveries", "tidewire_deliveries_total"),
        ("lags", "tidewire_outbox_lags_total"),
        ("position", "tidewire_fan_out_position"),
    ] {
        assert_eq!(stats[key].as_f64(), Some(now.value(series)), "{key} and {series} are one number");
    }
    second.send(&json!({"type": "unsubscribe", "channel": "entity:User"})).await;
    second.expect("unsubscribed").await;
    assert_eq!(app.metrics().await.value("tidewire_subscriptions"), 2.0);
    first.cut();
    app.wait_for_metric("tidewire_closes_total{code=\"peer\"}", 1.0).await;
    app.wait_for_metric("tidewire_subscriptions", 1.0).await;
    app.wait_for_metric("tidewire_sessions{transport=\"ws\"}", 1.0).await;
}

#[tokio::test]
async fn errors_are_counted_by_code_and_by_the_way_they_were_told() {
    let app = TestApp::start().await;
    let api = app.client();
    let before = app.metrics().await;
    api.call("GET", "/api/tasks/nope", Value::Null).await;
    api.call("GET", "/api/tasks?limit=0", Value::Null).await;
    api.call("GET", "/api/tasks?limit=0&token=x", Value::Null).await;
    let mut socket = Socket::open(app.address).await;
    for frame in ["no json", "{\"type\":\"dance\"}", "{\"type\":\"subscribe\",\"channel\":\"entity:Nope\"}"] {
        socket.send_text(frame).await;
        socket.expect("error").await;
    }
    api.get("/api/changes?channel=entity:Nope").await;
    let mut refused = Socket::open_at(app.address, "/ws?token=x").await;
    refused.expect("error").await;
    assert_eq!(refused.closed().await, Some(4401));
    app.wait_for_metric("tidewire_closes_total{code=\"4401\"}", 1.0).await;
    let after = app.metrics().await;
    let mut grown = BTreeMap::new();
    for sample in &after.0["tidewire_errors"].samples {
        let labels = format!("{}/{}", sample.labels["transport"], sample.labels["code"]);
        let series = format!(
            "tidewire_errors_total{{transport=\"{}\",code=\"{}\"}}",
            sample.labels["transport"], sample.labels["code"]
        );
        let count = growth(&before, &after, &series);
        if count > 0.0 {
            grown.insert(labels, count as u64);
        }
    }
    let expected = [
        ("http/BAD_QUERY", 1),
        ("http/NOT_FOUND", 1),
        ("http/UNAUTHENTICATED", 1),
        ("poll/UNKNOWN_ENTITY", 1),
        ("ws/BAD_FRAME", 1),
        ("ws/UNAUTHENTICATED", 1),
        ("ws/UNKNOWN_ENTITY", 1),
        ("ws/UNKNOWN_MESSAGE_TYPE", 1),
    ];
    assert_eq!(grown, expected.map(|(labels, count)| (labels.to_owned(), count)).into());
    assert_eq!(growth(&before, &after, "tidewire_connections_refused_total{reason=\"identity\"}"), 1.0);
}

#[tokio::test]
async fn refused_connections_are_counted_by_the_limit_that_was_reached() {
    let app = TestApp::with(|config| {
        config.realtime.connections = 2;
        config.realtime.connections_per_user = 1;
    })
    .await;
    let mut ann = Socket::open_at(app.address, "/ws?as=ann").await;
    ann.expect("connected").await;
    let mut again = Socket::open_at(app.address, "/ws?as=ann").await;
    assert_eq!(again.closed().await, Some(4020));
    let _second = Socket::open(app.address).await;
    let mut third = Socket::open_at(app.address, "/ws").await;
    assert_eq!(third.closed().await, Some(4020));
    let now = app.metrics().await;
    assert_eq!(now.value("tidewire_connections_refused_total{reason=\"user\"}"), 1.0);
    assert_eq!(now.value("tidewire_connections_refused_total{reason=\"sockets\"}"), 1.0);
    assert_eq!(now.value("tidewire_closes_total{code=\"4020\"}"), 2.0);
    assert_eq!(app.client_as("ann:admin").get("/api/admin/websocket/stats").await["refused"], 2);
}

#[tokio::test]
async fn a_reader_that_falls_behind_is_seen_to_lag_to_catch_up_and_to_be_resynced() {
    let app = TestApp::with(|config| {
        config.realtime.outbox_batches = 4;
        config.realtime.ring_changes = 1;
        config.realtime.write_timeout = std::time::Duration::from_secs(60);
        config.store.retention_changes = 20;
    })
    .await;
    let api = app.client();
    let mut stalled = Socket::try_open(app.address, "/ws", &[], Some(4096)).await.unwrap();
    let mut view = Follower::new("entity:Task");
    stalled.send(&view.subscribe()).await;
    take_until_live(&mut stalled, &mut view).await;
    let large = "x".repeat(60_000);
    // More than the kernel holds back for a stalled socket, so that its task is in a write and the outbox is full.
    for _ in 0..300 {
        api.create("tasks", json!({"title": "x", "tags": [large]})).await;
    }
    app.wait_for_metric("tidewire_fan_out_position", app.head() as f64).await;
    let behind = app.metrics().await;
    assert_eq!(behind.value("tidewire_lagging_connections"), 1.0);
    assert!(behind.value("tidewire_outbox_lags_total") >= 1.0);
    assert!(behind.value("tidewire_log_floor") > 0.0);
    let head = app.head();
    while view.position < head || !view.live {
        take(&mut stalled, &mut view).await;
    }
    app.wait_for_metric("tidewire_lagging_connections", 0.0).await;
    app.wait_for_metric("tidewire_catching_up_connections", 0.0).await;
    let after = app.metrics().await;
    assert!(after.value("tidewire_attachments_voided_total") >= after.value("tidewire_outbox_lags_total"));
    assert_eq!(after.sum("tidewire_resyncs_total"), view.counts.resyncs as f64);
    assert!(after.value("tidewire_resyncs_total{reason=\"below_floor\"}") >= 1.0);
    assert_eq!(after.value("tidewire_snapshots_total{reason=\"asked\"}"), 1.0);
    assert_eq!((after.value("tidewire_outbox_batches"), after.value("tidewire_outbox_bytes")), (0.0, 0.0));

    let mut resumed = Socket::open(app.address).await;
    resumed.send(&view.subscribe()).await;
    resumed.expect("subscribed").await;
    let polled = api.get(&format!("/api/changes?channel=entity:Task&since={}:{head}", view.epoch)).await;
    assert_eq!(polled["channels"][0]["recovered"], true);
    let after = app.metrics().await;
    assert_eq!(after.value("tidewire_catch_ups_total{cause=\"resume\"}"), 1.0);
    assert_eq!(after.value("tidewire_catch_ups_total{cause=\"poll\"}"), 1.0);
}

#[tokio::test]
async fn a_poll_is_a_session_while_it_waits_and_its_waking_is_no_lag() {
    let app = TestApp::start().await;
    let api = app.client();
    let start = api.get("/api/changes?channel=entity:Task").await;
    let since = format!("{}:{}", start["epoch"].as_str().unwrap(), start["seq"]);
    let waiting = tokio::spawn({
        let api = api.clone();
        async move { api.get(&format!("/api/changes?channel=entity:Task&since={since}&wait=25")).await }
    });
    app.wait_for_metric("tidewire_sessions{transport=\"poll\"}", 1.0).await;
    app.wait_for_groups(1).await;
    api.create("tasks", json!({"title": "x"})).await;
    assert_eq!(waiting.await.unwrap()["events"].as_array().unwrap().len(), 1);
    app.wait_for_metric("tidewire_sessions{transport=\"poll\"}", 0.0).await;
    let now = app.metrics().await;
    assert_eq!(now.value("tidewire_outbox_lags_total"), 0.0);
    assert_eq!(now.value("tidewire_sessions_opened_total{transport=\"poll\"}"), 2.0);
}

#[tokio::test]
async fn what_a_full_queue_turns_away_is_counted_and_the_rest_is_committed() {
    let app = TestApp::with(|config| config.store.queue = 1).await;
    let api = app.client();
    let creates = (0..60).map(|n| {
        let api = api.clone();
        async move { api.call("POST", "/api/tasks", json!({"title": format!("{n}")})).await.status }
    });
    let statuses = futures_util::future::join_all(creates).await;
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count() as f64;
    assert_eq!(count(201) + count(503), 60.0);
    let now = app.metrics().await;
    assert_eq!(now.value("tidewire_overloads_total{bound=\"committer\"}"), count(503));
    assert_eq!(now.value("tidewire_errors_total{transport=\"http\",code=\"OVERLOADED\"}"), count(503));
    assert_eq!(now.value("tidewire_commit_units_sum"), count(201));
    assert_eq!(
        now.value("tidewire_commit_units_count"),
        now.value("tidewire_commits_total{result=\"committed\"}")
    );
    assert_eq!(now.value("tidewire_committer_queue"), 0.0);
}

/// Where strangers may write into what the server counts.
const MARK: &str = "zzhostilezz";

#[tokio::test]
async fn nothing_that_a_stranger_writes_reaches_the_text() {
    let app = TestApp::start().await;
    let evil = app.client_as(&format!("{MARK}%22%7D%20%0A1"));
    let plain = app.client();
    for path in [
        format!("/{MARK}"),
        format!("/api/{MARK}"),
        format!("/api/{MARK}%0Atidewire_evil_total%201"),
        format!("/api/tasks/{MARK}"),
        format!("/api/users/{MARK}"),
        format!("/static/{MARK}"),
        format!("/_/e/{MARK}"),
        format!("/api/tasks?{MARK}={MARK}"),
        format!("/api/changes?channel=entity:{MARK}"),
    ] {
        plain.call("GET", &path, Value::Null).await;
        evil.call("DELETE", &path, Value::Null).await;
        plain.call(MARK, &path, Value::Null).await;
        plain.call_with("GET", &path, Value::Null, &[("X-Request-Id", MARK)]).await;
        plain.call_with("GET", &path, Value::Null, &[("Host", MARK)]).await;
    }
    let named = plain.create("users", json!({"id": MARK, "name": MARK})).await;
    assert_eq!(named["id"], MARK);
    let mut socket = Socket::open_at(app.address, &format!("/ws?as={MARK}")).await;
    socket.expect("connected").await;
    socket.subscribe(&format!("entity:User:{MARK}"), json!({})).await;
    socket.send(&json!({"type": MARK, "channel": MARK, "requestId": MARK})).await;
    socket.expect("error").await;
    let text = plain.call("GET", "/metrics", Value::Null).await.text;
    Exposition::parse(&text);
    assert!(!text.contains(MARK) && !text.contains("tidewire_evil"), "{text}");
    assert!(!text.contains("127.0.0.1"), "no address either");
}

#[tokio::test]
async fn two_servers_in_one_process_count_apart() {
    let (one, other) = (TestApp::start().await, TestApp::start().await);
    one.client().create("tasks", json!({"title": "x"})).await;
    assert_eq!(one.metrics().await.value("tidewire_commits_total{result=\"committed\"}"), 1.0);
    assert_eq!(other.metrics().await.value("tidewire_commits_total{result=\"committed\"}"), 0.0);
}

#[test]
fn every_route_of_the_sources_is_counted_under_its_template() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("runtime/http");
    let mut found = BTreeSet::new();
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.is_file()) {
        let text = fs::read_to_string(path).unwrap();
        for piece in text.split(".route(").skip(1) {
            let template = piece.trim_start().strip_prefix('"').expect("a route's template is a literal");
            found.insert(template.split('"').next().unwrap().to_owned());
        }
    }
    let counted: BTreeSet<String> = ROUTES.iter().map(|(route, _)| (*route).to_owned()).collect();
    assert!(counted.len() > 5);
    assert_eq!(found, counted, "ROUTES in runtime/http/metrics.rs is not what the router has");
}

/// Cells of the rows of a Markdown table whose first cell starts with `first`.
fn rows<'a>(text: &'a str, first: &str) -> Vec<Vec<&'a str>> {
    let cells = |line: &'a str| line.trim_matches('|').split(" | ").map(str::trim).collect();
    text.lines().filter(|line| line.starts_with(&format!("| {first}"))).map(cells).collect()
}

#[tokio::test]
async fn every_metric_is_documented_and_every_documented_metric_exists() {
    let document = include_str!("../docs/metrics.md");
    let now = TestApp::start().await.metrics().await;
    let mut documented = BTreeMap::new();
    for row in rows(document, "`") {
        let [name, kind, labels, meaning] = row[..] else { panic!("{row:?} has not four cells") };
        assert!(meaning.len() > 10, "{name} has no meaning");
        let labels: BTreeSet<&str> = labels.split(", ").map(|label| label.trim_matches('`')).collect();
        documented.insert(name.trim_matches('`').to_owned(), (kind.to_owned(), labels));
    }
    let there: BTreeSet<String> = now.names();
    assert_eq!(documented.keys().cloned().collect::<BTreeSet<_>>(), there);
    for (name, (kind, labels)) in &documented {
        let family = &now.0[name.strip_suffix("_total").unwrap_or(name)];
        assert_eq!(*kind, family.kind, "{name}");
        for sample in &family.samples {
            let given = sample.labels.keys().map(String::as_str).filter(|label| *label != "le");
            assert_eq!(
                given.collect::<BTreeSet<_>>(),
                labels.iter().copied().filter(|l| !l.is_empty()).collect()
            );
        }
    }
}

#[tokio::test]
async fn every_bound_names_a_metric_that_exists() {
    let document = include_str!("../docs/operations.md");
    let there = TestApp::start().await.metrics().await;
    let limits = document.split("## Limits").nth(1).unwrap().split("\n## ").next().unwrap();
    let table: Vec<_> = limits.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(table.len() > 30, "the table of bounds has {} rows", table.len());
    for line in table {
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [bound, _, _, metrics] = cells[..] else { panic!("four cells: {line}") };
        let named: Vec<&str> = metrics.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "the bound \"{bound}\" names no metric");
        for series in named {
            if series.contains('{') {
                // Labels that are left out stand for each of their words.
                let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap();
                let wanted: BTreeMap<&str, &str> =
                    labels.split(',').map(|label| label.split_once('=').unwrap()).collect();
                let fits = |sample: &&crate::support::exposition::Sample| {
                    sample.name == name
                        && wanted.iter().all(|(key, value)| {
                            sample.labels.get(*key).is_some_and(|found| found == value.trim_matches('"'))
                        })
                };
                let mut samples = there.0.values().flat_map(|family| &family.samples);
                assert!(samples.any(|sample| fits(&sample)), "{bound}: there is no {series}");
            } else {
                assert!(there.names().contains(series), "{bound}: there is no {series}");
            }
        }
    }
}

async fn take(socket: &mut Socket, follower: &mut Follower) {
    match socket.came().await {
        Came::Frame(frame) => follower.take(&frame),
        Came::Closed(code) => panic!("closed with {code:?}"),
    }
}

async fn take_until_live(socket: &mut Socket, follower: &mut Follower) {
    while !follower.live {
        take(socket, follower).await;
    }
}
