//! Processor time and memory of a process, and what machine this is, from `/proc` of Linux.
//! Does not know what the processes do.

use std::fs;
use std::time::Duration;

use crate::error::{BenchError, Outcome};

/// Linux reports processor time to user space in hundredths of a second, whatever the kernel's own tick.
const TICK: Duration = Duration::from_millis(10);

/// User and system time that the process has used so far, all its threads together, ended ones included.
pub(crate) fn cpu_time(pid: u32) -> Outcome<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = read(&path)?;
    // The second field is the program's name in parentheses and may hold anything; utime and stime are the 12th and
    // 13th after it.
    let ticks: Option<u64> = text.rsplit_once(')').and_then(|(_, rest)| {
        let mut fields = rest.split_whitespace().skip(11);
        Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
    });
    let ticks = ticks.ok_or_else(|| BenchError::Wire(format!("{path} has no utime and stime: {text}")))?;
    Ok(TICK * u32::try_from(ticks).unwrap_or(u32::MAX))
}

/// How often threads of the process were taken off their core, by waiting or by force, so far. Threads that ended do not count.
pub(crate) fn context_switches(pid: u32) -> Outcome<u64> {
    let folder = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&folder).map_err(|source| BenchError::io(format!("read {folder}"), source))?;
    // A thread may end between the listing and the reading.
    let texts = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok());
    Ok(texts.map(|text| switches_of(&text)).sum())
}

/// The two counts of one thread's `status`.
fn switches_of(status: &str) -> u64 {
    let counts = status.lines().filter_map(|line| line.split_once("voluntary_ctxt_switches:"));
    counts.filter_map(|(_, count)| count.trim().parse::<u64>().ok()).sum()
}

/// Resident memory of the process in KiB.
pub(crate) fn resident_kib(pid: u32) -> Outcome<u64> {
    let path = format!("/proc/{pid}/status");
    let text = read(&path)?;
    let value = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    value
        .and_then(|value| value.trim().trim_end_matches("kB").trim().parse().ok())
        .ok_or_else(|| BenchError::Wire(format!("{path} has no VmRSS")))
}

/// One line: processor, cores, memory, kernel.
pub(crate) fn machine() -> String {
    let line = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let value = text.lines().find(|line| line.starts_with(key)).and_then(|line| line.split_once(':'));
        value.map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
    };
    let cores = fs::read_to_string("/proc/cpuinfo").unwrap_or_default().matches("processor\t:").count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{} ({cores} cores), memory {}, Linux {}",
        line("/proc/cpuinfo", "model name"),
        line("/proc/meminfo", "MemTotal"),
        kernel.trim()
    )
}

/// How many programs wanted a core on average over the last minute.
pub(crate) fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0)
}

/// Most connections that the kernel keeps for a listener that has not accepted them yet.
pub(crate) fn accept_backlog() -> String {
    fs::read_to_string("/proc/sys/net/core/somaxconn")
        .map_or_else(|_| "unknown".into(), |text| text.trim().into())
}

fn read(path: &str) -> Outcome<String> {
    fs::read_to_string(path).map_err(|source| BenchError::io(format!("read {path}"), source))
}
