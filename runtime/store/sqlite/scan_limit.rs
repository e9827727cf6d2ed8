//! The bound on the rows that one read may step over: `scanned(most)`, an SQL function that stands as the first condition of a
//! read. It counts the rows that reach it and stops the statement at one too many. So the work itself is bounded, whatever the query
//! planner thought.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, ErrorCode, ffi};

/// Makes `scanned` known to a connection: rows at most, the run that they are counted for. A connection is at one run at a time.
pub(super) fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    // Not deterministic: it must be called for every row.
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY;
    let (present, rows) = (AtomicI64::new(0), AtomicU64::new(0));
    conn.create_scalar_function("scanned", 2, flags, move |context| {
        // SQLite may write the function into a statement several times, once for each index that it walks.
        let (most, run): (i64, i64) = (context.get(0)?, context.get(1)?);
        if present.swap(run, Ordering::Relaxed) != run {
            rows.store(0, Ordering::Relaxed);
        }
        if rows.fetch_add(1, Ordering::Relaxed) >= most.unsigned_abs() {
            return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None));
        }
        Ok(true)
    })
}

/// A number that no other execution of a statement has.
pub(super) fn run() -> i64 {
    static RUNS: AtomicI64 = AtomicI64::new(1);
    RUNS.fetch_add(1, Ordering::Relaxed)
}

/// Whether `scanned` stopped the statement; nothing else ever interrupts one.
pub(super) fn stopped(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}
