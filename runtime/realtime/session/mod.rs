//! The session: what one peer is subscribed to and how far it has come. Pure and neutral to the transport: `on` takes what happened
//! and returns what to do; nothing here reads a clock, a store or a socket. It counts what it decides, and never reads a count.
//!
//! The life of a subscription:
//!
//! ```text
//! subscribe ──────────────► Joining ───────────────────────────────────────────► Live
//! subscribe {since} ──► Queued ─► Surveying ─► Following ─► Attaching ──────────► Live
//! subscribe {snapshot} ► Queued ─► Rows ─────► Following ─► Attaching ──────────► Live
//! outbox lagged:  Live ► Queued ─► Surveying ─► Following (or Rows) ─► Attaching ► Live
//! rights changed: Live ► Queued ─► Differing if the person sees something else now (or Rows) ─► Attaching ► Live
//! ```
//!
//! A subscription is bound to what its person may see. Every read reports whether the rights of the person changed since; then
//! nothing of what was read is shown (SEMANTICS R3), and by what the peer has been shown under the old read scope the subscription
//! continues:
//!
//! ```text
//! nothing yet: Joining, Surveying or Rows after a `subscribe` ─► Queued, bound again, the same again
//! a state at a position: Live, Following ─────────► Queued ─► Differing ─► Attaching (or Rows) ─► Live
//! half a snapshot: Rows, Following as its tail ───► Queued, bound again ─► Rows ─► …
//! ```
//!
//! `state.rs` is what a session knows. Above it stand its rules, each of them methods on that state: `frames.rs` (what the peer
//! asks), `reading.rs` (which read is next), `answers.rs` (what became of it) with `resume.rs`, `snapshot.rs`, `replay.rs` and
//! `difference.rs`, `binding.rs` (what the person may see), `attaching.rs`, `reshape.rs` (another schema), `mutated.rs`, `rooms.rs`
//! (messages, which have no position), `leases.rs`, `stream.rs` (an event stream). The ways in are `entry.rs` and
//! `delivery.rs` (what comes out of the outbox).

mod answers;
mod attaching;
mod binding;
mod delivery;
mod difference;
mod entry;
mod frames;
mod input;
mod known_person;
mod leases;
mod liveness;
mod login_end;
mod looked_at;
mod mutated;
mod phase;
mod presence;
mod read_queue;
mod reading;
mod renewal;
mod replay;
mod request;
mod reshape;
mod resume;
mod room_stays;
mod rooms;
mod slots;
mod snapshot;
mod state;
mod stream;
mod subscription;
mod told_trailer;
mod turn;

pub use input::{Effect, Input, LoginStart, Now, Passed, SessionStart, Surroundings};
pub use state::Session;
