//! Medians and percentiles. Knows no units.

/// The median; the lower middle of an even number; 0 of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or(0.0)
}

/// Times in microseconds, kept one by one, so that percentiles are exact.
#[derive(Debug, Default, Clone)]
pub(crate) struct Latencies {
    micros: Vec<u32>,
}

impl Latencies {
    pub(crate) fn add(&mut self, time: std::time::Duration) {
        self.micros.push(u32::try_from(time.as_micros()).unwrap_or(u32::MAX));
    }

    pub(crate) fn len(&self) -> usize {
        self.micros.len()
    }

    pub(crate) fn append(&mut self, mut other: Latencies) {
        self.micros.append(&mut other.micros);
    }

    /// The value in milliseconds that the given share of all values does not exceed; 0 of nothing.
    pub(crate) fn millis_at(&mut self, share: f64) -> f64 {
        if self.micros.is_empty() {
            return 0.0;
        }
        let last = self.micros.len() - 1;
        let index = ((self.micros.len() as f64 * share).ceil() as usize).saturating_sub(1).min(last);
        let (_, value, _) = self.micros.select_nth_unstable(index);
        f64::from(*value) / 1000.0
    }
}
