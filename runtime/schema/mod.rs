//! Schema files: from TOML and JSON text to a checked `Schema`, with every error of every file at once.
//!
//! Knows no database and no wire; `store` compares a `Schema` with what it holds.

pub mod model;
pub mod value;

pub use model::{
    Access, Entity, EntityName, Field, FieldDefault, FieldIndex, FieldKind, Generation, IdKind, OnDelete,
    Pattern, Schema,
};
pub use value::{Record, Value};
