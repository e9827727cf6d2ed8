//! `make bench`: how fast the spine is, beside a bare axum echo in the same run.
//!
//! One binary with three lives: started by a person it pins itself to the driver's core; pinned, it starts servers on
//! the other core and drives them over real sockets; with `--serve-echo` it is the echo. It knows Tidewire from
//! outside only: its command line, its HTTP, its `/ws` and its `/sse`, never its modules; the section `rules` alone measures a module by itself. docs/performance.md explains the figures.

mod disk;
mod echo;
mod error;
mod http;
mod lab;
mod load;
mod options;
mod probe;
mod procfs;
mod report;
mod rounds;
mod sections;
mod server;
mod stats;
mod stream;
mod subscriber;
mod tasks_api;
mod wire;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::error::BenchError;
use crate::lab::Lab;
use crate::options::{Options, Start};
use crate::report::Report;

/// The same allocator as the `tidewire` binary, so that the echo is a fair floor.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Set in the environment of the pinned driver, so that it does not pin itself again.
const PINNED: &str = "SPINE_PINNED";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            report::say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, BenchError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match Start::parse(&arguments)? {
        Start::Help => {
            report::say(options::HELP);
            Ok(ExitCode::SUCCESS)
        }
        Start::ServeEcho => echo::serve().map(|()| ExitCode::SUCCESS),
        Start::Drive(options) if std::env::var_os(PINNED).is_none() => Err(pin(&arguments, options)),
        Start::Drive(options) => drive(options),
    }
}

/// Replaces this process by itself under `taskset`; returns only if that failed.
fn pin(arguments: &[String], options: Options) -> BenchError {
    let driver = match Lab::open(options) {
        Ok(lab) => lab.cores.driver,
        Err(error) => return error,
    };
    let itself = match std::env::current_exe() {
        Ok(path) => path,
        Err(source) => return BenchError::io("find the path of this program", source),
    };
    let core = driver.to_string();
    let source =
        Command::new("taskset").arg("-c").arg(core).arg(itself).args(arguments).env(PINNED, "1").exec();
    BenchError::Setup(format!("cannot start `taskset` ({source}); it comes with the package util-linux"))
}

fn drive(options: Options) -> Result<ExitCode, BenchError> {
    let lab = Lab::open(options)?;
    let mut report = Report::new(&lab);
    lab.introduce(&mut report)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .map_err(|source| BenchError::io("start the driver's runtime", source))?;
    runtime.block_on(sections::run_all(&lab, &mut report));
    report.finish(&lab)
}
