//! `tidewire user`: accounts, invitations and passwords of a data folder.
//!
//! Works beside a running server: the vault takes writes of two processes, and what concerns records the command leaves as an order
//! that the server carries out. Without a server the command opens the database itself.

mod adopting;
mod bulk;
mod hand_out;
mod list_of_users;
mod listing;
mod user_orders;
mod users;

use std::io::Write;
use std::process::ExitCode;

use self::users::Users;
use super::arguments::UserCommand;
use super::config::effective;
use super::loading::Refused;
use crate::identity::{LINK_LIFE, LinkKind, Order};
use crate::ids::shown;

/// Exit code 0 when it was done, 1 when not, 2 for wrong arguments or settings.
pub fn run(command: &UserCommand) -> ExitCode {
    let given = match command {
        UserCommand::Add { named, .. }
        | UserCommand::Passwd { named, .. }
        | UserCommand::Role { named, .. }
        | UserCommand::Disable { named }
        | UserCommand::Rename { named, .. }
        | UserCommand::Enable { named } => named.settings.given(),
        UserCommand::Invite { settings, .. }
        | UserCommand::Import { settings, .. }
        | UserCommand::Adopt { settings, .. }
        | UserCommand::Link { settings, .. } => settings.given(),
        UserCommand::List { settings, .. } => settings.given(),
    };
    let settings = match effective(given) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Refused::failed(format!("the runtime cannot start: {error}")).tell(),
    };
    let done = runtime.block_on(async { Users::open(settings.config)?.perform(command).await });
    match done {
        Ok(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(refused) => refused.tell(),
    }
}

impl Users {
    async fn perform(&self, command: &UserCommand) -> Result<String, Refused> {
        match command {
            UserCommand::Add { named, role, password } => {
                self.add(&named.name, role.as_deref(), password).await
            }
            UserCommand::List { json, .. } => self.list(*json).await,
            UserCommand::Invite { role, days, send, link, .. } => {
                self.invite(role.as_deref(), *days, link, send.as_deref()).await
            }
            UserCommand::Passwd { named, password } => self.passwd(&named.name, password).await,
            UserCommand::Role { named, role } => {
                let account = self.account(&named.name).await?;
                let role = Some(role.clone()).filter(|role| !role.is_empty());
                let text = match &role {
                    Some(role) => format!("{} has the role {} now\n", account.name, shown(role)),
                    None => format!("{} has no role now\n", account.name),
                };
                self.order(&account.user, Order::Role { role }).await?;
                Ok(text)
            }
            UserCommand::Import { file, dry_run, link, .. } => self.import(file, *dry_run, link).await,
            UserCommand::Adopt { id: None, all: false, .. } => self.list_adoptable().await,
            UserCommand::Adopt { id, name, link, .. } => {
                self.adopt(id.as_deref(), name.as_deref(), link).await
            }
            UserCommand::Rename { named, login } => self.rename(&named.name, login).await,
            UserCommand::Disable { named } => self.disable(&named.name, true).await,
            UserCommand::Enable { named } => self.disable(&named.name, false).await,
            UserCommand::Link { link, .. } => {
                let secret = self.link(LinkKind::Admin, None, LINK_LIFE).await?;
                let address = self.address(link, "/_/register", &secret)?;
                Ok(format!(
                    "Open this link to make an administrator. It works once, within an hour:\n  {address}\n"
                ))
            }
        }
    }
}
