//! `tidewire schema`: prints the JSON Schema of schema files, or what a server over them would describe.
//!
//! Opens no database and listens nowhere.

use std::io::Write;
use std::process::ExitCode;

use super::arguments::{SchemaForm, SchemaFormArguments};
use super::config::{color_of_stderr, effective};
use super::settings::Settings;
use crate::http::openapi::openapi;
use crate::schema::{self, Schema};

/// Prints to standard output. Exit code 1 when the schema files have errors, which are printed as `tidewire check`
/// prints them; 2 when the settings are wrong.
pub fn run(form: &SchemaForm) -> ExitCode {
    let text = match form {
        SchemaForm::JsonSchema => Ok(format!("{:#}\n", schema::json_schema())),
        SchemaForm::Openapi(of) => {
            read(of).map(|(schema, settings)| openapi(&schema, &settings.config.http).to_pretty_text())
        }
        SchemaForm::Types(of) => read(of).map(|(schema, _)| schema::typescript(&schema)),
    };
    match text {
        Ok(text) => {
            // A reader that went away, as `head` does, has what it wants.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

/// The schema and the settings; or, after printing the errors of either on stderr, the exit code.
fn read(arguments: &SchemaFormArguments) -> Result<(Schema, Settings), ExitCode> {
    let settings = effective(arguments.settings.given())?;
    match schema::load(&settings.config.schemas) {
        Ok(loaded) => Ok((loaded.schema, settings)),
        Err(errors) => {
            let _ = std::io::stderr().write_all(errors.render(color_of_stderr()).as_bytes());
            Err(ExitCode::FAILURE)
        }
    }
}
