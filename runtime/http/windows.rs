//! `Windows`: how often each key did something in the current minute. The one counter behind every limit a minute.
//!
//! A window begins with the first thing that is counted, so a caller who was refused knows when the next one begins. Knows no
//! address and no user. The clock is tokio's.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How long a window lasts.
const LENGTH: Duration = Duration::from_secs(60);
/// Windows that are over are looked for at most this often: a look at all of them for each new key would be a load of its own.
const SWEEP: Duration = Duration::from_secs(1);

/// Bounded: when it is full of keys of the last minute, a further key is not counted.
#[derive(Debug)]
pub(super) struct Windows<K> {
    /// In one window; 0 is no limit.
    most: u32,
    /// Keys that are remembered.
    keys: usize,
    /// Held for one look, never across an await.
    counted: Mutex<OpenWindows<K>>,
}

#[derive(Debug)]
struct OpenWindows<K> {
    windows: HashMap<K, Window>,
    swept: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    since: Instant,
    count: u32,
}

impl Window {
    fn rest(&self) -> Duration {
        LENGTH.saturating_sub(self.since.elapsed())
    }

    fn is_over(&self) -> bool {
        self.rest().is_zero()
    }
}

impl<K: Eq + Hash> Windows<K> {
    pub(super) fn new(most: u32, keys: usize) -> Windows<K> {
        let counted = OpenWindows { windows: HashMap::new(), swept: Instant::now() };
        Windows { most, keys, counted: Mutex::new(counted) }
    }

    pub(super) fn most(&self) -> u32 {
        self.most
    }

    /// Whether there is one more in this window, or how long until the next.
    pub(super) fn look(&self, key: &K) -> Result<(), Duration> {
        self.counted.lock().look(key, self.most)
    }

    /// Counts one, without a look.
    pub(super) fn count(&self, key: K) {
        if self.most > 0 {
            self.counted.lock().count(key, self.keys);
        }
    }

    /// Counts one if there is one more in this window. A refused one is not counted, so nobody locks themselves out for longer.
    pub(super) fn take(&self, key: K) -> Result<(), Duration> {
        if self.most == 0 {
            return Ok(());
        }
        let mut counted = self.counted.lock();
        counted.look(&key, self.most)?;
        counted.count(key, self.keys);
        Ok(())
    }
}

impl<K: Eq + Hash> OpenWindows<K> {
    fn look(&self, key: &K, most: u32) -> Result<(), Duration> {
        match self.windows.get(key) {
            Some(window) if most > 0 && window.count >= most && !window.is_over() => Err(window.rest()),
            Some(_) | None => Ok(()),
        }
    }

    fn count(&mut self, key: K, keys: usize) {
        let fresh = Window { since: Instant::now(), count: 0 };
        if let Some(window) = self.windows.get_mut(&key) {
            if window.is_over() {
                *window = fresh;
            }
            window.count = window.count.saturating_add(1);
            return;
        }
        if self.windows.len() >= keys && self.swept.elapsed() >= SWEEP {
            self.windows.retain(|_, window| !window.is_over());
            self.swept = Instant::now();
        }
        if self.windows.len() < keys {
            self.windows.insert(key, Window { count: 1, ..fresh });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_beyond_the_limit_is_refused_for_the_rest_of_the_minute() {
        let windows = Windows::new(3, 10);
        for _ in 0..3 {
            assert_eq!(windows.take("ada"), Ok(()));
        }
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(windows.take("ada"), Err(Duration::from_secs(40)));
        assert_eq!(windows.look(&"ada"), Err(Duration::from_secs(40)));
        assert_eq!(windows.take("ben"), Ok(()), "others go on");
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(windows.look(&"ada"), Ok(()));
        for _ in 0..3 {
            assert_eq!(windows.take("ada"), Ok(()), "a new minute begins with nothing");
        }
        assert_eq!(windows.take("ada"), Err(LENGTH));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_try_does_not_make_the_wait_longer() {
        let windows = Windows::new(1, 10);
        windows.count("ada");
        for _ in 0..100 {
            tokio::time::advance(Duration::from_millis(500)).await;
            let _ = windows.take("ada");
        }
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(windows.take("ada"), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_counted_where_there_is_no_limit() {
        let windows = Windows::new(0, 10);
        for _ in 0..1_000 {
            assert_eq!(windows.take("ada"), Ok(()));
            windows.count("ada");
        }
        assert_eq!(windows.look(&"ada"), Ok(()));
        assert!(windows.counted.lock().windows.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_forgotten_rather_than_kept_without_bound() {
        let windows = Windows::new(1, 4096);
        for key in 0..5_000 {
            assert_eq!(windows.take(key), Ok(()));
        }
        assert_eq!(windows.counted.lock().windows.len(), 4096);
        assert!(windows.take(1).is_err(), "one that is remembered is still counted");
        assert_eq!(windows.take(4_999), Ok(()), "one that is not remembered is not");
        tokio::time::advance(LENGTH).await;
        assert_eq!(windows.take(9_999), Ok(()));
        assert_eq!(windows.counted.lock().windows.len(), 1);
    }
}
