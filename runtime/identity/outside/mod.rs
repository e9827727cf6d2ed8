//! Tokens of other issuers: JWTs that another program signed, and logins at those issuers.
//!
//! `tokens_file.rs` reads which issuers count, `keys.rs` and `remote_keys.rs` have their keys, `claims.rs` judges what they signed, and
//! `login.rs` logs a browser in there. What was verified once is remembered by its hash until it expires (`verified.rs`).

mod allowance;
mod claims;
mod fetch;
mod hidden;
mod issuer;
mod keys;
mod login;
mod remote_keys;
mod tokens_file;
mod verified;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::join_all;

use self::fetch::Fetcher;
use self::issuer::{Issuer, NotVerified, peek};
use self::tokens_file::TokensFile;
use self::verified::VerifiedTokens;
use super::access_tokens::{AccessTokens, live_token};
use super::error::IdentityError;
use super::live_session::{LiveSession, LoginKind};
use super::secret::digest;
use crate::config::AuthConfig;
use crate::env::Env;
use crate::ids::Timestamp;

pub(super) use self::login::{FinishedLogin, Logins};
pub use self::login::{LoginBegun, LoginOffer, LoginReturn};

/// Bytes of a token. Beyond them it is refused unread.
const LONGEST: usize = 8 << 10;

/// The issuers of this server, and what they signed.
pub(super) struct Outside {
    issuers: Vec<Issuer>,
    verified: VerifiedTokens,
    fetcher: Fetcher,
}

/// What the file of `auth.tokens` makes.
pub struct LoadedTokens {
    pub(super) outside: Outside,
    pub(super) access: AccessTokens,
    /// Secrets that can be guessed, each with its place: `serve` refuses them.
    pub weak: Vec<String>,
}

impl LoadedTokens {
    /// Reads the file of the settings, if they name one. Blocks for the disk.
    pub fn load(config: &AuthConfig, env: &Env) -> Result<LoadedTokens, String> {
        let TokensFile { issuers, tokens, weak } =
            TokensFile::load(config).map_err(|error| error.to_string())?;
        let mut configured = HashMap::new();
        for token in &tokens {
            for (place, secret) in token.secrets.iter().enumerate() {
                let id = format!("file-{}", place + 1);
                let live =
                    live_token(&token.name, &id, &token.grant, None).map_err(|error| error.to_string())?;
                configured.insert(digest(secret.text()), Arc::new(live));
            }
        }
        let prefixes: Vec<String> = issuers.iter().map(|issuer| issuer.rules.prefix.clone()).collect();
        let issuers = issuers.into_iter().map(|settings| Issuer::new(settings, &prefixes, env)).collect();
        let outside = Outside { issuers, verified: VerifiedTokens::default(), fetcher: Fetcher::new()? };
        Ok(LoadedTokens { outside, access: AccessTokens::configured(configured), weak })
    }
}

impl LoadedTokens {
    /// Whether some issuer names its users without a prefix, so that any name may be theirs.
    pub fn names_users_bare(&self) -> bool {
        self.outside.has_bare_issuer()
    }
}

impl Outside {
    pub(super) fn has_issuers(&self) -> bool {
        !self.issuers.is_empty()
    }

    /// Whether some issuer names its users without a prefix.
    pub(super) fn has_bare_issuer(&self) -> bool {
        self.issuers.iter().any(|issuer| issuer.rules().prefix.is_empty())
    }

    pub(super) fn issuer(&self, name: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.name() == name)
    }

    pub(super) fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    fn fetcher(&self) -> &Fetcher {
        &self.fetcher
    }

    /// Whose a token is, if one of the issuers signed it for this server.
    pub(super) async fn session_of(&self, token: &str, env: &Env) -> Result<Arc<LiveSession>, IdentityError> {
        if token.len() > LONGEST {
            return Err(IdentityError::BadToken("the token has more than 8192 bytes"));
        }
        let digest = digest(token);
        if let Some(known) = self.verified.get(&digest) {
            return Ok(known);
        }
        let peeked = peek(token).map_err(IdentityError::BadToken)?;
        let found = self.issuers.iter().position(|issuer| issuer.is_of(&peeked));
        let place = found.ok_or(IdentityError::BadToken("the token is of no issuer of this server"))?;
        let issuer = &self.issuers[place];
        let signed = issuer.verify(token, &peeked, env).await.map_err(refused)?;
        let judged = issuer.rules().judge(signed.claims, env.now()).map_err(IdentityError::BadToken)?;
        issuer.may_name(&judged.user).map_err(IdentityError::BadToken)?;
        let id: String = digest.chars().take(16).collect();
        let live = LiveSession::new(&id, &judged.user, LoginKind::Outside, judged.said, Some(judged.expires));
        Ok(self.verified.learn(&digest, place, signed.key, Arc::new(live), env.now()))
    }

    /// Ends what is of this user, who was deleted.
    pub(super) fn forget_user(&self, user: &str) {
        self.verified.retain(|token| &*token.live.user != user);
    }

    pub(super) fn forget_expired(&self, now: Timestamp) {
        self.verified.forget_expired(now);
    }

    /// Keeps the keys of all issuers, for ever.
    pub(super) async fn keep(&self, env: &Env) {
        let keeping = self.issuers.iter().enumerate().map(|(place, issuer)| {
            issuer.keep(&self.fetcher, env, move |keys| {
                // A key that is gone vouches for nothing.
                self.verified.retain(|token| {
                    token.issuer != place || keys.iter().any(|key| key.thumbprint == token.key)
                });
            })
        });
        join_all(keeping).await;
        // With no issuer whose keys change there is nothing to do.
        std::future::pending::<()>().await;
    }
}

fn refused(error: NotVerified) -> IdentityError {
    match error {
        NotVerified::Bad(why) => IdentityError::BadToken(why),
        NotVerified::KeysUnavailable => IdentityError::KeysUnavailable,
    }
}
