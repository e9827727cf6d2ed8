//! `KnownSessions`: the sessions that this process has met, so that a request with a token reads no file; and the notice to their
//! live connections when one of them ends.
//!
//! Decides nothing: what a session may do is in `sessions.rs`, and who it lets in, `live_session.rs` says.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::entries::StoredSession;
use super::live_session::LiveSession;
use crate::ids::Timestamp;

/// Tokens that are remembered. Beyond them those without a live connection are forgotten, and read again when they come back.
const MOST: usize = 100_000;

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
    tokens: HashMap<String, Arc<KnownToken>>,
    /// By the id of the session.
    sessions: HashMap<String, Arc<LiveSession>>,
}

impl KnownSessions {
    pub(super) fn get(&self, digest: &str) -> Option<Arc<KnownToken>> {
        self.inner.lock().tokens.get(digest).cloned()
    }

    /// Remembers a token, and tells connections of its session that it lasts longer.
    pub(super) fn learn(
        &self,
        digest: &str,
        user: &str,
        stored: StoredSession,
        expires: Timestamp,
    ) -> Arc<KnownToken> {
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
            .or_insert_with(|| Arc::new(LiveSession::of_stored(&stored, user, expires)))
            .clone();
        // A token that was superseded says nothing of how long its session lasts.
        if !stored.superseded {
            session.last_until(expires);
        }
        let known = Arc::new(KnownToken { digest: digest.to_owned(), session, stored, expires });
        inner.tokens.insert(digest.to_owned(), known.clone());
        known
    }

    /// Ends a session: its tokens are forgotten, and its connections are told.
    pub(super) fn end(&self, id: &str) {
        let mut inner = self.inner.lock();
        inner.tokens.retain(|_, token| token.session.id != id);
        if let Some(session) = inner.sessions.remove(id) {
            session.end();
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<KnownToken>> {
        self.inner.lock().tokens.values().cloned().collect()
    }

    pub(super) fn forget(&self, digest: &str) {
        self.inner.lock().tokens.remove(digest);
    }
}
