//! What the vault's entries mean: `Account`, `StoredSession`, `Link`, `Order`, `StoredToken`, each from an entry and back.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::error::IdentityError;
use crate::ids::Timestamp;
use crate::store::vault::{VaultEntry, VaultKind};

/// A login name with its password. Its key is `LoginName::key`, its owner the id of the `User` record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    #[serde(skip)]
    pub user: String,
    #[serde(skip)]
    pub key: String,
    /// As its user writes it.
    pub name: String,
    /// As argon2 writes it. None before its user has chosen one.
    pub password: Option<String>,
    /// The role that its `User` record begins with.
    pub role: Option<String>,
    /// Its `User` record was made. A record that is missing later was deleted, and its user can no longer log in.
    pub recorded: bool,
}

/// A session under one token. The key is the token's digest, the owner its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredSession {
    /// The same under each token that it has had.
    pub id: String,
    pub created: i64,
    pub seen: i64,
    /// What the client calls itself.
    pub device: String,
    /// Another token took this one's place. It is good for a moment more, for requests under way.
    #[serde(default)]
    pub superseded: bool,
    /// What the issuer said of the user at a login there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<OutsideSession>,
}

/// What a session keeps of a login at another issuer: rules see it as they see the token of that issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideSession {
    pub role: Option<String>,
    pub claims: Map<String, Json>,
}

/// A shared token, or one of a machine. The key is the digest of its secret, the owner its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredToken {
    /// Tells the tokens of one name apart, and is no secret.
    pub id: String,
    pub created: i64,
    pub grant: TokenGrant,
}

/// What a token gives (SEMANTICS Y2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum TokenGrant {
    /// What the rules give a guest.
    Shared,
    /// A role, and patterns of rooms and users that the machine may publish to.
    Service { role: Option<String>, publish: Vec<String> },
}

/// A link that works once. The key is the digest of its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    #[serde(flatten)]
    pub kind: LinkKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum LinkKind {
    /// Makes an administrator, whatever the settings say of registration.
    Admin,
    Invite {
        role: Option<String>,
    },
    /// Sets the password of its owner.
    Reset,
}

/// What a command asks of a running server: its owner is the user that it concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "lowercase")]
pub enum Order {
    /// Make the `User` record of an account.
    Record {
        name: String,
        role: Option<String>,
    },
    Role {
        role: Option<String>,
    },
    Disable {
        disabled: bool,
    },
}

impl Account {
    pub fn of(entry: &VaultEntry) -> Result<Account, IdentityError> {
        let account: Account = read(entry)?;
        let user = entry.owner.clone().unwrap_or_default();
        Ok(Account { user, key: entry.key.clone(), ..account })
    }

    /// Where mail for this user goes: a login name may be a mail address.
    pub fn mail_address(&self) -> Option<&str> {
        self.name.contains('@').then_some(self.name.as_str())
    }

    pub fn entry(&self) -> VaultEntry {
        write(VaultKind::Account, &self.key, Some(&self.user), None, self)
    }
}

impl StoredSession {
    pub fn of(entry: &VaultEntry) -> Result<StoredSession, IdentityError> {
        read(entry)
    }

    pub fn entry(&self, key: &str, user: &str, expires: Timestamp) -> VaultEntry {
        write(VaultKind::Session, key, Some(user), Some(expires), self)
    }
}

impl StoredToken {
    pub fn of(entry: &VaultEntry) -> Result<StoredToken, IdentityError> {
        read(entry)
    }

    pub fn entry(&self, key: &str, name: &str, expires: Option<Timestamp>) -> VaultEntry {
        write(VaultKind::Token, key, Some(name), expires, self)
    }
}

impl Link {
    pub fn of(entry: &VaultEntry) -> Result<Link, IdentityError> {
        read(entry)
    }

    pub fn entry(&self, key: &str, user: Option<&str>, expires: Timestamp) -> VaultEntry {
        write(VaultKind::Link, key, user, Some(expires), self)
    }
}

pub(super) fn read<T: DeserializeOwned>(entry: &VaultEntry) -> Result<T, IdentityError> {
    serde_json::from_str(&entry.body).map_err(|error| {
        IdentityError::Failed(format!("an entry of the vault ({}): {error}", entry.kind.word()))
    })
}

pub(super) fn write(
    kind: VaultKind,
    key: &str,
    owner: Option<&str>,
    expires: Option<Timestamp>,
    body: &impl Serialize,
) -> VaultEntry {
    let body = serde_json::to_string(body).expect("entries have texts as keys");
    VaultEntry { kind, key: key.to_owned(), owner: owner.map(str::to_owned), expires, body }
}
