//! Batches that are fanned out as one: what came while ChannelManager had no turn reaches each outbox in one buffer. So the more
//! waits, the less of it each commit costs, and no subscriber falls behind only because there are many commits. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ring::bytes_of;
use crate::store::CommitBatch;

/// Most changes that are put together; a batch that has more goes by itself.
const MOST_CHANGES: usize = 256;
/// The same of their bytes.
const MOST_BYTES: usize = 256 << 10;

/// Takes the next batches that are fanned out as one: only the first where a subscriber may begin after one of them (`settled` is
/// false).
pub(super) fn take_coalesced(
    waiting: &mut VecDeque<Arc<CommitBatch>>,
    settled: bool,
) -> Vec<Arc<CommitBatch>> {
    let (mut changes, mut bytes) = (0, 0);
    let fits = |batch: &&Arc<CommitBatch>| {
        changes += batch.changes.len();
        bytes += bytes_of(batch);
        settled && changes <= MOST_CHANGES && bytes <= MOST_BYTES
    };
    let count = waiting.iter().take_while(fits).count().max(1);
    waiting.drain(..count.min(waiting.len())).collect()
}

/// As one group commit might have made them; nothing of none.
pub(super) fn joined(batches: &[Arc<CommitBatch>]) -> Option<Arc<CommitBatch>> {
    let first = batches.first()?;
    if batches.len() == 1 {
        return Some(first.clone());
    }
    let changes = batches.iter().flat_map(|batch| &batch.changes).cloned().collect();
    Some(Arc::new(CommitBatch { epoch: first.epoch.clone(), changes }))
}
