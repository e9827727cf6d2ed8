//! `PresencePlace`: one resource, who is there and who watches.
//!
//! Knows no time of its own and no other resource.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Map;
use tokio::time::Instant;

use super::attendee::AttendeeKey;
use super::entry::PresenceEntry;
use super::input::PresenceClock;
use super::limits::PresenceLimits;
use super::output::PresenceChange;
use super::seen::{PresenceCounts, SeenUser};
use super::watcher::Watcher;
use crate::auth::GUEST_PREFIX;
use crate::store::Change;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct PresencePlace {
    pub(super) users: BTreeMap<Arc<str>, PresentUser>,
    pub(super) watchers: HashMap<AttendeeKey, Watcher>,
    connections: usize,
    /// Grows with each change that shows.
    pub(super) version: u64,
    /// Users who look otherwise than they were told.
    pub(super) marked: BTreeSet<Arc<str>>,
    /// What was told of each user last.
    told_users: HashMap<Arc<str>, SeenUser>,
    /// The lease of the record has another holder than was told.
    pub(super) lease_moved: bool,
    pub(super) flush_at: Option<Instant>,
    /// When the next user is idle or away by the time alone.
    pub(super) fade_at: Option<Instant>,
    pub(super) flushed_at: Option<Instant>,
}

/// A user with their connections.
#[derive(Debug)]
pub(super) struct PresentUser {
    name: Arc<str>,
    entries: BTreeMap<AttendeeKey, PresenceEntry>,
}

/// An entry without a connection.
#[derive(Debug)]
pub(super) struct HeldEntry {
    pub(super) user: Arc<str>,
    pub(super) key: AttendeeKey,
}

/// What an entry came instead of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    First,
    /// The connection was there before.
    Again,
    /// A connection that is gone.
    InsteadOf(AttendeeKey),
}

impl PresencePlace {
    pub(super) fn counts(&self) -> PresenceCounts {
        PresenceCounts { users: self.users.len(), connections: self.connections }
    }

    pub(super) fn entry_mut(&mut self, user: &str, key: AttendeeKey) -> Option<&mut PresenceEntry> {
        self.users.get_mut(user)?.entries.get_mut(&key)
    }

    /// A connection that comes back takes the place of one that is gone, so others see no change.
    pub(super) fn enter(
        &mut self,
        user: &Arc<str>,
        name: Option<Arc<str>>,
        key: AttendeeKey,
        mut entry: PresenceEntry,
    ) -> Entered {
        let name = name.unwrap_or_else(|| shown_name(user));
        let present = self
            .users
            .entry(user.clone())
            .or_insert_with(|| PresentUser { name: name.clone(), entries: BTreeMap::new() });
        present.name = name;
        let before = present.entries.iter().find(|(_, entry)| entry.held).map(|(key, _)| *key);
        let mut entered = Entered::First;
        if let Some(old) = present.entries.get(&key) {
            (entry.joined_at, entered) = (old.joined_at, Entered::Again);
        } else if let Some(before) = before {
            if let Some(old) = present.entries.remove(&before) {
                entry.joined_at = old.joined_at;
            }
            entered = Entered::InsteadOf(before);
        } else {
            self.connections += 1;
        }
        present.entries.insert(key, entry);
        entered
    }

    /// Whether there was such an entry.
    pub(super) fn leave(&mut self, user: &Arc<str>, key: AttendeeKey) -> bool {
        let Some(present) = self.users.get_mut(user) else { return false };
        if present.entries.remove(&key).is_none() {
            return false;
        }
        self.connections -= 1;
        if present.entries.is_empty() {
            self.users.remove(user);
        }
        true
    }

    /// Keeps the entry of a connection that is gone. Whether there is one.
    pub(super) fn hold(&mut self, user: &Arc<str>, key: AttendeeKey) -> bool {
        let entry = self.entry_mut(user, key);
        let is_there = entry.is_some();
        if let Some(entry) = entry {
            entry.held = true;
        }
        is_there
    }

    pub(super) fn is_held(&self, user: &Arc<str>, key: AttendeeKey) -> bool {
        self.users.get(user).and_then(|present| present.entries.get(&key)).is_some_and(|entry| entry.held)
    }

    /// Whether the user is here by a connection that is not gone.
    pub(super) fn has_connected(&self, user: &str) -> bool {
        self.users.get(user).is_some_and(|present| present.entries.values().any(|entry| !entry.held))
    }

    /// The entries without a connection whose person is not known to see the record after the change.
    pub(super) fn held_without_sight(&self, change: &Change) -> Vec<HeldEntry> {
        let mut lost = Vec::new();
        for (user, present) in &self.users {
            let unseen = |entry: &PresenceEntry| entry.held && entry.ground.holds_after(change) != Some(true);
            let held = present.entries.iter().filter(|(_, entry)| unseen(entry));
            lost.extend(held.map(|(key, _)| HeldEntry { user: user.clone(), key: *key }));
        }
        lost
    }

    /// When the next of the entries fades.
    pub(super) fn next_fade(&self, now: Instant, limits: &PresenceLimits) -> Option<Instant> {
        let entries = self.users.values().flat_map(|present| present.entries.values());
        entries.filter_map(|entry| entry.next_fade(now, limits)).min()
    }

    /// In the order of their ids.
    pub(super) fn users_after<'a>(
        &'a self,
        now: PresenceClock,
        limits: &'a PresenceLimits,
        after: Option<&str>,
    ) -> impl Iterator<Item = SeenUser> + use<'a> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(Arc::from(after)));
        let range = self.users.range::<Arc<str>, _>((from, Bound::Unbounded));
        range.map(move |(id, present)| present.seen(id, now, limits))
    }

    /// Whether the user looks as they were told last.
    pub(super) fn looks_as_told(&self, now: PresenceClock, limits: &PresenceLimits, user: &Arc<str>) -> bool {
        match (self.users.get(user), self.told_users.get(user)) {
            (Some(present), Some(told)) => present.seen(user, now, limits).looks_like(told),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// What changed since it was told last; from here on it counts as told.
    pub(super) fn take_change(&mut self, now: PresenceClock, limits: &PresenceLimits) -> PresenceChange {
        let mut change = PresenceChange::default();
        for user in std::mem::take(&mut self.marked) {
            // One who looks as before is told too: a watcher that began in between was shown something else.
            let Some(present) = self.users.get(&user) else {
                self.told_users.remove(&user);
                change.left.push(user);
                continue;
            };
            let seen = present.seen(&user, now, limits);
            match self.told_users.insert(user, seen.clone()) {
                None => change.joined.push(seen),
                Some(_) => change.updated.push(seen),
            }
        }
        change
    }
}

impl PresentUser {
    fn seen(&self, id: &Arc<str>, now: PresenceClock, limits: &PresenceLimits) -> SeenUser {
        let mut entries: Vec<&PresenceEntry> = self.entries.values().collect();
        entries.sort_by_key(|entry| entry.order);
        let mut metadata = Map::new();
        for entry in &entries {
            metadata.extend(entry.metadata.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        let state = entries.iter().map(|entry| entry.state(now, limits)).min();
        SeenUser {
            id: id.clone(),
            name: self.name.clone(),
            joined_at: entries.iter().map(|entry| entry.joined_at).min().unwrap_or(now.wall),
            last_seen: entries.iter().map(|entry| entry.seen_at).max().unwrap_or(now.wall),
            state: state.unwrap_or(crate::protocol::PresenceState::Away),
            connections: entries.len(),
            metadata,
        }
    }
}

/// What others see of a user without a name: of a guest the end of the id, which tells guests of one page apart.
fn shown_name(user: &Arc<str>) -> Arc<str> {
    let Some(id) = user.strip_prefix(GUEST_PREFIX) else { return user.clone() };
    let end = id.char_indices().nth_back(GUEST_LETTERS - 1).map_or(id, |(at, _)| &id[at..]);
    format!("Guest {}", end.to_uppercase()).into()
}

/// Letters of a guest's id that are shown.
const GUEST_LETTERS: usize = 4;
