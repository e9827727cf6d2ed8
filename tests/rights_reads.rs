//! What a change of rights costs: the reads of the store that one connection makes for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tidewire::config::{RealtimeConfig, StoreConfig};
use tidewire::ids::Seq;
use tidewire::schema::Value;
use tidewire::store::{CommitBatch, Op, Store};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::support::counting::CountingStore;
use crate::support::fixtures::epoch;
use crate::support::live::{LiveServer, Peer};
use crate::support::model::MemoryStore;
use crate::support::ruled;
use crate::support::studio::{create, delete, unit};

/// As many as a connection may have.
const CHANNELS: usize = 50;

/// Ada is a member of p1, and her connection is live.
struct Stage {
    store: Arc<CountingStore>,
    committed: UnboundedReceiver<Arc<CommitBatch>>,
    server: LiveServer,
    ada: Peer,
}

impl Stage {
    /// `ring_changes`: how many changes ChannelManager remembers.
    async fn with(channels: &[String], ring_changes: usize) -> Stage {
        let (store, committed) = MemoryStore::open(&ruled::schema(), &StoreConfig::default(), epoch());
        let store = CountingStore::over(store);
        let account = Op::Create {
            entity: "User".into(),
            id: tidewire::ids::RecordId::parse_text("ada").unwrap(),
            values: vec![text("Ada"), text("member"), Value::Bool(false)],
            fresh_id: false,
        };
        store.commit(unit([account])).await.unwrap();
        store.commit(unit([membership(1, "p1")])).await.unwrap();
        let config = RealtimeConfig { ring_changes, ..RealtimeConfig::default() };
        let server = LiveServer::over(store.clone(), ruled::schema(), epoch(), Seq(2), config);
        let mut stage = Stage { store, committed, ada: server.connect(Some("ada")), server };
        // What was committed before the server began.
        while stage.committed.try_recv().is_ok() {}
        stage.ada.takes(&["connected"]).await;
        for channel in channels {
            stage.ada.subscribe(channel, &json!({}));
            stage.ada.takes(&["subscribed"]).await;
        }
        stage.store.take();
        stage
    }

    async fn commit(&mut self, op: Op) {
        self.store.commit(unit([op])).await.unwrap();
        let batch = self.committed.recv().await.unwrap();
        self.server.fan_out(batch).await;
    }

    /// Takes the frames up to the closing pong of so many channels; how many of each other type there were.
    async fn caught_up(&mut self, channels: usize) -> BTreeMap<String, usize> {
        let (mut pongs, mut others) = (0, BTreeMap::new());
        while pongs < channels {
            let frame = self.ada.frame().await;
            match frame["type"].as_str().unwrap() {
                "pong" if frame["channel"].is_string() => pongs += 1,
                kind => *others.entry(kind.to_owned()).or_default() += 1,
            }
        }
        others
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn membership(n: u128, project: &str) -> Op {
    create("Membership", n, vec![text("ada"), text(project)])
}

fn task(n: u128, title: &str, project: &str) -> Op {
    create("Task", n, vec![text(title), text(project), text("open"), Value::Null])
}

fn channels(entity: &str) -> Vec<String> {
    (0..CHANNELS).map(|n| format!("entity:{entity}?title=t{n}")).collect()
}

/// Changes that no channel of a story receives, so that the ring, if it is small, does not reach back to where they stand.
async fn pass_time(stage: &mut Stage) {
    for n in 100..103 {
        stage.commit(create("Vault", n, vec![text("gold")])).await;
    }
    stage.store.take();
}

type Reads = BTreeMap<&'static str, usize>;

/// What fifty channels that a new membership concerns cost.
async fn reads_of_fifty_concerned(ring_changes: usize) -> Reads {
    let mut stage = Stage::with(&channels("Task"), ring_changes).await;
    pass_time(&mut stage).await;
    stage.commit(task(7, "t3", "p2")).await;
    stage.commit(membership(2, "p2")).await;
    let told = stage.caught_up(CHANNELS).await;
    assert_eq!(told, BTreeMap::from([("entity:created".to_owned(), 1)]), "the task that came into sight");
    stage.store.take()
}

/// What one channel that a lost membership concerns costs, and forty-nine beside it that it does not.
async fn reads_of_one_concerned(ring_changes: usize) -> Reads {
    let mut all = channels("Board");
    all[0] = "entity:Task".to_owned();
    let mut stage = Stage::with(&all, ring_changes).await;
    pass_time(&mut stage).await;
    // One unit: a record of a channel that is not concerned, and the right of the one that is.
    let ops = [create("Board", 5, vec![text("t1")]), delete("Membership", 1)];
    stage.store.commit(unit(ops)).await.unwrap();
    let batch = stage.committed.recv().await.unwrap();
    stage.server.fan_out(batch).await;
    let told = stage.caught_up(CHANNELS).await;
    assert_eq!(told, BTreeMap::from([("entity:created".to_owned(), 1)]), "the record of the board");
    let reads = stage.store.take();
    stage.commit(create("Board", 6, vec![text("t1")])).await;
    let event = &stage.ada.takes(&["entity:created"]).await[0];
    assert_eq!((&event["channel"], &event["prev"]), (&json!(all[1]), &json!(7)), "{event}");
    reads
}

#[tokio::test(start_paused = true)]
async fn fifty_channels_whose_rights_change_are_fifty_differences_and_one_look_at_the_person() {
    let expected = BTreeMap::from([("differ", CHANNELS), ("principal", 1)]);
    let reads = [reads_of_fifty_concerned(10_000).await, reads_of_fifty_concerned(1).await];
    assert_eq!(reads, [expected.clone(), expected], "whether the ring reaches back or not");
}

#[tokio::test(start_paused = true)]
async fn channels_that_other_rights_do_not_concern_share_what_is_read_of_what_they_missed() {
    let from_the_ring = BTreeMap::from([("differ", 1), ("principal", 1)]);
    assert_eq!(
        reads_of_one_concerned(10_000).await,
        from_the_ring,
        "nothing was missed that the ring has not"
    );
    let from_the_log = reads_of_one_concerned(1).await;
    let kinds: Vec<&str> = from_the_log.keys().copied().collect();
    assert_eq!(kinds, ["differ", "log", "principal", "rights_changed"], "{from_the_log:?}");
    // They come back from ChannelManager in one or two handfuls, and each handful reads the log once.
    assert!(from_the_log.values().sum::<usize>() <= 8, "{from_the_log:?}");
}
