//! The reads of `trait Store`: each one read transaction on a connection of the pool, its position read in the same
//! transaction.
//!
//! Knows nothing of writing. A read begins its transaction and takes the shape of the tables in one step, between two
//! changes of the shape; it goes on without holding anybody up. The epoch is the writer's, fixed for the run; only that writer appends to the log.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::counts::Counts;
use super::damage::is_damage;
use super::differ;
use super::expansion::{self, Following};
use super::history::Wanted;
use super::listing::{self, Listing};
use super::log;
use super::people::{self, Known};
use super::predicate::Writing;
use super::rows::{Sql, read_column, read_record, signed, unsigned};
use super::scan_limit::{self, Asked};
use super::tables::{Catalog, Table};
use crate::config::StoreConfig;
use crate::ids::{Epoch, Position, RecordId, Seq};
use crate::rules::{Person, Principal, ReadScope};
use crate::schema::{EntityName, Generation, Record, Value};
use crate::store::images::{shown, stored};
use crate::store::{
    Advice, At, Column, Condition, Count, Counted, Differ, Difference, Hidden, ListPage, Listed, LogLimit,
    LogPage, MOST_GROUPS, Past, Query, Related, Scope, StoreError, Stored, Survey, Who,
};

/// `Survey` counts no further.
const COUNTED: u64 = 1_000_000;

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
}

/// Replaced as a whole in the moment in which the change is committed.
pub(super) type SharedShape = Arc<RwLock<Arc<Shape>>>;

/// The tables as they are committed.
pub(super) struct Shape {
    catalog: Arc<Catalog>,
    generation: Generation,
    counts: Counts,
}

impl Shape {
    pub(super) fn shared(catalog: Arc<Catalog>, generation: Generation) -> SharedShape {
        Arc::new(RwLock::new(Arc::new(Shape::new(catalog, generation))))
    }

    pub(super) fn new(catalog: Arc<Catalog>, generation: Generation) -> Shape {
        Shape { catalog, generation, counts: Counts::default() }
    }

    /// For columns that were named under this generation.
    fn table_at(&self, generation: Generation, entity: &str) -> Result<&Table, StoreError> {
        if generation == self.generation { self.table(entity) } else { Err(StoreError::StaleGeneration) }
    }

    fn read_scope(&self, conn: &Connection, entity: &str, who: &Who) -> Result<Arc<ReadScope>, StoreError> {
        people::read_scope(conn, &self.catalog, self.generation, entity, who)
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
    ) -> Reader {
        Reader { scan_rows: config.scan_rows, shape, epoch, ended }
    }

    /// Whether the read scope of the entity asks for no more than the person's own record. Up to a thousand records of a
    /// person are no short read.
    pub(super) fn binds_in_short(&self, entity: &str, who: &Who) -> bool {
        let shape = self.shape.read();
        let asks = |table: &Table| table.read_needs.related().next().is_some();
        !matches!(who, Who::Person(person) if person.id.is_some())
            || !shape.catalog.table(entity).is_some_and(asks)
    }

    /// The same for what all entities of the schema ask.
    pub(super) fn gathers_in_short(&self, person: &Person) -> bool {
        person.id.is_none() || self.shape.read().catalog.read_needs.related().next().is_none()
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

    /// A single statement where nobody asks, or anybody, and everything is shown; otherwise whoever asks is looked up first.
    pub(super) fn find(
        &self,
        conn: &mut Connection,
        entity: &str,
        id: &RecordId,
        who: &Who,
    ) -> Result<At<Option<Stored>>, StoreError> {
        if matches!(who, Who::Person(person) if person.id.is_some()) {
            return self.find_seen(conn, entity, id, who);
        }
        {
            let shape = self.shape.read();
            let table = shape.table(entity)?;
            let read_scope = people::read_scope(conn, &shape.catalog, shape.generation, entity, who)?;
            if read_scope.predicate().is_true() && read_scope.fields.is_empty() {
                return self.get_at(conn, table, id);
            }
        }
        self.find_seen(conn, entity, id, who)
    }

    fn find_seen(
        &self,
        conn: &mut Connection,
        entity: &str,
        id: &RecordId,
        who: &Who,
    ) -> Result<At<Option<Stored>>, StoreError> {
        self.in_one_transaction(conn, |conn, _, shape| {
            let read_scope = shape.read_scope(conn, entity, who)?;
            let record = select_seen(conn, shape.table(entity)?, &read_scope, id)?;
            Ok(record.map(|record| shown(&record, &read_scope)))
        })
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
        self.in_one_transaction(conn, |conn, _, shape| {
            Ok(people::principal(conn, &shape.catalog, person, &shape.catalog.read_needs)?)
        })
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

    pub(super) fn differ(&self, conn: &mut Connection, asked: &Differ) -> Result<At<Difference>, StoreError> {
        self.in_one_transaction(conn, |conn, at, shape| {
            let (catalog, generation, scan_rows) = (&*shape.catalog, shape.generation, self.scan_rows);
            differ::differ(&differ::Ground { conn, catalog, generation, scan_rows }, at, asked)
        })
    }

    pub(super) fn list(&self, conn: &mut Connection, query: &Query) -> Result<At<ListPage>, StoreError> {
        self.in_one_transaction(conn, |conn, _, shape| {
            let table = shape.table_at(query.generation, &query.entity)?;
            let mut needs = table.read_needs.clone();
            expansion::needs(&shape.catalog, &table.entity, &query.expand, &mut needs);
            let known = Known::read(conn, &shape.catalog, &query.who, &needs)?;
            let read_scope = known.read_scope(table, shape.generation)?;
            let sorted = query.sort.iter().map(|(column, _)| *column);
            may_be_asked(&read_scope, &query.filter, sorted)?;
            for expand in &query.expand {
                never_hidden(&read_scope, Column::Field(expand.field))?;
            }
            let read_scope = through(read_scope, &query.filter);
            let page = self.page(conn, table, query, &read_scope)?;
            let (catalog, generation) = (&*shape.catalog, shape.generation);
            let told = (query.who != Who::System).then(|| read_scope.clone());
            let following = Following { conn, catalog, generation, known: &known };
            let expanded = following.from(&read_scope, &page.records, &query.expand)?;
            let rows = page.records.into_iter().zip(page.images).zip(expanded);
            let listed = |((record, stored), expanded)| listed(query, record, stored, expanded);
            Ok(ListPage { rows: rows.map(listed).collect(), more: page.more, read_scope: told })
        })
    }

    fn page(
        &self,
        conn: &Connection,
        table: &Table,
        query: &Query,
        read_scope: &ReadScope,
    ) -> Result<Rows, StoreError> {
        let asked = Asked::of(read_scope, &query.filter);
        let mut refused = None;
        for way in scan_limit::ways(&table.entity, query, &asked, self.scan_rows) {
            let listings = listing::list(table, query, &asked, way)?;
            match Rows::of(conn, (table, read_scope), listings, query) {
                Err(error) if scan_limit::stopped(&error) => refused = Some(error),
                read => return Ok(read?),
            }
        }
        let refused = refused.expect("there is always a way, and it was stopped");
        let advice = || scan_limit::advice_on_list(&table.entity, query, &asked);
        Err(self.told(refused, table, self.scan_rows, advice))
    }

    pub(super) fn count(&self, conn: &mut Connection, count: &Count) -> Result<At<Counted>, StoreError> {
        self.in_one_transaction(conn, |conn, at, shape| {
            let table = shape.table_at(count.generation, &count.entity)?;
            let read_scope = shape.read_scope(conn, &count.entity, &count.who)?;
            may_be_asked(&read_scope, &count.filter, count.group.into_iter())?;
            let read_scope = through(read_scope, &count.filter);
            let groups = Vec::new();
            if read_scope.predicate().is_false() {
                return Ok(Counted { count: 0, groups });
            }
            if read_scope.predicate().is_true() && count.search.is_empty() && count.group.is_none() {
                return Ok(Counted { count: shape.counts.of(conn, at, table)?, groups });
            }
            let asked = Asked::of(&read_scope, &count.filter);
            let most = scan_limit::bound(&table.entity, count, &asked, self.scan_rows);
            let listing = listing::count(table, count, &asked, most)?;
            let counted = match count.group {
                None => read_count(conn, &listing).map(|count| Counted { count, groups }),
                Some(column) => read_groups(conn, table, &listing, column),
            };
            let counted = counted.map_err(|error| {
                self.told(error, table, most, || scan_limit::advice_on_count(&table.entity, count, &asked))
            })?;
            if counted.groups.len() > MOST_GROUPS {
                return Err(StoreError::TooManyGroups { entity: count.entity.clone() });
            }
            Ok(counted)
        })
    }

    /// What stopped the statement, if it was the bound on rows.
    fn told(
        &self,
        error: rusqlite::Error,
        table: &Table,
        rows: u64,
        advice: impl FnOnce() -> Advice,
    ) -> StoreError {
        if scan_limit::stopped(&error) {
            return StoreError::TooBroad { entity: table.entity.name.clone(), rows, advice: advice() };
        }
        StoreError::from(error)
    }

    pub(super) fn log(
        &self,
        conn: &mut Connection,
        after: Seq,
        limit: LogLimit,
    ) -> Result<At<LogPage>, StoreError> {
        self.in_one_transaction(conn, |conn, at, shape| {
            if after < at.floor {
                return Ok(LogPage::BelowFloor);
            }
            let changes = log::page(conn, &shape.catalog, after, limit)?;
            let to = changes.last().map_or(after, |change| change.seq);
            Ok(LogPage::Changes { changes, to })
        })
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
        self.in_one_transaction(conn, |conn, _, shape| {
            let table = shape.table(entity)?;
            let read_scope = shape.read_scope(conn, entity, who)?;
            let everything = *who == Who::System;
            let there = if everything { None } else { select(conn, table, id)? };
            let wanted =
                Wanted { read_scope: (!everything).then_some(&*read_scope), id, there, before, limit };
            Ok(shape.catalog.kept.page(conn, &shape.catalog, entity, &wanted)?)
        })
    }

    pub(super) fn survey(
        &self,
        conn: &mut Connection,
        scope: &Scope,
        since: &Position,
    ) -> Result<At<Survey>, StoreError> {
        self.in_one_transaction(conn, |conn, at, shape| {
            let table = shape.table(scope.entity())?;
            if !self.is_known(since, at.seq) {
                return Ok(Survey::default());
            }
            Ok(Survey {
                known: true,
                schema_changed: schema_changed(conn, since.seq)?,
                backlog: backlog(conn, scope, since.seq)?,
                rows: rows_of(conn, at, (&shape.counts, table), scope)?,
            })
        })
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
    /// value. The transaction ends by rollback, which for a reader is as good as a commit.
    fn in_one_transaction<T>(
        &self,
        conn: &mut Connection,
        read: impl FnOnce(&Connection, &At<()>, &Shape) -> Result<T, StoreError>,
    ) -> Result<At<T>, StoreError> {
        let (transaction, at, shape) = {
            let shape = self.shape.read();
            let transaction = conn.transaction()?;
            let at = self.read_head(&transaction)?;
            (transaction, at, shape.clone())
        };
        let value = read(&transaction, &at, &shape)?;
        Ok(at.map(|()| value))
    }

    fn read_head(&self, conn: &Connection) -> rusqlite::Result<At<()>> {
        conn.prepare_cached(r#"SELECT "seq", "floor", "generation" FROM "_meta""#)?
            .query_row([], |row| self.at(row))
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

/// Of a field that is not shown nobody may ask anything. Conditions on one that is shown with some records ask in addition for
/// those, but an order or groups would tell of the others.
fn may_be_asked(
    read_scope: &ReadScope,
    filter: &[Condition],
    mut ordered: impl Iterator<Item = Column>,
) -> Result<(), StoreError> {
    filter.iter().try_for_each(|condition| never_hidden(read_scope, condition.column))?;
    ordered.try_for_each(|column| match read_scope.shown(column) {
        None => Ok(()),
        Some(shown) if shown.is_false() => Err(StoreError::HiddenColumn(column, Hidden::Always)),
        Some(_) => Err(StoreError::HiddenColumn(column, Hidden::Sometimes)),
    })
}

fn never_hidden(read_scope: &ReadScope, column: Column) -> Result<(), StoreError> {
    match read_scope.shown(column) {
        Some(shown) if shown.is_false() => Err(StoreError::HiddenColumn(column, Hidden::Always)),
        Some(_) | None => Ok(()),
    }
}

fn through(read_scope: Arc<ReadScope>, filter: &[Condition]) -> Arc<ReadScope> {
    if filter.is_empty() {
        read_scope
    } else {
        Arc::new(ReadScope::clone(&read_scope).through(filter.to_vec()))
    }
}

fn select(conn: &Connection, table: &Table, id: &RecordId) -> rusqlite::Result<Option<Record>> {
    let mut select = conn.prepare_cached(&table.select)?;
    select.query_row([id.as_str()], |row| read_record(row, 0, &table.entity)).optional()
}

/// The record if it is seen; the predicate is asked by SQLite, as it is in a list.
fn select_seen(
    conn: &Connection,
    table: &Table,
    read_scope: &ReadScope,
    id: &RecordId,
) -> Result<Option<Record>, StoreError> {
    if read_scope.predicate().is_true() {
        return Ok(select(conn, table, id)?);
    }
    let mut values = vec![Value::Text(id.as_str().to_owned())];
    let seen = Writing { table, values: &mut values }.predicate(read_scope.predicate())?;
    let mut select = conn.prepare_cached(&format!("{} AND {seen}", table.select))?;
    let values = params_from_iter(values.iter().map(Sql));
    Ok(select.query_row(values, |row| read_record(row, 0, &table.entity)).optional()?)
}

fn rows_of(
    conn: &Connection,
    at: &At<()>,
    (counts, table): (&Counts, &Table),
    scope: &Scope,
) -> rusqlite::Result<u64> {
    match scope {
        Scope::Entity(_) => counts.of(conn, at, table).map(|count| count.min(COUNTED)),
        Scope::Record(_, id) => conn.prepare_cached(&table.exists)?.exists([id.as_str()]).map(u64::from),
    }
}

fn schema_changed(conn: &Connection, since: Seq) -> rusqlite::Result<bool> {
    conn.prepare_cached(r#"SELECT 1 FROM "_changes" WHERE "op" = 'schema' AND "seq" > ?1"#)?
        .exists([signed(since.0)])
}

/// Walks the log after `since`. An index by entity would make every write dearer, and whoever asks is about to read
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

/// The rows of a list so far.
#[derive(Default)]
struct Rows {
    records: Vec<Record>,
    /// One for each record.
    images: Vec<Stored>,
    bytes: usize,
    /// A row was met that the page has no room for.
    more: bool,
}

impl Rows {
    fn of(
        conn: &Connection,
        (table, read_scope): (&Table, &ReadScope),
        listings: Vec<Listing>,
        query: &Query,
    ) -> rusqlite::Result<Rows> {
        let mut page = Rows::default();
        for listing in listings {
            page.read(conn, (table, read_scope), listing, query)?;
            if page.more {
                break;
            }
        }
        Ok(page)
    }

    /// Appends what the statement yields until the page is full. SQLite takes a row out of the database column by column
    /// when it is asked for it, so the row that tells that more follow costs no memory.
    fn read(
        &mut self,
        conn: &Connection,
        (table, read_scope): (&Table, &ReadScope),
        mut listing: Listing,
        query: &Query,
    ) -> rusqlite::Result<()> {
        let most = (query.limit - self.records.len()).saturating_add(1);
        listing.values.push(Value::Int(signed(most as u64)));
        let mut statement = conn.prepare_cached(&listing.sql)?;
        // Of rows that SQLite sorts first, the statement yields the id alone.
        let by_id = statement.column_count() == 1;
        let mut by_id = if by_id { Some(conn.prepare_cached(&table.select)?) } else { None };
        let mut rows = statement.query(params_from_iter(listing.values.iter().map(Sql)))?;
        while let Some(row) = rows.next()? {
            if self.records.len() == query.limit || self.bytes >= query.bytes {
                self.more = true;
                break;
            }
            let record = match by_id.as_mut() {
                None => read_record(row, 0, &table.entity)?,
                Some(select) => {
                    select.query_row([row.get_ref(0)?.as_str()?], |row| read_record(row, 0, &table.entity))?
                }
            };
            let image = shown(&record, read_scope);
            self.bytes += image.json.len();
            self.records.push(record);
            self.images.push(image);
        }
        Ok(())
    }
}

fn listed(query: &Query, record: Record, stored: Stored, expanded: Vec<Option<Arc<Related>>>) -> Listed {
    let sort_values = query.sort.iter().map(|(column, _)| record.value(*column)).collect();
    Listed { sort_values, stored, id: record.id, expanded }
}

fn read_count(conn: &Connection, listing: &Listing) -> rusqlite::Result<u64> {
    let values = params_from_iter(listing.values.iter().map(Sql));
    conn.prepare_cached(&listing.sql)?.query_row(values, |row| row.get(0).map(unsigned))
}

/// One group more than there may be tells that there are too many.
fn read_groups(
    conn: &Connection,
    table: &Table,
    listing: &Listing,
    column: Column,
) -> rusqlite::Result<Counted> {
    let mut statement = conn.prepare_cached(&listing.sql)?;
    let values = params_from_iter(listing.values.iter().map(Sql));
    let rows = statement
        .query_map(values, |row| Ok((read_column(row, 0, &table.entity, column)?, unsigned(row.get(1)?))))?;
    let groups = rows.collect::<rusqlite::Result<Vec<(Value, u64)>>>()?;
    Ok(Counted { count: groups.iter().map(|(_, count)| count).sum(), groups })
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
                reader.in_one_transaction(conn, |_, at, shape| {
                    begun.send(()).unwrap();
                    released.recv().unwrap();
                    Ok((at.generation, shape.generation))
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
        assert_eq!(seen, (Generation(1), Generation(1)), "it goes on with what it began with");
    }
}
