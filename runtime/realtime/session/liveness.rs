//! Whether the peer lives: the server pings, anything that arrives is a sign of life.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug, Clone)]
pub(super) struct Liveness {
    interval: Duration,
    timeout: Duration,
    heard: Instant,
    next_ping: Instant,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ping,
    Close,
}

impl Liveness {
    pub(super) fn new(now: Instant, interval: Duration, timeout: Duration) -> Liveness {
        Liveness { interval, timeout, heard: now, next_ping: now + interval }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    pub(super) fn next_deadline(&self) -> Instant {
        self.next_ping.min(self.silent_until())
    }

    pub(super) fn on_tick(&mut self, now: Instant) -> Due {
        if now >= self.silent_until() {
            return Due::Close;
        }
        if now < self.next_ping {
            return Due::Nothing;
        }
        self.next_ping = now + self.interval;
        Due::Ping
    }

    fn silent_until(&self) -> Instant {
        self.heard + self.interval + self.timeout
    }
}
