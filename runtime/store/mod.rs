//! The store: commit a unit, read at a position, read the log after a seq. One ordered change log, written in
//! the transaction of the rows (G1), acknowledged when durable (G2).
//!
//! Does not know HTTP, channels or connections. Every backend runs `tests/store_conformance.rs`.

pub mod activity;
mod asked;
mod at;
mod backend;
pub mod choice;
mod contract;
mod decode;
mod error;
mod evidence;
mod export;
mod glance;
mod images;
pub mod import;
pub mod inspection;
mod lease;
mod log;
mod lookups;
pub mod migration;
mod opening;
mod operation;
mod past_rows;
mod person_stamps;
pub mod principal;
mod query;
pub mod reading;
pub mod relations;
mod rows;
pub mod source;
mod sql;
pub mod sqlite;
mod stored;
pub mod unit;
pub mod vault;

pub use crate::rules::{Condition, Test};
pub use crate::schema::Column;
pub use activity::{
    ActivityEntry, ActivityPage, ActivityQuery, ActivityScope, ActivitySight, MOST_LOOKED_AT,
};
pub use asked::{Differ, Difference, Step, Steps, Survey, Who};
pub use at::At;
pub use backend::{Backend, DatabaseInfo, LiveStore, Looked};
pub use contract::{ReadFuture, Store};
pub use decode::record_of;
pub use error::{CommitError, Hidden, StoreError};
pub use evidence::{Evidence, RefusalFinding, RuleEvidence, Witness};
pub use export::{ExportError, Exported, Sink};
pub use glance::{Glance, GlanceRecords};
pub use lease::{Lease, LeaseAct, LeaseOp, LeaseProof, LeaseStanding, LeaseState, LeaseStep, RecordLease};
pub use log::{Change, ChangeCause, ChangeOp, CommitBatch, LogLimit, LogPage, Past, Scope};
pub use opening::{Evolved, Migrated, OpenError, OpenReport, Opened};
pub use operation::{Idempotency, Many, ManyEdit, Op, OpResult, OpStatus, Outcome, Tally, Unit};
pub use query::{
    Advice, Count, Counted, Direction, Expand, ListCursor, ListPage, Listed, MOST_GROUPS, Query, Related,
    SortBy,
};
pub use rows::{Decoded, Rows};
pub use stored::Stored;
