//! `ConnectionPlaces`: who is connected, within the caps. A place is given back when it is dropped.
//!
//! Knows no transport and no session.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::roster::{Newcomer, Roster, RosterSeat};
use crate::channels::Outbox;
use crate::channels::group::ConnectionKey;
use crate::config::RealtimeConfig;

/// See the module's text.
#[derive(Debug, Default)]
pub struct ConnectionPlaces {
    keys: AtomicU64,
    /// Who is here. Held for a count, never across an await.
    present: Mutex<Present>,
    roster: Roster,
}

#[derive(Debug, Default)]
struct Present {
    connections: usize,
    by_user: HashMap<Arc<str>, usize>,
}

/// A place among the connections.
#[derive(Debug)]
pub struct ConnectionPlace {
    places: Arc<ConnectionPlaces>,
    user: Option<Arc<str>>,
    key: ConnectionKey,
}

/// There is no place left, in all or for this user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    #[error("this server already has {0} connections, which is its limit")]
    Server(usize),
    #[error("this user already has {0} connections, which is the limit for one user")]
    User(usize),
}

/// How many are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attendance {
    pub connections: usize,
    pub users: usize,
}

impl ConnectionPlaces {
    pub fn admit(
        self: &Arc<Self>,
        user: Option<&Arc<str>>,
        config: &RealtimeConfig,
    ) -> Result<ConnectionPlace, NoPlace> {
        let mut present = self.present.lock();
        let of_user = user.and_then(|user| present.by_user.get(user)).copied().unwrap_or(0);
        if present.connections >= config.connections {
            return Err(NoPlace::Server(config.connections));
        }
        if of_user >= config.connections_per_user {
            return Err(NoPlace::User(of_user));
        }
        present.connections += 1;
        if let Some(user) = user {
            present.by_user.insert(user.clone(), of_user + 1);
        }
        drop(present);
        Ok(ConnectionPlace { places: self.clone(), user: user.cloned(), key: self.new_key() })
    }

    /// A key for a new outbox of this process.
    pub fn new_key(&self) -> ConnectionKey {
        ConnectionKey(self.keys.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub fn attendance(&self) -> Attendance {
        let present = self.present.lock();
        Attendance { connections: present.connections, users: present.by_user.len() }
    }

    /// Whether a user is connected.
    pub fn has_user(&self, user: &str) -> bool {
        self.present.lock().by_user.contains_key(user)
    }

    /// Every user who is connected.
    pub fn users(&self) -> Vec<Arc<str>> {
        self.present.lock().by_user.keys().cloned().collect()
    }

    pub fn roster(&self) -> &Roster {
        &self.roster
    }
}

impl ConnectionPlace {
    pub fn key(&self) -> ConnectionKey {
        self.key
    }

    /// The connection is that of this user from here on, unless they have as many as they may have.
    pub fn take_over(&mut self, user: Option<&Arc<str>>, most: usize) -> Result<(), NoPlace> {
        if self.user.as_ref() == user {
            return Ok(());
        }
        let mut present = self.places.present.lock();
        if let Some(user) = user {
            let of_user = present.by_user.get(user).copied().unwrap_or(0);
            if of_user >= most {
                return Err(NoPlace::User(of_user));
            }
            present.by_user.insert(user.clone(), of_user + 1);
        }
        if let Some(former) = self.user.take() {
            present.leave(&former);
        }
        drop(present);
        self.user = user.cloned();
        self.places.roster.rename(self.key, user);
        Ok(())
    }

    /// From here on administrators see the connection that has this place.
    pub fn enter(&self, who: Newcomer) -> RosterSeat {
        self.places.roster.enter(self.key, who)
    }

    /// The outbox in front of it.
    pub fn measure(&self, outbox: Arc<Outbox>) {
        self.places.roster.measure(self.key, outbox);
    }
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        self.places.roster.leave(self.key);
        let mut present = self.places.present.lock();
        present.connections -= 1;
        if let Some(user) = &self.user {
            present.leave(user);
        }
    }
}

impl Present {
    /// One connection of a user is gone.
    fn leave(&mut self, user: &Arc<str>) {
        let left = self.by_user.get(user).copied().unwrap_or(0).saturating_sub(1);
        if left == 0 {
            self.by_user.remove(user);
        } else {
            self.by_user.insert(user.clone(), left);
        }
    }
}
