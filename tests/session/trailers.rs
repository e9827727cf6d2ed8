//! The trailer of a stream: one position for all of its channels, and when there is none.

use bytes::Bytes;
use serde_json::json;
use tidewire::channels::{AttachmentId, Item, Note};
use tidewire::ids::Seq;
use tidewire::metrics::Via;
use tidewire::outbox::OnLag;
use tidewire::protocol::WireForm;
use tidewire::realtime::session::{Session, SessionStart, Surroundings};
use tidewire::rules::Principal;

use super::{Peer, at, attachment_of, lagged};

/// A session of a stream.
fn stream() -> Peer {
    let mut peer = Peer::new();
    let around: Surroundings = Peer::around();
    let (at_start, form) = (peer.now.instant, WireForm::EventStream);
    let start = SessionStart { at: at_start, via: Via::Sse, form, offended: false, login: None };
    peer.session = Session::new(around, at(1, 0, Principal::nobody()), start);
    peer
}

fn asks(peer: &mut Peer, channel: &str) -> AttachmentId {
    attachment_of(&peer.subscribe(channel, &json!({})))
}

/// The position that the trailer names, if there is one.
fn trailer(peer: &mut Peer, reached: u64) -> Option<u64> {
    let bytes = peer.session.trailer(Seq(reached))?;
    let text = std::str::from_utf8(&bytes).unwrap();
    let id =
        text.strip_prefix("id: ").and_then(|id| id.strip_suffix("\n\n")).expect("an id and nothing else");
    Some(id.split(':').nth(1).unwrap().parse().unwrap())
}

fn waits(peer: &mut Peer, attachment: AttachmentId, base: u64) {
    let note = Some(Note::Waits { attachment, base: Seq(base) });
    let item = Item::Control { frame: Bytes::new(), note, on_lag: OnLag::Drop };
    assert!(peer.session.on_item(peer.now, item).frame.is_none(), "a note is no frame");
}

#[test]
fn there_is_none_before_every_channel_is_live() {
    let mut peer = stream();
    let task = asks(&mut peer, "entity:Task");
    assert_eq!(trailer(&mut peer, 5), None);
    peer.attached(task, 5, 0);
    let note = asks(&mut peer, "entity:Note");
    assert_eq!(trailer(&mut peer, 6), None, "the second has got nothing yet");
    peer.attached(note, 6, 0);
    assert_eq!(trailer(&mut peer, 7), Some(7));
    // One that fell behind was not sent what comes.
    peer.on(lagged(1));
    assert_eq!(trailer(&mut peer, 9), None);
}

#[test]
fn it_is_named_once_and_never_an_earlier_one() {
    let mut peer = stream();
    let task = asks(&mut peer, "entity:Task");
    peer.attached(task, 5, 0);
    assert_eq!([7, 7, 6, 8].map(|reached| trailer(&mut peer, reached)), [Some(7), None, None, Some(8)]);
}

#[test]
fn it_stays_before_what_waits_until_that_has_come() {
    let mut peer = stream();
    let task = asks(&mut peer, "entity:Task");
    peer.attached(task, 5, 0);
    let note = asks(&mut peer, "entity:Note");
    peer.attached(note, 5, 0);
    waits(&mut peer, task, 6);
    waits(&mut peer, task, 8);
    assert_eq!(trailer(&mut peer, 9), Some(6), "the first wait counts");
    peer.log_item(note, 10, 9);
    assert_eq!(trailer(&mut peer, 10), None, "another channel goes on");
    peer.log_item(task, 9, 6);
    assert_eq!(trailer(&mut peer, 10), Some(10));
}
