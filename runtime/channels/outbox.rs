//! The outbox: the bounded queue in front of one connection.
//!
//! ChannelManager appends and never waits. When batches or bytes exceed their bound, the outbox drops the batches, and
//! nothing else that could tell the client of a position it has not reached, and its lag number grows: every
//! attachment made under an older number is invalid, and the connection reads the log from where it stands. Control
//! frames keep their order; too many of them mean that the peer asks without reading, and close it (4013).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use super::group::AttachmentId;
use crate::ids::Seq;
use crate::protocol::Code;

/// What waits for the connection, encoded as WebSocket frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Events of one group and one batch.
    Log {
        frames: Bytes,
        attachment: AttachmentId,
        /// Seq of the last event in `frames`.
        last: Seq,
        /// Everything up to here was appended before this item, for every attachment of the connection.
        base: Seq,
    },
    /// A frame that answers the client, or none, and what the session must know of it.
    Control { frame: Bytes, note: Option<Note>, on_lag: OnLag },
}

/// What becomes of a control frame when the batches in front of it are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnLag {
    Keep,
    /// It names a position that the client would not have reached.
    Drop,
    /// The same answer without a position.
    Replace(Bytes),
}

/// What ChannelManager tells the session, in the order of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// The attachment is live after `at`.
    Attached { attachment: AttachmentId, at: Seq, lag: Lag },
    /// The ring does not reach back to where the attachment would start, or the rights of its person may have changed
    /// since its read scope was bound: read on and attach again.
    Behind { attachment: AttachmentId },
    /// The attachment is not taken: its subscription ends, and the peer is told `code` for its channel.
    Refused { attachment: AttachmentId, code: Code },
    /// The client was told that every live channel has reached `at`.
    Reached { at: Seq, lag: Lag },
    /// The rights of the person changed, and the client is told so.
    RightsChanged,
}

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

/// What a drain yields.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Drained {
    pub items: Vec<Item>,
    /// The outbox was emptied since the last drain; this is its lag number now.
    pub lagged: Option<Lag>,
    /// Control frames overflowed: close with 4013.
    pub overflowed: bool,
}

/// What waits at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Buffers of events, and the bytes in them.
    pub batches: usize,
    pub bytes: usize,
    /// It was emptied, and its connection does not know yet.
    pub lagging: bool,
}

/// See the module's text.
#[derive(Debug)]
pub struct Outbox {
    limits: OutboxLimits,
    /// Held for one append or one drain; never across an await.
    queue: Mutex<Queue>,
    /// The one task that drains.
    reader: AtomicWaker,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    batches: usize,
    bytes: usize,
    controls: usize,
    lag: Lag,
    lagged: bool,
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

impl Outbox {
    pub fn new(limits: OutboxLimits) -> Outbox {
        Outbox { limits, queue: Mutex::new(Queue::default()), reader: AtomicWaker::new() }
    }

    /// Appends the events of one batch. An empty outbox takes one buffer of any size.
    pub fn append_log(&self, lag: Lag, item: Item) -> Appended {
        let Item::Log { frames, .. } = &item else { return Appended::Queued };
        let size = frames.len();
        let mut queue = self.queue.lock();
        if queue.closed || lag != queue.lag {
            return Appended::Void;
        }
        let full = queue.batches + 1 > self.limits.batches
            || (queue.batches > 0 && queue.bytes + size > self.limits.bytes);
        if full {
            queue.fall_behind();
        } else {
            queue.batches += 1;
            queue.bytes += size;
            queue.items.push_back(item);
        }
        drop(queue);
        self.reader.wake();
        if full { Appended::FellBehind } else { Appended::Queued }
    }

    /// Appends a control frame or a bare note.
    pub fn append_control(&self, frame: Bytes, note: Option<Note>, on_lag: OnLag) {
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

    /// Voids every attachment, as if the outbox had run over: what they were made for is no more.
    pub fn invalidate(&self) {
        self.queue.lock().fall_behind();
        self.reader.wake();
    }

    /// Takes everything that waits, at most about `max_bytes` of it; what is taken is written, come what may.
    pub fn drain(&self, max_bytes: usize) -> Drained {
        let mut queue = self.queue.lock();
        let overflowed = std::mem::take(&mut queue.overflowed);
        let mut drained = Drained { overflowed, ..Drained::default() };
        let mut taken = 0;
        while taken < max_bytes {
            let Some(item) = queue.items.pop_front() else { break };
            taken += queue.release(&item);
            drained.items.push(item);
        }
        if queue.items.is_empty() {
            // What was queued when the outbox fell behind has been taken now, and nothing was queued after it
            // that the new lag number does not cover.
            queue.items.shrink_to(4);
            if std::mem::take(&mut queue.lagged) {
                drained.lagged = Some(queue.lag);
            }
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
        if queue.items.is_empty() && !queue.lagged && !queue.overflowed {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// Whether this is a queue; one that holds nothing only tells that something came.
    pub fn holds_batches(&self) -> bool {
        self.limits.batches > 0
    }

    pub fn depth(&self) -> Depth {
        let queue = self.queue.lock();
        Depth { batches: queue.batches, bytes: queue.bytes, lagging: queue.lagged }
    }

    pub fn lag(&self) -> Lag {
        self.queue.lock().lag
    }

    /// The connection is gone: nothing is taken any more.
    pub fn close(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        queue.items = VecDeque::new();
    }
}

impl Queue {
    fn release(&mut self, item: &Item) -> usize {
        match item {
            Item::Log { frames, .. } => {
                self.batches -= 1;
                self.bytes -= frames.len();
                frames.len()
            }
            Item::Control { frame, .. } => {
                self.controls -= 1;
                frame.len()
            }
        }
    }

    fn fall_behind(&mut self) {
        self.lag = Lag(self.lag.0 + 1);
        self.lagged = true;
        let items = std::mem::take(&mut self.items);
        for item in items {
            self.release(&item);
            if let Item::Control { frame, note, on_lag } = item {
                let kept = match on_lag {
                    OnLag::Keep => Some((frame, note)),
                    OnLag::Drop => None,
                    OnLag::Replace(other) => Some((other, None)),
                };
                if let Some((frame, note)) = kept {
                    self.controls += 1;
                    self.items.push_back(Item::Control { frame, note, on_lag: OnLag::Keep });
                }
            }
        }
    }
}
