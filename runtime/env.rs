//! `Env`: the one source of wall-clock time, ids and randomness. Everything that needs one takes an `Env`, so that
//! a test can fix all three. Durations and deadlines come from `tokio::time`, which tests pause.
#![expect(clippy::disallowed_methods, reason = "this is the named place for clock, ids and randomness")]

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::ids::Timestamp;

/// Where time, ids and randomness come from. `Env::system()` in the product.
#[derive(Clone)]
pub struct Env(Arc<dyn Source>);

/// What an environment must supply. `random_u64` is uniform; `uuid_v7` grows within one process.
pub trait Source: Send + Sync {
    fn now(&self) -> Timestamp;
    fn uuid_v7(&self) -> Uuid;
    fn random_u64(&self) -> u64;
}

struct System;

impl Source for System {
    fn now(&self) -> Timestamp {
        let since_1970 =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
    }

    fn uuid_v7(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).expect("the operating system supplies randomness");
        u64::from_le_bytes(bytes)
    }
}

impl Env {
    pub fn system() -> Env {
        Env(Arc::new(System))
    }

    pub fn new(source: impl Source + 'static) -> Env {
        Env(Arc::new(source))
    }

    pub fn now(&self) -> Timestamp {
        self.0.now()
    }

    pub fn uuid_v7(&self) -> Uuid {
        self.0.uuid_v7()
    }

    pub fn random_u64(&self) -> u64 {
        self.0.random_u64()
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env")
    }
}
