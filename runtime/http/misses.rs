//! `Misses`: how often an address asked for a value that no record has, so that values cannot be guessed one by one
//! (SEMANTICS X2).
//!
//! Knows no value. The clock is tokio's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::problem::Problem;
use crate::protocol::Code;

/// Misses of one address in `WINDOW`; beyond them it is refused, before anything is looked for.
const MOST_MISSES: u32 = 30;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered.
const MOST_ADDRESSES: usize = 4096;

/// Bounded: when it is full of addresses of the last minute, a further one is not counted.
#[derive(Debug, Default)]
pub struct Misses {
    /// Held for one look, never across an await.
    by_address: Mutex<HashMap<IpAddr, Window>>,
}

/// The misses since the first of them.
#[derive(Debug, Clone, Copy)]
struct Window {
    since: Instant,
    misses: u32,
}

impl Window {
    fn is_over(&self) -> bool {
        self.since.elapsed() >= WINDOW
    }
}

impl Misses {
    pub(super) fn admit(&self, address: IpAddr) -> Result<(), Problem> {
        let by_address = self.by_address.lock();
        match by_address.get(&of(address)) {
            Some(window) if window.misses >= MOST_MISSES && !window.is_over() => {
                let detail = format!(
                    "this address asked more than {MOST_MISSES} times in a minute for a value that no record has: wait a minute"
                );
                Err(Problem::new(Code::RateLimited, detail))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn missed(&self, address: IpAddr) {
        let mut by_address = self.by_address.lock();
        let fresh = Window { since: Instant::now(), misses: 0 };
        if by_address.len() >= MOST_ADDRESSES {
            by_address.retain(|_, window| !window.is_over());
        }
        if by_address.len() >= MOST_ADDRESSES && !by_address.contains_key(&of(address)) {
            return;
        }
        let window = by_address.entry(of(address)).or_insert(fresh);
        if window.is_over() {
            *window = fresh;
        }
        window.misses += 1;
    }
}

/// A client with one IPv6 address usually has all 2^64 of its network, so the network counts as one.
fn of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_guesses_is_refused_for_the_rest_of_the_minute() {
        let (misses, guesser) = (Misses::default(), address("10.0.0.1"));
        for _ in 0..MOST_MISSES {
            assert!(misses.admit(guesser).is_ok());
            misses.missed(guesser);
        }
        assert_eq!(misses.admit(guesser).unwrap_err().code(), Code::RateLimited);
        assert!(misses.admit(address("10.0.0.2")).is_ok(), "others go on");
        tokio::time::advance(WINDOW).await;
        assert!(misses.admit(guesser).is_ok());
        misses.missed(guesser);
        assert!(misses.admit(guesser).is_ok(), "a new minute begins with one miss");
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_of_ipv6_is_one_address() {
        let misses = Misses::default();
        for host in 0..MOST_MISSES {
            misses.missed(address(&format!("2001:db8::{host:x}")));
        }
        assert!(misses.admit(address("2001:db8::ffff:1")).is_err());
        assert!(misses.admit(address("2001:db8:0:1::1")).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_are_forgotten_rather_than_kept_without_bound() {
        let misses = Misses::default();
        for host in 0..MOST_ADDRESSES as u32 + 10 {
            misses.missed(IpAddr::V4(host.into()));
        }
        assert_eq!(misses.by_address.lock().len(), MOST_ADDRESSES);
        tokio::time::advance(WINDOW).await;
        misses.missed(address("10.0.0.1"));
        assert_eq!(misses.by_address.lock().len(), 1);
    }
}
