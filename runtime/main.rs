//! The program: arguments in, a subcommand run, its exit code out.

use std::process::ExitCode;

use clap::Parser;
use tidewire::cli::arguments::{Arguments, Command};
use tidewire::cli::{check, dev, migrate, schema};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Check(check)) => check::run(&check.schemas, check.json),
        Some(Command::Schema(arguments)) => schema::run(&arguments.form),
        Some(Command::Migrate(arguments)) => migrate::run(&arguments),
        Some(Command::Dev(dev)) => dev::run(&dev),
        None => dev::run(&arguments.dev),
    }
}
