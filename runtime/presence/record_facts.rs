//! What the tracker knows of records beside who is there: who holds the lease of each, and which connections were refused.
//!
//! Pure. Knows no place and no watcher.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::attendee::AttendeeKey;
use crate::ids::RecordId;

/// The first two parts of a resource's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct RecordName {
    entity: String,
    id: String,
}

/// The holders of leases, by record. Bounded by the leases that are committed.
#[derive(Debug, Default)]
pub(super) struct ShownLeases(HashMap<RecordName, Arc<str>>);

/// Connections of users that were refused a resource, and are told once when rights of their user change. One entry for each
/// connection, however often it was refused.
#[derive(Debug, Default)]
pub(super) struct RefusedAttendees {
    users: BTreeMap<AttendeeKey, Arc<str>>,
    by_user: HashMap<Arc<str>, BTreeSet<AttendeeKey>>,
}

impl RecordName {
    /// The record that a resource may be of, in the form of an id: `Task/7`, and all below it.
    pub(super) fn of(parts: &[String]) -> Option<RecordName> {
        let [entity, id, ..] = parts else { return None };
        Some(RecordName::new(entity, id))
    }

    pub(super) fn new(entity: &str, id: &str) -> RecordName {
        let id = RecordId::parse_uuid(id).map_or_else(|_| id.to_owned(), |id| id.as_str().to_owned());
        RecordName { entity: entity.to_owned(), id }
    }
}

impl ShownLeases {
    /// Whether that is news.
    pub(super) fn set(&mut self, record: RecordName, holder: Option<Arc<str>>) -> bool {
        match holder {
            Some(holder) => self.0.insert(record, holder.clone()) != Some(holder),
            None => self.0.remove(&record).is_some(),
        }
    }

    /// Of a resource that is a record itself, not of one below it.
    pub(super) fn holder(&self, parts: &[String]) -> Option<Arc<str>> {
        let record = RecordName::of(parts).filter(|_| parts.len() == 2)?;
        self.0.get(&record).cloned()
    }
}

impl RefusedAttendees {
    pub(super) fn add(&mut self, key: AttendeeKey, user: Arc<str>) {
        self.by_user.entry(user.clone()).or_default().insert(key);
        self.users.insert(key, user);
    }

    pub(super) fn remove(&mut self, key: AttendeeKey) {
        let Some(user) = self.users.remove(&key) else { return };
        if let Some(theirs) = self.by_user.get_mut(&user) {
            theirs.remove(&key);
            if theirs.is_empty() {
                self.by_user.remove(&user);
            }
        }
    }

    /// The connections of the user. They wait no longer.
    pub(super) fn take(&mut self, user: &str) -> Vec<AttendeeKey> {
        let taken = self.by_user.remove(user).unwrap_or_default();
        for key in &taken {
            self.users.remove(key);
        }
        taken.into_iter().collect()
    }

    pub(super) fn take_all(&mut self) -> Vec<AttendeeKey> {
        self.by_user.clear();
        std::mem::take(&mut self.users).into_keys().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }
}
