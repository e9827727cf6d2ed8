//! The subcommands of the program, one file each.
//!
//! Parsing of arguments is the program's business; a subcommand takes values and answers with an exit code.

pub mod check;
