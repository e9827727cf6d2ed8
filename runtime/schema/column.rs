//! How rules, values and records name what the schema has: an entity by its name, a field by its place, a column.
//!
//! Knows no entity: what a name stands for, `model.rs` has.

use std::sync::Arc;

/// The name of an entity, shared: `Task`.
pub type EntityName = Arc<str>;

/// Place of a field in `Entity::fields` and of its value in `Record::values`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldIndex(pub usize);

/// A field, or one of the columns that every entity has. In conditions, cursors and sort values an id is `Value::Text`, a
/// version `Value::Int`, a time `Value::Int` in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    Id,
    Version,
    CreatedAt,
    UpdatedAt,
    Field(FieldIndex),
}
