//! Looks at a data folder and changes nothing in it: for whoever wants to know before a server is started, or beside one.
//!
//! Knows no entity. `try_out` is the exception that writes: a database of its own, in a folder that it is given.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::{Connection, OpenFlags};

use super::open::{self, BACKUPS, DATABASE, LOCK, OpenError};
use super::rows::unsigned;
use super::tables::quoted;
use super::{damage, evolution, wal};
use crate::ids::Timestamp;

/// Faults that a check names before it gives up.
const MOST_FAULTS: usize = 5;

/// What a data folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Whether a process holds the folder, and which, if it says so.
    pub in_use: Option<Option<u32>>,
    /// `None` when there is no database yet.
    pub database: Option<DatabaseFound>,
}

/// A database that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFound {
    pub bytes: u64,
    /// `wal`, unless somebody changed it.
    pub journal_mode: String,
    pub changes: u64,
    /// Time of the newest change, if any is left in the log.
    pub newest: Option<Timestamp>,
    /// What a whole check found; empty when the file is sound.
    pub faults: Vec<String>,
    /// Tables that the faults are in, as far as they can be told.
    pub damaged: Vec<String>,
    /// The newest copy that was made before a migration.
    pub backup: Option<PathBuf>,
}

/// How SQLite works on a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriedOut {
    pub version: &'static str,
    pub journal_mode: String,
    pub synchronous: &'static str,
}

/// Reads what is there. A folder that is missing holds nothing.
pub fn inspect(folder: &Path) -> Result<Inspection, OpenError> {
    let in_use = holder(folder)?;
    let file = folder.join(DATABASE);
    let database = if file.exists() { Some(database(folder, &file, in_use.is_some())?) } else { None };
    Ok(Inspection { in_use, database })
}

/// Makes a database in `folder`, with the settings of the real one, and writes to it.
pub fn try_out(folder: &Path) -> Result<TriedOut, OpenError> {
    open::require_sqlite()?;
    let file = folder.join(DATABASE);
    let failed = |error| OpenError::of(&file, &error);
    open::create_if_missing(folder)?;
    let conn = open::open_writer(&file, 1).map_err(failed)?;
    let journal_mode = journal_mode(&conn).map_err(failed)?;
    let synchronous = open::synchronous(&conn).map_err(failed)?;
    conn.execute_batch(r#"UPDATE "_meta" SET "seq" = "seq""#).map_err(failed)?;
    Ok(TriedOut { version: rusqlite::version(), journal_mode, synchronous })
}

/// Who holds the lock. A lock that can be shared is nobody's; it is let go at once.
fn holder(folder: &Path) -> Result<Option<Option<u32>>, OpenError> {
    let Ok(mut file) = File::open(folder.join(LOCK)) else { return Ok(None) };
    match fs4::FileExt::try_lock_shared(&file) {
        Ok(()) => Ok(None),
        Err(fs4::TryLockError::WouldBlock) => Ok(Some(open::read_pid(&mut file))),
        Err(fs4::TryLockError::Error(error)) => Err(OpenError::Folder { folder: folder.to_owned(), error }),
    }
}

fn database(folder: &Path, file: &Path, in_use: bool) -> Result<DatabaseFound, OpenError> {
    open::not_empty(file)?;
    let failed = |error| OpenError::of(file, &error);
    let conn = read_only(folder, file, in_use).map_err(failed)?;
    evolution::require_known_format(&conn, file)?;
    let mut faults = whole_check(&conn).map_err(failed)?;
    // A server that runs is writing to its log.
    faults.extend(wal::lost(&open::log_of(file)).ok().flatten().filter(|_| !in_use));
    let damaged = if faults.is_empty() { Vec::new() } else { damaged_tables(&conn) };
    let is_sound = faults.is_empty();
    let found = || -> rusqlite::Result<DatabaseFound> {
        let newest = r#"SELECT max("at") FROM (SELECT "at" FROM "_changes" ORDER BY "seq" DESC LIMIT 100)"#;
        // Of a damaged database as much as can be read.
        let newest = match conn.query_row(newest, [], |row| row.get::<_, Option<i64>>(0)) {
            Err(error) if is_sound => return Err(error),
            newest => newest.ok().flatten().map(Timestamp),
        };
        Ok(DatabaseFound {
            bytes: std::fs::metadata(file).map_or(0, |about| about.len()),
            journal_mode: if is_wal(file) { "wal".to_owned() } else { journal_mode(&conn)? },
            changes: conn.query_row(r#"SELECT "seq" FROM "_meta""#, [], |row| row.get(0)).map(unsigned)?,
            newest,
            faults,
            damaged,
            backup: newest_backup(folder),
        })
    };
    found().map_err(failed)
}

/// The last in the order of their names, which begin with their times.
fn newest_backup(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder.join(BACKUPS)).ok()?.flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|ending| ending == "db")).max()
}

/// A file that nobody uses and whose write-ahead log is empty is read as if it could not change: otherwise even a reader
/// would leave companion files behind.
fn read_only(folder: &Path, file: &Path, in_use: bool) -> rusqlite::Result<Connection> {
    let log = folder.join(format!("{DATABASE}-wal"));
    let at_rest = !in_use && std::fs::metadata(&log).map_or(true, |about| about.len() == 0);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = match file.to_str().filter(|_| at_rest) {
        Some(path) => {
            const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');
            let uri = format!("file:{}?immutable=1", utf8_percent_encode(path, KEPT));
            Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?
        }
        None => Connection::open_with_flags(file, flags)?,
    };
    conn.busy_timeout(open::BUSY_TIMEOUT)?;
    conn.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA query_only = ON")?;
    Ok(conn)
}

/// Whether the file's header says so. A connection that was told that the file cannot change keeps no log, and says
/// `delete` of every file.
fn is_wal(file: &Path) -> bool {
    let mut header = [0; 20];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && header[18..] == [2, 2]
}

fn journal_mode(conn: &Connection) -> rusqlite::Result<String> {
    conn.query_row("PRAGMA journal_mode", [], |row| row.get(0))
}

/// Every page, and every index against its table. Takes a minute for each few gigabytes.
fn whole_check(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    damage::faults(conn, &format!("PRAGMA integrity_check({MOST_FAULTS})"))
}

fn damaged_tables(conn: &Connection) -> Vec<String> {
    let is_damaged = |table: &String| {
        let check = format!("PRAGMA integrity_check({})", quoted(table));
        damage::faults(conn, &check).map_or(true, |faults| !faults.is_empty())
    };
    damage::tables(conn).unwrap_or_default().into_iter().filter(is_damaged).collect()
}
