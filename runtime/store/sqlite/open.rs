//! The lock of a database, its file, and the connections to that file.
//!
//! Does not know entities; `evolution/` brings the tables into the schema's shape.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::location::DatabaseFile;
use super::{damage, dialect, evolution, idempotency, log, scan_limit};
use crate::config::StoreConfig;
use crate::draft::{self, Draft};
use crate::store::OpenError;

/// 3.51.3: before it, a write and a checkpoint on two connections could corrupt a database in WAL mode.
const OLDEST_SQLITE: i32 = 3_051_003;

/// How long a connection waits for a lock. There is one writer, so only a recovery or a foreign tool is in the way.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Exclusive use of a database, until it is dropped or the process dies.
pub(super) struct DatabaseLock {
    _file: File,
}

impl DatabaseLock {
    /// Creates the folder when it is missing. The lock file stays behind: removing it would let two processes lock two
    /// different files of the same name.
    pub(super) fn take(database: &DatabaseFile) -> Result<DatabaseLock, OpenError> {
        let folder = database.folder();
        let unusable = |error| database.unusable(folder, &error);
        std::fs::create_dir_all(folder).map_err(unusable)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(database.lock())
            .map_err(unusable)?;
        match lock(&file) {
            Ok(()) => {}
            Err(fs4::TryLockError::WouldBlock) => return Err(database.in_use(read_pid(&mut file))),
            Err(fs4::TryLockError::Error(error)) => return Err(unusable(error)),
        }
        // First of all, since they may be what fills the disk.
        draft::clear(folder);
        draft::clear(&database.backups());
        write_pid(&mut file).map_err(unusable)?;
        Ok(DatabaseLock { _file: file })
    }
}

/// A lock outlives its holder for a moment: a program that the holder's process was just starting has a copy of every open file until
/// it runs. So the lock is tried again for half a second.
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
        let found = rusqlite::version();
        return Err(OpenError::Unusable(format!(
            "SQLite {found} is linked in; 3.51.3 or newer is needed, because older ones may corrupt a database"
        )));
    }
    Ok(())
}

/// Makes an empty database when there is none. It gets its name when it is whole, so that a
/// database file that is empty or without the internal tables is always damage, never a start that was cut short.
pub(super) fn create_if_missing(file: &DatabaseFile) -> Result<(), OpenError> {
    if file.exists() {
        return not_empty(file);
    }
    refuse_lost_file(file)?;
    let unusable = |error| file.unusable(file.folder(), &error);
    let draft = Draft::of(file).map_err(unusable)?;
    write_draft(draft.path()).map_err(|error| OpenError::of(file, &error))?;
    draft.publish().map_err(unusable)
}

/// A write-ahead log without its database is never a place without one.
pub(super) fn refuse_lost_file(file: &DatabaseFile) -> Result<(), OpenError> {
    let log = file.log();
    if !file.exists() && std::fs::metadata(&log).is_ok_and(|about| about.len() > 0) {
        let log = log.file_name().unwrap_or_default().to_string_lossy();
        let detail = format!("the file is missing, but its companion {log} is there");
        return Err(damage::damaged(file, detail));
    }
    Ok(())
}

pub(super) fn not_empty(file: &Path) -> Result<(), OpenError> {
    if std::fs::metadata(file).is_ok_and(|about| about.len() == 0) {
        return Err(damage::damaged(file, "the file is empty".to_owned()));
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
    transaction.execute(r#"INSERT INTO "_meta" VALUES (1, 0, 0, 0, ?1)"#, [evolution::FORMAT])?;
    transaction.commit()
}

/// The writing connection: durable at every commit. References are checked by `store/unit/`, which can name the field.
pub(super) fn open_writer(file: &Path, statements: usize) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    plan_by_text(&conn)?;
    conn.execute_batch(
        "PRAGMA trusted_schema = OFF; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF;
         PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 33554432",
    )?;
    conn.set_prepared_statement_cache_capacity(statements);
    dialect::prepare_folding(&conn)?;
    Ok(conn)
}

/// The same for a database that a run begins with, after a look at it that takes a bounded time.
pub(super) fn open_sound(file: &Path, statements: usize) -> Result<Connection, OpenError> {
    damage::require_whole_log(file)?;
    let conn = open_writer(file, statements).map_err(|error| OpenError::of(file, &error))?;
    damage::require_sound(&conn, file)?;
    Ok(conn)
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

/// One connection that can only read a database which a server may be using.
pub(super) fn beside(file: &DatabaseFile) -> Result<Connection, OpenError> {
    require_sqlite()?;
    if !file.exists() {
        return Err(file.missing());
    }
    not_empty(file)?;
    open_reader(file).map_err(|error| OpenError::of(file, &error))
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
    plan_by_text(conn)?;
    scan_limit::prepare(conn)?;
    dialect::prepare_folding(conn)?;
    dialect::prepare(conn)
}

/// Plans statements without a look at what is bound. Otherwise SQLite compiles a statement again whenever a value is bound that
/// its plan was made by, such as a limit: each list would be compiled for its request, which takes longer than to run it.
pub(super) fn plan_by_text(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

/// Connections that can only read.
pub(super) fn open_readers(file: &Path, config: &StoreConfig) -> Result<Vec<Connection>, OpenError> {
    let readers = (0..config.readers.max(1)).map(|_| open_reader(file));
    readers.collect::<Result<_, _>>().map_err(|error| OpenError::of(file, &error))
}

#[cfg(test)]
mod tests {
    use rusqlite::StatementStatus;

    use super::*;

    #[test]
    fn sqlite_is_built_without_what_costs_speed() {
        let conn = Connection::open_in_memory().unwrap();
        let mut options = conn.prepare("PRAGMA compile_options").unwrap();
        let options = options.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let options: Vec<String> = options.map(Result::unwrap).collect();
        for option in ["ENABLE_API_ARMOR", "ENABLE_MEMORY_MANAGEMENT"] {
            assert!(!options.iter().any(|on| on == option), "{option}: was .cargo/config.toml read?");
        }
        assert!(
            options.iter().any(|on| on == "DEFAULT_MEMSTATUS=0" || on == "OMIT_MEMSTATUS"),
            "{options:?}"
        );
        assert!(options.iter().any(|on| on == "THREADSAFE=1"), "{options:?}");
    }

    #[test]
    fn a_statement_is_not_compiled_anew_for_another_limit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("any.db");
        let writer = open_writer(&file, 8);
        assert!(writer.is_err(), "a writer makes no file");
        Connection::open(&file).unwrap().execute_batch("CREATE TABLE t (n PRIMARY KEY)").unwrap();
        for conn in [open_writer(&file, 8).unwrap(), open_reader(&file).unwrap()] {
            let mut select = conn.prepare("SELECT n FROM t WHERE n > ?1 ORDER BY n LIMIT ?2").unwrap();
            for limit in 1..5 {
                assert!(!select.exists([limit, limit]).unwrap());
            }
            assert_eq!(select.get_status(StatementStatus::RePrepare), 0);
        }
    }
}
