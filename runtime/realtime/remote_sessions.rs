//! `RemoteSessions`: the sessions of streams and of long polls, whose peers speak by requests of their own. Finds a session by its
//! id, for the caller that opened it and no other, and hands it what the peer says.
//!
//! Knows no HTTP and no frame.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::poll_line::PollLine;
use super::transport::Arrival;
use crate::auth::Identity;
use crate::env::Env;

/// A session of polls ends so long after the last request of its peer.
pub const SESSION_LIFE: Duration = Duration::from_secs(75);

/// Frames of one session that may wait for its connection. One more is refused.
const MOST_WAITING: usize = 64;

/// See the module's text.
pub struct RemoteSessions {
    env: Env,
    /// Held for one look, never across an await.
    entries: Mutex<HashMap<Arc<str>, RemoteSession>>,
}

/// The way to a session.
#[derive(Debug, Clone)]
pub struct RemoteSession {
    /// The user whose session it is. One of an anonymous caller or a guest has none: its id is the only proof.
    user: Option<Arc<str>>,
    said: mpsc::Sender<Arrival>,
    /// Of a session of polls: what waits for the next one.
    pub line: Option<Arc<PollLine>>,
}

/// The other end of it, which belongs to the transport. The id is unknown from when it is dropped.
pub struct RemoteSeat {
    sessions: Arc<RemoteSessions>,
    id: Arc<str>,
    said: mpsc::Receiver<Arrival>,
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
        let session = RemoteSession { user: caller.user.clone(), said, line };
        self.entries.lock().insert(id.clone(), session);
        RemoteSeat { sessions: self.clone(), id, said: waiting }
    }

    /// The session of this id, if the caller opened it. To any other caller it does not exist.
    pub fn find(&self, id: &str, caller: &Identity) -> Option<RemoteSession> {
        let found = self.entries.lock().get(id).cloned()?;
        (found.user == caller.user).then_some(found)
    }
}

impl RemoteSession {
    /// Hands over one frame. It counts as a sign of life.
    pub fn hand_over(&self, frame: String) -> Result<(), NotTaken> {
        self.say(Arrival::Text(frame))?;
        if let Some(line) = &self.line {
            line.show_life();
        }
        Ok(())
    }

    /// Ends the session as its peer would end a socket.
    pub fn end(&self) -> Result<(), NotTaken> {
        self.say(Arrival::Closed)
    }

    fn say(&self, arrival: Arrival) -> Result<(), NotTaken> {
        self.said.try_send(arrival).map_err(|refused| match refused {
            TrySendError::Full(_) => NotTaken::Full,
            TrySendError::Closed(_) => NotTaken::Ended,
        })
    }
}

impl RemoteSeat {
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// What the peer says next. May be dropped while it waits.
    pub(super) async fn next(&mut self) -> Arrival {
        match self.said.recv().await {
            Some(arrival) => arrival,
            // The entry lives as long as the seat, so this is a session that is being dropped.
            None => std::future::pending().await,
        }
    }
}

impl Drop for RemoteSeat {
    fn drop(&mut self) {
        self.sessions.entries.lock().remove(&self.id);
    }
}
