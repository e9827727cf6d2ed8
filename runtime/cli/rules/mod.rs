//! `tidewire rules`: `test` runs the cases that stand beside the schema files, `why` asks about a record of a data folder.
//!
//! Both ask the rules as the server does; neither writes anything.

mod cases;
mod file;
mod scene;
mod told;
mod trial;
mod why;

use std::process::ExitCode;

use super::arguments::Rules;

pub fn run(command: &Rules) -> ExitCode {
    match command {
        Rules::Test(arguments) => trial::run(arguments),
        Rules::Why(arguments) => why::run(arguments),
    }
}
