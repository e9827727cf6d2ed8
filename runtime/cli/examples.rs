//! The example apps, which are part of the program: what files each has, and a fresh folder in which `tidewire dev --example`
//! serves one. Knows no schema and no setting.

use std::borrow::Cow;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use rust_embed::RustEmbed;

/// Fresh folders of one example that may lie about at once.
const MOST_FOLDERS: u16 = 1000;

/// In debug builds read from the folder, in release builds part of the program.
#[derive(RustEmbed)]
#[folder = "examples/"]
struct Files;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Example {
    /// A list of things to do, in under 40 lines.
    Todo,
    /// Cards, a chat, an activity feed and who is here.
    Board,
    /// A text that several users write, one at a time.
    Drafts,
    /// Teams with invitation links, members and tasks.
    Workspaces,
}

/// A file of a project, by its path in the folder.
pub(super) struct ProjectFile {
    pub(super) path: String,
    pub(super) text: Cow<'static, [u8]>,
}

impl ProjectFile {
    pub(super) fn new(path: &str, text: impl Into<Vec<u8>>) -> ProjectFile {
        ProjectFile { path: path.to_owned(), text: Cow::Owned(text.into()) }
    }
}

impl Example {
    /// As it is written on the command line, and as its folder is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Example::Todo => "todo",
            Example::Board => "board",
            Example::Drafts => "drafts",
            Example::Workspaces => "workspaces",
        }
    }

    /// Every file of it, in the order of their paths.
    pub(super) fn files(self) -> Vec<ProjectFile> {
        let folder = format!("{}/", self.name());
        let mut files: Vec<ProjectFile> = Files::iter()
            .filter_map(|path| {
                let file = Files::get(&path)?;
                let path = path.strip_prefix(&folder)?.to_owned();
                Some(ProjectFile { path, text: file.data })
            })
            .collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    /// Writes it into a new folder below `parent`, which only this user can open, and answers with that.
    pub(super) fn unpack(self, parent: &Path) -> io::Result<PathBuf> {
        let folder = fresh_folder(parent, &format!("tidewire-{}", self.name()))?;
        for file in self.files() {
            write_new(&folder.join(&file.path), &file.text)?;
        }
        Ok(folder)
    }
}

/// `tidewire-board`, or `tidewire-board-2` where that is there already. A folder that exists is never used: it may be another user's.
fn fresh_folder(parent: &Path, name: &str) -> io::Result<PathBuf> {
    for number in 1..=MOST_FOLDERS {
        let folder = parent.join(if number == 1 { name.to_owned() } else { format!("{name}-{number}") });
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    let advice = format!("{MOST_FOLDERS} folders {name}… are in {}: delete those", parent.display());
    Err(io::Error::new(ErrorKind::AlreadyExists, advice))
}

/// Writes a file that is not there yet, and the folders above it.
pub(super) fn write_new(path: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}
