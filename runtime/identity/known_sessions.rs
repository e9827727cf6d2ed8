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
    ends: u64,
}

impl KnownSessions {
    pub(super) fn get(&self, digest: &str) -> Option<Arc<KnownToken>> {
        self.inner.lock().tokens.get(digest).cloned()
    }

    /// To be asked before the vault is. What was read before a session ended must not be remembered after it.
    pub(super) fn ends(&self) -> u64 {
        self.inner.lock().ends
    }

    /// From here on nothing counts that was read before: another process changed the vault.
    pub(super) fn doubt_reads(&self) {
        self.inner.lock().ends += 1;
    }

    /// Remembers a token, and tells connections of its session that it lasts longer. `None` where a session ended since `ends` was
    /// asked: it may have been this one, so the vault must be read again.
    pub(super) fn learn(
        &self,
        ends: u64,
        digest: &str,
        user: &str,
        stored: StoredSession,
        expires: Timestamp,
    ) -> Option<Arc<KnownToken>> {
        let mut inner = self.inner.lock();
        if inner.ends != ends {
            return None;
        }
        if inner.tokens.len() >= MOST {
            inner.tokens.retain(|_, token| token.session.is_followed());
            let SessionTable { tokens, sessions, .. } = &mut *inner;
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
        Some(known)
    }

    /// Ends a session: its tokens are forgotten, and its connections are told.
    pub(super) fn end(&self, id: &str) {
        let mut inner = self.inner.lock();
        inner.ends += 1;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(id: &str) -> StoredSession {
        StoredSession {
            id: id.to_owned(),
            created: 0,
            seen: 0,
            device: String::new(),
            superseded: false,
            outside: None,
        }
    }

    #[test]
    fn a_session_that_ended_while_it_was_read_is_not_remembered() {
        let known = KnownSessions::default();
        let before = known.ends();
        known.end("s1");
        let late = known.learn(before, "digest", "ada", stored("s1"), Timestamp(9));
        assert!(late.is_none() && known.get("digest").is_none());
        let now = known.ends();
        assert!(known.learn(now, "digest", "ada", stored("s2"), Timestamp(9)).is_some());
        known.doubt_reads();
        assert!(known.learn(now, "other", "ada", stored("s2"), Timestamp(9)).is_none());
        assert!(known.get("digest").is_some(), "what was known stays");
    }
}
