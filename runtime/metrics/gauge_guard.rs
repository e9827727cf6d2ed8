//! `GaugeGuard`: what a gauge counts as long as it lives.

use prometheus_client::metrics::gauge::Gauge;

/// One of those that a gauge counts; none of them once it is dropped.
#[derive(Debug)]
pub struct GaugeGuard {
    gauge: Gauge,
    count: i64,
}

impl GaugeGuard {
    pub(super) fn new(gauge: &Gauge, count: usize) -> GaugeGuard {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        gauge.inc_by(count);
        GaugeGuard { gauge: gauge.clone(), count }
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.gauge.dec_by(self.count);
    }
}
