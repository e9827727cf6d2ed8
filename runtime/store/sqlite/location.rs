//! `DatabaseFile`: where the database is, the files beside it, and its name in messages.
//!
//! Opens nothing.

use std::ops::Deref;
use std::path::{Path, PathBuf};

use crate::draft::folder_of;
use crate::schema::Generation;
use crate::store::OpenError;

/// The name of the database in a data folder.
pub(super) const DATABASE: &str = "tidewire.db";

/// The folder of copies, beside the database.
const BACKUPS: &str = "backups";

/// The file of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFile(PathBuf);

impl Deref for DatabaseFile {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for DatabaseFile {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl DatabaseFile {
    /// The database of a data folder.
    pub fn within(folder: &Path) -> DatabaseFile {
        DatabaseFile(folder.join(DATABASE))
    }

    /// A file named in the settings, which may not be there yet. A link is refused: a server that knows the file by another name
    /// would hold another lock.
    pub fn at(path: PathBuf) -> Result<DatabaseFile, OpenError> {
        let wrong = match std::fs::symlink_metadata(&path).map(|about| about.file_type()) {
            Ok(kind) if kind.is_dir() => "a folder, and a file belongs there: name a file in it",
            Ok(kind) if kind.is_symlink() => "a link: name the file that it leads to",
            Ok(kind) if !kind.is_file() => "no file that can hold a database: name another",
            Ok(_) | Err(_) => return Ok(DatabaseFile(path)),
        };
        Err(OpenError::Unusable(format!(
            "the database {} is {wrong}, with --database sqlite:PATH",
            path.display()
        )))
    }

    pub(super) fn folder(&self) -> &Path {
        folder_of(&self.0)
    }

    /// The write-ahead log.
    pub(super) fn log(&self) -> PathBuf {
        log_of(&self.0)
    }

    /// Held by the process that writes. Named after the database, so that two databases may share a folder.
    pub(super) fn lock(&self) -> PathBuf {
        self.folder().join(format!("{}.lock", self.stem()))
    }

    /// `tidewire.secrets.db`: what no copy of the records may hold.
    pub(super) fn vault(&self) -> PathBuf {
        self.folder().join(format!("{}.secrets.db", self.stem()))
    }

    pub(super) fn backups(&self) -> PathBuf {
        self.folder().join(BACKUPS)
    }

    /// `tidewire-20260101T120000Z-generation-3.db`, by a time and a generation.
    pub(super) fn backup(&self, stamp: &str, generation: Generation) -> PathBuf {
        self.backups().join(format!("{}-{stamp}-generation-{}.db", self.stem(), generation.0))
    }

    /// Whether a file is a backup of this database, by its name.
    pub(super) fn is_backup(&self, path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let rest = name.strip_prefix(&*self.stem()).and_then(|rest| rest.strip_prefix('-'));
        let stamp = rest.and_then(|rest| rest.strip_suffix(".db")?.split_once("-generation-"));
        stamp.is_some_and(|(stamp, _)| !stamp.contains('-'))
    }

    /// The name without `.db`; another ending is part of it.
    fn stem(&self) -> String {
        let name = self.0.file_name().unwrap_or_default().to_string_lossy();
        name.strip_suffix(".db").unwrap_or(&name).to_owned()
    }

    /// Whether it is the database of its folder; then messages name the folder.
    fn is_of_folder(&self) -> bool {
        self.0.file_name().is_some_and(|name| name == DATABASE)
    }

    /// The folder or the file.
    pub(super) fn place(&self) -> String {
        if self.is_of_folder() { self.folder().display().to_string() } else { self.0.display().to_string() }
    }

    pub(super) fn in_use(&self, pid: Option<u32>) -> OpenError {
        let (kind, other) = match self.is_of_folder() {
            true => ("folder", "another folder with --data DIR"),
            false => ("database", "another one with --database sqlite:PATH"),
        };
        OpenError::InUse { place: format!("the {kind} {}", self.place()), pid, other }
    }

    pub(super) fn missing(&self) -> OpenError {
        let (word, advice) = match self.is_of_folder() {
            true => ("in", "start `tidewire dev` once, or name the data folder with --data DIR"),
            false => ("at", "start `tidewire dev` once, or name the database with --database sqlite:PATH"),
        };
        OpenError::NoDatabase { place: format!("{word} {}", self.place()), advice }
    }

    /// A folder that something should have been done in.
    pub(super) fn unusable(&self, folder: &Path, error: &std::io::Error) -> OpenError {
        let (role, flag) = match self.is_of_folder() {
            true => ("as the data folder", "--data DIR"),
            false => ("for the database", "--database sqlite:PATH"),
        };
        OpenError::Unusable(format!(
            "the folder {} cannot be used {role} ({error}): choose one that can be made and written, with {flag}",
            folder.display()
        ))
    }
}

/// The write-ahead log of a database.
pub(super) fn log_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}
