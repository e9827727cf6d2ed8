//! What rules ask of a person, read in the transaction of whoever asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::rows::{read_record, signed};
use super::tables::{Catalog, Table};
use crate::rules::{Facts, MOST_RELATED, Needs, Person, Related};
use crate::schema::Record;

const USER: &str = "User";

/// What rules with these needs may ask of the person. Of nobody there is nothing to read.
pub(super) fn facts(
    conn: &Connection,
    catalog: &Catalog,
    person: &Arc<Person>,
    needs: &Needs,
) -> rusqlite::Result<Facts> {
    let Some(id) = &person.id else { return Ok(Facts::unread(person.clone())) };
    let record = catalog.table(USER).map(|table| user(conn, table, id)).transpose()?.flatten();
    let mut related = BTreeMap::new();
    for entity in needs.related() {
        let Some(table) = catalog.table(entity) else { continue };
        let Some(select) = &table.select_of_person else { continue };
        related.insert(entity.clone(), of_person(conn, (table, select), id)?);
    }
    Ok(Facts::new(person.clone(), record, related))
}

fn user(conn: &Connection, table: &Table, id: &str) -> rusqlite::Result<Option<Record>> {
    let mut select = conn.prepare_cached(&table.select)?;
    select.query_row([id], |row| read_record(row, 0, &table.entity)).optional()
}

fn of_person(conn: &Connection, (table, select): (&Table, &String), id: &str) -> rusqlite::Result<Related> {
    let mut select = conn.prepare_cached(select)?;
    let one_too_many = signed(MOST_RELATED as u64 + 1);
    let records = select.query_map(params![id, one_too_many], |row| read_record(row, 0, &table.entity))?;
    let records = records.collect::<rusqlite::Result<Vec<Record>>>()?;
    Ok(if records.len() > MOST_RELATED { Related::TooMany } else { Related::Records(records) })
}
