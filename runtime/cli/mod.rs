//! The subcommands of the program, one file each.
//!
//! `arguments.rs` parses; a subcommand takes values and answers with an exit code.

pub mod arguments;
pub mod check;
mod demo;
pub mod dev;
mod log;
pub mod migrate;
pub mod schema;
mod watch;
