//! Errors by code, and closed sockets by close code: every code of `protocol/codes.rs` has its series.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::register::counters;
use crate::protocol::{CloseCode, Code};

/// The transport over which an error was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Http,
    Ws,
    /// In `errors` of a poll's answer.
    Poll,
    /// As events of a stream.
    Sse,
}

impl Via {
    /// As metrics and answers name it.
    pub fn word(self) -> &'static str {
        match self {
            Via::Http => "http",
            Via::Ws => "ws",
            Via::Poll => "poll",
            Via::Sse => "sse",
        }
    }
}

/// See the module's text.
#[derive(Debug)]
pub struct ErrorMetrics {
    /// By transport, then by code.
    told: [Vec<Counter>; 4],
    closed: Vec<Counter>,
    closed_by_peer: Counter,
}

impl ErrorMetrics {
    pub(super) fn new(registry: &mut Registry) -> ErrorMetrics {
        let errors = counters(registry, "tidewire_errors", "Errors sent to clients");
        let told = ["http", "ws", "poll", "sse"].map(|transport| {
            let labels = |code: &Code| vec![("transport", transport.into()), ("code", code.as_str().into())];
            Code::ALL.iter().map(|code| errors.get_or_create_owned(&labels(code))).collect()
        });
        let closes = counters(
            registry,
            "tidewire_closes",
            "Closed sockets, by close code, or `peer` when the client closed it",
        );
        let closed = |code: String| closes.get_or_create_owned(&vec![("code", code.into())]);
        ErrorMetrics {
            told,
            closed: CloseCode::ALL.iter().map(|code| closed(code.number().to_string())).collect(),
            closed_by_peer: closed("peer".to_owned()),
        }
    }

    pub fn told(&self, transport: Via, code: Code) {
        if let Some(counter) = self.told[transport as usize].get(code as usize) {
            counter.inc();
        }
    }

    /// How often an error of this code was sent, on whatever transport.
    pub fn told_of(&self, code: Code) -> u64 {
        self.told.iter().filter_map(|by_code| by_code.get(code as usize)).map(Counter::get).sum()
    }

    /// Errors of every code on one transport.
    pub fn told_in_all(&self, transport: Via) -> u64 {
        self.told[transport as usize].iter().map(Counter::get).sum()
    }

    /// Connections that the server closed, for whatever reason.
    pub fn closed_in_all(&self) -> u64 {
        self.closed.iter().map(Counter::get).sum()
    }

    /// `None`: the peer ended it, or its connection broke.
    pub fn closed(&self, code: Option<CloseCode>) {
        let counter = code.map_or(Some(&self.closed_by_peer), |code| self.closed.get(code as usize));
        if let Some(counter) = counter {
            counter.inc();
        }
    }
}
