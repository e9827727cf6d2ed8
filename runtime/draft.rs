//! `Draft` and `DraftFolder`: what is written gets its name when it is whole. Until then it has a temporary name in
//! the same folder. A failure removes it, and what a killed process left is removed by the next one that writes there.
//!
//! Does not know what is written.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempDir};

/// How the name of a draft begins and ends; SQLite may add to the end.
const PREFIX: &str = ".tidewire-";
const SUFFIX: &str = ".part";

/// A file that is not whole yet. Dropped instead of published, it is removed.
pub struct Draft {
    /// Locked while this process lives. The lock distinguishes a draft from what a dead process left.
    file: NamedTempFile,
    name: PathBuf,
}

/// A folder that is not whole yet. Dropped, it is removed with everything in it.
pub struct DraftFolder {
    folder: TempDir,
    _lock: File,
}

impl Draft {
    /// Begins an empty file that is to be called `name`. It takes the permissions of the file that it will replace, and the
    /// owner where this process may give files away.
    pub fn of(name: &Path) -> io::Result<Draft> {
        let folder = folder_of(name);
        clear(folder);
        loop {
            // As for every file that a program makes: the umask decides.
            let plain = Permissions::from_mode(0o666);
            let file = Builder::new().prefix(PREFIX).suffix(SUFFIX).permissions(plain).tempfile_in(folder)?;
            lock(file.as_file());
            // Between its making and its lock it looked like a leftover.
            if file.path().exists() {
                let draft = Draft { file, name: name.to_owned() };
                match fs::metadata(name) {
                    Ok(former) => draft.become_like(&former)?,
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
                return Ok(draft);
            }
        }
    }

    /// Takes the permissions of a file, and its owner where that is allowed.
    pub fn become_like(&self, model: &Metadata) -> io::Result<()> {
        let file = self.file.as_file();
        // Only root gives files away; everybody else keeps their own.
        let _ = std::os::unix::fs::fchown(file, Some(model.uid()), Some(model.gid()));
        file.set_permissions(model.permissions())
    }

    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Its temporary path.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Gives the file its name, in the place of one that has it. On the disk when this returns.
    pub fn publish(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(&self.name).map_err(|failure| failure.error)?;
        sync_folder(folder_of(&self.name))
    }
}

impl DraftFolder {
    pub fn within(folder: &Path) -> io::Result<DraftFolder> {
        clear(folder);
        loop {
            let made = Builder::new().prefix(PREFIX).suffix(SUFFIX).tempdir_in(folder)?;
            // Missing when it was taken for a leftover before its lock.
            match File::open(made.path()) {
                Ok(handle) => {
                    lock(&handle);
                    if made.path().exists() {
                        return Ok(DraftFolder { folder: made, _lock: handle });
                    }
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes it, and returns whether that failed.
    pub fn remove(self) -> io::Result<()> {
        self.folder.close()
    }

    /// Gives the folder its name, which nothing has.
    pub fn publish(self, name: &Path) -> io::Result<()> {
        fs::rename(self.folder.path(), name)?;
        // It is no longer where the guard would look for it.
        let _ = self.folder.keep();
        sync_folder(folder_of(name))
    }
}

/// Removes what processes that died left in a folder. What cannot be removed stays, and does no harm there.
pub fn clear(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !is_name_of_draft(&entry.file_name()) {
            continue;
        }
        let (path, kind) = (entry.path(), entry.file_type());
        let remove = match kind {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all::<&Path>,
            Ok(kind) if kind.is_file() => fs::remove_file::<&Path>,
            Ok(_) | Err(_) => continue,
        };
        // The lock is held until it is removed, so that its maker, should one just begin, sees that it is gone.
        if let Ok(handle) = File::open(&path)
            && handle.try_lock().is_ok()
        {
            let _ = remove(&path);
        }
    }
}

/// Whether a file of this name is a draft, or a companion of one.
fn is_name_of_draft(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.contains(SUFFIX))
}

/// The folder that a file is in.
pub fn folder_of(name: &Path) -> &Path {
    match name.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    }
}

/// Names in a folder are on the disk when this returns, on file systems that can promise it.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        synced => synced,
    }
}

/// Waits for a process that examines it as a leftover. Where files cannot be locked, no process can distinguish drafts from leftovers, and
/// then `clear` leaves all of them alone.
fn lock(file: &File) {
    let _ = file.lock();
}
