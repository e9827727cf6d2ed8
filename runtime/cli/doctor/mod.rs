//! `tidewire doctor`: one line for each thing that must be right, and what to do where it is not.
//!
//! Changes nothing that lasts: what it tries out it takes away again.

mod finding;
mod machine;
mod project;
mod refusal;
mod remote;
mod socket;
mod stream;
mod verdict;

use std::io::Write;
use std::process::ExitCode;

use tokio::time::Instant;

use self::finding::{Finding, Severity};
use super::USAGE;
use super::arguments::DoctorArguments;
use super::check::count as in_words;
use super::config::effective;
use super::settings::Settings;
use crate::env::Env;

/// Exit code 1 when an error was found, 2 for wrong settings or a URL that is none.
pub fn run(arguments: &DoctorArguments) -> ExitCode {
    let settings = match effective(arguments.settings.given()) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let target = match arguments.url.as_deref().map(remote::ServerAddress::parse).transpose() {
        Ok(target) => target,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "error: {message}");
            return ExitCode::from(USAGE);
        }
    };
    let env = Env::system();
    let (wall, steady) = (env.now(), Instant::now());
    let mut findings = Vec::new();
    if target.is_some() && !project::is_here(&settings) {
        findings.push(Finding::ok("project", "there is none in this folder: only the URL is checked"));
    } else {
        local(&settings, &env, &mut findings);
    }
    if let Some(target) = target {
        findings.extend(remote::check(&target, arguments.wait, &env));
    }
    findings.extend(machine::jumped(wall, env.now(), steady.elapsed()));
    tell(&findings)
}

fn local(settings: &Settings, env: &Env, findings: &mut Vec<Finding>) {
    let config = &settings.config;
    if let Some(file) = &settings.file {
        findings.push(Finding::ok("settings", format!("{} was read", file.display())));
    }
    findings.push(project::schemas(&config.schemas));
    let data = project::data(config);
    findings.extend(data.findings);
    findings.push(machine::port(config.listen, data.server));
    findings.push(machine::descriptors(config));
    findings.push(machine::clock(env.now(), data.newest));
}

/// Prints; the exit code is 1 when there is an error.
fn tell(findings: &[Finding]) -> ExitCode {
    let mut text = String::new();
    findings.iter().for_each(|finding| text.push_str(&finding.to_string()));
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let (errors_told, warnings_told) =
        (in_words(errors, "error", "errors"), in_words(warnings, "warning", "warnings"));
    text.push_str(&format!("\n{errors_told}, {warnings_told}\n"));
    let _ = std::io::stdout().write_all(text.as_bytes());
    if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
