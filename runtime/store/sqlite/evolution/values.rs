//! Walking over the values of one column: to see how they convert to another type, and to change them.
//!
//! Knows how a value converts; whether it may is judged elsewhere.

use std::collections::HashSet;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use super::difference::{Site, gains_steps};
use super::premises::{Premises, text_of};
use super::stored_schema::StoredField;
use crate::ids::shown;
use crate::schema::convert::{convert, is_widening};
use crate::schema::{FieldKind, IdKind, Value, text_form};
use crate::store::migration::EXAMPLES;
use crate::store::sqlite::identifier::quoted;
use crate::store::sqlite::rows::Sql;

/// Rows that are read before their values are written.
const CHUNK: usize = 1_000;

/// How the values of one field convert.
#[derive(Debug, Default)]
pub(super) struct Converted {
    /// Values that are there.
    pub(super) values: u64,
    /// Those that do not convert.
    pub(super) failed: u64,
    /// Those that convert into something that reads otherwise.
    pub(super) lossy: u64,
    /// Records whose value does not convert; where all do, those whose value then reads otherwise.
    pub(super) examples: Vec<String>,
    /// Of a unique field: a value that two records would have.
    pub(super) duplicate: Option<String>,
}

/// Converts the values of one field.
pub(super) struct Converter<'a> {
    premises: &'a Premises<'a>,
    at: &'a Site,
    was: &'a StoredField,
    ids: IdKind,
}

impl<'a> Converter<'a> {
    pub(super) fn new(premises: &'a Premises<'a>, at: &'a Site, was: &'a StoredField) -> Converter<'a> {
        let ids = premises.schema.target(at.field()).map_or(IdKind::Uuid, |target| target.id_kind);
        Converter { premises, at, was, ids }
    }

    /// Looks at every value and changes none.
    pub(super) fn survey(&self) -> rusqlite::Result<Converted> {
        let mut found = Converted::default();
        let mut changed = Vec::new();
        let mut seen = HashSet::new();
        let otherwise = self.premises.fill(self.at);
        let alike = !self.premises.fills_each(self.at);
        let mut meet = |found: &mut Converted, value: &Value| {
            let double = self.at.field().unique && !value.is_null() && !seen.insert(self.compared(value));
            if double && found.duplicate.is_none() {
                found.duplicate = Some(format!("two records would have `{}`", shown(&text_of(value))));
            }
        };
        let widening =
            is_widening(&self.was.kind, &self.at.field().kind) && !gains_steps(self.was, self.at.field());
        each_value(self.premises.conn, &self.at.table, &self.at.column, &self.was.kind, |id, value| {
            found.values += 1;
            let Some(new) = self.convert(&value)? else {
                found.failed += 1;
                note(&mut found.examples, format!("{id}: `{}`", shown(&text_of(&value))));
                if alike {
                    meet(&mut found, &otherwise);
                }
                return Ok(());
            };
            if text_of(&new) != text_of(&value) && !widening {
                found.lossy += 1;
                note(
                    &mut changed,
                    format!("{id}: `{}` to `{}`", shown(&text_of(&value)), shown(&text_of(&new))),
                );
            }
            meet(&mut found, &new);
            Ok(())
        })?;
        if self.at.field().required && alike {
            // Nulls are filled as well; two of them are enough to see what comes of it.
            (0..self.premises.nulls(self.at)?.min(2)).for_each(|_| meet(&mut found, &otherwise));
        }
        if found.failed == 0 {
            found.examples = changed;
        }
        Ok(found)
    }

    /// Writes every value in its new form into the column `to`. What does not convert gets what `fill` says.
    pub(super) fn rewrite(&self, to: &str) -> rusqlite::Result<()> {
        let otherwise = || self.premises.fill(self.at);
        let conn = self.premises.conn;
        let update = format!(r#"UPDATE {} SET {} = ?2 WHERE "id" = ?1"#, quoted(&self.at.table), quoted(to));
        each_value(conn, &self.at.table, &self.at.column, &self.was.kind, |id, value| {
            let new = self.convert(&value)?.unwrap_or_else(otherwise);
            if to == self.at.column && new == value {
                return Ok(());
            }
            conn.prepare_cached(&update)?.execute(params![id, Sql(&new)]).map(|_| ())
        })
    }

    /// What of a value of a unique field two records may not share.
    fn compared(&self, value: &Value) -> String {
        let text = text_of(value);
        if self.at.field().ignore_case { text_form::fold_case(&text).into_owned() } else { text }
    }

    fn convert(&self, value: &Value) -> rusqlite::Result<Option<Value>> {
        let kind = &self.at.field().kind;
        let Some(new) = convert(value, kind, self.ids) else { return Ok(None) };
        let new = self.at.field().normalized(new);
        if let FieldKind::Ref { entity, .. } = kind
            && !self.premises.leads_somewhere(entity, &new)?
        {
            return Ok(None);
        }
        Ok(Some(new))
    }
}

fn note(examples: &mut Vec<String>, example: String) {
    if examples.len() < EXAMPLES {
        examples.push(example);
    }
}

/// Every value of the column that is not null, with its record's id, in the order of ids. Rows are read in chunks, so that
/// `each` may write to the table.
fn each_value(
    conn: &Connection,
    table: &str,
    column: &str,
    word: &str,
    mut each: impl FnMut(&str, Value) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let (table, column) = (quoted(table), quoted(column));
    let sql = format!(
        r#"SELECT "id", {column} FROM {table} WHERE "id" > ?1 AND {column} IS NOT NULL ORDER BY "id" LIMIT {CHUNK}"#
    );
    let mut after = String::new();
    loop {
        let mut statement = conn.prepare_cached(&sql)?;
        let rows = statement.query_map([&after], |row| Ok((row.get(0)?, value(row.get_ref(1)?, word)?)))?;
        let chunk: Vec<(String, Value)> = rows.collect::<Result<_, _>>()?;
        drop(statement);
        for (id, value) in &chunk {
            each(id, value.clone())?;
        }
        match chunk.into_iter().next_back() {
            Some((last, _)) => after = last,
            None => return Ok(()),
        }
    }
}

/// A stored value of a type that the schema may no longer have, by the type's word.
fn value(raw: ValueRef<'_>, word: &str) -> rusqlite::Result<Value> {
    Ok(match raw {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) if word == "bool" => Value::Bool(number != 0),
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::Float(number),
        ValueRef::Text(_) if word == "json" => Value::Json(raw.as_str()?.to_owned()),
        ValueRef::Text(_) | ValueRef::Blob(_) => Value::Text(raw.as_str()?.to_owned()),
    })
}
