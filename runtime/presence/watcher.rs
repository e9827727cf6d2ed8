//! One connection at one resource: what it is sent, and whether it may be sent anything now.

use super::input::{Ask, Grant};
use super::seen::PresenceCounts;
use crate::protocol::{ResourceName, WatchKind};

#[derive(Debug)]
pub(super) struct Watcher {
    /// As the client wrote it last.
    pub(super) name: ResourceName,
    pub(super) standing: WatcherStanding,
    /// `None` until it was judged first.
    pub(super) grant: Option<Grant>,
    pub(super) watch: Option<WatchKind>,
    pub(super) joined: bool,
    /// Frames that wait for the judgement.
    pub(super) waiting: Vec<Ask>,
    /// How many it was told are there.
    pub(super) counts: Option<PresenceCounts>,
    /// The version of the resource that it was shown.
    pub(super) synced: u64,
    /// It needs everything, from the next time that changes are told.
    pub(super) awaits_list: bool,
    /// Its joins that the list answers.
    pub(super) answers: Vec<String>,
    /// What it was sent was dropped: it gets everything in a while, and nothing before.
    pub(super) stale: bool,
    /// Something was told while it was judged.
    pub(super) missed: bool,
}

/// Whether it may be sent anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WatcherStanding {
    /// It is being looked up; older answers do not count.
    Judging {
        serial: u64,
    },
    Settled,
}

impl Watcher {
    pub(super) fn new(name: ResourceName, first: Ask) -> Watcher {
        Watcher {
            name,
            standing: WatcherStanding::Judging { serial: 0 },
            grant: None,
            watch: None,
            joined: false,
            waiting: vec![first],
            counts: None,
            synced: 0,
            awaits_list: false,
            answers: Vec::new(),
            stale: false,
            missed: false,
        }
    }

    pub(super) fn wants_list(&self) -> bool {
        self.joined || self.watch == Some(WatchKind::Users)
    }

    pub(super) fn wants_count(&self) -> bool {
        self.watch == Some(WatchKind::Count)
    }
}
