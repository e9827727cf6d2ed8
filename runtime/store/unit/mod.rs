//! What one unit does, written once for every backend.

mod transaction;

pub use transaction::{Answered, AnsweredOp, Inserted, NamedRecord, Prefetch, Transaction};
