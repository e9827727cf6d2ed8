//! `tidewire config`: the effective settings and where each comes from. Also the one way in which subcommands read settings.
//!
//! Opens nothing and listens nowhere.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use serde_json::json;

use super::USAGE;
use super::arguments::ConfigArguments;
use super::settings::{self, DEFAULT_FILE, Given, SETTINGS, Settings};
use crate::schema::Color;

/// Prints. Exit code 2 when the settings are wrong.
pub fn run(arguments: &ConfigArguments) -> ExitCode {
    let text = if arguments.docs {
        settings::document()
    } else {
        match effective(arguments.settings.given()) {
            Ok(settings) if arguments.json => as_json(&settings),
            Ok(settings) => as_text(&settings),
            Err(code) => return code,
        }
    };
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// The settings, with warnings on stderr; or, after printing every error there, the exit code.
pub(super) fn effective(given: &Given) -> Result<Settings, ExitCode> {
    let mut stderr = std::io::stderr();
    let color = color_of_stderr();
    match settings::load(given, std::env::vars_os()) {
        Ok(settings) => {
            let _ = stderr.write_all(settings.warnings.warnings(color).as_bytes());
            Ok(settings)
        }
        Err(faults) => {
            let _ = stderr.write_all(faults.errors(color).as_bytes());
            Err(ExitCode::from(USAGE))
        }
    }
}

/// Colours for a terminal whose user did not refuse them.
pub(super) fn color_of_stderr() -> Color {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && std::io::stderr().is_terminal() { Color::Always } else { Color::Never }
}

fn as_text(settings: &Settings) -> String {
    let rows: Vec<(&str, String, String)> = SETTINGS
        .iter()
        .map(|setting| {
            let (value, origin) = (setting.read(&settings.config), settings.origin(setting));
            (setting.name, value.to_string(), origin.to_string())
        })
        .collect();
    let name_width = rows.iter().map(|(name, _, _)| name.len()).max().unwrap_or(0);
    let value_width = rows.iter().map(|(_, value, _)| value.chars().count()).max().unwrap_or(0).min(40);
    let mut text = match &settings.file {
        Some(file) => format!("# settings file: {}\n", file.display()),
        None => format!("# no settings file: there is no {DEFAULT_FILE} here\n"),
    };
    for (name, value, origin) in rows {
        let _ = writeln!(text, "{name:name_width$} = {value:value_width$}  # {origin}");
    }
    text
}

fn as_json(settings: &Settings) -> String {
    let rows: Vec<serde_json::Value> = SETTINGS
        .iter()
        .map(|setting| {
            json!({
                "name": setting.name,
                "value": setting.read(&settings.config).to_json(),
                "origin": settings.origin(setting).to_string(),
                "variable": setting.variable(),
            })
        })
        .collect();
    format!("{:#}\n", serde_json::Value::from(rows))
}
