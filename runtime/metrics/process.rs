//! The process itself, under the names that every Prometheus client uses, from `/proc`. Where there is none the numbers
//! stay 0.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::register::{Labels, gauge};
use crate::ids::Timestamp;

/// What `/proc` counts processor time in (`USER_HZ`); Linux tells programs 100 on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Lines of the log that were dropped or could not be written. The log belongs to the process, not to one `App`, so this is the one
/// number that servers in one process share.
pub static LOG_LINES_DROPPED: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
pub(super) struct Process {
    cpu: Counter<f64, AtomicU64>,
    memory: Gauge,
    threads: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    log_lines_dropped: Counter,
}

impl Process {
    pub(super) fn new(started: Timestamp, registry: &mut Registry) -> Process {
        let build: Family<Labels, Gauge> = Family::default();
        registry.register("tidewire_build_info", "Always 1; the label names the version", build.clone());
        build.get_or_create_owned(&vec![("version", env!("CARGO_PKG_VERSION").into())]).set(1);
        let start: Gauge<f64, AtomicU64> = Gauge::default();
        start.set(started.0 as f64 / 1000.0);
        registry.register("process_start_time_seconds", "Time when the server started, since 1970", start);
        let cpu = Counter::default();
        registry.register("process_cpu_seconds", "Processor time used", cpu.clone());
        let log_lines_dropped = Counter::default();
        registry.register(
            "tidewire_log_lines_dropped",
            "Log lines lost because they could not be written in time",
            log_lines_dropped.clone(),
        );
        Process {
            cpu,
            memory: gauge(registry, "process_resident_memory_bytes", "Resident memory"),
            threads: gauge(registry, "process_threads", "Threads"),
            open_fds: gauge(registry, "process_open_fds", "Open file descriptors"),
            max_fds: gauge(registry, "process_max_fds", "Limit of open file descriptors"),
            log_lines_dropped,
        }
    }

    pub(super) fn read(&self) {
        self.log_lines_dropped.inner().store(LOG_LINES_DROPPED.load(Ordering::Relaxed), Ordering::Relaxed);
        if let Some(seconds) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_seconds) {
            self.cpu.inner().store(seconds.to_bits(), Ordering::Relaxed);
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let set = |gauge: &Gauge, value: Option<i64>| {
            if let Some(value) = value {
                gauge.set(value);
            }
        };
        set(&self.memory, number_of(&status, "VmRSS:").map(|kilobytes| kilobytes * 1024));
        set(&self.threads, number_of(&status, "Threads:"));
        let open = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
        set(&self.open_fds, open.and_then(|count| i64::try_from(count).ok()));
        let limits = rlimit::getrlimit(rlimit::Resource::NOFILE).ok();
        set(&self.max_fds, limits.map(|(soft, _)| i64::try_from(soft).unwrap_or(i64::MAX)));
    }
}

/// Resident memory of the process; 0 where the system does not say.
pub fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    number_of(&status, "VmRSS:").and_then(|kilobytes| u64::try_from(kilobytes * 1024).ok()).unwrap_or(0)
}

/// User and system time: fields 14 and 15. The second field is the program's name, which may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u32>().ok()? as f64 + fields.next()?.parse::<u32>().ok()? as f64;
    Some(ticks / TICKS_PER_SECOND)
}

fn number_of(status: &str, name: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("7 (x"), None);
    }

    #[test]
    fn a_status_line_is_read_by_its_name() {
        let status = "Name:\ttidewire\nVmRSS:\t  5120 kB\nThreads:\t9\n";
        assert_eq!((number_of(status, "VmRSS:"), number_of(status, "Threads:")), (Some(5120), Some(9)));
        assert_eq!(number_of(status, "VmHWM:"), None);
    }
}
