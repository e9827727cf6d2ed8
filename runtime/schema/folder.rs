//! A folder of schema files to texts: which files count, how large they may be.
//!
//! Knows no TOML, no JSON and no entity. Reads files, writes none.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::diagnostics::{Diagnostic, DiagnosticCode, DiagnosticSink};
use super::message::quoted;
use super::source::{Format, SourceFile};

/// Largest schema file in bytes.
pub const LARGEST_FILE: u64 = 1 << 20;

/// Most schema files in a folder: one for each entity and one for `User`.
pub const MOST_FILES: usize = 201;

/// Reads every `*.toml` and `*.json` directly in `dir`, in the order of their names; names that begin with a dot are
/// left out. What cannot be read becomes a problem in `report`.
pub(super) fn read_folder(dir: &Path, report: &mut DiagnosticSink) -> Vec<SourceFile> {
    let paths = match schema_paths(dir) {
        Ok(paths) => paths,
        Err(error) => {
            report.add_file(dir.display().to_string());
            report.add(0, no_folder(dir, &error));
            return Vec::new();
        }
    };
    if paths.len() > MOST_FILES {
        report.add_file(dir.display().to_string());
        let message = format!("{} schema files, and at most {MOST_FILES} are read", paths.len());
        report.add(
            0,
            Diagnostic::new(DiagnosticCode::TooMany, 0..0, message).help("remove some from the folder"),
        );
        return Vec::new();
    }
    let mut sources = Vec::with_capacity(paths.len());
    for (path, format) in paths {
        let name = path.display().to_string();
        match read_text(&path) {
            Ok(text) => sources.push(SourceFile { name, format, text }),
            Err(problem) => {
                let file = report.add_file(name);
                report.add(file, problem);
            }
        }
    }
    sources
}

fn schema_paths(dir: &Path) -> std::io::Result<Vec<(PathBuf, Format)>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if let (Some(format), false, true) = (Format::of(&path), hidden, path.is_file()) {
            paths.push((path, format));
        }
    }
    paths.sort_by(|(left, _), (right, _)| left.cmp(right));
    Ok(paths)
}

fn no_folder(dir: &Path, error: &std::io::Error) -> Diagnostic {
    let shown = quoted(&dir.display().to_string());
    let (message, help) = if error.kind() == ErrorKind::NotFound {
        let help = "`tidewire new NAME` makes a new folder; or create this one with one file per entity (docs/schema.md), or name another with --schemas DIR";
        (format!("there is no schema folder {shown}"), help)
    } else if error.kind() == ErrorKind::NotADirectory {
        (format!("{shown} is not a folder"), "--schemas names the folder of the schema files")
    } else {
        (format!("the schema folder {shown} cannot be read: {error}"), "check its owner and permissions")
    };
    Diagnostic::new(DiagnosticCode::NoFolder, 0..0, message).help(help)
}

fn read_text(path: &Path) -> Result<String, Diagnostic> {
    let unreadable = |error: std::io::Error| {
        Diagnostic::new(DiagnosticCode::Unreadable, 0..0, format!("this file cannot be read: {error}"))
            .help("check its owner and permissions")
    };
    // One byte over the limit is read to see that there is more: the size that the folder tells may be out of date.
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > LARGEST_FILE {
        let message = format!("this file is larger than {LARGEST_FILE} bytes");
        return Err(
            Diagnostic::new(DiagnosticCode::TooLarge, 0..0, message).help("one file describes one entity")
        );
    }
    match String::from_utf8(bytes) {
        // Some editors begin a file with a byte order mark, which is no part of its text.
        Ok(text) => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
        Err(error) => Err(not_utf8(error.as_bytes(), error.utf8_error().valid_up_to())),
    }
}

fn not_utf8(bytes: &[u8], at: usize) -> Diagnostic {
    let line = 1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count();
    Diagnostic::new(DiagnosticCode::NotUtf8, 0..0, format!("line {line} of this file is not UTF-8"))
        .help("save the file as UTF-8 in your editor")
}
