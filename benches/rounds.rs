//! Repeated windows of the same load, of which medians count. Does not know what was asked.

use crate::load::Window;
use crate::report::Report;
use crate::stats::{Latencies, median};

/// Windows of the same work, of which medians count.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    rates: Vec<f64>,
    cpu: Vec<f64>,
    switches: Vec<f64>,
    server_busy: Vec<f64>,
    driver_busy: Vec<f64>,
    latencies: Latencies,
}

impl Rounds {
    pub(crate) fn add(&mut self, window: Window) {
        let Window { cost, latencies } = window;
        let count = latencies.len() as u64;
        self.rates.push(cost.per_second(count));
        self.cpu.push(cost.server_micros_each(count));
        self.switches.push(cost.switches_each(count));
        self.server_busy.push(cost.server_busy());
        self.driver_busy.push(cost.driver_busy());
        self.latencies.append(latencies);
    }

    /// Answers a second.
    pub(crate) fn rate(&self) -> f64 {
        median(&self.rates)
    }

    /// The median of the rounds' ratios: both sides of one round had the same neighbours.
    pub(crate) fn share_of(&self, floor: &Rounds) -> f64 {
        let shares = self.rates.iter().zip(&floor.rates).map(|(rate, floor)| rate / floor);
        median(&shares.collect::<Vec<f64>>())
    }

    /// The median of the rounds' ratios of processor time for each answer.
    pub(crate) fn multiple_of(&self, floor: &Rounds) -> f64 {
        let multiples = self.cpu.iter().zip(&floor.cpu).map(|(cpu, floor)| cpu / floor);
        median(&multiples.collect::<Vec<f64>>())
    }

    /// Microseconds of the server's processor time for each answer, of each round.
    pub(crate) fn cpu_each(&self) -> &[f64] {
        &self.cpu
    }

    /// Microseconds of the server's processor time for each answer.
    pub(crate) fn cpu(&self) -> f64 {
        median(&self.cpu)
    }

    pub(crate) fn judge_load(&self, label: &str, report: &mut Report) {
        report.judge_load(label, median(&self.server_busy), median(&self.driver_busy));
    }

    pub(crate) fn columns(&mut self) -> Vec<(&'static str, f64)> {
        vec![
            ("per second", self.rate()),
            ("p50 ms", self.latencies.millis_at(0.5)),
            ("p99 ms", self.latencies.millis_at(0.99)),
            ("server CPU µs", self.cpu()),
            ("switches", median(&self.switches)),
            ("server busy %", median(&self.server_busy)),
            ("driver busy %", median(&self.driver_busy)),
        ]
    }
}
