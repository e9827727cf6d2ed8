//! A user who lost the password asks for a link by mail. Every caller gets the same answer in the same time: what depends on the
//! name happens later, in a queue (`resets.rs`).
//!
//! Knows no mail server: `mail.rs` does.

use std::net::IpAddr;

use super::accounts::{OF_ADDRESS, OF_NAME, neighbourhood};
use super::entries::{Account, LinkKind};
use super::error::{IdentityError, of_vault};
use super::identities::Identities;
use super::links::{LINK_LIFE, new_link};
use super::login_name::LoginName;
use super::mail::{Letter, Mailer};
use super::resets::Resets;
use crate::store::vault::VaultKind;

impl Identities {
    /// Links go out by this mailer.
    #[must_use]
    pub fn with_mailer(mut self, mailer: Option<Mailer>) -> Identities {
        self.resets = mailer.map(Resets::new);
        self
    }

    /// Asks for a mail with a link that sets the password. Says nothing of whether there is such a user.
    pub fn request_reset(&self, name: &str, address: IpAddr) -> Result<(), IdentityError> {
        let Some(resets) = &self.resets else { return Err(IdentityError::NoMail) };
        let near = neighbourhood(address);
        let key = LoginName::parse(name).map(|name| name.key().to_owned()).unwrap_or_default();
        self.try_once(&format!("reset {near}"), OF_ADDRESS)?;
        self.try_once(&format!("reset {near} {key}"), OF_NAME)?;
        resets.ask(key)
    }

    /// Sends what was asked for. Never ends.
    pub async fn send_resets(&self) {
        let queue = self.resets.as_ref().and_then(|resets| resets.take_queue());
        if let (Some(resets), Some(mut queue)) = (&self.resets, queue) {
            while let Some(key) = queue.recv().await {
                if let Err(error) = self.send_reset(resets.mailer(), &key).await {
                    tracing::warn!(error, "a mail with a link could not be sent");
                }
            }
        }
        std::future::pending().await
    }

    /// The error has no name, no address and no link in it.
    async fn send_reset(&self, mailer: &Mailer, key: &str) -> Result<(), String> {
        let said = |error: IdentityError| error.cause().unwrap_or_else(|| error.to_string());
        let found = self.vault.find(VaultKind::Account, key).await.map_err(of_vault).map_err(said)?;
        let Some(account) = found.as_ref().map(Account::of).transpose().map_err(said)? else {
            return Ok(());
        };
        let Some(to) = account.mail_address() else { return Ok(()) };
        let user = Some(account.user.as_str());
        let made = new_link(&*self.vault, &self.env, LinkKind::Reset, user, LINK_LIFE).await;
        let link = format!("{}/_/account#{}", mailer.url(), made.map_err(said)?.text());
        let letter = Letter::Reset { name: &account.name, link: &link };
        mailer.send(to, letter).await.map_err(|error| error.to_string())
    }
}
