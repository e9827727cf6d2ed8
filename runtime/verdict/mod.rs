//! Whether a user may do something with a record, and why: the questions of a request, asked of records that anyone brings along, a
//! file of cases, a data folder or a running server.
//!
//! Reads and writes nothing: `World` says what records there are.

mod judging;
mod world;

pub use judging::{JudgedRule, Question, Reason, RuleVerdict, judge};
pub use world::{USER, World, copy_lookups, principal};
