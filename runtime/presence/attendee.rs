//! A connection as presence knows it: who is at its other end, and what shows that it lives.

use std::sync::Arc;

use crate::rules::Person;

/// A connection of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttendeeKey(pub u64);

/// Who asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Visitor {
    /// On whose behalf rules are asked.
    pub person: Arc<Person>,
    /// Who is shown to others: a user, or a guest of a shared token, of whom each connection is another one. `None` is anonymous.
    pub id: Option<Arc<str>>,
    pub proof: Proof,
}

/// What shows that a connection lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It answers pings; when it does not, its end is reported.
    Pings,
    /// It has no socket, so it lives as long as it speaks now and then.
    Lease,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departure {
    /// It may come back in a moment: its entries are held.
    Broken,
    /// Its user logged out, or was sent away.
    Clean,
}
