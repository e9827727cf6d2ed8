//! `SessionRooms`: the rooms that one peer is in, and the frames about rooms that wait until the rights of the person are known.
//!
//! Judges nothing: `rooms.rs` does.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::channels::Membership;
use crate::metrics::GaugeGuard;
use crate::protocol::{ChannelTarget, ClientFrame};
use crate::realtime::rate::RateCap;

/// See the module's text.
#[derive(Debug)]
pub(super) struct SessionRooms {
    pub(super) stays: Vec<Stay>,
    /// Frames of the peer about rooms, in their order.
    pub(super) waiting: VecDeque<ClientFrame>,
    pub(super) rights: Knowledge,
    /// How fast the peer may publish, into all rooms together.
    pub(super) rate: RateCap,
}

/// One room that the peer is in.
#[derive(Debug)]
pub(super) struct Stay {
    pub(super) channel: Arc<str>,
    pub(super) target: ChannelTarget,
    pub(super) membership: Membership,
    /// Among the subscriptions in `/metrics`.
    pub(super) _counted: GaugeGuard,
}

/// What is known of the rights of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// They may have changed since they were read.
    Old,
    /// They are being read.
    Awaited,
    /// They are known, and the session hears of every change.
    Current,
}

impl SessionRooms {
    pub(super) fn new(messages_per_second: u32) -> SessionRooms {
        SessionRooms {
            stays: Vec::new(),
            waiting: VecDeque::new(),
            rights: Knowledge::Old,
            rate: RateCap::new(messages_per_second, messages_per_second.saturating_mul(2)),
        }
    }

    pub(super) fn count(&self) -> usize {
        self.stays.len()
    }

    /// Whether a message that waited in the outbox is for a stay that the peer still has.
    pub(super) fn has(&self, membership: Membership) -> bool {
        self.stays.iter().any(|stay| stay.membership == membership)
    }

    pub(super) fn find(&self, channel: &str) -> Option<&Stay> {
        self.stays.iter().find(|stay| *stay.channel == *channel)
    }
}
