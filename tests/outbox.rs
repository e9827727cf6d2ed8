//! The outbox: its bounds, and what a connection gets when it falls behind.

use bytes::Bytes;
use tidewire::outbox::{Appended, Invalidated, Item, Lag, OnLag, Outbox, OutboxLimits, Vocabulary};
use tidewire::protocol::WireForm;

/// Batches have numbers, notes are words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Words;

impl Vocabulary for Words {
    type Batch = u64;
    type Note = &'static str;
    type Ephemeral = u64;
    type Cause = Cause;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Cause {
    #[default]
    RanOver,
    Rights(u64),
    Schema,
}

fn outbox(batches: usize, bytes: usize) -> Outbox<Words> {
    Outbox::new(OutboxLimits { batches, bytes, controls: 4 }, WireForm::Json)
}

fn append(outbox: &Outbox<Words>, lag: u32, number: u64, size: usize) -> Appended {
    outbox.append_batch(Lag(lag), Bytes::from(vec![b'x'; size]), number)
}

fn log(number: u64, size: usize) -> Item<Words> {
    Item::Batch { frames: Bytes::from(vec![b'x'; size]), of: number }
}

/// It ran over, for the nth time.
fn ran_over(nth: u32) -> Option<Invalidated<Cause>> {
    Some(Invalidated { lag: Lag(nth), cause: Cause::RanOver })
}

#[test]
fn what_is_appended_is_drained_in_order() {
    let outbox = outbox(8, 1000);
    append(&outbox, 0, 1, 10);
    outbox.append_control(Bytes::from_static(b"c"), None, OnLag::Keep);
    append(&outbox, 0, 2, 10);
    let drained = outbox.drain(usize::MAX);
    assert_eq!(drained.items.len(), 3);
    assert_eq!(drained.items[0], log(1, 10));
    assert_eq!(drained.items[2], log(2, 10));
    assert_eq!((drained.invalidated, drained.overflowed), (None, false));
}

#[test]
fn an_empty_outbox_takes_one_buffer_of_any_size() {
    let outbox = outbox(8, 100);
    assert_eq!(append(&outbox, 0, 1, 5000), Appended::Queued);
    assert_eq!(append(&outbox, 0, 2, 1), Appended::FellBehind);
    assert_eq!(outbox.drain(usize::MAX).invalidated, ran_over(1));
}

#[test]
fn a_full_outbox_forgets_its_batches_and_voids_every_attachment() {
    let outbox = outbox(2, 1000);
    assert_eq!(append(&outbox, 0, 1, 1), Appended::Queued);
    assert_eq!(append(&outbox, 0, 2, 1), Appended::Queued);
    assert_eq!(append(&outbox, 0, 3, 1), Appended::FellBehind);
    assert_eq!(append(&outbox, 0, 4, 1), Appended::Void, "the attachment stays void");
    let drained = outbox.drain(usize::MAX);
    assert_eq!(drained.items, vec![]);
    assert_eq!(drained.invalidated, ran_over(1));
    assert_eq!(append(&outbox, 1, 4, 1), Appended::Queued, "a new attachment counts");
    assert_eq!(outbox.drain(usize::MAX).invalidated, None, "said once");
}

#[test]
fn positions_that_were_not_reached_are_withheld_when_batches_are_dropped() {
    let outbox = outbox(1, 1000);
    append(&outbox, 0, 1, 1);
    outbox.append_control(Bytes::from_static(b"closing pong"), Some("attached at 1"), OnLag::Drop);
    outbox.append_control(
        Bytes::from_static(b"pong 1"),
        Some("reached 1"),
        OnLag::Replace(Bytes::from_static(b"pong")),
    );
    outbox.append_control(Bytes::from_static(b"error"), None, OnLag::Keep);
    append(&outbox, 0, 2, 1);
    let frames: Vec<_> = outbox
        .drain(usize::MAX)
        .items
        .into_iter()
        .map(|item| match item {
            Item::Control { frame, note, .. } => (frame, note),
            Item::Batch { .. } | Item::Ephemeral { .. } => panic!("a batch survived"),
        })
        .collect();
    assert_eq!(frames, vec![(Bytes::from_static(b"pong"), None), (Bytes::from_static(b"error"), None)]);
}

#[test]
fn an_invalidation_says_its_cause_and_of_several_the_greatest() {
    let outbox = outbox(0, 0);
    let told = |causes: &[Cause]| {
        causes.iter().for_each(|cause| outbox.invalidate(*cause));
        outbox.drain(usize::MAX).invalidated.map(|invalidated| invalidated.cause)
    };
    assert_eq!(told(&[]), None);
    assert_eq!(told(&[Cause::Rights(3)]), Some(Cause::Rights(3)));
    assert_eq!(told(&[Cause::Rights(5), Cause::Rights(4), Cause::RanOver]), Some(Cause::Rights(5)));
    assert_eq!(told(&[Cause::Schema, Cause::Rights(9)]), Some(Cause::Schema));
    assert_eq!(append(&outbox, 6, 1, 1), Appended::FellBehind, "each of the six counts");
    assert_eq!(told(&[]), Some(Cause::RanOver), "what was told before counts no longer");
}

#[test]
fn too_many_control_frames_are_reported_and_not_kept() {
    let outbox = outbox(1, 1000);
    for _ in 0..10 {
        outbox.append_control(Bytes::from_static(b"c"), None, OnLag::Keep);
    }
    let drained = outbox.drain(usize::MAX);
    assert_eq!(drained.items.len(), 4);
    assert!(drained.overflowed);
}

#[test]
fn a_drain_takes_about_what_it_is_asked_for_and_comes_back_for_the_rest() {
    let outbox = outbox(100, 100_000);
    for seq in 1..=10 {
        append(&outbox, 0, seq, 100);
    }
    assert_eq!(outbox.drain(250).items.len(), 3);
    assert_eq!(outbox.drain(usize::MAX).items.len(), 7);
}

#[tokio::test]
async fn a_waiter_is_woken_once_for_what_is_there() {
    let outbox = outbox(8, 1000);
    append(&outbox, 0, 1, 10);
    outbox.ready().await;
    assert_eq!(outbox.drain(usize::MAX).items.len(), 1);
    outbox.close();
    assert_eq!(append(&outbox, 0, 2, 1), Appended::Void, "a closed outbox takes nothing");
}

/// The numbers of the ephemeral frames among these.
fn numbers(items: Vec<Item<Words>>) -> Vec<u64> {
    let number = |item| match item {
        Item::Ephemeral { of, .. } => Some(of),
        Item::Batch { .. } | Item::Control { .. } => None,
    };
    items.into_iter().filter_map(number).collect()
}

#[test]
fn messages_leave_after_events_and_never_make_an_outbox_fall_behind() {
    let outbox = outbox(2, 1000);
    for number in 0..1000 {
        outbox.append_ephemeral(Bytes::from(vec![b'x'; 1000]), number);
    }
    assert_eq!(append(&outbox, 0, 1, 900), Appended::Queued, "messages take no room of events");
    let drained = outbox.drain(usize::MAX);
    assert_eq!(drained.items[0], log(1, 900), "the event first");
    assert_eq!(drained.invalidated, None);
    let kept = numbers(drained.items);
    assert_eq!((kept.first(), kept.last()), (Some(&744), Some(&999)), "the oldest made room");
    assert_eq!(drained.dropped, 744);
    assert_eq!(outbox.drain(usize::MAX).dropped, 0, "said once");
}

#[test]
fn messages_survive_that_their_outbox_is_emptied() {
    let outbox = outbox(1, 1000);
    outbox.append_ephemeral(Bytes::from_static(b"hello"), 7);
    append(&outbox, 0, 1, 1);
    assert_eq!(append(&outbox, 0, 2, 1), Appended::FellBehind);
    let drained = outbox.drain(usize::MAX);
    assert_eq!(drained.invalidated, ran_over(1));
    assert_eq!(numbers(drained.items), [7]);
}

#[test]
fn messages_are_bounded_in_bytes_too() {
    let outbox = outbox(1, 1000);
    for number in 0..3 {
        outbox.append_ephemeral(Bytes::from(vec![b'x'; 100 << 10]), number);
    }
    outbox.append_ephemeral(Bytes::from(vec![b'x'; 300 << 10]), 3);
    let drained = outbox.drain(usize::MAX);
    assert_eq!(numbers(drained.items), [1, 2], "one that never fits pushes no other out");
    assert_eq!(drained.dropped, 2);
}
