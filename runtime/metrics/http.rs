//! Requests by the template of their route, and the connections that they come on.

use std::collections::HashMap;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::gauge_guard::GaugeGuard;
use super::live::Refusal;
use super::register::{Labels, counters, gauge, of_words};

/// Templates of routes, each with its methods.
pub type Routes = &'static [(&'static str, &'static [&'static str])];

/// The route of a request that no template fits, and the method of a request that its route does not have.
const OTHER: &str = "other";

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Seconds. The first is a cached read, the last longer than any long poll.
const DURATIONS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 10.0, 30.0];

/// How the TCP connection of requests ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionEnd {
    /// In order, or by becoming a socket.
    Closed,
    /// No whole request head in time, or no further request.
    HeadLate,
    HeadTooLarge,
    /// Not HTTP.
    BadHead,
    /// The peer did not take its answer in time.
    WriteLate,
    /// By the peer, in the middle.
    Broken,
}

/// See the module's text.
#[derive(Debug)]
pub struct HttpMetrics {
    series: HashMap<(&'static str, &'static str), Series>,
    in_flight: Gauge,
    connections: Gauge,
    ended: [Counter; 6],
    refused: [Counter; 5],
}

#[derive(Debug)]
struct Series {
    by_class: [Counter; 5],
    duration: Histogram,
}

impl HttpMetrics {
    pub(super) fn new(routes: Routes, registry: &mut Registry) -> HttpMetrics {
        let requests = counters(registry, "tidewire_http_requests", "Answered requests");
        let durations: Family<Labels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(DURATIONS));
        registry.register(
            "tidewire_http_request_duration_seconds",
            "Time from the head of a request to the head of its answer",
            durations.clone(),
        );
        let others = routes.iter().map(|(route, _)| (*route, OTHER)).chain([(OTHER, OTHER)]);
        let named = routes.iter().flat_map(|(route, methods)| methods.iter().map(|method| (*route, *method)));
        let series = named.chain(others).map(|(route, method)| {
            let labels = |more: Option<&'static str>| {
                let mut labels: Labels = vec![("route", route.into()), ("method", method.into())];
                labels.extend(more.map(|class| ("status", class.into())));
                labels
            };
            let by_class = CLASSES.map(|class| requests.get_or_create_owned(&labels(Some(class))));
            ((route, method), Series { by_class, duration: durations.get_or_create_owned(&labels(None)) })
        });
        let series = series.collect();
        let ended =
            counters(registry, "tidewire_http_connections_ended", "TCP connections, by how they ended");
        let refused = counters(registry, "tidewire_connections_refused", "Refused connections");
        HttpMetrics {
            series,
            in_flight: gauge(registry, "tidewire_http_requests_in_flight", "Requests being answered"),
            connections: gauge(
                registry,
                "tidewire_http_connections",
                "TCP connections, including those of sockets",
            ),
            ended: of_words(
                &ended,
                "reason",
                ["closed", "head_late", "head_too_large", "bad_head", "write_late", "broken"],
            ),
            refused: of_words(&refused, "reason", ["places", "sockets", "user", "identity", "failure"]),
        }
    }

    /// One request, for as long as it is being answered.
    pub fn request(&self) -> GaugeGuard {
        GaugeGuard::new(&self.in_flight, 1)
    }

    /// `route`: the template that matched.
    pub fn answered(&self, route: Option<&str>, method: &str, status: u16, took: Duration) {
        // HEAD is answered by what answers GET.
        let method = if method == "HEAD" { "GET" } else { method };
        let route = route.unwrap_or(OTHER);
        let found = [(route, method), (route, OTHER), (OTHER, OTHER)];
        let Some(series) = found.iter().find_map(|key| self.series.get(key)) else { return };
        series.duration.observe(took.as_secs_f64());
        let class = usize::from(status / 100).saturating_sub(1).min(CLASSES.len() - 1);
        series.by_class[class].inc();
    }

    /// One TCP connection, for as long as it holds a place.
    pub fn connection(&self) -> GaugeGuard {
        GaugeGuard::new(&self.connections, 1)
    }

    pub fn ended(&self, end: ConnectionEnd) {
        self.ended[end as usize].inc();
    }

    pub fn refused(&self, refusal: Refusal) {
        self.refused[refusal as usize].inc();
    }

    pub fn refusals(&self, refusal: Refusal) -> u64 {
        self.refused[refusal as usize].get()
    }
}
