//! The difference between the schema in the database and the schema of the files, as moves.
//!
//! Pure: it knows neither how many records there are nor what a move costs; `judge.rs` finds that out.

use std::sync::Arc;

use super::stored_schema::{StoredEntity, StoredField, StoredSchema};
use crate::schema::{Entity, FieldIndex, FieldKind, History, Schema};

/// One change of the database's shape. Tables and columns bear the names that they have now, before anything moves.
#[derive(Debug)]
pub(super) enum Move {
    Create {
        entity: Arc<Entity>,
    },
    /// The entity is gone from the schema.
    Drop {
        name: String,
        table: String,
    },
    /// The entity has another name: `was` in its file.
    Rename {
        entity: Arc<Entity>,
        was: String,
    },
    /// The entity has another plural, which is its table's name.
    Relocate {
        entity: Arc<Entity>,
        table: String,
    },
    /// Never happens with today's files: only `User` has ids of another kind.
    Ids {
        entity: Arc<Entity>,
        table: String,
    },
    AddField {
        at: Site,
    },
    DropField {
        entity: Arc<Entity>,
        table: String,
        column: String,
    },
    RenameField {
        at: Site,
    },
    /// Another type, another entity referred to, or an enum value less.
    Retype {
        at: Site,
        was: Box<StoredField>,
    },
    /// The field may no longer be null.
    Require {
        at: Site,
    },
    Unique {
        at: Site,
    },
    /// The field becomes a lookup: the server copies its values from now on.
    Follow {
        at: Site,
    },
    /// The entity keeps its changes for less time, or for none.
    Forget {
        entity: Arc<Entity>,
        /// The name that its log entries have.
        was: String,
    },
}

/// A field of the new schema, and where its values are now.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) entity: Arc<Entity>,
    pub(super) field: FieldIndex,
    pub(super) table: String,
    /// The column's present name; of a new field the one that it will have.
    pub(super) column: String,
}

impl Site {
    pub(super) fn field(&self) -> &crate::schema::Field {
        self.entity.at(self.field)
    }

    /// `Task.due`
    pub(super) fn subject(&self) -> String {
        format!("{}.{}", self.entity.name, self.field().name)
    }
}

/// Every move, in an order that tells the story entity by entity.
pub(super) fn difference(old: &StoredSchema, schema: &Schema) -> Vec<Move> {
    let mut moves = Vec::new();
    for (name, was) in &old.entities {
        let kept =
            schema.entities().any(|entity| former(old, entity).is_some_and(|(former, _)| former == name));
        if !kept {
            moves.push(Move::Drop { name: name.clone(), table: was.plural.clone() });
        }
    }
    for entity in schema.entities() {
        match former(old, entity) {
            None => moves.push(Move::Create { entity: entity.clone() }),
            Some((name, was)) => of_entity(entity, name, was, &mut moves),
        }
    }
    moves
}

/// The entity as the database has it: under its own name, or under the one that it had.
fn former<'a>(old: &'a StoredSchema, entity: &Entity) -> Option<(&'a String, &'a StoredEntity)> {
    let by = |name: &str| old.entities.get_key_value(name);
    by(&entity.name).or_else(|| by(entity.was.as_deref()?))
}

fn of_entity(entity: &Arc<Entity>, name: &str, was: &StoredEntity, moves: &mut Vec<Move>) {
    let table = || was.plural.clone();
    if *name != *entity.name {
        moves.push(Move::Rename { entity: entity.clone(), was: name.to_owned() });
    }
    if *was.plural != *entity.plural {
        moves.push(Move::Relocate { entity: entity.clone(), table: table() });
    }
    if was.id != StoredEntity::id_word(entity.id_kind) {
        moves.push(Move::Ids { entity: entity.clone(), table: table() });
    }
    if keeps_less(was.history.as_deref(), entity.history) {
        moves.push(Move::Forget { entity: entity.clone(), was: name.to_owned() });
    }
    let former =
        |field: &crate::schema::Field| was.field(&field.name).or_else(|| was.field(field.was.as_deref()?));
    for gone in &was.fields {
        if !entity.fields.iter().any(|field| former(field).is_some_and(|kept| kept.name == gone.name)) {
            let column = gone.name.clone();
            moves.push(Move::DropField { entity: entity.clone(), table: table(), column });
        }
    }
    for (at, field) in entity.fields.iter().enumerate() {
        let site = |column: &str| Site {
            entity: entity.clone(),
            field: FieldIndex(at),
            table: table(),
            column: column.to_owned(),
        };
        match former(field) {
            None => moves.push(Move::AddField { at: site(&field.name) }),
            Some(was) => of_field(&site(&was.name), was, moves),
        }
    }
}

fn of_field(at: &Site, was: &StoredField, moves: &mut Vec<Move>) {
    let field = at.field();
    if was.name != *field.name {
        moves.push(Move::RenameField { at: at.clone() });
    }
    if needs_retype(was, &field.kind) {
        moves.push(Move::Retype { at: at.clone(), was: Box::new(was.clone()) });
    }
    if field.lookup.is_some() && was.from.is_none() {
        moves.push(Move::Follow { at: at.clone() });
    }
    if field.required && !was.required {
        moves.push(Move::Require { at: at.clone() });
    }
    if field.unique && !was.unique {
        moves.push(Move::Unique { at: at.clone() });
    }
}

/// `was` as `StoredEntity::history` has it.
fn keeps_less(was: Option<&str>, is: Option<History>) -> bool {
    match (was, is) {
        (None, _) | (Some(_), Some(History::Forever)) => false,
        (Some(_), None) => true,
        // `forever` is no number, and less of it is kept in whatever time.
        (Some(was), Some(History::For(time))) => was.parse().map_or(true, |was: u64| time.as_secs() < was),
    }
}

/// Whether values that were right for the old field may be wrong for the new one. Bounds and patterns are not compared:
/// they hold for what is written from now on.
fn needs_retype(was: &StoredField, kind: &FieldKind) -> bool {
    if was.kind != kind.word() {
        return true;
    }
    if let (Some((was, _)), FieldKind::Ref { entity, .. }) = (&was.refers, kind) {
        return **was != **entity;
    }
    if let FieldKind::Enum { values } = kind {
        return was.values.iter().any(|was| !values.iter().any(|value| **value == **was));
    }
    false
}
