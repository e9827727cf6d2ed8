//! The server itself: its caps and time limits, its end, and what it says when it is the one at fault.

mod descriptors;
mod early_answers;
mod pauses;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tidewire::auth::NameTrust;
use tidewire::channels::{ChannelManager, Ring};
use tidewire::config::Config;
use tidewire::env::Env;
use tidewire::event_bus::EventBus;
use tidewire::http::guard::Hosts;
use tidewire::http::lingering::Unread;
use tidewire::http::timed_stream::TimedStream;
use tidewire::http::{AppState, Proxies, ROUTES, RateLimits, Services, router, server};
use tidewire::identity::{Identities, LoadedTokens};
use tidewire::ids::{Seq, Timestamp};
use tidewire::metrics::Metrics;
use tidewire::realtime::{LiveReader, Sessions, Surroundings, WebSocketManager};
use tidewire::schema::{Generation, Schema};
use tidewire::store::CommitError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::support::app::{Client, TestApp};
use crate::support::entities;
use crate::support::fixtures::epoch;
use crate::support::puppet::Puppet;
use crate::support::socket::PATIENCE;
use crate::support::vault::MemoryVault;

/// Everything that comes until the server closes.
async fn rest_of(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset instead of an orderly end is an end as well.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_connection_beyond_the_limit_gets_an_error() {
    let app = TestApp::with(|config| {
        config.realtime.connections = 0;
        config.http.connections = 2;
    })
    .await;
    let first = TcpStream::connect(app.address).await.unwrap();
    let _second = TcpStream::connect(app.address).await.unwrap();
    let answer = rest_of(&mut TcpStream::connect(app.address).await.unwrap()).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("CONNECTION_LIMIT"), "{answer}");
    assert!(answer.contains("Retry-After: 1"), "{answer}");

    drop(first);
    assert_eq!(healthy_again(&app).await, 200);
    let refused = app.counted().value("tidewire_connections_refused_total{reason=\"places\"}");
    assert!(refused >= 1.0);
}

#[tokio::test]
async fn a_head_that_does_not_come_or_does_not_end_closes_the_connection() {
    let app = TestApp::with(|config| config.http.header_timeout = Duration::from_millis(50)).await;
    let mut silent = TcpStream::connect(app.address).await.unwrap();
    let mut slow = TcpStream::connect(app.address).await.unwrap();
    slow.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n").await.unwrap();
    for stream in [&mut silent, &mut slow] {
        assert!(!rest_of(stream).await.contains("200"), "nothing was asked for");
    }
    let mut large = TcpStream::connect(app.address).await.unwrap();
    let head = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(64 << 10));
    let _ = large.write_all(head.as_bytes()).await;
    assert!(!rest_of(&mut large).await.contains("healthy"), "a head over the limit is not answered");
}

#[tokio::test]
async fn a_body_that_does_not_end_is_refused() {
    let app = TestApp::with(|config| config.http.body_timeout = Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    stream.write_all(head_of_create(app.address, 100).as_bytes()).await.unwrap();
    let answer = rest_of(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("did not arrive"), "{answer}");
}

#[tokio::test]
async fn a_client_that_never_reads_its_answer_loses_its_place() {
    let app = TestApp::with(|config| {
        config.http.write_timeout = Duration::from_millis(100);
        config.realtime.connections = 0;
        config.http.connections = 2;
    })
    .await;
    let api = app.client();
    let large = "x".repeat(500_000);
    for n in 0..12 {
        api.create("tasks", json!({"title": format!("{n}"), "tags": [large]})).await;
    }
    // More than the kernel holds back for both ends.
    let ask = format!("GET /api/tasks HTTP/1.1\r\nHost: {}\r\n\r\n", app.address);
    let mut deaf = quiet(app.address).await;
    deaf.write_all(ask.as_bytes()).await.unwrap();
    app.wait_for_metric("tidewire_http_connections_ended_total{reason=\"write_late\"}", 1.0).await;
    assert_eq!(healthy_again(&app).await, 200, "the place is free, although the client holds its end");
    drop(deaf);
}

/// The status of the first answer to a new client.
async fn healthy_again(app: &TestApp) -> u16 {
    let comes_in = async {
        loop {
            if let Ok((status, _)) =
                Client::new(app.address).try_any("GET", "/health", &Value::Null, &[]).await
            {
                return status;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, comes_in).await.expect("a place that was given back is taken again")
}

/// Writes 1 MiB to a peer that takes `count` bytes every second, with a limit of ten.
async fn written_to_a_peer_that_takes(count: usize) -> std::io::Result<()> {
    let (ours, mut theirs) = tokio::io::duplex(1 << 10);
    let peer = tokio::spawn(async move {
        let mut buffer = vec![0; count];
        while theirs.read_exact(&mut buffer).await.is_ok() {
            // On the paused clock of the stories below: this is the peer's pace, and takes no real time.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let mut stream = TimedStream::new(ours, Duration::from_secs(10), Unread::default());
    let written = async {
        stream.write_all(&vec![b'x'; 1 << 20]).await?;
        stream.flush().await
    };
    let written = written.await;
    peer.abort();
    written
}

#[tokio::test(start_paused = true)]
async fn a_trickling_client_loses_its_place_but_a_slow_reader_gets_everything() {
    for too_little in [1, 64, 1 << 10] {
        let started = tokio::time::Instant::now();
        let error = written_to_a_peer_that_takes(too_little).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{too_little} bytes a second");
        assert!(started.elapsed() < Duration::from_secs(12), "{:?}", started.elapsed());
    }
    written_to_a_peer_that_takes(4 << 10).await.expect("40 KiB in ten seconds are enough");
}

/// A connection whose kernel holds back little for it.
async fn quiet(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(address).await.unwrap()
}

#[tokio::test]
async fn a_reader_that_is_slow_but_reads_gets_its_whole_answer() {
    let app = TestApp::with(|config| config.http.write_timeout = Duration::from_secs(5)).await;
    let api = app.client();
    let large = "x".repeat(500_000);
    for n in 0..12 {
        api.create("tasks", json!({"title": format!("{n}"), "tags": [large]})).await;
    }
    let mut stream = quiet(app.address).await;
    let ask = format!("GET /api/tasks HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", app.address);
    stream.write_all(ask.as_bytes()).await.unwrap();
    let answer = rest_of(&mut stream).await;
    assert!(answer.len() > 4 << 20 && answer.trim_end().ends_with('}'), "{} bytes", answer.len());
    assert_eq!(app.counted().value("tidewire_http_connections_ended_total{reason=\"write_late\"}"), 0.0);
}

#[tokio::test]
async fn connections_are_counted_by_how_they_end() {
    let app = TestApp::with(|config| config.http.header_timeout = Duration::from_millis(100)).await;
    let ended = |reason: &str| format!("tidewire_http_connections_ended_total{{reason=\"{reason}\"}}");
    let mut silent = TcpStream::connect(app.address).await.unwrap();
    rest_of(&mut silent).await;
    let mut odd = TcpStream::connect(app.address).await.unwrap();
    odd.write_all(b"this is not HTTP\r\n\r\n").await.unwrap();
    assert!(rest_of(&mut odd).await.starts_with("HTTP/1.1 400"));
    let mut large = TcpStream::connect(app.address).await.unwrap();
    let head = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(64 << 10));
    let _ = large.write_all(head.as_bytes()).await;
    rest_of(&mut large).await;
    app.wait_for_metric(&ended("bad_head"), 1.0).await;
    app.wait_for_metric(&ended("head_too_large"), 1.0).await;
    assert!(app.counted().value(&ended("head_late")) >= 1.0);
}

fn head_of_create(address: SocketAddr, length: usize) -> String {
    format!(
        "POST /api/tasks HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn a_request_in_flight_is_answered_before_the_server_ends() {
    let app = TestApp::start().await;
    let body = r#"{"title":"the last"}"#;
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let head =
        head_of_create(app.address, body.len()).replace("Connection", "Expect: 100-continue\r\nConnection");
    stream.write_all(head.as_bytes()).await.unwrap();
    // The handler waits for the body now: that is what the interim answer says.
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100"));
    let stopping = app.stop();
    stream.write_all(body.as_bytes()).await.unwrap();
    let answer = rest_of(&mut stream).await;
    assert!(answer.contains("HTTP/1.1 201") && answer.contains("the last"), "{answer}");
    stopping.await;
    assert!(TcpStream::connect(app.address).await.is_err(), "nobody listens any more");
}

/// The HTTP floor over a scripted store.
async fn over_puppet() -> (Arc<Puppet>, Client) {
    over_puppet_of(Arc::unwrap_or_clone(entities::schema()).opened().into()).await
}

async fn over_puppet_of(schema: Arc<Schema>) -> (Arc<Puppet>, Client) {
    let puppet = Arc::new(Puppet::default());
    let config = Arc::new(Config::default());
    let live = &config.realtime;
    let ring = Arc::new(Ring::new(
        epoch(),
        Seq(1),
        Generation(1),
        tidewire::store::LogLimit { changes: live.ring_changes, bytes: live.ring_bytes },
    ));
    let metrics = Arc::new(Metrics::new(ROUTES, Timestamp(0)));
    let (_, feed) = EventBus::new(mpsc::channel(1).1, Seq(1), metrics.clone());
    let (channels, _) =
        ChannelManager::start(ring.clone(), feed, live.scan_groups, Env::system(), metrics.clone());
    let around = Surroundings {
        schema: schema.clone(),
        generation: Generation(1),
        epoch: epoch(),
        config: Arc::new(live.clone()),
        metrics: metrics.clone(),
    };
    let reader = LiveReader::new(puppet.clone(), ring, live);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = TaskTracker::new();
    let repository = Arc::new(puppet.repository_over(schema));
    let sessions = Sessions::new(around, channels, reader, repository.clone(), Env::system());
    let vault = Arc::new(MemoryVault::default());
    let (env, names) = (Env::system(), NameTrust::Believed);
    let tokens = LoadedTokens::load(&config.auth, &env).unwrap();
    let identities = Identities::new(vault, repository.clone(), env, &config.auth, names, tokens);
    let state = AppState::new(Services {
        repository,
        identities: Arc::new(identities),
        sessions: sessions.clone(),
        websockets: WebSocketManager::new(sessions),
        config: config.clone(),
        hosts: Arc::new(Hosts::new(address, &[])),
        proxies: Proxies::new(&[]),
        env: Env::system(),
        limits: RateLimits::new(&Config::default().http),
        metrics: metrics.clone(),
        tasks: tasks.clone(),
        live: tokio::runtime::Handle::current(),
    });
    let serving = server::Serving { router: router(state), tasks, metrics, tls: None };
    tokio::spawn(async move { server::serve(listener, serving, &config, std::future::pending()).await });
    (puppet, Client::new(address))
}

#[tokio::test]
async fn a_failing_store_is_reported_with_a_code_and_without_a_secret() {
    let (puppet, api) = over_puppet().await;
    for (refusal, status, code, retry_after) in [
        (CommitError::Overloaded, 503, "OVERLOADED", "1"),
        (CommitError::Closed, 503, "SHUTTING_DOWN", "2"),
        (CommitError::ReadOnly, 503, "READ_ONLY", "30"),
        (CommitError::StorageFull, 507, "STORAGE_FULL", "30"),
        (CommitError::Storage("secret detail".to_owned()), 500, "STORAGE_ERROR", ""),
    ] {
        puppet.refusals.lock().push(refusal);
        let answer = api.call("POST", "/api/tasks", json!({"title": "x"})).await;
        assert_eq!((answer.status, &answer.json["code"]), (status, &json!(code)));
        assert_eq!(answer.header("retry-after"), retry_after, "{code}");
        assert!(!answer.text.contains("secret"), "{}", answer.text);
    }
    let failed = api.call("GET", "/api/tasks", json!(null)).await;
    assert_eq!((failed.status, &failed.json["code"]), (500, &json!("INTERNAL")));
    assert!(!failed.text.contains("secret"), "{}", failed.text);
}

/// The store refuses one unit, which is the `User` record, and would take the next.
#[tokio::test]
async fn a_write_is_not_done_for_a_user_whose_record_was_not_stored() {
    let (puppet, api) = over_puppet().await;
    let task = "/api/tasks/0190a000-0000-7000-8000-00000000000a?as=ann";
    let one = json!([{"op": "create", "entity": "Task", "data": {"title": "x"}}]);
    for (method, path, body) in [
        ("POST", "/api/tasks?as=ann", json!({"title": "x"})),
        ("PATCH", task, json!({"title": "x"})),
        ("PUT", task, json!({"title": "x"})),
        ("DELETE", task, json!(null)),
        ("POST", "/api/batch?as=ann", json!({"ops": one, "atomic": true})),
        ("POST", "/api/batch?as=ann", json!({"ops": one, "atomic": false})),
    ] {
        puppet.units.lock().clear();
        puppet.refusals.lock().push(CommitError::StorageFull);
        let answer = api.call(method, path, body).await;
        assert_eq!((answer.status, &answer.json["code"]), (507, &json!("STORAGE_FULL")), "{method} {path}");
        assert_eq!(puppet.units.lock().len(), 1, "{method} {path}: only the record was tried");
    }
}

#[tokio::test]
async fn a_failing_store_does_not_reveal_a_closed_entity() {
    // Without rules everything is closed.
    let (puppet, api) = over_puppet_of(entities::schema()).await;
    puppet.users.lock().push("bob".to_owned());
    for caller in ["", "?as=bob", "?as=new"] {
        for refusal in
            [CommitError::Overloaded, CommitError::ReadOnly, CommitError::Storage("disk".to_owned())]
        {
            for (method, body) in [("POST", json!({"title": "x"})), ("POST", json!([])), ("GET", json!(null))]
            {
                let mut told = Vec::new();
                for plural in ["tasks", "nobody"] {
                    *puppet.refusals.lock() = vec![refusal.clone()];
                    let answer = api.call(method, &format!("/api/{plural}{caller}"), body.clone()).await;
                    let mut json = answer.json.clone();
                    json.as_object_mut().unwrap().remove("requestId");
                    let after = answer.header("retry-after").to_owned();
                    told.push((answer.status, json.to_string().replace(plural, "…"), after));
                }
                assert_eq!(told[0], told[1], "{method} {caller} {refusal:?}");
                assert!(told[0].1.contains("UNKNOWN_ENTITY"), "{method} {caller} {refusal:?}: {told:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_defect_costs_its_own_request_only() {
    let (puppet, api) = over_puppet().await;
    puppet.panics.store(true, Ordering::Relaxed);
    let path = "/api/tasks/0190a000-0000-7000-8000-00000000000a";
    for _ in 0..3 {
        let broken = api.call("GET", path, json!(null)).await;
        assert_eq!((broken.status, &broken.json["code"]), (500, &json!("INTERNAL")));
        assert!(!broken.text.contains("secret"), "{}", broken.text);
        assert_eq!(broken.json["requestId"], broken.header("x-request-id"));
    }
    let unready = api.call("GET", "/readyz", json!(null)).await;
    assert_eq!(unready.status, 503, "{}", unready.text);
    assert!(!unready.text.contains("secret"), "{}", unready.text);
    assert_eq!(api.get("/health").await, json!({"status": "healthy"}), "the process is well");
    puppet.panics.store(false, Ordering::Relaxed);
    assert_eq!(api.call("GET", path, json!(null)).await.status, 404);
}
