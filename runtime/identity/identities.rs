//! `Identities`: who a request or a connection is, by what it brought along.
//!
//! A token is looked up in memory, then in the vault; whether its user still has an account, the records say.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::access_tokens::AccessTokens;
use super::entries::StoredSession;
use super::error::{IdentityError, of_vault};
use super::known_sessions::{KnownSessions, KnownToken};
use super::live_session::{LiveSession, LoginKind};
use super::outside::{LoadedTokens, Logins, Outside};
use super::passwords::Passwords;
use super::resets::Resets;
use super::secret::{SecretKind, digest};
use super::throttle::Throttle;
use super::tickets::{TicketFor, TicketUse, Tickets};
use crate::auth::{self, Credentials, Identity, NameTrust};
use crate::config::AuthConfig;
use crate::env::Env;
use crate::ids::Timestamp;
use crate::repository::Repository;
use crate::store::vault::{Edited, Vault, VaultEdit, VaultKind};

/// See the module's text. Shared behind an `Arc`.
pub struct Identities {
    pub(super) vault: Arc<dyn Vault>,
    pub(super) repository: Arc<Repository>,
    pub(super) env: Env,
    pub(super) config: AuthConfig,
    names: NameTrust,
    pub(super) passwords: Passwords,
    pub(super) throttle: Throttle,
    pub(super) known: KnownSessions,
    pub(super) tickets: Tickets,
    pub(super) access: AccessTokens,
    pub(super) outside: Outside,
    pub(super) logins: Logins,
    /// Where a mail server is configured.
    pub(super) resets: Option<Resets>,
    /// Nothing but the link of the first administrator is served.
    pub(super) awaits_admin: AtomicBool,
}

/// What a request or connection brought along. More than one of these is refused before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brought<'a> {
    Nothing,
    /// `?as=NAME` or `?as=NAME:role`, and what `?claims=` says with it.
    Name(&'a str, Option<&'a str>),
    Token(&'a str),
    Ticket(&'a str, TicketUse<'a>),
}

/// A caller who was let in.
#[derive(Debug, Clone)]
pub struct Admitted {
    pub identity: Identity,
    /// Of a caller with a token.
    pub session: Option<Arc<LiveSession>>,
}

impl Admitted {
    /// The session, where the caller logged in here: it can be listed, refreshed and ended.
    pub fn own_session(&self) -> Option<&Arc<LiveSession>> {
        self.session.as_ref().filter(|session| session.kind == LoginKind::Session)
    }
}

impl Identities {
    pub fn new(
        vault: Arc<dyn Vault>,
        repository: Arc<Repository>,
        env: Env,
        config: &AuthConfig,
        names: NameTrust,
        tokens: LoadedTokens,
    ) -> Identities {
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        let tickets = Tickets::new(env.random_text());
        Identities {
            vault,
            repository,
            env,
            passwords: Passwords::new(at_once, config.password_length),
            config: config.clone(),
            names,
            throttle: Throttle::default(),
            known: KnownSessions::default(),
            tickets,
            access: tokens.access,
            outside: tokens.outside,
            logins: Logins::default(),
            resets: None,
            awaits_admin: AtomicBool::new(false),
        }
    }

    pub fn config(&self) -> &AuthConfig {
        &self.config
    }

    /// Whether a caller may simply say who they are.
    pub fn believes_names(&self) -> bool {
        self.names == NameTrust::Believed
    }

    /// Whether a socket without a token may come in as far as to send one.
    pub fn takes_tokens_later(&self) -> bool {
        self.names == NameTrust::Refused && !self.config.anonymous && !self.config.token_wait.is_zero()
    }

    /// How many passwords were computed so far: a login costs one, whoever asks.
    pub fn passwords_computed(&self) -> u64 {
        self.passwords.computed()
    }

    /// Whether the server serves nothing before it has an administrator.
    pub fn awaits_admin(&self) -> bool {
        self.awaits_admin.load(Ordering::Relaxed)
    }

    /// The caller, whose account may still be disabled or gone: `admit_reader` and `admit_writer` look.
    pub async fn identify(&self, brought: Brought<'_>, address: IpAddr) -> Result<Admitted, IdentityError> {
        let nobody = || Identity::nobody(address);
        match brought {
            Brought::Nothing => match self.names {
                // `dev` is open to every caller that reaches it.
                NameTrust::Refused if !self.config.anonymous => {
                    Err(IdentityError::BadToken("this server needs a token from every caller: log in first"))
                }
                NameTrust::Refused | NameTrust::Believed => {
                    Ok(Admitted { identity: nobody(), session: None })
                }
            },
            Brought::Name(name, claims) => {
                if self.names == NameTrust::Refused {
                    return Err(IdentityError::BadToken(
                        "`?as=` and X-User-Id are for `tidewire dev`; this server wants a token",
                    ));
                }
                let credentials = Credentials { name: Some(name), claims, address };
                let identity = auth::identify(&credentials).map_err(IdentityError::BadName)?;
                Ok(Admitted { identity, session: None })
            }
            Brought::Token(token) => {
                let session = self.session_of(token).await?;
                Ok(Admitted { identity: session.identity(address, &self.env), session: Some(session) })
            }
            Brought::Ticket(ticket, used_for) => {
                let session = self.session_of_ticket(ticket, used_for).await?;
                Ok(Admitted { identity: session.identity(address, &self.env), session: Some(session) })
            }
        }
    }

    /// A caller who reads. A user who has no account here gets a `User` record at first sight (SEMANTICS R11).
    pub async fn admit_reader(
        &self,
        brought: Brought<'_>,
        address: IpAddr,
    ) -> Result<Admitted, IdentityError> {
        let admitted = self.identify(brought, address).await?;
        if !self.has_record(&admitted).await? {
            self.repository.ensure_reader(&admitted.identity).await.map_err(IdentityError::Repository)?;
        }
        Ok(admitted)
    }

    /// The same for a caller who writes.
    pub async fn admit_writer(
        &self,
        brought: Brought<'_>,
        address: IpAddr,
    ) -> Result<Admitted, IdentityError> {
        let admitted = self.identify(brought, address).await?;
        self.require_writer(&admitted).await?;
        Ok(admitted)
    }

    /// Looks whether a caller who was admitted may write now.
    pub async fn require_writer(&self, admitted: &Admitted) -> Result<(), IdentityError> {
        match self.has_record(admitted).await? {
            true => Ok(()),
            false => self.repository.ensure_user(&admitted.identity).await.map_err(IdentityError::Repository),
        }
    }

    /// Whether the caller came with a token of a user who has a `User` record. Fails for one who is disabled, and for a login here
    /// whose record was deleted: that id is not given again (SEMANTICS Y1). The record is read again only after it may have
    /// changed.
    async fn has_record(&self, admitted: &Admitted) -> Result<bool, IdentityError> {
        let Some(session) = admitted.session.as_ref().filter(|session| !session.user.is_empty()) else {
            return Ok(false);
        };
        let stamp = self.repository.person_stamp(&session.user);
        if session.was_vouched(stamp) {
            return Ok(true);
        }
        if self.repository.has_account(&session.user).await.map_err(IdentityError::Repository)? {
            session.vouch(stamp);
            return Ok(true);
        }
        if session.kind == LoginKind::Session {
            self.known.end(&session.id);
            return Err(IdentityError::BadToken("the account of this token was deleted"));
        }
        Ok(false)
    }

    async fn session_of(&self, token: &str) -> Result<Arc<LiveSession>, IdentityError> {
        if SecretKind::Session.fits(token) {
            return self.session_under(&digest(token)).await;
        }
        let issued = SecretKind::Shared.fits(token) || SecretKind::Service.fits(token);
        if issued || self.access.has_any_configured() {
            let found = self.access_token(&digest(token), issued).await?;
            if let Some(session) = found {
                return self.still_good(session);
            }
            if issued {
                return Err(IdentityError::BadToken("the token is unknown, or was revoked"));
            }
        }
        if self.outside.has_issuers() {
            let session = self.outside.session_of(token, &self.env).await?;
            self.must_be_foreign(&session.user).await?;
            return self.still_good(session);
        }
        Err(IdentityError::BadToken("the token does not have the form of a token of this server"))
    }

    /// A user of an issuer without a prefix must not be one who has an account here (SEMANTICS Y1).
    pub(super) async fn must_be_foreign(&self, user: &str) -> Result<(), IdentityError> {
        if self.outside.has_bare_issuer() && self.account_of(user).await?.is_some() {
            return Err(IdentityError::BadToken("`sub` of the token is the id of a user of this server"));
        }
        Ok(())
    }

    /// A shared token, or one of a machine.
    async fn access_token(
        &self,
        digest: &str,
        issued: bool,
    ) -> Result<Option<Arc<LiveSession>>, IdentityError> {
        let known = self.access.known(digest);
        if known.is_some() || !issued {
            return Ok(known);
        }
        loop {
            let before = self.known.ends();
            let Some(entry) = self.vault.find(VaultKind::Token, digest).await.map_err(of_vault)? else {
                self.access.end(digest);
                return Ok(None);
            };
            let learned = self.access.learn(&entry)?;
            // Otherwise the vault changed meanwhile, and the comparison that followed may have come before the token was known.
            if self.known.ends() == before {
                return Ok(Some(learned));
            }
        }
    }

    /// A token of any kind but a session's, which may have ended since it was judged.
    fn still_good(&self, session: Arc<LiveSession>) -> Result<Arc<LiveSession>, IdentityError> {
        match session.is_live(self.env.now()) {
            true => Ok(session),
            false => Err(IdentityError::BadToken("the token has expired, or was revoked: get another one")),
        }
    }

    async fn session_of_ticket(
        &self,
        ticket: &str,
        used_for: TicketUse<'_>,
    ) -> Result<Arc<LiveSession>, IdentityError> {
        const WRONG: &str = "the ticket is unknown, was used already, or is older than 30 seconds";
        if !SecretKind::Ticket.fits(ticket) {
            return Err(IdentityError::BadToken(WRONG));
        }
        match self.tickets.take(ticket, used_for, self.env.elapsed()) {
            None => Err(IdentityError::BadToken(WRONG)),
            Some(TicketFor::Session(token)) => self.session_under(&token).await,
            Some(TicketFor::Token(session)) => self.still_good(session),
        }
    }

    /// What the ids of a stream carry that this ticket opened: with it the ticket opens the stream again.
    pub fn mark_of_ticket(&self, ticket: &str) -> String {
        self.tickets.mark(ticket)
    }

    pub(super) async fn session_under(&self, digest: &str) -> Result<Arc<LiveSession>, IdentityError> {
        let known = match self.known.get(digest) {
            Some(known) => known,
            None => self.read_session(digest).await?,
        };
        let now = self.env.now();
        let standing = known.session.standing();
        if known.expires <= now || standing.ended {
            self.known.forget(digest);
            return Err(IdentityError::BadToken("the session has ended: log in again"));
        }
        if self.is_due(&known, now) {
            return Ok(self.slide(digest, &known, now).await?.session.clone());
        }
        Ok(known.session.clone())
    }

    pub(super) async fn read_session(&self, digest: &str) -> Result<Arc<KnownToken>, IdentityError> {
        loop {
            let ends = self.known.ends();
            let entry = self.vault.find(VaultKind::Session, digest).await.map_err(of_vault)?;
            let entry =
                entry.ok_or(IdentityError::BadToken("the token is unknown, or its session has ended"))?;
            let expires = entry.expires.unwrap_or(Timestamp(0));
            let user = entry.owner.clone().unwrap_or_default();
            let learned = self.known.learn(ends, digest, &user, StoredSession::of(&entry)?, expires);
            // Otherwise some session ended meanwhile, perhaps this one.
            if let Some(known) = learned {
                return Ok(known);
            }
        }
    }

    /// The use of a session is written down now and then, not at each request.
    fn is_due(&self, known: &KnownToken, now: Timestamp) -> bool {
        const LONGEST: Duration = Duration::from_secs(3600);
        let step = (self.config.session_idle / 20).min(LONGEST);
        !known.stored.superseded && now.0 - known.stored.seen >= millis(step)
    }

    async fn slide(
        &self,
        digest: &str,
        known: &Arc<KnownToken>,
        now: Timestamp,
    ) -> Result<Arc<KnownToken>, IdentityError> {
        let expires = self.expiry(known.stored.created, now);
        let seen = StoredSession { seen: now.0, ..known.stored.clone() };
        let user = known.session.user.clone();
        let was = known.stored.entry(digest, &user, known.expires).body;
        let edit = VaultEdit::Replace { was, entry: seen.entry(digest, &user, expires) };
        let ends = self.known.ends();
        match self.vault.change(vec![edit]).await {
            Ok(Edited::Done) => match self.known.learn(ends, digest, &user, seen, expires) {
                Some(known) => Ok(known),
                None => {
                    self.known.forget(digest);
                    self.read_session(digest).await
                }
            },
            // Another process changed it, or ended it.
            Ok(Edited::Refused { .. }) => {
                self.known.forget(digest);
                self.read_session(digest).await
            }
            // A disk that is full must not keep people from reading.
            Err(error) => {
                tracing::debug!(%error, "the use of a session could not be stored");
                Ok(known.clone())
            }
        }
    }

    /// Until when a session lasts that is used now.
    pub(super) fn expiry(&self, created: i64, now: Timestamp) -> Timestamp {
        let idle = now.0.saturating_add(millis(self.config.session_idle));
        let whole = created.saturating_add(millis(self.config.session_lifetime));
        Timestamp(idle.min(whole))
    }
}

pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}
