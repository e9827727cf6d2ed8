//! A vault in memory, by its own simple code.

use std::sync::Mutex;

use tidewire::ids::Timestamp;
use tidewire::store::vault::{Edited, Vault, VaultEdit, VaultEntry, VaultFuture, VaultKind};

#[derive(Default)]
pub(crate) struct MemoryVault(Mutex<Vec<VaultEntry>>);

impl Vault for MemoryVault {
    fn find(&self, kind: VaultKind, key: &str) -> VaultFuture<'_, Option<VaultEntry>> {
        let entries = self.0.lock().unwrap();
        let found = entries.iter().find(|entry| entry.kind == kind && entry.key == key).cloned();
        Box::pin(async { Ok(found) })
    }

    fn list(&self, kind: VaultKind, owner: Option<&str>) -> VaultFuture<'_, Vec<VaultEntry>> {
        let mut found = self.0.lock().unwrap().clone();
        found.retain(|entry| {
            entry.kind == kind && owner.is_none_or(|owner| entry.owner.as_deref() == Some(owner))
        });
        found.sort_by(|one, other| one.key.cmp(&other.key));
        Box::pin(async { Ok(found) })
    }

    fn change(&self, edits: Vec<VaultEdit>) -> VaultFuture<'_, Edited> {
        let mut entries = self.0.lock().unwrap();
        let mut after = entries.clone();
        for (edit, wanted) in edits.into_iter().enumerate() {
            let place = |entries: &[VaultEntry], kind: VaultKind, key: &str| {
                entries.iter().position(|entry| entry.kind == kind && entry.key == key)
            };
            let fits = match wanted {
                VaultEdit::Insert(entry) => {
                    let free = place(&after, entry.kind, &entry.key).is_none();
                    after.push(entry);
                    free
                }
                VaultEdit::Replace { was, entry } => match place(&after, entry.kind, &entry.key) {
                    Some(at) if after[at].body == was => {
                        after[at] = entry;
                        true
                    }
                    _ => false,
                },
                VaultEdit::Remove { kind, key } => match place(&after, kind, &key) {
                    Some(at) => {
                        after.remove(at);
                        true
                    }
                    None => false,
                },
                VaultEdit::Clear { kind, owner } => {
                    after.retain(|entry| entry.kind != kind || entry.owner.as_deref() != Some(&owner));
                    true
                }
            };
            if !fits {
                return Box::pin(async move { Ok(Edited::Refused { edit }) });
            }
        }
        *entries = after;
        Box::pin(async { Ok(Edited::Done) })
    }

    fn forget(&self, now: Timestamp) -> VaultFuture<'_, usize> {
        let mut entries = self.0.lock().unwrap();
        let before = entries.len();
        entries.retain(|entry| entry.expires.is_none_or(|expires| expires > now));
        let gone = before - entries.len();
        Box::pin(async move { Ok(gone) })
    }

    fn version(&self) -> VaultFuture<'_, u64> {
        Box::pin(async { Ok(0) })
    }
}
