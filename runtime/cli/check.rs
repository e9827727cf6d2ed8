//! `tidewire check`: what the schema files describe, or everything that is wrong with them.
//!
//! Opens no database and listens nowhere.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use super::arguments::CheckArguments;
use super::config::{color_of_stderr, effective};
use crate::config::Config;
use crate::schema::{self, Color, Diagnostics, Loaded};

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text(Color),
    /// An array of diagnostics; empty when nothing is wrong.
    Json,
}

/// What a check says on both streams, and whether the files are without errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOutput {
    pub stdout: String,
    pub stderr: String,
    pub clean: bool,
}

/// Checks the folder and prints. Exit code 0 without errors, 1 with, 2 when the settings are wrong.
pub fn run(arguments: &CheckArguments) -> ExitCode {
    let settings = match effective(arguments.settings.given()) {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let form = if arguments.json { Form::Json } else { Form::Text(color_of_stderr()) };
    let verdict = judge_with(&settings.config, form);
    // A reader that went away, as `head` does, leaves the verdict as it is.
    let _ = std::io::stderr().write_all(verdict.stderr.as_bytes());
    let _ = std::io::stdout().write_all(verdict.stdout.as_bytes());
    if verdict.clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Checks the folder and the rules of the settings for names, without printing.
fn judge_with(config: &Config, form: Form) -> CheckOutput {
    let loaded = schema::load(&config.schemas).and_then(|loaded| {
        schema::with_names(loaded.schema.clone(), &config.presence, &config.rooms)?;
        Ok(loaded)
    });
    verdict(&config.schemas, &loaded, form)
}

/// Checks the folder without printing.
pub fn judge(schemas: &Path, form: Form) -> CheckOutput {
    verdict(schemas, &schema::load(schemas), form)
}

fn verdict(schemas: &Path, loaded: &Result<Loaded, Diagnostics>, form: Form) -> CheckOutput {
    let clean = loaded.is_ok();
    let (stdout, stderr) = match (loaded, form) {
        (Ok(loaded), Form::Json) => (json_text(&loaded.warnings), String::new()),
        (Err(errors), Form::Json) => (json_text(errors), String::new()),
        (Ok(loaded), Form::Text(color)) => (found(schemas, loaded), loaded.warnings.render(color)),
        (Err(errors), Form::Text(color)) => (String::new(), errors.render(color) + &counted(errors)),
    };
    CheckOutput { stdout, stderr, clean }
}

fn json_text(diagnostics: &Diagnostics) -> String {
    format!("{:#}\n", diagnostics.to_json())
}

fn counted(errors: &Diagnostics) -> String {
    let count = match errors.len() {
        1 => "1 error".to_owned(),
        count => format!("{count} errors"),
    };
    match errors.codes().next() {
        Some(code) => format!("{count}; `tidewire explain {}` says more\n", code.as_str()),
        None => count + "\n",
    }
}

/// One line for each entity, and the count.
fn found(schemas: &Path, loaded: &Loaded) -> String {
    let entities: Vec<_> = loaded.schema.entities().collect();
    let name_width = entities.iter().map(|entity| entity.name.len()).max().unwrap_or(0);
    let plural_width = entities.iter().map(|entity| entity.plural.len()).max().unwrap_or(0);
    let mut text = format!("{}: {}\n", schemas.display(), count(loaded.files.len(), "file", "files"));
    for entity in &entities {
        let fields = count(entity.fields.len(), "field", "fields");
        let line = format!("  {:name_width$}  /api/{:plural_width$}  {fields}", entity.name, entity.plural);
        writeln!(text, "{line}").expect("a String takes every text");
    }
    text + &format!("{}, no errors\n", count(entities.len(), "entity", "entities"))
}

pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}
