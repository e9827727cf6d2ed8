//! `Metrics`: what an operator watches, counted in one place and served as OpenMetrics text (docs/metrics.md).
//!
//! One value for each `App`, handed to the parts that count; there is no global registry, so two servers in one process
//! do not mix. A label is a word of this program (a route's template, a code, a reason), never a user, an id, a channel
//! or a path, and every series is there, at 0, before its first event. Knows no module that it counts for.

mod delays;
mod errors;
mod gauge_guard;
mod http;
mod live;
mod presence;
mod process;
mod register;
mod store;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

pub use self::delays::{Delays, Percentiles};
pub use self::errors::{ErrorMetrics, Via};
pub use self::gauge_guard::GaugeGuard;
pub use self::http::{ConnectionEnd, HttpMetrics, Routes};
pub use self::live::{CatchUp, LiveMetrics, Moment, Refusal};
pub use self::presence::PresenceMetrics;
pub use self::process::{LOG_LINES_DROPPED, resident_bytes};
pub use self::store::{Bound, Commit, StoreMetrics};

use self::process::Process;
use crate::ids::Timestamp;

/// The media type of `Metrics::text`.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// See the module's text.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pub errors: ErrorMetrics,
    pub http: HttpMetrics,
    pub live: LiveMetrics,
    pub presence: PresenceMetrics,
    pub store: StoreMetrics,
    process: Process,
}

impl Metrics {
    /// `routes`: the templates under which requests are counted. `started`: now.
    pub fn new(routes: Routes, started: Timestamp) -> Metrics {
        let mut registry = Registry::default();
        Metrics {
            errors: ErrorMetrics::new(&mut registry),
            http: HttpMetrics::new(routes, &mut registry),
            live: LiveMetrics::new(&mut registry),
            presence: PresenceMetrics::new(&mut registry),
            store: StoreMetrics::new(&mut registry),
            process: Process::new(started, &mut registry),
            registry,
        }
    }

    /// Everything, with `now` for what is read rather than counted. Blocks for `/proc`.
    pub fn text(&self, now: &Moment) -> String {
        self.live.read(now);
        self.process.read();
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String does not fail");
        text
    }
}
