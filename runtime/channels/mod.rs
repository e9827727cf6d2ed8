//! Subscriptions: which connection receives which change. ChannelManager owns every group; the ring keeps
//! recent batches.
//!
//! Knows no socket and no frame of a client: `realtime` decides what is attached, and when.

mod appending;
pub mod attach;
pub mod channel_manager;
mod coalesce;
pub mod encode;
pub mod event;
mod few;
pub mod group;
pub mod groups;
mod index;
mod key;
pub mod looked_at;
pub mod note;
mod paces;
pub mod rights;
pub mod ring;
mod runs;
pub mod sight;
mod tails;
pub mod units;
mod waiters;
mod watched;
mod writer;

pub use attach::{Admission, Attach, AttachFrom, Watch};
pub use channel_manager::{ChannelManager, Channels};
pub use event::{Event, judge};
pub use note::{AttachmentId, Drained, Events, InvalidationCause, Item, Membership, Note, Outbox};
pub use ring::Ring;
pub use sight::Sight;
pub use units::{UnitEvent, judge_first};
