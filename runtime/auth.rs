//! Who is asking. `dev` knows two kinds of callers: nobody in particular, and whoever `?as=NAME` says.
//!
//! Knows no HTTP: `http/identity.rs` collects the credentials, `identify` judges them.

use std::net::IpAddr;
use std::sync::Arc;

use crate::ids::{IdError, RecordId};
use crate::rules::Person;

/// A caller whose credentials were accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Id of the caller's `User` record; `None` is anonymous.
    pub user: Option<Arc<str>>,
    /// What the credentials say of the role; it wins over the record's.
    pub role: Option<Arc<str>>,
    pub address: IpAddr,
}

/// What a request or socket brought along, in any of the places where a token or a name may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// A token of any form: `Authorization`, `?token=`, `?ticket=`, a `bearer.` sub-protocol, an `auth` frame.
    pub token: bool,
    /// `?as=NAME`.
    pub name: Option<&'a str>,
    pub address: IpAddr,
}

/// Why credentials were refused. The text is for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error(
        "tokens are not accepted: this server has no identities yet, and a token is never taken as anonymous"
    )]
    TokenRefused,
    #[error("`as` must name a user: {0}")]
    BadName(IdError),
}

/// The rules of `dev`: a token is refused, a name is believed, neither is anonymous.
pub fn identify(credentials: &Credentials<'_>) -> Result<Identity, AuthError> {
    if credentials.token {
        return Err(AuthError::TokenRefused);
    }
    let user = credentials.name.map(RecordId::parse_text).transpose().map_err(AuthError::BadName)?;
    Ok(Identity { user: user.map(|id| id.shared()), role: None, address: credentials.address })
}

impl Identity {
    /// On whose behalf rules are asked.
    pub fn person(&self) -> Arc<Person> {
        Arc::new(Person { id: self.user.clone(), role: self.role.clone(), ..Person::default() })
    }

    /// Whose idempotency keys these are: the user, or the address of an anonymous caller.
    pub fn idempotency_owner(&self) -> Arc<str> {
        match &self.user {
            Some(user) => format!("user:{user}").into(),
            None => format!("address:{}", self.address).into(),
        }
    }
}
