//! A group: subscriptions with the same channel text and the same view. What a change is for it.

use std::sync::Arc;

use smallvec::SmallVec;

use super::event::{Event, existed, is_readable, mask};
use super::few::Few;
use super::index::Stand;
use super::note::{AttachmentId, Outbox};
use super::paces::PaceNumber;
use super::runs::RunNumber;
use super::sight::Sight;
use super::tails::NumberedText;
use super::writer::Audience;
use crate::ids::Seq;
use crate::outbox::Lag;
use crate::protocol::View;
use crate::rules::{Mask, Sides, Verdict};
use crate::store::Change;

/// A connection of this process, for as long as it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionKey(pub u64);

/// A subscription that receives every batch that ends after `from`.
#[derive(Debug, Clone)]
pub struct Member {
    pub outbox: Arc<Outbox>,
    pub lag: Lag,
    pub from: Seq,
}

/// One subscription among all.
pub(super) type MemberKey = (ConnectionKey, AttachmentId);

/// What every change and batch looks at is in place, the only member of many groups with it, so that few places in memory are gone
/// to for each of very many.
#[derive(Debug)]
pub(super) struct Group {
    /// Number of the channel's text: groups with the same share their tails.
    pub(super) text: u64,
    /// Seq of the group's previous event, or the position at which the group began.
    pub(super) prev: Seq,
    /// The look-up in which the group was last found, and by which records.
    pub(super) looked_at: u64,
    pub(super) sides: Sides,
    /// Whether it sees records, and exactly those by which it is found.
    pub(super) is_exact: bool,
    /// Whether it sees records, and fields of some are hidden.
    pub(super) hides: bool,
    /// Events since the group began.
    pub(super) events: u64,
    /// What the batches that wait are for this group; without a rate, `None` between batches.
    pub(super) run: Option<RunNumber>,
    pub(super) pace: PaceNumber,
    /// Its streams know that something waits.
    pub(super) is_told: bool,
    pub(super) members: Few<MemberKey, Member>,
    pub(super) about: Box<About>,
}

/// What need not be looked at for every change.
#[derive(Debug)]
pub(super) struct About {
    pub(super) channel: Arc<str>,
    pub(super) view: View,
    pub(super) sight: Sight,
    /// Of each entity that the sight sees something of, in the order of its parts.
    pub(super) stands: SmallVec<[Stand; 1]>,
}

impl Group {
    pub(super) fn audience(&self) -> Audience<'_> {
        Audience {
            channel: NumberedText { number: self.text, text: &self.about.channel },
            sight: &self.about.sight,
            prev: self.prev,
        }
    }

    /// What the change is for the group, which the index found for it.
    pub(super) fn judge(&self, change: &Change) -> Option<Event> {
        let read_scope = match &self.about.sight {
            Sight::Records { read_scope, .. } if self.is_exact => read_scope,
            sight @ (Sight::Records { .. } | Sight::Activity(_)) => return sight.judge(change),
        };
        let verdict = Verdict::of(self.sides, existed(change), || is_readable(change, read_scope));
        let mask = || if self.hides { mask(change, read_scope, verdict) } else { Mask::default() };
        let event = (verdict != Verdict::Nothing).then(|| Event::Record { verdict, mask: mask() });
        debug_assert_eq!(event, self.about.sight.judge(change), "the index is exact");
        event
    }
}
