//! `tidewire user adopt`: names of `?as=` become users of the server.
//!
//! What changes in the records is `identity/adoption.rs` and the repository; a server must not have them open.

use std::sync::Arc;

use super::super::arguments::LinkArguments;
use super::super::check::count;
use super::super::loading::Refused;
use super::users::Users;
use super::users::login_name;
use super::users::refused;
use super::users::taken;
use crate::identity::Account;
use crate::identity::LoadedTokens;
use crate::identity::ids_without_source;
use crate::ids::shown;
use crate::metrics::StoreMetrics;
use crate::repository::Repository;
use crate::store::LiveStore;
use crate::store::OpenError;
use crate::store::vault::Edited;
use crate::store::vault::VaultEdit;
use crate::store::vault::VaultKind;

/// A database that no server has open.
struct Alone {
    store: Arc<dyn LiveStore>,
    repository: Repository,
}

impl Users {
    pub(super) async fn list_adoptable(&self) -> Result<String, Refused> {
        let alone = self.opened_alone()?;
        let ids = ids_without_source(&alone.repository, &*self.vault).await.map_err(refused);
        alone.store.close().await;
        let ids = ids?;
        if ids.is_empty() {
            return Ok("Every user of this folder is a user of the server\n".to_owned());
        }
        let names: String = ids.iter().map(|id| format!("  {}\n", shown(id))).collect();
        Ok(format!(
            "Made by `?as=`; `tidewire user adopt NAME` or --all makes them users of the server:\n{names}"
        ))
    }

    /// One name of `?as=`, or all of them.
    pub(super) async fn adopt(
        &self,
        id: Option<&str>,
        login: Option<&str>,
        link: &LinkArguments,
    ) -> Result<String, Refused> {
        self.address(link, "/_/account", "")?;
        let alone = self.opened_alone()?;
        let adopting = async {
            let ids = ids_without_source(&alone.repository, &*self.vault).await.map_err(refused)?;
            let wanted: Vec<String> = match id {
                None => ids,
                Some(id) if ids.iter().any(|known| known == id) => vec![id.to_owned()],
                Some(id) => {
                    return Err(Refused::failed(format!(
                        "`?as=` made no user `{}` here: `tidewire user adopt` lists those that it made",
                        shown(id)
                    )));
                }
            };
            let mut text = String::new();
            for id in &wanted {
                text.push_str(&self.adopt_one(&alone.repository, id, login.unwrap_or(id), link).await?);
            }
            Ok(if text.is_empty() { "There is none to adopt\n".to_owned() } else { text })
        };
        let done = adopting.await;
        alone.store.close().await;
        done
    }

    async fn adopt_one(
        &self,
        repository: &Repository,
        id: &str,
        login: &str,
        link: &LinkArguments,
    ) -> Result<String, Refused> {
        let name = login_name(login)?;
        let account = match self.vault.find(VaultKind::Account, name.key()).await.map_err(refused)? {
            None => {
                let (user, key) = (self.env.uuid_v7().to_string(), name.key().to_owned());
                let text = name.text().to_owned();
                let account = Account { user, key, name: text, password: None, role: None, recorded: false };
                let inserted = self.vault.change(vec![VaultEdit::Insert(account.entry())]).await;
                match inserted.map_err(refused)? {
                    Edited::Done => account,
                    Edited::Refused { .. } => return Err(taken(&name)),
                }
            }
            // A run that broke off between the account and the records left it so.
            Some(entry) => Some(Account::of(&entry).map_err(refused)?)
                .filter(|account| !account.recorded && account.password.is_none())
                .ok_or_else(|| taken(&name))?,
        };
        let referring = repository
            .move_person(id, &account.user)
            .await
            .map_err(|error| Refused::failed(format!("`{}` cannot be adopted: {error}", shown(id))))?;
        self.recorded(&account.user).await?;
        let records = count(referring, "record refers", "records refer");
        let mut text =
            format!("{} is {} now, with the id {}: {records} to it\n", shown(id), account.name, account.user);
        text.push_str(&self.reset_link(&account, link, None).await?);
        Ok(text)
    }

    /// The database, which no server may have open.
    fn opened_alone(&self) -> Result<Alone, Refused> {
        let tokens = LoadedTokens::load(&self.config.auth, &self.env).map_err(Refused::failed)?;
        if tokens.names_users_bare() {
            return Err(Refused::failed(
                "an issuer of `auth.tokens` names its users without a prefix, so any name here may be its user's",
            ));
        }
        let schema = self.schema()?;
        match self.backend.open(&schema, self.env.clone(), StoreMetrics::default()) {
            Ok(opened) => {
                let repository = self.repository(schema, &opened);
                Ok(Alone { store: opened.store, repository })
            }
            Err(OpenError::InUse { .. }) => Err(Refused::failed(
                "a server has this folder open: stop it first, because every record that refers to a user changes",
            )),
            Err(error) => Err(refused(error)),
        }
    }
}
