//! One subscription of a session: its phase, and how far its peer has come.

use crate::channels::{Admission, AttachmentId};
use crate::ids::{Epoch, Position, RecordId, Seq};
use crate::metrics::Counted;
use crate::outbox::Lag;
use crate::protocol::ClientFrame;
use crate::realtime::channel::{Bound, Channel, Checkup};
use crate::realtime::read::Checked;

/// Frames for one channel that may wait until its last `subscribe` is answered.
pub(super) const POSTPONED: usize = 8;

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) channel: Channel,
    /// What its person sees; `None` while it waits for what must be known of them first.
    pub(super) bound: Option<Bound>,
    /// Tells this subscription from an earlier one in the same slot.
    pub(super) serial: u32,
    pub(super) phase: Phase,
    /// The peer knows everything up to here: the last event or position it was sent.
    pub(super) sent: Seq,
    /// Most rows of a snapshot.
    pub(super) limit: Option<usize>,
    /// Granted when it was live first.
    pub(super) admission: Admission,
    /// Snapshots since the subscription was last live.
    pub(super) snapshots: u8,
    /// What the peer asked of this channel before its last `subscribe` was answered.
    pub(super) postponed: Vec<ClientFrame>,
    /// Among the subscriptions in `/metrics`.
    pub(super) _counted: Counted,
}

/// Why a subscription is being brought up to date, and what the peer is told first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// Answered by `subscribed`.
    Asked { request_id: Option<String> },
    /// Its outbox was emptied: nothing is said, unless a snapshot is needed (`resync`).
    Lagged,
}

/// See the picture in the session's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for its turn to read.
    Queued(Start),
    /// A survey is under way.
    Surveying {
        cause: Cause,
        since: Position,
        view: Option<String>,
    },
    /// What a change of rights means for the peer, who stands at `since`, is being read.
    Differing {
        since: Seq,
    },
    /// Rows are being read; `first` is S_1 once a page was written.
    Rows {
        cause: Cause,
        reason: &'static str,
        first: Option<Seq>,
        after: Option<RecordId>,
        written: usize,
    },
    /// Reads the log after `at`.
    Following(Following),
    Attaching {
        attachment: AttachmentId,
        lag: Lag,
        following: Following,
    },
    /// Attaches at ChannelManager's position, whatever it is.
    Joining {
        attachment: AttachmentId,
        request_id: Option<String>,
    },
    Live {
        attachment: AttachmentId,
        lag: Lag,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Start {
    /// Attach wherever ChannelManager is, once it is known what the person sees.
    Join {
        request_id: Option<String>,
    },
    Survey {
        cause: Cause,
        since: Position,
        view: Option<String>,
    },
    Rows {
        cause: Cause,
        reason: &'static str,
    },
    Differ {
        since: Seq,
    },
}

/// Progress in the log. `prev`: seq of the last event that the peer was sent, for the next one's `prev`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Following {
    pub(super) at: Seq,
    pub(super) prev: Seq,
    pub(super) part: Part,
}

/// What the events that follow are the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Of nothing: they stand for themselves.
    Log,
    /// Of a difference after a change of rights, which was whole at the position where they begin.
    Difference,
    /// Of a snapshot, whose later pages are ahead of them.
    Snapshot,
}

impl Following {
    /// Every event says `more`, until the closing `pong`.
    pub(super) fn unbroken(self) -> bool {
        self.part != Part::Log
    }
}

impl Subscription {
    pub(super) fn attachment(&self) -> Option<AttachmentId> {
        match &self.phase {
            Phase::Attaching { attachment, .. }
            | Phase::Joining { attachment, .. }
            | Phase::Live { attachment, .. } => Some(*attachment),
            Phase::Queued(_)
            | Phase::Surveying { .. }
            | Phase::Differing { .. }
            | Phase::Rows { .. }
            | Phase::Following(_) => None,
        }
    }

    /// Whether the last `subscribe` of the peer has had no answer yet.
    pub(super) fn unanswered(&self) -> bool {
        match &self.phase {
            Phase::Queued(Start::Survey { cause, .. } | Start::Rows { cause, .. })
            | Phase::Surveying { cause, .. }
            | Phase::Rows { cause, first: None, .. } => matches!(cause, Cause::Asked { .. }),
            Phase::Queued(Start::Join { .. }) | Phase::Joining { .. } => true,
            Phase::Queued(Start::Differ { .. })
            | Phase::Differing { .. }
            | Phase::Rows { .. }
            | Phase::Following(_)
            | Phase::Attaching { .. }
            | Phase::Live { .. } => false,
        }
    }

    /// The request that waits for its answer.
    pub(super) fn request_id(&self) -> Option<String> {
        match &self.phase {
            Phase::Queued(Start::Survey { cause, .. } | Start::Rows { cause, .. })
            | Phase::Surveying { cause, .. }
            | Phase::Rows { cause, .. } => match cause {
                Cause::Asked { request_id } => request_id.clone(),
                Cause::Lagged => None,
            },
            Phase::Queued(Start::Join { request_id }) | Phase::Joining { request_id, .. } => {
                request_id.clone()
            }
            Phase::Queued(Start::Differ { .. })
            | Phase::Differing { .. }
            | Phase::Following(_)
            | Phase::Attaching { .. }
            | Phase::Live { .. } => None,
        }
    }

    pub(super) fn following(&self) -> Option<Following> {
        match self.phase {
            Phase::Following(following) => Some(following),
            Phase::Queued(_)
            | Phase::Surveying { .. }
            | Phase::Differing { .. }
            | Phase::Rows { .. }
            | Phase::Attaching { .. }
            | Phase::Joining { .. }
            | Phase::Live { .. } => None,
        }
    }

    /// Events up to `last` are being written. Answers the lag number under which the subscription is live.
    pub(super) fn advance(&mut self, last: Seq) -> Option<Lag> {
        self.sent = self.sent.max(last);
        match &mut self.phase {
            Phase::Attaching { following, .. } => {
                following.at = following.at.max(last);
                following.prev = last;
                None
            }
            Phase::Live { lag, .. } => Some(*lag),
            Phase::Queued(_)
            | Phase::Surveying { .. }
            | Phase::Differing { .. }
            | Phase::Rows { .. }
            | Phase::Following(_)
            | Phase::Joining { .. } => None,
        }
    }

    pub(super) fn go_live(&mut self, attachment: AttachmentId, at: Seq, lag: Lag) {
        self.sent = self.sent.max(at);
        self.snapshots = 0;
        self.admission = Admission::Granted;
        self.phase = Phase::Live { attachment, lag };
    }

    /// Whether what was read may be shown.
    pub(super) fn check<T>(&mut self, checked: &Checked<T>) -> Checkup {
        self.bound.as_mut().map_or(Checkup::NotAsked, |bound| bound.check(checked))
    }

    /// A pong told the peer that it has everything up to `at`.
    pub(super) fn reached(&mut self, at: Seq, under: Lag) {
        if matches!(self.phase, Phase::Live { lag, .. } if lag == under) {
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
            | Phase::Surveying { .. }
            | Phase::Differing { .. }
            | Phase::Rows { .. }
            | Phase::Following(_) => None,
        }
    }

    /// Part of a snapshot is still to come.
    pub(super) fn in_snapshot(&self) -> bool {
        match &self.phase {
            Phase::Queued(Start::Rows { .. }) | Phase::Rows { .. } => true,
            Phase::Following(following) | Phase::Attaching { following, .. } => following.unbroken(),
            Phase::Queued(Start::Join { .. } | Start::Survey { .. } | Start::Differ { .. })
            | Phase::Surveying { .. }
            | Phase::Differing { .. }
            | Phase::Joining { .. }
            | Phase::Live { .. } => false,
        }
    }

    /// The outbox was emptied. Answers whether the subscription now waits for its turn to read. `swept` holds for
    /// what was live under `old`.
    pub(super) fn fall_behind(&mut self, now: Lag, old: Lag, swept: Seq, epoch: &Epoch) -> bool {
        match &self.phase {
            Phase::Live { lag, .. } if *lag < now => {
                let at = if *lag == old { self.sent.max(swept) } else { self.sent };
                let since = Position { epoch: epoch.clone(), seq: at };
                self.phase = Phase::Queued(Start::Survey { cause: Cause::Lagged, since, view: None });
                true
            }
            Phase::Attaching { lag, following, .. } if *lag < now => {
                self.phase = Phase::Following(*following);
                false
            }
            Phase::Live { .. }
            | Phase::Attaching { .. }
            | Phase::Queued(_)
            | Phase::Surveying { .. }
            | Phase::Differing { .. }
            | Phase::Rows { .. }
            | Phase::Following(_)
            | Phase::Joining { .. } => false,
        }
    }
}

/// A session has far fewer than 65,536 slots.
pub(super) fn slot_number(slot: usize) -> u16 {
    u16::try_from(slot).unwrap_or(u16::MAX)
}
