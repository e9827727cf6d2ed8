//! What a server can serve with the file descriptors that this process may have.
//!
//! The counts were taken from `/proc/self/fd` of a busy server.

use crate::config::Config;

/// Descriptors of the terminal, the lock, the listener, the runtimes and the watched folder (16), and some for files that are open for a
/// moment: a page, a schema file, a connection that is refused.
const OTHERS: u64 = 24;
/// A connection to the database opens its file and its write-ahead log.
const A_READER: u64 = 2;
/// The fewest sockets, and the fewest other connections, with which serving makes sense.
const FEWEST: u64 = 2;

/// What a limit of descriptors does to a configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Whole,
    /// The caps were lowered; the text says to what.
    Lowered(String),
    /// Nothing can be served; the text says what is needed.
    TooFew(String),
}

/// What the configuration needs.
pub(super) fn wanted(config: &Config) -> u64 {
    let (sockets, requests) = (config.realtime.connections as u64, config.http.connections as u64);
    sockets.saturating_add(requests).saturating_add(own(config.store.readers))
}

/// Of the server itself, with the writer.
fn own(readers: u32) -> u64 {
    OTHERS + A_READER * (u64::from(readers) + 1)
}

/// Lowers the caps to what fits into the limit. Readers take a quarter of what is free at most, requests beside sockets another quarter.
pub(super) fn fit(config: &mut Config, limit: u64) -> Fit {
    if limit >= wanted(config) {
        return Fit::Whole;
    }
    let least = own(1) + 2 * FEWEST;
    if limit < least {
        return Fit::TooFew(format!(
            "this process may have {limit} descriptors (ulimit -n), and at least {least} are needed"
        ));
    }
    let readers = u64::from(config.store.readers).min((limit - own(0)) / 4 / A_READER).max(1);
    config.store.readers = u32::try_from(readers).unwrap_or(1);
    let free = usize::try_from(limit - own(config.store.readers)).unwrap_or(usize::MAX);
    config.http.connections = config.http.connections.min((free / 4).max(2));
    config.realtime.connections = config.realtime.connections.min(free - config.http.connections);
    Fit::Lowered(format!(
        "at most {} sockets, {} other connections and {readers} readers of the database, because this process may have {limit} descriptors (ulimit -n)",
        config.realtime.connections, config.http.connections
    ))
}
