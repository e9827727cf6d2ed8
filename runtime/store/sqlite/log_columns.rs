//! The columns of a log entry, in the order in which `log.rs` reads them.
//!
//! Knows no statement.

macro_rules! columns {
    () => {
        r#""seq", "at", "unit_last", "generation", "op", "entity", "id", "actor", "mid", "changed", "before", "after""#
    };
}
pub(super) use columns;

pub(super) const COLUMNS: &str = columns!();
