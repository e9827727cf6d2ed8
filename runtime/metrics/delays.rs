//! `Delays`: how long the last batches took from the server's taking of a write to the outboxes of its subscribers.
//!
//! Keeps the newest thousand, so that percentiles are those of the last minutes and not of the whole run.

use parking_lot::Mutex;

/// Batches that are kept.
const MOST: usize = 1_024;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Delays(Mutex<KeptDelays>);

#[derive(Debug, Default)]
struct KeptDelays {
    millis: Vec<u32>,
    next: usize,
}

/// In milliseconds. All 0 without a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Percentiles {
    pub p50: u32,
    pub p95: u32,
    pub p99: u32,
    pub samples: usize,
}

impl Delays {
    /// One batch. A clock that was set back counts as no delay.
    pub fn note(&self, millis: i64) {
        let millis = u32::try_from(millis.max(0)).unwrap_or(u32::MAX);
        let mut kept = self.0.lock();
        if kept.millis.len() < MOST {
            kept.millis.push(millis);
        } else {
            let next = kept.next;
            kept.millis[next] = millis;
            kept.next = (next + 1) % MOST;
        }
    }

    pub fn percentiles(&self) -> Percentiles {
        let mut millis = self.0.lock().millis.clone();
        millis.sort_unstable();
        let Some(last) = millis.len().checked_sub(1) else { return Percentiles::default() };
        let at = |percent: usize| millis[last.min((millis.len() * percent).div_ceil(100).saturating_sub(1))];
        Percentiles { p50: at(50), p95: at(95), p99: at(99), samples: millis.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_newest_thousand() {
        let delays = Delays::default();
        assert_eq!(delays.percentiles(), Percentiles::default());
        (1..=100).for_each(|millis| delays.note(millis));
        assert_eq!(delays.percentiles(), Percentiles { p50: 50, p95: 95, p99: 99, samples: 100 });
        (0..1_024).for_each(|_| delays.note(7));
        assert_eq!(delays.percentiles(), Percentiles { p50: 7, p95: 7, p99: 7, samples: 1_024 });
        delays.note(-5);
        assert_eq!(delays.percentiles().p50, 7);
        let one = Delays::default();
        one.note(-5);
        assert_eq!(one.percentiles(), Percentiles { samples: 1, ..Percentiles::default() });
    }
}
