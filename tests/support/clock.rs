//! Both clocks of an environment, set by hand. Ids have the time of the wall clock, as those of the product.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tidewire::env::{Env, EnvSource};
use tidewire::ids::Timestamp;

use super::random::Random;

#[derive(Clone, Default)]
pub(crate) struct HandClock(Arc<State>);

#[derive(Default)]
struct State {
    wall: AtomicI64,
    elapsed_millis: AtomicU64,
    drawn: AtomicU64,
}

impl HandClock {
    pub(crate) fn at(wall: Timestamp) -> HandClock {
        let clock = HandClock::default();
        clock.jump(wall.0);
        clock
    }

    pub(crate) fn env(&self) -> Env {
        Env::new(self.clone())
    }

    /// Time passes, and both clocks show it.
    pub(crate) fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.0.elapsed_millis.fetch_add(millis, Ordering::Relaxed);
        self.jump(i64::try_from(millis).unwrap());
    }

    /// Sets the wall clock.
    pub(crate) fn jump(&self, millis: i64) {
        self.0.wall.fetch_add(millis, Ordering::Relaxed);
    }

    /// So much time has passed since the beginning, whatever the wall clock shows.
    pub(crate) fn passed(&self, time: Duration) {
        self.0.elapsed_millis.store(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

impl EnvSource for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.wall.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.elapsed_millis.load(Ordering::Relaxed))
    }

    fn uuid_v7(&self) -> uuid::Uuid {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.random_u64().to_le_bytes());
        uuid::Builder::from_unix_timestamp_millis(self.now().0.unsigned_abs(), &random).into_uuid()
    }

    fn random_u64(&self) -> u64 {
        Random::new(self.0.drawn.fetch_add(1, Ordering::Relaxed)).next()
    }
}
