//! `tidewire user`: accounts, invitations and passwords of a data folder.
//!
//! Works beside a running server: the vault takes writes of two processes, and what concerns records the command leaves as an order
//! that the server carries out. Without a server the command opens the database itself.

mod list_of_users;

use std::fmt::Write as _;
use std::io::{BufRead, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use self::list_of_users::{LineFault, ListSource, WantedUser};
use super::arguments::{LinkArguments, PasswordArguments, UserCommand};
use super::check::count;
use super::config::effective;
use super::loading::Refused;
use crate::config::{Config, Registration};
use crate::env::Env;
use crate::identity::{
    Account, IdentityError, LINK_LIFE, Letter, LinkKind, LoadedTokens, LoginName, Mailer, Order,
    OrderOutcome, Passwords, StoredSession, ids_without_source, new_link, outcome_of, perform,
};
use crate::ids::{Timestamp, shown};
use crate::metrics::StoreMetrics;
use crate::repository::{Current, Repository};
use crate::schema::{self, Color, Schema, Value};
use crate::store::vault::{Edited, Vault, VaultEdit, VaultEntry, VaultKind};
use crate::store::{Backend, LiveStore, OpenError, Opened, choice};

/// Bytes of a line with a password.
const LONGEST_LINE: u64 = 8 << 10;

/// A list of users is handed out over days.
const IMPORTED_LINK_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long a running server may take over an order, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(100);
/// More, for each order beside the first.
const FOR_EACH: Duration = Duration::from_millis(50);

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

/// What is asked of the records of one user.
struct UserOrder {
    user: String,
    order: Order,
}

/// A mailer, and the address to which it brings one link.
struct Postman {
    mailer: Mailer,
    to: String,
}

impl Postman {
    /// The link is in the mail alone.
    async fn send(&self, letter: Letter<'_>) -> Result<String, Refused> {
        let sent = self.mailer.send(&self.to, letter).await;
        sent.map_err(|error| Refused::failed(error.to_string()))?;
        Ok(format!("A mail with the link went to {}\n", shown(&self.to)))
    }
}

/// A database that no server has open.
struct Alone {
    store: Arc<dyn LiveStore>,
    repository: Repository,
}

/// The accounts of one data folder.
struct Users {
    config: Config,
    backend: Arc<dyn Backend>,
    vault: Arc<dyn Vault>,
    env: Env,
}

impl Users {
    fn open(config: Config) -> Result<Users, Refused> {
        let backend = choice::backend(&config).map_err(refused)?;
        let vault = backend.vault().map_err(refused)?;
        Ok(Users { config, backend, vault, env: Env::system() })
    }

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

    async fn add(
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

    async fn passwd(&self, name: &str, password: &PasswordArguments) -> Result<String, Refused> {
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

    async fn reset_link(
        &self,
        account: &Account,
        link: &LinkArguments,
        send: Option<&str>,
    ) -> Result<String, Refused> {
        let postman = self.postman(send)?;
        let secret = self.link(LinkKind::Reset, Some(&account.user), LINK_LIFE).await?;
        if let Some(postman) = postman {
            let link = self.address_in_mail(link, &postman, "/_/account", &secret)?;
            return postman.send(Letter::Reset { name: &account.name, link: &link }).await;
        }
        let address = self.address(link, "/_/account", &secret)?;
        Ok(format!(
            "By this link {} sets the password. It works once, within an hour:\n  {address}\n",
            account.name
        ))
    }

    /// Who brings a link to this mail address.
    fn postman(&self, send: Option<&str>) -> Result<Option<Postman>, Refused> {
        let Some(to) = send else { return Ok(None) };
        let Some(file) = &self.config.auth.mail else {
            return Err(Refused::failed(
                "no mail can be sent: `auth.mail` must name the file of the mail server",
            ));
        };
        let mailer = Mailer::read(file).map_err(|error| Refused::failed(error.to_string()))?;
        Ok(Some(Postman { mailer, to: to.to_owned() }))
    }

    /// As `address`, under the address of the server that the file of the mail server says.
    fn address_in_mail(
        &self,
        link: &LinkArguments,
        postman: &Postman,
        page: &str,
        secret: &str,
    ) -> Result<String, Refused> {
        match link.url {
            Some(_) => self.address(link, page, secret),
            None => Ok(format!("{}{page}#{secret}", postman.mailer.url())),
        }
    }

    async fn invite(
        &self,
        role: Option<&str>,
        days: u16,
        link: &LinkArguments,
        send: Option<&str>,
    ) -> Result<String, Refused> {
        if self.config.auth.register == Registration::Off {
            return Err(Refused::failed(
                "this server takes no registrations: set auth.register to \"invitation\", or use `tidewire user add NAME`",
            ));
        }
        let postman = self.postman(send)?;
        let life = Duration::from_secs(u64::from(days) * 24 * 3600);
        let kind = LinkKind::Invite { role: role.map(str::to_owned) };
        let secret = self.link(kind, None, life).await?;
        if let Some(postman) = postman {
            let link = self.address_in_mail(link, &postman, "/_/register", &secret)?;
            return postman.send(Letter::Invitation { link: &link }).await;
        }
        let address = self.address(link, "/_/register", &secret)?;
        Ok(format!("By this link one user may register, within {days} days:\n  {address}\n"))
    }

    /// The name is the account's key. Who logs in under the former one at this moment fails, and nothing else does.
    async fn rename(&self, name: &str, login: &str) -> Result<String, Refused> {
        let account = self.account(name).await?;
        let login = login_name(login)?;
        let renamed =
            Account { key: login.key().to_owned(), name: login.text().to_owned(), ..account.clone() };
        // The first edit sees that nothing changed since the account was read.
        let (was, key) = (account.entry().body, account.key.clone());
        let edits = match key == renamed.key {
            true => vec![VaultEdit::Replace { was, entry: renamed.entry() }],
            false => vec![
                VaultEdit::Replace { was, entry: account.entry() },
                VaultEdit::Remove { kind: VaultKind::Account, key },
                VaultEdit::Insert(renamed.entry()),
            ],
        };
        match self.vault.change(edits).await.map_err(refused)? {
            Edited::Done => Ok(format!("{} logs in as {} now\n", account.name, renamed.name)),
            Edited::Refused { edit: 2 } => Err(taken(&login)),
            Edited::Refused { .. } => Err(Refused::failed("the account changed meanwhile: try again")),
        }
    }

    /// All users of a file, or none.
    async fn import(&self, file: &Path, dry_run: bool, link: &LinkArguments) -> Result<String, Refused> {
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

    async fn list_adoptable(&self) -> Result<String, Refused> {
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
    async fn adopt(
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

    async fn disable(&self, name: &str, disabled: bool) -> Result<String, Refused> {
        let account = self.account(name).await?;
        self.order(&account.user, Order::Disable { disabled }).await?;
        Ok(format!("{} is {} now\n", account.name, if disabled { "disabled" } else { "enabled" }))
    }

    async fn list(&self, as_json: bool) -> Result<String, Refused> {
        let schema = self.schema()?;
        let glance = match self.backend.glance(&schema) {
            Ok(glance) => Some(glance),
            // No server ran here yet.
            Err(OpenError::NoDatabase { .. }) => None,
            Err(error) => return Err(refused(error)),
        };
        let mut rows = Vec::new();
        for entry in self.vault.list(VaultKind::Account, None).await.map_err(refused)? {
            let account = Account::of(&entry).map_err(refused)?;
            let record = match &glance {
                Some(glance) => glance.records.record("User", &account.user).map_err(refused)?,
                None => None,
            };
            let value = |place: usize| record.as_ref().and_then(|record| record.values.get(place)).cloned();
            let role = match value(1) {
                Some(Value::Text(role)) => Some(role),
                None => account.role.clone(),
                Some(_) => None,
            };
            let state = match (value(2), &record) {
                (Some(Value::Bool(true)), _) => "disabled",
                (_, None) if account.recorded => "deleted",
                _ if account.password.is_none() => "no password",
                _ => "active",
            };
            let seen = self.last_seen(&account.user).await?;
            rows.push(AccountRow { name: account.name, id: account.user, role, state, seen });
        }
        Ok(if as_json { json_of(&rows) } else { text_of(&rows) })
    }

    async fn last_seen(&self, user: &str) -> Result<Option<Timestamp>, Refused> {
        let sessions = self.vault.list(VaultKind::Session, Some(user)).await.map_err(refused)?;
        let mut seen = None;
        for entry in &sessions {
            seen = seen.max(Some(StoredSession::of(entry).map_err(refused)?.seen));
        }
        Ok(seen.map(Timestamp))
    }

    async fn account(&self, name: &str) -> Result<Account, Refused> {
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

    async fn hash(&self, password: &str, name: &str) -> Result<String, Refused> {
        let passwords = Passwords::new(1, self.config.auth.password_length);
        if let Some(fault) = passwords.fault(password, name) {
            return Err(Refused::usage(format!("the password {fault}")));
        }
        passwords.hash(password.to_owned()).await.map_err(refused)
    }

    async fn link(&self, kind: LinkKind, user: Option<&str>, life: Duration) -> Result<String, Refused> {
        let secret = new_link(&*self.vault, &self.env, kind, user, life).await.map_err(refused)?;
        Ok(secret.text().to_owned())
    }

    /// Behind `#`, so that no server and no log gets the secret.
    fn address(&self, link: &LinkArguments, page: &str, secret: &str) -> Result<String, Refused> {
        let base = match &link.url {
            Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
                url.trim_end_matches('/').to_owned()
            }
            Some(url) => {
                return Err(Refused::usage(format!(
                    "--url `{}` is no address: write http:// or https:// before it",
                    shown(url)
                )));
            }
            None => format!("http://{}", self.config.listen),
        };
        Ok(format!("{base}{page}#{secret}"))
    }

    async fn order(&self, user: &str, order: Order) -> Result<(), Refused> {
        self.orders(vec![UserOrder { user: user.to_owned(), order }]).await
    }

    /// By the server that runs over the folder, or here where none does.
    async fn orders(&self, orders: Vec<UserOrder>) -> Result<(), Refused> {
        let schema = self.schema()?;
        match self.backend.open(&schema, self.env.clone(), StoreMetrics::default()) {
            Ok(opened) => {
                let repository = self.repository(schema, &opened);
                drop(opened.batches);
                let done = self.perform_all(&repository, &orders).await;
                opened.store.close().await;
                done
            }
            Err(OpenError::InUse { .. }) => self.leave(&orders).await,
            Err(error) => Err(refused(error)),
        }
    }

    fn repository(&self, schema: Arc<Schema>, opened: &Opened<dyn LiveStore>) -> Repository {
        let current = Current { schema, generation: opened.generation };
        Repository::new(opened.store.clone(), current, self.env.clone())
    }

    async fn perform_all(&self, repository: &Repository, orders: &[UserOrder]) -> Result<(), Refused> {
        for UserOrder { user, order } in orders {
            perform(repository, user, order).await.map_err(refused)?;
            if let Order::Record { .. } = order {
                self.recorded(user).await?;
            }
        }
        Ok(())
    }

    /// The account has its record now.
    async fn recorded(&self, user: &str) -> Result<(), Refused> {
        for entry in self.vault.list(VaultKind::Account, Some(user)).await.map_err(refused)? {
            let account = Account::of(&entry).map_err(refused)?;
            let recorded = Account { recorded: true, ..account };
            let edit = VaultEdit::Replace { was: entry.body, entry: recorded.entry() };
            self.vault.change(vec![edit]).await.map_err(refused)?;
        }
        Ok(())
    }

    async fn leave(&self, orders: &[UserOrder]) -> Result<(), Refused> {
        let expires = Some(Timestamp(self.env.now().0 + 3_600_000));
        let (mut keys, mut edits) = (Vec::new(), Vec::new());
        for UserOrder { user, order } in orders {
            let (kind, key, owner) = (VaultKind::Order, self.env.uuid_v7().to_string(), Some(user.clone()));
            let body = serde_json::to_string(order).map_err(|error| Refused::failed(error.to_string()))?;
            keys.push(key.clone());
            edits.push(VaultEdit::Insert(VaultEntry { kind, key, owner, expires, body }));
        }
        self.vault.change(edits).await.map_err(refused)?;
        let waiting = async {
            for key in &keys {
                loop {
                    let entry = self.vault.find(VaultKind::Order, key).await.map_err(refused)?;
                    match entry.as_ref().and_then(outcome_of) {
                        Some(OrderOutcome::Done) => break,
                        Some(OrderOutcome::Failed { why }) => return Err(Refused::failed(why)),
                        None => tokio::time::sleep(GLANCE).await,
                    }
                }
            }
            Ok(())
        };
        let patience = PATIENCE + FOR_EACH * u32::try_from(orders.len()).unwrap_or(u32::MAX);
        tokio::time::timeout(patience, waiting).await.unwrap_or_else(|_| {
            Err(Refused::failed(
                "the process that has the database open did not answer; it does this within an hour if it is a Tidewire server",
            ))
        })
    }

    fn schema(&self) -> Result<Arc<Schema>, Refused> {
        let loaded = schema::load(&self.config.schemas)
            .map_err(|errors| Refused::said(errors.render(Color::Never)))?;
        Ok(Arc::new(loaded.schema))
    }
}

/// One line of the list.
struct AccountRow {
    name: String,
    id: String,
    role: Option<String>,
    state: &'static str,
    seen: Option<Timestamp>,
}

fn json_of(rows: &[AccountRow]) -> String {
    let rows: Vec<serde_json::Value> = rows
        .iter()
        .map(|row| {
            let seen = row.seen.map(Timestamp::rfc3339);
            json!({ "name": row.name, "id": row.id, "role": row.role, "state": row.state, "seenAt": seen })
        })
        .collect();
    format!("{:#}\n", serde_json::Value::from(rows))
}

fn text_of(rows: &[AccountRow]) -> String {
    if rows.is_empty() {
        return "There are no accounts; `tidewire user add NAME` makes one\n".to_owned();
    }
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        let role = row.role.as_deref().unwrap_or("-");
        let seen = row.seen.map_or_else(|| "never".to_owned(), Timestamp::rfc3339);
        let _ = writeln!(text, "{:width$}  {}  {role:10}  {:11}  seen {seen}", row.name, row.id, row.state);
    }
    text
}

fn login_name(text: &str) -> Result<LoginName, Refused> {
    LoginName::parse(text).map_err(|fault| Refused::usage(format!("the name `{}` {fault}", shown(text))))
}

fn taken(name: &LoginName) -> Refused {
    Refused::failed(format!("there is a user `{}` already", shown(name.text())))
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

/// The first line of stdin.
fn read_password() -> Result<String, Refused> {
    let mut line = String::new();
    let mut stdin = std::io::stdin().lock().take(LONGEST_LINE);
    stdin.read_line(&mut line).map_err(|error| Refused::failed(format!("stdin cannot be read: {error}")))?;
    let password = line.strip_suffix('\n').map_or(&*line, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(password.to_owned())
}

fn refused(error: impl ToRefused) -> Refused {
    error.to_refused()
}

/// Errors of the floors below in the words of a command.
trait ToRefused {
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
