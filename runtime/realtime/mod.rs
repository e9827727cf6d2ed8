//! Live connections: WebSocketManager accepts them, a pure session decides, a task performs; resume and replay are
//! the same for every transport.
//!
//! Knows no HTTP: `http/ws.rs` and `http/changes.rs` bring the socket or the question.

pub mod channel;
pub mod connection;
pub mod offenders;
pub mod poll;
pub mod rate;
pub mod read;
pub mod reader;
pub mod resume;
pub mod session;
pub mod websocket_manager;

pub use poll::{PollAnswer, PollFault, PollQuestion};
pub use reader::Reader;
pub use session::Surroundings;
pub use websocket_manager::{Refused, WebSocketManager};
