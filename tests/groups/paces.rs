//! Groups with a rate: what waits for them, when it leaves, and who gets which part of it. Pure: the time is what the story says.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tidewire::channels::group::{ConnectionKey, Member};
use tidewire::channels::groups::Groups;
use tidewire::channels::{Attach, Note, Outbox};
use tidewire::ids::Seq;
use tidewire::protocol::WireForm;
use tidewire::store::{Change, CommitBatch};
use tokio::time::Instant;

use super::managed::drained;
use super::world::{FIRST_LAG, Someone, attach, batch, change, outbox_of, read_scope, record};
use super::{join, told};
use crate::support::fixtures::id;

const INTERVAL: Duration = Duration::from_millis(100);

fn create(seq: u64) -> Change {
    let record = record(&id(u128::from(seq)), &json!({"title": "x"}));
    change(seq, &id(u128::from(seq)), None, Some(&record))
}

/// A subscription to tasks that gets ten batches a second.
fn rated(connection: u64, form: WireForm) -> Attach {
    let everything = read_scope(0, 0, &Someone::nobody());
    Attach { interval: Some(INTERVAL), ..attach(connection, "entity:Task", &everything, &outbox_of(form)) }
}

fn joined(groups: &mut Groups, connection: u64) -> Arc<Outbox> {
    let attach = rated(connection, WireForm::WebSocket);
    join(groups, &attach);
    attach.outbox
}

/// Fans out one batch, as ChannelManager does at this time.
fn fan_out(groups: &mut Groups, now: Instant, batch: &CommitBatch) {
    groups.fan_out(batch);
    groups.deliver_due(now);
}

fn buffers(outbox: &Outbox) -> usize {
    outbox.depth().batches
}

#[tokio::test]
async fn events_wait_for_their_interval_and_leave_as_one_buffer() {
    let (mut groups, began) = (Groups::new(Seq(0), 10), Instant::now());
    let outbox = joined(&mut groups, 1);
    fan_out(&mut groups, began, &batch(vec![create(1)]));
    assert_eq!((buffers(&outbox), groups.next_due()), (1, None), "the first leaves at once");
    for seq in 2..=9 {
        fan_out(&mut groups, began + INTERVAL / 10 * u32::try_from(seq).unwrap(), &batch(vec![create(seq)]));
    }
    assert_eq!((buffers(&outbox), groups.next_due()), (1, Some(began + INTERVAL)));
    assert_eq!(groups.deliver_due(began + INTERVAL - Duration::from_millis(1)).deliveries, 0);
    let left = groups.deliver_due(began + INTERVAL);
    assert_eq!((left.deliveries, left.buffers, buffers(&outbox), groups.next_due()), (1, 1, 2, None));
    let events = drained(&outbox).0;
    let prevs: Vec<u64> = events.iter().map(|event| event["prev"].as_u64().unwrap()).collect();
    assert_eq!(prevs, (0..9).collect::<Vec<_>>());
    // After a pause the next one leaves at once again, and begins an interval.
    let later = began + INTERVAL * 5;
    fan_out(&mut groups, later, &batch(vec![create(10)]));
    fan_out(&mut groups, later, &batch(vec![create(11)]));
    assert_eq!(
        (told(&outbox), groups.next_due()),
        (vec!["entity:created 10".to_owned()], Some(later + INTERVAL))
    );
}

#[tokio::test]
async fn groups_of_two_rates_and_of_none_leave_each_in_their_time() {
    let (mut groups, began) = (Groups::new(Seq(0), 10), Instant::now());
    let everything = read_scope(0, 0, &Someone::nobody());
    let [free, fast, slow] = [None, Some(INTERVAL), Some(INTERVAL * 3)].map(|interval| {
        let outbox = outbox_of(WireForm::WebSocket);
        let number = interval.unwrap_or_default().as_millis();
        let channel = format!("entity:Task?title={number}");
        let attach = attach(u64::try_from(number).unwrap(), &channel, &everything, &outbox);
        join(&mut groups, &Attach { interval, ..attach });
        outbox
    });
    for seq in 1..=3 {
        fan_out(&mut groups, began, &batch(vec![create(seq)]));
    }
    let counts = |groups: &mut Groups, now: Instant| {
        groups.deliver_due(now);
        [&free, &fast, &slow].map(|outbox| buffers(outbox))
    };
    assert_eq!(counts(&mut groups, began), [3, 1, 1]);
    assert_eq!(counts(&mut groups, began + INTERVAL), [3, 2, 1]);
    assert_eq!(groups.next_due(), Some(began + INTERVAL * 3));
    assert_eq!(counts(&mut groups, began + INTERVAL * 3), [3, 2, 2]);
    for outbox in [free, fast, slow] {
        assert_eq!(told(&outbox), ["entity:created 1", "entity:created 2", "entity:created 3"]);
    }
}

#[tokio::test]
async fn a_member_that_comes_while_events_wait_gets_those_after_its_beginning() {
    let (mut groups, began) = (Groups::new(Seq(0), 10), Instant::now());
    let first = joined(&mut groups, 1);
    fan_out(&mut groups, began, &batch(vec![create(1)]));
    fan_out(&mut groups, began, &batch(vec![create(2), create(3)]));
    let second = joined(&mut groups, 2);
    // One whose rights are known further than the batches are.
    let ahead = rated(3, WireForm::WebSocket);
    groups.join(&ahead, Member { outbox: ahead.outbox.clone(), lag: FIRST_LAG, from: Seq(4) });
    fan_out(&mut groups, began, &batch(vec![create(4)]));
    let last = joined(&mut groups, 4);
    groups.deliver_due(began + INTERVAL);
    let created = |seqs: &[u64]| seqs.iter().map(|seq| format!("entity:created {seq}")).collect::<Vec<_>>();
    assert_eq!(told(&first), created(&[1, 2, 3, 4]));
    assert_eq!(told(&second), created(&[4]));
    assert_eq!(buffers(&ahead.outbox) + buffers(&last), 0, "they have it already");
    fan_out(&mut groups, began + INTERVAL * 2, &batch(vec![create(5)]));
    for outbox in [first, second, ahead.outbox, last] {
        assert_eq!(told(&outbox), created(&[5]));
    }
}

#[tokio::test]
async fn a_connection_is_complete_up_to_what_waits_for_it_and_a_stream_is_notified_of_that() {
    let (mut groups, began) = (Groups::new(Seq(0), 10), Instant::now());
    let [stream, socket] = [rated(1, WireForm::EventStream), rated(2, WireForm::WebSocket)];
    join(&mut groups, &stream);
    join(&mut groups, &socket);
    let note = |outbox: &Outbox| drained(outbox).1;
    fan_out(&mut groups, began, &batch(vec![create(1)]));
    assert!(note(&stream.outbox).is_empty(), "nothing waits");
    let complete =
        |groups: &Groups| [1, 2, 3].map(|connection| groups.position_of(ConnectionKey(connection)).0);
    assert_eq!(complete(&groups), [1, 1, 1]);
    fan_out(&mut groups, began, &batch(vec![create(2)]));
    fan_out(&mut groups, began, &batch(vec![create(3)]));
    assert_eq!((complete(&groups), groups.position()), ([1, 1, 3], Seq(3)), "the third has no channel");
    let waits = |attach: &Attach, base| Note::Waits { attachment: attach.attachment, base: Seq(base) };
    assert_eq!(note(&stream.outbox), [waits(&stream, 1)], "once");
    assert!(note(&socket.outbox).is_empty(), "a pong comes through ChannelManager");
    // Who comes now is told with the next event.
    let late = rated(4, WireForm::EventStream);
    join(&mut groups, &late);
    assert!(note(&late.outbox).is_empty());
    fan_out(&mut groups, began, &batch(vec![create(4)]));
    assert_eq!(note(&late.outbox), [waits(&late, 1)]);
    groups.deliver_due(began + INTERVAL);
    assert_eq!(complete(&groups), [4, 4, 4]);
}

#[tokio::test]
async fn what_waits_for_a_group_is_nothing_to_the_group_in_its_place() {
    let (mut groups, began) = (Groups::new(Seq(0), 10), Instant::now());
    let first = rated(1, WireForm::WebSocket);
    join(&mut groups, &first);
    fan_out(&mut groups, began, &batch(vec![create(1)]));
    fan_out(&mut groups, began, &batch(vec![create(2)]));
    groups.leave((first.connection, first.attachment));
    let everything = read_scope(0, 0, &Someone::nobody());
    let slow = attach(2, "entity:Task?title=x", &everything, &outbox_of(WireForm::WebSocket));
    let slow = Attach { interval: Some(INTERVAL * 3), ..slow };
    join(&mut groups, &slow);
    for seq in 3..=4 {
        fan_out(&mut groups, began, &batch(vec![create(seq)]));
    }
    groups.deliver_due(began + INTERVAL);
    assert_eq!(told(&slow.outbox), ["entity:created 3"]);
    groups.deliver_due(began + INTERVAL * 3);
    assert_eq!(told(&slow.outbox), ["entity:created 4"]);
    assert_eq!(told(&first.outbox), ["entity:created 1"]);
}

#[tokio::test]
async fn too_much_leaves_before_its_time_so_that_what_waits_is_bounded() {
    let (mut groups, began) = (Groups::new(Seq(0), 10), Instant::now());
    let outbox = joined(&mut groups, 1);
    let many = |first: u64, count: u64| batch((first..first + count).map(create).collect());
    fan_out(&mut groups, began, &many(1, 1));
    fan_out(&mut groups, began, &many(2, 4_095));
    assert_eq!(buffers(&outbox), 1);
    fan_out(&mut groups, began, &many(4_097, 1));
    assert_eq!((buffers(&outbox), told(&outbox).len()), (2, 4_097));
}
