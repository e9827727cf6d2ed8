//! Trimming the front of the change log, by age and by count, and the histories below it by their own ages.
//!
//! Knows no entry; `kept.rs` decides what stays below the floor.

use rusqlite::Connection;

use super::clock::cutoff;
use super::kept::Kept;
use super::rows::{signed, unsigned};
use crate::config::StoreConfig;
use crate::ids::{Seq, Timestamp};

/// The log as a commit leaves it, and how much of it is to stay.
#[derive(Clone, Copy)]
pub(super) struct LogEnds<'a> {
    pub(super) config: &'a StoreConfig,
    pub(super) floor: Seq,
    pub(super) head: Seq,
}

/// Trims what retention no longer covers, of the log and of the histories below it; answers with the new floor. `grown`: entries
/// that this commit added. `now` is `Times::forget`.
pub(super) fn trim(
    conn: &Connection,
    log: LogEnds<'_>,
    kept: &Kept,
    grown: usize,
    now: Timestamp,
) -> rusqlite::Result<Seq> {
    // At least twice what this commit added, or large units would outrun the trimming.
    let chunk = log.config.trim_chunk.max(2 * grown as u64);
    let floor = trim_log(conn, log, kept, chunk, now)?;
    kept.trim(conn, floor, now, chunk)?;
    Ok(floor)
}

/// By age or by count, whichever takes more, about `chunk` entries at a time. The usual case, nothing to trim, costs one
/// look at the oldest entry.
fn trim_log(
    conn: &Connection,
    log: LogEnds<'_>,
    kept: &Kept,
    chunk: u64,
    now: Timestamp,
) -> rusqlite::Result<Seq> {
    let LogEnds { config, floor, head } = log;
    let by_count = head.0.saturating_sub(config.retention_changes);
    let furthest = floor.0.saturating_add(chunk).min(head.0);
    let by_age = outdated(conn, floor.0, furthest, cutoff(now, config.retention_age))?;
    let new = by_count.max(by_age).min(furthest);
    if new <= floor.0 {
        return Ok(floor);
    }
    for leaving in [&kept.trim_log, &kept.trim_tombstones] {
        conn.prepare_cached(leaving)?.execute([signed(floor.0), signed(new)])?;
    }
    conn.prepare_cached(r#"UPDATE "_meta" SET "floor" = ?1"#)?.execute([signed(new)])?;
    Ok(Seq(new))
}

/// Seq of the last entry in (`floor`, `furthest`] before the first that is young enough to stay.
fn outdated(conn: &Connection, floor: u64, furthest: u64, cutoff: Timestamp) -> rusqlite::Result<u64> {
    let first_kept: Option<i64> = conn
        .prepare_cached(
            r#"SELECT min("seq") FROM "_changes" WHERE "seq" > ?1 AND "seq" <= ?2 AND "at" >= ?3"#,
        )?
        .query_row([signed(floor), signed(furthest), cutoff.0], |row| row.get(0))?;
    Ok(first_kept.map_or(furthest, |seq| unsigned(seq) - 1))
}
