//! `tidewire user import`: all users of a file, or none.
//!
//! `list_of_users.rs` reads the file and knows no vault.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::super::arguments::LinkArguments;
use super::super::check::count;
use super::super::loading::Refused;
use super::list_of_users;
use super::list_of_users::LineFault;
use super::list_of_users::ListSource;
use super::list_of_users::WantedUser;
use super::user_orders::UserOrder;
use super::users::Users;
use super::users::refused;
use crate::identity::Account;
use crate::identity::LinkKind;
use crate::identity::Order;
use crate::identity::Passwords;
use crate::ids::shown;
use crate::store::vault::Edited;
use crate::store::vault::VaultEdit;
use crate::store::vault::VaultKind;

/// A list of users is handed out over days.
const IMPORTED_LINK_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

impl Users {
    /// All users of a file, or none.
    pub(super) async fn import(
        &self,
        file: &Path,
        dry_run: bool,
        link: &LinkArguments,
    ) -> Result<String, Refused> {
        let from = file.display().to_string();
        let read = match file == Path::new("-") {
            true => list_of_users::read(std::io::stdin().lock(), ListSource::Stdin),
            false => {
                let opened = std::fs::File::open(file)
                    .map_err(|error| Refused::failed(format!("{from} cannot be read: {error}")))?;
                list_of_users::read(opened, ListSource::File)
            }
        };
        let wanted = read.map_err(|faults| faulty(&from, &faults))?;
        let faults = self.faults(&wanted).await?;
        if !faults.is_empty() {
            return Err(faulty(&from, &faults));
        }
        let linked = wanted.iter().filter(|user| user.password.is_none()).count();
        if dry_run {
            let count = count(wanted.len(), "user", "users");
            return Ok(format!(
                "{from}: {count} can be made, {linked} of them with a link; nothing was made\n"
            ));
        }
        // Fails before anything is made, and not after it.
        self.address(link, "/_/account", "")?;
        let (mut accounts, mut orders) = (Vec::new(), Vec::new());
        for user in wanted {
            let password = match &user.password {
                Some(password) => Some(self.hash(password, user.name.text()).await?),
                None => None,
            };
            let (key, name) = (user.name.key().to_owned(), user.name.text().to_owned());
            let id = self.env.uuid_v7().to_string();
            let order = Order::Record { name: name.clone(), role: user.role.clone() };
            orders.push(UserOrder { user: id.clone(), order });
            accounts.push(Account { user: id, key, name, password, role: user.role, recorded: false });
        }
        let edits = accounts.iter().map(|account| VaultEdit::Insert(account.entry())).collect();
        if let Edited::Refused { edit } = self.vault.change(edits).await.map_err(refused)? {
            let name = accounts.get(edit).map_or("", |account| &account.name);
            return Err(Refused::failed(format!(
                "there is a user `{}` since a moment: try again",
                shown(name)
            )));
        }
        if !orders.is_empty() {
            self.orders(orders).await?;
        }
        let mut rows = csv::Writer::from_writer(Vec::new());
        let written = |error: csv::Error| Refused::failed(error.to_string());
        rows.write_record(["name", "id", "link"]).map_err(written)?;
        for account in &accounts {
            let address = match account.password {
                Some(_) => String::new(),
                None => {
                    let secret = self.link(LinkKind::Reset, Some(&account.user), IMPORTED_LINK_LIFE).await?;
                    self.address(link, "/_/account", &secret)?
                }
            };
            rows.write_record([&account.name, &account.user, &address]).map_err(written)?;
        }
        let rows = rows.into_inner().map_err(|error| Refused::failed(error.to_string()))?;
        String::from_utf8(rows).map_err(|error| Refused::failed(error.to_string()))
    }

    /// What only the vault and the settings know of a list.
    async fn faults(&self, wanted: &[WantedUser]) -> Result<Vec<LineFault>, Refused> {
        let passwords = Passwords::new(1, self.config.auth.password_length);
        let mut faults = Vec::new();
        for user in wanted {
            let name = user.name.text();
            let taken = self.vault.find(VaultKind::Account, user.name.key()).await.map_err(refused)?;
            if taken.is_some() {
                let message = format!("there is a user `{}` already", shown(name));
                faults.push(LineFault { line: user.line, message });
            }
            let weak = user.password.as_ref().and_then(|password| passwords.fault(password, name));
            if let Some(fault) = weak {
                faults.push(LineFault { line: user.line, message: format!("the password {fault}") });
            }
        }
        Ok(faults)
    }
}

/// Every mistake of a list, as an editor finds it.
fn faulty(from: &str, faults: &[LineFault]) -> Refused {
    let mut text = String::new();
    for LineFault { line, message } in faults {
        let _ = writeln!(text, "{from}:{line}: {message}");
    }
    let _ = writeln!(text, "error: {}; no user was made", count(faults.len(), "mistake", "mistakes"));
    Refused::said(text)
}
