//! The event bus: its order, and listeners within the process of a running app.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidewire::event_bus::{
    Announcement, Batches, CommitFeed, EventBus, Listener, Missed, OutOfOrder, RecordEvent,
};
use tidewire::ids::{Seq, Timestamp};
use tidewire::metrics::Metrics;
use tidewire::store::{ChangeOp, CommitBatch};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::app::TestApp;
use crate::support::fixtures::{change, epoch};
use crate::support::socket::PATIENCE;

/// On a paused clock this passes at once where nothing can happen any longer, and never earlier.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// A batch of creates with these seqs.
fn batch(seqs: std::ops::RangeInclusive<u64>) -> Arc<CommitBatch> {
    let changes = seqs.map(|seq| change(seq, "Task", u128::from(seq), ChangeOp::Create)).collect();
    Arc::new(CommitBatch { epoch: epoch(), changes })
}

struct Bus {
    commits: mpsc::Sender<Arc<CommitBatch>>,
    bus: EventBus,
    feed: CommitFeed,
    metrics: Arc<Metrics>,
}

/// A bus over a log that ends at seq 10.
fn bus() -> Bus {
    let metrics = Arc::new(Metrics::new(&[], Timestamp(0)));
    let (commits, tail) = mpsc::channel(512);
    let (bus, feed) = EventBus::new(tail, Seq(10), metrics.clone());
    Bus { commits, bus, feed, metrics }
}

impl Bus {
    fn commit(&self, seqs: std::ops::RangeInclusive<u64>) {
        self.commits.try_send(batch(seqs)).unwrap();
    }

    /// The last seqs of the batches that the feed has now.
    async fn taken(&mut self) -> Result<Vec<u64>, OutOfOrder> {
        let mut into = VecDeque::new();
        self.feed.take(&mut into).await?;
        Ok(into.iter().map(|batch| batch.last().0).collect())
    }
}

async fn heard(batches: &mut Batches) -> Option<Announcement> {
    timeout(FOR_EVER, batches.next()).await.expect("there is something to hear, or an end")
}

/// Sends what it is called with to the test.
fn tell(events: &mpsc::UnboundedSender<RecordEvent>) -> impl FnMut(&RecordEvent) + Send + use<> {
    let events = events.clone();
    move |event| events.send(event.clone()).unwrap()
}

async fn next<T>(receiver: &mut mpsc::UnboundedReceiver<T>) -> T {
    timeout(PATIENCE, receiver.recv()).await.expect("the listener is called").expect("it lives")
}

#[tokio::test]
async fn the_feed_hands_out_all_that_waits_in_order() {
    let mut bus = bus();
    assert_eq!(bus.feed.position(), Seq(10));
    bus.commit(11..=11);
    bus.commit(12..=20);
    bus.commit(21..=22);
    assert_eq!(bus.taken().await, Ok(vec![11, 20, 22]));
    assert_eq!(bus.feed.position(), Seq(22));
    (23..=160).for_each(|seq| bus.commit(seq..=seq));
    assert_eq!(bus.taken().await.unwrap().len(), 64, "more are left where the committer waits for them");
}

#[tokio::test(start_paused = true)]
async fn the_feed_and_its_listeners_end_with_the_tail() {
    let Bus { commits, bus, mut feed, .. } = bus();
    let mut batches = bus.listen();
    commits.try_send(batch(11..=11)).unwrap();
    drop(commits);
    let mut into = VecDeque::new();
    assert_eq!((feed.take(&mut into).await, into.len()), (Ok(true), 1));
    assert_eq!((feed.take(&mut into).await, into.len()), (Ok(false), 1));
    assert_eq!(heard(&mut batches).await, Some(Announcement::Batch(batch(11..=11))));
    assert_eq!(heard(&mut batches).await, None);
    assert_eq!(heard(&mut bus.listen()).await, None, "who comes later has nothing to hear");
    timeout(FOR_EVER, bus.finished()).await.expect("nobody is at work");
}

#[tokio::test]
async fn a_repeated_batch_is_delivered_once() {
    let mut bus = bus();
    let mut batches = bus.bus.listen();
    bus.commit(9..=10);
    bus.commit(11..=12);
    bus.commit(11..=12);
    bus.commit(12..=12);
    bus.commit(13..=13);
    assert_eq!(bus.taken().await, Ok(vec![12, 13]));
    assert_eq!(heard(&mut batches).await, Some(Announcement::Batch(batch(11..=12))));
    assert_eq!(heard(&mut batches).await, Some(Announcement::Batch(batch(13..=13))));
}

#[tokio::test]
async fn a_tail_with_a_gap_stops_the_feed() {
    for (seqs, found) in [(13..=13, 13), (10..=12, 10)] {
        let mut bus = bus();
        bus.commit(11..=11);
        assert_eq!(bus.taken().await, Ok(vec![11]));
        bus.commit(seqs);
        assert_eq!(bus.taken().await, Err(OutOfOrder { after: Seq(11), found: Seq(found) }));
    }
    let mut bus = bus();
    let holed = CommitBatch {
        epoch: epoch(),
        changes: [11, 13].map(|seq| change(seq, "Task", 1, ChangeOp::Create)).into(),
    };
    bus.commits.try_send(Arc::new(holed)).unwrap();
    let fault = bus.taken().await.unwrap_err();
    assert_eq!(fault.to_string(), "after seq 11 the log's tail went on at 13");
}

#[tokio::test(start_paused = true)]
async fn a_slow_listener_delays_no_one_and_learns_what_it_missed() {
    let mut bus = bus();
    let mut idle = bus.bus.listen();
    let backlog = |bus: &Bus| bus.metrics.live.backlog.get();
    for seq in 11..=310 {
        bus.commit(seq..=seq);
        let taken = timeout(FOR_EVER, bus.taken()).await.expect("the idle listener is not waited for");
        assert_eq!(taken, Ok(vec![seq]));
    }
    assert_eq!(backlog(&bus), 256);
    assert_eq!(idle.position(), Seq(10));
    let missed = Missed { after: Seq(10), until: Seq(54) };
    assert_eq!(heard(&mut idle).await, Some(Announcement::Missed(missed)));
    assert_eq!(idle.position(), Seq(54));
    for seq in 55..=310 {
        assert_eq!(heard(&mut idle).await, Some(Announcement::Batch(batch(seq..=seq))));
    }
    assert_eq!(backlog(&bus), 0, "it has caught up");
}

#[tokio::test]
async fn listeners_get_commits_by_entity_and_kind_in_log_order() {
    let app = TestApp::start().await;
    let client = app.client();
    let (events, mut told) = mpsc::unbounded_channel();
    let listen = |listener: Listener| {
        let listener = listener.on_created("Task", tell(&events)).on_updated("Task", tell(&events));
        listener.on_deleted("Task", tell(&events)).on_deleted("Project", tell(&events)).start()
    };
    let listening = listen(app.event_bus.listener());
    let project = client.create("projects", json!({"name": "p"})).await;
    let task = client.create("tasks", json!({"title": "a", "project": project["id"]})).await;
    let path = format!("/api/tasks/{}", task["id"].as_str().unwrap());
    assert_eq!(client.call("PATCH", &path, json!({"title": "b"})).await.status, 200);
    assert_eq!(client.call("DELETE", &path, Value::Null).await.status, 204);
    for (name, seq, title) in
        [("entity:created", 2, Some("a")), ("entity:updated", 3, Some("b")), ("entity:deleted", 4, None)]
    {
        let event = next(&mut told).await;
        let record: Option<Value> = event.record().map(|json| serde_json::from_slice(json).unwrap());
        assert_eq!((event.name(), event.seq(), &**event.entity()), (name, Seq(seq), "Task"));
        assert_eq!(event.id().as_str(), task["id"]);
        assert_eq!(record.as_ref().map(|record| record["title"].as_str().unwrap()), title);
    }
    listening.stop();
    // The stop takes effect between two batches; a listener that is called afterwards got everything before.
    let again = listen(app.event_bus.listener());
    let path = format!("/api/projects/{}", project["id"].as_str().unwrap());
    assert_eq!(client.call("DELETE", &path, Value::Null).await.status, 204);
    let event = next(&mut told).await;
    assert_eq!((event.name(), &**event.entity()), ("entity:deleted", "Project"));
    app.stop().await;
    drop((again, events));
    assert!(
        told.recv().await.is_none(),
        "the server has ended, its listeners with it, and nothing was told twice"
    );
}

#[tokio::test]
async fn a_panicking_listener_harms_no_other() {
    let app = TestApp::start().await;
    let (events, mut told) = mpsc::unbounded_channel();
    let mut fragile = tell(&events);
    let _fragile = app
        .event_bus
        .listener()
        .on_created("Project", move |event| {
            assert_ne!(event.seq(), Seq(2), "this one is too much");
            fragile(event);
        })
        .start();
    let (others, mut heard) = mpsc::unbounded_channel();
    let _sturdy = app.event_bus.listener().on_created("Project", tell(&others)).start();
    for name in ["a", "b", "c"] {
        app.client().create("projects", json!({"name": name})).await;
    }
    assert_eq!((next(&mut told).await.seq(), next(&mut told).await.seq()), (Seq(1), Seq(3)));
    for seq in 1..=3 {
        assert_eq!(next(&mut heard).await.seq(), Seq(seq));
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_blocked_listener_delays_no_commit_and_learns_what_it_missed() {
    let app = TestApp::start().await;
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    let (missing, mut missed) = mpsc::unbounded_channel();
    let (events, mut told) = mpsc::unbounded_channel();
    let mut first = true;
    let mut tell = tell(&events);
    let _listening = app
        .event_bus
        .listener()
        .on_created("Project", move |event| {
            if std::mem::take(&mut first) {
                held.recv().unwrap();
            }
            tell(event);
        })
        .on_missed(move |range| missing.send(*range).unwrap())
        .start();
    for n in 0..300 {
        app.client().create("projects", json!({"name": n.to_string()})).await;
    }
    app.wait_for_metric("tidewire_fan_out_position", 300.0).await;
    let_go.send(()).unwrap();
    assert_eq!(next(&mut told).await.seq(), Seq(1));
    let Missed { after, until } = next(&mut missed).await;
    assert_eq!((after, until), (Seq(1), Seq(44)));
    for seq in 45..=300 {
        assert_eq!(next(&mut told).await.seq(), Seq(seq));
    }
    app.stop().await;
}
