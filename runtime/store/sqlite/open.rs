//! The data folder: its lock, the database file in it, and the connections to that file.
//!
//! Knows nothing of entities; `evolution/` brings the tables into the schema's shape.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::{damage, evolution, idempotency, log, predicate, scan_limit};
use crate::config::StoreConfig;
use crate::draft::{self, Draft};
use crate::store::migration::Plan;

pub(super) const DATABASE: &str = "tidewire.db";
pub(super) const LOCK: &str = "tidewire.lock";
/// The folder of copies of the database.
pub(super) const BACKUPS: &str = "backups";

/// Version of the internal tables. A program refuses a database with a higher one, and raises a lower one: 1 knew no
/// lookups, histories and indexes of words, which must be kept in step; 2 knew no rights entries, which every writer owes; 3 left unique values to SQLite's
/// indexes, which its programs would miss now.
pub(super) const FORMAT: u32 = 4;

/// 3.51.3: before it, a write and a checkpoint on two connections could corrupt a database in WAL mode.
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long a connection waits for a lock. There is one writer, so only a recovery or a foreign tool is in the way.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a database was not opened. The texts are for whoever starts the server; they say what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the folder {} is in use by {}: stop it, or choose another folder with --data DIR", folder.display(), holder(*pid))]
    InUse { folder: PathBuf, pid: Option<u32> },
    #[error("the folder {} cannot be used as the data folder ({error}): choose one that can be made and written, with --data DIR", folder.display())]
    Folder { folder: PathBuf, error: std::io::Error },
    #[error(
        "SQLite {found} is linked in; 3.51.3 or newer is needed, because older ones may corrupt a database"
    )]
    OldSqlite { found: &'static str },
    #[error(
        "{} is damaged or not a Tidewire database ({detail}): put a backup in its place, or move it away to start \
         with an empty one; `tidewire doctor` tells what is damaged and what can be rescued",
        file.display()
    )]
    Damaged { file: PathBuf, detail: String },
    #[error(
        "{} was written by {program} in format {found}; this is Tidewire {}, which knows formats up to {known}: use the \
         newer program",
        file.display(),
        env!("CARGO_PKG_VERSION")
    )]
    NewerFormat { file: PathBuf, found: u32, known: u32, program: String },
    #[error("the schema does not fit the data, and nothing was changed:\n{plan}\n{}", advice(plan))]
    Schema { plan: Plan },
    #[error("the server is shutting down")]
    Closed,
    #[error("there is no database in {}: name the data folder of a server with --data DIR", folder.display())]
    NoDatabase { folder: PathBuf },
    #[error(
        "{} lacks {what}, which the schema files have: `tidewire migrate plan` shows what is to be done first; or name the \
         schema files that belong to the data with --schemas DIR",
        file.display()
    )]
    NotYet { file: PathBuf, what: String },
    #[error(
        "the backup {} cannot be written ({detail}), so nothing was changed: make room on that disk, about as much as the \
         database takes",
        copy.display()
    )]
    Backup { copy: PathBuf, detail: String },
    #[error("{} cannot be opened: {detail}", file.display())]
    Storage { file: PathBuf, detail: String },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// What to type.
fn advice(plan: &Plan) -> String {
    let flags = plan.flags().join(" ");
    match (plan.is_blocked(), flags.is_empty()) {
        (false, _) => format!(
            "Undo these changes in the schema files, or allow them:\n  tidewire migrate apply {flags}"
        ),
        (true, true) => "Change the records or the schema files as said above.".to_owned(),
        (true, false) => {
            format!(
                "Change what has no flag as said above; the rest is allowed by:\n  tidewire migrate apply {flags}"
            )
        }
    }
}

impl OpenError {
    /// Sorts an error of SQLite while the database is opened.
    pub(super) fn of(file: &Path, error: &rusqlite::Error) -> OpenError {
        let (file, detail) = (file.to_owned(), error.to_string());
        match damage::is_damage(error) {
            true => OpenError::Damaged { file, detail },
            false => OpenError::Storage { file, detail },
        }
    }

    /// Sorts an error of SQLite while it copies the database to a file.
    pub(super) fn of_copy((file, copy): (&Path, &Path), error: &rusqlite::Error) -> OpenError {
        match damage::is_damage(error) {
            true => OpenError::of(file, error),
            false => OpenError::Backup { copy: copy.to_owned(), detail: error.to_string() },
        }
    }
}

/// Exclusive use of a data folder, until it is dropped or the process dies.
pub(super) struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Creates the folder when it is missing. The lock file stays behind: removing it would let two processes lock two
    /// different files of the same name.
    pub(super) fn take(folder: &Path) -> Result<FolderLock, OpenError> {
        let unusable = |error| OpenError::Folder { folder: folder.to_owned(), error };
        std::fs::create_dir_all(folder).map_err(unusable)?;
        let path = folder.join(LOCK);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(unusable)?;
        match lock(&file) {
            Ok(()) => {}
            Err(fs4::TryLockError::WouldBlock) => {
                return Err(OpenError::InUse { folder: folder.to_owned(), pid: read_pid(&mut file) });
            }
            Err(fs4::TryLockError::Error(error)) => return Err(unusable(error)),
        }
        // First of all, since they may be what fills the disk.
        draft::clear(folder);
        draft::clear(&folder.join(BACKUPS));
        write_pid(&mut file).map_err(unusable)?;
        Ok(FolderLock { _file: file })
    }
}

/// A lock outlives its holder for a moment: a program that the holder's process was just starting has a copy of every open file until
/// it runs. So somebody who holds the lock is asked again for half a second.
fn lock(file: &File) -> Result<(), fs4::TryLockError> {
    const TRIES: u32 = 25;
    const PAUSE: Duration = Duration::from_millis(20);
    for _ in 1..TRIES {
        match fs4::FileExt::try_lock(file) {
            Err(fs4::TryLockError::WouldBlock) => std::thread::sleep(PAUSE),
            decided => return decided,
        }
    }
    fs4::FileExt::try_lock(file)
}

pub(super) fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

pub(super) fn require_sqlite() -> Result<(), OpenError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(OpenError::OldSqlite { found: rusqlite::version() });
    }
    Ok(())
}

/// Makes an empty database when there is none. It gets its name when it is whole, so that a
/// database file that is empty or without the internal tables is always damage, never a start that was cut short.
pub(super) fn create_if_missing(folder: &Path) -> Result<(), OpenError> {
    let file = folder.join(DATABASE);
    if file.exists() {
        return not_empty(&file);
    }
    refuse_lost_file(folder)?;
    let unusable = |error| OpenError::Folder { folder: folder.to_owned(), error };
    let draft = Draft::of(&file).map_err(unusable)?;
    write_draft(draft.path()).map_err(|error| OpenError::of(&file, &error))?;
    draft.publish().map_err(unusable)
}

/// A write-ahead log without its database is never a folder without one.
pub(super) fn refuse_lost_file(folder: &Path) -> Result<(), OpenError> {
    let (file, log) = (folder.join(DATABASE), folder.join(format!("{DATABASE}-wal")));
    if !file.exists() && std::fs::metadata(&log).is_ok_and(|about| about.len() > 0) {
        let detail = format!("the file is missing, but its companion {DATABASE}-wal is there");
        return Err(OpenError::Damaged { file, detail });
    }
    Ok(())
}

pub(super) fn not_empty(file: &Path) -> Result<(), OpenError> {
    if std::fs::metadata(file).is_ok_and(|about| about.len() == 0) {
        return Err(OpenError::Damaged { file: file.to_owned(), detail: "the file is empty".to_owned() });
    }
    Ok(())
}

fn write_draft(draft: &Path) -> rusqlite::Result<()> {
    let mut conn = Connection::open(draft)?;
    conn.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = FULL")?;
    let transaction = conn.transaction()?;
    transaction.execute_batch(evolution::CREATE)?;
    transaction.execute_batch(log::CREATE)?;
    transaction.execute_batch(idempotency::CREATE)?;
    transaction.execute(r#"INSERT INTO "_meta" VALUES (1, 0, 0, 0, ?1)"#, [FORMAT])?;
    transaction.commit()
}

/// The writing connection: durable at every commit. References are checked by `apply.rs`, which can name the field.
pub(super) fn open_writer(file: &Path, statements: usize) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.execute_batch(
        "PRAGMA trusted_schema = OFF; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF;
         PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 33554432",
    )?;
    conn.set_prepared_statement_cache_capacity(statements);
    Ok(conn)
}

/// The same for a database that a run begins with, after a look at it that takes a bounded time.
pub(super) fn open_sound(file: &Path, statements: usize) -> Result<Connection, OpenError> {
    damage::require_whole_log(file)?;
    let conn = open_writer(file, statements).map_err(|error| OpenError::of(file, &error))?;
    damage::require_sound(&conn, file)?;
    Ok(conn)
}

/// The write-ahead log of a database.
pub(super) fn log_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// The word for `PRAGMA synchronous` as the connection has it.
pub(super) fn synchronous(conn: &Connection) -> rusqlite::Result<&'static str> {
    let level: i64 = conn.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
    Ok(match level {
        0 => "off",
        1 => "normal",
        2 => "full",
        _ => "extra",
    })
}

/// One connection that can only read the database of a folder which a server may be using, and the file.
pub(super) fn beside(folder: &Path) -> Result<(Connection, PathBuf), OpenError> {
    let file = folder.join(DATABASE);
    require_sqlite()?;
    if !file.exists() {
        return Err(OpenError::NoDatabase { folder: folder.to_owned() });
    }
    not_empty(&file)?;
    let conn = open_reader(&file).map_err(|error| OpenError::of(&file, &error))?;
    Ok((conn, file))
}

/// One connection that can only read.
pub(super) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(file, READ_ONLY)?;
    prepare_reader(&conn)?;
    Ok(conn)
}

const READ_ONLY: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

fn prepare_reader(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA query_only = ON; PRAGMA temp_store = MEMORY")?;
    conn.set_prepared_statement_cache_capacity(128);
    scan_limit::prepare(conn)?;
    predicate::prepare(conn)
}

/// Connections that can only read.
pub(super) fn open_readers(file: &Path, config: &StoreConfig) -> Result<Vec<Connection>, OpenError> {
    let readers = (0..config.readers.max(1)).map(|_| open_reader(file));
    readers.collect::<Result<_, _>>().map_err(|error| OpenError::of(file, &error))
}
