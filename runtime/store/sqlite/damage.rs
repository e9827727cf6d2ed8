//! Damage of the database file: how it is distinguished from other errors, who knows of it, and what is looked at before a start.
//!
//! Does not know entities. What to do about damage is in docs/operations.md.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, ffi};
use tokio::time::Instant;

use super::identifier::quoted;
use super::location::log_of;
use super::wal;
use crate::metrics::StoreMetrics;
use crate::store::OpenError;

/// How long a start looks. Enough for a gigabyte that the system has in memory; a slow disk reads some tens of megabytes.
const LOOK: Duration = Duration::from_secs(1);

/// Errors of the disk below that say that the file is not what it was: it is shorter than it says, its checksums fail.
const OF_THE_FILE: [i32; 3] =
    [ffi::SQLITE_IOERR_SHORT_READ, ffi::SQLITE_IOERR_CORRUPTFS, ffi::SQLITE_IOERR_DATA];

/// Whether an error of SQLite says that the file is damaged.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => true,
        Some(_) => error.sqlite_error().is_some_and(|error| OF_THE_FILE.contains(&error.extended_code)),
        None => false,
    }
}

pub(super) fn damaged(file: &Path, detail: String) -> OpenError {
    OpenError::Damaged { database: file.display().to_string(), detail }
}

impl OpenError {
    /// Sorts an error of SQLite while the database is opened.
    pub(super) fn of(file: &Path, error: &rusqlite::Error) -> OpenError {
        match is_damage(error) {
            true => damaged(file, error.to_string()),
            false => OpenError::Storage { database: file.display().to_string(), detail: error.to_string() },
        }
    }

    /// Sorts an error of SQLite while it copies the database to a file.
    pub(super) fn of_copy(file: &Path, copy: &Path, error: &rusqlite::Error) -> OpenError {
        match is_damage(error) {
            true => OpenError::of(file, error),
            false => OpenError::Backup { copy: copy.display().to_string(), detail: error.to_string() },
        }
    }
}

/// Whether damage was found since the start. The code that finds it reports it; the writer and `/readyz` ask. It is not forgotten: no one
/// knows what else is damaged, and a repair needs the file for itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Damage {
    is_known: Arc<AtomicBool>,
    metrics: StoreMetrics,
}

impl Damage {
    pub(super) fn counted(metrics: StoreMetrics) -> Damage {
        Damage { is_known: Arc::default(), metrics }
    }

    pub(super) fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Acquire)
    }

    /// Notes an error, if it is one of damage.
    pub(super) fn note(&self, error: &rusqlite::Error) {
        if is_damage(error) {
            self.found(&error.to_string());
        }
    }

    /// Logged and counted the first time only.
    pub(super) fn found(&self, cause: &str) {
        if !self.is_known.swap(true, Ordering::AcqRel) {
            self.metrics.damaged();
            tracing::error!(
                cause,
                "the database is damaged: writes are refused from now on; `tidewire doctor` shows what is damaged and what to do"
            );
        }
    }
}

/// Looks at a database before it is written to: its write-ahead log before the connection reads it.
pub(super) fn require_whole_log(file: &Path) -> Result<(), OpenError> {
    match wal::lost(&log_of(file)) {
        Ok(Some(detail)) => Err(damaged(file, detail)),
        // One that cannot be read is SQLite's to complain about.
        Ok(None) | Err(_) => Ok(()),
    }
}

/// Looks at a database before it is written to: whether the file is as long as it says, then table by table for a bounded time.
/// What it did not come to is not vouched for.
pub(super) fn require_sound(conn: &Connection, file: &Path) -> Result<(), OpenError> {
    let found = shortened(conn, file).and_then(|short| match short {
        Some(detail) => Ok(Some(detail)),
        None => within(LOOK, conn, first_fault),
    });
    match found {
        Ok(None) => Ok(()),
        Ok(Some(detail)) => Err(damaged(file, detail)),
        Err(error) => Err(OpenError::of(file, &error)),
    }
}

/// Pages may be in the write-ahead log alone, so the length says something only without one.
fn shortened(conn: &Connection, file: &Path) -> rusqlite::Result<Option<String>> {
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |about| about.len());
    if length(&log_of(file)) > 0 {
        return Ok(None);
    }
    let number = |pragma: &str| conn.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let pages = number("PRAGMA page_count")?.saturating_mul(number("PRAGMA page_size")?);
    let (pages, there) = (u64::try_from(pages).unwrap_or(u64::MAX), length(file));
    Ok((there < pages).then(|| format!("it was cut off: it has {there} bytes of {pages}")))
}

/// The first fault that `quick_check` finds. The log comes last: it is the largest, and the records matter more.
fn first_fault(conn: &Connection) -> rusqlite::Result<Option<String>> {
    for table in tables(conn)? {
        if let Some(fault) =
            faults(conn, &format!("PRAGMA quick_check({})", quoted(&table)))?.into_iter().next()
        {
            return Ok(Some(format!("`{table}`: {fault}")));
        }
    }
    Ok(None)
}

/// Every table, that of the log last.
pub(super) fn tables(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql =
        r#"SELECT "name" FROM sqlite_master WHERE "type" = 'table' ORDER BY "name" = '_changes', rowid"#;
    conn.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// What a check of SQLite says, without its word for nothing. A check that stumbles over damage itself says so too.
pub(super) fn faults(conn: &Connection, check: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(check)?;
    let mut rows: Vec<String> = Vec::new();
    for row in statement.query_map([], |row| row.get(0))? {
        match row {
            Ok(row) => rows.push(row),
            Err(error) if is_damage(&error) => {
                rows.push(error.to_string());
                break;
            }
            Err(error) => return Err(error),
        }
    }
    // A row may hold several lines, the first a headline.
    let lines = rows.iter().flat_map(|row| row.lines());
    Ok(lines.filter(|line| *line != "ok" && !line.starts_with("***")).map(str::to_owned).collect())
}

/// Steps of a statement between two looks at the clock: some microseconds.
const STEPS_A_LOOK: i32 = 1_000;

/// Does something with a connection, whose statements end after a while: then nothing was found. The statements look at the
/// clock themselves: an interrupt from outside is lost when it comes between two of them.
fn within<T>(
    time: Duration,
    conn: &Connection,
    look: impl FnOnce(&Connection) -> rusqlite::Result<Option<T>>,
) -> rusqlite::Result<Option<T>> {
    let until = Instant::now() + time;
    conn.progress_handler(STEPS_A_LOOK, Some(move || Instant::now() >= until))?;
    let found = look(conn);
    conn.progress_handler(0, None::<fn() -> bool>)?;
    match found {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(None),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_ends_when_its_time_is_over() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(
            "CREATE TABLE t AS WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 10000) SELECT i FROM n",
        )
        .unwrap();
        let check = |time| within(time, &conn, |conn| faults(conn, "PRAGMA quick_check").map(Some)).unwrap();
        assert_eq!(check(Duration::ZERO), None, "a check of SQLite ends like any statement");
        assert_eq!(check(LOOK), Some(vec![]));
        let endless =
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        // Also when it is over before the statement begins.
        for time in [Duration::ZERO, Duration::from_millis(1)] {
            let found =
                within(time, &conn, |conn| conn.query_row(endless, [], |row| row.get::<_, i64>(0)).map(Some));
            assert_eq!(found.unwrap(), None);
        }
        let quick =
            within(LOOK, &conn, |conn| conn.query_row("SELECT 5", [], |row| row.get::<_, i64>(0)).map(Some));
        assert_eq!(quick.unwrap(), Some(5));
    }
}
