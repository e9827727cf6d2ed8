//! The difference between the schema in the database and the schema of the files, as moves.
//!
//! Pure: it knows neither how many records there are nor what a move costs; `judge.rs` finds that out.

use std::collections::HashMap;
use std::sync::Arc;

use super::stored_schema::{StoredEntity, StoredField, StoredSchema, WHOLE};
use crate::schema::{Entity, Field, FieldIndex, FieldKind, History, KeyFields, Schema, Sequence};

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
        /// It was a lookup: its values are copies.
        copied: bool,
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
    /// Fields become unique together, or what is in them changes.
    UniqueTogether {
        key: KeyFields,
        members: Vec<TogetherField>,
    },
    /// The field becomes a lookup: the server copies its values from now on.
    Follow {
        at: Site,
    },
    /// Records of the entity expire by this field from now on.
    Expire {
        at: Site,
    },
    /// The server numbers the records from now on, or counts them by another field.
    Number {
        at: Site,
        /// The field has no values yet.
        is_new: bool,
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

/// One of the fields that are to be unique together.
#[derive(Debug, Clone)]
pub(super) struct TogetherField {
    pub(super) at: Site,
    pub(super) becomes: Becomes,
}

/// What becomes of the values of a field in the same evolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Becomes {
    Stays,
    /// The field is new.
    Added,
    /// It gets another type, or values where it has none.
    Rewritten,
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

/// Every move, entity by entity.
pub(super) fn difference(old: &StoredSchema, schema: &Schema) -> Vec<Move> {
    let mut moves = Vec::new();
    for (name, was) in &old.entities {
        let kept =
            schema.entities().any(|entity| former(old, entity).is_some_and(|former| former.name == name));
        if !kept {
            moves.push(Move::Drop { name: name.clone(), table: was.plural.clone() });
        }
    }
    let going_on = |entity: &'_ Arc<Entity>| former(old, entity).map(|former| former.name);
    let names: Names<'_> =
        schema.entities().filter_map(|entity| Some((going_on(entity)?, &*entity.name))).collect();
    for entity in schema.entities() {
        match former(old, entity) {
            None => moves.push(Move::Create { entity: entity.clone() }),
            Some(was) => of_entity(entity, was, &names, &mut moves),
        }
    }
    moves
}

/// An entity as the database has it.
pub(super) struct Former<'a> {
    pub(super) name: &'a str,
    pub(super) entity: &'a StoredEntity,
}

/// The entity as the database has it: under the name that it had, or under its own. A database that has both names never
/// took that `was`, because no schema may have an entity of a former name; so what bears the new name now is another one.
pub(super) fn former<'a>(old: &'a StoredSchema, entity: &Entity) -> Option<Former<'a>> {
    let by = |name: &str| old.entities.get_key_value(name).map(|(name, entity)| Former { name, entity });
    entity.was.as_deref().and_then(by).or_else(|| by(&entity.name))
}

/// The same for a field.
fn former_field<'a>(was: &'a StoredEntity, field: &crate::schema::Field) -> Option<&'a StoredField> {
    field.was.as_deref().and_then(|name| was.field(name)).or_else(|| was.field(&field.name))
}

/// Present name of each entity that continues, by its former one.
type Names<'a> = HashMap<&'a str, &'a str>;

fn of_entity(entity: &Arc<Entity>, former: Former<'_>, names: &Names<'_>, moves: &mut Vec<Move>) {
    let Former { name, entity: was } = former;
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
    for gone in &was.fields {
        let is_this = |field: &crate::schema::Field| {
            former_field(was, field).is_some_and(|kept| kept.name == gone.name)
        };
        if !entity.fields.iter().any(is_this) {
            let (column, copied) = (gone.name.clone(), gone.from.is_some());
            moves.push(Move::DropField { entity: entity.clone(), table: table(), column, copied });
        }
    }
    for (at, field) in entity.fields.iter().enumerate() {
        let site = |column: &str| Site {
            entity: entity.clone(),
            field: FieldIndex(at),
            table: table(),
            column: column.to_owned(),
        };
        match former_field(was, field) {
            None => moves.push(Move::AddField { at: site(&field.name) }),
            Some(was_field) => {
                of_field(&site(&was_field.name), was_field, names, moves);
                if entity.expires == Some(FieldIndex(at)) && was.expires.as_ref() != Some(&was_field.name) {
                    moves.push(Move::Expire { at: site(&was_field.name) });
                }
            }
        }
    }
    of_unique(entity, was, names, moves);
    of_sequences(entity, was, names, moves);
}

/// Sequences that count otherwise than before, and those whose records may have another parent by now.
fn of_sequences(entity: &Arc<Entity>, was: &StoredEntity, names: &Names<'_>, moves: &mut Vec<Move>) {
    for (at, field) in entity.fields.iter().enumerate() {
        let Some(sequence) = field.sequence else { continue };
        let former = former_field(was, field);
        let counted_by = former.and_then(|former| former.sequence.as_deref());
        let is_same = match sequence {
            Sequence::Whole => counted_by == Some(WHOLE),
            Sequence::Within(parent) => {
                let parent = member(entity, was, parent, names);
                parent.becomes == Becomes::Stays && counted_by == Some(parent.at.column.as_str())
            }
        };
        if !is_same {
            let column = former.map_or(&*field.name, |former| former.name.as_str()).to_owned();
            let (field, table) = (FieldIndex(at), was.plural.clone());
            let at = Site { entity: entity.clone(), field, table, column };
            moves.push(Move::Number { at, is_new: former.is_none() });
        }
    }
}

/// Fields that are unique together: those that were not before, and those that are rewritten.
fn of_unique(entity: &Arc<Entity>, was: &StoredEntity, names: &Names<'_>, moves: &mut Vec<Move>) {
    for key in &entity.unique {
        let members: Vec<TogetherField> =
            key.fields.iter().map(|at| member(entity, was, *at, names)).collect();
        let mut columns: Vec<&str> = members.iter().map(|member| member.at.column.as_str()).collect();
        columns.sort_unstable();
        let held = was.unique.iter().enumerate().any(|(place, known)| {
            let mut known: Vec<&str> = known.iter().map(String::as_str).collect();
            known.sort_unstable();
            known == columns && (!key.ignore_case || was.unique_in_any_case.contains(&place))
        });
        if !held || members.iter().any(|member| member.becomes != Becomes::Stays) {
            moves.push(Move::UniqueTogether { key: key.clone(), members });
        }
    }
}

fn member(entity: &Arc<Entity>, was: &StoredEntity, field: FieldIndex, names: &Names<'_>) -> TogetherField {
    let now = entity.at(field);
    let site = |column: &str| Site {
        entity: entity.clone(),
        field,
        table: was.plural.clone(),
        column: column.to_owned(),
    };
    match former_field(was, now) {
        None => TogetherField { at: site(&now.name), becomes: Becomes::Added },
        Some(was) => {
            let rewritten = needs_retype(was, now, names) || (now.required && !was.required);
            let becomes = if rewritten { Becomes::Rewritten } else { Becomes::Stays };
            TogetherField { at: site(&was.name), becomes }
        }
    }
}

fn of_field(at: &Site, was: &StoredField, names: &Names<'_>, moves: &mut Vec<Move>) {
    let field = at.field();
    if was.name != *field.name {
        moves.push(Move::RenameField { at: at.clone() });
    }
    if needs_retype(was, field, names) {
        moves.push(Move::Retype { at: at.clone(), was: Box::new(was.clone()) });
    }
    if field.lookup.is_some() && was.from.is_none() {
        moves.push(Move::Follow { at: at.clone() });
    }
    if field.required && !was.required {
        moves.push(Move::Require { at: at.clone() });
    }
    if field.unique && (!was.unique || (field.ignore_case && !was.ignore_case)) {
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

/// Whether texts are stored by a step that was not taken before.
pub(super) fn gains_steps(was: &StoredField, field: &Field) -> bool {
    field.normalize.iter().any(|step| !was.normalize.iter().any(|known| known == step.word()))
}

/// Whether values that were right for the old field may be wrong for the new one. Bounds and patterns are not compared:
/// they hold for what is written from now on.
fn needs_retype(was: &StoredField, field: &Field, names: &Names<'_>) -> bool {
    let kind = &field.kind;
    if was.kind != kind.word() || gains_steps(was, field) {
        return true;
    }
    if let (Some((was, _)), FieldKind::Ref { entity, .. }) = (&was.refers, kind) {
        return names.get(was.as_str()).is_none_or(|now| **now != **entity);
    }
    if let FieldKind::Enum { values } = kind {
        return was.values.iter().any(|was| !values.iter().any(|value| **value == **was));
    }
    false
}
