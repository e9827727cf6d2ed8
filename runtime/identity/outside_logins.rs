//! Logging in at another issuer: what `outside/login.rs` found becomes a session of this server.

use std::net::IpAddr;

use super::accounts::Granted;
use super::entries::OutsideSession;
use super::error::IdentityError;
use super::identities::Identities;
use super::outside::{FinishedLogin, LoginBegun, LoginOffer, LoginReturn};
use crate::auth::Identity;

/// A login that is done.
#[derive(Debug)]
pub struct LoggedIn {
    pub granted: Granted,
    /// A path of this server.
    pub back: String,
}

impl Identities {
    /// The issuers at which users can log in.
    pub fn login_offers(&self) -> Vec<LoginOffer> {
        self.outside.offers()
    }

    /// `callback` is the address of this server to which the issuer sends the browser, and `back` a path of it for afterwards.
    pub async fn begin_login(
        &self,
        issuer: &str,
        callback: String,
        back: String,
    ) -> Result<LoginBegun, IdentityError> {
        self.outside.begin_login(&self.logins, issuer, callback, back, &self.env).await
    }

    /// A session for the user whom the issuer names. Their `User` record is made at the first login.
    pub async fn finish_login(
        &self,
        returned: LoginReturn<'_>,
        address: IpAddr,
        device: &str,
    ) -> Result<LoggedIn, IdentityError> {
        let FinishedLogin { judged, back } =
            self.outside.finish_login(&self.logins, returned, &self.env).await?;
        self.must_be_foreign(&judged.user).await?;
        let said = judged.said;
        let identity = Identity {
            user: Some(judged.user.as_str().into()),
            name: said.name.clone(),
            role: said.role.clone(),
            claims: said.claims.clone(),
            ..Identity::nobody(address)
        };
        self.repository.ensure_user(&identity).await.map_err(IdentityError::Repository)?;
        let outside =
            OutsideSession { role: said.role.map(|role| role.to_string()), claims: (*said.claims).clone() };
        let granted = self.grant_as(&judged.user, device, Some(outside)).await?;
        Ok(LoggedIn { granted, back })
    }
}
