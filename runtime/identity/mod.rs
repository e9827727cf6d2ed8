//! Identities: built-in users with passwords, their sessions, links that work once, and tickets for sockets.
//!
//! Knows no HTTP and no connection. A person is a `User` record like any other; what nobody may read is in the `Vault`.

mod accounts;
mod adoption;
mod departed;
mod entries;
mod error;
mod identities;
mod keeping;
mod known_sessions;
mod links;
mod login_name;
mod mail;
mod orders;
mod passwords;
mod resets;
mod secret;
mod sessions;
mod throttle;
mod tickets;

pub use accounts::{Granted, NewAccount};
pub use adoption::ids_without_source;
pub use entries::{Account, Link, LinkKind, Order, StoredSession};
pub use error::IdentityError;
pub use identities::{Admitted, Brought, Identities};
pub use known_sessions::{LiveSession, LoginState};
pub use links::{LINK_LIFE, new_link};
pub use login_name::LoginName;
pub use mail::{Letter, MailError, Mailer};
pub use orders::{OrderOutcome, outcome_of, perform};
pub use passwords::Passwords;
pub use secret::{Secret, SecretKind, digest};
pub use sessions::{OwnedSession, SessionRow};
