//! What goes with a `User` record that is deleted: its account, its sessions, and their live connections.
//!
//! Told by the event bus. What it misses there, the next request of the user finds out.

use super::entries::StoredSession;
use super::error::{IdentityError, of_vault};
use super::identities::Identities;
use crate::event_bus::{Announcement, Batches};
use crate::store::ChangeOp;
use crate::store::vault::{VaultEdit, VaultKind};

/// The built-in entity of people.
const USER: &str = "User";

impl Identities {
    /// Follows the commits until the bus ends.
    pub async fn follow_deletes(&self, mut batches: Batches) {
        while let Some(announced) = batches.next().await {
            let Announcement::Batch(batch) = announced else { continue };
            for change in &batch.changes {
                if change.op == ChangeOp::Delete
                    && &*change.entity == USER
                    && let Err(error) = self.forget_user(change.id.as_str()).await
                {
                    tracing::warn!(%error, "the account of a deleted user could not be removed; it cannot be logged in with");
                }
            }
        }
    }

    async fn forget_user(&self, user: &str) -> Result<(), IdentityError> {
        self.outside.forget_user(user);
        let sessions = self.vault.list(VaultKind::Session, Some(user)).await.map_err(of_vault)?;
        let kinds = [VaultKind::Session, VaultKind::Link, VaultKind::Account];
        let clear = |kind| VaultEdit::Clear { kind, owner: user.to_owned() };
        self.vault.change(kinds.map(clear).to_vec()).await.map_err(of_vault)?;
        for entry in &sessions {
            self.known.end(&StoredSession::of(entry)?.id);
        }
        Ok(())
    }
}
