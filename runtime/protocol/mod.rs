//! What goes over the wire: frames, channel names, encoding, the one table of codes.
//!
//! Knows entities by name only; knows no connection, no store and no HTTP.

pub mod codes;

pub use codes::{CloseCode, Code, Retry};
