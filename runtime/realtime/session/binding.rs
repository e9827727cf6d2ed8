//! What the person may see, and binding subscriptions to it (SEMANTICS R3).
//!
//! The rule that holds everything together: what is shown to the peer was read, and then checked; a subscription is bound again
//! only from a principal that is as new as the change that was found.

use super::phase::{Phase, Replay, Route, SnapshotRequest, TailOf};
use super::state::Session;
use super::subscription::SlotKey;
use super::turn::{Envelope, Turn};
use crate::ids::Seq;
use crate::metrics::CatchUp;
use crate::protocol::{CloseCode, Code};
use crate::realtime::channel::ChannelRefusal;
use crate::rules::Principal;
use crate::store::At;

impl Session {
    /// Starts what the peer asked for, or what it must be sent again. What was judged by a principal that may be out of date is
    /// judged once more by the current one, before the peer is refused.
    pub(super) fn begin(&mut self, turn: &mut Turn, slot: u16, route: Route) {
        let serial = self.slots.next_serial();
        let Some(subscription) = self.slots.at_mut(slot) else { return };
        subscription.serial = serial;
        let (key, joins) = (subscription.key(slot), matches!(route, Route::Join { .. }));
        subscription.phase = Phase::Queued(route);
        match self.bind(slot) {
            Ok(true) if joins => self.join(turn, slot),
            Ok(true) => self.reads.wait(key),
            Err(refusal) if self.person.is_nobody() => self.end(turn, slot, &refusal),
            Ok(false) | Err(_) => {
                self.person.want();
                self.reads.wait(key);
            }
        }
    }

    /// Binds a subscription whose turn it is, by the newest principal; what that forbids ends it.
    pub(super) fn bind_in_turn(&mut self, turn: &mut Turn, slot: u16) -> bool {
        self.bind(slot).unwrap_or_else(|refusal| {
            let shown = self.slots.at(slot).is_some_and(|subscription| !subscription.phase.unanswered());
            if shown && refusal.code == Code::RuleLimit {
                self.suspend(turn, slot, &refusal);
            } else {
                self.end(turn, slot, &refusal);
            }
            false
        })
    }

    /// False where what is known of the person is of another schema.
    fn bind(&mut self, slot: u16) -> Result<bool, ChannelRefusal> {
        let Some(principal) = self.person.principal(self.around.generation) else { return Ok(false) };
        let Some(subscription) = self.slots.at_mut(slot) else { return Ok(false) };
        subscription.bind(principal)?;
        Ok(true)
    }

    /// Rights changed, at `rights` at the latest, and the peer is at `since` under the earlier ones. Where it sees the same
    /// by those of now, it continues from there: ChannelManager has what it missed, and takes the subscription only if none of the
    /// rights that it depends on changed in between, under whichever it was for a while. Otherwise the difference is read, or the first
    /// records of a limited subscription: what its peer has of the rest is unknown.
    pub(super) fn rebind(&mut self, turn: &mut Turn, key: SlotKey, since: Seq, rights: Seq) {
        let principal = self.person.principal(self.around.generation);
        let Some(subscription) = self.slots.of(key) else { return };
        let is_new = |principal: &At<&Principal>| principal.seq >= rights;
        let same = principal.filter(is_new).is_some_and(|now| subscription.sees_the_same(&now));
        if !same && subscription.is_limited() {
            subscription.phase = Phase::Queued(Route::Rows(SnapshotRequest::of_rights()));
            return self.reads.wait_first(key);
        }
        if !same {
            subscription.phase = Phase::Differing { since };
            return;
        }
        let prev = subscription.sent;
        subscription.phase = Phase::Following(Replay { at: since, prev, tail_of: TailOf::Nothing });
        self.around.metrics.live.caught_up(CatchUp::Lag);
        self.attach(turn, key.slot);
    }

    /// Rights changed at `seq` while the subscription, which is no part of any read now, was being brought up to date.
    pub(super) fn on_rights_changed(&mut self, slot: u16, seq: Seq) {
        let Some(subscription) = self.slots.at_mut(slot) else { return };
        let Some(mut route) = subscription.phase.under_other_rights() else { return };
        if subscription.is_limited() && matches!(route, Route::Differ { .. }) {
            route = Route::Rows(SnapshotRequest::of_rights());
        }
        let anew = !matches!(route, Route::Differ { .. });
        subscription.phase = Phase::Queued(route);
        self.reads.wait_first(subscription.key(slot));
        if anew {
            self.person.want_of(seq);
        }
    }

    /// What was read of the person. A disabled account ends the connection, and so does one that was deleted while its user was logged in.
    pub(super) fn learn(&mut self, turn: &mut Turn, principal: At<Principal>) {
        if principal.value.is_disabled() {
            let text = "this account is disabled";
            self.refuse(turn, Code::AccountDisabled, text, Envelope::default());
            self.close(turn, CloseCode::Refused);
        } else if self.login.is_some() && principal.value.record().is_none() {
            self.log_out(turn, "the account of this token was deleted");
        } else if !self.person.learn(principal, self.around.generation) {
            // The session is about to learn of the schema that the store has.
            self.reads.pause(turn.now.instant);
        } else {
            self.on_known_rights(turn);
        }
    }
}
