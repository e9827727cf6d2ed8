//! Looks at a database and changes nothing in it: before a server is started, or beside one.
//!
//! Knows no entity. `try_out` is the exception that writes: a database of its own, in a folder that it is given.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::{Connection, OpenFlags};

use super::identifier::quoted;
use super::location::DatabaseFile;
use super::open;
use super::rows::unsigned;
use super::{damage, dialect, evolution, wal};
use crate::ids::Timestamp;
use crate::store::OpenError;
use crate::store::inspection::{DatabaseFound, InUse, Inspection, Unfit};

/// Faults that a check names before it stops.
const MOST_FAULTS: usize = 5;

/// Reads what is there. A folder that is missing holds nothing.
pub(super) fn inspect(file: &DatabaseFile) -> Result<Inspection, OpenError> {
    let in_use = holder(file)?;
    let database = if file.exists() { Some(database(file, in_use.is_some())?) } else { None };
    Ok(Inspection { in_use, database })
}

/// Makes a database in a folder, with the settings of the real one, and writes to it.
pub(super) fn try_out(folder: &Path) -> Result<String, Unfit> {
    let unfit = |what| Unfit { what, advice: "choose a local disk with --data DIR" };
    let file = DatabaseFile::within(folder);
    let (journal_mode, synchronous) = durability(&file).map_err(|error| unfit(error.to_string()))?;
    if journal_mode != "wal" || synchronous != "full" {
        return Err(Unfit {
            what: format!(
                "journal_mode is {journal_mode} and synchronous is {synchronous} here, not wal and full"
            ),
            advice: "this file system cannot keep what is acknowledged: choose a local disk with --data DIR",
        });
    }
    Ok(format!("{}, journal_mode=wal, synchronous=full", rusqlite::version()))
}

/// The journal mode and the word for `PRAGMA synchronous` of a new database that was written to.
fn durability(file: &DatabaseFile) -> Result<(String, &'static str), OpenError> {
    open::require_sqlite()?;
    open::create_if_missing(file)?;
    let read = || {
        let conn = open::open_writer(file, 1)?;
        let found = (journal_mode(&conn)?, open::synchronous(&conn)?);
        conn.execute_batch(r#"UPDATE "_meta" SET "seq" = "seq""#)?;
        Ok(found)
    };
    read().map_err(|error| OpenError::of(file, &error))
}

/// What to do about damage, from the best way to the last.
pub(super) fn rescue(file: &DatabaseFile, backup: Option<&Path>) -> String {
    let newest = backup.map(|file| format!(" (the newest of a migration is {})", file.display()));
    format!(
        "stop the server, copy {} away, and put a backup in its place{}. Without one: `tidewire export ENTITY -o FILE` for each \
         entity that is not concerned, and SQLite's own `sqlite3 {} .recover` for the others. docs/operations.md, \
         \"A damaged database\"",
        file.place(),
        newest.unwrap_or_default(),
        file.display()
    )
}

/// Who holds the lock. A lock that can be shared has no holder; it is released at once.
fn holder(database: &DatabaseFile) -> Result<Option<InUse>, OpenError> {
    let Ok(mut file) = File::open(database.lock()) else { return Ok(None) };
    match fs4::FileExt::try_lock_shared(&file) {
        Ok(()) => Ok(None),
        Err(fs4::TryLockError::WouldBlock) => Ok(Some(InUse { pid: open::read_pid(&mut file) })),
        Err(fs4::TryLockError::Error(error)) => Err(database.unusable(database.folder(), &error)),
    }
}

fn database(file: &DatabaseFile, in_use: bool) -> Result<DatabaseFound, OpenError> {
    open::not_empty(file)?;
    let failed = |error| OpenError::of(file, &error);
    let conn = read_only(file, in_use).map_err(failed)?;
    evolution::require_known_format(&conn, file)?;
    let mut faults = whole_check(&conn).map_err(failed)?;
    // A server that runs is writing to its log.
    faults.extend(wal::lost(&file.log()).ok().flatten().filter(|_| !in_use));
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
            mode: format!(
                "journal_mode={}",
                if is_wal(file) { "wal".to_owned() } else { journal_mode(&conn)? }
            ),
            changes: conn.query_row(r#"SELECT "seq" FROM "_meta""#, [], |row| row.get(0)).map(unsigned)?,
            newest,
            faults,
            damaged,
            backup: newest_backup(file),
        })
    };
    found().map_err(failed)
}

/// The last in the order of their names, which begin with their times.
fn newest_backup(file: &DatabaseFile) -> Option<PathBuf> {
    let entries = std::fs::read_dir(file.backups()).ok()?.flatten().map(|entry| entry.path());
    entries.filter(|path| file.is_backup(path)).max()
}

/// A file that is not in use and whose write-ahead log is empty is read as if it could not change: otherwise even a reader
/// would leave companion files behind.
fn read_only(file: &DatabaseFile, in_use: bool) -> rusqlite::Result<Connection> {
    let at_rest = !in_use && std::fs::metadata(file.log()).map_or(true, |about| about.len() == 0);
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
    dialect::prepare_folding(&conn)?;
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
