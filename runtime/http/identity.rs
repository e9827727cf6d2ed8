//! `Caller` and `Author`: who sends this request. Collects credentials from every place where they may be and has `auth`
//! judge them.
//!
//! Knows no rule about credentials. `/ws` collects with `Presented` and adds its sub-protocol.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use super::problem::Problem;
use super::server::Peer;
use super::state::AppState;
use crate::auth::{self, Credentials, Identity};
use crate::protocol::Params;

/// Extractor of requests that read: the caller whose credentials were accepted. The `User` record is committed at first
/// sight (SEMANTICS R11), unless the server cannot store anything now.
#[derive(Debug, Clone)]
pub struct Caller(pub Identity);

/// Extractor of requests that write: the caller whose credentials were accepted, with a committed `User` record.
#[derive(Debug, Clone)]
pub struct Author(pub Identity);

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Caller, Problem> {
        let identity = identify(parts, state)?;
        state.repository.ensure_reader(&identity).await?;
        Ok(Caller(identity))
    }
}

impl FromRequestParts<AppState> for Author {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Author, Problem> {
        let identity = identify(parts, state)?;
        state.repository.ensure_user(&identity).await?;
        Ok(Author(identity))
    }
}

/// Counts the request: of a user, or of an address where no user is known.
fn identify(parts: &Parts, state: &AppState) -> Result<Identity, Problem> {
    let presented = Presented::collect(parts)?;
    match auth::identify(&presented.credentials()) {
        Ok(identity) => {
            state.limits.request(&identity)?;
            Ok(identity)
        }
        Err(refused) => {
            state.limits.anonymous_request(presented.address)?;
            Err(refused.into())
        }
    }
}

/// What the request brought along.
#[derive(Debug, Clone)]
pub struct Presented {
    /// A token of any form, even an empty one: it is refused, never overlooked.
    pub token: bool,
    pub name: Option<String>,
    pub address: IpAddr,
}

impl Presented {
    pub fn collect(parts: &Parts) -> Result<Presented, Problem> {
        let peer = parts.extensions.get::<Peer>();
        let peer = peer.ok_or_else(|| Problem::internal("a request without a peer"))?;
        let params = Params::parse(parts.uri.query())?;
        let token = [header::AUTHORIZATION.as_str(), "x-api-key"]
            .iter()
            .any(|name| parts.headers.contains_key(*name))
            || ["token", "ticket", "access_token", "api_key"].iter().any(|name| params.has(name));
        Ok(Presented { token, name: params.one("as")?.map(str::to_owned), address: peer.address })
    }

    pub fn credentials(&self) -> Credentials<'_> {
        Credentials { token: self.token, name: self.name.as_deref(), address: self.address }
    }
}
