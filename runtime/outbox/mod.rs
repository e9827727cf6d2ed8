//! The outbox: the bounded queue in front of one connection.
//!
//! Appending never waits. When batches or bytes exceed their bound, the outbox drops the batches, and nothing else
//! that could tell the client of a position it has not reached, and its lag number grows: every attachment made under an
//! older number is invalid, and the connection gets what it missed elsewhere. Control frames keep their order; too many of
//! them mean that the peer asks without reading, and close it (4013).
//!
//! Ephemeral frames have a queue of their own with a bound of its own, and leave after everything else. So a connection
//! that is slow loses messages before it loses events: the oldest message makes room for the newest.
//!
//! Frames of a state (`state.rs`) wait behind all of these. Their sender can say the state again as a whole, so what one receiver
//! has no room for is dropped for good.
//!
//! Knows no seq, no channel and no frame: what comes with an item is the `Vocabulary` of those at its two ends. It tells
//! senders which wire form its connection uses.

mod item;
mod state;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::protocol::WireForm;

pub use item::{Item, OnLag, Vocabulary};
use state::States;
pub use state::{StatePut, StateQueue};

/// Ephemeral frames that may wait, and the bytes in them.
const MOST_EPHEMERAL: usize = 256;
const MOST_EPHEMERAL_BYTES: usize = 256 << 10;

/// How often the outbox was emptied. An attachment made under an older number is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lag(pub u32);

/// Bounds of one outbox.
#[derive(Debug, Clone, Copy)]
pub struct OutboxLimits {
    pub batches: usize,
    pub bytes: usize,
    pub controls: usize,
}

/// Everything that was attached before is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalidated<C> {
    /// What is attached under this number is valid.
    pub lag: Lag,
    pub cause: C,
}

/// What a drain yields.
#[derive(Debug, PartialEq, Eq)]
pub struct Drained<M: Vocabulary> {
    pub items: Vec<Item<M>>,
    /// The outbox was emptied since the last drain.
    pub invalidated: Option<Invalidated<M::Cause>>,
    /// Control frames overflowed: close with 4013.
    pub overflowed: bool,
    /// Ephemeral frames that were dropped since the last drain.
    pub dropped: usize,
    /// Frames of states, to be written after the items.
    pub states: Vec<Bytes>,
}

/// What waits at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Buffers of events, and the bytes in them.
    pub batches: usize,
    pub bytes: usize,
    /// What waits in order: buffers of events, control frames and notes.
    pub items: usize,
    /// It was emptied, and its connection does not know yet.
    pub lagging: bool,
}

/// See the module's text.
#[derive(Debug)]
pub struct Outbox<M: Vocabulary> {
    limits: OutboxLimits,
    /// In which bytes everything is appended.
    form: WireForm,
    /// Held for one append or one drain; never across an await.
    queue: Mutex<Queue<M>>,
    /// The one task that drains.
    reader: AtomicWaker,
}

#[derive(Debug)]
struct Queue<M: Vocabulary> {
    items: VecDeque<Item<M>>,
    batches: usize,
    bytes: usize,
    controls: usize,
    /// Frames that may be dropped, the oldest first, and what comes with each.
    ephemerals: VecDeque<(Bytes, M::Ephemeral)>,
    ephemeral_bytes: usize,
    /// How many were dropped since the last drain.
    dropped: usize,
    states: States,
    lag: Lag,
    /// Why it was emptied, until the connection has seen it.
    invalidated: Option<M::Cause>,
    overflowed: bool,
    closed: bool,
}

/// Whether an append found its attachment alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    Queued,
    /// It did not fit: the outbox was emptied, and the attachment is invalid.
    FellBehind,
    /// The attachment belongs to an older lag number, or the connection is gone: forget it.
    Void,
}

impl<M: Vocabulary> Outbox<M> {
    pub fn new(limits: OutboxLimits, form: WireForm) -> Outbox<M> {
        Outbox { limits, form, queue: Mutex::new(Queue::default()), reader: AtomicWaker::new() }
    }

    pub fn form(&self) -> WireForm {
        self.form
    }

    /// Appends the events of one batch. An empty outbox takes one buffer of any size.
    pub fn append_batch(&self, lag: Lag, frames: Bytes, of: M::Batch) -> Appended {
        let size = frames.len();
        let mut queue = self.queue.lock();
        if queue.closed || lag != queue.lag {
            return Appended::Void;
        }
        let full = queue.batches + 1 > self.limits.batches
            || (queue.batches > 0 && queue.bytes + size > self.limits.bytes);
        if full {
            queue.invalidate(M::Cause::default());
        } else {
            queue.batches += 1;
            queue.bytes += size;
            queue.items.push_back(Item::Batch { frames, of });
        }
        drop(queue);
        self.reader.wake();
        if full { Appended::FellBehind } else { Appended::Queued }
    }

    /// Appends a control frame or a bare note.
    pub fn append_control(&self, frame: Bytes, note: Option<M::Note>, on_lag: OnLag) {
        let mut queue = self.queue.lock();
        if queue.closed || queue.overflowed {
            return;
        }
        queue.controls += 1;
        if queue.controls > self.limits.controls {
            queue.overflowed = true;
        } else {
            queue.items.push_back(Item::Control { frame, note, on_lag });
        }
        drop(queue);
        self.reader.wake();
    }

    /// Appends a frame that may be dropped. The oldest of its kind make room for it; one that is larger than the bound is dropped
    /// itself.
    pub fn append_ephemeral(&self, frame: Bytes, of: M::Ephemeral) {
        let size = frame.len();
        let mut queue = self.queue.lock();
        if queue.closed {
            return;
        }
        if size > MOST_EPHEMERAL_BYTES {
            queue.dropped += 1;
        } else {
            while queue.ephemerals.len() >= MOST_EPHEMERAL
                || queue.ephemeral_bytes + size > MOST_EPHEMERAL_BYTES
            {
                queue.take_ephemeral();
                queue.dropped += 1;
            }
            queue.ephemeral_bytes += size;
            queue.ephemerals.push_back((frame, of));
        }
        drop(queue);
        self.reader.wake();
    }

    /// Invalidates every attachment, as if the outbox had run over: what they were made for no longer exists.
    pub fn invalidate(&self, cause: M::Cause) {
        self.queue.lock().invalidate(cause);
        self.reader.wake();
    }

    /// Takes everything that waits, at most about `max_bytes` of it; what is taken is written, come what may.
    pub fn drain(&self, max_bytes: usize) -> Drained<M> {
        let mut queue = self.queue.lock();
        let overflowed = std::mem::take(&mut queue.overflowed);
        let dropped = std::mem::take(&mut queue.dropped);
        let mut drained =
            Drained { items: Vec::new(), invalidated: None, overflowed, dropped, states: Vec::new() };
        let mut taken = 0;
        while taken < max_bytes {
            let Some(item) = queue.items.pop_front() else { break };
            taken += queue.release(&item);
            drained.items.push(item);
        }
        while taken < max_bytes
            && let Some(ephemeral) = queue.take_ephemeral()
        {
            taken += ephemeral.0.len();
            drained.items.push(Item::Ephemeral { frame: ephemeral.0, of: ephemeral.1 });
        }
        while taken < max_bytes
            && let Some(frames) = queue.states.take()
        {
            taken += frames.len();
            drained.states.push(frames);
        }
        if queue.items.is_empty() {
            // What was queued when the outbox fell behind has been taken now, and nothing was queued after it
            // that the new lag number does not cover.
            queue.items.shrink_to(4);
            let lag = queue.lag;
            drained.invalidated = queue.invalidated.take().map(|cause| Invalidated { lag, cause });
        }
        drained
    }

    /// Completes when there is something to drain. One task at a time may wait.
    pub async fn ready(&self) {
        poll_fn(|context| self.poll_ready(context)).await;
    }

    fn poll_ready(&self, context: &Context<'_>) -> Poll<()> {
        self.reader.register(context.waker());
        let queue = self.queue.lock();
        let is_empty = queue.items.is_empty()
            && queue.ephemerals.is_empty()
            && queue.states.is_empty()
            && queue.dropped == 0;
        if is_empty && queue.invalidated.is_none() && !queue.overflowed {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Whether this is a queue; one that holds nothing only reports that something came.
    pub fn holds_batches(&self) -> bool {
        self.limits.batches > 0
    }

    pub fn depth(&self) -> Depth {
        let queue = self.queue.lock();
        Depth {
            batches: queue.batches,
            bytes: queue.bytes,
            items: queue.items.len(),
            lagging: queue.invalidated.is_some(),
        }
    }

    pub fn lag(&self) -> Lag {
        self.queue.lock().lag
    }

    /// The connection is gone: nothing is taken any longer.
    pub fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        queue.items = VecDeque::new();
        queue.ephemerals = VecDeque::new();
        queue.states = States::default();
    }
}

impl<M: Vocabulary> StateQueue for Outbox<M> {
    fn form(&self) -> WireForm {
        self.form
    }

    fn put_state(&self, about: &Arc<[String]>, frames: Bytes) -> StatePut {
        let mut queue = self.queue.lock();
        if queue.closed {
            return StatePut::Gone;
        }
        let put = queue.states.put(about, frames);
        drop(queue);
        self.reader.wake();
        put
    }

    fn drop_state(&self, about: &Arc<[String]>) {
        self.queue.lock().states.drop_all(about);
    }

    fn put_answer(&self, frame: Bytes) {
        self.append_control(frame, None, OnLag::Keep);
    }
}

impl<M: Vocabulary> Default for Queue<M> {
    fn default() -> Queue<M> {
        Queue {
            items: VecDeque::new(),
            batches: 0,
            bytes: 0,
            controls: 0,
            ephemerals: VecDeque::new(),
            ephemeral_bytes: 0,
            dropped: 0,
            states: States::default(),
            lag: Lag::default(),
            invalidated: None,
            overflowed: false,
            closed: false,
        }
    }
}

impl<M: Vocabulary> Queue<M> {
    /// Counts an item off, and returns its bytes.
    fn release(&mut self, item: &Item<M>) -> usize {
        match item {
            Item::Batch { frames, .. } => {
                self.batches -= 1;
                self.bytes -= frames.len();
                frames.len()
            }
            Item::Control { frame, .. } => {
                self.controls -= 1;
                frame.len()
            }
            Item::Ephemeral { frame, .. } => frame.len(),
        }
    }

    /// The oldest.
    fn take_ephemeral(&mut self) -> Option<(Bytes, M::Ephemeral)> {
        let taken = self.ephemerals.pop_front()?;
        self.ephemeral_bytes -= taken.0.len();
        if self.ephemerals.is_empty() {
            self.ephemerals.shrink_to(0);
        }
        Some(taken)
    }

    fn invalidate(&mut self, cause: M::Cause) {
        self.lag = Lag(self.lag.0 + 1);
        self.invalidated = self.invalidated.max(Some(cause));
        (self.batches, self.bytes) = (0, 0);
        self.items = std::mem::take(&mut self.items).into_iter().filter_map(Item::without_batches).collect();
        self.controls = self.items.len();
    }
}
