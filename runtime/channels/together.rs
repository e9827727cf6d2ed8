//! Batches that are fanned out as one: what came while ChannelManager had no turn reaches each outbox in one buffer. So the more
//! waits, the less of it each commit costs, and nobody falls behind for the number of commits alone. Pure.

use std::iter::Peekable;
use std::sync::Arc;

use super::ring::bytes_of;
use crate::store::CommitBatch;

/// Most changes that are put together; a batch that has more goes by itself.
const MOST_CHANGES: usize = 256;
/// The same of their bytes.
const MOST_BYTES: usize = 256 << 10;

/// The next batches as one, which one group commit might have made as well; each by itself where a subscriber may begin between
/// them (`settled` is false).
pub(super) fn together(
    waiting: &mut Peekable<impl Iterator<Item = Arc<CommitBatch>>>,
    settled: bool,
) -> Option<Arc<CommitBatch>> {
    let mut batch = waiting.next()?;
    if !settled {
        return Some(batch);
    }
    let (mut changes, mut bytes) = (batch.changes.len(), bytes_of(&batch));
    while let Some(next) = waiting.next_if(|next| {
        changes += next.changes.len();
        bytes += bytes_of(next);
        changes <= MOST_CHANGES && bytes <= MOST_BYTES
    }) {
        Arc::make_mut(&mut batch).changes.extend(next.changes.iter().cloned());
    }
    Some(batch)
}
