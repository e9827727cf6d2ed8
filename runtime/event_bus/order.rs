//! The order of a log's tail: every seq once, none left out. Pure.

use crate::ids::Seq;
use crate::store::CommitBatch;

/// The tail left something out, or repeated something: what follows cannot be delivered in the log's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("after seq {} the log's tail went on at {}", .after.0, .found.0)]
pub struct OutOfOrder {
    pub after: Seq,
    pub found: Seq,
}

/// How a batch relates to those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Succession {
    Next,
    /// All of it was delivered before, as when a source repeats its last batch.
    Repeated,
}

/// Whether a batch is the next after `last`.
pub(super) fn succession(last: Seq, batch: &CommitBatch) -> Result<Succession, OutOfOrder> {
    if batch.last() <= last {
        return Ok(Succession::Repeated);
    }
    let mut after = last;
    for change in &batch.changes {
        if change.seq.0 != after.0 + 1 {
            return Err(OutOfOrder { after, found: change.seq });
        }
        after = change.seq;
    }
    Ok(Succession::Next)
}
