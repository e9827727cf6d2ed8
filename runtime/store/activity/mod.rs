//! The activity: what happened, as a user may know of it, and no values (SEMANTICS X6). What it is asked, by which rights an
//! entry is judged, and what an entry says.
//!
//! Pages over HTTP, snapshots, replays and live entries of the channel ask the same `ActivityScope`. Knows neither how the log is
//! kept nor how it is walked.

mod entry;
mod query;
mod scope;

pub use entry::ActivityEntry;
pub use query::{ActivityPage, ActivityQuery, ActivitySight, MOST_LOOKED_AT};
pub use scope::ActivityScope;
