//! `RemoteSessions`: the sessions of streams and of long polls, whose peers speak by requests of their own. Finds a session by its
//! id, for the caller that opened it and no other, and hands it what the peer says.
//!
//! Knows no HTTP and no frame.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::poll_line::PollLine;
use super::transport::Arrival;
use crate::auth::Identity;
use crate::env::Env;

/// A session of polls ends so long after the last request of its peer.
pub const SESSION_LIFE: Duration = Duration::from_secs(75);

/// For so long the last frames of a session of polls can be fetched after the server has ended it.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// Sessions with last frames, at most. The oldest make room.
const MOST_LAST_WORDS: usize = 256;

/// Frames of one session that may wait for its connection. One more is refused.
const MOST_WAITING: usize = 64;

/// See the module's text.
pub struct RemoteSessions {
    env: Env,
    /// Held for one look, never across an await.
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    sessions: HashMap<Arc<str>, RemoteSession>,
    /// Those that have ended and can still be found, the oldest first, and until when.
    ended: VecDeque<(Instant, Arc<str>)>,
}

/// The way to a session.
#[derive(Debug, Clone)]
pub struct RemoteSession {
    /// The user whose session it is. One of an anonymous caller or a guest has none: its id is the only proof.
    user: Option<Arc<str>>,
    said: mpsc::Sender<Arrival>,
    /// The peer has ended the session, whatever else waits.
    ended: CancellationToken,
    /// Of a session of polls: what waits for the next one.
    pub line: Option<Arc<PollLine>>,
}

/// The other end of it, which belongs to the transport. The id is unknown from when it is dropped.
pub struct RemoteSeat {
    sessions: Arc<RemoteSessions>,
    id: Arc<str>,
    said: mpsc::Receiver<Arrival>,
    ended: CancellationToken,
    has_last_words: bool,
}

/// Why a frame was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error("{MOST_WAITING} requests of this session wait: send this one again in a moment")]
    Full,
    #[error("the session has ended")]
    Ended,
}

impl RemoteSessions {
    pub fn new(env: Env) -> Arc<RemoteSessions> {
        Arc::new(RemoteSessions { env, entries: Mutex::default() })
    }

    /// Makes an id for one more session. `line`: of a session of polls.
    pub fn open(self: &Arc<Self>, caller: &Identity, line: Option<Arc<PollLine>>) -> RemoteSeat {
        let (said, waiting) = mpsc::channel(MOST_WAITING);
        // 192 bits: where the caller has no name, the id is all that proves whose session it is.
        let id: Arc<str> = self.env.random_text().into();
        let ended = CancellationToken::new();
        let session = RemoteSession { user: caller.user.clone(), said, ended: ended.clone(), line };
        let mut entries = self.entries.lock();
        entries.forget_ended(Instant::now());
        entries.sessions.insert(id.clone(), session);
        drop(entries);
        RemoteSeat { sessions: self.clone(), id, said: waiting, ended, has_last_words: false }
    }

    /// The session of this id, if the caller opened it. To any other caller it does not exist.
    pub fn find(&self, id: &str, caller: &Identity) -> Option<RemoteSession> {
        let mut entries = self.entries.lock();
        entries.forget_ended(Instant::now());
        let found = entries.sessions.get(id).cloned()?;
        (found.user == caller.user).then_some(found)
    }

    /// Ends a session as its peer would end a socket. False where the caller has no such session.
    pub fn end(&self, id: &str, caller: &Identity) -> bool {
        let Some(session) = self.find(id, caller) else { return false };
        self.entries.lock().sessions.remove(id);
        session.ended.cancel();
        true
    }
}

impl RemoteSession {
    /// Hands over one frame. It counts as a sign of life.
    pub fn hand_over(&self, frame: String) -> Result<(), NotTaken> {
        self.said.try_send(Arrival::Text(frame)).map_err(|refused| match refused {
            TrySendError::Full(_) => NotTaken::Full,
            TrySendError::Closed(_) => NotTaken::Ended,
        })?;
        if let Some(line) = &self.line {
            line.renew_life();
        }
        Ok(())
    }
}

impl RemoteSeat {
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The server ends the session: its last frames say why, and can be fetched after its end.
    pub(super) fn keep_last_words(&mut self) {
        self.has_last_words = true;
    }

    /// What the peer says next. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Arrival {
        tokio::select! {
            biased;
            () = self.ended.cancelled() => Arrival::Closed,
            // Without a sender the session is being dropped, and there is nothing to wait for.
            Some(arrival) = self.said.recv() => arrival,
        }
    }

    /// Completes when the peer has ended the session. Whoever waits for the peer to take something need not wait longer.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for RemoteSeat {
    fn drop(&mut self) {
        let mut entries = self.sessions.entries.lock();
        if !self.has_last_words {
            entries.sessions.remove(&self.id);
            return;
        }
        let now = Instant::now();
        entries.ended.push_back((now + LAST_WORDS, self.id.clone()));
        entries.forget_ended(now);
    }
}

impl Entries {
    fn forget_ended(&mut self, now: Instant) {
        let is_over = |ended: &VecDeque<(Instant, Arc<str>)>| {
            ended.len() > MOST_LAST_WORDS || ended.front().is_some_and(|(until, _)| *until <= now)
        };
        while is_over(&self.ended) {
            let Some((_, id)) = self.ended.pop_front() else { return };
            self.sessions.remove(&id);
        }
    }
}
