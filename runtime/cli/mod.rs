//! The subcommands of the program, one file each.
//!
//! `arguments.rs` parses, `settings/` reads what a user set; a subcommand takes values and answers with an exit code.

pub mod arguments;
pub mod check;
pub mod config;
mod demo;
mod descriptors;
pub mod dev;
pub mod doctor;
pub mod examples;
pub mod explain;
pub mod export;
mod faults;
mod formats;
pub mod import;
mod loading;
mod log;
pub mod migrate;
pub mod new;
mod output;
mod progress;
pub mod records;
pub mod rules;
pub mod schema;
pub mod serve;
pub mod settings;
mod stream;
pub mod token;
pub mod user;
mod watch;
pub mod why;

/// Exit code for wrong arguments and wrong settings, as clap has it.
const USAGE: u8 = 2;
