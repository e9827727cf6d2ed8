//! What a server can serve with the file descriptors that this process may have.
//!
//! The counts were taken from `/proc/self/fd` of a busy server.

use std::fs;

use super::check::count as in_words;
use crate::config::{Config, HttpConfig};

/// The lock, the listener, the shared memory of the database, the two runtimes and the watched folder.
const OWN: u64 = 16;
/// For what is open for a moment: a schema file, a backup, the figures of `/metrics`, a connection that is turned away.
const SPARE: u64 = 6;
/// A connection to the database opens its file and its write-ahead log.
const A_CONNECTION_TO_THE_DATABASE: u64 = 2;
/// The fewest sockets, and the fewest other connections, with which serving makes sense.
const FEWEST: usize = 2;

/// What a limit of descriptors does to a configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Whole,
    /// The caps were lowered; the text says to what.
    Lowered(String),
    /// Nothing can be served; the text says what is needed.
    TooFew(String),
}

/// How many descriptors this process has open, those included that it got from its parent.
pub(super) fn open_now() -> u64 {
    // Reading the folder takes one more. Without the folder there are the three streams.
    let open = fs::read_dir("/dev/fd").map_or(0, |entries| entries.count().saturating_sub(1));
    u64::try_from(open).unwrap_or(u64::MAX).max(3)
}

/// What the configuration needs beside the descriptors that are `open` now.
pub(super) fn wanted(config: &Config, open: u64) -> u64 {
    let sockets = config.realtime.connections as u64;
    own(config.store.readers, open).saturating_add(sockets).saturating_add(of_requests(&config.http) as u64)
}

/// Of the server itself, with the connection that writes.
fn own(readers: u32, open: u64) -> u64 {
    open.saturating_add(OWN + SPARE + A_CONNECTION_TO_THE_DATABASE * (u64::from(readers) + 1))
}

/// Of the connections for requests, and of the files that they may be sent.
fn of_requests(http: &HttpConfig) -> usize {
    http.connections.saturating_add(http.files()).saturating_add(http.refusals())
}

/// Lowers the caps to what fits into the limit beside the descriptors that are `open` now. Readers take a quarter of what is free at most,
/// requests another quarter unless the sockets leave more.
pub(super) fn fit(config: &mut Config, limit: u64, open: u64) -> Fit {
    if limit >= wanted(config, open) {
        return Fit::Whole;
    }
    let fewest = HttpConfig { connections: FEWEST, ..config.http.clone() };
    let least = own(1, open).saturating_add((FEWEST + of_requests(&fewest)) as u64);
    if limit < least {
        return Fit::TooFew(format!(
            "this process may open {limit} file descriptors (ulimit -n), and needs at least {least}"
        ));
    }
    let of_readers = (limit - own(1, open)) / 4 / A_CONNECTION_TO_THE_DATABASE;
    config.store.readers = config.store.readers.min(u32::try_from(of_readers).unwrap_or(u32::MAX)).max(1);
    let free = usize::try_from(limit - own(config.store.readers, open)).unwrap_or(usize::MAX);
    let wished = config.http.connections;
    config.http.connections = wished.min(requests_within(free / 4).max(FEWEST));
    config.realtime.connections = config.realtime.connections.min(free - of_requests(&config.http));
    let left = requests_within(free - config.realtime.connections);
    config.http.connections = wished.min(left.max(config.http.connections));
    Fit::Lowered(format!(
        "at most {}, {} and {}, because this process may open only {limit} file descriptors (ulimit -n)",
        in_words(config.realtime.connections, "socket", "sockets"),
        in_words(config.http.connections, "other connection", "other connections"),
        in_words(config.store.readers as usize, "reader of the database", "readers of the database"),
    ))
}

/// Connections for requests that so many descriptors allow: each has one, one for a file, and an eighth of one for a refusal.
fn requests_within(descriptors: usize) -> usize {
    descriptors.saturating_sub(1) / 17 * 8 + descriptors.saturating_sub(1) % 17 * 8 / 17
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_fits_into_every_limit_and_is_no_more_than_was_asked_for() {
        for (sockets, requests, readers) in
            [(10_000, 1_024, 8), (5, 1_024, 8), (10_000, 3, 2), (1, 1, 1), (200, 9, 256)]
        {
            for open in [3, 7, 30] {
                for limit in (20..400).chain([1024, 4096, 12_000, 20_000]) {
                    let mut config = Config::default();
                    config.realtime.connections = sockets;
                    config.http.connections = requests;
                    config.store.readers = readers;
                    let fit = fit(&mut config, limit, open);
                    if matches!(fit, Fit::TooFew(_)) {
                        assert!(limit < open + 40, "{limit} with {open} open could serve a client");
                        continue;
                    }
                    let (http, live) = (config.http.connections, config.realtime.connections);
                    assert!(wanted(&config, open) <= limit, "{limit}: {fit:?}");
                    assert!(
                        live <= sockets && http <= requests && config.store.readers <= readers,
                        "{limit}: {fit:?}"
                    );
                    assert!(live >= sockets.min(2) && http >= requests.min(2), "{limit}: {fit:?}");
                }
            }
        }
    }
}
