//! `Env`: the one source of wall-clock time, ids and randomness. Everything that needs one takes an `Env`, so that
//! a test can fix all three. Durations and deadlines come from `tokio::time`, which tests pause.
#![expect(clippy::disallowed_methods, reason = "this is the named place for clock, ids and randomness")]

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use uuid::Uuid;

use crate::ids::Timestamp;

/// Where time, ids and randomness come from. `Env::system()` in the product.
#[derive(Clone)]
pub struct Env(Arc<Inner>);

struct Inner {
    source: Box<dyn EnvSource>,
    /// The newest id, or the last that could have been made before. Held for a comparison.
    newest: Mutex<Uuid>,
}

/// What an environment must supply. `random_u64` is uniform; `uuid_v7` need not grow, as the wall clock does not.
pub trait EnvSource: Send + Sync {
    fn now(&self) -> Timestamp;
    /// Time since some moment of this process, which cannot be set.
    fn elapsed(&self) -> Duration;
    fn uuid_v7(&self) -> Uuid;
    fn random_u64(&self) -> u64;
}

struct System {
    started: Instant,
    /// Held for a copy, or for one call of the operating system.
    random: Mutex<RandomBytes>,
}

/// Random bytes of the operating system, fetched many at once: a call for each id is a system call for each request.
struct RandomBytes {
    bytes: [u8; 256],
    /// Used ones are zeros.
    used: usize,
}

impl RandomBytes {
    fn take<const COUNT: usize>(&mut self) -> [u8; COUNT] {
        if self.bytes.len() - self.used < COUNT {
            getrandom::fill(&mut self.bytes).expect("the operating system supplies randomness");
            self.used = 0;
        }
        let mut taken = [0; COUNT];
        taken.swap_with_slice(&mut self.bytes[self.used..self.used + COUNT]);
        self.used += COUNT;
        taken
    }
}

impl EnvSource for System {
    fn now(&self) -> Timestamp {
        let since_1970 =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn uuid_v7(&self) -> Uuid {
        let millis = u64::try_from(self.now().0).unwrap_or(0).min(LAST_MILLIS);
        compose(millis, u128::from_le_bytes(self.random.lock().take()) & LAST_COUNTER)
    }

    fn random_u64(&self) -> u64 {
        u64::from_le_bytes(self.random.lock().take())
    }
}

impl Env {
    pub fn system() -> Env {
        let random = RandomBytes { bytes: [0; 256], used: 256 };
        Env::new(System { started: Instant::now(), random: Mutex::new(random) })
    }

    pub fn new(source: impl EnvSource + 'static) -> Env {
        Env(Arc::new(Inner { source: Box::new(source), newest: Mutex::new(Uuid::nil()) }))
    }

    pub fn now(&self) -> Timestamp {
        self.0.source.now()
    }

    /// Time since some moment of this process. Only its differences mean something.
    pub fn elapsed(&self) -> Duration {
        self.0.source.elapsed()
    }

    /// Sorts after every id that this environment made before, wherever the wall clock goes.
    pub fn uuid_v7(&self) -> Uuid {
        let next = self.0.source.uuid_v7();
        let mut newest = self.0.newest.lock();
        *newest = if next > *newest { next } else { successor(*newest, self.random_u64()) };
        *newest
    }

    /// From now on ids sort after all that were made up to this time, by whatever process.
    pub fn ids_after(&self, time: Timestamp) {
        let millis = u64::try_from(time.0).unwrap_or(0).min(LAST_MILLIS);
        let last = compose(millis, LAST_COUNTER);
        let mut newest = self.0.newest.lock();
        *newest = last.max(*newest);
    }

    pub fn random_u64(&self) -> u64 {
        self.0.source.random_u64()
    }

    /// 32 characters for an address, that no one can guess: 192 bits.
    pub fn random_text(&self) -> String {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = String::with_capacity(RANDOM_TEXT);
        for _ in 0..RANDOM_TEXT / 8 {
            // Eight letters take 48 of the 64 bits.
            let random = self.random_u64();
            text.extend((0..8).map(|place| char::from(LETTERS[(random >> (6 * place) & 63) as usize])));
        }
        text
    }
}

/// Characters of `Env::random_text`.
pub const RANDOM_TEXT: usize = 32;

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env")
    }
}

/// The time in an id has 48 bits, and 74 bits tell apart the ids of one millisecond.
const LAST_MILLIS: u64 = (1 << 48) - 2;
const LAST_COUNTER: u128 = (1 << 74) - 1;

/// A later id for a clock that shows no later time. The step is random, so that the next id cannot be guessed from one.
fn successor(id: Uuid, random: u64) -> Uuid {
    let bits = id.as_u128();
    let millis = u64::try_from(bits >> 80).expect("a UUID has 48 bits above its lower 80");
    let counter = ((bits >> 64) & 0xfff) << 62 | (bits & ((1 << 62) - 1));
    let next = counter + 1 + u128::from(random >> 24);
    if next <= LAST_COUNTER { compose(millis, next) } else { compose(millis + 1, u128::from(random)) }
}

fn compose(millis: u64, counter: u128) -> Uuid {
    let (high, low) = (counter >> 62, counter & ((1 << 62) - 1));
    Uuid::from_u128(u128::from(millis) << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    /// Its ids have the time that it is given, and are otherwise the same.
    #[derive(Default)]
    struct Told(Arc<AtomicI64>);

    impl EnvSource for Told {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::Relaxed))
        }

        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }

        fn uuid_v7(&self) -> Uuid {
            compose(self.now().0.unsigned_abs(), 5)
        }

        fn random_u64(&self) -> u64 {
            u64::MAX
        }
    }

    #[test]
    fn no_random_bytes_are_handed_out_twice() {
        let mut random = RandomBytes { bytes: [0; 256], used: 256 };
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000 {
            assert!(seen.insert(random.take::<16>().to_vec()));
            assert!(seen.insert(random.take::<9>().to_vec()));
        }
    }

    #[test]
    fn no_two_random_texts_are_alike_and_all_letters_occur_in_them_alike_often() {
        let env = Env::system();
        let (mut seen, mut times) = (std::collections::HashSet::new(), std::collections::HashMap::new());
        for _ in 0..10_000 {
            let text = env.random_text();
            assert_eq!(text.len(), RANDOM_TEXT);
            text.chars().for_each(|letter| *times.entry(letter).or_insert(0) += 1);
            assert!(seen.insert(text));
        }
        assert_eq!(times.len(), 64);
        // 5,000 of each are expected; ten standard deviations are 700.
        assert!(times.values().all(|times| (4300..5700).contains(times)), "{times:?}");
    }

    #[test]
    fn the_ids_of_the_system_are_of_version_7_and_of_now() {
        let env = Env::system();
        let (before, id, after) = (env.now().0, env.uuid_v7(), env.now().0);
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        let millis = i64::try_from(id.as_u128() >> 80).unwrap();
        assert!((before..=after).contains(&millis), "{before} {millis} {after}");
        assert_ne!(id, Env::system().uuid_v7());
    }

    #[test]
    fn ids_grow_wherever_the_clock_goes() {
        let told = Told::default();
        let clock = told.0.clone();
        let env = Env::new(told);
        let mut last = Uuid::nil();
        let mut grows = |env: &Env| {
            let next = env.uuid_v7();
            assert!(next > last && next.get_version_num() == 7, "{next} follows {last}");
            assert_eq!(next.get_variant(), uuid::Variant::RFC4122);
            last = next;
        };
        for millis in [1_000, 1_000, 1_001, 7, 7, 1_002, 0, 5_000, 4_999] {
            clock.store(millis, Ordering::Relaxed);
            (0..100).for_each(|_| grows(&env));
        }
        for after in [9_000, 3_000, 9_000] {
            env.ids_after(Timestamp(after));
            (0..100).for_each(|_| grows(&env));
        }
        clock.store(20_000, Ordering::Relaxed);
        grows(&env);
        assert_eq!(last, compose(20_000, 5), "the clock is right again");
    }

    #[test]
    fn a_millisecond_that_is_full_gives_way_to_the_next() {
        let full = compose(41, LAST_COUNTER);
        assert_eq!(successor(full, 3), compose(42, 3));
        assert_eq!(successor(compose(41, LAST_COUNTER - 1), 3), full);
        let carry = compose(41, (1 << 62) - 1);
        assert_eq!(successor(carry, 0), compose(41, 1 << 62));
    }
}
