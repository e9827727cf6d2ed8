//! `AccessTokens`: shared tokens and those of machines, as the settings or `tidewire token issue` made them (SEMANTICS Y2).
//!
//! Two tokens of one name are good at once, so that one can take the other's place without a moment in which none is good. Knows no
//! request: `identities.rs` asks for the token that a request brought.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::entries::{StoredToken, TokenGrant};
use super::error::{IdentityError, of_vault};
use super::live_session::{LiveSession, LoginKind, Said};
use super::secret::{Secret, SecretKind};
use crate::auth::{PublishPattern, SERVICE_PREFIX, Service};
use crate::env::Env;
use crate::ids::Timestamp;
use crate::store::vault::{Edited, Vault, VaultEdit, VaultEntry, VaultKind};

/// Tokens of one name that are good at once.
pub(super) const AT_ONCE: usize = 2;

/// Characters of a name.
const LONGEST_NAME: usize = 64;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct AccessTokens {
    /// From the settings, by the digest of the secret.
    configured: HashMap<String, Arc<LiveSession>>,
    /// From the vault, as far as they were met, by the digest of the secret. Held for a look or a change of a few entries.
    issued: Mutex<HashMap<String, Arc<LiveSession>>>,
}

/// A token that was made now.
#[derive(Debug)]
pub struct IssuedToken {
    /// Shown once.
    pub secret: Secret,
    pub stored: StoredToken,
}

/// A token of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    pub name: String,
    pub stored: StoredToken,
    pub expires: Option<Timestamp>,
}

/// Why no token was made or revoked. The text is for the person at the command line.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TokenError {
    #[error("the name `{0}` must have 1 to 64 letters, digits, dots, dashes or underscores")]
    BadName(String),
    #[error("`{pattern}` {fault}")]
    BadPattern { pattern: String, fault: &'static str },
    #[error("the role must have 1 to 64 visible characters")]
    BadRole,
    #[error(
        "the name `{name}` belongs to a {} token: choose another name, or revoke that token first",
        if *shared { "shared" } else { "service" }
    )]
    OtherKind { name: String, shared: bool },
    #[error(
        "`{0}` has two tokens already, which is enough to replace one by the other: revoke one first, as `tidewire token list` names it"
    )]
    TwoAlready(String),
    #[error("there is no token `{0}`: `tidewire token list` lists them")]
    Unknown(String),
    #[error("the tokens changed meanwhile: try again")]
    Raced,
    #[error("{0}")]
    Vault(IdentityError),
}

impl AccessTokens {
    /// Of the settings. The key is the digest of the secret.
    pub(super) fn configured(tokens: HashMap<String, Arc<LiveSession>>) -> AccessTokens {
        AccessTokens { configured: tokens, issued: Mutex::default() }
    }

    pub(super) fn has_any_configured(&self) -> bool {
        !self.configured.is_empty()
    }

    /// By the digest, without a look at the vault.
    pub(super) fn known(&self, digest: &str) -> Option<Arc<LiveSession>> {
        let configured = self.configured.get(digest).cloned();
        configured.or_else(|| self.issued.lock().get(digest).cloned())
    }

    /// The token of an entry of the vault.
    pub(super) fn learn(&self, entry: &VaultEntry) -> Result<Arc<LiveSession>, IdentityError> {
        let stored = StoredToken::of(entry)?;
        let name = entry.owner.as_deref().unwrap_or_default();
        let live = live_token(name, &stored.id, &stored.grant, entry.expires)
            .map_err(|error| IdentityError::Failed(error.to_string()))?;
        let mut issued = self.issued.lock();
        Ok(issued.entry(entry.key.clone()).or_insert_with(|| Arc::new(live)).clone())
    }

    /// Ends one that the vault has no longer.
    pub(super) fn end(&self, digest: &str) {
        if let Some(live) = self.issued.lock().remove(digest) {
            live.end();
        }
    }

    /// Ends what the vault has no longer.
    pub(super) fn keep(&self, entries: &[VaultEntry]) {
        self.issued.lock().retain(|digest, live| {
            let kept = entries.iter().any(|entry| entry.key == *digest);
            if !kept {
                live.end();
            }
            kept
        });
    }

    pub(super) fn has_any_issued(&self) -> bool {
        !self.issued.lock().is_empty()
    }
}

/// The token as what lets in.
pub(super) fn live_token(
    name: &str,
    id: &str,
    grant: &TokenGrant,
    expires: Option<Timestamp>,
) -> Result<LiveSession, TokenError> {
    match grant {
        TokenGrant::Shared => {
            Ok(LiveSession::new(id, "", LoginKind::Shared(name.into()), Said::default(), expires))
        }
        TokenGrant::Service { role, publish } => {
            let publish = publish.iter().map(|text| pattern(text)).collect::<Result<_, _>>()?;
            let service = Arc::new(Service { name: name.into(), publish });
            let said =
                Said { role: role.as_deref().map(Arc::from), name: Some(name.into()), ..Said::default() };
            let user = format!("{SERVICE_PREFIX}{name}");
            Ok(LiveSession::new(id, &user, LoginKind::Service(service), said, expires))
        }
    }
}

/// Stores a token and answers with its secret.
pub async fn issue_token(
    vault: &dyn Vault,
    env: &Env,
    name: &str,
    grant: TokenGrant,
    expires: Option<Timestamp>,
) -> Result<IssuedToken, TokenError> {
    check_name(name)?;
    check_grant(&grant)?;
    let rows = tokens_of(vault, env, Some(name)).await?;
    if let Some(row) = rows.iter().find(|row| kind_of(&row.stored.grant) != kind_of(&grant)) {
        let shared = row.stored.grant == TokenGrant::Shared;
        return Err(TokenError::OtherKind { name: name.to_owned(), shared });
    }
    if rows.len() >= AT_ONCE {
        return Err(TokenError::TwoAlready(name.to_owned()));
    }
    let secret = Secret::new(kind_of(&grant), env);
    let id = env.uuid_v7().simple().to_string();
    let stored = StoredToken { id: id[id.len() - 8..].to_owned(), created: env.now().0, grant };
    let edit = VaultEdit::Insert(stored.entry(&secret.digest(), name, expires));
    match vault.change(vec![edit]).await.map_err(failed)? {
        Edited::Done => {}
        Edited::Refused { .. } => return Err(TokenError::Raced),
    }
    // Two commands at once may both have found one token.
    if tokens_of(vault, env, Some(name)).await?.len() > AT_ONCE {
        let undo = VaultEdit::Remove { kind: VaultKind::Token, key: secret.digest() };
        vault.change(vec![undo]).await.map_err(failed)?;
        return Err(TokenError::TwoAlready(name.to_owned()));
    }
    Ok(IssuedToken { secret, stored })
}

/// Removes the token of this name and id, or all of the name. Answers with the number.
pub async fn revoke_tokens(vault: &dyn Vault, name: &str, id: Option<&str>) -> Result<usize, TokenError> {
    let mut edits = Vec::new();
    for entry in vault.list(VaultKind::Token, Some(name)).await.map_err(failed)? {
        let stored = StoredToken::of(&entry).map_err(TokenError::Vault)?;
        if id.is_none_or(|id| id == stored.id) {
            edits.push(VaultEdit::Remove { kind: VaultKind::Token, key: entry.key });
        }
    }
    if edits.is_empty() {
        let wanted = id.map_or_else(|| name.to_owned(), |id| format!("{name} {id}"));
        return Err(TokenError::Unknown(wanted));
    }
    let removed = edits.len();
    match vault.change(edits).await.map_err(failed)? {
        Edited::Done => Ok(removed),
        Edited::Refused { .. } => Err(TokenError::Raced),
    }
}

/// The tokens of one name or of all that have not expired, oldest first.
pub async fn tokens_of(
    vault: &dyn Vault,
    env: &Env,
    name: Option<&str>,
) -> Result<Vec<TokenRow>, TokenError> {
    let now = env.now();
    let mut rows = Vec::new();
    for entry in vault.list(VaultKind::Token, name).await.map_err(failed)? {
        if entry.expires.is_some_and(|expires| expires <= now) {
            continue;
        }
        let stored = StoredToken::of(&entry).map_err(TokenError::Vault)?;
        rows.push(TokenRow { name: entry.owner.unwrap_or_default(), stored, expires: entry.expires });
    }
    rows.sort_by(|a, b| {
        (&a.name, a.stored.created, &a.stored.id).cmp(&(&b.name, b.stored.created, &b.stored.id))
    });
    Ok(rows)
}

pub(super) fn check_name(name: &str) -> Result<(), TokenError> {
    let letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    match (1..=LONGEST_NAME).contains(&name.len()) && name.chars().all(letter) {
        true => Ok(()),
        false => Err(TokenError::BadName(crate::ids::shown(name))),
    }
}

pub(super) fn check_grant(grant: &TokenGrant) -> Result<(), TokenError> {
    let TokenGrant::Service { role, publish } = grant else { return Ok(()) };
    let visible = |letter: char| !letter.is_whitespace() && !letter.is_control();
    if role
        .as_deref()
        .is_some_and(|role| !(1..=64).contains(&role.chars().count()) || !role.chars().all(visible))
    {
        return Err(TokenError::BadRole);
    }
    publish.iter().try_for_each(|text| pattern(text).map(drop))
}

fn pattern(text: &str) -> Result<PublishPattern, TokenError> {
    let named = |fault| TokenError::BadPattern { pattern: crate::ids::shown(text), fault };
    PublishPattern::parse(text).map_err(named)
}

fn kind_of(grant: &TokenGrant) -> SecretKind {
    match grant {
        TokenGrant::Shared => SecretKind::Shared,
        TokenGrant::Service { .. } => SecretKind::Service,
    }
}

fn failed(error: crate::store::vault::VaultError) -> TokenError {
    TokenError::Vault(of_vault(error))
}
