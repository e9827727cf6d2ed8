//! What a user does with their sessions: list, end, go on under another token, and get a ticket.

use std::sync::Arc;
use std::time::Duration;

use super::accounts::Granted;
use super::entries::StoredSession;
use super::error::{IdentityError, of_vault};
use super::identities::{Identities, millis};
use super::live_session::{LiveSession, LoginKind};
use super::secret::{Secret, SecretKind, digest};
use super::tickets::{self, TicketFor};
use crate::ids::Timestamp;
use crate::store::vault::{Edited, VaultEdit, VaultEntry, VaultKind};

/// How long a token is good after another took its place: requests of other tabs may be under way with it.
const GRACE: Duration = Duration::from_secs(60);

/// A session as its user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    pub id: String,
    pub created: Timestamp,
    pub seen: Timestamp,
    pub expires: Timestamp,
    pub device: String,
}

/// A session and whose it is, for administrators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedSession {
    pub user: String,
    pub session: SessionRow,
}

impl Identities {
    /// Newest first.
    pub async fn sessions_of(&self, user: &str) -> Result<Vec<SessionRow>, IdentityError> {
        let now = self.env.now();
        let mut rows = Vec::new();
        for entry in self.entries_of(user).await? {
            rows.extend(row(&entry, now)?);
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row.created.0));
        Ok(rows)
    }

    /// Sessions of one user or of all, newest first.
    pub async fn all_sessions(&self, user: Option<&str>) -> Result<Vec<OwnedSession>, IdentityError> {
        let now = self.env.now();
        let entries = self.vault.list(VaultKind::Session, user).await.map_err(of_vault)?;
        let mut rows = Vec::with_capacity(entries.len());
        for entry in entries {
            let user = entry.owner.clone().unwrap_or_default();
            rows.extend(row(&entry, now)?.map(|session| OwnedSession { user, session }));
        }
        // An id begins with the time at which it was made.
        rows.sort_unstable_by(|one, other| other.session.id.cmp(&one.session.id));
        Ok(rows)
    }

    /// Ends one session, whoever it belongs to.
    pub async fn end_any_session(&self, id: &str) -> Result<(), IdentityError> {
        for entry in self.vault.list(VaultKind::Session, None).await.map_err(of_vault)? {
            if StoredSession::of(&entry)?.id == id {
                return self.end_session(entry.owner.as_deref().unwrap_or_default(), id).await;
            }
        }
        Err(IdentityError::UnknownSession)
    }

    /// Ends one session of a user. Its connections are closed at once.
    pub async fn end_session(&self, user: &str, id: &str) -> Result<(), IdentityError> {
        let mut ended = false;
        for entry in self.entries_of(user).await? {
            if StoredSession::of(&entry)?.id == id {
                let edit = VaultEdit::Remove { kind: VaultKind::Session, key: entry.key };
                self.vault.change(vec![edit]).await.map_err(of_vault)?;
                ended = true;
            }
        }
        self.known.end(id);
        if ended { Ok(()) } else { Err(IdentityError::UnknownSession) }
    }

    /// Ends all sessions of a user but one.
    pub async fn end_other_sessions(&self, user: &str, kept: &str) -> Result<usize, IdentityError> {
        let others: Vec<String> =
            self.sessions_of(user).await?.into_iter().map(|row| row.id).filter(|id| id != kept).collect();
        for id in &others {
            match self.end_session(user, id).await {
                // It ended meanwhile.
                Ok(()) | Err(IdentityError::UnknownSession) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(others.len())
    }

    /// The session goes on under another token, for as long as a session lasts that is used now. The former token is good for a
    /// minute more.
    pub async fn refresh(&self, token: &str) -> Result<Granted, IdentityError> {
        let key = digest(token);
        let session = self.session_under(&key).await?;
        let known = self.known.get(&key).ok_or(IdentityError::NoSession)?;
        let now = self.env.now();
        let user = session.user.clone();
        let was = known.stored.entry(&key, &user, known.expires).body;
        let former = StoredSession { superseded: true, ..known.stored.clone() };
        let last = Timestamp(known.expires.0.min(now.0 + millis(GRACE)));
        let stored = StoredSession { seen: now.0, superseded: false, ..known.stored.clone() };
        let (secret, expires) =
            (Secret::new(SecretKind::Session, &self.env), self.expiry(stored.created, now));
        let next = secret.digest();
        let edits = vec![
            VaultEdit::Replace { was, entry: former.entry(&key, &user, last) },
            VaultEdit::Insert(stored.entry(&next, &user, expires)),
        ];
        let ends = self.known.ends();
        match self.vault.change(edits).await.map_err(of_vault)? {
            Edited::Done => {}
            Edited::Refused { .. } => {
                self.known.forget(&key);
                return Err(IdentityError::BadToken("the session changed meanwhile: try again"));
            }
        }
        self.tickets.follow(&key, &next);
        if self.known.learn(ends, &key, &user, former, last).is_none() {
            self.known.forget(&key);
        }
        let known = match self.known.learn(ends, &next, &user, stored, expires) {
            Some(known) => known,
            None => self.read_session(&next).await?,
        };
        Ok(Granted { token: secret, session: known.session.clone() })
    }

    /// What a browser puts into the address of a socket, instead of this token.
    pub fn ticket(&self, token: &str, session: &Arc<LiveSession>) -> Result<Secret, IdentityError> {
        let ticket = Secret::new(SecretKind::Ticket, &self.env);
        let stands_for = match session.kind {
            LoginKind::Session => TicketFor::Session(digest(token)),
            LoginKind::Outside | LoginKind::Shared(_) | LoginKind::Service(_) => {
                TicketFor::Token(session.clone())
            }
        };
        let added = self.tickets.add(ticket.digest(), stands_for, self.env.elapsed());
        if added { Ok(ticket) } else { Err(IdentityError::Overloaded) }
    }

    /// How long a ticket is good.
    pub fn ticket_life(&self) -> Duration {
        tickets::LIFE
    }

    /// Whether a session is that of this token: what has ended meanwhile is not.
    pub fn is_live(&self, session: &LiveSession) -> bool {
        session.is_live(self.env.now())
    }

    async fn entries_of(&self, user: &str) -> Result<Vec<VaultEntry>, IdentityError> {
        self.vault.list(VaultKind::Session, Some(user)).await.map_err(of_vault)
    }
}

/// `None` where the session goes on under another token, or has ended.
fn row(entry: &VaultEntry, now: Timestamp) -> Result<Option<SessionRow>, IdentityError> {
    let stored = StoredSession::of(entry)?;
    let expires = entry.expires.unwrap_or(Timestamp(0));
    let live = !stored.superseded && expires > now;
    Ok(live.then_some(SessionRow {
        id: stored.id,
        created: Timestamp(stored.created),
        seen: Timestamp(stored.seen),
        expires,
        device: stored.device,
    }))
}
