//! How many connections fit into the descriptors that this process may have.

use crate::config::Config;

/// Descriptors that are not connections: the database, the terminal, the runtime.
const OTHERS: u64 = 64;

/// What the configured connections need.
pub(super) fn wanted(config: &Config) -> u64 {
    let (sockets, requests) = (config.realtime.connections as u64, config.http.connections as u64);
    sockets.saturating_add(requests).saturating_add(OTHERS)
}

/// Lowers the caps to what fits into the limit, and says so; a quarter stays for requests beside sockets.
pub(super) fn fit(config: &mut Config, limit: u64) -> Option<String> {
    if limit >= wanted(config) {
        return None;
    }
    let free = usize::try_from(limit.saturating_sub(OTHERS)).unwrap_or(usize::MAX).max(16);
    config.http.connections = config.http.connections.min(free / 4);
    config.realtime.connections = free - config.http.connections;
    let sockets = config.realtime.connections;
    Some(format!("at most {sockets} sockets, because this process may have {limit} descriptors (ulimit -n)"))
}
