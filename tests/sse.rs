//! `GET /sse`: channels as server-sent events, from the first event to the end, and back again by `Last-Event-ID`.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::support::account::{Account, open};
use crate::support::app::{Client, TestApp};
use crate::support::entities;
use crate::support::socket::{PATIENCE, Socket};
use crate::support::stream::EventSource;

async fn app() -> TestApp {
    TestApp::over(entities::schema(), |_| {}).await
}

async fn follow(client: &Client, query: &str) -> EventSource {
    EventSource::open(client.request("GET", &format!("/sse?{query}"))).await
}

/// As a browser comes back by itself.
async fn come_back(client: &Client, query: &str, id: &str) -> EventSource {
    let request = client.request("GET", &format!("/sse?{query}")).header("last-event-id", id);
    let mut stream = EventSource::open(request).await;
    stream.expect("welcome").await;
    stream
}

async fn task(app: &TestApp, title: &str) -> Value {
    app.client_as("ann").create("tasks", json!({"title": title})).await
}

#[tokio::test]
async fn a_stream_begins_with_welcome_then_a_snapshot_and_every_event() {
    let app = app().await;
    task(&app, "before").await;
    let mut stream = follow(&app.client(), "channel=entity:Task&snapshot=true").await;
    assert_eq!((stream.header("cache-control"), stream.header("x-accel-buffering")), ("no-store", "no"));
    let welcome = stream.expect("welcome").await;
    assert_eq!(
        (&welcome["payload"]["protocol"], &welcome["payload"]["heartbeat"]),
        (&json!(1), &json!(15_000))
    );
    assert!(!stream.last_event_id.is_empty() && !stream.last_event_id.contains(':'), "it names no position");
    let subscribed = stream.expect("subscribed").await;
    assert_eq!(
        (&subscribed["channel"], &subscribed["payload"]["recovered"]),
        (&json!("entity:Task"), &json!(false))
    );
    assert_eq!(stream.expect("snapshot").await["payload"]["rows"][0]["title"], "before");
    stream.expect("pong").await;
    let created = task(&app, "after").await;
    let event = stream.expect("entity:created").await;
    assert_eq!(
        (&event["payload"], &event["by"], &event["seq"]),
        (&created, &json!("ann"), &json!(app.head()))
    );
}

#[tokio::test]
async fn a_browser_that_comes_back_misses_nothing_and_gets_nothing_twice() {
    let app = app().await;
    let query = "channel=entity:Task&channel=entity:Project&snapshot=true";
    let mut stream = follow(&app.client(), query).await;
    task(&app, "one").await;
    stream.reach(app.head()).await;
    let id = stream.last_event_id.clone();
    drop(stream);
    task(&app, "two").await;
    app.client_as("ann").create("projects", json!({"name": "three"})).await;
    let mut stream = come_back(&app.client(), query, &id).await;
    let mut titles = Vec::new();
    let mut answers = Vec::new();
    while titles.len() < 2 || answers.len() < 2 {
        let event = stream.came().await.expect("the stream goes on");
        match event["type"].as_str().unwrap() {
            "subscribed" => answers.push(event["payload"]["recovered"].clone()),
            "entity:created" => {
                let payload = &event["payload"];
                titles.push(payload.get("title").or(payload.get("name")).unwrap().clone());
            }
            "pong" => {}
            other => panic!("{other}: {event}"),
        }
    }
    titles.sort_by_key(Value::to_string);
    assert_eq!((titles, answers), (vec![json!("three"), json!("two")], vec![json!(true), json!(true)]));
    stream.reach(app.head()).await;
}

#[tokio::test]
async fn a_browser_that_breaks_off_again_at_once_loses_nothing() {
    let app = app().await;
    let query = "channel=entity:Task";
    let mut stream = follow(&app.client(), query).await;
    stream.reach(app.head()).await;
    let position = stream.last_event_id.clone();
    drop(stream);
    task(&app, "missed").await;
    let mut stream = come_back(&app.client(), query, &position).await;
    stream.expect("subscribed").await;
    // What it would send had it broken off with the answer to its channel.
    let id = stream.ids[0].clone();
    assert_eq!(id, position, "`welcome` names it");
    drop(stream);
    let mut stream = come_back(&app.client(), query, &id).await;
    assert_eq!(stream.expect("subscribed").await["payload"]["recovered"], true);
    assert_eq!(stream.expect("entity:created").await["payload"]["title"], "missed");
}

#[tokio::test]
async fn a_channel_that_is_named_twice_or_beyond_the_limit_is_refused_and_the_others_resume() {
    let app = TestApp::over(entities::schema(), |config| config.realtime.subscriptions = 2).await;
    let query = "channel=entity:Task&channel=entity:Task&channel=entity:Project&channel=entity:User";
    let mut id = String::new();
    for recovered in [false, true] {
        let mut stream = come_back(&app.client(), query, &id).await;
        let mut told = Vec::new();
        while told.len() < 4 {
            let frame = stream.came().await.unwrap();
            let payload = &frame["payload"];
            match frame["type"].as_str().unwrap() {
                "subscribed" => told.push(format!("{} {}", frame["channel"], payload["recovered"])),
                "error" => told.push(format!("{} {}", frame["channel"], payload["code"])),
                _ => {}
            }
        }
        told.sort_unstable();
        let channel = |name: &str| format!("\"entity:{name}\" {recovered}");
        let refused = ["\"entity:Task\" \"BAD_CHANNEL\"", "\"entity:User\" \"SUBSCRIPTION_LIMIT\""];
        let mut expected = vec![channel("Task"), channel("Project"), refused[0].into(), refused[1].into()];
        expected.sort_unstable();
        assert_eq!(told, expected);
        task(&app, "one more").await;
        stream.reach(app.head()).await;
        id.clone_from(&stream.last_event_id);
    }
}

#[tokio::test]
async fn an_id_that_cannot_be_resumed_gets_a_snapshot_of_every_channel() {
    let app = app().await;
    let mut stream = follow(&app.client(), "channel=entity:Task").await;
    task(&app, "one").await;
    stream.reach(app.head()).await;
    let id = stream.last_event_id.clone();
    let (position, _) = id.rsplit_once(':').unwrap();
    let other_epoch = format!("{}{}", "f".repeat(32), &id[32..]);
    let beyond = id.replace(&format!(":{}:", app.head()), ":999:");
    let table = [format!("{position}:0123456789abcdef"), other_epoch, beyond];
    for id in &table {
        let mut stream = come_back(&app.client(), "channel=entity:Task", id).await;
        let subscribed = stream.expect("subscribed").await;
        assert_eq!(subscribed["payload"]["recovered"], false, "{id}");
        assert_eq!(stream.expect("snapshot").await["payload"]["rows"][0]["title"], "one", "{id}");
    }
    // Other channels than the id was for.
    let mut stream = come_back(&app.client(), "channel=entity:Task&channel=entity:Project", &id).await;
    for _ in 0..2 {
        let mut event = stream.came().await.unwrap();
        while event["type"] != "subscribed" {
            event = stream.came().await.unwrap();
        }
        assert_eq!(event["payload"]["recovered"], false);
    }
}

#[tokio::test]
async fn a_position_in_the_address_resumes_as_over_a_socket() {
    let app = app().await;
    let poll = app.client().get("/api/changes?channel=entity:Task").await;
    let (epoch, seq) = (poll["epoch"].as_str().unwrap(), &poll["seq"]);
    let view = poll["channels"][0]["view"].as_str().unwrap();
    task(&app, "one").await;
    let query = format!("channel=entity:Task&since={epoch}:{seq}&view={view}");
    let mut stream = follow(&app.client(), &query).await;
    stream.expect("welcome").await;
    assert_eq!(stream.expect("subscribed").await["payload"]["recovered"], true);
    assert_eq!(stream.expect("entity:created").await["payload"]["title"], "one");
}

#[tokio::test]
async fn the_first_records_come_in_their_order() {
    let app = app().await;
    for title in ["b", "c", "a"] {
        task(&app, title).await;
    }
    let mut stream = follow(&app.client(), "channel=entity:Task&snapshot=true&sort=title&limit=2").await;
    stream.expect("welcome").await;
    assert_eq!(stream.expect("subscribed").await["payload"]["limited"], true);
    let snapshot = stream.expect("snapshot").await;
    let rows = snapshot["payload"]["rows"].as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["title"].as_str().unwrap()).collect::<Vec<_>>(), ["a", "b"]);
}

#[tokio::test]
async fn a_refused_channel_is_an_event_and_the_others_go_on() {
    let app = app().await;
    let mut stream = follow(&app.client(), "channel=entity:Tsak&channel=entity:Task").await;
    stream.expect("welcome").await;
    let error = stream.expect("error").await;
    assert_eq!(
        (&error["channel"], &error["payload"]["code"]),
        (&json!("entity:Tsak"), &json!("UNKNOWN_ENTITY"))
    );
    stream.expect("subscribed").await;
    task(&app, "one").await;
    stream.expect("entity:created").await;
    stream.reach(app.head()).await;
}

#[tokio::test]
async fn an_address_that_says_nothing_clear_is_refused_with_a_status() {
    let app = app().await;
    let table = [
        ("channel=entity:Task&wait=3", 400, "BAD_QUERY", "`wait`"),
        ("channel=entity:Task&since=7", 400, "BAD_POSITION", "`since`"),
        ("channel=entity:Task&since=a:7", 400, "BAD_POSITION", "`since`"),
        ("channel=entity:Task&view=a&view=b", 400, "BAD_QUERY", "`view` is given 2 times"),
        ("channel=entity:Task&snapshot=yes", 400, "BAD_QUERY", "`snapshot`"),
        ("channel=entity:Task&snapshot=true&snapshot=true", 400, "BAD_QUERY", "snapshot"),
        ("channel=entity:Task&sort=title", 400, "BAD_QUERY", "`limit`"),
        ("channel=entity:Task&limit=0", 400, "BAD_QUERY", "`limit`"),
        ("channel=entity:Task&limit=1001", 400, "BAD_QUERY", "`limit`"),
        ("channel=entity:Task&limit=a", 400, "BAD_QUERY", "`limit`"),
        ("channel=entity:Task&token=tws_nonsense", 401, "UNAUTHENTICATED", "token"),
        ("channel=entity:Task&ticket=nonsense", 401, "UNAUTHENTICATED", "ticket"),
    ];
    for (query, status, code, words) in table {
        let answer = app.client().call("GET", &format!("/sse?{query}"), Value::Null).await;
        assert_eq!((answer.status, &answer.json["code"]), (status, &json!(code)), "{query}: {}", answer.text);
        assert!(answer.json["detail"].as_str().unwrap().contains(words), "{query}: {}", answer.text);
    }
    assert_eq!(app.connections(), 0);
}

#[tokio::test]
async fn every_way_to_bring_a_token_names_the_user_of_a_stream() {
    let app = TestApp::over(entities::schema(), open).await;
    let ann = Account::register(&app, "ann").await;
    let ticket =
        ann.call("POST", "/api/auth/ticket", Value::Null).await.json["ticket"].as_str().unwrap().to_owned();
    let address = |rest: &str| format!("/sse?channel=entity:Task{rest}");
    let requests = [
        app.client().request("GET", &address("")).header("authorization", ann.bearer()),
        app.client().request("GET", &address(&format!("&token={}", ann.token))),
        app.client().request("GET", &address(&format!("&ticket={ticket}"))),
    ];
    for request in requests {
        let mut stream = EventSource::open(request).await;
        assert_eq!(stream.expect("welcome").await["payload"]["userId"], ann.id.as_str());
    }
}

/// A browser comes back to the same address, ticket included, and sends the last id that it was named.
#[tokio::test]
async fn a_ticket_opens_its_stream_again_with_an_id_of_that_stream_and_by_nothing_else() {
    let app = TestApp::over(entities::schema(), open).await;
    let ann = Account::register(&app, "ann").await;
    let new_ticket = async || {
        let made = ann.call("POST", "/api/auth/ticket", Value::Null).await;
        made.json["ticket"].as_str().unwrap_or_else(|| panic!("{}", made.text)).to_owned()
    };
    let query = |ticket: &str| format!("channel=entity:Task&ticket={ticket}");
    let ticket = new_ticket().await;
    let mut stream = follow(&app.client(), &query(&ticket)).await;
    stream.expect("welcome").await;
    let id_of_welcome = stream.last_event_id.clone();
    stream.expect("subscribed").await;
    stream.reach(app.head()).await;
    let id = stream.last_event_id.clone();
    drop(stream);
    ann.call("POST", "/api/tasks", json!({"title": "missed"})).await;
    // As often as the line breaks, and however much later.
    for _ in 0..2 {
        let mut stream = come_back(&app.client(), &query(&ticket), &id).await;
        let subscribed = stream.expect("subscribed").await;
        assert_eq!(subscribed["payload"]["recovered"], true, "{subscribed}");
        assert_eq!(stream.expect("entity:created").await["payload"]["title"], "missed");
    }
    let mut stream = EventSource::open(
        app.client()
            .request("GET", &format!("/sse?{}", query(&ticket)))
            .header("last-event-id", &id_of_welcome),
    )
    .await;
    assert_eq!(stream.expect("welcome").await["payload"]["userId"], ann.id.as_str(), "it names the session");
    // What somebody has who read the address in a log: no id, one of a stream of their own, or a guess.
    let other = new_ticket().await;
    let mut others = follow(&app.client(), &query(&other)).await;
    others.expect("welcome").await;
    others.reach(app.head()).await;
    let without_mark = id.split('~').next().unwrap().to_owned();
    for wrong in ["", &others.last_event_id, &without_mark, &format!("{without_mark}~guess")] {
        let request = app.client().request("GET", &format!("/sse?{}", query(&ticket)));
        let answer = app.client().send(request.header("last-event-id", wrong)).await;
        assert_eq!((answer.status, &answer.json["code"]), (401, &json!("UNAUTHENTICATED")), "{wrong}");
        assert!(answer.json["detail"].as_str().unwrap().contains("ticket"), "{}", answer.text);
    }
    // It opens no socket and answers no request, with an id or without.
    let request = app.client().request("GET", &format!("/api/tasks?ticket={ticket}"));
    assert_eq!(app.client().send(request.header("last-event-id", &id)).await.status, 401);
    // A ticket whose stream is logged out is worth nothing.
    ann.call("POST", "/api/auth/logout", Value::Null).await;
    let request = app.client().request("GET", &format!("/sse?{}", query(&ticket)));
    assert_eq!(app.client().send(request.header("last-event-id", &id)).await.status, 401);
}

#[tokio::test]
async fn a_logout_ends_a_stream_with_the_reason() {
    let app = TestApp::over(entities::schema(), open).await;
    let ann = Account::register(&app, "ann").await;
    let request =
        app.client().request("GET", "/sse?channel=entity:Task").header("authorization", ann.bearer());
    let mut stream = EventSource::open(request).await;
    stream.expect("welcome").await;
    stream.expect("subscribed").await;
    ann.call("POST", "/api/auth/logout", Value::Null).await;
    assert_eq!(stream.expect("error").await["payload"]["code"], "UNAUTHENTICATED");
    assert_eq!(stream.came().await, None);
    let request =
        app.client().request("GET", "/sse?channel=entity:Task").header("authorization", ann.bearer());
    assert_eq!(request.send().await.unwrap().status(), 401, "a browser stops then");
}

#[tokio::test]
async fn a_stream_has_a_place_among_the_connections_and_gives_it_back() {
    let app = TestApp::over(entities::schema(), |config| config.realtime.connections = 1).await;
    let mut first = follow(&app.client(), "channel=entity:Task").await;
    first.expect("welcome").await;
    let mut second = follow(&app.client(), "channel=entity:Task").await;
    assert_eq!(second.expect("error").await["payload"]["code"], "CONNECTION_LIMIT");
    assert_eq!(second.came().await, None);
    drop(first);
    app.wait_for_metric("tidewire_sessions{transport=\"ws\"}", 0.0).await;
    let mut third = follow(&app.client(), "channel=entity:Task").await;
    third.expect("welcome").await;
    assert_eq!(app.client().call("GET", "/api/tasks", Value::Null).await.status, 200);
}

#[tokio::test]
async fn a_server_that_stops_says_when_to_come_back_and_a_restart_is_resumed() {
    let app = app().await;
    let mut stream = follow(&app.client(), "channel=entity:Task").await;
    task(&app, "one").await;
    stream.reach(app.head()).await;
    let id = stream.last_event_id.clone();
    while stream.came().await.is_some_and(|event| event["type"] != "entity:created") {}
    let stopped = app.stop();
    let drain = stream.expect("drain").await;
    assert_eq!(stream.retry, drain["payload"]["reconnectInMs"].as_u64());
    assert_eq!(stream.came().await, None);
    stopped.await;
    let TestApp { folder, .. } = app;
    let app = TestApp::again(folder, entities::schema(), |_| {}).await;
    task(&app, "two").await;
    let mut stream = come_back(&app.client(), "channel=entity:Task", &id).await;
    assert_eq!(stream.expect("subscribed").await["payload"]["recovered"], true);
    assert_eq!(stream.expect("entity:created").await["payload"]["title"], "two");
}

#[tokio::test]
async fn a_quiet_stream_gets_comments_and_its_position_and_needs_to_say_nothing() {
    let app = TestApp::over(entities::schema(), |config| {
        config.realtime.stream_heartbeat = Duration::from_millis(100);
        config.realtime.pong_timeout = Duration::from_millis(100);
    });
    let app = app.await;
    let mut stream = follow(&app.client(), "channel=entity:Task").await;
    stream.expect("welcome").await;
    stream.expect("subscribed").await;
    // A socket that is as silent as this is closed after the second or third.
    for _ in 0..10 {
        stream.beat().await;
    }
    let pong = stream.expect("pong").await;
    assert_eq!(pong["payload"]["seq"], app.head());
}

#[tokio::test]
async fn a_stream_and_a_socket_are_shown_the_same() {
    let app = app().await;
    let mut socket = Socket::open(app.address).await;
    let mut stream = follow(&app.client(), "channel=entity:Task%3Fstatus%3Dopen").await;
    socket.subscribe("entity:Task?status=open", json!({})).await;
    stream.expect("welcome").await;
    stream.expect("subscribed").await;
    let path = format!("/api/tasks/{}", task(&app, "one").await["id"].as_str().unwrap());
    let ann = app.client_as("ann");
    ann.patch(&path, json!({"title": "two"})).await;
    ann.patch(&path, json!({"status": "done"})).await;
    for kind in ["entity:created", "entity:updated", "entity:deleted"] {
        let (mut by_stream, mut by_socket) = (stream.expect(kind).await, socket.expect(kind).await);
        for event in [&mut by_stream, &mut by_socket] {
            // Each begins with its own position.
            event.as_object_mut().unwrap().remove("prev");
        }
        assert_eq!(by_stream, by_socket);
    }
}

#[tokio::test]
async fn curl_shows_the_events_as_they_come() {
    let app = app().await;
    let url = format!("http://{}/sse?channel=entity:Task", app.address);
    let mut curl =
        Command::new("curl").args(["-sN", &url]).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines();
    let mut line_with = async |part: &str| {
        let reading = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains(part) {
                    return line;
                }
            }
            panic!("curl ended");
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("the line comes")
    };
    assert!(line_with("id: ").await.len() > 4);
    line_with("event: welcome").await;
    line_with("event: subscribed").await;
    task(&app, "seen by curl").await;
    line_with("event: entity:created").await;
    assert!(line_with("data: ").await.contains("seen by curl"));
    line_with(&format!(":{}:", app.head())).await;
}
