//! Presence: who is at which resource. A user is present while any of their connections is.
//!
//! ```text
//! frame ─► Presence (handle) ─► [queue] ─► presence_task ─► PresenceTracker::on ─► judge (reads rights)
//!                                              │ outputs               ▲ judgement, commits, the clock
//!                                              ▼
//!                             outbox of each receiver: one buffer for all who get the same
//! ```
//!
//! `PresenceTracker` is pure; `presence_task.rs` performs what it says. Knows no socket and no session.

mod agenda;
mod attendee;
mod entry;
mod frames;
mod input;
mod judge;
mod limits;
mod output;
mod place;
mod presence_task;
mod record_facts;
mod seen;
mod tracker;
mod watcher;

pub use attendee::{AttendeeKey, Departure, Proof, Visitor};
pub use input::{
    Ask, Grant, Ground, PlaceKey, PresenceClock, PresenceInput, PresenceVerdict, TouchedPresence,
};
pub use judge::PresenceJudge;
pub use limits::PresenceLimits;
pub use output::{PresenceChange, PresenceOutput, PresenceRefusal, ReceiverName, SyncReceiver};
pub use presence_task::{Look, LookedUp, Presence, PresenceBusy, PresenceReceiver};
pub use seen::{PresenceCounts, SeenUser};
pub use tracker::{PlaceSize, PresenceTracker, TrackerSize};
