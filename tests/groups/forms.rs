//! The bytes of a batch in each wire form: made once, and only if a member uses it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tidewire::channels::group::Member;
use tidewire::channels::groups::{FannedOut, Groups};
use tidewire::channels::{Item, Outbox};
use tidewire::ids::Seq;
use tidewire::outbox::OutboxLimits;
use tidewire::protocol::WireForm;
use tidewire::store::CommitBatch;

use super::join;
use super::world::{FIRST_LAG, Someone, attach, batch, change, outbox_of, read_scope, record, taken};
use crate::support::fixtures::id;

/// The outbox of a poll that waits: it holds nothing.
fn waiting() -> Arc<Outbox> {
    Arc::new(Outbox::new(OutboxLimits { batches: 0, bytes: 0, controls: 9 }, WireForm::Json))
}

/// One member for each outbox, all in one group.
fn group_of(outboxes: &[Arc<Outbox>]) -> Groups {
    let mut groups = Groups::new(Seq(0), 10);
    let shown = read_scope(0, 0, &Someone::nobody());
    for (connection, outbox) in (1..).zip(outboxes) {
        join(&mut groups, &attach(connection, "entity:Task", &shown, outbox));
    }
    groups
}

/// A record is created, and another one deleted.
fn two_events() -> CommitBatch {
    let task = record(&id(7), &json!({}));
    batch(vec![change(1, &id(7), None, Some(&task)), change(2, &id(8), Some(&task), None)])
}

fn made(counts: FannedOut) -> (usize, usize) {
    (counts.encodings, counts.buffers)
}

/// The one buffer that waits.
fn buffer(outbox: &Outbox) -> Bytes {
    let mut items = outbox.drain(usize::MAX).items;
    match (items.pop(), items.is_empty()) {
        (Some(Item::Batch { frames, .. }), true) => frames,
        (other, _) => panic!("not one buffer: {other:?}"),
    }
}

#[test]
fn the_members_of_a_group_share_one_buffer_for_each_form_among_them() {
    let sockets: Vec<_> = (0..3).map(|_| outbox_of(WireForm::WebSocket)).collect();
    let streams: Vec<_> = (0..2).map(|_| outbox_of(WireForm::EventStream)).collect();
    let outboxes = [&sockets[..], &streams, &[waiting()]].concat();
    let counts = group_of(&outboxes).fan_out(&two_events());
    assert_eq!(
        (counts.deliveries, made(counts)),
        (5, (2, 2)),
        "each event is encoded once, each form made once"
    );
    for shared in [sockets, streams] {
        let buffers: Vec<Bytes> = shared.iter().map(|outbox| buffer(outbox)).collect();
        assert!(buffers.iter().all(|buffer| buffer.as_ptr() == buffers[0].as_ptr()), "the same bytes");
    }
}

#[test]
fn groups_that_are_shown_the_same_share_one_buffer_for_each_form_among_them() {
    let mut groups = Groups::new(Seq(0), 10);
    for n in 0..100_u64 {
        let form = if n % 2 == 0 { WireForm::WebSocket } else { WireForm::EventStream };
        let who = Someone::named(&format!("u{n}"), &["p1", &format!("other {n}")]);
        join(&mut groups, &attach(n, "entity:Task", &read_scope(2, 0, &who), &outbox_of(form)));
    }
    let counts = groups.fan_out(&two_events());
    assert_eq!((groups.group_count(), counts.deliveries, made(counts)), (100, 100, (2, 2)));
}

#[test]
fn a_form_that_nobody_uses_is_not_made() {
    for form in [WireForm::WebSocket, WireForm::EventStream, WireForm::Json] {
        let counts = group_of(&[outbox_of(form), outbox_of(form)]).fan_out(&two_events());
        assert_eq!(made(counts), (2, 1), "{form:?}");
    }
    let counts = group_of(&[waiting(), waiting()]).fan_out(&two_events());
    assert_eq!((counts.events, made(counts)), (2, (0, 0)), "they are woken, and told nothing");
    let mut groups = Groups::new(Seq(0), 10);
    let later = Member { outbox: outbox_of(WireForm::WebSocket), lag: FIRST_LAG, from: Seq(2) };
    let of = attach(1, "entity:Task", &read_scope(0, 0, &Someone::nobody()), &later.outbox);
    groups.join(&of, later);
    assert_eq!(made(groups.fan_out(&two_events())), (0, 0), "its only member has the batch already");
}

#[test]
fn a_waiting_poll_is_woken_without_bytes() {
    let waiting = waiting();
    let mut groups = group_of(&[waiting.clone()]);
    let counts = groups.fan_out(&two_events());
    assert_eq!((counts.lags, counts.deliveries), (0, 0));
    assert!(waiting.drain(usize::MAX).invalidated.is_some());
    assert!(groups.is_empty(), "it has heard what it waited for");
}

#[test]
fn a_batch_is_the_same_frames_in_every_form() {
    let forms = [WireForm::WebSocket, WireForm::EventStream, WireForm::Json];
    let outboxes = forms.map(outbox_of);
    group_of(&outboxes).fan_out(&two_events());
    let [socket, stream, json] = outboxes.each_ref().map(|outbox| taken(outbox));
    assert_eq!(socket.len(), 2);
    assert_eq!((&stream, &json), (&socket, &socket));
}

#[test]
fn an_event_stream_has_an_event_for_each_frame_and_no_id() {
    let outbox = outbox_of(WireForm::EventStream);
    let mut groups = Groups::new(Seq(0), 10);
    let everything = read_scope(0, 0, &Someone::nobody());
    join(&mut groups, &attach(1, "entity:Task", &everything, &outbox));
    let task = record(&id(7), &json!({}));
    let mut gone = change(2, &id(7), Some(&task), None);
    gone.actor = None;
    // A text with line breaks stays within its line.
    let mut left = change(1, &id(8), Some(&task), None);
    left.actor = Some("ada\n\ndata: x".into());
    left.unit_last = false;
    groups.fan_out(&batch(vec![left, gone]));
    let expected = format!(
        "event: entity:deleted\n\
         data: {{\"type\":\"entity:deleted\",\"prev\":0,\"more\":true,\"channel\":\"entity:Task\",\"seq\":1,\
         \"by\":\"ada\\n\\ndata: x\",\"timestamp\":1700000000000,\"payload\":{{\"id\":\"{}\"}}}}\n\n\
         event: entity:deleted\n\
         data: {{\"type\":\"entity:deleted\",\"prev\":1,\"channel\":\"entity:Task\",\"seq\":2,\
         \"timestamp\":1700000000000,\"payload\":{{\"id\":\"{}\"}}}}\n\n",
        id(8).as_str(),
        id(7).as_str()
    );
    assert_eq!(buffer(&outbox), expected);
}
