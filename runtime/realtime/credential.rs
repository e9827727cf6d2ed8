//! `Arrived` and `Credential`: by what a connection may stay. A session of a user may end or last longer while it is connected, and
//! the peer may send another token.
//!
//! Knows no frame: the session decides what it says to the peer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use super::mutations::MutationCaller;
use super::reader::LiveReader;
use crate::auth::Identity;
use crate::identity::{Admitted, Brought, Identities, IdentityError, LiveSession, LoginState};
use crate::ids::Timestamp;
use crate::rules::Principal;
use crate::store::At;

/// Who connects.
#[derive(Clone)]
pub struct Arrived {
    pub identity: Identity,
    /// Of a caller who came with a token.
    pub session: Option<Arc<LiveSession>>,
    /// Judges the tokens that the peer sends later; without it there is no login.
    pub door: Option<Arc<Identities>>,
    /// It came without a token, and this server needs one from every caller: the peer has to send it first.
    pub owes_token: bool,
}

/// See the module's text.
pub(super) struct Credential {
    caller: MutationCaller,
    following: Option<watch::Receiver<LoginState>>,
    /// Another session is followed than before.
    another: bool,
}

/// A token that was accepted.
#[derive(Debug)]
pub struct Renewed {
    pub identity: Identity,
    pub principal: At<Principal>,
    pub standing: LoginState,
}

impl From<Identity> for Box<Arrived> {
    fn from(identity: Identity) -> Box<Arrived> {
        Box::new(Arrived { identity, session: None, door: None, owes_token: false })
    }
}

impl Arrived {
    pub fn through(door: Arc<Identities>, admitted: Admitted) -> Arrived {
        let Admitted { identity, session } = admitted;
        Arrived { identity, session, door: Some(door), owes_token: false }
    }

    /// A peer that has to send a token before anything else.
    pub fn owing(door: Arc<Identities>, address: IpAddr) -> Arrived {
        let identity = Identity::nobody(address);
        Arrived { identity, session: None, door: Some(door), owes_token: true }
    }

    pub(super) fn credential(self) -> Credential {
        let Arrived { identity, session, door, owes_token: _ } = self;
        // The first notice is due at once: the session may have ended since it was looked up.
        let following = session.as_ref().map(|session| {
            let mut following = session.follow();
            following.mark_changed();
            following
        });
        let caller = MutationCaller { admitted: Admitted { identity, session }, door };
        Credential { caller, following, another: false }
    }

    /// How long before its end a login is warned of.
    pub(super) fn warning(&self) -> Duration {
        self.door.as_ref().map_or(Duration::ZERO, |door| door.config().expiry_warning)
    }

    pub(super) fn state(&self) -> Option<LoginState> {
        self.session.as_ref().map(|session| session.standing())
    }
}

impl Credential {
    /// Who the peer is now.
    pub(super) fn identity(&self) -> &Identity {
        &self.caller.admitted.identity
    }

    /// Looks at a token that the peer sent. From then on the connection follows its session.
    pub(super) async fn renew(&mut self, token: &str, reader: &LiveReader) -> Result<Renewed, IdentityError> {
        let Some(door) = &self.caller.door else {
            return Err(IdentityError::BadToken("this connection takes no token"));
        };
        let mut admitted =
            door.admit_reader(Brought::Token(token), self.caller.admitted.identity.address).await?;
        let session = admitted.session.as_ref().ok_or(IdentityError::NoSession)?;
        let principal = reader.principal(admitted.identity.person()).await;
        let principal = principal.map_err(|error| IdentityError::Failed(error.to_string()))?;
        let following = session.follow();
        let standing = *following.borrow();
        // Kept only where the session goes on: a token of another user ends it.
        self.following = Some(following);
        self.another = true;
        // A guest stays the guest that they are.
        if admitted.identity.guest().is_some() && self.caller.admitted.identity.guest().is_some() {
            admitted.identity.bearer = self.caller.admitted.identity.bearer.clone();
        }
        self.caller.admitted = admitted.clone();
        Ok(Renewed { identity: admitted.identity, principal, standing })
    }

    /// Who writes, from now on.
    pub(super) fn writer(&self) -> MutationCaller {
        self.caller.clone()
    }

    /// The next change of the session's standing, if the connection has a session.
    pub(super) fn next(&mut self) -> Option<BoxFuture<'static, LoginState>> {
        let following = self.following.as_mut()?;
        let mut next = following.clone();
        // What this future tells is not told by the next one again.
        following.mark_unchanged();
        Some(Box::pin(async move {
            // Never completes once nobody can change it.
            if next.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            *next.borrow()
        }))
    }

    /// How the login stands if it is over, as of now and not of the last notice.
    pub(super) fn over(&self, now: Timestamp) -> Option<LoginState> {
        let state = *self.following.as_ref()?.borrow();
        state.is_over(now).then_some(state)
    }

    /// Whether another session is to be followed, once.
    pub(super) fn took_another(&mut self) -> bool {
        std::mem::take(&mut self.another)
    }
}
