//! A cap on messages: so many a second, with a burst. Pure (the generic cell rate algorithm): one instant of state.

use std::time::Duration;

use tokio::time::Instant;

/// How fast a peer may send.
#[derive(Debug, Clone)]
pub struct RateCap {
    /// Time that one message uses up.
    cost: Duration,
    /// How far ahead of the clock the peer may be.
    slack: Duration,
    /// When everything sent so far is paid for.
    paid: Option<Instant>,
}

impl RateCap {
    pub fn new(per_second: u32, burst: u32) -> RateCap {
        let cost = Duration::from_secs(1) / per_second.max(1);
        RateCap { cost, slack: cost * burst.max(1), paid: None }
    }

    /// Whether one more message is within the cap; if so it is counted.
    pub fn admit(&mut self, now: Instant) -> bool {
        let paid = self.paid.map_or(now, |paid| paid.max(now)) + self.cost;
        let within = paid <= now + self.slack;
        if within {
            self.paid = Some(paid);
        }
        within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_admitted_then_one_message_for_each_interval() {
        let start = Instant::now();
        let mut cap = RateCap::new(10, 5);
        let admitted = (0..20).filter(|_| cap.admit(start)).count();
        assert_eq!(admitted, 5);
        assert!(!cap.admit(start + Duration::from_millis(99)));
        assert!(cap.admit(start + Duration::from_millis(100)));
        assert!(!cap.admit(start + Duration::from_millis(100)));
    }
}
