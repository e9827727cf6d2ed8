//! `LeaseSeat`: one connection, as `Leases` knows it: whose it is, what it asks of leases, and its end.
//!
//! Judges nothing and keeps no lease.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Connected, LeaseAnswer, Leases};
use crate::auth::Identity;
use crate::channels::Outbox;
use crate::channels::group::ConnectionKey;
use crate::protocol::{LeaseWanted, Resource};

/// One connection among those of its user, for as long as it lives.
pub struct LeaseSeat {
    leases: Arc<Leases>,
    key: ConnectionKey,
    outbox: Arc<Outbox>,
    user: Option<Arc<str>>,
}

impl LeaseSeat {
    pub fn new(
        leases: Arc<Leases>,
        key: ConnectionKey,
        outbox: Arc<Outbox>,
        identity: &Identity,
    ) -> LeaseSeat {
        let mut seat = LeaseSeat { leases, key, outbox, user: None };
        seat.take_over(identity);
        seat
    }

    /// The connection is that of this user from here on.
    pub fn take_over(&mut self, identity: &Identity) {
        if self.user == identity.user {
            return;
        }
        self.leave();
        self.user.clone_from(&identity.user);
        let Some(user) = &self.user else { return };
        let connected = Connected { outbox: self.outbox.clone(), person: identity.person() };
        let mut state = self.leases.state.lock();
        state.connections.entry(user.clone()).or_default().insert(self.key, connected);
        state.book.arrive(user);
    }

    pub async fn ask(&self, caller: &Identity, resource: &Resource, wanted: &LeaseWanted) -> LeaseAnswer {
        self.leases.ask(caller, self.key, resource, wanted).await
    }

    fn leave(&mut self) {
        let Some(user) = self.user.take() else { return };
        {
            let mut state = self.leases.state.lock();
            if let Some(connections) = state.connections.get_mut(&user) {
                connections.remove(&self.key);
                if connections.is_empty() {
                    state.connections.remove(&user);
                }
            }
            state.stop_waiting(self.key);
            state.book.leave(&user, Instant::now());
        }
        self.leases.changed.notify_one();
    }
}

impl Drop for LeaseSeat {
    fn drop(&mut self) {
        self.leave();
    }
}
