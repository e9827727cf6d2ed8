//! The outbox: its bounds, and what a connection is told when it falls behind.

use bytes::Bytes;
use tidewire::channels::group::AttachmentId;
use tidewire::channels::outbox::{Appended, Item, Lag, Note, OnLag, Outbox, OutboxLimits};
use tidewire::ids::Seq;

const ONE: AttachmentId = AttachmentId { slot: 0, serial: 1 };

fn outbox(batches: usize, bytes: usize) -> Outbox {
    Outbox::new(OutboxLimits { batches, bytes, controls: 4 })
}

fn log(seq: u64, size: usize) -> Item {
    Item::Log { frames: Bytes::from(vec![b'x'; size]), attachment: ONE, last: Seq(seq), base: Seq(seq - 1) }
}

#[test]
fn what_is_appended_is_drained_in_order() {
    let outbox = outbox(8, 1000);
    outbox.append_log(Lag(0), log(1, 10));
    outbox.append_control(Bytes::from_static(b"c"), None, OnLag::Keep);
    outbox.append_log(Lag(0), log(2, 10));
    let drained = outbox.drain(usize::MAX);
    assert_eq!(drained.items.len(), 3);
    assert_eq!(drained.items[0], log(1, 10));
    assert_eq!(drained.items[2], log(2, 10));
    assert_eq!((drained.lagged, drained.overflowed), (None, false));
}

#[test]
fn an_empty_outbox_takes_one_buffer_of_any_size() {
    let outbox = outbox(8, 100);
    assert_eq!(outbox.append_log(Lag(0), log(1, 5000)), Appended::Queued);
    assert_eq!(outbox.append_log(Lag(0), log(2, 1)), Appended::FellBehind);
    assert_eq!(outbox.drain(usize::MAX).lagged, Some(Lag(1)));
}

#[test]
fn a_full_outbox_forgets_its_batches_and_voids_every_attachment() {
    let outbox = outbox(2, 1000);
    assert_eq!(outbox.append_log(Lag(0), log(1, 1)), Appended::Queued);
    assert_eq!(outbox.append_log(Lag(0), log(2, 1)), Appended::Queued);
    assert_eq!(outbox.append_log(Lag(0), log(3, 1)), Appended::FellBehind);
    assert_eq!(outbox.append_log(Lag(0), log(4, 1)), Appended::Void, "the attachment stays void");
    let drained = outbox.drain(usize::MAX);
    assert_eq!(drained.items, vec![]);
    assert_eq!(drained.lagged, Some(Lag(1)));
    assert_eq!(outbox.append_log(Lag(1), log(4, 1)), Appended::Queued, "a new attachment counts");
    assert_eq!(outbox.drain(usize::MAX).lagged, None, "said once");
}

#[test]
fn positions_that_were_not_reached_are_withheld_when_batches_are_dropped() {
    let outbox = outbox(1, 1000);
    let attached = Note::Attached { attachment: ONE, at: Seq(1), lag: Lag(0) };
    outbox.append_log(Lag(0), log(1, 1));
    outbox.append_control(Bytes::from_static(b"closing pong"), Some(attached), OnLag::Drop);
    let reached = Note::Reached { at: Seq(1), lag: Lag(0) };
    outbox.append_control(
        Bytes::from_static(b"pong 1"),
        Some(reached),
        OnLag::Replace(Bytes::from_static(b"pong")),
    );
    outbox.append_control(Bytes::from_static(b"error"), None, OnLag::Keep);
    outbox.append_log(Lag(0), log(2, 1));
    let frames: Vec<_> = outbox
        .drain(usize::MAX)
        .items
        .into_iter()
        .map(|item| match item {
            Item::Control { frame, note, .. } => (frame, note),
            Item::Log { .. } => panic!("a batch survived"),
        })
        .collect();
    assert_eq!(frames, vec![(Bytes::from_static(b"pong"), None), (Bytes::from_static(b"error"), None)]);
}

#[test]
fn too_many_control_frames_are_said_and_not_kept() {
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
        outbox.append_log(Lag(0), log(seq, 100));
    }
    assert_eq!(outbox.drain(250).items.len(), 3);
    assert_eq!(outbox.drain(usize::MAX).items.len(), 7);
}

#[tokio::test]
async fn a_waiter_is_woken_once_for_what_is_there() {
    let outbox = outbox(8, 1000);
    outbox.append_log(Lag(0), log(1, 10));
    outbox.ready().await;
    assert_eq!(outbox.drain(usize::MAX).items.len(), 1);
    outbox.close();
    assert_eq!(outbox.append_log(Lag(0), log(2, 1)), Appended::Void, "a closed outbox takes nothing");
}
