//! `ValueClass`: which values can be compared with each other.

use crate::schema::{Column, Entity, FieldKind, Value};

/// Values of two classes are not equal, and neither is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueClass {
    Text,
    /// Times and versions are numbers as well.
    Number,
    Bool,
    Json,
}

impl ValueClass {
    /// `None` for what is equal to nothing.
    pub fn of(value: &Value) -> Option<ValueClass> {
        match value {
            Value::Text(_) => Some(ValueClass::Text),
            Value::Int(_) | Value::Float(_) => Some(ValueClass::Number),
            Value::Bool(_) => Some(ValueClass::Bool),
            Value::Null | Value::Json(_) => None,
        }
    }

    pub fn of_column(column: Column, entity: &Entity) -> ValueClass {
        match column {
            Column::Id => ValueClass::Text,
            Column::Version | Column::CreatedAt | Column::UpdatedAt => ValueClass::Number,
            Column::Field(field) => match entity.at(field).kind {
                FieldKind::Int { .. } | FieldKind::Float { .. } => ValueClass::Number,
                FieldKind::Bool => ValueClass::Bool,
                FieldKind::Json => ValueClass::Json,
                FieldKind::Text { .. }
                | FieldKind::Enum { .. }
                | FieldKind::Date
                | FieldKind::Datetime
                | FieldKind::Uuid
                | FieldKind::Ref { .. } => ValueClass::Text,
            },
        }
    }
}
