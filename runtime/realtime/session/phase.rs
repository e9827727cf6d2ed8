//! `Phase`: how far a subscription is on its way to being live. Values, and what each of them means; see the pictures in `mod.rs`.

use crate::channels::AttachmentId;
use crate::ids::{Position, Seq};
use crate::outbox::Lag;
use crate::protocol::reason::RIGHTS;
use crate::store::ListCursor;

/// Why a subscription is being brought up to date, and the first frame that the peer gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cause {
    /// Answered by `subscribed`.
    Asked { request_id: Option<String> },
    /// Its outbox was emptied: nothing is said, unless a snapshot is needed (`resync`).
    Lagged,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phase {
    /// Waits for its turn to read.
    Queued(Route),
    /// Whether the position can be resumed is being looked up.
    Surveying(ResumeFrom),
    /// The difference that a change of rights makes for the peer at `since` is being read.
    Differing {
        since: Seq,
    },
    /// Rows are being read; `first` is S_1 once a page was written.
    Rows {
        why: SnapshotRequest,
        first: Option<Seq>,
        after: Option<ListCursor>,
        written: usize,
    },
    /// Reads the log after `Replay::at`.
    Following(Replay),
    Attaching {
        attachment: AttachmentId,
        lag: Lag,
        replay: Replay,
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

/// What a subscription that waits continues with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// Attach wherever ChannelManager is, once it is known what the person sees.
    Join {
        request_id: Option<String>,
    },
    Survey(ResumeFrom),
    Rows(SnapshotRequest),
    /// Rights of the person changed, at `rights` at the latest; the peer is at `since` under the earlier ones.
    Rebind {
        since: Seq,
        rights: Seq,
    },
    Differ {
        since: Seq,
    },
}

/// A position to continue from, and the view that the peer says it had there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResumeFrom {
    pub(super) cause: Cause,
    pub(super) since: Position,
    pub(super) view: Option<String>,
}

/// Everything from the start; the word of `protocol/reason.rs` says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SnapshotRequest {
    pub(super) cause: Cause,
    pub(super) reason: &'static str,
}

/// Progress in the log. `prev`: seq of the last event that the peer was sent, for the next one's `prev`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Replay {
    pub(super) at: Seq,
    pub(super) prev: Seq,
    pub(super) tail_of: TailOf,
}

/// What the events that follow are the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TailOf {
    /// They stand for themselves.
    Nothing,
    /// Of a difference after a change of rights, which was whole at the position where they begin.
    Difference,
    /// Of a snapshot, whose later pages are ahead of them.
    Snapshot,
}

impl SnapshotRequest {
    /// Unasked, because rights changed.
    pub(super) fn of_rights() -> SnapshotRequest {
        SnapshotRequest { cause: Cause::Lagged, reason: RIGHTS }
    }
}

impl Replay {
    /// Every event says `more`, until the closing `pong`.
    pub(super) fn unbroken(self) -> bool {
        self.tail_of != TailOf::Nothing
    }
}

impl Route {
    /// Whether the peer has a state under the read scope that it is bound to, from which it continues.
    pub(super) fn goes_on(&self) -> bool {
        match self {
            Route::Survey(resume) => resume.cause == Cause::Lagged,
            Route::Rebind { .. } | Route::Differ { .. } => true,
            Route::Join { .. } | Route::Rows(_) => false,
        }
    }

    /// The phase in which its read is under way; `None` where it needs none.
    pub(super) fn reading(self) -> Option<Phase> {
        match self {
            Route::Join { .. } | Route::Rebind { .. } => None,
            Route::Survey(resume) => Some(Phase::Surveying(resume)),
            Route::Differ { since } => Some(Phase::Differing { since }),
            Route::Rows(why) => Some(Phase::Rows { why, first: None, after: None, written: 0 }),
        }
    }
}

impl Phase {
    pub(super) fn attachment(&self) -> Option<AttachmentId> {
        match self {
            Phase::Attaching { attachment, .. }
            | Phase::Joining { attachment, .. }
            | Phase::Live { attachment, .. } => Some(*attachment),
            Phase::Queued(_)
            | Phase::Surveying(_)
            | Phase::Differing { .. }
            | Phase::Rows { .. }
            | Phase::Following(_) => None,
        }
    }

    /// Why the subscription is being brought up to date, as long as that has a cause.
    fn cause(&self) -> Option<&Cause> {
        match self {
            Phase::Queued(Route::Survey(resume)) | Phase::Surveying(resume) => Some(&resume.cause),
            Phase::Queued(Route::Rows(why)) | Phase::Rows { why, .. } => Some(&why.cause),
            Phase::Queued(Route::Join { .. } | Route::Rebind { .. } | Route::Differ { .. })
            | Phase::Differing { .. }
            | Phase::Following(_)
            | Phase::Attaching { .. }
            | Phase::Joining { .. }
            | Phase::Live { .. } => None,
        }
    }

    pub(super) fn joins(&self) -> bool {
        matches!(self, Phase::Queued(Route::Join { .. }) | Phase::Joining { .. })
    }

    /// Whether the last `subscribe` of the peer has had no answer yet.
    pub(super) fn unanswered(&self) -> bool {
        let begun = matches!(self, Phase::Rows { first: Some(_), .. });
        self.joins() || !begun && matches!(self.cause(), Some(Cause::Asked { .. }))
    }

    /// The request that waits for its answer.
    pub(super) fn request_id(&self) -> Option<&String> {
        if let Phase::Queued(Route::Join { request_id }) | Phase::Joining { request_id, .. } = self {
            return request_id.as_ref();
        }
        match self.cause()? {
            Cause::Asked { request_id } => request_id.as_ref(),
            Cause::Lagged => None,
        }
    }

    pub(super) fn replay(&self) -> Option<Replay> {
        if let Phase::Following(replay) = self { Some(*replay) } else { None }
    }

    pub(super) fn is_live(&self, under: Lag) -> bool {
        matches!(self, Phase::Live { lag, .. } if *lag == under)
    }

    /// Part of a snapshot is still to come.
    pub(super) fn in_snapshot(&self) -> bool {
        match self {
            Phase::Queued(Route::Rows(_)) | Phase::Rows { .. } => true,
            Phase::Following(replay) | Phase::Attaching { replay, .. } => replay.unbroken(),
            Phase::Queued(
                Route::Join { .. } | Route::Survey(_) | Route::Rebind { .. } | Route::Differ { .. },
            )
            | Phase::Surveying(_)
            | Phase::Differing { .. }
            | Phase::Joining { .. }
            | Phase::Live { .. } => false,
        }
    }

    /// How a subscription continues whose rights changed while it was being brought up to date; `None` where no read of its own
    /// can have told.
    pub(super) fn under_other_rights(&self) -> Option<Route> {
        match self {
            Phase::Surveying(ResumeFrom { cause: Cause::Lagged, since, .. }) => {
                Some(Route::Differ { since: since.seq })
            }
            Phase::Following(Replay { at, tail_of: TailOf::Nothing | TailOf::Difference, .. }) => {
                Some(Route::Differ { since: *at })
            }
            Phase::Surveying(resume) => Some(Route::Survey(resume.clone())),
            Phase::Rows { why, first: None, .. } => Some(Route::Rows(why.clone())),
            Phase::Rows { first: Some(_), .. }
            | Phase::Following(Replay { tail_of: TailOf::Snapshot, .. }) => {
                Some(Route::Rows(SnapshotRequest::of_rights()))
            }
            Phase::Queued(_)
            | Phase::Differing { .. }
            | Phase::Attaching { .. }
            | Phase::Joining { .. }
            | Phase::Live { .. } => None,
        }
    }
}
