//! Logging in at another issuer: OpenID Connect, the authorization code with PKCE.
//!
//! A login begun here is finished in the same browser, once, within ten minutes: `state` comes back with the code, and the browser has
//! the cookie that it got at the beginning. Knows no route and no record.

use std::collections::HashMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::Outside;
use super::claims::{ClaimRules, JudgedClaims};
use super::issuer::{Issuer, peek};
use super::tokens_file::LoginSettings;
use crate::env::Env;
use crate::identity::error::IdentityError;
use crate::identity::secret::{Secret, SecretKind, digest};

/// How long a user has at the issuer.
pub(super) const LIFE: Duration = Duration::from_secs(600);
/// Logins under way. One more is refused.
const MOST: usize = 10_000;

/// Letters that need no escape in a form.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An issuer at which users can log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginOffer {
    pub name: String,
    /// For a button.
    pub title: String,
}

/// A login that goes on at the issuer.
#[derive(Debug)]
pub struct LoginBegun {
    /// Where the browser goes.
    pub address: String,
    /// For a cookie of the browser.
    pub browser: Secret,
}

/// With what the browser comes back.
#[derive(Debug, Clone, Copy)]
pub struct LoginReturn<'a> {
    pub issuer: &'a str,
    pub state: &'a str,
    pub code: &'a str,
    /// What the issuer says that it is (RFC 9207), if it says so.
    pub named: Option<&'a str>,
    /// The cookie of the beginning.
    pub browser: &'a str,
}

/// Who logged in.
pub(in crate::identity) struct FinishedLogin {
    pub(in crate::identity) judged: JudgedClaims,
    /// Where the browser goes now.
    pub(in crate::identity) back: String,
}

/// Logins under way.
#[derive(Debug, Default)]
pub(in crate::identity) struct Logins {
    /// By the digest of `state`. Held for one look.
    open: Mutex<HashMap<String, PendingLogin>>,
}

#[derive(Debug)]
struct PendingLogin {
    issuer: String,
    /// The digest of the cookie.
    browser: String,
    verifier: Secret,
    nonce: String,
    callback: String,
    back: String,
    until: Duration,
}

impl Outside {
    pub(in crate::identity) fn offers(&self) -> Vec<LoginOffer> {
        let offer = |issuer: &Issuer| {
            let title = issuer.login()?.title.clone();
            Some(LoginOffer { name: issuer.name().to_owned(), title })
        };
        self.issuers().iter().filter_map(offer).collect()
    }

    /// `callback` is the address of this server to which the issuer sends the browser, and `back` a path of it for afterwards.
    pub(in crate::identity) async fn begin_login(
        &self,
        logins: &Logins,
        name: &str,
        callback: String,
        back: String,
        env: &Env,
    ) -> Result<LoginBegun, IdentityError> {
        let issuer = self.issuer(name).ok_or(IdentityError::UnknownIssuer)?;
        let settings = issuer.login().ok_or(IdentityError::UnknownIssuer)?;
        let endpoints = issuer.discovered(env).await.ok_or(IdentityError::KeysUnavailable)?;
        let new = || Secret::new(SecretKind::Login, env);
        let (state, browser, verifier, nonce) = (new(), new(), new(), new().text().to_owned());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.text()));
        let scope = settings.scopes.join(" ");
        let query = form(&[
            ("response_type", "code"),
            ("client_id", &settings.client_id),
            ("redirect_uri", &callback),
            ("scope", &scope),
            ("state", state.text()),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let start = &endpoints.authorization_endpoint;
        let address = format!("{start}{}{query}", if start.contains('?') { '&' } else { '?' });
        let pending = PendingLogin {
            issuer: name.to_owned(),
            browser: browser.digest(),
            verifier,
            nonce,
            callback,
            back,
            until: env.elapsed() + LIFE,
        };
        match logins.add(state.digest(), pending, env.elapsed()) {
            true => Ok(LoginBegun { address, browser }),
            false => Err(IdentityError::Overloaded),
        }
    }

    pub(in crate::identity) async fn finish_login(
        &self,
        logins: &Logins,
        returned: LoginReturn<'_>,
        env: &Env,
    ) -> Result<FinishedLogin, IdentityError> {
        let pending = logins.take(&digest(returned.state), env.elapsed());
        let same = |pending: &PendingLogin| {
            pending.issuer == returned.issuer && pending.browser == digest(returned.browser)
        };
        let pending = pending.filter(same).ok_or(IdentityError::BadToken(
            "this login was not begun in this browser, was finished already, or took more than ten minutes: begin again",
        ))?;
        let issuer = self.issuer(&pending.issuer).ok_or(IdentityError::UnknownIssuer)?;
        let settings = issuer.login().ok_or(IdentityError::UnknownIssuer)?;
        if returned.named.is_some_and(|named| named != issuer.rules().issuer) {
            return Err(IdentityError::BadToken("the answer is of another issuer"));
        }
        let token = self.exchange(issuer, settings, &pending, returned.code, env).await?;
        let peeked = peek(&token).map_err(IdentityError::BadToken)?;
        if !issuer.is_of(&peeked) {
            return Err(IdentityError::BadToken("the token is of another issuer"));
        }
        let signed = issuer.verify(&token, &peeked, env).await.map_err(super::refused)?;
        if signed.claims.get("nonce").and_then(|nonce| nonce.as_str()) != Some(pending.nonce.as_str()) {
            return Err(IdentityError::BadToken("the token is of another login"));
        }
        let party = signed.claims.get("azp");
        let several =
            signed.claims.get("aud").and_then(|aud| aud.as_array()).is_some_and(|aud| aud.len() > 1);
        if (party.is_some() || several) && party.and_then(|azp| azp.as_str()) != Some(&settings.client_id) {
            return Err(IdentityError::BadToken("the token is for another client"));
        }
        let rules = ClaimRules { audience: vec![settings.client_id.clone()], ..issuer.rules().clone() };
        let judged = rules.judge(signed.claims, env.now()).map_err(IdentityError::BadToken)?;
        issuer.may_name(&judged.user).map_err(IdentityError::BadToken)?;
        Ok(FinishedLogin { judged, back: pending.back })
    }

    /// The id token for a code.
    async fn exchange(
        &self,
        issuer: &Issuer,
        settings: &LoginSettings,
        pending: &PendingLogin,
        code: &str,
        env: &Env,
    ) -> Result<String, IdentityError> {
        #[derive(Deserialize)]
        struct TokenAnswer {
            id_token: String,
        }
        let endpoints = issuer.discovered(env).await.ok_or(IdentityError::KeysUnavailable)?;
        let failed = |why: String| {
            tracing::warn!(issuer = issuer.name(), why, "the issuer did not give a token for a login");
            IdentityError::BadToken("the issuer did not confirm the login: begin again")
        };
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", pending.callback.as_str()),
            ("code_verifier", pending.verifier.text()),
        ];
        if settings.client_secret.is_none() {
            fields.push(("client_id", &settings.client_id));
        }
        let mut request = self.fetcher().post(&endpoints.token_endpoint).map_err(failed)?;
        request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form(&fields));
        if let Some(secret) = &settings.client_secret {
            let pair = format!("{}:{}", escaped(&settings.client_id), escaped(secret.text()));
            request = request.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)));
        }
        let text = self.fetcher().answer(request).await.map_err(failed)?;
        let granted: TokenAnswer =
            serde_json::from_str(&text).map_err(|_| failed("the answer has no id_token".to_owned()))?;
        Ok(granted.id_token)
    }
}

impl Logins {
    /// False when there are too many.
    fn add(&self, state: String, pending: PendingLogin, now: Duration) -> bool {
        let mut open = self.open.lock();
        if open.len() >= MOST {
            open.retain(|_, pending| pending.until > now);
        }
        let room = open.len() < MOST;
        if room {
            open.insert(state, pending);
        }
        room
    }

    /// Once.
    fn take(&self, state: &str, now: Duration) -> Option<PendingLogin> {
        self.open.lock().remove(state).filter(|pending| pending.until > now)
    }
}

fn form(fields: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    pairs.join("&")
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, FORM).to_string()
}
