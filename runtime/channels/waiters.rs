//! Waiters: connections that were refused a channel and want to know when the rights of their person change.
//!
//! Each is notified once, by any change of the person's rights, so that the notice does not reveal whether the channel exists. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::attach::Watch;
use super::group::ConnectionKey;
use super::note::Outbox;
use super::watched::Watched;
use crate::store::CommitBatch;

/// See the module's text. Holds at most one entry for each connection.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    waiting: HashMap<ConnectionKey, Waiter, RandomState>,
    by_person: Watched,
}

#[derive(Debug)]
struct Waiter {
    watch: Watch,
    outbox: Arc<Outbox>,
}

impl Waiters {
    pub(super) fn add(&mut self, connection: ConnectionKey, watch: Watch, outbox: Arc<Outbox>) {
        self.remove(connection);
        self.by_person.add(&watch.person, connection);
        self.waiting.insert(connection, Waiter { watch, outbox });
    }

    pub(super) fn remove(&mut self, connection: ConnectionKey) -> Option<Arc<Outbox>> {
        let Waiter { watch, outbox } = self.waiting.remove(&connection)?;
        self.by_person.remove(&watch.person, connection);
        Some(outbox)
    }

    /// The outboxes of those whose rights the batch changes. They wait no longer.
    pub(super) fn take_concerned(&mut self, batch: &CommitBatch) -> Vec<Arc<Outbox>> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let mut concerned = Vec::new();
        for change in batch.changes.iter().filter(|change| !change.rights.is_empty()) {
            let connections = change.rights.iter().flat_map(|person| self.by_person.connections_of(person));
            let unknown = |connection: &ConnectionKey| {
                self.waiting.get(connection).is_some_and(|waiter| waiter.watch.bound_at < change.seq)
            };
            concerned.extend(connections.filter(unknown));
        }
        concerned.into_iter().filter_map(|connection| self.remove(connection)).collect()
    }
}
