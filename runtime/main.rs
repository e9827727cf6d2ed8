//! The program: arguments in, a subcommand run, its exit code out.

use std::process::ExitCode;

use clap::Parser;
use tidewire::cli::arguments::{Arguments, Command};
use tidewire::cli::{check, dev};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Check(check)) => check::run(&check.schemas, check.json),
        Some(Command::Dev(arguments)) => dev::run(&arguments),
        // `tidewire` alone is `tidewire dev`, environment variables included.
        None => match Arguments::parse_from(["tidewire", "dev"]).command {
            Some(Command::Dev(arguments)) => dev::run(&arguments),
            Some(Command::Check(_)) | None => ExitCode::FAILURE,
        },
    }
}
