//! The reads of `trait Store`: each one read transaction on a connection of the pool, its position read in the same
//! transaction.
//!
//! Does not know writing. A read begins its transaction and takes the shape of the tables in one step, between two
//! changes of the shape; it then blocks no one. The epoch is the writer's, fixed for the run; only that writer appends to the log.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use rusqlite::{Connection, Row, params};

use super::damage::is_damage;
use super::leases;
use super::rows::{read_record, signed, unsigned};
use super::source::{SqliteSource, ready};
use super::tables::{Catalog, Table};
use crate::config::StoreConfig;
use crate::ids::{Epoch, Position, RecordId, Seq};
use crate::rules::{Needs, Person, Principal};
use crate::schema::{Entity, EntityName, Expr, Generation, Operation};
use crate::store::images::stored;
use crate::store::person_stamps::PersonStamps;
use crate::store::principal::principal;
use crate::store::reading::snapshot::Snapshot;
use crate::store::reading::{SnapshotReads, asker};
use crate::store::relations::Relation;
use crate::store::source::Source;
use crate::store::{
    ActivityPage, ActivityQuery, At, Count, Counted, Differ, Difference, ListPage, LogLimit, LogPage, Past,
    Query, RecordLease, Scope, StoreError, Stored, Survey, Who,
};

/// `Survey` counts no further.
const COUNTED: u64 = 1_000_000;

/// The one row of `_meta`.
const HEAD: &str = r#"SELECT "seq", "floor", "generation" FROM "_meta""#;

/// Person, JSON array of entities.
const RIGHTS: &str = r#"SELECT max("seq") FROM "_rights" WHERE "person" = ?1 AND "entity" IN (SELECT json_each.value FROM json_each(?2))"#;

pub(super) struct Reader {
    /// How many rows a list or a count may step over.
    scan_rows: u64,
    /// Held for reading while a read begins (or is a single short statement), for writing while a change is committed.
    shape: SharedShape,
    epoch: Epoch,
    /// Earlier epochs with their last valid position.
    ended: HashMap<Epoch, Seq>,
    stamps: PersonStamps,
}

/// Whether everyone sees every record of the entity, and every field: then a read asks no more of a person than whether they are
/// disabled.
fn is_for_all(entity: &Entity) -> bool {
    entity.access.rule(Operation::Read) == &Expr::Constant(true)
        && entity.fields.iter().all(|field| field.read.is_none())
}

/// Replaced as a whole in the moment in which the change is committed.
pub(super) type SharedShape = Arc<RwLock<Arc<Shape>>>;

/// The tables as they are committed.
pub(super) struct Shape {
    catalog: Arc<Catalog>,
    generation: Generation,
}

impl Shape {
    pub(super) fn shared(catalog: Arc<Catalog>, generation: Generation) -> SharedShape {
        Arc::new(RwLock::new(Arc::new(Shape::new(catalog, generation))))
    }

    pub(super) fn new(catalog: Arc<Catalog>, generation: Generation) -> Shape {
        Shape { catalog, generation }
    }

    fn relation(&self, entity: &str) -> Result<&Relation, StoreError> {
        self.catalog.relations.get(entity).ok_or_else(|| StoreError::UnknownEntity(entity.to_owned()))
    }

    fn table(&self, entity: &str) -> Result<&Table, StoreError> {
        self.catalog.table(entity).ok_or_else(|| StoreError::UnknownEntity(entity.to_owned()))
    }
}

impl Reader {
    pub(super) fn new(
        config: &StoreConfig,
        shape: SharedShape,
        epoch: Epoch,
        ended: HashMap<Epoch, Seq>,
        stamps: PersonStamps,
    ) -> Reader {
        Reader { scan_rows: config.scan_rows, shape, epoch, ended, stamps }
    }

    /// Whether the read scope of the entity asks only for the person's own record. Up to a thousand records of a
    /// person are no short read.
    pub(super) fn binds_in_short(&self, entity: &str, who: &Who) -> bool {
        let shape = self.shape.read();
        let asks = |of: &Relation| of.read_needs.related().next().is_some();
        !matches!(who, Who::Person(person) if person.id.is_some())
            || !shape.catalog.relations.get(entity).is_some_and(asks)
    }

    /// The same for what all entities of the schema ask.
    pub(super) fn gathers_in_short(&self, person: &Person) -> bool {
        person.id.is_none() || self.shape.read().catalog.relations.read_needs.related().next().is_none()
    }

    pub(super) fn get(
        &self,
        conn: &mut Connection,
        entity: &str,
        id: &RecordId,
    ) -> Result<At<Option<Stored>>, StoreError> {
        let shape = self.shape.read();
        self.get_at(conn, shape.table(entity)?, id)
    }

    /// A single statement where the caller does not matter and everything is shown; otherwise the caller is looked up first.
    pub(super) fn find(
        &self,
        conn: &mut Connection,
        entity: &str,
        id: &RecordId,
        who: &Who,
    ) -> Result<At<Option<Stored>>, StoreError> {
        if let Who::Person(person) = who
            && let Some(user) = &person.id
        {
            let shape = self.shape.read();
            let (table, of) = (shape.table(entity)?, shape.relation(entity)?);
            if is_for_all(&of.entity) && self.is_enabled(conn, &shape, person, user)? {
                return self.get_at(conn, table, id);
            }
        } else {
            let shape = self.shape.read();
            let table = shape.table(entity)?;
            let source = SqliteSource::reading(conn, &shape.catalog);
            let (relations, of) = (&shape.catalog.relations, shape.relation(entity)?);
            let read_scope = ready(asker::read_scope(&source, relations, of, shape.generation, who))?;
            if read_scope.predicate().is_true() && read_scope.fields.is_empty() {
                return self.get_at(conn, table, id);
            }
        }
        self.in_one_transaction(conn, |reads| ready(reads.find(entity, id, who)))
    }

    /// Whether the person is not disabled. Reads the record only after it may have changed.
    fn is_enabled(
        &self,
        conn: &Connection,
        shape: &Shape,
        person: &Arc<Person>,
        user: &Arc<str>,
    ) -> Result<bool, StoreError> {
        if self.stamps.is_enabled(user) {
            return Ok(true);
        }
        let stamp = self.stamps.of(user);
        let source = SqliteSource::reading(conn, &shape.catalog);
        let found = ready(principal(&source, &shape.catalog.relations, person, &Needs::default()))?;
        if !found.is_disabled() {
            self.stamps.found_enabled(user, stamp);
        }
        Ok(!found.is_disabled())
    }

    fn get_at(
        &self,
        conn: &Connection,
        table: &Table,
        id: &RecordId,
    ) -> Result<At<Option<Stored>>, StoreError> {
        let mut select = conn.prepare_cached(&table.select_at)?;
        let read = |row: &Row<'_>| {
            let found = row.get_ref(3)?.as_str_or_null()?.is_some();
            let record = if found { Some(read_record(row, 3, &table.entity)?) } else { None };
            Ok(self.at(row)?.map(|()| record.map(|record| stored(&record, &table.entity))))
        };
        Ok(select.query_row([id.as_str()], read)?)
    }

    pub(super) fn principal(
        &self,
        conn: &mut Connection,
        person: &Arc<Person>,
    ) -> Result<At<Principal>, StoreError> {
        self.in_one_transaction(conn, |reads| ready(reads.principal(person)))
    }

    pub(super) fn rights_changed(
        &self,
        conn: &mut Connection,
        person: &str,
        entities: &[EntityName],
    ) -> Result<Seq, StoreError> {
        let entities: Vec<&str> = entities.iter().map(|entity| &**entity).collect();
        let entities = serde_json::to_string(&entities).expect("texts have a JSON form");
        let last: Option<i64> =
            conn.prepare_cached(RIGHTS)?.query_row(params![person, entities], |row| row.get(0))?;
        Ok(Seq(last.map_or(0, unsigned)))
    }

    pub(super) fn differ(
        &self,
        conn: &mut Connection,
        differ: &Differ,
    ) -> Result<At<Difference>, StoreError> {
        self.in_one_transaction(conn, |reads| ready(reads.differ(differ)))
    }

    pub(super) fn list(&self, conn: &mut Connection, query: &Query) -> Result<At<ListPage>, StoreError> {
        self.in_one_transaction(conn, |reads| ready(reads.list(query)))
    }

    pub(super) fn count(&self, conn: &mut Connection, count: &Count) -> Result<At<Counted>, StoreError> {
        self.in_one_transaction(conn, |reads| ready(reads.count(count)))
    }

    pub(super) fn log(
        &self,
        conn: &mut Connection,
        after: Seq,
        limit: LogLimit,
    ) -> Result<At<LogPage>, StoreError> {
        self.in_one_transaction(conn, |reads| ready(reads.log(after, limit)))
    }

    pub(super) fn history(
        &self,
        conn: &mut Connection,
        entity: &str,
        id: &RecordId,
        who: &Who,
        before: Option<Seq>,
        limit: LogLimit,
    ) -> Result<At<Option<Past>>, StoreError> {
        self.in_one_transaction(conn, |reads| ready(reads.history(entity, id, who, before, limit)))
    }

    pub(super) fn activity(
        &self,
        conn: &mut Connection,
        query: &ActivityQuery,
    ) -> Result<At<ActivityPage>, StoreError> {
        self.in_one_transaction(conn, |reads| ready(reads.activity(query)))
    }

    pub(super) fn survey(
        &self,
        conn: &mut Connection,
        scope: Option<&Scope>,
        since: &Position,
    ) -> Result<At<Survey>, StoreError> {
        self.in_one_transaction(conn, |reads| {
            let relation = |entity: &EntityName| {
                let of = reads.relations.get(entity);
                of.ok_or_else(|| StoreError::UnknownEntity(entity.to_string()))
            };
            let of = scope.map(|scope| relation(scope.entity())).transpose()?;
            if !self.is_known(since, reads.at.seq) {
                return Ok(Survey::default());
            }
            let (source, conn) = (reads.snapshot, reads.snapshot.conn);
            let (Some(scope), Some(of)) = (scope, of) else {
                // Seqs have no gaps.
                let backlog = (reads.at.seq.0 - since.seq.0).min(COUNTED);
                let schema_changed = schema_changed(conn, since.seq)?;
                return Ok(Survey { known: true, schema_changed, backlog, rows: 0 });
            };
            let rows = match scope {
                Scope::Entity(_) => ready(source.count_all(of, reads.at))?.min(COUNTED),
                Scope::Record(_, id) => u64::from(ready(source.exists(of, id.as_str()))?),
            };
            let (schema_changed, backlog) =
                (schema_changed(conn, since.seq)?, backlog(conn, scope, since.seq)?);
            Ok(Survey { known: true, schema_changed, backlog, rows })
        })
    }

    /// Every lease, with the position at which it is the state.
    pub(super) fn leases(&self, conn: &mut Connection) -> Result<At<Vec<RecordLease>>, StoreError> {
        let transaction = conn.transaction()?;
        let head = {
            let _shape = self.shape.read();
            self.read_head(&transaction)?
        };
        let leases = leases::all(&transaction)?;
        Ok(head.map(|()| leases))
    }

    pub(super) fn head(&self, conn: &mut Connection) -> Result<At<()>, StoreError> {
        // So that the generation that it reads is the one that other reads are made for.
        let _shape = self.shape.read();
        Ok(self.read_head(conn)?)
    }

    /// SEMANTICS P7.
    fn is_known(&self, since: &Position, head: Seq) -> bool {
        let end = if since.epoch == self.epoch { Some(&head) } else { self.ended.get(&since.epoch) };
        end.is_some_and(|end| since.seq <= *end)
    }

    /// Reads the position first, which fixes the snapshot, together with the shape that the tables have in it; then the
    /// value. As long as the statement that read the position is not reset, all others read what it read: that spares a `BEGIN`
    /// and its end, which cost as much as a read by id.
    fn in_one_transaction<T>(
        &self,
        conn: &mut Connection,
        read: impl FnOnce(&SnapshotReads<'_, SqliteSource<'_>>) -> Result<T, StoreError>,
    ) -> Result<At<T>, StoreError> {
        let conn = &*conn;
        let mut head = conn.prepare_cached(HEAD)?;
        let mut transaction = head.query([])?;
        let (at, shape) = {
            let shape = self.shape.read();
            let row = transaction.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            (self.at(row)?, shape.clone())
        };
        let snapshot = &SqliteSource::reading(conn, &shape.catalog);
        let relations = &shape.catalog.relations;
        let value = read(&SnapshotReads { snapshot, relations, at: &at, scan_rows: self.scan_rows })?;
        drop(transaction);
        Ok(at.map(|()| value))
    }

    fn read_head(&self, conn: &Connection) -> rusqlite::Result<At<()>> {
        conn.prepare_cached(HEAD)?.query_row([], |row| self.at(row))
    }

    fn at(&self, row: &Row<'_>) -> rusqlite::Result<At<()>> {
        Ok(At {
            epoch: self.epoch.clone(),
            seq: Seq(unsigned(row.get(0)?)),
            floor: Seq(unsigned(row.get(1)?)),
            generation: Generation(unsigned(row.get(2)?)),
            value: (),
        })
    }
}

fn schema_changed(conn: &Connection, since: Seq) -> rusqlite::Result<bool> {
    conn.prepare_cached(r#"SELECT 1 FROM "_changes" WHERE "op" = 'schema' AND "seq" > ?1"#)?
        .exists([signed(since.0)])
}

/// Walks the log after `since`. An index by entity would make every write dearer, and the caller is about to read
/// the same stretch of the log anyway.
fn backlog(conn: &Connection, scope: &Scope, since: Seq) -> rusqlite::Result<u64> {
    let (since, most) = (signed(since.0), signed(COUNTED));
    let count = |row: &Row<'_>| row.get(0).map(unsigned);
    match scope {
        Scope::Entity(entity) => conn
            .prepare_cached(
                r#"SELECT count(*) FROM (SELECT 1 FROM "_changes" WHERE "seq" > ?1 AND "entity" = ?2 LIMIT ?3)"#,
            )?
            .query_row(params![since, &**entity, most], count),
        Scope::Record(entity, id) => conn
            .prepare_cached(
                r#"SELECT count(*) FROM (SELECT 1 FROM "_changes" WHERE "seq" > ?1 AND "entity" = ?2 AND "id" = ?4 LIMIT ?3)"#,
            )?
            .query_row(params![since, &**entity, most, id.as_str()], count),
    }
}

/// Texts of SQLite are for the log.
impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match is_damage(&error) {
            true => StoreError::Damaged(error.to_string()),
            false => StoreError::Storage(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::config::StoreConfig;
    use crate::env::Env;
    use crate::schema::{Entity, Field, FieldKind, Schema};
    use crate::store::Store;
    use crate::store::sqlite::{DatabaseFile, SqliteStore};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_read_that_lasts_holds_up_neither_a_change_of_the_schema_nor_other_reads() {
        let folder = tempfile::tempdir().unwrap();
        let note = |field: &str| {
            let field = Field::new(field, FieldKind::Bool);
            Arc::new(Schema::new([Entity::new("Note", "notes", vec![field])]))
        };
        let config = StoreConfig::default();
        let opened =
            SqliteStore::open(DatabaseFile::within(folder.path()), &note("a"), &config, Env::system())
                .unwrap();
        let (store, id) = (opened.store.clone(), RecordId::stored("n"));
        let (begun, begins) = std::sync::mpsc::channel();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let mut lasting = Box::pin(async move {
            let read = move |reader: &Reader, conn: &mut Connection| {
                reader.in_one_transaction(conn, |reads| {
                    begun.send(()).unwrap();
                    released.recv().unwrap();
                    Ok((
                        reads.at.generation,
                        reads.relations.get("Note").unwrap().entity.fields[0].name.to_string(),
                    ))
                })
            };
            store.lasting(read).await
        });
        assert!((&mut lasting).now_or_never().is_none());
        tokio::task::spawn_blocking(move || begins.recv().unwrap()).await.unwrap();
        let evolved = opened.store.evolve(note("b")).await.unwrap();
        assert_eq!(opened.store.get("Note", &id).await.unwrap().generation, evolved.generation);
        assert_eq!(opened.store.head().await.unwrap().generation, evolved.generation);
        release.send(()).unwrap();
        let seen = lasting.await.unwrap().value;
        assert_eq!(seen, (Generation(1), "a".to_owned()), "it goes on with what it began with");
    }
}
