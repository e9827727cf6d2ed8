//! Batches that wait are fanned out as one: every event is there, in its place, and no subscriber receives what is before its
//! beginning.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use tidewire::channels::{Attach, Note, Outbox};
use tidewire::ids::Seq;
use tidewire::outbox::Lag;
use tidewire::rules::ReadScope;
use tidewire::schema::Generation;
use tidewire::store::{Change, ChangeOp, CommitBatch};

use super::managed::{Managed, drained};
use super::rights::after;
use super::told;
use super::world::{Someone, attach, batch, change, entity, outbox, read_scope, record, watch};
use crate::support::fixtures::id;

/// A new task of `p1`, with so many letters in its title.
fn create(seq: u64, letters: usize) -> Change {
    let record = record(&id(u128::from(seq)), &json!({ "title": "x".repeat(letters) }));
    change(seq, &id(u128::from(seq)), None, Some(&record))
}

/// Ada, of `p1`, on a connection of her own.
fn ada(connection: u64, bound_at: u64) -> Attach {
    let read_scope = read_scope(2, 0, &Someone::named("ada", &["p1"]));
    Attach { watch: watch("ada", bound_at), ..attach(connection, "entity:Task", &read_scope, &outbox()) }
}

/// Lets all of them wait before ChannelManager has its turn.
async fn fan_out(managed: &Managed, batches: impl IntoIterator<Item = CommitBatch>) {
    let mut last = Seq::ZERO;
    for batch in batches {
        last = batch.last();
        managed.batches.try_send(Arc::new(batch)).expect("there is room for 64");
    }
    while managed.channels.position() < last {
        tokio::task::yield_now().await;
    }
}

fn buffers(outbox: &Outbox) -> usize {
    outbox.depth().batches
}

#[tokio::test]
async fn what_waits_is_one_buffer_with_every_event_in_its_place() {
    let managed = Managed::start();
    let mine = ada(1, 10);
    let outbox = mine.outbox.clone();
    let (_, notes) = managed.attach(mine).await;
    assert!(matches!(notes[..], [Note::Attached { at: Seq(10), .. }]), "{notes:?}");
    // The third holds two changes of one request.
    let mut pair = [create(13, 1), create(14, 1)];
    pair[0].unit_last = false;
    let single = |seq| batch(vec![create(seq, 1)]);
    fan_out(&managed, [single(11), single(12), batch(pair.to_vec()), single(15)]).await;
    assert_eq!(buffers(&outbox), 1);
    let (events, _) = drained(&outbox);
    let told: Vec<[&Json; 3]> =
        events.iter().map(|event| [&event["seq"], &event["prev"], &event["more"]]).collect();
    let no = &json!(null);
    assert_eq!(
        told,
        [
            [&json!(11), &json!(10), no],
            [&json!(12), &json!(11), no],
            [&json!(13), &json!(12), &json!(true)],
            [&json!(14), &json!(13), no],
            [&json!(15), &json!(14), no],
        ]
    );
    // And what comes next continues from there.
    fan_out(&managed, [single(16)]).await;
    assert_eq!(drained(&outbox).0[0]["prev"], 15);
}

#[tokio::test]
async fn a_listener_that_begins_between_batches_gets_none_before() {
    let managed = Managed::start();
    // Two begin at different positions that are still to come; the third is there already.
    let [first, second, third] = [ada(1, 12), ada(2, 14), ada(3, 10)];
    let outboxes = [&first, &second, &third].map(|attach| attach.outbox.clone());
    for attach in [first, second, third] {
        managed.attach(attach).await;
    }
    fan_out(&managed, (11..=16).map(|seq| batch(vec![create(seq, 1)]))).await;
    let seqs = outboxes.each_ref().map(|outbox| told(outbox));
    let created = |seqs: std::ops::RangeInclusive<u64>| -> Vec<String> {
        seqs.map(|seq| format!("entity:created {seq}")).collect()
    };
    assert_eq!(seqs, [created(13..=16), created(15..=16), created(11..=16)]);
}

#[tokio::test]
async fn a_change_of_rights_among_them_invalidates_all_of_it() {
    let managed = Managed::start();
    let ben = Attach { watch: watch("ben", 10), ..ada(2, 10) };
    let (ada, ben) = (ada(1, 10), ben);
    let outboxes = [&ada, &ben].map(|attach| attach.outbox.clone());
    for attach in [ada, ben] {
        managed.attach(attach).await;
    }
    let membership = Change { entity: "Membership".into(), rights: vec!["ada".into()], ..create(12, 1) };
    fan_out(&managed, [create(11, 1), membership, create(13, 1)].map(|change| batch(vec![change]))).await;
    let lags = outboxes.each_ref().map(|outbox| outbox.lag());
    let told = outboxes.each_ref().map(|outbox| told(outbox));
    assert_eq!(lags, [Lag(1), Lag(0)], "Ada's session begins again, and reads");
    assert_eq!(told, [vec![], vec!["entity:created 11".to_owned(), "entity:created 13".to_owned()]]);
}

#[tokio::test]
async fn a_buffer_is_limited_in_bytes_and_batches() {
    let managed = Managed::start();
    for (first, each, letters, expected) in [
        // 60 batches of 8 changes: 32 of them are 256.
        (11, 8, 1, 2),
        // 60 of some 5,300 bytes: 49 of them are 256 KiB.
        (491, 1, 5_000, 2),
        // Alone, however large.
        (551, 300, 1, 60),
    ] {
        let mine = Attach { watch: None, ..ada(first, 10) };
        let outbox = mine.outbox.clone();
        managed.attach(mine).await;
        let of = |nth: u64| batch((0..each).map(|at| create(first + nth * each + at, letters)).collect());
        fan_out(&managed, (0..60).map(of)).await;
        assert_eq!(buffers(&outbox), expected, "{each} changes of {letters} letters each");
        assert_eq!((drained(&outbox).0.len(), outbox.lag()), (60 * each as usize, Lag(0)));
        managed.channels.forget(super::ConnectionKey(first));
    }
}

#[tokio::test]
async fn a_schema_change_among_them_invalidates_earlier_members() {
    let managed = Managed::start();
    let mine = ada(1, 10);
    let outbox = mine.outbox.clone();
    managed.attach(mine).await;
    let other = Change { op: ChangeOp::Schema, after: None, generation: Generation(2), ..create(12, 1) };
    let later = Change { generation: Generation(2), ..create(13, 1) };
    fan_out(&managed, [create(11, 1), other, later].map(|change| batch(vec![change]))).await;
    assert_eq!(drained(&outbox).0, Vec::<Json>::new(), "what came before it is read from the log");
    assert_eq!(outbox.lag(), Lag(1));
    // Who knows the new one begins after it.
    let everything = Arc::new(ReadScope::everything(&entity(4), Generation(2)));
    let newer = attach(2, "entity:Task", &everything, &self::outbox());
    let newer = Attach { from: after(12), ..newer };
    let (frames, _) = managed.attach(newer).await;
    assert_eq!((&frames[0]["type"], &frames[0]["seq"]), (&json!("entity:created"), &json!(13)));
}
