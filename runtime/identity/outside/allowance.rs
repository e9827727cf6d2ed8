//! `FetchAllowance`: how often something may be done that a stranger can ask for, such as fetching keys for a token with an unknown key.
//!
//! A few times at once, and then once in a while. Pure.

use std::time::Duration;

/// See the module's text.
#[derive(Debug)]
pub(super) struct FetchAllowance {
    left: u32,
    /// When the last one came back.
    since: Duration,
}

/// At once.
pub(super) const MOST: u32 = 4;
/// Until one more is allowed.
const EACH: Duration = Duration::from_secs(30);

impl FetchAllowance {
    pub(super) fn new(now: Duration) -> FetchAllowance {
        FetchAllowance { left: MOST, since: now }
    }

    /// Whether it may be done now; then it is counted.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let mut back = 0;
        while self.left + back < MOST && now.saturating_sub(self.since) >= EACH * (back + 1) {
            back += 1;
        }
        self.left += back;
        self.since = if self.left == MOST { now } else { self.since + EACH * back };
        let allowed = self.left > 0;
        self.left -= u32::from(allowed);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_used_up_and_comes_back_slowly() {
        let mut allowance = FetchAllowance::new(Duration::ZERO);
        let at = Duration::from_secs;
        assert_eq!((0..10).filter(|_| allowance.take(at(1))).count(), 4);
        assert!(!allowance.take(at(29)));
        assert_eq!((0..10).filter(|_| allowance.take(at(31))).count(), 1);
        assert_eq!((0..10).filter(|_| allowance.take(at(95))).count(), 2);
        assert_eq!((0..10).filter(|_| allowance.take(at(10_000))).count(), 4, "never more than at first");
    }
}
