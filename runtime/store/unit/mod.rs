//! What one unit does, written once for every backend: idempotency, visibility, rules, versions, references, cascades, lookups,
//! numbers, rights, log entries.
//!
//! Knows no backend: it asks `Source` and writes to a `Transaction`. It commits nothing and takes nothing back.

mod cascade;
mod caused;
mod context;
mod create;
mod delete;
mod end_checks;
mod facts;
mod fault;
mod idempotency;
mod keys;
mod leases;
mod lookups;
mod many;
mod permission;
mod prefetch;
mod propagation;
mod rights;
mod sequences;
mod transaction;
mod triggers;
mod unit_log;
mod update;
mod work;
mod writes;

pub use context::UnitContext;
pub use end_checks::Judged;
pub use fault::Fault;
pub use prefetch::{NamedRecord, Prefetch};
pub use rights::found_again;
pub use transaction::{Answered, AnsweredOp, Counter, Inserted, Transaction};
pub use unit_log::UnitMark;
pub use work::{AppliedUnit, Work, apply, may_fail_after_writing};
