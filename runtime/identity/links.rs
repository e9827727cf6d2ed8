//! Links that work once: of the first administrator, of an invitation, of a lost password. The secret stands behind `#`, which
//! browsers send to no server and write into no log.
//!
//! Makes them; `accounts.rs` takes them.

use std::time::Duration;

use super::entries::{Link, LinkKind};
use super::error::{IdentityError, of_vault};
use super::secret::{Secret, SecretKind};
use crate::env::Env;
use crate::ids::Timestamp;
use crate::store::vault::{Edited, Vault, VaultEdit, VaultKind};

/// How long a link is good, unless its maker says otherwise.
pub const LINK_LIFE: Duration = Duration::from_secs(3600);

/// Stores a link of this kind and answers with its secret. There is one link of the first administrator at a time: another takes
/// its place.
pub async fn new_link(
    vault: &dyn Vault,
    env: &Env,
    kind: LinkKind,
    user: Option<&str>,
    life: Duration,
) -> Result<Secret, IdentityError> {
    let secret = Secret::new(SecretKind::Link, env);
    let expires = Timestamp(env.now().0.saturating_add(super::identities::millis(life)));
    loop {
        let mut edits = Vec::new();
        if kind == LinkKind::Admin {
            for entry in vault.list(VaultKind::Link, None).await.map_err(of_vault)? {
                if Link::of(&entry)?.kind == LinkKind::Admin {
                    edits.push(VaultEdit::Remove { kind: VaultKind::Link, key: entry.key });
                }
            }
        }
        let link = Link { kind: kind.clone() };
        edits.push(VaultEdit::Insert(link.entry(&secret.digest(), user, expires)));
        // A former link that is used at this moment cannot be removed: the next look does not find it.
        if let Edited::Done = vault.change(edits).await.map_err(of_vault)? {
            return Ok(secret);
        }
    }
}
