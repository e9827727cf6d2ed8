//! The program: arguments in, a subcommand run, its exit code out.

use std::process::ExitCode;

use clap::Parser;
use tidewire::cli::arguments::{Arguments, CliCommand};
use tidewire::cli::{
    check, config, dev, doctor, explain, export, import, migrate, new, records, rules, schema, serve, token,
    user, why,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(CliCommand::Check(arguments)) => check::run(&arguments),
        Some(CliCommand::Config(arguments)) => config::run(&arguments),
        Some(CliCommand::Dev(arguments)) => dev::run(&arguments),
        Some(CliCommand::Doctor(arguments)) => doctor::run(&arguments),
        Some(CliCommand::Explain(arguments)) => explain::run(&arguments),
        Some(CliCommand::Schema(arguments)) => schema::run(&arguments.form),
        Some(CliCommand::Export(arguments)) => export::run(&arguments),
        Some(CliCommand::Import(arguments)) => import::run(&arguments),
        Some(CliCommand::Migrate(arguments)) => migrate::run(&arguments),
        Some(CliCommand::Records(arguments)) => records::run(&arguments.command),
        Some(CliCommand::Rules(arguments)) => rules::run(&arguments.command),
        Some(CliCommand::Serve(arguments)) => serve::run(&arguments),
        Some(CliCommand::Token(arguments)) => token::run(&arguments.command),
        Some(CliCommand::User(arguments)) => user::run(&arguments.command),
        Some(CliCommand::New(arguments)) => new::run(&arguments),
        Some(CliCommand::Why(arguments)) => why::run(&arguments),
        None => dev::run(&arguments.dev),
    }
}
