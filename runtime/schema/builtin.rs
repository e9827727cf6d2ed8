//! The built-in entity `User` (SEMANTICS R11). A schema file may add fields to it and change nothing else.
//!
//! Does not know how a user comes to be known.

use super::column::FieldIndex;
pub(super) use super::model::USER;
use super::model::{Entity, Field, FieldDefault, FieldKind, IdKind};
use super::value::Value;

pub(super) const USER_PLURAL: &str = "users";

/// `User` without added fields: its id is the name that the issuer of the credentials gives the user.
pub(super) fn user() -> Entity {
    let fields = vec![
        field("name", FieldKind::Text { min: None, max: Some(128), pattern: None }, None),
        field("role", FieldKind::Text { min: None, max: Some(64), pattern: None }, None),
        field("disabled", FieldKind::Bool, Some(FieldDefault::Value(Value::Bool(false)))),
    ];
    Entity { label: Some(FieldIndex(0)), id_kind: IdKind::Text, ..Entity::new(USER, USER_PLURAL, fields) }
}

fn field(name: &str, kind: FieldKind, default: Option<FieldDefault>) -> Field {
    Field { default, ..Field::new(name, kind) }
}
