//! Another login name for an account: its id, password and sessions stay.
//!
//! The name of the `User` record is another one: it is a field like any other, and stays as well.

use std::net::IpAddr;

use super::accounts::{OF_NAME, neighbourhood};
use super::entries::Account;
use super::error::{IdentityError, of_vault};
use super::identities::Identities;
use super::live_session::LiveSession;
use super::login_name::LoginName;
use crate::store::vault::{Edited, VaultEdit, VaultKind};

/// How often it is tried anew where the account changes at the same moment.
const TRIES: usize = 3;

/// The edits that give the account another login name. The first does not fit where the account changed since it was read, and the
/// edit `TAKEN` where the name is taken.
pub fn renaming(account: &Account, login: &LoginName) -> Vec<VaultEdit> {
    let renamed = Account { key: login.key().to_owned(), name: login.text().to_owned(), ..account.clone() };
    let (was, key) = (account.entry().body, account.key.clone());
    match key == renamed.key {
        true => vec![VaultEdit::Replace { was, entry: renamed.entry() }],
        false => vec![
            VaultEdit::Replace { was, entry: account.entry() },
            VaultEdit::Remove { kind: VaultKind::Account, key },
            VaultEdit::Insert(renamed.entry()),
        ],
    }
}

/// The edit of `renaming` that a taken name refuses.
pub const TAKEN: usize = 2;

impl Identities {
    /// Another login name for a user who knows their password.
    pub async fn rename(
        &self,
        session: &LiveSession,
        name: &str,
        password: &str,
        address: IpAddr,
    ) -> Result<(), IdentityError> {
        let login = login_name(name)?;
        let of_name = format!("{} {}", neighbourhood(address), session.user);
        self.try_once(&of_name, OF_NAME)?;
        let account = self.account_of(&session.user).await?.ok_or(IdentityError::NoSession)?;
        if !self.fits(password, account.password.clone(), &[(&of_name, OF_NAME)]).await? {
            return Err(IdentityError::field("password", "wrong", "is not your password"));
        }
        if self.passwords.is_name(password, login.text()) {
            return Err(IdentityError::field("name", "weak_password", "is your password; choose another"));
        }
        self.store_name(&session.user, &login, Some(&account), IdentityError::NoSession).await
    }

    /// The same by an administrator, who needs no password of the user.
    pub async fn rename_user(&self, user: &str, name: &str) -> Result<(), IdentityError> {
        let login = login_name(name)?;
        self.store_name(user, &login, None, IdentityError::UnknownUser).await
    }

    /// `judged` is the account whose password was right: one that got another password meanwhile is not renamed.
    async fn store_name(
        &self,
        user: &str,
        login: &LoginName,
        judged: Option<&Account>,
        missing: IdentityError,
    ) -> Result<(), IdentityError> {
        for _ in 0..TRIES {
            let account = self.account_of(user).await?.ok_or_else(|| missing.clone())?;
            if judged.is_some_and(|judged| judged.password != account.password) {
                return Err(IdentityError::field("password", "wrong", "is no longer your password"));
            }
            match self.vault.change(renaming(&account, login)).await.map_err(of_vault)? {
                Edited::Done => return Ok(()),
                Edited::Refused { edit: TAKEN } => return Err(IdentityError::NameTaken),
                Edited::Refused { .. } => {}
            }
        }
        Err(IdentityError::Failed("an account changed at each try to rename it".to_owned()))
    }
}

fn login_name(name: &str) -> Result<LoginName, IdentityError> {
    LoginName::parse(name).map_err(|fault| IdentityError::field("name", "bad_name", fault))
}
