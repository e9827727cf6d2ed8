//! Whether the peer lives: the server pings, and whatever arrives is a sign of life. So is every byte that the peer takes
//! after it had to wait.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes a second of the slowest line that is served. A ping may wait behind what the kernel holds for so long.
const SLOWEST_LINE: f64 = 20_000.0;

/// A tick that comes later than this after its time says that the server itself did not look: its process was stopped, or
/// the connection's task was busy writing. What the peer sent may lie unread, so the peer is asked again, once.
const LATE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub(super) struct Liveness {
    interval: Duration,
    timeout: Duration,
    /// How long a slow line takes for all that the kernel holds at most.
    kernel_time: Duration,
    next_ping: Instant,
    /// Until then what was written may be on its way, and a ping behind it.
    busy_until: Instant,
    /// When the peer counts as dead. Starts with the first ping that left after the last sign of life.
    dead_at: Option<Instant>,
    /// The peer was given a second chance since the last sign of life.
    excused: bool,
}

/// What is due to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pulse {
    Nothing,
    Ping,
    Close,
}

impl Liveness {
    pub(super) fn new(now: Instant, interval: Duration, timeout: Duration, kernel_bytes: usize) -> Liveness {
        Liveness {
            interval,
            timeout,
            kernel_time: time_of(kernel_bytes),
            next_ping: now + interval,
            busy_until: now,
            dead_at: None,
            excused: false,
        }
    }

    pub(super) fn heard(&mut self) {
        self.dead_at = None;
        self.excused = false;
    }

    /// The peer took bytes that had to wait. There is no telling how much is in queues before it.
    pub(super) fn took(&mut self, now: Instant) {
        self.heard();
        self.busy_until = self.busy_until.max(now + self.interval);
    }

    /// The kernel took bytes.
    pub(super) fn wrote(&mut self, now: Instant, bytes: usize) {
        let passed = self.busy_until.max(now) + time_of(bytes);
        self.busy_until = self.busy_until.max(passed.min(now + self.kernel_time));
    }

    /// A ping was handed to the kernel: from here on the peer's time runs.
    pub(super) fn ping_left(&mut self, now: Instant) {
        self.dead_at.get_or_insert(self.busy_until.max(now) + self.timeout);
    }

    pub(super) fn next_deadline(&self) -> Instant {
        self.dead_at.map_or(self.next_ping, |dead_at| dead_at.min(self.next_ping))
    }

    pub(super) fn on_tick(&mut self, now: Instant) -> Pulse {
        match self.dead_at {
            Some(dead_at) if now >= dead_at + LATE && !self.excused => {
                self.excused = true;
                self.dead_at = None;
            }
            Some(dead_at) if now >= dead_at => return Pulse::Close,
            _ if now < self.next_ping => return Pulse::Nothing,
            _ => {}
        }
        self.next_ping = now + self.interval;
        Pulse::Ping
    }
}

/// How long bytes take on the slowest line.
fn time_of(bytes: usize) -> Duration {
    Duration::from_secs_f64(bytes as f64 / SLOWEST_LINE)
}
