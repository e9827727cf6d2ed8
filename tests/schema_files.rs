//! Schema files, from texts to a `Schema` or to everything that is wrong with them.
//!
//! Drives `schema::check` and `schema::load` only; the store's own tests check what it does with a schema.

mod bad_files;
mod describing;
mod editors;
mod good_files;
mod hostile_files;
mod rules;
mod texts;

use tidewire::schema::{Diagnostics, Format, Schema, SourceFile, check};

/// A source as if it had been read from `schemas/<name>`.
fn source(name: &str, text: &str) -> SourceFile {
    let format = if name.ends_with(".json") { Format::Json } else { Format::Toml };
    SourceFile { name: format!("schemas/{name}"), format, text: text.to_owned() }
}

/// The schema of one TOML text that must be right.
fn good(text: &str) -> Schema {
    check(&[source("a.toml", text)]).unwrap_or_else(|errors| panic!("{text}\n{errors}"))
}

/// The errors of sources that must not pass.
fn errors(sources: &[SourceFile]) -> Diagnostics {
    check(sources).expect_err("these sources are wrong")
}

/// The schema files that the first run shows.
fn shipped() -> Vec<SourceFile> {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    tidewire::schema::load(&dir).unwrap_or_else(|errors| panic!("{errors}")).files
}
