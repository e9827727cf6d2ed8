//! `rate` of an entity: its events leave in batches at most so often, in order, and none is missing. The clock is paused.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidewire::config::RealtimeConfig;
use tidewire::ids::Seq;
use tidewire::protocol::WireForm;
use tidewire::schema::{Entity, Schema};
use tidewire::store::{ChangeOp, CommitBatch};
use tokio::time::{Instant, advance};

use crate::support::fixtures::{change, epoch};
use crate::support::live::{LiveServer, Peer};
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
async fn an_entity_without_a_rate_waits_for_nothing_unless_its_connection_has_one_with() {
    let server = server(RealtimeConfig::default());
    let mut free = follow(&server, WireForm::WebSocket, &["entity:Note"]).await;
    let mut held = follow(&server, WireForm::WebSocket, &["entity:Note", "entity:Place"]).await;
    let began = Instant::now();
    for seq in 2..=3 {
        commit(&server, seq, "Note").await;
        free.takes(&["entity:created"]).await;
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
    let seqs: Vec<_> = held.takes(&["entity:created", "entity:created"]).await;
    assert_eq!((&seqs[0]["seq"], &seqs[1]["seq"]), (&json!(2), &json!(3)));
}
