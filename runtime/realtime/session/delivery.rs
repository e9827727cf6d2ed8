//! `Delivery`: how far the outbox has come for all live subscriptions together.

use crate::ids::Seq;
use crate::metrics::GaugeGuard;
use crate::outbox::Lag;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    pub(super) lag: Lag,
    /// Every live subscription under `lag` has been sent everything up to here.
    pub(super) swept: Seq,
    /// From falling behind until every channel is live again.
    pub(super) catching_up: Option<GaugeGuard>,
}
