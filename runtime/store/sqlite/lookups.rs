//! The values of lookup fields in all records, when the schema changed.
//!
//! Does not know the writes that lookups follow.

use rusqlite::Connection;

use super::identifier::quoted;
use crate::schema::Schema;
use crate::store::lookups::{OrderedLookup, in_order};

/// Brings the lookups of all records into step, for a schema that is new to the database. Versions stay, and nothing is
/// logged: no client resumes across a change of the schema.
pub(super) fn fill(conn: &Connection, schema: &Schema) -> rusqlite::Result<()> {
    for OrderedLookup { entity, copied } in in_order(schema) {
        let (Some(entity), Some(target)) = (schema.entity(&entity), schema.entity(&copied.target)) else {
            continue;
        };
        let (own, via) = (quoted(&entity.at(copied.field).name), quoted(&entity.at(copied.via).name));
        let (table, source) = (quoted(&entity.plural), quoted(&target.at(copied.source).name));
        let value = format!(
            r#"(SELECT "source".{source} FROM {} AS "source" WHERE "source"."id" = {table}.{via})"#,
            quoted(&target.plural)
        );
        conn.execute(&format!("UPDATE {table} SET {own} = {value} WHERE {own} IS NOT {value}"), [])?;
    }
    Ok(())
}
