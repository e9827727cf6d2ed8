//! `Caller` and `Author`: who sends this request. Collects credentials from every place where they may be and has `identity`
//! judge them.
//!
//! Knows no rule about credentials. `/ws` collects with `Presented` and adds its sub-protocol.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, header};
use futures_util::future::OptionFuture;

use super::problem::Problem;
use super::server::Peer;
use super::state::AppState;
use super::{cookie, guard};
use crate::auth::{AuthError, Identity};
use crate::env::Env;
use crate::identity::{Admitted, Brought, IdentityError, LoginState, TicketUse};
use crate::ids::Timestamp;
use crate::protocol::Params;
use crate::refusals::{KeptClaims, RefusedCaller, note_caller};

/// Extractor of requests that read: the caller whose credentials were accepted. In `dev` the `User` record is committed at first
/// sight (SEMANTICS R11), unless the server cannot store anything now.
#[derive(Debug, Clone)]
pub struct Caller(pub Identity);

/// Extractor of requests that write: the caller whose credentials were accepted, with a committed `User` record.
#[derive(Debug, Clone)]
pub struct Author(pub Identity);

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Caller, Problem> {
        let WaitingCaller(admitted) = WaitingCaller::from_request_parts(parts, state).await?;
        Ok(Caller(admitted.identity))
    }
}

/// Extractor of requests that wait: the caller, whose login may end meanwhile.
#[derive(Debug, Clone)]
pub(super) struct WaitingCaller(pub(super) Admitted);

impl FromRequestParts<AppState> for WaitingCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<WaitingCaller, Problem> {
        let presented = Presented::collect(parts)?;
        let admitting =
            async { state.identities.admit_reader(presented.brought()?, presented.address).await };
        Ok(WaitingCaller(counted(state, presented.address, admitting).await?))
    }
}

impl WaitingCaller {
    /// Why the login of the caller no longer counts, if it ended or its time is over. To be asked before an answer that was waited
    /// for is given.
    pub(super) fn login_over(&self, env: &Env) -> Option<Problem> {
        let state = self.0.session.as_ref()?.standing();
        let said = match state.ended {
            true => "the session was ended: log in again",
            false => "the login has expired: log in again, or get another token",
        };
        state.is_over(env.now()).then(|| IdentityError::BadToken(said).into())
    }

    /// Completes when the login of the caller ends: by a logout for example, or with its time.
    pub(super) async fn login_ended(&self, env: &Env) -> Problem {
        let Some(session) = &self.0.session else { return std::future::pending().await };
        let mut following = session.follow();
        loop {
            let LoginState { expires, .. } = *following.borrow_and_update();
            if let Some(refused) = self.login_over(env) {
                return refused;
            }
            let left = expires.map(|expires| millis_until(expires, env.now()));
            let expiry = OptionFuture::from(left.map(tokio::time::sleep));
            tokio::select! {
                Some(()) = expiry => {}
                Ok(()) = following.changed() => {}
                // Neither ends it: it is good until it is revoked, and the one who could revoke it is gone.
                else => return std::future::pending().await,
            }
        }
    }
}

fn millis_until(time: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(u64::try_from(time.0 - now.0).unwrap_or(0))
}

impl FromRequestParts<AppState> for Author {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Author, Problem> {
        let presented = Presented::collect(parts)?;
        let admitting =
            async { state.identities.admit_writer(presented.brought()?, presented.address).await };
        Ok(Author(counted(state, presented.address, admitting).await?.identity))
    }
}

/// The caller, with their request counted: as one of a user, or of an address where no user is known.
pub(super) async fn counted(
    state: &AppState,
    address: IpAddr,
    admitting: impl Future<Output = Result<Admitted, IdentityError>>,
) -> Result<Admitted, Problem> {
    match admitting.await {
        Ok(admitted) => {
            note_caller(refused_caller(&admitted.identity));
            state.limits.request(&admitted.identity)?;
            Ok(admitted)
        }
        Err(refused) => {
            state.limits.anonymous_request(address)?;
            Err(refused.into())
        }
    }
}

/// Who is refused, if this request is.
fn refused_caller(identity: &Identity) -> RefusedCaller {
    let claims = KeptClaims::Known(identity.claims.clone());
    RefusedCaller { user: identity.user.clone(), role: identity.role.clone(), claims }
}

/// What the request brought along.
#[derive(Clone)]
pub struct Presented {
    /// Tokens of every place but the cookie. A place that is no good has an empty one: it is refused, never overlooked.
    tokens: Vec<String>,
    ticket: Option<String>,
    name: Option<String>,
    claims: Option<String>,
    cookie: Option<String>,
    pub address: IpAddr,
}

const X_USER_ID: HeaderName = HeaderName::from_static("x-user-id");

impl Presented {
    pub fn collect(parts: &Parts) -> Result<Presented, Problem> {
        let peer = parts.extensions.get::<Peer>();
        let peer = peer.ok_or_else(|| Problem::internal("a request without a peer"))?;
        let params = Params::parse(parts.uri.query())?;
        let mut tokens: Vec<String> = Vec::new();
        for value in parts.headers.get_all(header::AUTHORIZATION) {
            tokens.push(value.to_str().ok().and_then(bearer).unwrap_or_default().to_owned());
        }
        tokens.extend(params.one("token")?.map(str::to_owned));
        // Where other servers take tokens: here they are refused, and not taken for no token.
        let elsewhere = parts.headers.contains_key("x-api-key")
            || ["access_token", "api_key"].iter().any(|name| params.has(name));
        tokens.extend(elsewhere.then(String::new));
        let header = parts.headers.get(X_USER_ID);
        let header = header.map(|value| value.to_str().unwrap_or_default().to_owned());
        // A page of another origin must not act with a cookie that it cannot read.
        let cookie = match guard::is_same_origin(&parts.uri, &parts.headers, peer.is_secure) {
            true => cookie::token(&parts.uri, &parts.headers),
            false => None,
        };
        let name = params.one("as")?.map(str::to_owned).or(header);
        let ticket = params.one("ticket")?.map(str::to_owned);
        let claims = params.one("claims")?.map(str::to_owned);
        Ok(Presented { tokens, ticket, name, claims, cookie, address: peer.address })
    }

    /// One more token, of the sub-protocol of a socket.
    pub(super) fn add_token(&mut self, token: &str) {
        self.tokens.push(token.to_owned());
    }

    /// The one thing that counts. A cookie comes along by itself, so it counts only where nothing else was brought.
    pub(super) fn brought(&self) -> Result<Brought<'_>, IdentityError> {
        let brought = self
            .tokens
            .iter()
            .map(|token| Brought::Token(token))
            .chain(self.ticket.as_deref().map(|ticket| Brought::Ticket(ticket, TicketUse::Once)))
            .chain(self.name.as_deref().map(|name| Brought::Name(name, self.claims.as_deref())));
        let mut all: Vec<Brought<'_>> = brought.collect();
        all.dedup();
        if self.claims.is_some() && self.name.is_none() {
            return Err(IdentityError::BadName(AuthError::ClaimsOfNobody));
        }
        match all.as_slice() {
            [] => Ok(self.cookie.as_deref().map_or(Brought::Nothing, Brought::Token)),
            [one] => Ok(*one),
            [_, _, ..] => {
                Err(IdentityError::BadToken("there are several tokens or names in this request: send one"))
            }
        }
    }

    /// The token of the session itself, where one was brought.
    pub(super) fn token(&self) -> Option<&str> {
        match self.brought() {
            Ok(Brought::Token(token)) => Some(token),
            Ok(Brought::Nothing | Brought::Name(..) | Brought::Ticket(..)) | Err(_) => None,
        }
    }

    /// Whether the session came in a cookie, and goes back in one.
    pub(super) fn by_cookie(&self) -> bool {
        self.cookie.is_some() && self.token() == self.cookie.as_deref()
    }
}

/// `Bearer TOKEN`
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
