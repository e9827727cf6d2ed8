//! `Paces`: what waits for the groups of each rate until their next batch leaves. The `rate` of an entity says how often that
//! is. Groups without a rate are a pace of their own, whose batch leaves at once.
//!
//! Pure. Knows of a group its number, and of time what its caller says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::index::GroupNumber;
use super::ring::bytes_of;
use super::runs::Runs;
use crate::ids::Seq;
use crate::store::{Change, CommitBatch};

/// Changes that wait for one pace, and their bytes. With more of them its batch leaves before its time.
const MOST_CHANGES: usize = 4096;
const MOST_BYTES: usize = 4 << 20;

/// Which pace a group has.
pub(super) type PaceNumber = usize;

/// The groups that wait for nothing.
pub(super) const AT_ONCE: PaceNumber = 0;

/// See the module's text. There are as many as there are rates in the schemas of this process.
#[derive(Debug)]
pub(super) struct Paces(Vec<Pace>);

#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Between two batches.
    interval: Duration,
    /// No batch leaves before.
    due: Option<Instant>,
    pub(super) held: WaitingChanges,
    /// Groups that have a run, which is what waits for them.
    pub(super) touched: Vec<GroupNumber>,
    /// Those among them whose streams do not know yet that something waits.
    pub(super) untold: Vec<GroupNumber>,
    pub(super) runs: Runs<Bytes>,
}

/// Whole batches, one behind the other.
#[derive(Debug, Default)]
pub(super) struct WaitingChanges {
    pub(super) changes: Vec<Arc<Change>>,
    bytes: usize,
    /// The position before the first of them, and the one after the last.
    pub(super) base: Seq,
    pub(super) end: Seq,
}

impl Paces {
    pub(super) fn new() -> Paces {
        Paces(vec![Pace::default()])
    }

    /// The pace of groups with this time between two batches.
    pub(super) fn with(&mut self, interval: Option<Duration>) -> PaceNumber {
        let interval = interval.unwrap_or_default();
        self.0.iter().position(|pace| pace.interval == interval).unwrap_or_else(|| {
            self.0.push(Pace { interval, ..Pace::default() });
            self.0.len() - 1
        })
    }

    pub(super) fn of(&mut self, number: PaceNumber) -> &mut Pace {
        &mut self.0[number]
    }

    pub(super) fn numbers(&self) -> std::ops::Range<PaceNumber> {
        0..self.0.len()
    }

    /// Everything up to here has left, of the pace or of all of them.
    pub(super) fn complete_up_to(&self, number: Option<PaceNumber>) -> Option<Seq> {
        let asked = |at: &PaceNumber| number.is_none_or(|number| number == *at);
        let waiting = self.numbers().filter(asked).map(|at| &self.0[at]).filter(|pace| pace.waits());
        waiting.map(|pace| pace.held.base).min()
    }

    /// When the next batch is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.iter().filter(|pace| pace.waits()).filter_map(|pace| pace.due).min()
    }
}

impl Pace {
    /// Whether something waits for longer than its own batch.
    pub(super) fn waits(&self) -> bool {
        !self.interval.is_zero() && !self.touched.is_empty()
    }

    /// Where the nth change of the batch is among those that wait.
    pub(super) fn place(&mut self, batch: &CommitBatch, nth: usize) -> usize {
        if self.interval.is_zero() {
            return nth;
        }
        let held = &mut self.held;
        if held.changes.is_empty() {
            held.base = Seq(batch.first().0.saturating_sub(1));
        }
        if held.changes.is_empty() || held.end != batch.last() {
            held.changes.extend(batch.changes.iter().cloned());
            held.bytes += bytes_of(batch);
            held.end = batch.last();
        }
        held.changes.len() - batch.changes.len() + nth
    }

    /// What leaves now, if it is time; the next batch is due an interval later.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<WaitingChanges> {
        let is_full = self.held.changes.len() >= MOST_CHANGES || self.held.bytes >= MOST_BYTES;
        let is_due = is_full || self.due.is_none_or(|due| due <= now);
        if !self.waits() || !is_due {
            return None;
        }
        self.due = Some(now + self.interval);
        Some(std::mem::take(&mut self.held))
    }
}
