//! `tidewire schema`: prints the JSON Schema of schema files, or what a server over them would describe.
//!
//! Opens no database and listens nowhere.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use super::arguments::SchemaForm;
use crate::config::HttpConfig;
use crate::http::openapi::openapi;
use crate::schema::{self, Color, Schema};

/// Prints to standard output. Exit code 1 when the schema files have errors, which are printed as `tidewire check`
/// prints them.
pub fn run(form: &SchemaForm) -> ExitCode {
    match text(form) {
        Ok(text) => {
            // A reader that went away, as `head` does, has what it wants.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(errors) => {
            let _ = std::io::stderr().write_all(errors.as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn text(form: &SchemaForm) -> Result<String, String> {
    match form {
        SchemaForm::JsonSchema => Ok(format!("{:#}\n", schema::json_schema())),
        SchemaForm::Openapi(of) => Ok(openapi(&read(&of.schemas)?, &HttpConfig::default()).to_pretty_text()),
        SchemaForm::Types(of) => Ok(schema::typescript(&read(&of.schemas)?)),
    }
}

fn read(schemas: &Path) -> Result<Schema, String> {
    let color = if std::io::stderr().is_terminal() { Color::Always } else { Color::Never };
    schema::load(schemas).map(|loaded| loaded.schema).map_err(|errors| errors.render(color))
}
