//! `PollLine`: what waits for the next poll of a session, numbered, until the peer says that it has it. A poll whose answer was lost
//! gets the same frames again.
//!
//! Knows no session and no HTTP. Its bounds are in frames and bytes; while it is full, the connection waits, and its outbox falls
//! behind as with a slow socket.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Beyond them the line is full. One buffer of the outbox may come on top of the bytes.
const MOST_FRAMES: usize = 256;
const MOST_BYTES: usize = 1 << 20;

/// See the module's text.
#[derive(Debug)]
pub struct PollLine {
    /// Held for one look, never across an await.
    state: Mutex<LineState>,
    /// Something came for the peer, or the line ended, or a newer poll came.
    news: Notify,
    /// The peer took something.
    room: Notify,
    /// The peer gave a sign of life.
    life: Notify,
}

#[derive(Debug)]
struct LineState {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    /// How many frames the peer has taken.
    taken: u64,
    heard: Instant,
    /// Polls so far. The newest one is answered.
    polls: u64,
    ended: bool,
}

/// What a poll of a session is answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Collected {
    /// Number of the last frame: the `after` of the next poll.
    pub cursor: u64,
    pub frames: Vec<Bytes>,
    /// Nothing more follows.
    pub ended: bool,
}

/// A poll named frames that were never sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`after` names frame {after}, and this session has sent {sent}: use `cursor` of the last answer")]
pub struct NotSent {
    after: u64,
    sent: u64,
}

impl PollLine {
    pub fn new(now: Instant) -> PollLine {
        let state =
            LineState { waiting: VecDeque::new(), bytes: 0, taken: 0, heard: now, polls: 0, ended: false };
        let (news, room, life) = (Notify::new(), Notify::new(), Notify::new());
        PollLine { state: Mutex::new(state), news, room, life }
    }

    /// The frames behind `after`, at once if there are some, or when some come. A newer poll of the session ends the wait of this one.
    pub async fn collect(&self, after: u64, wait: Duration) -> Result<Collected, NotSent> {
        let number = self.begin(after)?;
        let deadline = Instant::now() + wait;
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            // Registered before the look, so that nothing falls between the two.
            news.as_mut().enable();
            {
                let mut state = self.state.lock();
                if !state.waiting.is_empty() || state.ended || state.polls != number {
                    // The client was there until now.
                    state.heard = Instant::now();
                    return Ok(state.collected(state.polls == number));
                }
            }
            if timeout_at(deadline, news).await.is_err() {
                let mut state = self.state.lock();
                state.heard = Instant::now();
                return Ok(state.collected(state.polls == number));
            }
        }
    }

    fn begin(&self, after: u64) -> Result<u64, NotSent> {
        let mut state = self.state.lock();
        let sent = state.sent();
        if after > sent {
            return Err(NotSent { after, sent });
        }
        while state.taken < after {
            let Some(frame) = state.waiting.pop_front() else { break };
            state.bytes -= frame.len();
            state.taken += 1;
        }
        state.polls += 1;
        let number = state.polls;
        drop(state);
        self.show_life();
        self.room.notify_one();
        self.news.notify_waiters();
        Ok(number)
    }

    pub fn show_life(&self) {
        self.renew_life();
        self.life.notify_one();
    }

    /// The same of a request whose frame the session hears by itself: it is one message, not two.
    pub(super) fn renew_life(&self) {
        self.state.lock().heard = Instant::now();
    }

    /// Completes with the next sign of life.
    pub(super) async fn heard(&self) {
        self.life.notified().await;
    }

    /// Completes when the peer has given no sign of life for so long.
    pub(super) async fn silent_for(&self, life: Duration) {
        loop {
            let until = self.state.lock().heard + life;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }

    /// Completes when there is room. True if it had to wait.
    pub(super) async fn has_room(&self) -> bool {
        let mut waited = false;
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            room.as_mut().enable();
            if !self.state.lock().is_full() {
                return waited;
            }
            waited = true;
            room.await;
        }
    }

    pub(super) fn append(&self, frames: impl IntoIterator<Item = Bytes>) {
        let mut state = self.state.lock();
        for frame in frames {
            state.bytes += frame.len();
            state.waiting.push_back(frame);
        }
        drop(state);
        self.news.notify_waiters();
    }

    /// Nothing follows from here on.
    pub(super) fn end(&self) {
        self.state.lock().ended = true;
        self.news.notify_waiters();
    }
}

impl LineState {
    fn sent(&self) -> u64 {
        self.taken + u64::try_from(self.waiting.len()).unwrap_or_default()
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= MOST_FRAMES || self.bytes >= MOST_BYTES
    }

    /// `newest`: an older poll is answered by nothing, since the newer one is sent the frames.
    fn collected(&self, newest: bool) -> Collected {
        if !newest {
            return Collected { cursor: self.taken, frames: Vec::new(), ended: false };
        }
        Collected { cursor: self.sent(), frames: self.waiting.iter().cloned().collect(), ended: self.ended }
    }
}
