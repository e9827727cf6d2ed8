//! `trait Vault`: entries that no log, rule, export or backup of records may show, such as passwords and sessions.
//!
//! Knows no database, and not what an entry means: `identity/` writes and reads their bodies.

use futures_util::future::BoxFuture;

use crate::ids::Timestamp;

/// What a backend owes:
///
/// - `change` does all of its edits or none, and has them on the disk when it answers.
/// - An entry is found by its kind and key from the moment at which the change that wrote it was answered.
/// - Another process may change the vault at any time; `version` then differs from what it was before.
/// - Entries past their `expires` may still be found until `forget` removes them.
/// - Every method may be awaited anywhere, and holds up no async worker.
pub trait Vault: Send + Sync + 'static {
    fn find(&self, kind: VaultKind, key: &str) -> VaultFuture<'_, Option<VaultEntry>>;

    /// All entries of a kind, or those of one owner, in the order of their keys.
    fn list(&self, kind: VaultKind, owner: Option<&str>) -> VaultFuture<'_, Vec<VaultEntry>>;

    /// Makes the edits in their order, unless one of them does not fit.
    fn change(&self, edits: Vec<VaultEdit>) -> VaultFuture<'_, Edited>;

    /// Removes what expired at or before this time, and answers with the number of entries.
    fn forget(&self, now: Timestamp) -> VaultFuture<'_, usize>;

    /// Differs from the last answer if another process changed something in between.
    fn version(&self) -> VaultFuture<'_, u64>;
}

/// The future of whatever is asked of a vault.
pub type VaultFuture<'a, T> = BoxFuture<'a, Result<T, VaultError>>;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VaultKind {
    /// A login name with its password.
    Account,
    Session,
    /// A link that works once.
    Link,
    /// What a command asks of the server that runs over the same folder.
    Order,
    /// A shared token, or one of a machine.
    Token,
}

impl VaultKind {
    pub const ALL: [VaultKind; 5] =
        [VaultKind::Account, VaultKind::Session, VaultKind::Link, VaultKind::Order, VaultKind::Token];

    pub fn word(self) -> &'static str {
        match self {
            VaultKind::Account => "account",
            VaultKind::Session => "session",
            VaultKind::Link => "link",
            VaultKind::Order => "order",
            VaultKind::Token => "token",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultEntry {
    pub kind: VaultKind,
    /// Unique within its kind.
    pub key: String,
    /// Whose it is: the id of a user.
    pub owner: Option<String>,
    pub expires: Option<Timestamp>,
    /// JSON.
    pub body: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultEdit {
    /// Does not fit where the key is taken.
    Insert(VaultEntry),
    /// Does not fit where the stored body is another than `was`, or none.
    Replace { was: String, entry: VaultEntry },
    /// Does not fit where there is none.
    Remove { kind: VaultKind, key: String },
    /// Removes all entries of an owner, if there are any.
    Clear { kind: VaultKind, owner: String },
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    Done,
    /// The edit at this place did not fit, so nothing was changed.
    Refused {
        edit: usize,
    },
}

/// Why the vault did not answer. The text is for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the vault failed: {0}")]
pub struct VaultError(pub String);
