//! Watched: which connections see something by the rights of which person.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use indexmap::IndexMap;

use super::group::ConnectionKey;

/// See the module's text. A connection counts once for each of its members.
#[derive(Debug, Default)]
pub(super) struct Watched(HashMap<Arc<str>, IndexMap<ConnectionKey, usize, RandomState>, RandomState>);

impl Watched {
    pub(super) fn add(&mut self, person: &Arc<str>, connection: ConnectionKey) {
        *self.0.entry(person.clone()).or_default().entry(connection).or_default() += 1;
    }

    pub(super) fn remove(&mut self, person: &str, connection: ConnectionKey) {
        let Some(connections) = self.0.get_mut(person) else { return };
        if let Some(count) = connections.get_mut(&connection) {
            *count -= 1;
            if *count == 0 {
                connections.swap_remove(&connection);
            }
        }
        if connections.is_empty() {
            self.0.remove(person);
        }
    }

    pub(super) fn connections_of(&self, person: &str) -> impl Iterator<Item = ConnectionKey> {
        self.0.get(person).into_iter().flat_map(|connections| connections.keys().copied())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
