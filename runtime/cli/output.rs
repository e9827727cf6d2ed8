//! `Output`: where a command writes what it was asked for. A file gets its name when it is whole; a device, a pipe, a socket
//! and an open descriptor are written through; a link stays a link to what is written.
//!
//! Does not know what is written.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::draft::{Draft, folder_of};

/// Links that lead to links; Linux follows as many.
const MOST_LINKS: usize = 40;

pub(super) struct Output {
    to: BufWriter<Box<dyn Write>>,
    end: OutputEnd,
}

/// What makes the output complete.
enum OutputEnd {
    Nothing,
    /// A file gets its name.
    Named(Draft),
    /// A disk without a file system has what it was given.
    Synced(File),
}

impl Output {
    /// Opens the way to a file or whatever else is at this path; `-` is stdout. Waits for the reader of a pipe.
    pub(super) fn open(path: &Path) -> io::Result<Output> {
        let (to, end): (Box<dyn Write>, OutputEnd) = if path == Path::new("-") {
            (Box::new(io::stdout()), OutputEnd::Nothing)
        } else {
            match place_of(path)? {
                OutputPlace::File(name) => {
                    let draft = Draft::of(&name)?;
                    (Box::new(draft.file().try_clone()?), OutputEnd::Named(draft))
                }
                OutputPlace::Through(kind) if kind.is_socket() => {
                    (Box::new(UnixStream::connect(path)?), OutputEnd::Nothing)
                }
                OutputPlace::Through(kind) => {
                    // What a shell opened as a file may hold something already.
                    let file = OpenOptions::new().write(true).append(kind.is_file()).open(path)?;
                    let end = if kind.is_block_device() {
                        OutputEnd::Synced(file.try_clone()?)
                    } else {
                        OutputEnd::Nothing
                    };
                    (Box::new(file), end)
                }
            }
        };
        Ok(Output { to: BufWriter::new(to), end })
    }

    /// Everything is where it belongs when this returns.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.to.flush()?;
        match self.end {
            OutputEnd::Nothing => Ok(()),
            OutputEnd::Named(draft) => draft.publish(),
            OutputEnd::Synced(device) => device.sync_all(),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// What is at a path.
enum OutputPlace {
    /// A file, or nothing yet, under this name, which is no link.
    File(PathBuf),
    Through(FileType),
}

fn place_of(path: &Path) -> io::Result<OutputPlace> {
    match fs::metadata(path) {
        Ok(about) if about.is_dir() => Err(ErrorKind::IsADirectory.into()),
        Ok(about) if !about.is_file() => Ok(OutputPlace::Through(about.file_type())),
        Ok(about) => Ok(match end_of_links(path)? {
            Some(name) => OutputPlace::File(name),
            None => OutputPlace::Through(about.file_type()),
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            end_of_links(path)?.map(OutputPlace::File).ok_or(error)
        }
        Err(error) => Err(error),
    }
}

/// The name behind the links; `None` for a descriptor of a process, such as `/dev/stdout`, which is no name of a file.
fn end_of_links(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let name = path.file_name().ok_or(ErrorKind::IsADirectory)?;
        path = fs::canonicalize(folder_of(&path))?.join(name);
        if path.starts_with("/proc") {
            return Ok(None);
        }
        match fs::read_link(&path) {
            Ok(target) => path = folder_of(&path).join(target),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => {
                return Ok(Some(path));
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many links lead to each other"))
}

/// Why nothing can be written there, in words that say what to do.
pub(super) fn unwritable(path: &Path, error: &io::Error) -> String {
    let folder = folder_of(path);
    let shown = path.display();
    if error.kind() == ErrorKind::NotFound && !folder.exists() {
        return format!(
            "{shown} cannot be written: there is no folder {}; make it, or choose another file with --output",
            folder.display()
        );
    }
    format!("{shown} cannot be written ({error}): choose another file with --output")
}
