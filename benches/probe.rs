//! What one measured stretch of time cost: wall time, the server's processor time and context switches, the driver's own time.
//! Does not know the work done in it.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::Outcome;
use crate::procfs;
use crate::server::Server;

/// A stretch that has begun.
#[derive(Debug)]
pub(crate) struct Probe {
    start: Instant,
    server: Duration,
    switches: u64,
    driver: Duration,
}

/// A stretch that is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) server: Duration,
    pub(crate) driver: Duration,
    /// Context switches of the server's threads.
    pub(crate) switches: u64,
}

impl Probe {
    pub(crate) fn start(server: &Server) -> Outcome<Probe> {
        let driver = procfs::cpu_time(std::process::id())?;
        let (server, switches) = (server.cpu()?, server.context_switches()?);
        Ok(Probe { server, switches, driver, start: Instant::now() })
    }

    pub(crate) fn stop(&self, server: &Server) -> Outcome<Cost> {
        let wall = self.start.elapsed();
        let driver = procfs::cpu_time(std::process::id())?.saturating_sub(self.driver);
        let switches = server.context_switches()?.saturating_sub(self.switches);
        Ok(Cost { wall, server: server.cpu()?.saturating_sub(self.server), driver, switches })
    }
}

impl Cost {
    pub(crate) fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.wall.as_secs_f64()
    }

    /// Microseconds of the server's processor time for each of `count` things.
    pub(crate) fn server_micros_each(&self, count: u64) -> f64 {
        self.server.as_secs_f64() * 1e6 / (count.max(1)) as f64
    }

    /// Context switches of the server for each of `count` things.
    pub(crate) fn switches_each(&self, count: u64) -> f64 {
        self.switches as f64 / (count.max(1)) as f64
    }

    /// How busy the server's core was, in percent.
    pub(crate) fn server_busy(&self) -> f64 {
        100.0 * self.server.as_secs_f64() / self.wall.as_secs_f64()
    }

    /// How busy the driver's core was, in percent.
    pub(crate) fn driver_busy(&self) -> f64 {
        100.0 * self.driver.as_secs_f64() / self.wall.as_secs_f64()
    }
}
