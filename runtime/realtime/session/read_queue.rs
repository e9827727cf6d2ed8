//! `ReadQueue`: who waits for a read, and for whom the one read is that is under way.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::input::Effect;
use super::subscription::SlotKey;
use super::turn::Turn;
use crate::ids::Seq;
use crate::realtime::read::ReadRequest;

/// A read that found the store busy is tried again after this long.
const RETRY: Duration = Duration::from_millis(250);

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct ReadQueue {
    /// For a read of their own, first come first served.
    waiting: VecDeque<SlotKey>,
    under_way: Option<ReadFor>,
    /// The last read was of the log, so those who wait go first now.
    log_was_last: bool,
    retry_at: Option<Instant>,
}

/// For whom a read is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadFor {
    Slot(SlotKey),
    /// For the whole session.
    Principal,
    /// The log after this seq, for subscriptions that were there or further when the read began.
    Log(Seq),
}

impl ReadQueue {
    pub(super) fn wait(&mut self, key: SlotKey) {
        self.waiting.push_back(key);
    }

    pub(super) fn wait_first(&mut self, key: SlotKey) {
        self.waiting.push_front(key);
    }

    pub(super) fn nobody_waits(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn next_waiting(&mut self) -> Option<SlotKey> {
        self.waiting.pop_front()
    }

    /// Every subscription starts again.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting.clear();
        self.retry_at = None;
    }

    pub(super) fn is_free(&self, now: Instant) -> bool {
        self.under_way.is_none() && self.retry_at.is_none_or(|retry| retry <= now)
    }

    /// Whether it is the log's turn.
    pub(super) fn log_is_next(&self) -> bool {
        !self.log_was_last || self.nobody_waits()
    }

    pub(super) fn begin(&mut self, turn: &mut Turn, read: ReadFor, request: ReadRequest) {
        self.log_was_last = matches!(read, ReadFor::Log(_));
        self.under_way = Some(read);
        turn.then(Effect::Read(request));
    }

    pub(super) fn finish(&mut self) -> Option<ReadFor> {
        self.under_way.take()
    }

    /// Nothing is read for a moment.
    pub(super) fn pause(&mut self, now: Instant) {
        self.retry_at = Some(now + RETRY);
    }

    pub(super) fn on_tick(&mut self, now: Instant) {
        self.retry_at = self.retry_at.filter(|retry| *retry > now);
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.retry_at
    }
}
