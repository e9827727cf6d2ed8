//! Logging in, registering, and setting passwords.
//!
//! An account and the link that made it change in one step. Its `User` record follows, and where that failed the first login makes it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::entries::{Account, Link, LinkKind, OutsideSession, StoredSession};
use super::error::{IdentityError, of_vault};
use super::identities::Identities;
use super::live_session::LiveSession;
use super::login_name::LoginName;
use super::secret::{Secret, SecretKind, digest};
use super::throttle::Budget;
use crate::auth::Identity;
use crate::config::Registration;
use crate::store::vault::{Edited, VaultEdit, VaultEntry, VaultKind};

/// Wrong passwords of one name from one address.
pub(super) const OF_NAME: Budget = Budget { burst: 5, gap: Duration::from_secs(20) };
/// Wrong passwords and registrations from one address, whatever the name.
pub(super) const OF_ADDRESS: Budget = Budget { burst: 30, gap: Duration::from_secs(2) };

/// A new session.
#[derive(Debug, Clone)]
pub struct Granted {
    pub token: Secret,
    pub session: Arc<LiveSession>,
}

/// Who wants an account.
#[derive(Debug, Clone, Copy)]
pub struct NewAccount<'a> {
    pub name: &'a str,
    pub password: &'a str,
    /// The secret of the link that they came by.
    pub link: Option<&'a str>,
}

impl Identities {
    /// A session for the right password. A name that nobody has takes as long and gets the same answer.
    pub async fn log_in(
        &self,
        name: &str,
        password: &str,
        address: IpAddr,
        device: &str,
    ) -> Result<Granted, IdentityError> {
        let key = LoginName::parse(name).map(|name| name.key().to_owned()).unwrap_or_default();
        let near = neighbourhood(address);
        let of_name = format!("{near} {key}");
        self.try_once(&near, OF_ADDRESS)?;
        self.try_once(&of_name, OF_NAME)?;
        // A text that can be no name is looked up as well: it must not be told from one that could.
        let account = self.vault.find(VaultKind::Account, &key).await.map_err(of_vault)?;
        let account = account.as_ref().map(Account::of).transpose()?;
        let stored = account.as_ref().and_then(|account| account.password.clone());
        let spent = [(&*near, OF_ADDRESS), (&*of_name, OF_NAME)];
        let fits = self.fits(password, stored, &spent).await?;
        let account = account.filter(|_| fits).ok_or(IdentityError::WrongLogin)?;
        self.must_be_open(&account, address).await?;
        self.grant(&account.user, device).await
    }

    /// Makes an account and logs it in.
    pub async fn register(
        &self,
        wanted: NewAccount<'_>,
        address: IpAddr,
        device: &str,
    ) -> Result<Granted, IdentityError> {
        self.try_once(&neighbourhood(address), OF_ADDRESS)?;
        let link = match wanted.link {
            Some(text) => Some(self.link(text).await?),
            None => None,
        };
        let role = self.may_register(link.as_ref())?;
        let name =
            LoginName::parse(wanted.name).map_err(|fault| IdentityError::field("name", "bad_name", fault))?;
        self.must_be_strong("password", wanted.password, name.text())?;
        let password = Some(self.passwords.hash(wanted.password.to_owned()).await?);
        let account = Account {
            user: self.env.uuid_v7().to_string(),
            key: name.key().to_owned(),
            name: name.text().to_owned(),
            password,
            role,
            recorded: false,
        };
        self.claim(&account, link.as_ref()).await?;
        if let Err(error) = self.record(&account, address).await {
            self.give_up(&account, link).await;
            return Err(error);
        }
        if account.role.as_deref() == Some(ADMIN) {
            self.awaits_admin.store(false, Ordering::Relaxed);
        }
        self.grant(&account.user, device).await
    }

    /// Sets the password by a link. Every session of the user ends.
    pub async fn reset_password(
        &self,
        link: &str,
        password: &str,
        address: IpAddr,
        device: &str,
    ) -> Result<Granted, IdentityError> {
        self.try_once(&neighbourhood(address), OF_ADDRESS)?;
        let link = self.link(link).await?;
        if Link::of(&link)?.kind != LinkKind::Reset {
            return Err(IdentityError::BadLink);
        }
        let user = link.owner.clone().ok_or(IdentityError::BadLink)?;
        let account = self.account_of(&user).await?.ok_or(IdentityError::BadLink)?;
        self.must_be_strong("password", password, &account.name)?;
        self.must_be_open(&account, address).await?;
        let once = VaultEdit::Remove { kind: VaultKind::Link, key: link.key };
        self.store_password(&account, password, vec![once], IdentityError::BadLink).await?;
        self.grant(&user, device).await
    }

    /// Sets the password of a user who knows the old one. Every other session of theirs ends, and this one goes on under another
    /// token.
    pub async fn change_password(
        &self,
        session: &LiveSession,
        old: &str,
        new: &str,
        address: IpAddr,
        device: &str,
    ) -> Result<Granted, IdentityError> {
        let near = neighbourhood(address);
        let of_name = format!("{near} {}", session.user);
        self.try_once(&of_name, OF_NAME)?;
        let account = self.account_of(&session.user).await?.ok_or(IdentityError::NoSession)?;
        if !self.fits(old, account.password.clone(), &[(&of_name, OF_NAME)]).await? {
            return Err(IdentityError::field("oldPassword", "wrong", "is not your password"));
        }
        self.must_be_strong("password", new, &account.name)?;
        self.store_password(&account, new, Vec::new(), IdentityError::WrongLogin).await?;
        self.grant(&session.user, device).await
    }

    /// The account of a user, if they have one here.
    pub async fn account_of(&self, user: &str) -> Result<Option<Account>, IdentityError> {
        let found = self.vault.list(VaultKind::Account, Some(user)).await.map_err(of_vault)?;
        found.first().map(Account::of).transpose()
    }

    /// Whether the password is the stored one. Only a wrong one costs what was spent for the try: a server that has too much to do
    /// locks no user out.
    pub(super) async fn fits(
        &self,
        password: &str,
        stored: Option<String>,
        spent: &[(&str, Budget)],
    ) -> Result<bool, IdentityError> {
        let fits = self.passwords.fits(password.to_owned(), stored).await;
        if !matches!(fits, Ok(false)) {
            spent.iter().for_each(|(key, budget)| self.throttle.give_back(key, *budget));
        }
        fits
    }

    pub(super) fn try_once(&self, key: &str, budget: Budget) -> Result<(), IdentityError> {
        let taken = self.throttle.take(key, budget, self.env.elapsed());
        taken.map_err(|wait| IdentityError::Throttled { wait })
    }

    async fn link(&self, text: &str) -> Result<VaultEntry, IdentityError> {
        if !SecretKind::Link.fits(text) {
            return Err(IdentityError::BadLink);
        }
        let found = self.vault.find(VaultKind::Link, &digest(text)).await.map_err(of_vault)?;
        let now = self.env.now();
        found.filter(|link| link.expires.is_none_or(|expires| now < expires)).ok_or(IdentityError::BadLink)
    }

    /// The role that the new account begins with.
    fn may_register(&self, link: Option<&VaultEntry>) -> Result<Option<String>, IdentityError> {
        let kind = link.map(Link::of).transpose()?.map(|link| link.kind);
        match (kind, self.config.register) {
            (Some(LinkKind::Admin), _) => Ok(Some(ADMIN.to_owned())),
            (Some(LinkKind::Reset), _) => Err(IdentityError::BadLink),
            (_, Registration::Off) => Err(IdentityError::RegistrationClosed("")),
            (Some(LinkKind::Invite { role }), Registration::Invitation | Registration::Open) => Ok(role),
            (None, Registration::Invitation) => {
                Err(IdentityError::RegistrationClosed(" without an invitation"))
            }
            (None, Registration::Open) => Ok(None),
        }
    }

    fn must_be_strong(&self, field: &str, password: &str, name: &str) -> Result<(), IdentityError> {
        match self.passwords.fault(password, name) {
            Some(fault) => Err(IdentityError::field(field, "weak_password", &fault)),
            None => Ok(()),
        }
    }

    /// Takes the name and uses up the link, both or neither.
    async fn claim(&self, account: &Account, link: Option<&VaultEntry>) -> Result<(), IdentityError> {
        let mut edits = vec![VaultEdit::Insert(account.entry())];
        edits.extend(link.map(|link| VaultEdit::Remove { kind: VaultKind::Link, key: link.key.clone() }));
        match self.vault.change(edits).await.map_err(of_vault)? {
            Edited::Done => Ok(()),
            Edited::Refused { edit: 0 } => Err(IdentityError::NameTaken),
            Edited::Refused { .. } => Err(IdentityError::BadLink),
        }
    }

    /// The `User` record could not be made: as if nothing had been asked.
    async fn give_up(&self, account: &Account, link: Option<VaultEntry>) {
        let mut edits = vec![VaultEdit::Remove { kind: VaultKind::Account, key: account.key.clone() }];
        edits.extend(link.map(VaultEdit::Insert));
        if let Err(error) = self.vault.change(edits).await {
            tracing::warn!(%error, "an account without a User record stays; its first login makes the record");
        }
    }

    /// Makes the `User` record, once in the life of an account.
    pub(super) async fn record(&self, account: &Account, address: IpAddr) -> Result<(), IdentityError> {
        let caller = Identity { user: Some(account.user.as_str().into()), ..Identity::nobody(address) };
        let made = self.repository.add_person(&caller, &account.user, &account.name, account.role.as_deref());
        made.await.map_err(IdentityError::Repository)?;
        let recorded = Account { recorded: true, ..account.clone() };
        let edit = VaultEdit::Replace { was: account.entry().body, entry: recorded.entry() };
        // Refused where another login was faster.
        self.vault.change(vec![edit]).await.map(drop).map_err(of_vault)
    }

    /// Whether the user may come in, now that they have shown who they are.
    async fn must_be_open(&self, account: &Account, address: IpAddr) -> Result<(), IdentityError> {
        if self.repository.has_account(&account.user).await.map_err(IdentityError::Repository)? {
            return Ok(());
        }
        if account.recorded {
            return Err(IdentityError::WrongLogin);
        }
        self.record(account, address).await
    }

    async fn store_password(
        &self,
        account: &Account,
        password: &str,
        mut edits: Vec<VaultEdit>,
        raced: IdentityError,
    ) -> Result<(), IdentityError> {
        let hash = self.passwords.hash(password.to_owned()).await?;
        // The account may have been changed while the password was hashed.
        let now = self.account_of(&account.user).await?.ok_or_else(|| raced.clone())?;
        if now.password != account.password {
            return Err(raced);
        }
        let changed = Account { password: Some(hash), ..now.clone() };
        edits.push(VaultEdit::Replace { was: now.entry().body, entry: changed.entry() });
        edits.push(VaultEdit::Clear { kind: VaultKind::Session, owner: account.user.clone() });
        let sessions = self.vault.list(VaultKind::Session, Some(&account.user)).await.map_err(of_vault)?;
        match self.vault.change(edits).await.map_err(of_vault)? {
            Edited::Done => {}
            Edited::Refused { .. } => return Err(raced),
        }
        for entry in &sessions {
            self.known.end(&StoredSession::of(entry)?.id);
        }
        Ok(())
    }

    /// A new session of a user.
    pub(super) async fn grant(&self, user: &str, device: &str) -> Result<Granted, IdentityError> {
        self.grant_as(user, device, None).await
    }

    /// The same with what another issuer says of the user.
    pub(super) async fn grant_as(
        &self,
        user: &str,
        device: &str,
        outside: Option<OutsideSession>,
    ) -> Result<Granted, IdentityError> {
        let (token, now) = (Secret::new(SecretKind::Session, &self.env), self.env.now());
        let stored = StoredSession {
            id: self.env.uuid_v7().to_string(),
            created: now.0,
            seen: now.0,
            device: device.to_owned(),
            superseded: false,
            outside,
        };
        let (key, expires) = (token.digest(), self.expiry(now.0, now));
        let edit = VaultEdit::Insert(stored.entry(&key, user, expires));
        let ends = self.known.ends();
        match self.vault.change(vec![edit]).await.map_err(of_vault)? {
            Edited::Done => {
                let known = match self.known.learn(ends, &key, user, stored, expires) {
                    Some(known) => known,
                    None => self.read_session(&key).await?,
                };
                Ok(Granted { token, session: known.session.clone() })
            }
            Edited::Refused { .. } => Err(IdentityError::Failed("a token came twice".to_owned())),
        }
    }
}

/// The role of those who may look at the server itself.
pub(super) const ADMIN: &str = "admin";

/// Addresses that one network hands out at will count as one.
pub(super) fn neighbourhood(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.to_string(),
            None => address.segments()[..4].iter().map(|part| format!("{part:x}:")).collect(),
        },
    }
}
