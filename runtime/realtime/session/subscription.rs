//! One subscription to records: its phase, and how far its peer has come.
//!
//! Does not know its session: what is true for all subscriptions comes in.

use std::sync::Arc;

use super::input::Effect;
use super::phase::{Cause, Phase, Route, SnapshotRequest};
use crate::channels::{Admission, AttachFrom, AttachmentId};
use crate::ids::Seq;
use crate::metrics::GaugeGuard;
use crate::outbox::Lag;
use crate::protocol::reason::ASKED;
use crate::protocol::{ClientFrame, FirstRows};
use crate::realtime::channel::{Binding, Channel, ChannelRefusal, Checkup};
use crate::realtime::read::CheckedRead;
use crate::realtime::subscription_row::ShownAgain;
use crate::rules::Principal;
use crate::store::{At, SortBy};

/// Frames for one channel that may wait until its last `subscribe` is answered.
const POSTPONED: usize = 8;

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) channel: Channel,
    /// What its person sees; `None` while it waits for what must be known of them first.
    pub(super) bound: Option<Binding>,
    /// Tells this subscription from an earlier one in the same slot.
    pub(super) serial: u32,
    pub(super) phase: Phase,
    /// The peer knows everything up to here: the last event or position it was sent.
    pub(super) sent: Seq,
    /// Events after this position wait for the rate of their entity.
    pub(super) waits: Option<Seq>,
    /// Its events begin after this position: that of its snapshot, of its resume, or where it joined. `None` until it has one.
    pub(super) since: Option<Seq>,
    /// Its last snapshot after that.
    pub(super) shown_again: Option<ShownAgain>,
    /// What a snapshot shows, where that is not every record.
    pub(super) first_rows: Option<FirstRows>,
    /// The order of a snapshot.
    pub(super) order: Arc<[SortBy]>,
    /// Granted when it was live first.
    admission: Admission,
    /// Snapshots since the subscription was last live.
    pub(super) snapshots: u8,
    /// What the peer asked of this channel before its last `subscribe` was answered.
    pub(super) postponed: Vec<ClientFrame>,
    /// Among the subscriptions in `/metrics`.
    _counted: GaugeGuard,
}

/// A subscription, distinguished from an earlier one in the same slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotKey {
    pub(super) slot: u16,
    pub(super) serial: u32,
}

impl Subscription {
    pub(super) fn new(channel: Channel, counted: GaugeGuard) -> Subscription {
        let first_rows = channel.first_rows();
        Subscription {
            channel,
            bound: None,
            serial: 0,
            phase: Phase::Queued(Route::Rows(SnapshotRequest { cause: Cause::Lagged, reason: ASKED })),
            sent: Seq::ZERO,
            waits: None,
            since: None,
            shown_again: None,
            first_rows,
            order: Arc::default(),
            admission: Admission::Sought,
            snapshots: 0,
            postponed: Vec::new(),
            _counted: counted,
        }
    }

    /// Whether its snapshots are a part of its records (SEMANTICS X8).
    pub(super) fn is_limited(&self) -> bool {
        self.first_rows.is_some()
    }

    pub(super) fn key(&self, slot: u16) -> SlotKey {
        SlotKey { slot, serial: self.serial }
    }

    /// Whether what the peer asks now must wait for the answer to what it asked before.
    pub(super) fn must_postpone(&self) -> bool {
        self.phase.unanswered() || self.bound.is_none()
    }

    /// Gives the frame back if too many wait already.
    pub(super) fn postpone(&mut self, frame: ClientFrame) -> Option<ClientFrame> {
        if self.postponed.len() >= POSTPONED {
            return Some(frame);
        }
        self.postponed.push(frame);
        None
    }

    /// Binds what was shown nothing yet under its read scope, or must be shown everything again.
    pub(super) fn bind(&mut self, principal: At<&Principal>) -> Result<(), ChannelRefusal> {
        let (principal, at) = (principal.value, principal.seq);
        let known = self.bound.as_ref().map(|bound| bound.at);
        let unanswered = self.phase.unanswered();
        if known.is_some_and(|known| known >= at) && !unanswered {
            return Ok(());
        }
        let bound = if unanswered || known.is_none() {
            self.channel.open(principal, at)?
        } else {
            self.channel.rebind(principal, at)?
        };
        let sort = self.first_rows.as_ref().map_or("", |first| &first.sort);
        self.order = self.channel.order(principal, &bound.sight, sort)?;
        if known.is_none_or(|known| known < at) {
            self.bound = Some(bound);
        }
        Ok(())
    }

    /// Whether the person sees the same by this principal as by the one that the subscription is bound to.
    pub(super) fn sees_the_same(&self, principal: &At<&Principal>) -> bool {
        let Some(bound) = &self.bound else { return false };
        let now = self.channel.rebind(principal.value, principal.seq);
        now.is_ok_and(|now| now.view == bound.view)
    }

    /// Whether what was read may be shown.
    pub(super) fn check<T>(&mut self, read: &CheckedRead<T>) -> Checkup {
        self.bound.as_mut().map_or(Checkup::NotAsked, |bound| bound.check(read))
    }

    /// What ChannelManager is asked; `None` while it is unknown what its person sees.
    pub(super) fn attach(&self, attachment: AttachmentId, from: AttachFrom) -> Option<Effect> {
        let bound = self.bound.as_ref()?;
        Some(Effect::Attach {
            attachment,
            channel: self.channel.text.clone(),
            sight: bound.sight.clone(),
            view: bound.view.clone(),
            interval: self.channel.interval(),
            watch: bound.watch(),
            admission: self.admission,
            from,
        })
    }

    /// Events up to `last` are being written. Answers the lag number under which the subscription is live.
    pub(super) fn advance(&mut self, last: Seq) -> Option<Lag> {
        self.sent = self.sent.max(last);
        self.waits = None;
        match &mut self.phase {
            Phase::Attaching { replay, .. } => {
                replay.at = replay.at.max(last);
                replay.prev = last;
                None
            }
            Phase::Live { lag, .. } => Some(*lag),
            Phase::Queued(_)
            | Phase::Surveying(_)
            | Phase::Differing { .. }
            | Phase::Rows { .. }
            | Phase::Following(_)
            | Phase::Joining { .. } => None,
        }
    }

    pub(super) fn go_live(&mut self, attachment: AttachmentId, at: Seq, lag: Lag) {
        self.sent = self.sent.max(at);
        self.waits = None;
        self.since.get_or_insert(at);
        self.snapshots = 0;
        self.admission = Admission::Granted;
        self.phase = Phase::Live { attachment, lag };
    }

    /// A pong said that the peer has everything up to `at`.
    pub(super) fn reached(&mut self, at: Seq, under: Lag) {
        if self.phase.is_live(under) {
            self.sent = self.sent.max(at);
        }
    }

    /// The attachment that is invalid now that the outbox was emptied.
    pub(super) fn invalidated(&self, now: Lag) -> Option<AttachmentId> {
        match &self.phase {
            Phase::Live { attachment, lag } | Phase::Attaching { attachment, lag, .. } if *lag < now => {
                Some(*attachment)
            }
            Phase::Live { .. }
            | Phase::Attaching { .. }
            | Phase::Joining { .. }
            | Phase::Queued(_)
            | Phase::Surveying(_)
            | Phase::Differing { .. }
            | Phase::Rows { .. }
            | Phase::Following(_) => None,
        }
    }

    /// Rows are being shown as of `at`, in place of what the peer was sent before, if it was.
    pub(super) fn show_rows(&mut self, at: Seq) {
        if self.since.is_none() {
            self.since = Some(at);
        } else if let Some(earlier) = self.shown_again.replace(ShownAgain { after: self.sent, at }) {
            // Of two gaps only the last is known, so its events begin behind the first.
            self.since = Some(earlier.at);
        }
        self.sent = at;
    }

    /// The outbox was emptied. Returns the peer's position if the subscription was live, and has to continue from there. `swept`
    /// holds for what was live under `old`.
    pub(super) fn fall_behind(&mut self, now: Lag, old: Lag, swept: Seq) -> Option<Seq> {
        match &self.phase {
            Phase::Live { lag, .. } if *lag < now => {
                Some(if *lag == old { self.sent.max(swept) } else { self.sent })
            }
            Phase::Attaching { lag, replay, .. } if *lag < now => {
                self.phase = Phase::Following(*replay);
                None
            }
            Phase::Live { .. }
            | Phase::Attaching { .. }
            | Phase::Queued(_)
            | Phase::Surveying(_)
            | Phase::Differing { .. }
            | Phase::Rows { .. }
            | Phase::Following(_)
            | Phase::Joining { .. } => None,
        }
    }
}
