//! What is told of a resource, and when: changes together, at most so often, or the whole of it.
//!
//! Knows no frame and no queue.

use std::sync::Arc;
use std::time::Duration;

use super::{AGAIN, PresenceTracker};
use crate::presence::agenda::Due;
use crate::presence::attendee::AttendeeKey;
use crate::presence::input::{PlaceKey, PresenceClock};
use crate::presence::output::{PresenceOutput, ReceiverName};
use crate::presence::record_facts::RecordName;
use crate::presence::watcher::WatcherStanding;

/// Resources are looked through for idle users at most this often.
const FADE_STEP: Duration = Duration::from_secs(1);

impl PresenceTracker {
    /// Who is there, to one connection. The changes that were made before it are in it.
    pub(super) fn show(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        parts: &PlaceKey,
        request_id: Option<String>,
        out: &mut Vec<PresenceOutput>,
    ) {
        let limits = self.limits;
        let Some(place) = self.places.get_mut(parts) else { return };
        let (version, counts) = (place.version, place.counts());
        let Some(watcher) = place.watchers.get_mut(&key) else { return };
        (watcher.stale, watcher.missed, watcher.synced) = (false, false, version);
        let (name, counted, listed) = (watcher.name.clone(), watcher.wants_count(), watcher.wants_list());
        if listed {
            let users = place.users_after(now, &limits, None).collect();
            out.push(PresenceOutput::Sync {
                attendee: key,
                place: parts.clone(),
                name: name.clone(),
                request_id,
                users,
                lease: self.leases.holder(parts),
            });
        }
        if counted {
            let to = vec![ReceiverName { attendee: key, channel: name.channel }];
            out.push(PresenceOutput::Count { place: parts.clone(), to, counts });
        }
    }

    /// It is said of the record itself, not of what lies below it.
    pub(super) fn on_leased(&mut self, now: PresenceClock, record: &PlaceKey, holder: Option<Arc<str>>) {
        let Some(named) = RecordName::of(record) else { return };
        let at = self.records.get(&named).cloned().unwrap_or_default();
        if !self.leases.set(named, holder) {
            return;
        }
        for parts in at.iter().filter(|parts| parts.len() == 2) {
            if let Some(place) = self.places.get_mut(parts) {
                place.version += 1;
                place.lease_moved = true;
            }
            self.wake(now, parts);
        }
    }

    pub(super) fn on_no_room(&mut self, now: PresenceClock, key: AttendeeKey, parts: &PlaceKey) {
        if let Some(watcher) = self.watcher(key, parts) {
            watcher.stale = true;
            if let Some(place) = self.places.get_mut(parts)
                && place.flush_at.is_none()
            {
                let again = now.instant + AGAIN;
                place.flush_at = Some(again);
                self.agenda.add(again, Due::Flush(parts.clone()));
            }
        }
    }

    /// Looks at the resource again when a user there may be idle or away. At most once a second, however many there are.
    pub(super) fn fade_later(&mut self, now: PresenceClock, parts: &PlaceKey) {
        let limits = self.limits;
        let Some(place) = self.places.get_mut(parts).filter(|place| place.fade_at.is_none()) else { return };
        if let Some(next) = place.next_fade(now.instant, &limits) {
            let at = next.max(now.instant + FADE_STEP);
            place.fade_at = Some(at);
            self.agenda.add(at, Due::Fade(parts.clone()));
        }
    }

    /// Says what changed since the last time, to everyone who may know of it.
    pub(super) fn flush(&mut self, now: PresenceClock, parts: &PlaceKey, out: &mut Vec<PresenceOutput>) {
        let limits = self.limits;
        let Some(place) = self.places.get_mut(parts) else { return };
        place.flush_at = None;
        let change = place.take_change(now, &limits);
        let counts = place.counts();
        let lease_moved = std::mem::take(&mut place.lease_moved);
        // A watcher that began in between may have been shown other numbers.
        let counted = place.told != Some(counts) || !change.is_empty();
        if !change.is_empty() || counted || lease_moved {
            place.flushed_at = Some(now.instant);
        }
        place.told = Some(counts);
        let version = place.version;
        let (mut listeners, mut editors, mut counters, mut stale) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut keys: Vec<AttendeeKey> = place.watchers.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            let Some(watcher) = place.watchers.get_mut(&key) else { continue };
            if watcher.standing != WatcherStanding::Settled {
                watcher.missed = true;
                continue;
            }
            if watcher.stale {
                stale.push(key);
                continue;
            }
            let receiver = ReceiverName { attendee: key, channel: watcher.name.channel.clone() };
            if watcher.synced < version && watcher.wants_list() && !change.is_empty() {
                listeners.push(receiver.clone());
            }
            if watcher.synced < version && watcher.wants_list() && lease_moved {
                editors.push(receiver.clone());
            }
            if watcher.synced < version && watcher.wants_count() && counted {
                counters.push(receiver);
            }
            watcher.synced = version;
        }
        if !listeners.is_empty() {
            out.push(PresenceOutput::Changed { place: parts.clone(), to: listeners, change });
        }
        if !editors.is_empty() {
            let holder = self.leases.holder(parts);
            out.push(PresenceOutput::Lease { place: parts.clone(), to: editors, holder });
        }
        if !counters.is_empty() {
            out.push(PresenceOutput::Count { place: parts.clone(), to: counters, counts });
        }
        for key in stale {
            self.show(now, key, parts, None, out);
        }
        self.drop_place_if_empty(parts);
    }

    /// A user of the resource may look otherwise than before.
    pub(super) fn mark(&mut self, now: PresenceClock, parts: &PlaceKey, user: &Arc<str>) {
        let limits = self.limits;
        let Some(place) = self.places.get_mut(parts) else { return };
        // What does not show is not told: a heartbeat costs its receivers nothing.
        if place.looks_as_told(now, &limits, user) && !place.marked.contains(user) {
            return;
        }
        place.version += 1;
        place.marked.insert(user.clone());
        self.wake(now, parts);
    }

    pub(super) fn wake(&mut self, now: PresenceClock, parts: &PlaceKey) {
        let interval = self.limits.interval;
        let Some(place) = self.places.get_mut(parts) else { return };
        if place.flush_at.is_none() {
            let at = place.flushed_at.map_or(now.instant, |last| (last + interval).max(now.instant));
            place.flush_at = Some(at);
            self.agenda.add(at, Due::Flush(parts.clone()));
        }
    }
}
