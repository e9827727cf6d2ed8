//! The bounds on the rows that one read may step over.
//!
//! `scanned(most)` is an SQL function, the first condition of a read. It counts the rows that reach it and stops
//! the statement at one too many. So the work itself is bounded, whatever the query planner thought. A read that runs on a
//! thread that others need has an allowance besides, much smaller and of time as well: `in_place`.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, ErrorCode, ffi};
use tokio::time::Instant;

/// What a read in place may step over. They take about 0.2 ms where the pages are in memory.
const ROWS: u32 = 200;
/// A read in place ends with the first row after this time: where pages come from a slow disk, two hundred rows take long.
const TIME: Duration = Duration::from_millis(1);
/// Looking at the clock costs as much as a tenth of a row.
const ROWS_A_LOOK: u32 = 4;

/// Records that a page read in place may have: half of what it may step over.
pub(super) const PAGE_IN_PLACE: usize = ROWS as usize / 2;

/// What is left to a read in place.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    rows: u32,
    until: Instant,
    stopped: bool,
}

thread_local! {
    /// Of the read that this thread is at; none where it may last.
    static ALLOWANCE: Cell<Option<Allowance>> = const { Cell::new(None) };
}

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
            return Err(stop());
        }
        step()?;
        Ok(true)
    })
}

/// A number that no other execution of a statement has.
pub(super) fn run() -> i64 {
    static RUNS: AtomicI64 = AtomicI64::new(1);
    RUNS.fetch_add(1, Ordering::Relaxed)
}

/// Whether a bound stopped the statement; nothing else ever interrupts one.
pub(super) fn stopped(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
}

/// Runs a read with an allowance. `None` when that was not enough, whatever the read made of it.
pub(super) fn in_place<T>(read: impl FnOnce() -> T) -> Option<T> {
    in_place_until(Instant::now() + TIME, read)
}

fn in_place_until<T>(until: Instant, read: impl FnOnce() -> T) -> Option<T> {
    ALLOWANCE.set(Some(Allowance { rows: ROWS, until, stopped: false }));
    let _ended = AllowanceGuard;
    let answer = read();
    let stopped = ALLOWANCE.get().is_some_and(|left| left.stopped);
    (!stopped).then_some(answer)
}

/// Takes the allowance away, also when a read panics.
struct AllowanceGuard;

impl Drop for AllowanceGuard {
    fn drop(&mut self) {
        ALLOWANCE.set(None);
    }
}

/// One row of a read. Fails where the read has an allowance that is used up.
pub(super) fn step() -> rusqlite::Result<()> {
    let Some(mut left) = ALLOWANCE.get() else { return Ok(()) };
    let looks = left.rows % ROWS_A_LOOK == 0;
    left.stopped |= left.rows == 0 || (looks && Instant::now() >= left.until);
    left.rows = left.rows.saturating_sub(1);
    ALLOWANCE.set(Some(left));
    if left.stopped { Err(stop()) } else { Ok(()) }
}

fn stop() -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(count: u32) -> rusqlite::Result<()> {
        (0..count).try_for_each(|_| step())
    }

    #[test]
    fn a_read_in_place_ends_at_its_last_row() {
        assert_eq!(in_place(|| steps(ROWS)), Some(Ok(())));
        assert_eq!(in_place(|| steps(ROWS + 1)), None);
        assert_eq!(in_place(|| steps(ROWS + 1).is_err()), None, "what it made of that is not asked");
        assert_eq!(steps(10 * ROWS), Ok(()), "a read on a thread of its own has no allowance");
    }

    #[test]
    fn a_read_in_place_ends_at_the_first_look_after_its_time() {
        assert_eq!(in_place_until(Instant::now(), || steps(1)), None);
        let later = Instant::now() + Duration::from_secs(3_600);
        assert_eq!(in_place_until(later, || steps(ROWS)), Some(Ok(())));
    }

    #[test]
    fn a_read_that_panics_leaves_no_allowance_behind() {
        let failed = std::panic::catch_unwind(|| in_place(|| panic!("a defect")));
        assert!(failed.is_err());
        assert_eq!(steps(ROWS + 1), Ok(()));
    }
}
