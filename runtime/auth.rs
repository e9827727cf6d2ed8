//! Who is asking. `dev` knows two kinds of callers: anonymous ones, and the user that `?as=NAME` or `?as=NAME:role` names, with
//! the claims of `?claims=`.
//!
//! Knows no HTTP: `http/identity.rs` collects the credentials, `identify` judges them. Tokens are for `identity/`.

mod service;

pub use service::{PublishPattern, Service};

use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::ids::{IdError, RecordId, shown};
use crate::rules::{Claims, Person};

/// The role that rules see of a guest.
pub const GUEST_ROLE: &str = "guest";
/// How the names of guests begin. No user has such an id (SEMANTICS Y1).
pub const GUEST_PREFIX: &str = "guest:";
/// How the ids of services begin. No other user has such an id.
pub const SERVICE_PREFIX: &str = "service:";

/// A caller whose credentials were accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Id of the caller's `User` record; `None` is anonymous, or a guest.
    pub user: Option<Arc<str>>,
    /// What the credentials call the user: the `User` record begins with it.
    pub name: Option<Arc<str>>,
    /// What the credentials say of the role; it wins over the record's. An empty one says that there is none.
    pub role: Option<Arc<str>>,
    /// What the credentials say beside: `user.claims` of rules.
    pub claims: Claims,
    pub bearer: Bearer,
    pub address: IpAddr,
}

/// What a caller is beside a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bearer {
    /// A user, or an anonymous caller.
    Person,
    /// Came with a shared token, which names no user (SEMANTICS Y2).
    Guest(Arc<Guest>),
    /// A machine that came with a service token.
    Service(Arc<Service>),
}

/// One connection or request with a shared token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// `guest:<id>`, another one for each connection. It has no `User` record.
    pub id: Arc<str>,
    /// The name of the shared token.
    pub token: Arc<str>,
}

/// Whether a caller may simply say who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameTrust {
    /// By `?as=NAME`, in `tidewire dev` on loopback.
    Believed,
    Refused,
}

/// What a request or socket without a token brought along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// `?as=NAME` or `?as=NAME:role`.
    pub name: Option<&'a str>,
    /// `?claims=`, which is for a name only: a JSON object.
    pub claims: Option<&'a str>,
    pub address: IpAddr,
}

/// Why credentials were refused. The text is for the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("`as` must name a user: {0}")]
    BadName(IdError),
    #[error("`{}` is not the name of a user: `guest:` is for guests, and `service:` for machines", shown(_0))]
    ReservedName(String),
    #[error("`as` has no name before the colon: write ?as=NAME or ?as=NAME:role")]
    NoName,
    #[error(
        "`as` has a colon and no role of 1 to {MAX_ROLE} visible characters after it, but `{}`: write ?as=NAME:role, or ?as=NAME \
         without a colon",
        shown(_0)
    )]
    BadRole(String),
    #[error(
        "`claims` is for the user that `as` names in `tidewire dev`: add ?as=NAME, or leave `claims` out"
    )]
    ClaimsOfNobody,
    #[error(
        "`claims` must be a JSON object of at most {MOST_CLAIMS} bytes, percent-encoded, such as {{\"team\":\"red\"}}: {0}"
    )]
    BadClaims(String),
}

/// Characters of a role.
const MAX_ROLE: usize = 64;
/// Bytes of claims.
const MOST_CLAIMS: usize = 4096;

/// The rules of `dev` for a caller without a token: a name and a role are believed, nothing at all is anonymous.
pub fn identify(credentials: &Credentials<'_>) -> Result<Identity, AuthError> {
    let nobody = Identity::nobody(credentials.address);
    let Some(text) = credentials.name else {
        return if credentials.claims.is_some() { Err(AuthError::ClaimsOfNobody) } else { Ok(nobody) };
    };
    let (name, role) = named(text)?;
    let user = RecordId::parse_text(name).map_err(AuthError::BadName)?;
    if is_reserved(name) {
        return Err(AuthError::ReservedName(name.to_owned()));
    }
    let claims = credentials.claims.map(claims).transpose()?.unwrap_or_default();
    Ok(Identity { user: Some(user.shared()), role: role.map(Arc::from), claims: claims.into(), ..nobody })
}

/// Whether an id can be that of no person (SEMANTICS Y1).
pub fn is_reserved(id: &str) -> bool {
    id.starts_with(GUEST_PREFIX) || id.starts_with(SERVICE_PREFIX)
}

fn claims(text: &str) -> Result<Map<String, Json>, AuthError> {
    if text.len() > MOST_CLAIMS {
        return Err(AuthError::BadClaims(format!("it has {} bytes", text.len())));
    }
    match serde_json::from_str(text) {
        Ok(Json::Object(claims)) => Ok(claims),
        Ok(_) => Err(AuthError::BadClaims("it is another JSON value".to_owned())),
        Err(error) => Err(AuthError::BadClaims(error.to_string())),
    }
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
    /// An anonymous caller.
    pub fn nobody(address: IpAddr) -> Identity {
        Identity {
            user: None,
            name: None,
            role: None,
            claims: Claims::default(),
            bearer: Bearer::Person,
            address,
        }
    }

    /// The machine, if the caller is one. Only a machine may publish into rooms and notify users over HTTP.
    pub fn service(&self) -> Option<&Service> {
        match &self.bearer {
            Bearer::Service(service) => Some(service),
            Bearer::Person | Bearer::Guest(_) => None,
        }
    }

    pub fn guest(&self) -> Option<&Guest> {
        match &self.bearer {
            Bearer::Guest(guest) => Some(guest),
            Bearer::Person | Bearer::Service(_) => None,
        }
    }

    /// On whose behalf rules are asked.
    pub fn person(&self) -> Arc<Person> {
        Arc::new(Person { id: self.user.clone(), role: self.role.clone(), claims: self.claims.clone() })
    }

    /// Who answers for too many messages: the user, or the address. Guests share a token, so each counts by their address.
    pub fn offender(&self) -> Arc<str> {
        match &self.user {
            Some(user) => format!("user:{user}").into(),
            None => format!("address:{}", self.address).into(),
        }
    }

    /// Whose idempotency keys these are: the user, the shared token of a guest, or the address of an anonymous caller.
    pub fn idempotency_owner(&self) -> Arc<str> {
        match (&self.user, self.guest()) {
            (Some(user), _) => format!("user:{user}").into(),
            (None, Some(guest)) => format!("token:{}", guest.token).into(),
            (None, None) => format!("address:{}", self.address).into(),
        }
    }
}
