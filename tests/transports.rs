//! One loop and one session for every transport: here over one that is made of queues in memory, with a paused clock.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tidewire::config::RealtimeConfig;
use tidewire::ids::Seq;
use tidewire::protocol::{CloseCode, WireForm};
use tidewire::realtime::transport::{Arrival, Ended};
use tidewire::store::{ChangeOp, CommitBatch, Listed, Stored};
use tokio::time::Instant;

use crate::support::fixtures::{self, change, epoch, id};
use crate::support::live::{Done, LiveServer, Peer, until};
use crate::support::puppet::Puppet;

/// Over three records, which the store does not keep.
fn server(change: impl FnOnce(&mut RealtimeConfig)) -> LiveServer {
    let mut config = RealtimeConfig::default();
    change(&mut config);
    let puppet = Arc::new(Puppet::default());
    *puppet.rows.lock() = (1..=3).map(row).collect();
    LiveServer::over(puppet, fixtures::schema(), epoch(), Seq(1), config)
}

fn row(n: u128) -> Listed {
    let json = Bytes::from(json!({"id": id(n).as_str(), "version": 1, "title": "t"}).to_string());
    Listed { id: id(n), sort_values: vec![], stored: Stored { version: 1, json }, expanded: vec![] }
}

/// One task after the other is created.
async fn commit(server: &LiveServer, seqs: std::ops::RangeInclusive<u64>) {
    for seq in seqs {
        let changes = vec![change(seq, "Task", seq.into(), ChangeOp::Create)];
        server.fan_out(Arc::new(CommitBatch { epoch: epoch(), changes })).await;
    }
}

fn connect(server: &LiveServer) -> Peer {
    server.connect(None)
}

/// Every form that a transport can have.
const FORMS: [WireForm; 3] = [WireForm::WebSocket, WireForm::EventStream, WireForm::Json];

/// The type of the first frame.
fn greeting(form: WireForm) -> &'static str {
    if form == WireForm::EventStream { "welcome" } else { "connected" }
}

#[tokio::test(start_paused = true)]
async fn any_transport_carries_a_subscription_a_snapshot_and_events() {
    for form in FORMS {
        let server = server(|_| {});
        let mut peer = server.connect_by(form, None);
        assert_eq!(peer.frame().await["type"], greeting(form));
        peer.subscribe("entity:Task", &json!({"snapshot": true}));
        let frames = peer.takes(&["subscribed", "snapshot", "pong"]).await;
        assert_eq!(frames[1]["payload"]["rows"].as_array().unwrap().len(), 3);
        commit(&server, 2..=3).await;
        let events = peer.takes(&["entity:created", "entity:created"]).await;
        assert_eq!((&events[0]["prev"], &events[0]["seq"]), (&json!(1), &json!(2)));
        assert_eq!((&events[1]["prev"], &events[1]["seq"]), (&json!(2), &json!(3)));
        peer.say(&json!({"type": "ping", "requestId": "p"}));
        let pong = peer.frame().await;
        assert_eq!((&pong["requestId"], &pong["payload"]["seq"]), (&json!("p"), &json!(3)));
        peer.say(&json!({"type": "unsubscribe", "channel": "entity:Other"}));
        peer.takes(&["error"]).await;
        peer.arrives(Arrival::Closed);
        assert_eq!(peer.done().await, Done::Closed(Ended::ByPeer));
        assert_eq!(peer.ends().await, Ended::ByPeer);
        assert_eq!(server.sessions.stats().connections, 0, "the place is given back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_reader_continues_from_the_log_without_a_gap() {
    for form in FORMS {
        let server = server(|config| config.outbox_batches = 2);
        let mut peer = server.connect_by(form, None);
        peer.subscribe("entity:Task", &json!({}));
        peer.takes(&[greeting(form), "subscribed"]).await;
        peer.stall();
        commit(&server, 2..=2).await;
        // The loop is inside a write while the outbox overflows.
        until(|| server.sessions.moment().outbox_batches == 0).await;
        commit(&server, 3..=9).await;
        assert!(server.sessions.stats().lags > 0, "the story is about a connection that fell behind");
        peer.go_on();
        for seq in 2..=9 {
            let event = peer.frame().await;
            assert_eq!((&event["prev"], &event["seq"]), (&json!(seq - 1), &json!(seq)), "{event}");
        }
        assert_eq!(peer.frame().await["type"], "pong", "complete again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_is_closed_after_the_write_timeout() {
    let server = server(|_| {});
    let mut peer = connect(&server);
    peer.takes(&["connected"]).await;
    peer.stall();
    let started = Instant::now();
    peer.subscribe("entity:Task", &json!({}));
    assert_eq!(peer.ends().await, Ended::ByServer(CloseCode::TooSlow));
    assert_eq!(started.elapsed(), RealtimeConfig::default().write_timeout);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_no_ping_is_closed_and_one_that_lives_is_not() {
    let server = server(|_| {});
    let mut peer = connect(&server);
    peer.takes(&["connected"]).await;
    let started = Instant::now();
    for interval in 1..=2 {
        assert_eq!(peer.done().await, Done::Ping);
        assert_eq!(started.elapsed().as_secs(), interval * 25);
        peer.takes(&["pong"]).await;
        if interval == 1 {
            peer.arrives(Arrival::Life);
        }
    }
    let closed = Ended::ByServer(CloseCode::NoPong);
    assert_eq!(peer.done().await, Done::Closed(closed));
    assert_eq!(started.elapsed().as_secs(), 60);
    assert_eq!(peer.ends().await, closed);
}

#[tokio::test(start_paused = true)]
async fn every_transport_is_drained() {
    let server = server(|_| {});
    let mut peer = connect(&server);
    peer.takes(&["connected"]).await;
    server.sessions.lifecycle().drain();
    let drain = &peer.takes(&["drain"]).await[0];
    assert!(drain["payload"]["reconnectInMs"].is_u64(), "{drain}");
    let closed = Ended::ByServer(CloseCode::Restart);
    assert_eq!(peer.done().await, Done::Closed(closed));
    assert_eq!(peer.ends().await, closed);
}

#[tokio::test(start_paused = true)]
async fn a_refused_transport_gets_the_reason_before_it_is_closed() {
    let server = server(|config| config.connections = 1);
    let mut first = connect(&server);
    first.takes(&["connected"]).await;
    let mut second = server.connect_by(WireForm::EventStream, None);
    let error = &second.takes(&["error"]).await[0];
    assert_eq!(error["payload"]["code"], "CONNECTION_LIMIT", "{error}");
    let closed = Ended::ByServer(CloseCode::TooManyConnections);
    assert_eq!(second.done().await, Done::Closed(closed));
    assert_eq!(second.ends().await, closed);
    first.arrives(Arrival::Gone);
    assert_eq!(first.ends().await, Ended::ByPeer);
    connect(&server).takes(&["connected"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_transport_cannot_carry_ends_the_connection() {
    let table = [
        (Arrival::Oversized, Some("FRAME_TOO_LARGE"), CloseCode::FrameTooLarge),
        (Arrival::Broken(CloseCode::NotUtf8), None, CloseCode::NotUtf8),
        (Arrival::Broken(CloseCode::ProtocolError), None, CloseCode::ProtocolError),
    ];
    for (arrival, code, close) in table {
        let server = server(|_| {});
        let mut peer = connect(&server);
        peer.takes(&["connected"]).await;
        peer.arrives(arrival.clone());
        if let Some(code) = code {
            assert_eq!(peer.frame().await["payload"]["code"], code);
        }
        let closed = Ended::ByServer(close);
        assert_eq!(peer.done().await, Done::Closed(closed), "{arrival:?}");
        assert_eq!(peer.ends().await, closed);
    }
    let server = server(|_| {});
    let mut peer = connect(&server);
    peer.arrives(Arrival::Binary);
    assert_eq!(peer.takes(&["connected", "error"]).await[1]["payload"]["code"], "BAD_FRAME");
    peer.say(&json!({"type": "ping"}));
    peer.takes(&["pong"]).await;
}
