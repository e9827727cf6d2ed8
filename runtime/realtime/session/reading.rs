//! Which read is next: one at a time, rows and surveys in turns with the log.
//!
//! All subscriptions that follow the log share one reading of it, from the one that is furthest behind.

use super::phase::{Phase, Replay, Route};
use super::read_queue::ReadFor;
use super::state::Session;
use super::subscription::{SlotKey, Subscription};
use super::turn::Turn;
use crate::realtime::read::{ReadRequest, RightsCheck};

impl Session {
    /// Starts the next read, if none is under way: rows and surveys take turns with the log.
    pub(super) fn start_reading(&mut self, turn: &mut Turn) {
        if !self.reads.is_free(turn.now.instant) {
            return;
        }
        if !self.reads.nobody_waits() && self.person.principal(self.around.generation).is_none() {
            self.person.want();
        }
        if self.person.take_wanted() {
            let request = ReadRequest::Principal(self.person.person.clone());
            return self.reads.begin(turn, ReadFor::Principal, request);
        }
        if self.reads.log_is_next() && self.read_log(turn) {
            return;
        }
        while let Some(key) = self.reads.next_waiting() {
            if let Some(request) = self.next_read_of(turn, key) {
                return self.reads.begin(turn, ReadFor::Slot(key), request);
            }
        }
        self.read_log(turn);
    }

    /// Reads from the position of the one that is furthest behind, for all that follow the log. False if none does.
    fn read_log(&mut self, turn: &mut Turn) -> bool {
        let followers = || {
            let following = |(_, subscription): (u16, &'_ Subscription)| subscription.phase.replay();
            self.slots.records().filter_map(following)
        };
        let Some(after) = followers().map(|Replay { at, .. }| at).min() else { return false };
        let mut rights = RightsCheck { person: self.person.person.id.clone(), ..RightsCheck::default() };
        for (_, subscription) in self.slots.records() {
            if let (Some(_), Some(bound)) = (subscription.phase.replay(), &subscription.bound) {
                rights.add(bound.sight.uses(), bound.at);
            }
        }
        self.reads.begin(turn, ReadFor::Log(after), ReadRequest::Log { after, rights });
        true
    }

    /// `None` where the subscription needs no read: it is gone, attaches, or ends.
    fn next_read_of(&mut self, turn: &mut Turn, key: SlotKey) -> Option<ReadRequest> {
        let subscription = self.slots.of(key)?;
        if let Phase::Queued(route) = subscription.phase.clone() {
            if !route.goes_on() && !self.bind_in_turn(turn, key.slot) {
                return None;
            }
            match route {
                Route::Join { .. } => self.join(turn, key.slot),
                Route::Rebind { since, rights } => self.rebind(turn, key, since, rights),
                Route::Survey(_) | Route::Rows(_) | Route::Differ { .. } => {
                    self.slots.of(key)?.phase = route.reading()?;
                }
            }
        }
        self.slots.of(key)?.request(&self.person.person, &self.around.config)
    }
}
