//! What has to be done about identities while the server runs: notice what another process changed, carry out orders, and forget
//! what has expired.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::accounts::ADMIN;
use super::entries::{Account, LinkKind, Order, StoredSession, read, write};
use super::error::{IdentityError, of_vault};
use super::identities::Identities;
use super::links::{LINK_LIFE, new_link};
use super::orders::{OrderOutcome, outcome_of, perform};
use super::secret::Secret;
use crate::ids::Timestamp;
use crate::store::vault::{VaultEdit, VaultEntry, VaultKind};

/// How often the vault is asked whether another process changed it: a session that a command ends reaches its connections within
/// this time.
const LOOK: Duration = Duration::from_millis(500);
/// Looks between two times at which what has expired is removed.
const LOOKS_TO_FORGET: u32 = 120;
/// How long the outcome of an order is kept.
const KEPT: i64 = 60_000;

impl Identities {
    /// Never ends.
    pub async fn keep(&self) {
        tokio::join!(self.keep_vault(), self.outside.keep(&self.env));
    }

    async fn keep_vault(&self) {
        let (mut version, mut looks) = (None, 0_u32);
        loop {
            if let Err(error) = self.look(&mut version).await {
                tracing::debug!(%error, "the vault could not be looked at");
            }
            looks += 1;
            if looks.is_multiple_of(LOOKS_TO_FORGET) {
                self.outside.forget_expired(self.env.now());
            }
            if looks.is_multiple_of(LOOKS_TO_FORGET)
                && let Err(error) = self.vault.forget(self.env.now()).await
            {
                tracing::debug!(%error, "expired entries of the vault could not be removed");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn look(&self, version: &mut Option<u64>) -> Result<(), IdentityError> {
        let now = self.vault.version().await.map_err(of_vault)?;
        // At the first look there may be orders that a former server left.
        if *version != Some(now) {
            self.compare_sessions().await?;
            self.compare_tokens().await?;
            self.carry_out_orders().await?;
            if self.awaits_admin() && self.has_admin().await? {
                self.awaits_admin.store(false, Ordering::Relaxed);
            }
            *version = Some(now);
        }
        Ok(())
    }

    /// Ends what another process has removed.
    async fn compare_sessions(&self) -> Result<(), IdentityError> {
        self.known.doubt_reads();
        for token in self.known.all() {
            let found = self.vault.find(VaultKind::Session, &token.digest).await.map_err(of_vault)?;
            let same = match &found {
                Some(entry) => StoredSession::of(entry)?.id == token.session.id,
                None => false,
            };
            // A token past its grace is removed while its session goes on under another.
            if !same && !token.stored.superseded && self.env.now() < token.expires {
                self.known.end(&token.session.id);
            }
        }
        Ok(())
    }

    /// Ends tokens that a command revoked.
    async fn compare_tokens(&self) -> Result<(), IdentityError> {
        if self.access.has_any_issued() {
            let stored = self.vault.list(VaultKind::Token, None).await.map_err(of_vault)?;
            self.access.keep(&stored);
        }
        Ok(())
    }

    async fn carry_out_orders(&self) -> Result<(), IdentityError> {
        for entry in self.vault.list(VaultKind::Order, None).await.map_err(of_vault)? {
            if outcome_of(&entry).is_some() {
                continue;
            }
            let outcome = match self.carry_out(&entry).await {
                Ok(()) => OrderOutcome::Done,
                Err(error) => OrderOutcome::Failed { why: error.to_string() },
            };
            let expires = Some(Timestamp(self.env.now().0 + KEPT));
            let done = write(VaultKind::Order, &entry.key, entry.owner.as_deref(), expires, &outcome);
            self.vault
                .change(vec![VaultEdit::Replace { was: entry.body, entry: done }])
                .await
                .map_err(of_vault)?;
        }
        Ok(())
    }

    async fn carry_out(&self, entry: &VaultEntry) -> Result<(), IdentityError> {
        let order: Order = read(entry)?;
        let user = entry.owner.as_deref().unwrap_or_default();
        perform(&self.repository, user, &order).await?;
        if let Order::Record { .. } = order
            && let Some(account) = self.account_of(user).await?
        {
            let recorded = Account { recorded: true, ..account.clone() };
            let edit = VaultEdit::Replace { was: account.entry().body, entry: recorded.entry() };
            self.vault.change(vec![edit]).await.map_err(of_vault)?;
        }
        Ok(())
    }

    /// Serves nothing until there is an administrator, if there is none now and no tokens are configured. Answers whether it waits.
    pub async fn await_admin(&self) -> Result<bool, IdentityError> {
        let configured = self.outside.has_issuers() || self.access.has_any_configured();
        let waits = !configured && !self.has_admin().await?;
        self.awaits_admin.store(waits, Ordering::Relaxed);
        Ok(waits)
    }

    /// The link of the first administrator. A former one no longer works.
    pub async fn first_link(&self) -> Result<Secret, IdentityError> {
        new_link(&*self.vault, &self.env, LinkKind::Admin, None, LINK_LIFE).await
    }

    /// Whether a user with the role `admin` can log in.
    async fn has_admin(&self) -> Result<bool, IdentityError> {
        for entry in self.vault.list(VaultKind::Account, None).await.map_err(of_vault)? {
            let account = Account::of(&entry)?;
            if account.password.is_none() {
                continue;
            }
            let person = self.repository.person(&account.user).await.map_err(IdentityError::Repository)?;
            let role = match &person {
                Some(person) if person.disabled == Some(true) => None,
                Some(person) => person.role.as_deref(),
                None if !account.recorded => account.role.as_deref(),
                None => None,
            };
            if role == Some(ADMIN) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
