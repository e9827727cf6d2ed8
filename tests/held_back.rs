//! Full queues between a commit and its receivers: what waits, what must wait, and that nothing is lost.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tidewire::channels::group::ConnectionKey;
use tidewire::channels::{Attach, Outbox};
use tidewire::config::StoreConfig;
use tidewire::ids::Seq;
use tidewire::outbox::OutboxLimits;
use tidewire::protocol::WireForm;
use tidewire::store::{ChangeOp, CommitBatch, Store};
use tokio::task::unconstrained;
use tokio::time::timeout;

use crate::groups::managed::{Managed, drained};
use crate::groups::world;
use crate::support::at_once::Now;
use crate::support::fixtures::{change, epoch};
use crate::support::studio;

/// On a paused clock this passes at once where nothing can happen any longer, and never earlier.
const FOR_EVER: Duration = Duration::from_secs(3600);

/// A connection of a user who sees every task.
fn everybody(connection: u64) -> Attach {
    world::attach(connection, "entity:Task", &world::filtered(Vec::new()), &world::outbox())
}

#[tokio::test(start_paused = true)]
async fn a_commit_waits_until_the_batches_before_it_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let studio::Opened { store, mut batches, .. } =
        studio::open(folder.path(), studio::schema(), &StoreConfig::default());
    let writing = tokio::spawn({
        let store = store.clone();
        async move {
            for n in 1..=200 {
                store.commit(studio::unit([studio::project(n)])).await.unwrap();
            }
        }
    });
    let mut writing = std::pin::pin!(writing);
    assert!(timeout(FOR_EVER, &mut writing).await.is_err(), "nobody has taken a single batch");
    let committed = store.head().now().unwrap().seq.0;
    assert!((1..=65).contains(&committed), "{committed} are committed and not told");
    // What is taken lets as much through, and not one batch is missing.
    for seq in 1..=200 {
        let taken = timeout(FOR_EVER, batches.recv()).await.expect("the committer goes on").unwrap();
        assert_eq!((taken.first(), taken.last()), (Seq(seq), Seq(seq)));
    }
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channel_manager_takes_no_batches_before_it_has_fanned_out_those_that_it_has() {
    const CHANGES: u64 = 100;
    let managed = Managed::start();
    let limits = OutboxLimits { batches: usize::MAX, bytes: usize::MAX, controls: 16 };
    let outbox = Arc::new(Outbox::new(limits, WireForm::WebSocket));
    managed.attach(Attach { outbox, ..everybody(1) }).await;
    // Large ones, made before: they come faster than they can be fanned out.
    let made = |nth| {
        let seqs = 11 + nth * CHANGES..11 + (nth + 1) * CHANGES;
        let changes = seqs.map(|seq| change(seq, "Task", u128::from(seq), ChangeOp::Create)).collect();
        Arc::new(CommitBatch { epoch: epoch(), changes })
    };
    let batches: Vec<Arc<CommitBatch>> = (0..400).map(made).collect();
    for (sent, batch) in (1..).zip(batches) {
        managed.batches.send(batch).await.unwrap();
        let waiting = sent - (managed.channels.position().0 - 10) / CHANGES;
        assert!(waiting <= 128, "{waiting} wait, which is more than 64 in the queue and 64 taken");
    }
}

#[tokio::test]
async fn a_closed_connection_is_removed_even_with_many_waiting_commands() {
    let managed = Managed::start();
    let gone = everybody(1);
    let outbox = gone.outbox.clone();
    managed.attach(gone).await;
    let asking = everybody(2).outbox;
    let mut waiting = 0;
    while unconstrained(managed.channels.pong(ConnectionKey(1), asking.clone(), asking.lag(), None))
        .now_or_never()
        .is_some()
    {
        waiting += 1;
        assert!(waiting <= 1024, "the queue of commands has no bound");
    }
    assert_eq!(waiting, 1024);
    managed.channels.forget(ConnectionKey(1));
    while managed.channels.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    // Behind everything that waited, the last one included.
    let here = everybody(3);
    let hears = here.outbox.clone();
    managed.attach(here).await;
    managed.fan_out((*change(11, "Task", 11, ChangeOp::Create)).clone()).await;
    assert_eq!(drained(&hears).0.len(), 1);
    assert_eq!(drained(&outbox), (vec![], vec![]), "it gets nothing any longer");
}
