//! Seats with unique codes, which refer to each other, and tickets for them. Knows no story.

use serde_json::Value as Json;
use tidewire::schema::{Field, FieldIndex, FieldKind, Lookup, OnDelete, Schema, Value};
use tidewire::store::{CommitError, Op};

use super::studio::{create, entity, field, link, refers, text, unique, update, words};

/// Of `Seat`.
pub(crate) const CODE: FieldIndex = FieldIndex(0);
pub(crate) const RANK: FieldIndex = FieldIndex(1);
pub(crate) const NEXT: FieldIndex = FieldIndex(2);
/// Of `Ticket`.
pub(crate) const SEAT: FieldIndex = FieldIndex(0);
pub(crate) const NUMBER: FieldIndex = FieldIndex(2);

/// Two unique fields of two types, a circle of references that restrict, a lookup through one, a cascade beside it.
pub(crate) fn schema() -> Schema {
    let lookup = Some(Lookup { via: SEAT, field: CODE });
    let seat = vec![
        unique(field("code", text())),
        unique(field("rank", FieldKind::Int { min: None, max: None })),
        field("next", refers("Seat", OnDelete::Restrict)),
    ];
    let ticket = vec![
        field("seat", refers("Seat", OnDelete::Restrict)),
        Field { lookup, readonly: true, ..field("seat_code", text()) },
        unique(field("number", FieldKind::Int { min: None, max: None })),
    ];
    Schema::new([
        entity("User", "users", vec![field("name", text())]),
        entity("Seat", "seats", seat),
        entity("Ticket", "tickets", ticket),
        entity("Note", "notes", vec![field("seat", refers("Seat", OnDelete::Cascade))]),
    ])
}

pub(crate) fn seat(n: u128, code: &str, rank: i64) -> Op {
    create("Seat", n, vec![words(code), Value::Int(rank), Value::Null])
}

pub(crate) fn ticket(n: u128, seat: u128) -> Op {
    create("Ticket", n, vec![link(seat), Value::Null, Value::Null])
}

pub(crate) fn code(n: u128, code: &str) -> Op {
    update("Seat", n, [(CODE, words(code))])
}

pub(crate) fn next(n: u128, to: u128) -> Op {
    update("Seat", n, [(NEXT, link(to))])
}

pub(crate) fn image(bytes: Option<&bytes::Bytes>) -> Json {
    bytes.map_or(Json::Null, |bytes| serde_json::from_slice(bytes).unwrap())
}

pub(crate) fn not_unique(op: usize, field: &str) -> CommitError {
    CommitError::NotUnique { op, fields: vec![field.into()] }
}
