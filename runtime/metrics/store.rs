//! Commits and what waits for them.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::gauge_guard::GaugeGuard;
use super::register::{counter, counters, gauge, histogram, of_words};

/// Seconds.
const DURATIONS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5];

/// A bound of the store that turns work away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Writes that wait for the committer.
    Committer,
    /// Connections that read.
    Readers,
}

/// See the module's text.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    committed: Counter,
    failed: Counter,
    units: Histogram,
    changes: Histogram,
    duration: Histogram,
    queue: Gauge,
    overloads: [Counter; 2],
    replayed: Counter,
    damaged: Gauge,
}

/// One group commit.
#[derive(Debug, Clone, Copy)]
pub struct Commit {
    pub units: usize,
    pub changes: usize,
    pub took: Duration,
}

/// Counts that are not read.
impl Default for StoreMetrics {
    fn default() -> StoreMetrics {
        StoreMetrics::new(&mut Registry::default())
    }
}

impl StoreMetrics {
    pub(super) fn new(registry: &mut Registry) -> StoreMetrics {
        let commits = counters(registry, "tidewire_commits", "Group commits");
        let [committed, failed] = of_words(&commits, "result", ["committed", "failed"]);
        let sizes = || exponential_buckets(1.0, 2.0, 14);
        let overloads = counters(registry, "tidewire_overloads", "Work refused at a limit of the store");
        StoreMetrics {
            committed,
            failed,
            units: histogram(registry, "tidewire_commit_units", "Units in a group commit", sizes()),
            changes: histogram(registry, "tidewire_commit_changes", "Changes in a group commit", sizes()),
            duration: histogram(
                registry,
                "tidewire_commit_duration_seconds",
                "Time of a group commit, with the start of its thread",
                DURATIONS,
            ),
            queue: gauge(registry, "tidewire_committer_queue", "Operations that wait for the committer"),
            overloads: of_words(&overloads, "bound", ["committer", "readers"]),
            replayed: counter(
                registry,
                "tidewire_replayed_writes",
                "Repeated writes answered from their mutation id",
            ),
            damaged: gauge(
                registry,
                "tidewire_storage_damaged",
                "1 once damage of the database was found, else 0",
            ),
        }
    }

    pub fn committed(&self, commit: Commit) {
        self.committed.inc();
        self.units.observe(commit.units as f64);
        self.changes.observe(commit.changes as f64);
        self.duration.observe(commit.took.as_secs_f64());
    }

    pub fn failed(&self) {
        self.failed.inc();
    }

    pub fn damaged(&self) {
        self.damaged.set(1);
    }

    /// Operations in the queue, until they leave it.
    pub fn queued(&self, ops: usize) -> GaugeGuard {
        GaugeGuard::new(&self.queue, ops)
    }

    pub fn overloaded(&self, bound: Bound) {
        self.overloads[bound as usize].inc();
    }

    pub fn replayed(&self, count: usize) {
        self.replayed.inc_by(count as u64);
    }
}
