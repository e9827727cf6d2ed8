//! `Throttle`: how often a caller may try. Pure: the time comes in as an argument.
//!
//! Each key has a budget that fills up again by and by (GCRA: one number for each key).

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

/// Keys that are remembered. Beyond them, the one whose budget is nearest to full is forgotten.
const MOST: usize = 10_000;

/// How many tries at once, and how long until there is another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) burst: u32,
    pub(super) gap: Duration,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// When the budget of a key will be full. Held for one look.
    full_at: Mutex<HashMap<String, Duration>>,
}

impl Throttle {
    /// Takes one try, or says how long until there is one. `now` grows.
    pub(super) fn take(&self, key: &str, budget: Budget, now: Duration) -> Result<(), Duration> {
        let mut keys = self.full_at.lock();
        let full_at = keys.get(key).copied().unwrap_or(now).max(now);
        let allowed = budget.gap * budget.burst.saturating_sub(1);
        if full_at - now > allowed {
            return Err(full_at - now - allowed);
        }
        if keys.len() >= MOST && !keys.contains_key(key) {
            make_room(&mut keys, now);
        }
        keys.insert(key.to_owned(), full_at + budget.gap);
        Ok(())
    }

    /// A try that succeeded is no try.
    pub(super) fn give_back(&self, key: &str, budget: Budget) {
        if let Some(full_at) = self.full_at.lock().get_mut(key) {
            *full_at = full_at.saturating_sub(budget.gap);
        }
    }
}

fn make_room(keys: &mut HashMap<String, Duration>, now: Duration) {
    keys.retain(|_, full_at| *full_at > now);
    if keys.len() >= MOST
        && let Some(nearest) = keys.iter().min_by_key(|(_, full_at)| **full_at).map(|(key, _)| key.clone())
    {
        keys.remove(&nearest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { burst: 3, gap: Duration::from_secs(10) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_budget_is_spent_and_fills_up_again() {
        let throttle = Throttle::default();
        for _ in 0..3 {
            assert_eq!(throttle.take("ada", BUDGET, at(100)), Ok(()));
        }
        assert_eq!(throttle.take("ada", BUDGET, at(100)), Err(at(10)));
        assert_eq!(throttle.take("ben", BUDGET, at(100)), Ok(()), "each key has its own");
        assert_eq!(throttle.take("ada", BUDGET, at(109)), Err(at(1)));
        assert_eq!(throttle.take("ada", BUDGET, at(110)), Ok(()));
        assert!(throttle.take("ada", BUDGET, at(110)).is_err());
        for _ in 0..3 {
            assert_eq!(throttle.take("ada", BUDGET, at(500)), Ok(()), "and is never more than full");
        }
        assert!(throttle.take("ada", BUDGET, at(500)).is_err());
    }

    #[test]
    fn a_success_costs_nothing() {
        let throttle = Throttle::default();
        for _ in 0..50 {
            assert_eq!(throttle.take("ada", BUDGET, at(1)), Ok(()));
            throttle.give_back("ada", BUDGET);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        for stranger in 0..2 * MOST {
            assert_eq!(throttle.take(&stranger.to_string(), BUDGET, at(1)), Ok(()));
        }
        assert_eq!(throttle.full_at.lock().len(), MOST);
    }
}
