//! Leases whose records are gone. The transaction that deleted a record ended its lease; here its holder and others learn of it.
//!
//! Decides nothing: what ended is what the database no longer has.

use std::collections::HashSet;

use super::Leases;
use crate::event_bus::Announcement;
use crate::protocol::Resource;
use crate::realtime::lease_book::HeldLease;
use crate::repository::RepositoryError;
use crate::store::ChangeOp;

impl Leases {
    /// Something was committed, or missed.
    pub(super) async fn hear(&self, heard: &Announcement) -> Result<(), RepositoryError> {
        let changes = match heard {
            Announcement::Missed(_) => return self.forget_gone().await,
            Announcement::Batch(batch) => &batch.changes,
        };
        let takes = |op| match op {
            ChangeOp::Delete | ChangeOp::Schema => true,
            ChangeOp::Create | ChangeOp::Update => false,
        };
        if !changes.iter().any(|change| takes(change.op)) {
            return Ok(());
        }
        let concerns = {
            // A lease that was granted before the delete is in the book when the turn is over.
            let _turn = self.turn.lock().await;
            let state = self.state.lock();
            let is_held = |entity, id| state.book.of(&Resource { entity, id }).is_some();
            !state.book.is_empty()
                && changes.iter().any(|change| match change.op {
                    ChangeOp::Delete => is_held(change.entity.clone(), change.id.shared()),
                    // An entity may be gone with it.
                    ChangeOp::Schema => true,
                    ChangeOp::Create | ChangeOp::Update => false,
                })
        };
        if concerns { self.forget_gone().await } else { Ok(()) }
    }

    /// Tells of all leases that ended with their records. A record may be there again under another lease: numbers are compared.
    pub(super) async fn forget_gone(&self) -> Result<(), RepositoryError> {
        let _turn = self.turn.lock().await;
        let stored = self.repository.leases().await.inspect_err(|error| {
            tracing::warn!(%error, "the leases could not be read; it is tried again");
        })?;
        let stored: HashSet<u64> = stored.value.iter().map(|row| row.lease.fence).collect();
        let gone: Vec<HeldLease> = {
            let state = self.state.lock();
            state.book.all().filter(|lease| !stored.contains(&lease.fence)).cloned().collect()
        };
        for lease in gone {
            self.has_ended(&lease).await;
        }
        Ok(())
    }

    /// A lease ended, and its holder did not give it up. Called in `turn`.
    pub(super) async fn has_ended(&self, lease: &HeldLease) {
        self.state.lock().book.forget(lease.fence);
        self.metrics.presence.lease_ends.inc();
        self.show(&lease.resource).await;
        self.tell_loss(lease);
        self.tell_waiting(&lease.resource, None, None);
    }
}
