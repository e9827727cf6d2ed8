//! `LiveSession`: what a token lets in, and until when. Connections follow its standing, so that its end reaches them at once.
//!
//! A token of a login here, of another issuer, of a machine, and one that guests share are all of this form. Reads no token.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::entries::StoredSession;
use crate::auth::{Bearer, GUEST_PREFIX, GUEST_ROLE, Guest, Identity, Service};
use crate::env::Env;
use crate::ids::Timestamp;
use crate::rules::Claims;

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginState {
    /// None for a token that is good until it is revoked.
    pub expires: Option<Timestamp>,
    /// It was logged out, revoked, or its user is gone.
    pub ended: bool,
}

impl LoginState {
    /// Whether the session lets in no longer.
    pub fn is_over(self, now: Timestamp) -> bool {
        self.ended || self.expires.is_some_and(|expires| expires <= now)
    }
}

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginKind {
    /// Of a login at this server.
    Session,
    /// Of another issuer.
    Outside,
    /// Shared by guests; the text is its name.
    Shared(Arc<str>),
    /// Of a machine.
    Service(Arc<Service>),
}

/// See the module's text.
#[derive(Debug)]
pub struct LiveSession {
    pub id: String,
    /// The id of the `User` record; empty for a shared token.
    pub user: Arc<str>,
    pub kind: LoginKind,
    said: Said,
    standing: watch::Sender<LoginState>,
    /// The stamp of the user's record at which it was last read and let the user in.
    vouched: AtomicU64,
}

/// No stamp: stamps are even.
const NEVER: u64 = u64::MAX;

/// What a token says of its user.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Said {
    pub(super) name: Option<Arc<str>>,
    /// Empty: the issuer says the role, and there is none.
    pub(super) role: Option<Arc<str>>,
    pub(super) claims: Claims,
}

impl LiveSession {
    pub(super) fn new(
        id: &str,
        user: &str,
        kind: LoginKind,
        said: Said,
        expires: Option<Timestamp>,
    ) -> LiveSession {
        let standing = watch::Sender::new(LoginState { expires, ended: false });
        let vouched = AtomicU64::new(NEVER);
        LiveSession { id: id.to_owned(), user: user.into(), kind, said, standing, vouched }
    }

    pub(super) fn of_stored(stored: &StoredSession, user: &str, expires: Timestamp) -> LiveSession {
        let said = stored.outside.as_ref().map_or_else(Said::default, |outside| Said {
            name: None,
            role: outside.role.as_deref().map(Arc::from),
            claims: Arc::new(outside.claims.clone()),
        });
        LiveSession::new(&stored.id, user, LoginKind::Session, said, Some(expires))
    }

    /// Whom it lets in. Of a shared token, another guest each time.
    pub(super) fn identity(&self, address: IpAddr, env: &Env) -> Identity {
        let nobody = Identity::nobody(address);
        let (name, role, claims) = (self.said.name.clone(), self.said.role.clone(), self.said.claims.clone());
        let user = Some(self.user.clone());
        match &self.kind {
            LoginKind::Session | LoginKind::Outside => Identity { user, name, role, claims, ..nobody },
            LoginKind::Service(service) => {
                Identity { user, name, role, bearer: Bearer::Service(service.clone()), ..nobody }
            }
            LoginKind::Shared(token) => {
                let id = format!("{GUEST_PREFIX}{}", env.uuid_v7()).into();
                let guest = Arc::new(Guest { id, token: token.clone() });
                Identity { role: Some(GUEST_ROLE.into()), bearer: Bearer::Guest(guest), ..nobody }
            }
        }
    }

    /// Whether the record of the user said at this stamp that they may come in. Nothing is known without a stamp.
    pub(super) fn was_vouched(&self, stamp: Option<u64>) -> bool {
        stamp.is_some_and(|stamp| self.vouched.load(Ordering::Relaxed) == stamp)
    }

    /// The record says that the user may come in, and it was read after this stamp was asked for.
    pub(super) fn vouch(&self, stamp: Option<u64>) {
        self.vouched.store(stamp.unwrap_or(NEVER), Ordering::Relaxed);
    }

    pub fn standing(&self) -> LoginState {
        *self.standing.borrow()
    }

    /// Notices of every change from here on.
    pub fn follow(&self) -> watch::Receiver<LoginState> {
        self.standing.subscribe()
    }

    pub(super) fn is_followed(&self) -> bool {
        self.standing.receiver_count() > 0
    }

    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        !self.standing().is_over(now)
    }

    /// It was used, or goes on under another token: it lasts at least until then.
    pub(super) fn last_until(&self, until: Timestamp) {
        self.standing.send_if_modified(|standing| {
            let later = standing.expires.is_some_and(|expires| expires < until);
            if later {
                standing.expires = Some(until);
            }
            later
        });
    }

    pub(super) fn end(&self) {
        self.standing.send_modify(|standing| standing.ended = true);
    }
}
