//! The ring: the batches of the recent past, decoded, so that most resumes never touch the database.
//!
//! Written by ChannelManager, read by every connection. Bounded by changes and by bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::ids::{Epoch, Seq};
use crate::schema::{EntityName, Generation};
use crate::store::{Change, CommitBatch, LogLimit};

/// Recent batches without a hole: everything after `floor` up to `last`.
#[derive(Debug)]
pub struct Ring {
    epoch: Epoch,
    limit: LogLimit,
    /// Held for the time of a push or of collecting a page; never across an await.
    held: RwLock<Held>,
}

#[derive(Debug)]
struct Held {
    batches: VecDeque<Arc<CommitBatch>>,
    changes: usize,
    bytes: usize,
    floor: Seq,
    last: Seq,
    /// Schema generation of the last position.
    generation: Generation,
}

impl Ring {
    /// Begins at `head`, where the writer of `epoch` started, under `generation`. Holds at most `limit`, and always the
    /// newest batch.
    pub fn new(epoch: Epoch, head: Seq, generation: Generation, limit: LogLimit) -> Ring {
        let held =
            Held { batches: VecDeque::new(), changes: 0, bytes: 0, floor: head, last: head, generation };
        Ring { epoch, limit, held: RwLock::new(held) }
    }

    /// Schema generation of the last position.
    pub fn generation(&self) -> Generation {
        self.held.read().generation
    }

    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// The batches after this position are held.
    pub fn floor(&self) -> Seq {
        self.held.read().floor
    }

    /// Adds the next batch and lets go of the oldest ones beyond the bounds, always keeping the newest.
    pub fn push(&self, batch: Arc<CommitBatch>) {
        let mut held = self.held.write();
        held.last = batch.last();
        held.generation = batch.changes.last().map_or(held.generation, |change| change.generation);
        held.changes += batch.changes.len();
        held.bytes += bytes_of(&batch);
        held.batches.push_back(batch);
        while held.batches.len() > 1 && (held.changes > self.limit.changes || held.bytes > self.limit.bytes) {
            let Some(oldest) = held.batches.pop_front() else { break };
            held.changes -= oldest.changes.len();
            held.bytes -= bytes_of(&oldest);
            held.floor = oldest.last();
        }
    }

    /// What is held at this moment.
    pub fn size(&self) -> RingSize {
        let held = self.held.read();
        RingSize { changes: held.changes, bytes: held.bytes }
    }

    /// The batches that hold changes after `seq`; `None` when the ring does not reach back to it, or not yet to it.
    pub fn batches_after(&self, seq: Seq) -> Option<Vec<Arc<CommitBatch>>> {
        let held = self.held.read();
        if seq < held.floor || seq > held.last {
            return None;
        }
        let start = held.batches.partition_point(|batch| batch.last() <= seq);
        Some(held.batches.iter().skip(start).cloned().collect())
    }

    /// Looks at every change after `seq`, in place; answers the ring's last position.
    pub fn each_after(&self, seq: Seq, mut look: impl FnMut(&Change)) -> Option<Seq> {
        let held = self.held.read();
        if seq < held.floor || seq > held.last {
            return None;
        }
        let start = held.batches.partition_point(|batch| batch.last() <= seq);
        let changes = held.batches.iter().skip(start).flat_map(|batch| &batch.changes);
        changes.filter(|change| change.seq > seq).for_each(|change| look(change));
        Some(held.last)
    }

    /// Whether rights of the person changed after `seq` through one of the entities; `None` when the ring does not reach
    /// back to it, or not yet to it.
    pub fn rights_after(&self, seq: Seq, person: &str, entities: &[EntityName]) -> Option<bool> {
        let mut changed = false;
        self.each_after(seq, |change| {
            changed |=
                change.rights.iter().any(|other| **other == *person) && entities.contains(&change.entity);
        })?;
        Some(changed)
    }

    /// One page of changes after `seq`, ending with a unit, with the ring's last position.
    pub fn page_after(&self, seq: Seq, limit: LogLimit) -> Option<RingPage> {
        let (batches, head) = {
            let held = self.held.read();
            if seq < held.floor || seq > held.last {
                return None;
            }
            let start = held.batches.partition_point(|batch| batch.last() <= seq);
            let wanted = held.batches.iter().skip(start).take(limit.changes.max(1));
            (wanted.cloned().collect::<Vec<_>>(), held.last)
        };
        let mut page = RingPage { changes: Vec::new(), to: seq, head };
        let mut bytes = 0;
        for change in batches.iter().flat_map(|batch| &batch.changes).filter(|change| change.seq > seq) {
            bytes += size_of_change(change);
            page.changes.push(change.clone());
            page.to = change.seq;
            if change.unit_last && (page.changes.len() >= limit.changes || bytes >= limit.bytes) {
                break;
            }
        }
        Some(page)
    }
}

/// How much a ring holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingSize {
    pub changes: usize,
    pub bytes: usize,
}

/// Changes up to and including `to`, of a ring that ends at `head`.
#[derive(Debug)]
pub struct RingPage {
    pub changes: Vec<Arc<Change>>,
    pub to: Seq,
    pub head: Seq,
}

/// What the batch takes of a ring.
pub(super) fn bytes_of(batch: &CommitBatch) -> usize {
    batch.changes.iter().map(|change| size_of_change(change)).sum()
}

fn size_of_change(change: &Change) -> usize {
    let images = change.before.as_ref().map_or(0, bytes::Bytes::len)
        + change.after.as_ref().map_or(0, bytes::Bytes::len);
    images + 160
}
