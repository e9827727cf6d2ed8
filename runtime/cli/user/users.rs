//! `Users`: the accounts of one data folder, as a command works with them: found by their name, made, changed.
//!
//! Knows no argument of the command line but what a link and a password are given by.

use std::io::BufRead;
use std::io::Read;
use std::sync::Arc;

use super::super::arguments::PasswordArguments;
use super::super::loading::Refused;
use crate::config::Config;
use crate::env::Env;
use crate::identity::Account;
use crate::identity::IdentityError;
use crate::identity::LoginName;
use crate::identity::Order;
use crate::identity::Passwords;
use crate::identity::{TAKEN, renaming};
use crate::ids::shown;
use crate::schema;
use crate::schema::Color;
use crate::schema::Schema;
use crate::store::Backend;
use crate::store::OpenError;
use crate::store::choice;
use crate::store::vault::Edited;
use crate::store::vault::Vault;
use crate::store::vault::VaultEdit;
use crate::store::vault::VaultKind;

/// Bytes of a line with a password.
const LONGEST_LINE: u64 = 8 << 10;

/// The accounts of one data folder.
pub(super) struct Users {
    pub(super) config: Config,
    pub(super) backend: Arc<dyn Backend>,
    pub(super) vault: Arc<dyn Vault>,
    pub(super) env: Env,
}

impl Users {
    pub(super) fn open(config: Config) -> Result<Users, Refused> {
        let backend = choice::backend(&config).map_err(refused)?;
        let vault = backend.vault().map_err(refused)?;
        Ok(Users { config, backend, vault, env: Env::system() })
    }

    pub(super) async fn add(
        &self,
        name: &str,
        role: Option<&str>,
        password: &PasswordArguments,
    ) -> Result<String, Refused> {
        let name = login_name(name)?;
        let hash = match password.password_stdin {
            true => Some(self.hash(&read_password()?, name.text()).await?),
            false => None,
        };
        let account = Account {
            user: self.env.uuid_v7().to_string(),
            key: name.key().to_owned(),
            name: name.text().to_owned(),
            password: hash,
            role: role.map(str::to_owned),
            recorded: false,
        };
        let edit = VaultEdit::Insert(account.entry());
        if self.vault.change(vec![edit]).await.map_err(refused)? != Edited::Done {
            return Err(taken(&name));
        }
        let order = Order::Record { name: account.name.clone(), role: account.role.clone() };
        self.order(&account.user, order).await?;
        let mut text = format!("{} was added with the id {}\n", account.name, account.user);
        if account.password.is_none() {
            text.push_str(&self.reset_link(&account, &password.link, password.send.as_deref()).await?);
        }
        Ok(text)
    }

    pub(super) async fn passwd(&self, name: &str, password: &PasswordArguments) -> Result<String, Refused> {
        let account = self.account(name).await?;
        if !password.password_stdin {
            return self.reset_link(&account, &password.link, password.send.as_deref()).await;
        }
        let hash = self.hash(&read_password()?, &account.name).await?;
        let changed = Account { password: Some(hash), ..account.clone() };
        let edits = vec![
            VaultEdit::Replace { was: account.entry().body, entry: changed.entry() },
            VaultEdit::Clear { kind: VaultKind::Session, owner: account.user.clone() },
        ];
        match self.vault.change(edits).await.map_err(refused)? {
            Edited::Done => {
                Ok(format!("{} has a new password, and all their sessions ended\n", account.name))
            }
            Edited::Refused { .. } => Err(Refused::failed("the account changed meanwhile: try again")),
        }
    }

    /// The name is the account's key. Who logs in under the former one at this moment fails, and nothing else does.
    pub(super) async fn rename(&self, name: &str, login: &str) -> Result<String, Refused> {
        let account = self.account(name).await?;
        let login = login_name(login)?;
        match self.vault.change(renaming(&account, &login)).await.map_err(refused)? {
            Edited::Done => Ok(format!("{} logs in as {} now\n", account.name, login.text())),
            Edited::Refused { edit: TAKEN } => Err(taken(&login)),
            Edited::Refused { .. } => Err(Refused::failed("the account changed meanwhile: try again")),
        }
    }

    pub(super) async fn disable(&self, name: &str, disabled: bool) -> Result<String, Refused> {
        let account = self.account(name).await?;
        self.order(&account.user, Order::Disable { disabled }).await?;
        Ok(format!("{} is {} now\n", account.name, if disabled { "disabled" } else { "enabled" }))
    }

    pub(super) async fn account(&self, name: &str) -> Result<Account, Refused> {
        let unknown = || {
            Refused::failed(format!(
                "there is no user `{}`: `tidewire user list` shows their names",
                shown(name)
            ))
        };
        let key = LoginName::parse(name).map_err(|_| unknown())?;
        let found = self.vault.find(VaultKind::Account, key.key()).await.map_err(refused)?;
        Account::of(&found.ok_or_else(unknown)?).map_err(refused)
    }

    pub(super) async fn hash(&self, password: &str, name: &str) -> Result<String, Refused> {
        let passwords = Passwords::new(1, self.config.auth.password_length);
        if let Some(fault) = passwords.fault(password, name) {
            return Err(Refused::usage(format!("the password {fault}")));
        }
        passwords.hash(password.to_owned()).await.map_err(refused)
    }

    pub(super) fn schema(&self) -> Result<Arc<Schema>, Refused> {
        let loaded = schema::load(&self.config.schemas)
            .map_err(|errors| Refused::said(errors.render(Color::Never)))?;
        Ok(Arc::new(loaded.schema))
    }
}

pub(super) fn login_name(text: &str) -> Result<LoginName, Refused> {
    LoginName::parse(text).map_err(|fault| Refused::usage(format!("the name `{}` {fault}", shown(text))))
}

pub(super) fn taken(name: &LoginName) -> Refused {
    Refused::failed(format!("there is a user `{}` already", shown(name.text())))
}

/// The first line of stdin.
pub(super) fn read_password() -> Result<String, Refused> {
    let mut line = String::new();
    let mut stdin = std::io::stdin().lock().take(LONGEST_LINE);
    stdin.read_line(&mut line).map_err(|error| Refused::failed(format!("stdin cannot be read: {error}")))?;
    let password = line.strip_suffix('\n').map_or(&*line, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(password.to_owned())
}

pub(super) fn refused(error: impl ToRefused) -> Refused {
    error.to_refused()
}

/// Errors of the floors below in the words of a command.
pub(super) trait ToRefused {
    fn to_refused(self) -> Refused;
}

impl ToRefused for OpenError {
    fn to_refused(self) -> Refused {
        Refused::failed(self.to_string())
    }
}

impl ToRefused for IdentityError {
    fn to_refused(self) -> Refused {
        Refused::failed(match self.cause() {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        })
    }
}

impl ToRefused for crate::store::vault::VaultError {
    fn to_refused(self) -> Refused {
        Refused::failed(self.to_string())
    }
}
