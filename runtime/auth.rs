//! Who is asking. `dev` knows two kinds of callers: anonymous ones, and the user that `?as=NAME` or `?as=NAME:role` names.
//!
//! Knows no HTTP: `http/identity.rs` collects the credentials, `identify` judges them. Tokens are for `identity/`.

use std::net::IpAddr;
use std::sync::Arc;

use crate::ids::{IdError, RecordId, shown};
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

/// Whether a caller may simply say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameTrust {
    /// By `?as=NAME`, in `tidewire dev` on loopback.
    Believed,
    Refused,
}

/// What a request or socket brought along, in any of the places where a token or a name may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// A token of any form: `Authorization`, `?token=`, `?ticket=`, a `bearer.` sub-protocol, an `auth` frame.
    pub token: bool,
    /// `?as=NAME` or `?as=NAME:role`.
    pub name: Option<&'a str>,
    pub address: IpAddr,
}

/// Why credentials were refused. The text is for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("a name is wanted here, not a token")]
    TokenRefused,
    #[error("`as` must name a user: {0}")]
    BadName(IdError),
    #[error("`as` has no name before the colon: write ?as=NAME or ?as=NAME:role")]
    NoName,
    #[error(
        "`as` has a colon and no role of 1 to {MAX_ROLE} visible characters after it, but `{}`: write ?as=NAME:role, or ?as=NAME \
         without a colon",
        shown(_0)
    )]
    BadRole(String),
}

/// Characters of a role.
const MAX_ROLE: usize = 64;

/// The rules of `dev`: a token is refused, a name and a role are believed, nothing at all is anonymous.
pub fn identify(credentials: &Credentials<'_>) -> Result<Identity, AuthError> {
    if credentials.token {
        return Err(AuthError::TokenRefused);
    }
    let Some(text) = credentials.name else {
        return Ok(Identity { user: None, role: None, address: credentials.address });
    };
    let (name, role) = named(text)?;
    let user = RecordId::parse_text(name).map_err(AuthError::BadName)?;
    Ok(Identity { user: Some(user.shared()), role: role.map(Arc::from), address: credentials.address })
}

/// The role comes after the last colon, because names may contain colons and roles may not. A name with a colon must be
/// given with a role.
fn named(text: &str) -> Result<(&str, Option<&str>), AuthError> {
    let Some((name, role)) = text.rsplit_once(':') else { return Ok((text, None)) };
    if name.is_empty() {
        return Err(AuthError::NoName);
    }
    let visible = |letter: char| !letter.is_whitespace() && !letter.is_control();
    if !(1..=MAX_ROLE).contains(&role.chars().count()) || !role.chars().all(visible) {
        return Err(AuthError::BadRole(role.to_owned()));
    }
    Ok((name, Some(role)))
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
