//! Identities: built-in users with passwords, their sessions, links that work once, and tickets for sockets.
//!
//! Knows no HTTP and no connection. A person is a `User` record like any other; what nobody may read is in the `Vault`.

mod access_tokens;
mod accounts;
mod adoption;
mod departed;
mod entries;
mod error;
mod forgotten;
mod identities;
mod keeping;
mod known_sessions;
mod links;
mod live_session;
mod login_name;
mod low_priority;
mod mail;
mod orders;
mod outside;
mod outside_logins;
mod passwords;
mod renaming;
mod resets;
mod secret;
mod sessions;
mod throttle;
mod tickets;

pub use access_tokens::{IssuedToken, TokenError, TokenRow, issue_token, revoke_tokens, tokens_of};
pub use accounts::{Granted, NewAccount};
pub use adoption::ids_without_source;
pub use entries::{Account, Link, LinkKind, Order, StoredSession, StoredToken, TokenGrant};
pub use error::IdentityError;
pub use identities::{Admitted, Brought, Identities};
pub use links::{LINK_LIFE, new_link};
pub use live_session::{LiveSession, LoginKind, LoginState};
pub use login_name::LoginName;
pub use mail::{Letter, MailError, Mailer};
pub use orders::{OrderOutcome, outcome_of, perform};
pub use outside::{LoadedTokens, LoginBegun, LoginOffer, LoginReturn};
pub use outside_logins::LoggedIn;
pub use passwords::Passwords;
pub use renaming::{TAKEN, renaming};
pub use secret::{Secret, SecretKind, digest};
pub use sessions::{OwnedSession, SessionRow};
pub use tickets::TicketUse;
