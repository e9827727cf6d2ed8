//! Frames of states that wait for a connection: who is at a resource. Their sender can say a state again as a whole, so a full
//! queue drops everything about one state together, and its sender learns it.
//!
//! Knows no state but its name.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;

use crate::protocol::WireForm;

/// Buffers that may wait for one connection, and the bytes in them.
const MOST: usize = 256;
const MOST_BYTES: usize = 256 << 10;

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatePut {
    Queued,
    /// It was dropped, with everything that waited of the same state: say the state again as a whole.
    NoRoom,
    /// The connection is gone.
    Gone,
}

/// The end of an outbox into which states are put. Nothing here waits.
pub trait StateQueue: Send + Sync + Debug {
    fn form(&self) -> WireForm;

    /// Frames about the state of this name. An empty queue takes one buffer of any size.
    fn put_state(&self, about: &Arc<[String]>, frames: Bytes) -> StatePut;

    /// Drops what waits about this state.
    fn drop_state(&self, about: &Arc<[String]>);

    /// A frame that answers the client; it leaves before every state.
    fn put_answer(&self, frame: Bytes);
}

/// What waits, the oldest first.
#[derive(Debug, Default)]
pub(super) struct States {
    waiting: VecDeque<StateFrames>,
    bytes: usize,
}

#[derive(Debug)]
struct StateFrames {
    about: Arc<[String]>,
    frames: Bytes,
}

impl States {
    pub(super) fn put(&mut self, about: &Arc<[String]>, frames: Bytes) -> StatePut {
        let fits = self.waiting.len() < MOST && self.bytes + frames.len() <= MOST_BYTES;
        if !fits && !self.waiting.is_empty() {
            self.drop_all(about);
            return StatePut::NoRoom;
        }
        self.bytes += frames.len();
        self.waiting.push_back(StateFrames { about: about.clone(), frames });
        StatePut::Queued
    }

    pub(super) fn drop_all(&mut self, about: &Arc<[String]>) {
        self.waiting.retain(|waits| waits.about != *about);
        self.bytes = self.waiting.iter().map(|waits| waits.frames.len()).sum();
    }

    pub(super) fn take(&mut self) -> Option<Bytes> {
        let StateFrames { frames, .. } = self.waiting.pop_front()?;
        self.bytes -= frames.len();
        if self.waiting.is_empty() {
            self.waiting.shrink_to(0);
        }
        Some(frames)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(name: &str) -> Arc<[String]> {
        Arc::from([name.to_owned()])
    }

    #[test]
    fn a_full_queue_drops_all_of_one_state_and_nothing_of_another() {
        let (mut states, a, b) = (States::default(), about("a"), about("b"));
        let half = Bytes::from(vec![b'x'; MOST_BYTES / 2]);
        assert_eq!(states.put(&a, half.clone()), StatePut::Queued);
        assert_eq!(states.put(&b, half.clone()), StatePut::Queued);
        assert_eq!(states.put(&b, Bytes::from_static(b"y")), StatePut::NoRoom);
        assert_eq!(states.take(), Some(half), "what waited of a is there");
        assert_eq!(states.take(), None, "and nothing of b");
        assert_eq!(states.put(&b, Bytes::from(vec![b'x'; MOST_BYTES * 2])), StatePut::Queued, "any size");
        assert_eq!(states.put(&a, Bytes::from_static(b"y")), StatePut::NoRoom);
        states.drop_all(&b);
        assert!(states.is_empty());
        for _ in 0..MOST {
            assert_eq!(states.put(&a, Bytes::from_static(b"y")), StatePut::Queued);
        }
        assert_eq!(states.put(&a, Bytes::from_static(b"y")), StatePut::NoRoom, "too many");
        assert!(states.is_empty(), "all of a");
    }
}
