//! `IdentityError`: why a login, a registration or a token was refused. Knows no status.

use std::time::Duration;

use crate::auth::AuthError;
use crate::protocol::Code;
use crate::repository::{FieldError, RepositoryError};
use crate::store::vault::VaultError;

/// `Display` is for the caller; `cause` is for the log. None of the texts repeats a secret.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IdentityError {
    /// Says the same of a name that nobody has.
    #[error("the name or the password is wrong")]
    WrongLogin,
    #[error("too many tries: wait {} seconds before the next", seconds(*wait))]
    Throttled { wait: Duration },
    #[error("{}", summary(errors))]
    Invalid { errors: Vec<FieldError> },
    #[error("the name is taken")]
    NameTaken,
    #[error("this server takes no registrations{0}")]
    RegistrationClosed(&'static str),
    #[error("this server sends no mail: ask an administrator for a link")]
    NoMail,
    #[error("the link is unknown, was used already, or has expired")]
    BadLink,
    /// A token of a caller.
    #[error("{0}")]
    BadToken(&'static str),
    #[error("{0}")]
    BadName(AuthError),
    #[error("this needs a session: log in first")]
    NoSession,
    #[error("a ticket is made for a token: send the token of the caller")]
    NoToken,
    #[error(
        "this server knows no issuer of this name at which users log in: GET /api/auth/issuers lists them"
    )]
    UnknownIssuer,
    #[error("the keys of the issuer of this token cannot be read now: try again in a moment")]
    KeysUnavailable,
    #[error("there is no user of this id who has a login name here")]
    UnknownUser,
    #[error("this session is not yours, or has ended")]
    UnknownSession,
    #[error("the server has no administrator yet: open the link that it printed when it started")]
    SetupRequired,
    #[error("too many passwords are being checked")]
    Overloaded,
    #[error("{0}")]
    Repository(RepositoryError),
    #[error("the users of this server could not be read or changed")]
    Failed(String),
}

impl IdentityError {
    pub fn code(&self) -> Code {
        match self {
            IdentityError::WrongLogin => Code::LoginFailed,
            IdentityError::Throttled { .. } => Code::TooManyLogins,
            IdentityError::Invalid { .. } => Code::ValidationFailed,
            IdentityError::NameTaken => Code::NotUnique,
            IdentityError::RegistrationClosed(_) => Code::RegistrationClosed,
            IdentityError::BadLink => Code::BadLink,
            IdentityError::BadToken(_)
            | IdentityError::BadName(_)
            | IdentityError::NoSession
            | IdentityError::NoToken => Code::Unauthenticated,
            IdentityError::UnknownSession
            | IdentityError::UnknownUser
            | IdentityError::UnknownIssuer
            | IdentityError::NoMail => Code::NotFound,
            IdentityError::SetupRequired => Code::SetupRequired,
            IdentityError::Overloaded | IdentityError::KeysUnavailable => Code::Overloaded,
            IdentityError::Repository(error) => error.code(),
            IdentityError::Failed(_) => Code::StorageError,
        }
    }

    pub fn field_errors(&self) -> Vec<FieldError> {
        match self {
            IdentityError::Invalid { errors } => errors.clone(),
            IdentityError::Repository(error) => error.field_errors(),
            IdentityError::WrongLogin
            | IdentityError::Throttled { .. }
            | IdentityError::NameTaken
            | IdentityError::RegistrationClosed(_)
            | IdentityError::BadLink
            | IdentityError::NoMail
            | IdentityError::BadToken(_)
            | IdentityError::BadName(_)
            | IdentityError::NoSession
            | IdentityError::NoToken
            | IdentityError::UnknownIssuer
            | IdentityError::KeysUnavailable
            | IdentityError::UnknownSession
            | IdentityError::UnknownUser
            | IdentityError::SetupRequired
            | IdentityError::Overloaded
            | IdentityError::Failed(_) => Vec::new(),
        }
    }

    /// For the log only.
    pub fn cause(&self) -> Option<String> {
        match self {
            IdentityError::Failed(cause) => Some(cause.clone()),
            IdentityError::Repository(error) => error.cause(),
            IdentityError::WrongLogin
            | IdentityError::Throttled { .. }
            | IdentityError::Invalid { .. }
            | IdentityError::NameTaken
            | IdentityError::RegistrationClosed(_)
            | IdentityError::BadLink
            | IdentityError::NoMail
            | IdentityError::BadToken(_)
            | IdentityError::BadName(_)
            | IdentityError::NoSession
            | IdentityError::NoToken
            | IdentityError::UnknownIssuer
            | IdentityError::KeysUnavailable
            | IdentityError::UnknownSession
            | IdentityError::UnknownUser
            | IdentityError::SetupRequired
            | IdentityError::Overloaded => None,
        }
    }

    /// One field of a request is wrong.
    pub fn field(field: &str, code: &'static str, fault: &str) -> IdentityError {
        let message = format!("`{field}` {fault}");
        IdentityError::Invalid { errors: vec![FieldError { field: field.to_owned(), code, message }] }
    }
}

/// `#[from]` across floors is not for this house: the words of a lower floor become those of this one by name.
pub(super) fn of_vault(error: VaultError) -> IdentityError {
    IdentityError::Failed(error.to_string())
}

fn summary(errors: &[FieldError]) -> String {
    errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; ")
}

/// Whole seconds, rounded up.
fn seconds(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1)
}
