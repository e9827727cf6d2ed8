//! One group commit: a transaction, the units in it, their answers and their changes. Blocking; the committer runs it on
//! a blocking thread.
//!
//! Does not know queues beyond what it was handed, and announces nothing: it says what there is to announce.

use std::collections::VecDeque;
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::clock::{Clock, Reading, Times};
use super::damage::is_damage;
use super::idempotency;
use super::rows::signed;
use super::source::ready;
use super::transaction::SqliteTransaction;
use super::trim::{LogEnds, trim};
use super::writer::Writer;
use crate::config::StoreConfig;
use crate::ids::{Seq, Timestamp};
use crate::store::unit::{self, AppliedUnit, Fault, UnitContext};
use crate::store::{Change, CommitBatch, CommitError, Outcome, Unit};

pub(super) type UnitAnswer = Result<Outcome, CommitError>;

/// A unit and who waits for it.
pub(super) struct Job {
    pub(super) unit: Unit,
    pub(super) answer: oneshot::Sender<UnitAnswer>,
}

/// What came of a group.
pub(super) struct Done {
    pub(super) answers: Vec<(oneshot::Sender<UnitAnswer>, UnitAnswer)>,
    pub(super) batches: Vec<CommitBatch>,
    /// Units that no longer fitted.
    pub(super) rest: VecDeque<Job>,
    /// Why the whole group failed, for the log.
    pub(super) failure: Option<String>,
}

/// What grew while the units of one transaction were applied.
struct Growth {
    seq: Seq,
    changes: Vec<Arc<Change>>,
    ops: usize,
    bytes: usize,
    remembered: bool,
    newest_id: Option<Timestamp>,
}

impl Writer {
    /// Commits what fits of `jobs`. A unit that is refused fails alone; a transaction that fails takes all of its
    /// units with it, and nothing of them is announced.
    pub(super) fn run(&mut self, jobs: VecDeque<Job>) -> Done {
        let mut done = Done { answers: Vec::new(), batches: Vec::new(), rest: jobs, failure: None };
        if self.setting.damage.is_known() {
            done.answers = done.rest.drain(..).map(|job| (job.answer, Err(CommitError::Damaged))).collect();
            done.failure = Some("the database is damaged".to_owned());
            return done;
        }
        if let Err(error) = self.group(&mut done) {
            self.setting.damage.note(&error);
            // Closing the connection rolls back whatever is left of the transaction.
            self.conn = None;
            let answers = std::mem::take(&mut done.answers).into_iter().map(|(answer, _)| answer);
            let answers = answers.chain(done.rest.drain(..).map(|job| job.answer));
            done.answers = answers.map(|answer| (answer, Err(refusal(&error)))).collect();
            done.failure = Some(error.to_string());
        }
        if let Some(batch) = done.batches.last() {
            self.announced = batch.last();
        }
        done
    }

    fn group(&mut self, done: &mut Done) -> rusqlite::Result<()> {
        done.batches.extend(self.ready()?);
        let conn = self.conn.as_ref().expect("`ready` opened the connection or failed");
        let now = Reading {
            // One time for the group. Its units were stamped when they were queued, the last of them just now.
            wall: done.rest.iter().map(|job| job.unit.at).max().unwrap_or_else(|| self.setting.env.now()),
            elapsed: self.setting.env.elapsed(),
        };
        let mut clock = match self.clock.take() {
            Some(clock) => clock,
            None => Clock::load(conn, now.elapsed)?,
        };
        let times = clock.look(now);
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let growth = self.units(conn, times, done)?;
        clock.made(growth.newest_id);
        if !growth.changes.is_empty() {
            clock.save(conn, now.elapsed)?;
        }
        let floor = self.close_books(conn, times.forget, &growth)?;
        self.clock = Some(clock);
        {
            let _changing = self.setting.stamps.change(&growth.changes);
            conn.prepare_cached("COMMIT")?.execute([])?;
        }
        (self.seq, self.floor) = (growth.seq, floor);
        if !growth.changes.is_empty() {
            done.batches.push(CommitBatch { epoch: self.setting.epoch.clone(), changes: growth.changes });
        }
        Ok(())
    }

    fn units(&self, conn: &Connection, times: Times, done: &mut Done) -> rusqlite::Result<Growth> {
        let StoreConfig { group_ops, group_bytes, .. } = self.setting.config;
        let mut growth = Growth {
            seq: self.seq,
            changes: Vec::new(),
            ops: 0,
            bytes: 0,
            remembered: false,
            newest_id: None,
        };
        let setting = &self.setting;
        let mut transaction =
            SqliteTransaction::writing(conn, &setting.catalog, &setting.config, times.stamp);
        while growth.ops < group_ops && growth.bytes < group_bytes {
            let Some(Job { unit, answer }) = done.rest.pop_front() else { break };
            growth.ops += unit.ops.len();
            let result = self.unit(&mut transaction, unit, growth.seq);
            // Noted before it is looked at: an answer that is not in the list would never be given.
            done.answers.push((answer, Err(CommitError::Closed)));
            let result = result?.map(|applied| self.grow(&mut growth, applied));
            if let Some((_, noted)) = done.answers.last_mut() {
                *noted = result;
            }
        }
        Ok(growth)
    }

    fn grow(&self, growth: &mut Growth, applied: AppliedUnit) -> Outcome {
        growth.seq.0 += applied.entries.len() as u64;
        growth.ops += applied.entries.len().saturating_sub(applied.results.len());
        growth.bytes += applied.bytes;
        growth.remembered |= applied.remembered;
        growth.newest_id = growth.newest_id.max(applied.newest_id);
        growth.changes.extend(applied.entries.into_iter().map(Arc::new));
        Outcome {
            seq: applied.seq,
            epoch: self.setting.epoch.clone(),
            results: applied.results,
            replayed: applied.replayed,
        }
    }

    /// One unit. The outer error means that the transaction is lost, the inner that the unit is refused and the
    /// transaction is as it was before it. A savepoint would add a fifth to the cost of a unit that is judged before its
    /// first statement; a statement that fails backs itself out.
    fn unit(
        &self,
        transaction: &mut SqliteTransaction<'_>,
        unit: Unit,
        seq: Seq,
    ) -> rusqlite::Result<Result<AppliedUnit, CommitError>> {
        let relations = &self.setting.catalog.relations;
        let conn = transaction.conn;
        let savepoint = unit::may_fail_after_writing(relations, &unit.ops);
        if savepoint {
            conn.prepare_cached("SAVEPOINT unit")?.execute([])?;
        }
        let context = UnitContext {
            relations,
            config: &self.setting.config,
            generation: self.setting.generation,
            env: &self.setting.env,
        };
        let result = ready(unit::apply(transaction, context, unit, seq));
        let wrote = transaction.take_wrote();
        match result {
            Ok(applied) => {
                if savepoint {
                    conn.prepare_cached("RELEASE unit")?.execute([])?;
                }
                Ok(Ok(applied))
            }
            Err(fault) => undo(conn, savepoint, wrote, fault),
        }
    }

    /// What a commit owes beside its units: the counter, and the trimming. Answers with the new floor.
    fn close_books(&self, conn: &Connection, forget: Timestamp, growth: &Growth) -> rusqlite::Result<Seq> {
        if growth.remembered {
            idempotency::trim(conn, &self.setting.config, forget)?;
        }
        if growth.changes.is_empty() {
            return Ok(self.floor);
        }
        conn.prepare_cached(r#"UPDATE "_meta" SET "seq" = ?1"#)?.execute([signed(growth.seq.0)])?;
        let log = LogEnds { config: &self.setting.config, floor: self.floor, head: growth.seq };
        trim(conn, log, &self.setting.catalog.kept, growth.changes.len(), forget)
    }
}

/// Brings the transaction back to before a failed unit, or says that it cannot be.
fn undo(
    conn: &Connection,
    savepoint: bool,
    wrote: bool,
    fault: Fault<rusqlite::Error>,
) -> rusqlite::Result<Result<AppliedUnit, CommitError>> {
    // A full disk, an I/O error or exhausted memory may have rolled back the whole transaction, mates and all.
    let gone = conn.is_autocommit();
    if !gone && savepoint {
        conn.prepare_cached("ROLLBACK TO unit")?.execute([])?;
        conn.prepare_cached("RELEASE unit")?.execute([])?;
    }
    match fault {
        // Once damage is known nothing more is acknowledged, its mates included.
        Fault::Broken(error) if gone || (wrote && !savepoint) || is_damage(&error) => Err(error),
        Fault::Broken(error) => Ok(Err(refusal(&error))),
        Fault::Refused(error) => {
            debug_assert!(savepoint || !wrote, "a unit without savepoint is judged before it writes");
            Ok(Err(error))
        }
    }
}

/// The error that a writer gets for an error of SQLite.
fn refusal(error: &rusqlite::Error) -> CommitError {
    if is_damage(error) {
        return CommitError::Damaged;
    }
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => CommitError::StorageFull,
        Some(rusqlite::ErrorCode::ReadOnly) => CommitError::ReadOnly,
        _ => CommitError::Storage(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::ids::RecordId;
    use crate::schema::{Entity, Field, FieldKind, Generation, IdKind, Schema, Value};
    use crate::store::Op;
    use crate::store::migration::Allow;
    use crate::store::person_stamps::PersonStamps;
    use crate::store::sqlite::damage::Damage;
    use crate::store::sqlite::evolution::{self, Target};
    use crate::store::sqlite::location::DatabaseFile;
    use crate::store::sqlite::open::{self, DatabaseLock, open_writer};
    use crate::store::sqlite::read::Shape;
    use crate::store::sqlite::tables::Catalog;
    use crate::store::sqlite::writer::WriterSetting;

    fn schema() -> Schema {
        let body = Field::new("body", FieldKind::Text { min: None, max: None, pattern: None });
        let entity =
            |name, plural, fields| Entity { id_kind: IdKind::Text, ..Entity::new(name, plural, fields) };
        Schema::new([entity("Note", "notes", vec![body]), entity("User", "users", Vec::new())])
    }

    fn writer(folder: &std::path::Path) -> Writer {
        let file = DatabaseFile::within(folder);
        let lock = Arc::new(DatabaseLock::take(&file).unwrap());
        open::create_if_missing(&file).unwrap();
        let catalog = Arc::new(Catalog::of(&schema()));
        let mut conn = open_writer(&file, catalog.statements()).unwrap();
        let (schema, allow, env) = (schema(), Allow::default(), Env::system());
        let target = Target { file: &file, schema: &schema, allow: &allow, env: &env };
        let start = evolution::bring_up(&mut conn, target).unwrap();
        let shape = Shape::shared(catalog.clone(), start.generation);
        let setting = WriterSetting {
            file,
            catalog,
            config: StoreConfig::default(),
            epoch: start.epoch,
            generation: start.generation,
            shape,
            env,
            lock,
            damage: Damage::default(),
            stamps: PersonStamps::default(),
        };
        Writer::over(Arc::new(setting), conn, start.head, start.floor)
    }

    /// One unit that creates a note of so many bytes.
    fn note(id: &str, bytes: usize) -> Job {
        let op = Op::Create {
            entity: "Note".into(),
            id: RecordId::stored(id),
            values: vec![Value::Text("x".repeat(bytes))],
            fresh_id: true,
        };
        let unit = Unit {
            ops: vec![op],
            actor: None,
            asker: crate::rules::Asker::System,
            idempotency: None,
            leases: Vec::new(),
            generation: Generation(1),
            at: Timestamp(0),
            witness: None,
        };
        Job { unit, answer: oneshot::channel().0 }
    }

    fn seqs(done: &Done) -> Vec<Result<u64, CommitError>> {
        done.answers.iter().map(|(_, answer)| answer.clone().map(|outcome| outcome.seq.0)).collect()
    }

    #[test]
    fn a_full_disk_fails_the_group_and_the_next_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path());
        assert_eq!(seqs(&writer.run([note("a", 1)].into())), [Ok(1)]);

        let conn = writer.conn.as_ref().unwrap();
        let pages: u32 = conn.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
        let done = writer.run([note("b", 1), note("c", 1 << 20), note("d", 1)].into());
        assert_eq!(seqs(&done), vec![Err(CommitError::StorageFull); 3]);
        assert!(done.batches.is_empty() && done.failure.is_some());

        // The limit went with the connection, as if there was space again.
        let done = writer.run([note("b", 1), note("c", 1 << 20)].into());
        assert_eq!((seqs(&done), done.failure), (vec![Ok(2), Ok(3)], None));
        assert_eq!(done.batches[0].changes.len(), 2);
    }

    #[test]
    fn a_read_only_database_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path());
        writer.conn.as_ref().unwrap().execute_batch("PRAGMA query_only = ON").unwrap();
        assert_eq!(seqs(&writer.run([note("a", 1)].into())), [Err(CommitError::ReadOnly)]);
        assert_eq!(seqs(&writer.run([note("a", 1)].into())), [Ok(1)]);
    }

    #[test]
    fn a_row_without_its_log_entry_is_never_committed() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path());
        let unlogged = r#"CREATE TEMP TRIGGER unlogged BEFORE INSERT ON "_changes" WHEN NEW."id" = 'b'
            BEGIN SELECT RAISE(ABORT, 'planted'); END"#;
        writer.conn.as_ref().unwrap().execute_batch(unlogged).unwrap();
        let done = writer.run([note("a", 1), note("b", 1), note("c", 1)].into());
        assert!(seqs(&done).iter().all(|seq| matches!(seq, Err(CommitError::Storage(_)))));
        assert_eq!(seqs(&writer.run([note("b", 1), note("a", 1)].into())), [Ok(1), Ok(2)]);
    }

    #[test]
    fn a_commit_that_was_never_reported_is_announced_by_the_next_writer() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = writer(folder.path());
        assert_eq!(first.run([note("a", 1)].into()).batches.len(), 1);
        // The thread dies after the commit, before anyone learns of it.
        let unreported = first.run([note("b", 1), note("c", 1)].into()).batches.remove(0);
        let mut second = Writer::new(first.setting.clone(), Seq(1));
        drop(first);
        let done = second.run([note("d", 1)].into());
        assert_eq!(seqs(&done), [Ok(4)]);
        assert_eq!(done.batches[0], unreported);
        assert_eq!((done.batches[1].first(), done.batches.len()), (Seq(4), 2));
    }

    /// Red if whose rights a change concerns is known only to the commit itself.
    #[test]
    fn what_is_announced_late_tells_whose_rights_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = writer(folder.path());
        let mut job = note("ada", 1);
        job.unit.ops = vec![Op::Create {
            entity: "User".into(),
            id: RecordId::stored("ada"),
            values: Vec::new(),
            fresh_id: true,
        }];
        let unreported = first.run([job].into()).batches.remove(0);
        assert_eq!(unreported.changes[0].rights, ["ada".into()]);
        let mut second = Writer::new(first.setting.clone(), Seq(0));
        drop(first);
        assert_eq!(second.run([note("a", 1)].into()).batches[0], unreported);
    }
}
