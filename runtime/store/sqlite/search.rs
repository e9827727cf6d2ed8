//! The full-text index of an entity: what it is made of, how it is kept in step with the records, how it is asked.
//!
//! Records have no row numbers and FTS5 knows nothing else, so a table gives each record one. The index holds words and no
//! texts, folded by `schema::words`. It is written by `transaction.rs`, in the transaction of the records. Knows no
//! order and no filter.

use std::collections::{HashMap, HashSet};

use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};

use super::identifier::quoted;
use super::rows::Sql;
use crate::ids::RecordId;
use crate::schema::{Entity, FieldIndex, Record, Schema, Value, WORDS_VERSION, words};

/// The two tables of one entity and the statements over them.
pub(super) struct Search {
    /// The searched fields, in schema order.
    fields: Vec<FieldIndex>,
    /// DDL of the full-text table and of the table of row numbers.
    create_words: String,
    create_numbers: String,
    /// Gives every record of the entity its number, then its words.
    fill: [String; 2],
    /// Up to its condition: a subquery that yields the ids of the records found, as `_record`, without the bracket that
    /// opens it.
    pub(super) select: String,
    /// `id`.
    number: String,
    /// Row number, then every searched field.
    insert: String,
    /// `id`, then every searched field.
    update: String,
    /// `id`.
    delete: [String; 2],
}

/// Names begin with `_`, which no plural does. FTS5 makes more tables, whose names begin with that of the words.
fn words_name(plural: &str) -> String {
    format!("_search:{plural}:words")
}

fn numbers_name(plural: &str) -> String {
    format!("_search:{plural}:numbers")
}

impl Search {
    /// `None` for an entity without searched fields.
    pub(super) fn of(entity: &Entity) -> Option<Search> {
        let searched = entity.fields.iter().enumerate().filter(|(_, field)| field.search);
        let fields: Vec<FieldIndex> = searched.map(|(at, _)| FieldIndex(at)).collect();
        if fields.is_empty() {
            return None;
        }
        let table = quoted(&entity.plural);
        let words = quoted(&words_name(&entity.plural));
        let numbers = quoted(&numbers_name(&entity.plural));
        // FTS5 keeps `rank` and `rowid` for itself, so no column has the plain name of a field.
        let columns: Vec<String> =
            fields.iter().map(|at| quoted(&format!("{}_", entity.at(*at).name))).collect();
        let set: Vec<String> = (2..).zip(&columns).map(|(at, column)| format!("{column} = ?{at}")).collect();
        let columns = columns.join(", ");
        let source = |at: &FieldIndex| format!("words_of({})", quoted(&entity.at(*at).name));
        let sources: Vec<String> = fields.iter().map(source).collect();
        let number = format!(r#"SELECT "_number" FROM {numbers} WHERE "_record" = ?1"#);
        let places = vec!["?"; fields.len()].join(", ");
        Some(Search {
            // The words are folded and parted by spaces already, so the tokenizer has nothing to decide.
            // With short beginnings indexed, FTS5 hands their records out one by one, and `scanned` can stop it. Otherwise
            // it would first merge the lists of all words that begin so.
            create_words: format!(
                r#"CREATE VIRTUAL TABLE {words} USING fts5({columns}, content = '', contentless_delete = 1, prefix = '1 2', tokenize = 'ascii')"#
            ),
            create_numbers: format!(
                r#"CREATE TABLE {numbers} ("_number" INTEGER PRIMARY KEY, "_record" TEXT NOT NULL UNIQUE /* {WORDS_VERSION} */) STRICT"#
            ),
            fill: [
                format!(r#"INSERT INTO {numbers} ("_record") SELECT "id" FROM {table}"#),
                format!(
                    r#"INSERT INTO {words} (rowid, {columns}) SELECT "_number", {} FROM {numbers} JOIN {table} ON "id" = "_record""#,
                    sources.join(", ")
                ),
            ],
            select: format!(
                r#"SELECT "_record" FROM {words} CROSS JOIN {numbers} ON "_number" = {words}.rowid WHERE {words}"#
            ),
            insert: format!("INSERT INTO {words} (rowid, {columns}) VALUES (?, {places})"),
            update: format!("UPDATE {words} SET {} WHERE rowid = ({number})", set.join(", ")),
            delete: [
                format!("DELETE FROM {words} WHERE rowid = ({number})"),
                format!(r#"DELETE FROM {numbers} WHERE "_record" = ?1"#),
            ],
            number: format!(r#"INSERT INTO {numbers} ("_record") VALUES (?1)"#),
            fields,
        })
    }

    /// FTS5's expression for words that must all begin a word of the record. What is left of a word when it is folded is a string
    /// in FTS5's quotes, and holds no quote.
    pub(super) fn expression(&self, asked: &[String]) -> String {
        let quoted = asked.iter().map(|word| format!("\"{}\" *", words(word)));
        quoted.collect::<Vec<_>>().join(" AND ")
    }

    fn values(&self, record: &Record) -> impl Iterator<Item = Value> {
        let folded = |at: &FieldIndex| match &record.values[at.0] {
            Value::Text(text) => Value::Text(words(text)),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Json(_) => Value::Null,
        };
        self.fields.iter().map(folded)
    }

    fn create(&self, conn: &Connection) -> rusqlite::Result<()> {
        prepare(conn)?;
        [&self.create_numbers, &self.create_words, &self.fill[0], &self.fill[1]]
            .into_iter()
            .try_for_each(|statement| conn.execute_batch(statement))
    }
}

/// Brings the indexes into the schema's shape: drops those that are not wanted any longer, cover other fields or belong to
/// tables that were `rewritten`, and builds from the records those that are missing. Belongs after every change of the
/// tables.
pub(super) fn settle(conn: &Connection, schema: &Schema, rewritten: &HashSet<&str>) -> rusqlite::Result<()> {
    let mut present = present(conn)?;
    for entity in schema.entities() {
        let Some(search) = Search::of(entity) else { continue };
        let fits = present.get(&*entity.plural).is_some_and(|made| made.is_of(&search));
        if fits && !rewritten.contains(&*entity.plural) {
            present.remove(&*entity.plural);
            continue;
        }
        if present.remove(&*entity.plural).is_some() {
            drop_index(conn, &entity.plural)?;
        }
        search.create(conn)?;
    }
    present.keys().try_for_each(|plural| drop_index(conn, plural))
}

/// The DDL of the two tables of an index that is there.
#[derive(Debug, Default)]
struct IndexTables {
    words: String,
    numbers: String,
}

impl IndexTables {
    fn is_of(&self, search: &Search) -> bool {
        self.words == search.create_words && self.numbers == search.create_numbers
    }
}

/// The indexes that are there, by plural.
fn present(conn: &Connection) -> rusqlite::Result<HashMap<String, IndexTables>> {
    let mut statement = conn.prepare(
        r#"SELECT "words"."name", "words"."sql", "numbers"."sql" FROM sqlite_master AS "words"
           LEFT JOIN sqlite_master AS "numbers" ON "numbers"."name" = replace("words"."name", ':words', ':numbers')
           WHERE "words"."name" GLOB '_search:*:words'"#,
    )?;
    let rows = statement.query_map([], |row| {
        let made =
            IndexTables { words: row.get(1)?, numbers: row.get::<_, Option<String>>(2)?.unwrap_or_default() };
        Ok((row.get::<_, String>(0)?, made))
    })?;
    let plural = |name: &str| {
        name.strip_prefix("_search:").and_then(|rest| rest.strip_suffix(":words")).unwrap_or(name).to_owned()
    };
    rows.map(|row| row.map(|(name, made)| (plural(&name), made))).collect()
}

/// Makes `words_of` known to the connection that is about to fill an index.
fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    conn.create_scalar_function("words_of", 1, flags, |context| {
        Ok(match context.get_raw(0) {
            ValueRef::Text(text) => Some(words(&String::from_utf8_lossy(text))),
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => None,
        })
    })
}

fn drop_index(conn: &Connection, plural: &str) -> rusqlite::Result<()> {
    conn.execute_batch(&format!(
        "DROP TABLE {}; DROP TABLE IF EXISTS {}",
        quoted(&words_name(plural)),
        quoted(&numbers_name(plural))
    ))
}

/// A record that is new.
pub(super) fn add(conn: &Connection, search: Option<&Search>, record: &Record) -> rusqlite::Result<()> {
    let Some(search) = search else { return Ok(()) };
    conn.prepare_cached(&search.number)?.execute([record.id.as_str()])?;
    let number = Value::Int(conn.last_insert_rowid());
    let values: Vec<Value> = std::iter::once(number).chain(search.values(record)).collect();
    conn.prepare_cached(&search.insert)?.execute(params_from_iter(values.iter().map(Sql)))?;
    Ok(())
}

/// A record of which these fields changed.
pub(super) fn change(
    conn: &Connection,
    search: Option<&Search>,
    record: &Record,
    changed: &[FieldIndex],
) -> rusqlite::Result<()> {
    let Some(search) = search else { return Ok(()) };
    if !changed.iter().any(|at| search.fields.contains(at)) {
        return Ok(());
    }
    let id = Value::Text(record.id.as_str().to_owned());
    let values: Vec<Value> = std::iter::once(id).chain(search.values(record)).collect();
    conn.prepare_cached(&search.update)?.execute(params_from_iter(values.iter().map(Sql)))?;
    Ok(())
}

/// A record that is gone.
pub(super) fn remove(conn: &Connection, search: Option<&Search>, id: &RecordId) -> rusqlite::Result<()> {
    let Some(search) = search else { return Ok(()) };
    search
        .delete
        .iter()
        .try_for_each(|delete| conn.prepare_cached(delete)?.execute([id.as_str()]).map(|_| ()))
}
