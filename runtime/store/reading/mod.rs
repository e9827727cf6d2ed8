//! The product's rules of reads, written once for every backend against `trait Snapshot`: what a person sees of a record, a
//! list, a count, a history, the activity, and what changes for a subscriber whose rights changed.
//!
//! Knows no statement and no connection.

mod activity;
pub mod advice;
pub mod asked;
pub mod asker;
mod columns;
mod count;
mod differ;
mod expansion;
mod find;
mod history;
mod history_view;
mod list;
pub mod snapshot;

use super::At;
use super::relations::Relations;

/// One read transaction and what reads in it go by.
pub struct SnapshotReads<'a, S> {
    pub snapshot: &'a S,
    pub relations: &'a Relations,
    /// The position of the transaction.
    pub at: &'a At<()>,
    /// Rows that a list or a count may step over.
    pub scan_rows: u64,
}
