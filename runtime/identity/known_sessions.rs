//! `KnownSessions`: the sessions that this process has met, so that a request with a token reads no file; and the notice to their
//! live connections when one of them ends.
//!
//! Decides nothing: what a session may do is in `sessions.rs`.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::entries::StoredSession;
use crate::ids::Timestamp;

/// Tokens that are remembered. Beyond them those without a live connection are forgotten, and read again when they come back.
const MOST: usize = 100_000;

/// How a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoginState {
    pub expires: Timestamp,
    /// It was logged out, revoked, or its user is gone.
    pub ended: bool,
}

/// A session of this process, whichever token it came with. Connections follow its standing.
#[derive(Debug)]
pub struct LiveSession {
    pub id: String,
    pub user: Arc<str>,
    standing: watch::Sender<LoginState>,
}

/// What is known of one token.
#[derive(Debug, Clone)]
pub(super) struct KnownToken {
    pub(super) digest: String,
    pub(super) session: Arc<LiveSession>,
    pub(super) stored: StoredSession,
    pub(super) expires: Timestamp,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct KnownSessions {
    /// Held for a look or a change of a few entries.
    inner: Mutex<SessionTable>,
}

#[derive(Debug, Default)]
struct SessionTable {
    /// By the digest of the token.
    tokens: HashMap<String, KnownToken>,
    /// By the id of the session.
    sessions: HashMap<String, Arc<LiveSession>>,
}

impl LiveSession {
    pub fn standing(&self) -> LoginState {
        *self.standing.borrow()
    }

    /// Notices of every change from here on.
    pub fn follow(&self) -> watch::Receiver<LoginState> {
        self.standing.subscribe()
    }

    fn is_followed(&self) -> bool {
        self.standing.receiver_count() > 0
    }
}

impl KnownSessions {
    pub(super) fn get(&self, digest: &str) -> Option<KnownToken> {
        self.inner.lock().tokens.get(digest).cloned()
    }

    /// Remembers a token, and tells connections of its session that it lasts longer.
    pub(super) fn learn(
        &self,
        digest: &str,
        user: &str,
        stored: StoredSession,
        expires: Timestamp,
    ) -> KnownToken {
        let mut inner = self.inner.lock();
        if inner.tokens.len() >= MOST {
            inner.tokens.retain(|_, token| token.session.is_followed());
            let SessionTable { tokens, sessions } = &mut *inner;
            let kept: std::collections::HashSet<&str> =
                tokens.values().map(|token| &*token.session.id).collect();
            sessions.retain(|id, _| kept.contains(&**id));
        }
        let session = inner
            .sessions
            .entry(stored.id.clone())
            .or_insert_with(|| {
                let standing = watch::Sender::new(LoginState { expires, ended: false });
                Arc::new(LiveSession { id: stored.id.clone(), user: user.into(), standing })
            })
            .clone();
        // A token that was superseded says nothing of how long its session lasts.
        if !stored.superseded {
            session.standing.send_if_modified(|standing| {
                let later = standing.expires < expires;
                standing.expires = standing.expires.max(expires);
                later
            });
        }
        let known = KnownToken { digest: digest.to_owned(), session, stored, expires };
        inner.tokens.insert(digest.to_owned(), known.clone());
        known
    }

    /// Ends a session: its tokens are forgotten, and its connections are told.
    pub(super) fn end(&self, id: &str) {
        let mut inner = self.inner.lock();
        inner.tokens.retain(|_, token| token.session.id != id);
        if let Some(session) = inner.sessions.remove(id) {
            session.standing.send_modify(|standing| standing.ended = true);
        }
    }

    pub(super) fn all(&self) -> Vec<KnownToken> {
        self.inner.lock().tokens.values().cloned().collect()
    }

    pub(super) fn forget(&self, digest: &str) {
        self.inner.lock().tokens.remove(digest);
    }
}
