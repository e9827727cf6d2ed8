//! `tidewire user`: accounts, invitations and passwords of a data folder.
//!
//! Works beside a running server: the vault takes writes of two processes, and what concerns records the command leaves as an order
//! that the server carries out. Without a server the command opens the database itself.

use std::fmt::Write as _;
use std::io::{BufRead, Read, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::arguments::{LinkArguments, PasswordArguments, UserCommand};
use super::config::effective;
use super::loading::Refused;
use crate::config::{Config, Registration};
use crate::env::Env;
use crate::identity::{
    Account, IdentityError, LINK_LIFE, LinkKind, LoginName, Order, OrderOutcome, Passwords, StoredSession,
    new_link, outcome_of, perform,
};
use crate::ids::{Timestamp, shown};
use crate::metrics::StoreMetrics;
use crate::repository::{Current, Repository};
use crate::schema::{self, Color, Schema, Value};
use crate::store::vault::{Edited, Vault, VaultEdit, VaultEntry, VaultKind};
use crate::store::{Backend, OpenError, choice};

/// Bytes of a line with a password.
const LONGEST_LINE: u64 = 8 << 10;

/// How long a running server may take over an order, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(10);
const GLANCE: Duration = Duration::from_millis(100);

/// Exit code 0 when it was done, 1 when not, 2 for wrong arguments or settings.
pub fn run(command: &UserCommand) -> ExitCode {
    let given = match command {
        UserCommand::Add { named, .. }
        | UserCommand::Passwd { named, .. }
        | UserCommand::Role { named, .. }
        | UserCommand::Disable { named }
        | UserCommand::Enable { named } => named.settings.given(),
        UserCommand::Invite { settings, .. } | UserCommand::Link { settings, .. } => settings.given(),
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
            UserCommand::Invite { role, days, link, .. } => self.invite(role.as_deref(), *days, link).await,
            UserCommand::Passwd { named, password } => self.passwd(&named.name, password).await,
            UserCommand::Role { named, role } => {
                let account = self.account(&named.name).await?;
                let role = Some(role.clone()).filter(|role| !role.is_empty());
                let text = match &role {
                    Some(role) => format!("{} has the role {} now\n", account.name, shown(role)),
                    None => format!("{} has no role now\n", account.name),
                };
                self.order(&account.user, &Order::Role { role }).await?;
                Ok(text)
            }
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
        let name = LoginName::parse(name)
            .map_err(|fault| Refused::usage(format!("the name `{}` {fault}", shown(name))))?;
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
            return Err(Refused::failed(format!("there is a user `{}` already", name.text())));
        }
        let order = Order::Record { name: account.name.clone(), role: account.role.clone() };
        self.order(&account.user, &order).await?;
        let mut text = format!("{} was added with the id {}\n", account.name, account.user);
        if account.password.is_none() {
            text.push_str(&self.reset_link(&account, &password.link).await?);
        }
        Ok(text)
    }

    async fn passwd(&self, name: &str, password: &PasswordArguments) -> Result<String, Refused> {
        let account = self.account(name).await?;
        if !password.password_stdin {
            return self.reset_link(&account, &password.link).await;
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

    async fn reset_link(&self, account: &Account, link: &LinkArguments) -> Result<String, Refused> {
        let secret = self.link(LinkKind::Reset, Some(&account.user), LINK_LIFE).await?;
        let address = self.address(link, "/_/account", &secret)?;
        Ok(format!(
            "By this link {} sets the password. It works once, within an hour:\n  {address}\n",
            account.name
        ))
    }

    async fn invite(&self, role: Option<&str>, days: u16, link: &LinkArguments) -> Result<String, Refused> {
        if self.config.auth.register == Registration::Off {
            return Err(Refused::failed(
                "this server takes no registrations: set auth.register to \"invitation\", or use `tidewire user add NAME`",
            ));
        }
        let life = Duration::from_secs(u64::from(days) * 24 * 3600);
        let kind = LinkKind::Invite { role: role.map(str::to_owned) };
        let secret = self.link(kind, None, life).await?;
        let address = self.address(link, "/_/register", &secret)?;
        Ok(format!("By this link one user may register, within {days} days:\n  {address}\n"))
    }

    async fn disable(&self, name: &str, disabled: bool) -> Result<String, Refused> {
        let account = self.account(name).await?;
        self.order(&account.user, &Order::Disable { disabled }).await?;
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

    /// By the server that runs over the folder, or here where none does.
    async fn order(&self, user: &str, order: &Order) -> Result<(), Refused> {
        let schema = self.schema()?;
        match self.backend.open(&schema, self.env.clone(), StoreMetrics::default()) {
            Ok(opened) => {
                drop(opened.batches);
                let current = Current { schema, generation: opened.generation };
                let repository = Repository::new(opened.store.clone(), current, self.env.clone());
                let done = perform(&repository, user, order).await;
                opened.store.close().await;
                done.map_err(refused)?;
                self.recorded(user, order).await
            }
            Err(OpenError::InUse { .. }) => self.leave(user, order).await,
            Err(error) => Err(refused(error)),
        }
    }

    /// The account has its record now.
    async fn recorded(&self, user: &str, order: &Order) -> Result<(), Refused> {
        let Order::Record { .. } = order else { return Ok(()) };
        for entry in self.vault.list(VaultKind::Account, Some(user)).await.map_err(refused)? {
            let account = Account::of(&entry).map_err(refused)?;
            let recorded = Account { recorded: true, ..account };
            let edit = VaultEdit::Replace { was: entry.body, entry: recorded.entry() };
            self.vault.change(vec![edit]).await.map_err(refused)?;
        }
        Ok(())
    }

    async fn leave(&self, user: &str, order: &Order) -> Result<(), Refused> {
        let key = self.env.uuid_v7().to_string();
        let body = serde_json::to_string(order).map_err(|error| Refused::failed(error.to_string()))?;
        let expires = Some(Timestamp(self.env.now().0 + 3_600_000));
        let owner = Some(user.to_owned());
        let entry = VaultEntry { kind: VaultKind::Order, key: key.clone(), owner, expires, body };
        self.vault.change(vec![VaultEdit::Insert(entry)]).await.map_err(refused)?;
        let waiting = async {
            loop {
                let entry = self.vault.find(VaultKind::Order, &key).await.map_err(refused)?;
                match entry.as_ref().and_then(outcome_of) {
                    Some(OrderOutcome::Done) => return Ok(()),
                    Some(OrderOutcome::Failed { why }) => return Err(Refused::failed(why)),
                    None => tokio::time::sleep(GLANCE).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| {
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
