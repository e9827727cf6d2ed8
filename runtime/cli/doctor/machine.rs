//! The machine: the port, the descriptors, the clock.
//!
//! Knows no folder.

use std::fs;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use super::finding::Finding;
use crate::cli::descriptors::{self, Fit};
use crate::config::Config;
use crate::ids::Timestamp;

/// 2024-01-01: no Tidewire is older.
const BEFORE_TIDEWIRE: Timestamp = Timestamp(1_704_067_200_000);

/// Two clocks that differ by less agree.
const AGREES_MS: i64 = 1_000;

/// `server` is the process that serves this project now.
pub(super) fn port(listen: SocketAddr, server: Option<u32>) -> Finding {
    if !listen.ip().is_loopback() {
        let advice = "choose a loopback address, such as --listen 127.0.0.1:8080, and put a reverse proxy in front of it";
        return Finding::error("port", format!("`tidewire dev` does not listen on {listen}"), advice);
    }
    let error = match TcpListener::bind(listen) {
        Ok(_) if listen.port() == 0 => return Finding::ok("port", "any free port will be used"),
        Ok(_) => return Finding::ok("port", format!("{listen} is free")),
        Err(error) => error,
    };
    if error.kind() != ErrorKind::AddrInUse {
        let advice = if error.kind() == ErrorKind::PermissionDenied {
            "ports below 1024 belong to the system; choose a higher one with --listen"
        } else {
            "choose another address with --listen"
        };
        return Finding::error("port", format!("cannot listen on {listen}: {error}"), advice);
    }
    match holder(listen.port()) {
        Some((pid, _)) if Some(pid) == server => {
            Finding::ok("port", format!("{listen} is served by process {pid}, this project's server"))
        }
        Some((pid, name)) => taken(listen, &format!("process {pid} ({name})")),
        None => taken(listen, "another program"),
    }
}

fn taken(listen: SocketAddr, by: &str) -> Finding {
    let advice = "stop it, or choose a port with --listen 127.0.0.1:PORT (0 takes any)";
    Finding::error("port", format!("{listen} is taken by {by}"), advice)
}

/// Who listens on a port, where the kernel says so (Linux) and lets this user look.
fn holder(port: u16) -> Option<(u32, String)> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().find_map(|table| listening(table, port))?;
    let link = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(open) = fs::read_dir(process.path().join("fd")) else { continue };
        let holds =
            |file: fs::DirEntry| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == link.as_str());
        if open.flatten().any(holds) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((pid, name.trim().to_owned()));
        }
    }
    None
}

/// The inode of the socket that listens on the port: `sl local_address rem_address st ... inode`, numbers in hex.
fn listening(table: &str, port: u16) -> Option<String> {
    let text = fs::read_to_string(table).ok()?;
    let ending = format!(":{port:04X}");
    text.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let listens = columns.get(1)?.ends_with(&ending) && *columns.get(3)? == "0A";
        listens.then(|| columns.get(9).map(|inode| (*inode).to_owned()))?
    })
}

pub(super) fn descriptors(config: &Config) -> Finding {
    let open = descriptors::open_now();
    let wanted = descriptors::wanted(config, open);
    let (soft, hard) = rlimit::Resource::NOFILE.get().unwrap_or((1024, 1024));
    let limit = soft.max(hard);
    let advice = format!(
        "raise the hard limit to {wanted} (`ulimit -Hn`, LimitNOFILE= of systemd), or lower --max-connections"
    );
    match descriptors::fit(&mut config.clone(), limit, open) {
        Fit::Whole => Finding::ok("descriptors", format!("the limit is {limit}, and {wanted} are needed")),
        Fit::Lowered(what) => Finding::warning("descriptors", what, advice),
        Fit::TooFew(what) => Finding::error("descriptors", what, advice),
    }
}

/// `newest` is the time of the newest change in the database.
pub(super) fn clock(now: Timestamp, newest: Option<Timestamp>) -> Finding {
    let advice =
        "correct it, and keep it right with NTP; the times in records come from it (their order does not)";
    if now < BEFORE_TIDEWIRE {
        return Finding::error("clock", format!("it says {}, which is impossible", now.rfc3339()), advice);
    }
    match newest {
        Some(newest) if newest.0 > now.0 + AGREES_MS => {
            let text = format!(
                "it says {}, but the newest change in the database was made at {}",
                now.rfc3339(),
                newest.rfc3339()
            );
            Finding::error("clock", text, advice)
        }
        _ => Finding::ok("clock", format!("it says {}", now.rfc3339())),
    }
}

/// A warning if the wall clock jumped against the steady one while the doctor was at work.
pub(super) fn jumped(before: Timestamp, after: Timestamp, elapsed: Duration) -> Option<Finding> {
    let passed = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
    let jump = (after.0 - before.0).saturating_sub(passed);
    let text = format!("it jumped by {jump} ms during the check");
    let advice = "let NTP adjust it gradually";
    (jump.abs() > AGREES_MS).then(|| Finding::warning("clock", text, advice))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Severity;
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn a_clock_that_is_wrong_is_told() {
        let later = Some(Timestamp(NOW.0 + 60_000));
        for (now, newest, expected) in [
            (NOW, None, Severity::Ok),
            (NOW, Some(Timestamp(NOW.0 + 500)), Severity::Ok),
            (NOW, later, Severity::Error),
            (Timestamp(0), None, Severity::Error),
        ] {
            assert_eq!(clock(now, newest).verdict, expected, "{now:?} {newest:?}");
        }
    }

    #[test]
    fn a_clock_that_jumps_is_told() {
        let second = Duration::from_secs(1);
        for (after, expected) in [(1_000, false), (1_900, false), (5_000, true), (-5_000, true)] {
            let told = jumped(NOW, Timestamp(NOW.0 + after), second);
            assert_eq!(told.is_some(), expected, "{after}");
        }
    }
}
