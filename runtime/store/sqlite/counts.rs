//! How many records an entity has. After a restart every client resumes at once, and each resume asks; counting a
//! large table each time would be most of the work. So a count is kept, and brought up to date from the log.
//!
//! Does not know who asks. Every answer is exact for the transaction in which it was asked.

use std::collections::HashMap;

use parking_lot::Mutex;
use rusqlite::{Connection, params};

use super::rows::{signed, unsigned};
use crate::ids::Seq;
use crate::schema::EntityName;
use crate::store::At;

/// Beyond so many log entries, counting the table again is the shorter way.
const WORTHWHILE: u64 = 10_000;

#[derive(Default)]
pub(super) struct Counts {
    /// By entity, of which there are few: a count and the position at which it was true. Locked for one look-up.
    known: Mutex<HashMap<EntityName, (Seq, u64)>>,
}

impl Counts {
    /// The number of records at the position of the transaction. `count` counts them all.
    pub(super) fn of(
        &self,
        conn: &Connection,
        at: &At<()>,
        entity: &EntityName,
        count: &str,
    ) -> rusqlite::Result<u64> {
        let known = self.known.lock().get(entity).copied();
        let usable = |seq: Seq| seq >= at.floor && seq <= at.seq && at.seq.0 - seq.0 <= WORTHWHILE;
        let count = match known {
            Some((seq, count)) if usable(seq) => count.saturating_add_signed(growth(conn, entity, seq)?),
            _ => conn.prepare_cached(count)?.query_row([], |row| row.get(0).map(unsigned))?,
        };
        self.known.lock().insert(entity.clone(), (at.seq, count));
        Ok(count)
    }
}

/// Creates less deletes in the log after `since`.
fn growth(conn: &Connection, entity: &str, since: Seq) -> rusqlite::Result<i64> {
    conn.prepare_cached(
        r#"SELECT coalesce(sum(("op" = 'create') - ("op" IN ('delete', 'expire'))), 0) FROM "_changes" WHERE "seq" > ?1 AND "entity" = ?2"#,
    )?
    .query_row(params![signed(since.0), entity], |row| row.get(0))
}
