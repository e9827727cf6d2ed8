//! The difference between the schema in the database and the schema of the files: what is to be created, and what is
//! refused because records would be lost or left without a value.
//!
//! Pure: it is told how many records there are, and writes SQL without running it.

use super::stored_schema::{StoredEntity, StoredField, StoredSchema};
use super::tables::{create_table, quoted, sql_type};
use crate::schema::{Entity, Field, FieldDefault, Schema, Value};

/// What to do to the database, and why not to.
#[derive(Debug, Default)]
pub(super) struct Difference {
    /// In order. Nothing may run while there are refusals.
    pub(super) statements: Vec<String>,
    pub(super) created_tables: Vec<String>,
    /// `tasks.due`
    pub(super) added_columns: Vec<String>,
    /// In the user's words, each naming entity and field.
    pub(super) refusals: Vec<String>,
}

/// Compares. `rows` counts the records in a table of the old schema.
pub(super) fn difference(
    old: &StoredSchema,
    schema: &Schema,
    mut rows: impl FnMut(&str) -> rusqlite::Result<u64>,
) -> rusqlite::Result<Difference> {
    let new = StoredSchema::of(schema);
    let mut found = Difference::default();
    let mut create: Vec<&Entity> = Vec::new();
    for (name, was) in &old.entities {
        if !new.entities.contains_key(name) {
            match rows(&was.plural)? {
                0 => found.drop_table(&was.plural),
                count => found.refuse(name, &format!("is gone from the schema, but {}", there_are(count))),
            }
        }
    }
    for entity in schema.entities() {
        let Some(was) = old.entities.get(&*entity.name) else {
            create.push(entity);
            continue;
        };
        let is = &new.entities[&*entity.name];
        if fits(was, is) {
            continue;
        }
        match rows(&was.plural)? {
            // A table without records has nothing to lose, so it may take any shape.
            0 => {
                found.drop_table(&was.plural);
                create.push(entity);
            }
            count => found.keep_records(entity, was, is, count),
        }
    }
    for entity in create {
        found.statements.push(create_table(entity));
        found.created_tables.push(entity.plural.to_string());
    }
    Ok(found)
}

/// Whether the table needs no change and the records in it stay valid as far as this is judged at all: bounds,
/// patterns, rules and labels hold for what is written from now on.
fn fits(was: &StoredEntity, is: &StoredEntity) -> bool {
    was.plural == is.plural
        && was.id == is.id
        && was.fields.len() == is.fields.len()
        && was.fields.iter().all(|was| is.field(&was.name).is_some_and(|is| objections(was, is).is_empty()))
}

/// Why records that were valid for the old field may not be for the new one.
fn objections(was: &StoredField, is: &StoredField) -> Vec<String> {
    let mut objections = Vec::new();
    if was.kind != is.kind {
        objections.push(format!("changed its type from {} to {}", was.kind, is.kind));
        return objections;
    }
    if let (Some((was, _)), Some((is, _))) = (&was.refers, &is.refers)
        && was != is
    {
        objections.push(format!("refers to {is} instead of {was}"));
    }
    if is.required && !was.required {
        objections.push("became required".to_owned());
    }
    if is.unique && !was.unique {
        objections.push("became unique".to_owned());
    }
    for value in was.values.iter().filter(|value| !is.values.contains(value)) {
        objections.push(format!("lost the enum value `{value}`"));
    }
    objections
}

impl Difference {
    fn keep_records(&mut self, entity: &Entity, was: &StoredEntity, is: &StoredEntity, count: u64) {
        let there_are = there_are(count);
        if was.plural != is.plural {
            self.refuse(
                &entity.name,
                &format!("changed its plural from `{}` to `{}`, and {there_are}", was.plural, is.plural),
            );
        }
        if was.id != is.id {
            self.refuse(
                &entity.name,
                &format!("changed its ids from {} to {}, and {there_are}", was.id, is.id),
            );
        }
        for gone in was.fields.iter().filter(|was| is.field(&was.name).is_none()) {
            let name = format!("{}.{}", entity.name, gone.name);
            self.refuse(&name, &format!("is gone from the schema, but {there_are}"));
        }
        for (field, is) in entity.fields.iter().zip(&is.fields) {
            let name = format!("{}.{}", entity.name, field.name);
            match was.field(&field.name) {
                None => self.add_column(entity, field, &name, count),
                Some(was) => objections(was, is)
                    .iter()
                    .for_each(|why| self.refuse(&name, &format!("{why}, and {there_are}"))),
            }
        }
    }

    fn add_column(&mut self, entity: &Entity, field: &Field, name: &str, count: u64) {
        let constant = constant(field);
        if field.required && constant.is_none() {
            let why = "is new and required, has no constant default, and";
            self.refuse(name, &format!("{why} {} without a value for it", there_are(count)));
        }
        if field.unique && constant.is_some() && count > 1 {
            let why = "is new and unique, but its default would give the same value to";
            self.refuse(name, &format!("{why} {count} records"));
        }
        let default = constant.map_or_else(String::new, |value| format!(" DEFAULT {}", literal(value)));
        let (table, column) = (quoted(&entity.plural), quoted(&field.name));
        let kind = sql_type(&field.kind);
        self.statements.push(format!("ALTER TABLE {table} ADD COLUMN {column} {kind}{default}"));
        self.added_columns.push(format!("{}.{}", entity.plural, field.name));
    }

    fn drop_table(&mut self, plural: &str) {
        self.statements.push(format!("DROP TABLE {}", quoted(plural)));
    }

    fn refuse(&mut self, name: &str, why: &str) {
        self.refusals.push(format!("`{name}` {why}"));
    }
}

fn there_are(count: u64) -> String {
    if count == 1 { "there is 1 record".to_owned() } else { format!("there are {count} records") }
}

fn constant(field: &Field) -> Option<&Value> {
    match &field.default {
        Some(FieldDefault::Value(value)) if !value.is_null() => Some(value),
        Some(FieldDefault::Value(_) | FieldDefault::UserId | FieldDefault::Now) | None => None,
    }
}

/// DDL takes no bound values.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Bool(flag) => i64::from(*flag).to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Text(text) | Value::Json(text) => format!("'{}'", text.replace('\'', "''")),
    }
}
