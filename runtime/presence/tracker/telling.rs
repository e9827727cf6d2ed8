//! What is told of a resource, and when: changes together, at most so often, or the whole of it.
//!
//! Knows no frame and no queue.

use std::sync::Arc;
use std::time::Duration;

use super::{AGAIN, PresenceTracker};
use crate::presence::agenda::Due;
use crate::presence::attendee::AttendeeKey;
use crate::presence::input::{PlaceKey, PresenceClock};
use crate::presence::output::{PresenceOutput, ReceiverName, SyncReceiver};
use crate::presence::record_facts::RecordName;
use crate::presence::watcher::WatcherStanding;

/// Resources are looked through for idle users at most this often.
const FADE_STEP: Duration = Duration::from_secs(1);

impl PresenceTracker {
    /// Who is there, to one connection. The changes that were made before it are in it. A long list is told with the next changes:
    /// all who wait for it then are sent the same.
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
        let (version, counts, long) = (place.version, place.counts(), place.users.len() > limits.page);
        let Some(watcher) = place.watchers.get_mut(&key) else { return };
        (watcher.stale, watcher.missed) = (false, false);
        watcher.answers.extend(request_id);
        let (counted, listed) = (watcher.wants_count(), watcher.wants_list());
        watcher.awaits_list = listed && long;
        watcher.counts = counted.then_some(counts);
        if !watcher.awaits_list {
            watcher.synced = version;
        }
        let to = ReceiverName { attendee: key, channel: watcher.name.channel.clone() };
        if listed && !long {
            let answers = std::mem::take(&mut watcher.answers);
            let users = place.users_after(now, &limits, None).collect();
            out.push(PresenceOutput::Sync {
                place: parts.clone(),
                to: vec![SyncReceiver { to: to.clone(), answers }],
                users,
                lease: self.leases.holder(parts),
            });
        }
        if counted {
            out.push(PresenceOutput::Count { place: parts.clone(), to: vec![to], counts });
        }
        if listed && long {
            self.wake(now, parts);
        }
    }

    /// What was dropped for want of room, as a whole.
    pub(super) fn show_again(
        &mut self,
        now: PresenceClock,
        key: AttendeeKey,
        parts: &PlaceKey,
        out: &mut Vec<PresenceOutput>,
    ) {
        let Some(watcher) = self.watcher(key, parts).filter(|watcher| watcher.stale) else { return };
        match watcher.standing {
            WatcherStanding::Settled => self.show(now, key, parts, None, out),
            // It is shown when the judgement has come.
            WatcherStanding::Judging { .. } => watcher.missed = true,
        }
    }

    /// A connection that left in front of its list.
    pub(super) fn answer_with_nobody(
        &mut self,
        key: AttendeeKey,
        parts: &PlaceKey,
        out: &mut Vec<PresenceOutput>,
    ) {
        let Some(watcher) = self.watcher(key, parts) else { return };
        let answers = std::mem::take(&mut watcher.answers);
        watcher.awaits_list = false;
        if !answers.is_empty() {
            let to = ReceiverName { attendee: key, channel: watcher.name.channel.clone() };
            let to = vec![SyncReceiver { to, answers }];
            out.push(PresenceOutput::Sync { place: parts.clone(), to, users: Vec::new(), lease: None });
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

    /// A receiver that is slow waits alone: the others are told of changes as before.
    pub(super) fn on_no_room(&mut self, now: PresenceClock, key: AttendeeKey, parts: &PlaceKey) {
        let Some(watcher) = self.watcher(key, parts).filter(|watcher| !watcher.stale) else { return };
        watcher.stale = true;
        self.agenda.add(now.instant + AGAIN, Due::Show(key, parts.clone()));
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
        let version = place.version;
        let (mut listeners, mut editors, mut counters, mut whole) =
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
                continue;
            }
            let receiver = ReceiverName { attendee: key, channel: watcher.name.channel.clone() };
            let awaits_list = std::mem::take(&mut watcher.awaits_list) && watcher.wants_list();
            if awaits_list {
                let answers = std::mem::take(&mut watcher.answers);
                whole.push(SyncReceiver { to: receiver.clone(), answers });
            }
            let follows = watcher.synced < version && watcher.wants_list() && !awaits_list;
            if follows && !change.is_empty() {
                listeners.push(receiver.clone());
            }
            if follows && lease_moved {
                editors.push(receiver.clone());
            }
            if watcher.wants_count() && watcher.counts != Some(counts) {
                watcher.counts = Some(counts);
                counters.push(receiver);
            }
            watcher.synced = version;
        }
        if !change.is_empty() || lease_moved || !whole.is_empty() || !counters.is_empty() {
            place.flushed_at = Some(now.instant);
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
        if !whole.is_empty()
            && let Some(place) = self.places.get(parts)
        {
            let users = place.users_after(now, &limits, None).collect();
            let lease = self.leases.holder(parts);
            out.push(PresenceOutput::Sync { place: parts.clone(), to: whole, users, lease });
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
