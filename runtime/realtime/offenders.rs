//! Callers that were closed for too many messages a short while ago. The second time is final (4429).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Offenders that are remembered, and for how long.
const MOST: usize = 1024;
const AGE: Duration = Duration::from_secs(60);

/// Bounded: when it is full of young entries, a further offender is not remembered.
#[derive(Debug, Default)]
pub struct Offenders {
    /// When each was closed. Held for one look, never across an await.
    seen: Mutex<HashMap<Arc<str>, Instant>>,
}

impl Offenders {
    /// How many are remembered; some of them may be of yesterday.
    pub fn count(&self) -> usize {
        self.seen.lock().len()
    }

    pub fn has_offended(&self, who: &str) -> bool {
        self.seen.lock().get(who).is_some_and(|at| at.elapsed() < AGE)
    }

    pub fn remember(&self, who: Arc<str>) {
        let mut seen = self.seen.lock();
        if seen.len() >= MOST {
            seen.retain(|_, at| at.elapsed() < AGE);
        }
        if seen.len() < MOST {
            seen.insert(who, Instant::now());
        }
    }
}
