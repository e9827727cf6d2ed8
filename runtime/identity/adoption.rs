//! Ids of users that belong to no source: `?as=` of `tidewire dev` made them. A server that asks its callers who they are must not
//! have them, because an issuer of tokens could name the same id and get the records of another user (SEMANTICS Y1).
//!
//! Finds them; `tidewire user adopt` makes users of this server of them.

use std::collections::HashSet;

use super::entries::Account;
use super::error::{IdentityError, of_vault};
use super::identities::Identities;
use crate::repository::Repository;
use crate::store::vault::{Vault, VaultKind};

impl Identities {
    /// Users of the records whom no source of this server knows.
    pub async fn ids_without_source(&self) -> Result<Vec<String>, IdentityError> {
        // Any name may be that of a user of such an issuer.
        if self.outside.has_bare_issuer() {
            return Ok(Vec::new());
        }
        ids_without_source(&self.repository, &*self.vault).await
    }
}

/// The same, for a command. An account has a UUID, and so has a record that an administrator made by hand. A user of an issuer, and
/// a machine, has a colon in the id.
pub async fn ids_without_source(
    repository: &Repository,
    vault: &dyn Vault,
) -> Result<Vec<String>, IdentityError> {
    let mut known = HashSet::new();
    for entry in vault.list(VaultKind::Account, None).await.map_err(of_vault)? {
        known.insert(Account::of(&entry)?.user);
    }
    let ids = repository.ids_of_people().await.map_err(IdentityError::Repository)?;
    let texts = ids.into_iter().map(|id| id.as_str().to_owned());
    let is_of_dev = |id: &String| !id.contains(':') && uuid::Uuid::try_parse(id).is_err();
    Ok(texts.filter(|id| !known.contains(id) && is_of_dev(id)).collect())
}
