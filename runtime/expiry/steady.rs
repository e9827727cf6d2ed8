//! Whether the wall clock is believed. What is deleted cannot be brought back, so one that jumps must continue as it is for an hour first.
//!
//! Pure: both clocks come in. The same as the store does for what it forgets, here for what users stored.

use std::time::Duration;

use crate::ids::Timestamp;

/// How far the two clocks may drift apart between two looks.
const TOLERANCE: i64 = 60_000;
/// For so long a wall clock that jumped must continue.
const DOUBT: Duration = Duration::from_secs(3600);

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SteadyMoment {
    pub(super) wall: Timestamp,
    /// Of the monotonic clock.
    pub(super) elapsed: Duration,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Steady {
    trusted: Option<SteadyMoment>,
    /// When the wall clock was first seen elsewhere.
    doubted: Option<SteadyMoment>,
}

impl SteadyMoment {
    fn agrees(self, later: SteadyMoment) -> bool {
        let passed = later.elapsed.saturating_sub(self.elapsed).as_millis();
        let expected = self.wall.0.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX));
        expected.abs_diff(later.wall.0) <= TOLERANCE.unsigned_abs()
    }
}

impl Steady {
    /// Takes a look at both clocks; for how long the wall clock is not yet believed.
    pub(super) fn look(&mut self, now: SteadyMoment) -> Option<Duration> {
        let trusted = *self.trusted.get_or_insert(now);
        if trusted.agrees(now) {
            (self.trusted, self.doubted) = (Some(now), None);
            return None;
        }
        let since = self.doubted.filter(|since| since.agrees(now)).unwrap_or(now);
        let doubted = now.elapsed.saturating_sub(since.elapsed);
        if doubted >= DOUBT {
            (self.trusted, self.doubted) = (Some(now), None);
            return None;
        }
        self.doubted = Some(since);
        Some(DOUBT.saturating_sub(doubted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall_minutes: i64, minutes: u64) -> SteadyMoment {
        SteadyMoment { wall: Timestamp(wall_minutes * 60_000), elapsed: Duration::from_secs(minutes * 60) }
    }

    #[test]
    fn a_clock_that_jumps_is_believed_after_an_hour() {
        let mut steady = Steady::default();
        assert_eq!(steady.look(at(1_000, 0)), None);
        assert_eq!(steady.look(at(1_010, 10)), None);
        let minutes = |count: u64| Some(Duration::from_secs(count * 60));
        assert_eq!(steady.look(at(9_000, 11)), minutes(60));
        assert_eq!(steady.look(at(9_020, 31)), minutes(40));
        // It jumps again: the hour begins again.
        assert_eq!(steady.look(at(5_000, 32)), minutes(60));
        assert_eq!(steady.look(at(5_060, 92)), None);
        // Back to where it was at once.
        assert_eq!(steady.look(at(9_999, 93)), minutes(60));
        assert_eq!(steady.look(at(5_062, 94)), None);
    }
}
