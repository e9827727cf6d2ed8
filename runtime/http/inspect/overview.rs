//! Numbers of one moment: queues, the log, delays, limits that were reached.

use serde_json::{Map, Value, json};

use crate::http::problem::Problem;
use crate::http::state::AppState;
use crate::metrics::Percentiles;
use crate::protocol::Code;

/// Codes that say that a limit was reached.
const LIMITS: [Code; 18] = [
    Code::RateLimited,
    Code::ConnectionLimit,
    Code::SubscriptionLimit,
    Code::QueryLimit,
    Code::PresenceLimit,
    Code::LeaseLimit,
    Code::RuleLimit,
    Code::QueryTooBroad,
    Code::BodyTooLarge,
    Code::FrameTooLarge,
    Code::MessageTooLarge,
    Code::UnitTooLarge,
    Code::CascadeTooLarge,
    Code::TooManyLogins,
    Code::Overloaded,
    Code::StorageFull,
    Code::ReadOnly,
    Code::StorageDamaged,
];

pub(super) async fn overview(state: &AppState) -> Result<Value, Problem> {
    let head = state.repository.head().await?;
    let sessions = state.sessions.clone();
    let numbers = tokio::task::spawn_blocking(move || json!({"stats": sessions.stats()})).await;
    let mut json = numbers.map_err(|failed| Problem::internal(failed.to_string()))?;
    let now = state.sessions.moment();
    let live = &state.metrics.live;
    let Percentiles { p50, p95, p99, samples } = live.delays.percentiles();
    let store = &state.config.store;
    json["now"] = state.env.now().rfc3339().into();
    json["log"] = json!({
        "head": head.seq.0,
        "floor": head.floor.0,
        "changes": head.seq.0 - head.floor.0,
        "aboutBytes": state.repository.log_bytes(head.floor, head.seq).await?,
        "retentionChanges": store.retention_changes,
        "retentionSeconds": store.retention_age.as_secs(),
    });
    json["queues"] = json!({
        "commands": now.commands,
        "reads": now.reads,
        "eventBus": live.backlog.get(),
        "ringChanges": now.ring_changes,
        "ringBytes": now.ring_bytes,
        "outboxBatches": now.outbox_batches,
        "outboxBytes": now.outbox_bytes,
    });
    json["delay"] = json!({"p50": p50, "p95": p95, "p99": p99, "batches": samples});
    json["refusals"] = state.sessions.refusals().count().into();
    let reached = LIMITS.iter().map(|code| (*code, state.metrics.errors.told_of(*code)));
    let reached: Map<String, Value> = reached
        .filter(|(_, times)| *times > 0)
        .map(|(code, times)| (code.as_str().to_owned(), times.into()))
        .collect();
    json["limits"] = reached.into();
    Ok(json)
}
