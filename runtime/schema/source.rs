//! The text of one schema file, and its format.
//!
//! Knows no TOML, no JSON and no folder.

use std::path::Path;

/// The text of one schema file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// As it is shown in errors: `schemas/task.toml`.
    pub name: String,
    pub format: Format,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Toml,
    Json,
}

impl Format {
    /// By the file's ending, `None` for a file that is no schema.
    pub fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()? {
            "toml" => Some(Format::Toml),
            "json" => Some(Format::Json),
            _ => None,
        }
    }
}
