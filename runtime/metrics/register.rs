//! Making metrics and entering them into a registry in one step.

use std::borrow::Cow;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Names with words. The names of one family are always the same, in the same order.
pub(super) type Labels = Vec<(&'static str, Cow<'static, str>)>;

pub(super) fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

pub(super) fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

pub(super) fn counters(registry: &mut Registry, name: &str, help: &str) -> Family<Labels, Counter> {
    let family = Family::default();
    registry.register(name, help, family.clone());
    family
}

pub(super) fn histogram(
    registry: &mut Registry,
    name: &str,
    help: &str,
    buckets: impl IntoIterator<Item = f64>,
) -> Histogram {
    let histogram = Histogram::new(buckets);
    registry.register(name, help, histogram.clone());
    histogram
}

/// One counter for each word of one label, in the order of the words.
pub(super) fn of_words<const N: usize>(
    family: &Family<Labels, Counter>,
    label: &'static str,
    words: [&'static str; N],
) -> [Counter; N] {
    words.map(|word| family.get_or_create_owned(&vec![(label, Cow::Borrowed(word))]))
}
