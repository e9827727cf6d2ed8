//! `RateLimits`: how many requests an address and a user may make in a minute (SEMANTICS O5), how many streams an address may
//! open, and how often it may ask for a value that no record has (X2).
//!
//! Knows no route: what is counted is said by `identity.rs`, `edge.rs`, `ws.rs` and `find.rs`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::problem::Problem;
use super::windows::Windows;
use crate::auth::Identity;
use crate::config::HttpConfig;

/// Keys of one limit that are remembered for their minute: about 4 MB where all of them are in use.
const KEYS: usize = 50_000;
/// Misses of one address in a minute; beyond them it is refused, before anything is looked for.
const MOST_MISSES: u32 = 30;

/// See the module's text.
#[derive(Debug)]
pub struct RateLimits {
    anonymous: Windows<IpAddr>,
    users: Windows<Arc<str>>,
    streams: Windows<IpAddr>,
    misses: Windows<IpAddr>,
    limit_loopback: bool,
}

impl RateLimits {
    pub fn new(config: &HttpConfig) -> RateLimits {
        RateLimits {
            anonymous: Windows::new(config.anonymous_requests, KEYS),
            users: Windows::new(config.user_requests, KEYS),
            streams: Windows::new(config.stream_openings, KEYS),
            misses: Windows::new(MOST_MISSES, KEYS),
            limit_loopback: config.limit_loopback,
        }
    }

    /// A request of a caller who is known: a user counts as themselves, wherever they are, a guest as an anonymous caller, and a
    /// service not at all.
    pub(super) fn request(&self, identity: &Identity) -> Result<(), Problem> {
        if identity.service().is_some() {
            return Ok(());
        }
        match &identity.user {
            None => self.anonymous_request(identity.address),
            Some(_) if self.is_free(identity.address) => Ok(()),
            Some(user) => self.users.take(user.clone()).map_err(|rest| {
                let most = self.users.most();
                refused(format!("this user sent more than {most} requests in a minute"), rest)
            }),
        }
    }

    /// A request whose caller is not known: none was named, or the credentials were refused.
    pub(super) fn anonymous_request(&self, address: IpAddr) -> Result<(), Problem> {
        if self.is_free(address) {
            return Ok(());
        }
        self.anonymous.take(network(address)).map_err(|rest| {
            let most = self.anonymous.most();
            refused(format!("this address sent more than {most} requests in a minute without a user"), rest)
        })
    }

    /// One more socket or stream, of any caller.
    pub(super) fn stream(&self, address: IpAddr) -> Result<(), Problem> {
        if self.is_free(address) {
            return Ok(());
        }
        self.streams.take(network(address)).map_err(|rest| {
            let most = self.streams.most();
            refused(format!("this address opened more than {most} live connections in a minute"), rest)
        })
    }

    /// Whether an address may ask for one more value of `find`. Also holds on loopback: a guess there is a guess.
    pub(super) fn guess(&self, address: IpAddr) -> Result<(), Problem> {
        self.misses.look(&network(address)).map_err(|rest| {
            let detail =
                format!("this address asked {MOST_MISSES} times in a minute for a value that no record has");
            Problem::rate_limited(detail, rest)
        })
    }

    pub(super) fn missed(&self, address: IpAddr) {
        self.misses.count(network(address));
    }

    /// Programs of this machine itself are not limited, unless the settings say so.
    fn is_free(&self, address: IpAddr) -> bool {
        !self.limit_loopback && address.is_loopback()
    }
}

/// Depends on the caller alone, so it says nothing of the address that was asked for.
fn refused(detail: String, rest: Duration) -> Problem {
    Problem::rate_limited(detail, rest).of_caller()
}

/// A client with one IPv6 address usually has all 2^64 of its network, so the network counts as one.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Code;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn limits(change: impl FnOnce(&mut HttpConfig)) -> RateLimits {
        let mut config = HttpConfig::default();
        change(&mut config);
        RateLimits::new(&config)
    }

    fn caller(user: Option<&str>, from: &str) -> Identity {
        Identity { user: user.map(Arc::from), ..Identity::nobody(address(from)) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_of_ipv6_is_one_address() {
        let limits = limits(|config| config.anonymous_requests = 3);
        for host in 0..3 {
            limits.anonymous_request(address(&format!("2001:db8::{host:x}"))).unwrap();
        }
        let refused = limits.anonymous_request(address("2001:db8::ffff:1")).unwrap_err();
        assert_eq!(refused.code(), Code::RateLimited);
        limits.anonymous_request(address("2001:db8:0:1::1")).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_and_their_address_are_counted_apart() {
        let limits = limits(|config| (config.anonymous_requests, config.user_requests) = (1, 2));
        limits.request(&caller(None, "10.0.0.1")).unwrap();
        assert!(limits.request(&caller(None, "10.0.0.1")).is_err());
        for from in ["10.0.0.1", "10.0.0.2"] {
            limits.request(&caller(Some("ada"), from)).unwrap();
        }
        assert!(limits.request(&caller(Some("ada"), "10.0.0.3")).is_err(), "wherever the user is");
        limits.request(&caller(Some("ben"), "10.0.0.1")).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn this_machine_is_limited_only_where_the_settings_say_so() {
        let free = limits(|config| config.anonymous_requests = 1);
        let held = limits(|config| (config.anonymous_requests, config.limit_loopback) = (1, true));
        for from in ["127.0.0.1", "127.3.2.1", "::1"] {
            for _ in 0..5 {
                free.request(&caller(None, from)).unwrap();
            }
            held.request(&caller(None, from)).unwrap();
            assert!(held.request(&caller(None, from)).is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn guesses_are_counted_everywhere() {
        let limits = limits(|_| {});
        for _ in 0..MOST_MISSES {
            limits.guess(address("127.0.0.1")).unwrap();
            limits.missed(address("127.0.0.1"));
        }
        assert!(limits.guess(address("127.0.0.1")).is_err());
        limits.guess(address("127.0.0.2")).unwrap();
    }
}
