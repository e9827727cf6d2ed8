//! `tidewire new NAME`: a folder to begin with: the schema files and the page of an example or a nearly empty one, and every
//! setting as a comment.
//!
//! Writes only into a folder that is missing or empty, and all of it or nothing.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use super::USAGE;
use super::arguments::{NewArguments, Template};
use super::examples::{Example, ProjectFile, write_new};
use super::settings;
use crate::draft::{self, DraftFolder, folder_of, sync_folder};
use crate::schema::message::quoted;

/// The data folder holds what people write, not what the project is.
const GITIGNORE: &str = "/data/\n";

/// Why no folder was made.
enum NotCreated {
    BadName(String),
    Failed(String),
}

/// Exit code 1 when the folder cannot be made, 2 for a name that is none.
pub fn run(arguments: &NewArguments) -> ExitCode {
    match make(&arguments.name, arguments.template) {
        Ok(()) => {
            let text = done(&arguments.name, arguments.template);
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(NotCreated::BadName(message)) => refused(&message, USAGE),
        Err(NotCreated::Failed(message)) => refused(&message, 1),
    }
}

fn refused(message: &str, code: u8) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "error: {message}");
    ExitCode::from(code)
}

fn make(name: &str, template: Template) -> Result<(), NotCreated> {
    if !is_name(name) {
        return Err(NotCreated::BadName(format!(
            "{} cannot be the name of a folder here: write letters, digits, `-`, `_` and `.`, a letter or digit first, \
             at most 64; the folder is made in the working directory",
            quoted(name)
        )));
    }
    let folder = Path::new(name);
    let is_there = require_empty(folder)?;
    let failed = |path: &str, error: &io::Error| {
        let advice = "nothing was made; choose another folder to work in, or make room";
        NotCreated::Failed(format!("{name}/{path} cannot be written ({error}): {advice}"))
    };
    let draft = DraftFolder::within(if is_there { folder } else { folder_of(folder) })
        .map_err(|error| failed("", &error))?;
    for ProjectFile { path, text } in files_of(template) {
        write_new(&draft.path().join(&path), &text).map_err(|error| failed(&path, &error))?;
    }
    let published = if is_there { move_into(&draft, folder) } else { draft.publish(folder) };
    published.map_err(|error| failed("", &error))
}

fn files_of(template: Template) -> Vec<ProjectFile> {
    let mut files = match template.example() {
        Some(example) => example.files(),
        None => vec![
            ProjectFile::new("README.md", include_str!("template/README.md")),
            ProjectFile::new("schemas/note.toml", include_str!("template/note.toml")),
            ProjectFile::new("public/index.html", include_str!("template/index.html")),
        ],
    };
    files.push(ProjectFile::new(settings::DEFAULT_FILE, settings::template()));
    files.push(ProjectFile::new(".gitignore", GITIGNORE));
    files
}

impl Template {
    /// The example that it is; `blank` is none.
    fn example(self) -> Option<Example> {
        match self {
            Template::Todo => Some(Example::Todo),
            Template::Board => Some(Example::Board),
            Template::Drafts => Some(Example::Drafts),
            Template::Workspaces => Some(Example::Workspaces),
            Template::Blank => None,
        }
    }
}

/// Moves everything out of the draft into its parent folder: all of it or nothing.
fn move_into(draft: &DraftFolder, folder: &Path) -> io::Result<()> {
    let mut moved = Vec::new();
    for entry in fs::read_dir(draft.path())? {
        let entry = entry?;
        let name = folder.join(entry.file_name());
        if let Err(error) = fs::rename(entry.path(), &name) {
            for (from, name) in moved {
                let _ = fs::rename(name, from);
            }
            return Err(error);
        }
        moved.push((entry.path(), name));
    }
    sync_folder(folder)
}

/// A plain name: no path, nothing hidden, nothing that a command could take for a flag.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.len() <= 64
        && name.bytes().all(plain)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// Whether there is a folder, which is empty.
fn require_empty(folder: &Path) -> Result<bool, NotCreated> {
    let shown = quoted(&folder.display().to_string());
    draft::clear(folder);
    match fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(true) => {
            let advice = "choose another name, or empty it";
            Err(NotCreated::Failed(format!("the folder {shown} already exists and is not empty: {advice}")))
        }
        Ok(false) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            Err(NotCreated::Failed(format!("{shown} exists and is not a folder: choose another name")))
        }
        Err(error) => Err(NotCreated::Failed(format!("the folder {shown} cannot be read: {error}"))),
    }
}

fn done(name: &str, template: Template) -> String {
    let open = match template {
        Template::Blank => "open / and /_/e/notes?as=ada",
        Template::Todo | Template::Board | Template::Drafts | Template::Workspaces => {
            "open /?as=ada and /?as=ben in two windows"
        }
    };
    format!(
        "made {name}/\n\
         \x20 schemas/            your data: one file for each entity\n\
         \x20 public/             a page that shows it live, served at /\n\
         \x20 tidewire.toml       every setting, all at their defaults\n\
         \x20 .gitignore          keeps the database out of git\n\n\
         next:\n\
         \x20 cd {name}\n\
         \x20 tidewire check      # finds mistakes in schemas/\n\
         \x20 tidewire dev        # serves it on http://127.0.0.1:8080; {open}\n"
    )
}
