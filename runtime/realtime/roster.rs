//! `Roster`: every live connection, whose it is, and the way to end it from outside. Administrators read it and end connections by
//! it; a user who is disabled loses theirs by it, whether they are subscribed to anything or not.
//!
//! Knows no session: what a connection that is ended is told, `session/` decides.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::channels::Outbox;
use crate::channels::group::ConnectionKey;
use crate::ids::{ConnectionId, Timestamp};
use crate::outbox::Depth;

/// Why a connection is ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expulsion {
    /// An administrator ended it.
    Kicked,
    /// Its user was disabled.
    Disabled,
    /// Whether its user is disabled could not be read: it has to come in again.
    Unknown,
}

/// Who connects.
#[derive(Debug, Clone)]
pub struct Newcomer {
    pub id: ConnectionId,
    pub user: Option<Arc<str>>,
    pub address: IpAddr,
    pub opened: Timestamp,
}

/// A connection as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterRow {
    pub id: ConnectionId,
    pub user: Option<Arc<str>>,
    pub address: IpAddr,
    pub opened: Timestamp,
    pub subscriptions: usize,
    /// What waits for its peer.
    pub depth: Option<Depth>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Roster {
    /// Held for one look at each, never across an await.
    entries: Mutex<HashMap<ConnectionKey, RosterEntry>>,
}

#[derive(Debug)]
struct RosterEntry {
    who: Newcomer,
    subscriptions: Arc<AtomicUsize>,
    outbox: Option<Arc<Outbox>>,
    expulsion: watch::Sender<Option<Expulsion>>,
}

/// What the loop of a connection knows of its place in the roster.
#[derive(Debug, Clone)]
pub struct RosterSeat {
    subscriptions: Arc<AtomicUsize>,
    expulsion: watch::Receiver<Option<Expulsion>>,
}

impl RosterSeat {
    pub fn has_subscriptions(&self, count: usize) {
        self.subscriptions.store(count, Ordering::Relaxed);
    }

    /// Completes when the connection is to end.
    pub async fn expelled(mut self) -> Expulsion {
        match self.expulsion.wait_for(Option::is_some).await.map(|why| *why) {
            Ok(Some(why)) => why,
            // Its place was given back, so its loop has ended.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }
}

impl Roster {
    pub(super) fn enter(&self, key: ConnectionKey, who: Newcomer) -> RosterSeat {
        let expulsion = watch::Sender::new(None);
        let seat = RosterSeat { subscriptions: Arc::default(), expulsion: expulsion.subscribe() };
        let subscriptions = seat.subscriptions.clone();
        self.entries.lock().insert(key, RosterEntry { who, subscriptions, outbox: None, expulsion });
        seat
    }

    pub(super) fn leave(&self, key: ConnectionKey) {
        self.entries.lock().remove(&key);
    }

    pub(super) fn measure(&self, key: ConnectionKey, outbox: Arc<Outbox>) {
        if let Some(entry) = self.entries.lock().get_mut(&key) {
            entry.outbox = Some(outbox);
        }
    }

    /// The connection is that of this user from here on.
    pub(super) fn rename(&self, key: ConnectionKey, user: Option<&Arc<str>>) {
        if let Some(entry) = self.entries.lock().get_mut(&key) {
            entry.who.user = user.cloned();
        }
    }

    pub fn each_depth(&self, mut look: impl FnMut(Depth)) {
        let entries = self.entries.lock();
        entries.values().filter_map(|entry| entry.outbox.as_ref()).for_each(|outbox| look(outbox.depth()));
    }

    /// Oldest first, up to `most`, behind this connection, of this user.
    pub fn list(&self, most: usize, after: Option<ConnectionId>, user: Option<&str>) -> Vec<RosterRow> {
        let entries = self.entries.lock();
        let wanted = entries.values().filter(|entry| {
            user.is_none_or(|user| entry.who.user.as_deref() == Some(user))
                && after.is_none_or(|after| entry.who.id > after)
        });
        let mut rows: Vec<RosterRow> = wanted.map(RosterEntry::row).collect();
        drop(entries);
        rows.sort_unstable_by_key(|row| row.id);
        rows.truncate(most);
        rows
    }

    /// Ends one connection. False where there is none of this id.
    pub fn expel(&self, id: ConnectionId, why: Expulsion) -> bool {
        let entries = self.entries.lock();
        let found = entries.values().find(|entry| entry.who.id == id);
        found.is_some_and(|entry| entry.expulsion.send_replace(Some(why)).is_none())
    }

    /// Ends every connection of a user.
    pub fn expel_user(&self, user: &str, why: Expulsion) {
        for entry in self.entries.lock().values() {
            if entry.who.user.as_deref() == Some(user) {
                entry.expulsion.send_replace(Some(why));
            }
        }
    }
}

impl RosterEntry {
    fn row(&self) -> RosterRow {
        let Newcomer { id, user, address, opened } = self.who.clone();
        let subscriptions = self.subscriptions.load(Ordering::Relaxed);
        RosterRow { id, user, address, opened, subscriptions, depth: self.outbox.as_ref().map(|o| o.depth()) }
    }
}
