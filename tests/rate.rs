//! `rate` of an entity: its events leave in batches at most so often, in order, and none is missing. The clock is paused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidewire::config::RealtimeConfig;
use tidewire::ids::Seq;
use tidewire::protocol::WireForm;
use tidewire::schema::{Entity, Field, FieldKind, IdKind, Schema};
use tidewire::store::{ChangeOp, CommitBatch};
use tokio::time::{Instant, advance};

use crate::support::app::TestApp;
use crate::support::audience::{Audience, TRANSPORTS};
use crate::support::fixtures::{change, epoch};
use crate::support::live::{LiveServer, Peer, until};
use crate::support::puppet::Puppet;

const FORMS: [WireForm; 3] = [WireForm::WebSocket, WireForm::EventStream, WireForm::Json];

fn server(config: RealtimeConfig) -> LiveServer {
    let place = Entity { rate: Some(10), ..Entity::new("Place", "places", Vec::new()) };
    let schema = Schema::new([place, Entity::new("Note", "notes", Vec::new())]).opened();
    LiveServer::over(Arc::new(Puppet::default()), Arc::new(schema), epoch(), Seq(1), config)
}

async fn commit(server: &LiveServer, seq: u64, entity: &str) {
    let changes = vec![change(seq, entity, seq.into(), ChangeOp::Create)];
    server.fan_out(Arc::new(CommitBatch { epoch: epoch(), changes })).await;
}

async fn follow(server: &LiveServer, form: WireForm, channels: &[&str]) -> Peer {
    let mut peer = server.connect_by(form, None);
    peer.frame().await;
    for channel in channels {
        peer.subscribe(channel, &json!({}));
        peer.takes(&["subscribed"]).await;
    }
    peer
}

#[tokio::test(start_paused = true)]
async fn events_of_an_entity_with_a_rate_come_in_batches_and_none_is_missing() {
    for form in FORMS {
        let server = server(RealtimeConfig::default());
        let mut peer = follow(&server, form, &["entity:Place"]).await;
        let began = Instant::now();
        let mut came = Vec::new();
        // One commit each 20 ms for a second; what comes is looked at between them.
        for seq in 2..=51 {
            commit(&server, seq, "Place").await;
            advance(Duration::from_millis(20)).await;
        }
        while came.len() < 50 {
            let event = peer.frame().await;
            if event["type"] == "entity:created" {
                came.push(event["seq"].as_u64().unwrap());
            }
        }
        assert_eq!(came, (2..=51).collect::<Vec<_>>(), "{form:?}");
        assert!(began.elapsed() < Duration::from_millis(1_200), "{form:?}: {:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_event_leaves_at_once_and_the_next_after_the_interval() {
    let server = server(RealtimeConfig::default());
    let mut peer = follow(&server, WireForm::WebSocket, &["entity:Place"]).await;
    let began = Instant::now();
    commit(&server, 2, "Place").await;
    peer.takes(&["entity:created"]).await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    commit(&server, 3, "Place").await;
    commit(&server, 4, "Place").await;
    peer.takes(&["entity:created", "entity:created"]).await;
    assert_eq!(began.elapsed(), Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn only_the_channel_with_a_rate_waits_and_its_connection_goes_on() {
    for form in FORMS {
        let server = server(RealtimeConfig::default());
        let mut peer = follow(&server, form, &["entity:Note", "entity:Place"]).await;
        let began = Instant::now();
        commit(&server, 2, "Place").await;
        assert_eq!(seqs(&peer.takes(&["entity:created"]).await), [2]);
        commit(&server, 3, "Place").await;
        for seq in 4..=6 {
            commit(&server, seq, "Note").await;
            let came = peer.takes(&["entity:created"]).await;
            assert_eq!((seqs(&came), &came[0]["channel"]), (vec![seq], &json!("entity:Note")), "{form:?}");
        }
        pong(&mut peer).await;
        peer.subscribe("entity:Nothing", &json!({}));
        peer.takes(&["error"]).await;
        assert_eq!(began.elapsed(), Duration::ZERO, "{form:?}");
        assert_eq!(seqs(&peer.takes(&["entity:created"]).await), [3]);
        assert_eq!(began.elapsed(), Duration::from_millis(100), "{form:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_position_is_named_behind_what_waits() {
    for form in FORMS {
        let server = server(RealtimeConfig::default());
        let mut peer = follow(&server, form, &["entity:Place", "entity:Note"]).await;
        let mut other = follow(&server, form, &["entity:Note"]).await;
        commit(&server, 2, "Place").await;
        peer.takes(&["entity:created"]).await;
        commit(&server, 3, "Place").await;
        commit(&server, 4, "Note").await;
        for (peer, complete) in [(&mut peer, 2), (&mut other, 4)] {
            peer.takes(&["entity:created"]).await;
            assert_eq!(named(peer, form).await, [complete; 2], "{form:?}");
        }
        peer.takes(&["entity:created"]).await;
        assert_eq!(named(&mut peer, form).await, [4; 2], "{form:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_channel_that_begins_while_events_wait_gets_those_after_its_beginning() {
    for form in FORMS {
        let server = server(RealtimeConfig::default());
        let mut early = follow(&server, form, &["entity:Place"]).await;
        commit(&server, 2, "Place").await;
        commit(&server, 3, "Place").await;
        let mut late = follow(&server, form, &["entity:Place", "entity:Note"]).await;
        commit(&server, 4, "Place").await;
        commit(&server, 5, "Note").await;
        assert_eq!(seqs(&late.takes(&["entity:created"]).await), [5]);
        assert!(named(&mut late, form).await.iter().all(|named| *named < 4), "{form:?}");
        assert_eq!(seqs(&early.takes(&["entity:created"; 3]).await), [2, 3, 4]);
        let came = late.takes(&["entity:created"]).await;
        assert_eq!((seqs(&came), &came[0]["prev"]), (vec![4], &json!(3)), "{form:?}");
        assert_eq!(named(&mut late, form).await, [5; 2], "{form:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_falls_behind_while_events_wait_misses_none_of_them() {
    for form in FORMS {
        let server = server(RealtimeConfig { outbox_batches: 1, ..RealtimeConfig::default() });
        let mut peer = follow(&server, form, &["entity:Place", "entity:Note"]).await;
        commit(&server, 2, "Place").await;
        peer.takes(&["entity:created"]).await;
        commit(&server, 3, "Place").await;
        peer.stall();
        commit(&server, 4, "Note").await;
        // The loop is inside a write while the outbox overflows.
        until(|| server.sessions.moment().outbox_batches == 0).await;
        for seq in 5..=8 {
            commit(&server, seq, "Note").await;
        }
        assert_eq!(server.sessions.stats().lags, 1, "{form:?}");
        peer.go_on();
        let mut came = Vec::new();
        while came.len() < 6 {
            let frame = peer.frame().await;
            if frame["type"] == "entity:created" {
                came.push(frame["seq"].as_u64().unwrap());
            }
        }
        came.sort_unstable();
        assert_eq!(came, (3..=8).collect::<Vec<_>>(), "{form:?}");
    }
}

/// Over real sockets, on every transport: the events of both entities, each in its order, and at the end the position of the log.
#[tokio::test]
async fn every_transport_gets_every_event_of_an_entity_with_a_rate() {
    let text = || FieldKind::Text { min: None, max: None, pattern: None };
    let title = || vec![Field::new("title", text())];
    let task = Entity { rate: Some(100), ..Entity::new("Task", "tasks", title()) };
    let user =
        Entity { id_kind: IdKind::Text, ..Entity::new("User", "users", vec![Field::new("name", text())]) };
    let schema = Arc::new(Schema::new([user, task, Entity::new("Note", "notes", title())]));
    for transport in TRANSPORTS {
        let app = TestApp::over(schema.clone(), |_| {}).await;
        let mut audience = Audience::open(transport, &app, "ada", "entity:Task").await;
        if let Some(peer) = audience.peer() {
            peer.say(json!({"type": "subscribe", "channel": "entity:Note"})).await;
        }
        let ben = app.client_as("ben");
        let mut titles = BTreeSet::new();
        for n in 0..40 {
            let title = format!("{n}");
            ben.create("tasks", json!({"title": title})).await;
            ben.create("notes", json!({"title": title})).await;
            titles.insert(title);
        }
        audience.catch_up(app.head()).await;
        assert_eq!(audience.titles(), titles, "{transport:?}");
    }
}

fn seqs(frames: &[Value]) -> Vec<u64> {
    frames.iter().map(|frame| frame["seq"].as_u64().unwrap()).collect()
}

/// The position that a pong names for the whole connection.
async fn pong(peer: &mut Peer) -> u64 {
    peer.say(&json!({"type": "ping", "requestId": "p"}));
    let pong = peer.takes(&["pong"]).await;
    assert_eq!(pong[0]["requestId"], "p");
    pong[0]["payload"]["seq"].as_u64().expect("every channel is live")
}

/// The position of the last id that a stream named. Other transports have none.
fn trailer(peer: &Peer) -> Option<u64> {
    let id = peer.last_id();
    id.split(':').nth(1).map(|seq| seq.parse().unwrap())
}

/// What is named by a pong, and by a trailer where there are any.
async fn named(peer: &mut Peer, form: WireForm) -> [u64; 2] {
    let pong = pong(peer).await;
    [pong, if form == WireForm::EventStream { trailer(peer).unwrap() } else { pong }]
}
