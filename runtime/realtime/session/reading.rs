//! Which read is next: one at a time, rows and surveys in turns with the log.
//!
//! All subscriptions that follow the log share one reading of it, from the one that is furthest behind.

use std::time::Duration;

use super::subscription::{Cause, Phase, Start, Subscription};
use super::{Effect, Moment, Read, Reading, Session};
use crate::ids::Seq;
use crate::realtime::read::Standing;

/// A read that found the store busy is tried again after this long.
pub(super) const RETRY: Duration = Duration::from_millis(250);

impl Session {
    /// Starts the next read, if none is under way: rows and surveys take turns with the log.
    pub(super) fn start_reading(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        if self.reading.is_some() || self.retry_at.is_some_and(|retry| retry > now.instant) {
            return;
        }
        if !self.waiting.is_empty() && !self.principal_fits() {
            self.want_principal();
        }
        if std::mem::take(&mut self.principal_wanted) {
            self.begin(Reading::Principal, Read::Principal(self.person.clone()), effects);
            return;
        }
        let log = self.next_log_read().filter(|_| !self.read_log_last || self.waiting.is_empty());
        if let Some((after, read)) = log {
            self.begin(Reading::Log(after), read, effects);
            return;
        }
        while let Some((slot, serial)) = self.waiting.pop_front() {
            if let Some(read) = self.next_read_of(now, slot, serial, effects) {
                self.begin(Reading::Slot(slot, serial), read, effects);
                return;
            }
        }
        if let Some((after, read)) = self.next_log_read() {
            self.begin(Reading::Log(after), read, effects);
        }
    }

    fn begin(&mut self, reading: Reading, read: Read, effects: &mut Vec<Effect>) {
        self.read_log_last = matches!(reading, Reading::Log(_));
        self.reading = Some(reading);
        effects.push(Effect::Read(read));
    }

    /// From where the one that is furthest behind stands, for all that follow the log.
    fn next_log_read(&self) -> Option<(Seq, Read)> {
        let followers = || {
            let following = |subscription| Some((subscription, Subscription::following(subscription)?));
            self.slots.iter().flatten().filter_map(following)
        };
        let after = followers().map(|(_, following)| following.at).min()?;
        let mut standing = Standing { person: self.person.id.clone(), ..Standing::default() };
        for bound in followers().filter_map(|(subscription, _)| subscription.bound.as_ref()) {
            standing.add(&bound.read_scope.uses, bound.at);
        }
        Some((after, Read::Log { after, standing }))
    }

    /// `None` where the subscription needs no read: it is gone, attaches, or ends.
    fn next_read_of(
        &mut self,
        now: Moment,
        slot: u16,
        serial: u32,
        effects: &mut Vec<Effect>,
    ) -> Option<Read> {
        let subscription = self.of(slot, serial)?;
        if let Phase::Queued(start) = subscription.phase.clone() {
            let shown = match &start {
                Start::Survey { cause: Cause::Lagged, .. } | Start::Differ { .. } => true,
                Start::Join { .. } | Start::Survey { .. } | Start::Rows { .. } => false,
            };
            if !shown && !self.bind_in_turn(now, slot, effects) {
                return None;
            }
            if let Start::Join { .. } = start {
                self.join(slot, effects);
                return None;
            }
            self.of(slot, serial)?.phase = match start {
                Start::Join { .. } => return None,
                Start::Survey { cause, since, view } => Phase::Surveying { cause, since, view },
                Start::Differ { since } => Phase::Differing { since },
                Start::Rows { cause, reason } => {
                    Phase::Rows { cause, reason, first: None, after: None, written: 0 }
                }
            };
        }
        self.read_of(slot, serial)
    }

    fn read_of(&mut self, slot: u16, serial: u32) -> Option<Read> {
        let page = self.around.config.page_rows;
        let subscription = self.of(slot, serial)?;
        let (scope, bound) = (subscription.channel.scope.clone(), subscription.bound.clone()?);
        match &subscription.phase {
            Phase::Surveying { since, .. } => {
                let standing = bound.standing(Some(since.seq));
                Some(Read::Survey { scope, since: since.clone(), standing })
            }
            Phase::Rows { after, written, .. } => {
                let left = subscription.limit.map_or(page, |limit| limit.saturating_sub(*written));
                let (after, limit) = (after.clone(), left.min(page));
                let standing = bound.standing(None);
                Some(Read::Rows { scope, read_scope: bound.read_scope, after, limit, standing })
            }
            Phase::Differing { since } => {
                let since = *since;
                self.differ(slot, since)
            }
            Phase::Queued(_)
            | Phase::Following(_)
            | Phase::Attaching { .. }
            | Phase::Joining { .. }
            | Phase::Live { .. } => None,
        }
    }
}
