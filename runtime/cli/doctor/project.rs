//! The project's own folders: schema files, the data folder, the database in it, the disk under it.
//!
//! Knows of the database only what the backend reports.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::finding::Finding;
use crate::cli::check::count;
use crate::cli::settings::Settings;
use crate::config::Config;
use crate::draft::DraftFolder;
use crate::ids::Timestamp;
use crate::schema;
use crate::store::inspection::DatabaseFound;
use crate::store::{Backend, OpenError, choice};

const MIB: u64 = 1 << 20;

/// Below this, a day of writes may fill the disk; below the other, the next commit.
const LITTLE_SPACE: u64 = 1024 * MIB;
const NO_SPACE: u64 = 64 * MIB;

/// Kinds of file systems whose locks and syncs are another machine's word.
const REMOTE: [&str; 12] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "glusterfs",
    "lustre",
    "afs",
    "fuse.sshfs",
    "fuse.s3fs",
];

/// What looking at the data folder found.
pub(super) struct DataFolder {
    pub(super) findings: Vec<Finding>,
    /// The process that serves this folder now, if it says which.
    pub(super) server: Option<u32>,
    pub(super) newest: Option<Timestamp>,
}

/// Whether the working directory has anything of a project.
pub(super) fn is_here(settings: &Settings) -> bool {
    let config = &settings.config;
    settings.file.is_some() || config.schemas.exists() || config.data.exists() || config.database.is_some()
}

pub(super) fn schemas(folder: &Path) -> Finding {
    match schema::load(folder) {
        Ok(loaded) if loaded.files.is_empty() => Finding::warning(
            "schemas",
            format!("there is no schema file in {}", folder.display()),
            "describe an entity in a file like task.toml, or name the right folder with --schemas DIR",
        ),
        Ok(loaded) => {
            let (entities, files) = (loaded.schema.entities().count(), loaded.files.len());
            let (entities, files) = (count(entities, "entity", "entities"), count(files, "file", "files"));
            Finding::ok("schemas", format!("{entities} from {files} in {}", folder.display()))
        }
        Err(errors) => {
            let json = errors.to_json();
            let first = json[0]["message"].as_str().unwrap_or_default();
            let advice = "`tidewire check` shows every error with line and caret";
            Finding::error(
                "schemas",
                format!("{}; the first: {first}", count(errors.len(), "error", "errors")),
                advice,
            )
        }
    }
}

pub(super) fn data(config: &Config) -> DataFolder {
    let mut data = DataFolder { findings: Vec::new(), server: None, newest: None };
    let backend = match choice::backend(config) {
        Ok(backend) => backend,
        Err(error) => {
            data.findings.push(Finding::error("database", error.to_string(), "nothing was changed"));
            return data;
        }
    };
    let folder = backend.about().folder;
    let nearest = folder.as_deref().map(nearest_existing);
    if let Some(nearest) = nearest.as_deref().filter(|nearest| !nearest.is_dir()) {
        let text = format!("{} exists and is not a folder", nearest.display());
        data.findings.push(Finding::error(
            "data",
            text,
            "move it away, or choose another folder with --data DIR",
        ));
        return data;
    }
    let inspection = match backend.inspect() {
        Ok(inspection) => inspection,
        Err(error) => {
            let advice = if matches!(error, OpenError::Damaged { .. }) {
                format!("nothing was changed; {}", backend.rescue(None))
            } else {
                "nothing was changed; keep the folder until you know what it holds".to_owned()
            };
            data.findings.push(Finding::error("database", error.to_string(), advice));
            return data;
        }
    };
    match (inspection.in_use, &folder, &nearest) {
        (Some(holder), _, _) => {
            data.server = holder.pid;
            let who = holder.pid.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
            let place = backend.about().place;
            data.findings.push(Finding::ok("data", format!("{place} is in use by {who}, a running server")));
        }
        (None, Some(folder), Some(nearest)) => {
            data.findings.extend(tried_out(&*backend, folder, nearest));
        }
        (None, _, _) => {}
    }
    match inspection.database {
        Some(found) => {
            data.newest = found.newest;
            data.findings.push(database(&*backend, &found));
        }
        None => data
            .findings
            .push(Finding::ok("database", "there is none yet; the server makes it when it starts")),
    }
    if let Some(nearest) = &nearest {
        data.findings.extend([file_system(nearest), space(nearest)]);
    }
    data
}

/// The folder itself, or the one in which it would be made.
fn nearest_existing(folder: &Path) -> PathBuf {
    let named = |path: &Path| if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() };
    let found = folder.ancestors().map(named).find(|path| path.exists());
    found.unwrap_or_else(|| PathBuf::from("."))
}

/// Writes where the database is to be, in a folder of its own that is taken away again.
fn tried_out(backend: &dyn Backend, folder: &Path, nearest: &Path) -> Vec<Finding> {
    let scratch = match DraftFolder::within(nearest) {
        Ok(scratch) => scratch,
        Err(error) => return vec![unwritable(nearest, &error)],
    };
    let (tried, path) = (backend.try_out(scratch.path()), scratch.path().to_owned());
    let data = match (scratch.remove(), folder.exists()) {
        (Err(error), _) => {
            let text = format!("{} was created and cannot be removed: {error}", path.display());
            Finding::warning("data", text, "remove it by hand")
        }
        (Ok(()), true) => Finding::ok("data", format!("{} can be written", folder.display())),
        (Ok(()), false) => Finding::ok("data", format!("{} can be created and written", folder.display())),
    };
    let engine = backend.about().engine;
    let works = match tried {
        Ok(how) => Finding::ok(engine, how),
        Err(unfit) => Finding::error(engine, unfit.what, unfit.advice),
    };
    vec![data, works]
}

fn unwritable(nearest: &Path, error: &io::Error) -> Finding {
    let refused = matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem);
    let advice = if refused {
        "make it writable for this user, or choose another folder with --data DIR"
    } else {
        "choose another folder with --data DIR"
    };
    Finding::error("data", format!("nothing can be written in {}: {error}", nearest.display()), advice)
}

fn database(backend: &dyn Backend, found: &DatabaseFound) -> Finding {
    if let Some(first) = found.faults.first() {
        let mut text = format!("the database in {} is damaged: {first}", backend.about().place);
        if !found.damaged.is_empty() {
            text.push_str(&format!("; concerned: {}", found.damaged.join(", ")));
        }
        return Finding::error("database", text, backend.rescue(found.backup.as_deref()));
    }
    let size = found.bytes.div_ceil(1024);
    Finding::ok("database", format!("sound: {} changes so far, {size} KiB, {}", found.changes, found.mode))
}

/// By the longest mount point that the folder lies below. Said only where the kernel lists its mounts.
fn file_system(folder: &Path) -> Finding {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let place = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let kind = mounts.lines().filter_map(mount).filter(|(point, _)| place.starts_with(point));
    match kind.max_by_key(|(point, _)| point.as_os_str().len()) {
        Some((_, kind)) if REMOTE.contains(&kind.as_str()) => Finding::warning(
            "disk",
            format!("the data folder is on a network file system ({kind})"),
            "file locks and syncs are not reliable there, so saved changes can be lost: use a local disk",
        ),
        Some((_, kind)) => Finding::ok("disk", format!("a local file system ({kind})")),
        None => Finding::ok("disk", "the kind of the file system cannot be determined"),
    }
}

/// Mount point and kind of a line of mountinfo; blanks in a path are written as `\040`.
fn mount(line: &str) -> Option<(PathBuf, String)> {
    let (before, after) = line.split_once(" - ")?;
    let point = before.split(' ').nth(4)?.replace("\\040", " ");
    Some((PathBuf::from(point), after.split(' ').next()?.to_owned()))
}

fn space(folder: &Path) -> Finding {
    let free = match fs4::available_space(folder) {
        Ok(free) => free,
        Err(error) => {
            return Finding::warning("space", format!("free space cannot be read: {error}"), "look with df");
        }
    };
    let text = format!("{} MiB are free", free / MIB);
    let advice = "free some space; a write that does not fit is refused with STORAGE_FULL";
    if free < NO_SPACE {
        Finding::error("space", text, advice)
    } else if free < LITTLE_SPACE {
        Finding::warning("space", text, advice)
    } else {
        Finding::ok("space", text)
    }
}
