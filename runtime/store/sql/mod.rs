//! The SQL that every dialect shares: a predicate as `WHERE`, the stretches of a list, counts, what moved in or out of sight.
//!
//! Makes texts and gathers what they bind. Knows no connection and no table beyond its columns; how a database writes what
//! dialects do not share is a `Dialect`'s.

mod dialect;
mod statement;
mod stretches;
mod terms;

#[cfg(test)]
pub(in crate::store) use dialect::tests::PostgresTexts;
pub(in crate::store) use dialect::{Dialect, ItemKind, TextKind};
pub(in crate::store) use statement::Statement;
pub(in crate::store) use stretches::{Stretch, order, stretches};
pub(in crate::store) use terms::Terms;
