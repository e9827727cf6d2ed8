//! The table of answers to mutation ids (SEMANTICS M1), bounded by age and by count for one owner.
//!
//! Knows neither what an answer is good for nor how it is given again.

use std::borrow::Cow;

use rusqlite::{Connection, params};

use super::clock::cutoff;
use super::rows::signed;
use crate::config::StoreConfig;
use crate::ids::{RecordId, Seq, Timestamp};
use crate::store::unit::{Answered, AnsweredOp};
use crate::store::{Idempotency, OpStatus, Tally};

/// `n` numbers the rows of one owner without holes, oldest first: the rows beyond the bound are then one range of an
/// index, usually of one row, and nothing is ever counted.
pub(super) const CREATE: &str = r#"
CREATE TABLE "_mutations" (
    "owner" TEXT NOT NULL, "mid" TEXT NOT NULL, "hash" BLOB NOT NULL, "seq" INTEGER NOT NULL, "at" INTEGER NOT NULL,
    "n" INTEGER NOT NULL, "results" TEXT NOT NULL, PRIMARY KEY ("owner", "mid")
) STRICT, WITHOUT ROWID;
CREATE INDEX "_mutations:n" ON "_mutations" ("owner", "n");
CREATE INDEX "_mutations:at" ON "_mutations" ("at");
"#;

/// The answer to a mutation id, with the hash of its request.
pub(super) fn recall(conn: &Connection, key: &Idempotency) -> rusqlite::Result<Option<Answered>> {
    let mut statement = conn
        .prepare_cached(r#"SELECT "hash", "results" FROM "_mutations" WHERE "owner" = ?1 AND "mid" = ?2"#)?;
    let mut rows = statement.query([&*key.owner, key.mid.as_str()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(Answered { hash: row.get(0)?, done: parse(row.get_ref(1)?.as_str()?) }))
}

/// Where in the log and when an answer was given.
#[derive(Clone, Copy)]
pub(super) struct AnsweredAt {
    pub(super) seq: Seq,
    pub(super) stamp: Timestamp,
}

/// Stores an answer and drops the owner's oldest beyond the bound.
pub(super) fn store(
    conn: &Connection,
    config: &StoreConfig,
    key: &Idempotency,
    at: AnsweredAt,
    done: &[AnsweredOp],
) -> rusqlite::Result<()> {
    let results: Vec<(&str, &str, Cow<'static, str>)> =
        done.iter().map(|done| (&*done.entity, done.id.as_str(), word(done.status))).collect();
    let results = serde_json::to_string(&results).expect("a list of strings has a JSON form");
    let n = 1 + newest(conn, &key.owner)?;
    conn.prepare_cached(r#"INSERT INTO "_mutations" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"#)?.execute(
        params![&*key.owner, key.mid.as_str(), &key.hash[..], signed(at.seq.0), at.stamp.0, n, results],
    )?;
    let beyond = n.saturating_sub(signed(config.idempotency_per_user));
    if beyond > 0 {
        conn.prepare_cached(r#"DELETE FROM "_mutations" WHERE "owner" = ?1 AND "n" <= ?2"#)?
            .execute(params![&*key.owner, beyond])?;
    }
    Ok(())
}

fn newest(conn: &Connection, owner: &str) -> rusqlite::Result<i64> {
    let newest: Option<i64> = conn
        .prepare_cached(r#"SELECT max("n") FROM "_mutations" WHERE "owner" = ?1"#)?
        .query_row([owner], |row| row.get(0))?;
    Ok(newest.unwrap_or(0))
}

/// Drops answers older than the age bound, at most `trim_chunk`: once in a group commit, one step into an index when
/// there is nothing to drop.
pub(super) fn trim(conn: &Connection, config: &StoreConfig, now: Timestamp) -> rusqlite::Result<()> {
    conn.prepare_cached(
        r#"DELETE FROM "_mutations" WHERE ("owner", "mid") IN
            (SELECT "owner", "mid" FROM "_mutations" WHERE "at" < ?1 ORDER BY "at" LIMIT ?2)"#,
    )?
    .execute([cutoff(now, config.idempotency_age).0, signed(config.trim_chunk)])
    .map(|_| ())
}

fn parse(results: &str) -> Vec<AnsweredOp> {
    let rows: Vec<(String, String, String)> = serde_json::from_str(results).unwrap_or_default();
    rows.into_iter()
        .map(|(entity, id, status)| AnsweredOp {
            entity: entity.into(),
            id: RecordId::stored(&id),
            status: status_of(&status),
        })
        .collect()
}

fn word(status: OpStatus) -> Cow<'static, str> {
    match status {
        OpStatus::Created => "created".into(),
        OpStatus::Updated => "updated".into(),
        OpStatus::Unchanged => "unchanged".into(),
        OpStatus::Deleted => "deleted".into(),
        // It is never repeated: a unit of a lease has no mutation id.
        OpStatus::Lease(_) => "unchanged".into(),
        OpStatus::Many(Tally { changed, refused, more }) => {
            let end = if more { "more" } else { "all" };
            format!("many {changed} {refused} {end}").into()
        }
    }
}

fn status_of(word: &str) -> OpStatus {
    match word {
        "created" => OpStatus::Created,
        "updated" => OpStatus::Updated,
        "deleted" => OpStatus::Deleted,
        _ => tally_of(word).map_or(OpStatus::Unchanged, OpStatus::Many),
    }
}

fn tally_of(words: &str) -> Option<Tally> {
    let mut numbers = words.strip_prefix("many ")?.split(' ');
    let (changed, refused) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    Some(Tally { changed, refused, more: numbers.next()? == "more" })
}
