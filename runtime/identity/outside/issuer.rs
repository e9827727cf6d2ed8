//! `Issuer`: one issuer with its keys: whether it signed a token.
//!
//! What the token says is judged by `claims.rs`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::claims::ClaimRules;
use super::fetch::Fetcher;
use super::keys::{TokenAlgorithm, VerifyingKey};
use super::remote_keys::{Discovered, NoKey, RemoteKeys};
use super::tokens_file::{IssuerSettings, KeysSettings, LoginSettings};
use crate::env::Env;

/// See the module's text.
pub(crate) struct Issuer {
    name: String,
    rules: ClaimRules,
    algorithm: TokenAlgorithm,
    keys: IssuerKeys,
    login: Option<LoginSettings>,
    /// Beginnings of ids that are of other issuers: of one without a prefix.
    foreign: Vec<String>,
}

enum IssuerKeys {
    Fixed(Vec<Arc<VerifyingKey>>),
    Changing(RemoteKeys),
}

/// What a token says of itself, before anything is verified.
#[derive(Debug)]
pub(super) struct Peeked {
    algorithm: String,
    key: Option<String>,
    issuer: String,
}

/// What an issuer signed.
pub(super) struct Signed {
    pub(super) claims: Map<String, Json>,
    /// The thumbprint of the key.
    pub(super) key: Arc<str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotVerified {
    Bad(&'static str),
    KeysUnavailable,
}

/// Which issuer a token names, and with which key it says to be signed.
pub(super) fn peek(token: &str) -> Result<Peeked, &'static str> {
    const FORM: &str = "the token does not have the form of a token of this server or of its issuers";
    #[derive(Deserialize)]
    struct Header {
        alg: String,
        kid: Option<String>,
        crit: Option<Json>,
    }
    #[derive(Deserialize)]
    struct Payload {
        iss: Option<Json>,
    }
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(FORM);
    };
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| FORM);
    let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| FORM)?;
    let payload: Payload = serde_json::from_slice(&decoded(payload)?).map_err(|_| FORM)?;
    if header.crit.is_some() {
        return Err("the token wants an extension (`crit`) that this server does not have");
    }
    match payload.iss {
        Some(Json::String(issuer)) => Ok(Peeked { algorithm: header.alg, key: header.kid, issuer }),
        Some(_) | None => Err("the token names no issuer"),
    }
}

impl Issuer {
    pub(super) fn new(settings: IssuerSettings, prefixes: &[String], env: &Env) -> Issuer {
        let keys = match settings.keys {
            KeysSettings::Fixed(keys) => IssuerKeys::Fixed(keys.into_iter().map(Arc::new).collect()),
            KeysSettings::Changing(origin) => {
                IssuerKeys::Changing(RemoteKeys::new(origin, settings.algorithm, env.elapsed()))
            }
        };
        let foreign = match settings.rules.prefix.as_str() {
            "" => prefixes
                .iter()
                .filter(|prefix| !prefix.is_empty())
                .map(|prefix| format!("{prefix}:"))
                .collect(),
            _ => Vec::new(),
        };
        let IssuerSettings { name, rules, algorithm, login, .. } = settings;
        Issuer { name, rules, algorithm, keys, login, foreign }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn rules(&self) -> &ClaimRules {
        &self.rules
    }

    pub(super) fn login(&self) -> Option<&LoginSettings> {
        self.login.as_ref()
    }

    pub(super) fn is_of(&self, peeked: &Peeked) -> bool {
        self.rules.issuer == peeked.issuer
    }

    /// Whether its users may have this id: without a prefix, it could be one of another issuer.
    pub(super) fn may_name(&self, user: &str) -> Result<(), &'static str> {
        match self.foreign.iter().any(|prefix| user.starts_with(prefix)) {
            true => Err("`sub` of the token begins as the ids of another issuer"),
            false => Ok(()),
        }
    }

    pub(super) async fn verify(
        &self,
        token: &str,
        peeked: &Peeked,
        env: &Env,
    ) -> Result<Signed, NotVerified> {
        if peeked.algorithm != self.algorithm.word() {
            return Err(NotVerified::Bad("the token is not signed with the algorithm of its issuer"));
        }
        let keys = match &self.keys {
            IssuerKeys::Fixed(keys) => keys.clone(),
            IssuerKeys::Changing(keys) => {
                keys.find(peeked.key.as_deref(), env).await.map_err(|error| match error {
                    NoKey::Unknown => {
                        NotVerified::Bad("the token is signed with a key that its issuer does not have")
                    }
                    NoKey::Unavailable => NotVerified::KeysUnavailable,
                })?
            }
        };
        let opened = keys.iter().find_map(|key| key.open(token).map(|claims| (key, claims)));
        match opened {
            Some((key, claims)) => Ok(Signed { claims, key: key.thumbprint.clone() }),
            None => Err(NotVerified::Bad("the signature of the token is wrong")),
        }
    }

    /// Where a login begins and ends, as the issuer says.
    pub(super) async fn discovered(&self, env: &Env) -> Option<Arc<Discovered>> {
        match &self.keys {
            IssuerKeys::Fixed(_) => None,
            IssuerKeys::Changing(keys) => keys.discovered(env).await,
        }
    }

    pub(super) async fn keep(&self, fetcher: &Fetcher, env: &Env, tell: impl Fn(&[Arc<VerifyingKey>])) {
        match &self.keys {
            IssuerKeys::Fixed(_) => {}
            IssuerKeys::Changing(keys) => keys.keep(&self.name, fetcher, env, tell).await,
        }
    }
}
