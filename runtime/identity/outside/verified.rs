//! `VerifiedTokens`: tokens of other issuers that were verified, by their hash, so that the next request with one costs a look.
//!
//! Bounded. What a live connection follows stays, so that the end of a key reaches it. Verifies nothing.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::identity::live_session::LiveSession;
use crate::ids::Timestamp;

/// Tokens that are remembered beside those of live connections.
const MOST: usize = 20_000;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct VerifiedTokens {
    /// Held for a look or a change of a few entries.
    tokens: Mutex<HashMap<String, VerifiedToken>>,
}

#[derive(Debug)]
pub(super) struct VerifiedToken {
    /// The place of its issuer among the settings.
    pub(super) issuer: usize,
    /// The thumbprint of the key.
    pub(super) key: Arc<str>,
    pub(super) live: Arc<LiveSession>,
}

impl VerifiedTokens {
    pub(super) fn get(&self, digest: &str) -> Option<Arc<LiveSession>> {
        self.tokens.lock().get(digest).map(|token| token.live.clone())
    }

    /// Two requests at once may both have verified it: the first counts, so that both follow one.
    pub(super) fn learn(
        &self,
        digest: &str,
        issuer: usize,
        key: Arc<str>,
        live: Arc<LiveSession>,
        now: Timestamp,
    ) -> Arc<LiveSession> {
        let mut tokens = self.tokens.lock();
        if tokens.len() >= MOST {
            tokens.retain(|_, token| token.live.is_live(now) && token.live.is_followed());
        }
        let token = VerifiedToken { issuer, key, live };
        tokens.entry(digest.to_owned()).or_insert(token).live.clone()
    }

    /// Ends what is not kept.
    pub(super) fn retain(&self, keep: impl Fn(&VerifiedToken) -> bool) {
        self.tokens.lock().retain(|_, token| {
            let kept = keep(token);
            if !kept {
                token.live.end();
            }
            kept
        });
    }

    /// Connections of an expired token end by themselves.
    pub(super) fn forget_expired(&self, now: Timestamp) {
        self.tokens.lock().retain(|_, token| token.live.is_live(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::live_session::{LoginKind, Said};

    fn live(until: i64) -> Arc<LiveSession> {
        Arc::new(LiveSession::new(
            "id",
            "acme:ada",
            LoginKind::Outside,
            Said::default(),
            Some(Timestamp(until)),
        ))
    }

    #[test]
    fn tokens_are_bounded_and_those_of_connections_stay() {
        let tokens = VerifiedTokens::default();
        let learn =
            |digest: String, live: Arc<LiveSession>| tokens.learn(&digest, 0, "k".into(), live, Timestamp(1));
        let followed = learn("followed".to_owned(), live(9));
        let _following = followed.follow();
        for number in 0..MOST + 10 {
            learn(number.to_string(), live(9));
        }
        assert!(tokens.tokens.lock().len() <= MOST);
        assert!(Arc::ptr_eq(&tokens.get("followed").unwrap(), &followed));
        tokens.retain(|token| &*token.key != "k");
        assert!(tokens.get("followed").is_none() && followed.standing().ended);
    }
}
