//! The answer to a resume: on from the position, or everything from the start.

use super::phase::{Cause, Phase, Replay, ResumeFrom, Route, SnapshotRequest, TailOf};
use super::state::{PositionFrame, Session};
use super::subscription::SlotKey;
use super::turn::Turn;
use crate::metrics::CatchUp;
use crate::protocol::CloseCode;
use crate::realtime::channel::Checkup;
use crate::realtime::read::CheckedRead;
use crate::realtime::resume::{Claim, Resume, decide};
use crate::store::Survey;

impl Session {
    pub(super) fn on_survey(&mut self, turn: &mut Turn, key: SlotKey, survey: &CheckedRead<Survey>) {
        let limit = self.around.config.replay_limit;
        let Some(subscription) = self.slots.of(key) else { return };
        let Phase::Surveying(resume) = subscription.phase.clone() else { return };
        let ResumeFrom { cause, since, view: theirs } = resume;
        match subscription.check(survey) {
            Checkup::Same => {}
            Checkup::Changed(seq) => return self.on_rights_changed(key.slot, seq),
            Checkup::NotAsked => return self.close(turn, CloseCode::Internal),
        }
        let Some(bound) = &subscription.bound else { return };
        // A subscription that fell behind got its state from this server, under this read scope.
        let view = if cause == Cause::Lagged { Some(bound.view.as_str()) } else { theirs.as_deref() };
        let claim = Claim { since: since.seq, view, limited: subscription.first_rows.is_some() };
        match decide(claim, bound, survey, limit) {
            Resume::Recovered => {
                // A lagging peer knows of no event between its last one and `since`, so `prev` is what it was sent.
                let prev = if cause == Cause::Lagged { subscription.sent } else { since.seq };
                subscription.sent = prev;
                subscription.since.get_or_insert(since.seq);
                subscription.phase =
                    Phase::Following(Replay { at: since.seq, prev, tail_of: TailOf::Nothing });
                self.on_recovered(turn, key.slot, &cause, survey);
            }
            Resume::Restart(reason) => {
                subscription.phase = Phase::Queued(Route::Rows(SnapshotRequest { cause, reason }));
                self.reads.wait_first(key);
            }
        }
    }

    fn on_recovered(&mut self, turn: &mut Turn, slot: u16, cause: &Cause, survey: &CheckedRead<Survey>) {
        let live = &self.around.metrics.live;
        match cause {
            Cause::Lagged => live.caught_up(CatchUp::Lag),
            Cause::Asked { request_id } => {
                live.caught_up(CatchUp::Resume);
                let (kind, seq, recovered) = ("subscribed", survey.read.seq, Some(true));
                let request_id = request_id.as_deref();
                let told = PositionFrame { kind, request_id, seq, recovered, reason: None, more: false };
                self.tell_position(turn, slot, told);
                turn.make_due(self.slots.take_postponed(slot));
            }
        }
    }
}
