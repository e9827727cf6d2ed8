//! Live connections: a pure session decides, the loop of a connection performs, a transport carries; resume and replay
//! are the same for every transport.
//!
//! Knows no HTTP: `http/ws.rs` and `http/changes.rs` bring the socket or the question.

mod activity_channel;
mod attendance;
pub mod channel;
pub mod connection;
pub mod credential;
mod doorway;
pub mod event_stream;
pub mod greeting;
pub mod lease_book;
pub mod leases;
pub mod lifecycle;
mod long_poll;
pub mod mutations;
pub mod offenders;
pub mod pieces;
pub mod places;
mod poll_line;
pub mod poll_session;
pub mod polls;
pub mod rate;
pub mod read;
pub mod reader;
pub mod remote_sessions;
pub mod resume;
pub mod rooms;
pub mod roster;
pub mod session;
pub mod sessions;
pub mod subscription_row;
pub mod transport;
pub mod websocket;
pub mod websocket_manager;

pub use credential::Arrived;
pub use greeting::NotAdmitted;
pub use poll_line::{Collected, NotSent, PollLine};
pub use polls::{AskedChannel, PollAnswer, PollFault, PollQuestion};
pub use reader::LiveReader;
pub use roster::{Expulsion, RosterRow};
pub use session::Surroundings;
pub use sessions::Sessions;
pub use websocket_manager::WebSocketManager;
