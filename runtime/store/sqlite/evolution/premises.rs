//! `Premises`: the facts that moves are checked against, read from the records.
//!
//! Judges nothing.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use super::difference::{Site, former};
use super::stored_schema::StoredSchema;
use crate::env::Env;
use crate::ids::Timestamp;
use crate::schema::{Entity, FieldDefault, Schema, Value, defaults};
use crate::store::migration::Allow;
use crate::store::sqlite::identifier::quoted;
use crate::store::sqlite::location::DatabaseFile;
use crate::store::sqlite::rows::{Sql, unsigned};

/// What a schema is brought to.
#[derive(Clone, Copy)]
pub(in crate::store::sqlite) struct Target<'a> {
    /// The database's file, for messages and for where backups go.
    pub(in crate::store::sqlite) file: &'a DatabaseFile,
    pub(in crate::store::sqlite) schema: &'a Schema,
    pub(in crate::store::sqlite) allow: &'a Allow,
    pub(in crate::store::sqlite) env: &'a Env,
}

/// What moves are judged against.
pub(super) struct Premises<'a> {
    pub(super) conn: &'a Connection,
    pub(super) schema: &'a Schema,
    pub(super) allow: &'a Allow,
    pub(super) now: Timestamp,
    env: &'a Env,
    /// Present table of each entity of the new schema; a new one has none.
    tables: HashMap<String, String>,
}

impl<'a> Premises<'a> {
    pub(super) fn new(conn: &'a Connection, old: &StoredSchema, target: Target<'a>) -> Premises<'a> {
        let Target { schema, allow, env, .. } = target;
        let present = |entity: &Entity| {
            former(old, entity).map(|former| (entity.name.to_string(), former.entity.plural.clone()))
        };
        let tables = schema.entities().filter_map(|entity| present(entity)).collect();
        Premises { conn, schema, allow, now: env.now(), env, tables }
    }

    pub(super) fn nulls(&self, at: &Site) -> rusqlite::Result<u64> {
        let (table, column) = (quoted(&at.table), quoted(&at.column));
        self.count(&format!("SELECT count(*) FROM {table} WHERE {column} IS NULL"))
    }

    /// Whether a record of `entity` has this id.
    pub(super) fn leads_somewhere(&self, entity: &str, id: &Value) -> rusqlite::Result<bool> {
        let Some(table) = self.tables.get(entity) else { return Ok(false) };
        let sql = format!(r#"SELECT 1 FROM {} WHERE "id" = ?1"#, quoted(table));
        Ok(self.conn.prepare_cached(&sql)?.query_row([Sql(id)], |_| Ok(())).optional()?.is_some())
    }

    pub(super) fn count(&self, sql: &str) -> rusqlite::Result<u64> {
        self.conn.query_row(sql, [], |row| row.get(0).map(unsigned))
    }

    /// What a record gets that has no value, or none that converts: what the operator says, or a default that needs no writer.
    /// Where `fills_each`, every call answers with another one.
    pub(super) fn fill(&self, at: &Site) -> Value {
        if let Some(value) = self.allow.backfill.get(&at.subject()) {
            return value.clone();
        }
        defaults::value_of(at.field(), None, self.now, self.env)
    }

    /// Whether each record that has no value gets one of its own.
    pub(super) fn fills_each(&self, at: &Site) -> bool {
        let is_random = at.field().default == Some(FieldDefault::Random);
        is_random && !self.allow.backfill.contains_key(&at.subject())
    }
}

pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Text(text) | Value::Json(text) => text.clone(),
    }
}
