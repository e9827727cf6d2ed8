//! How connections and entries end, and what is forgotten with them.
//!
//! Sends nothing itself: what shows of it is told as every other change.

use std::sync::Arc;

use super::{Attendee, PresenceTracker};
use crate::presence::agenda::Due;
use crate::presence::attendee::{AttendeeKey, Departure};
use crate::presence::input::{PlaceKey, PresenceClock};
use crate::presence::record_facts::RecordName;

impl PresenceTracker {
    pub(super) fn on_ended(&mut self, now: PresenceClock, key: AttendeeKey, departure: Departure) {
        self.refused.remove(key);
        let Some(attendee) = self.remove_attendee(key) else { return };
        let user = attendee.visitor.id.clone();
        // A guest cannot come back: the next connection is another one.
        let may_return = departure == Departure::Broken && attendee.visitor.person.id.is_some();
        for parts in attendee.places {
            let Some(place) = self.places.get_mut(&parts) else { continue };
            place.watchers.remove(&key);
            if let Some(user) = &user {
                let held = may_return && place.hold(user, key);
                if held {
                    let until = now.instant + self.limits.hold;
                    self.held.entry(user.clone()).or_default().insert((parts.clone(), key), until);
                    self.agenda.add(until, Due::Hold(key, parts.clone(), user.clone()));
                } else if place.leave(user, key) {
                    self.mark(now, &parts, user);
                }
            }
            self.drop_place_if_empty(&parts);
        }
    }

    pub(super) fn remove_entry(&mut self, now: PresenceClock, key: AttendeeKey, parts: &PlaceKey) {
        let Some(user) = self.user_of(key) else { return };
        if self.places.get_mut(parts).is_some_and(|place| place.leave(&user, key)) {
            self.mark(now, parts, &user);
        }
    }

    /// A connection has nothing to do with the resource any longer.
    pub(super) fn forget(&mut self, now: PresenceClock, key: AttendeeKey, parts: &PlaceKey) {
        self.remove_entry(now, key, parts);
        if let Some(watcher) = self.watcher(key, parts) {
            (watcher.joined, watcher.watch) = (false, None);
        }
        self.tidy(key, parts);
    }

    /// Keeps nothing of a connection that neither watches nor joined, and nothing of a resource without both.
    pub(super) fn tidy(&mut self, key: AttendeeKey, parts: &PlaceKey) {
        let Some(watcher) = self.watcher(key, parts) else { return };
        if watcher.joined || watcher.watch.is_some() || !watcher.waiting.is_empty() {
            return;
        }
        if let Some(place) = self.places.get_mut(parts) {
            place.watchers.remove(&key);
        }
        if let Some(attendee) = self.attendees.get_mut(&key) {
            attendee.places.remove(parts);
            if attendee.places.is_empty() {
                self.remove_attendee(key);
            }
        }
        self.drop_place_if_empty(parts);
    }

    fn remove_attendee(&mut self, key: AttendeeKey) -> Option<Attendee> {
        let attendee = self.attendees.remove(&key)?;
        attendee.look_at.into_iter().for_each(|at| self.agenda.remove(at, Due::Lease(key)));
        if let Some(user) = &attendee.visitor.id
            && let Some(theirs) = self.people.get_mut(user)
        {
            theirs.remove(&key);
            if theirs.is_empty() {
                self.people.remove(user);
            }
        }
        Some(attendee)
    }

    pub(super) fn drop_place_if_empty(&mut self, parts: &PlaceKey) {
        let is_empty =
            self.places.get(parts).is_some_and(|place| place.watchers.is_empty() && place.users.is_empty());
        if !is_empty {
            return;
        }
        if let Some(place) = self.places.remove(parts) {
            place.flush_at.into_iter().for_each(|at| self.agenda.remove(at, Due::Flush(parts.clone())));
            place.fade_at.into_iter().for_each(|at| self.agenda.remove(at, Due::Fade(parts.clone())));
        }
        if let Some(named) = RecordName::of(parts)
            && let Some(of_record) = self.records.get_mut(&named)
        {
            of_record.remove(parts);
            if of_record.is_empty() {
                self.records.remove(&named);
            }
        }
    }

    /// The entries of a user whose connections are gone: their rights cannot be looked up again.
    pub(super) fn drop_held(&mut self, now: PresenceClock, user: &Arc<str>) {
        for (parts, key) in self.held.get(user).cloned().unwrap_or_default().into_keys() {
            self.drop_one_held(now, user, &parts, key);
        }
    }

    pub(super) fn drop_one_held(
        &mut self,
        now: PresenceClock,
        user: &Arc<str>,
        parts: &PlaceKey,
        key: AttendeeKey,
    ) {
        self.unhold(user, parts, key);
        let Some(place) = self.places.get_mut(parts) else { return };
        if place.is_held(user, key) && place.leave(user, key) {
            self.mark(now, parts, user);
        }
        self.drop_place_if_empty(parts);
    }

    pub(super) fn unhold(&mut self, user: &Arc<str>, parts: &PlaceKey, key: AttendeeKey) {
        if let Some(theirs) = self.held.get_mut(user) {
            if let Some(until) = theirs.remove(&(parts.clone(), key)) {
                self.agenda.remove(until, Due::Hold(key, parts.clone(), user.clone()));
            }
            if theirs.is_empty() {
                self.held.remove(user);
            }
        }
    }
}
