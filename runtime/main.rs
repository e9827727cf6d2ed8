//! The program: arguments in, a subcommand run, its exit code out.

use std::process::ExitCode;

use clap::Parser;
use tidewire::cli::arguments::{Arguments, Command};
use tidewire::cli::{check, config, dev, doctor, explain, export, import, migrate, new, rules, schema};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Check(arguments)) => check::run(&arguments),
        Some(Command::Config(arguments)) => config::run(&arguments),
        Some(Command::Dev(arguments)) => dev::run(&arguments),
        Some(Command::Doctor(arguments)) => doctor::run(&arguments),
        Some(Command::Explain(arguments)) => explain::run(&arguments),
        Some(Command::Schema(arguments)) => schema::run(&arguments.form),
        Some(Command::Export(arguments)) => export::run(&arguments),
        Some(Command::Import(arguments)) => import::run(&arguments),
        Some(Command::Migrate(arguments)) => migrate::run(&arguments),
        Some(Command::Rules(arguments)) => rules::run(&arguments.command),
        Some(Command::New(arguments)) => new::run(&arguments),
        None => dev::run(&arguments.dev),
    }
}
