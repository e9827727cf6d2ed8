//! A schema, changes and batches made by hand.

use std::sync::Arc;

use bytes::Bytes;
use tidewire::ids::{Epoch, RecordId, Seq, Timestamp};
use tidewire::schema::{Entity, Field, FieldKind, Generation, Schema};
use tidewire::store::{Change, ChangeOp};

pub fn epoch() -> Epoch {
    "0123456789abcdef0123456789abcdef".parse().unwrap()
}

/// `Task` with one text field, and `Note` without any.
pub fn schema() -> Arc<Schema> {
    let title = Field::new("title", FieldKind::Text { min: None, max: None, pattern: None });
    let entities = [Entity::new("Task", "tasks", vec![title]), Entity::new("Note", "notes", Vec::new())];
    Arc::new(Schema::new(entities).opened())
}

/// The `n`th record id.
pub fn id(n: u128) -> RecordId {
    RecordId::from_uuid(uuid::Uuid::from_u128(n))
}

pub fn change(seq: u64, entity: &str, n: u128, op: ChangeOp) -> Arc<Change> {
    let image = Bytes::from(format!("{{\"id\":\"{}\",\"version\":1}}", id(n)));
    let deleted = op == ChangeOp::Delete;
    Arc::new(Change {
        seq: Seq(seq),
        entity: entity.into(),
        id: id(n),
        op,
        before: deleted.then(|| image.clone()),
        after: (!deleted).then_some(image),
        changed: (op == ChangeOp::Update).then(|| Bytes::from_static(b"[\"title\"]")),
        actor: Some("ada".into()),
        mid: None,
        at: Timestamp(1_700_000_000_000),
        unit_last: true,
        generation: Generation(1),
        cause: None,
        rights: Vec::new(),
        decoded: tidewire::store::Decoded::default(),
    })
}

/// The same change, followed by more of its unit.
pub fn inside_unit(change: Arc<Change>) -> Arc<Change> {
    Arc::new(Change { unit_last: false, ..(*change).clone() })
}
