//! The schema as the database remembers it: plain text, compared with the schema of the files at the next opening.
//! Equal text means equal schema; what differs is then compared field by field.
//!
//! Knows no SQL and decides nothing. Keys that came later are left out where they say nothing, so that the text of a
//! schema without them stays what it was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::schema::{
    Entity, FieldDefault, FieldIndex, FieldKind, History, IdKind, OnDelete, Schema, Sequence,
};

/// A sequence that counts all records of the entity. No field has this name.
pub(super) const WHOLE: &str = "*";

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredSchema {
    pub(super) entities: BTreeMap<String, StoredEntity>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredEntity {
    pub(super) plural: String,
    pub(super) label: Option<String>,
    /// `uuid` or `text`.
    pub(super) id: String,
    pub(super) fields: Vec<StoredField>,
    pub(super) indexes: Vec<Vec<String>>,
    /// Rules for read, create, update and delete, in this order.
    pub(super) access: [Option<String>; 4],
    /// Missing in a folder of a program that knew no list rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) list: Option<String>,
    /// `forever`, or seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) history: Option<String>,
    /// The fields of each `[[unique]]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) unique: Vec<Vec<String>>,
    /// Those of them whose texts are compared whatever their case, by their places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) unique_in_any_case: Vec<usize>,
    /// The field by which its records expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<String>,
    /// The activity does not tell of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) silent: bool,
    /// Batches of its events in a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<u32>,
    /// The `[[on]]` tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) on: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredField {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) required: bool,
    pub(super) unique: bool,
    pub(super) readonly: bool,
    /// JSON text of a constant, or the words `user.id`, `now`, `now + 7d`, `random`.
    pub(super) default: Option<String>,
    /// Of an enum.
    pub(super) values: Vec<String>,
    /// Of a reference: the entity and what happens when its record goes.
    pub(super) refers: Option<(String, String)>,
    /// Minimum, maximum and pattern, as texts.
    pub(super) bounds: [Option<String>; 3],
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) ignore_case: bool,
    /// The steps by which a text is stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) normalize: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) find: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) search: bool,
    /// Of a lookup: `task.project`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<String>,
    /// By which field the server numbers the records, or `WHOLE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sequence: Option<String>,
    /// The rule of who may see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) read: Option<String>,
    /// Where it had to be said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) identity: bool,
}

impl StoredSchema {
    pub(super) fn of(schema: &Schema) -> StoredSchema {
        let entity =
            |entity: &std::sync::Arc<Entity>| (entity.name.to_string(), StoredEntity::of(schema, entity));
        StoredSchema { entities: schema.entities().map(entity).collect() }
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("strings, flags and lists have a JSON form")
    }
}

impl StoredEntity {
    fn of(schema: &Schema, entity: &Entity) -> StoredEntity {
        let name = |at: &FieldIndex| entity.at(*at).name.to_string();
        let access = &entity.access;
        StoredEntity {
            plural: entity.plural.to_string(),
            label: entity.label.as_ref().map(name),
            id: StoredEntity::id_word(entity.id_kind).to_owned(),
            fields: (0..entity.fields.len())
                .map(|at| StoredField::of(schema, entity, FieldIndex(at)))
                .collect(),
            indexes: entity
                .indexes
                .iter()
                .map(|columns| columns.iter().map(|at| entity.name_of(*at).to_owned()).collect())
                .collect(),
            access: [&access.read, &access.create, &access.update, &access.delete]
                .map(|rule| rule.as_ref().map(|rule| rule.source.to_string())),
            list: access.list.as_ref().map(|rule| rule.source.to_string()),
            history: entity.history.map(|history| match history {
                History::For(time) => time.as_secs().to_string(),
                History::Forever => "forever".to_owned(),
            }),
            unique: entity.unique.iter().map(|key| key.fields.iter().map(name).collect()).collect(),
            unique_in_any_case: (0..entity.unique.len())
                .filter(|place| entity.unique[*place].ignore_case)
                .collect(),
            expires: entity.expires.as_ref().map(name),
            silent: !entity.activity,
            rate: entity.rate,
            on: entity.triggers.iter().map(|trigger| trigger.source.to_string()).collect(),
        }
    }

    pub(super) fn id_word(kind: IdKind) -> &'static str {
        match kind {
            IdKind::Uuid => "uuid",
            IdKind::Text => "text",
        }
    }

    pub(super) fn field(&self, name: &str) -> Option<&StoredField> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl StoredField {
    fn of(schema: &Schema, entity: &Entity, at: FieldIndex) -> StoredField {
        let field = entity.at(at);
        StoredField {
            name: field.name.to_string(),
            kind: field.kind.word().to_owned(),
            required: field.required,
            unique: field.unique,
            readonly: field.readonly,
            default: field.default.as_ref().map(default_text),
            values: values(&field.kind),
            refers: refers(&field.kind),
            bounds: bounds(&field.kind),
            ignore_case: field.ignore_case,
            normalize: field.normalize.iter().map(|step| step.word().to_owned()).collect(),
            find: field.find,
            search: field.search,
            from: schema.lookup_path(entity, field),
            sequence: field.sequence.map(|sequence| match sequence {
                Sequence::Whole => WHOLE.to_owned(),
                Sequence::Within(parent) => entity.at(parent).name.to_string(),
            }),
            read: field.read.as_ref().map(|rule| rule.source.to_string()),
            identity: entity.marked_identity() == Some(at),
        }
    }
}

fn default_text(default: &FieldDefault) -> String {
    match default {
        FieldDefault::UserId => "user.id".to_owned(),
        FieldDefault::Now(later) => later.to_string(),
        FieldDefault::Random => "random".to_owned(),
        FieldDefault::Value(value) => {
            let mut json = Vec::new();
            value.write_json(&mut json);
            String::from_utf8_lossy(&json).into_owned()
        }
    }
}

fn values(kind: &FieldKind) -> Vec<String> {
    if let FieldKind::Enum { values } = kind {
        return values.iter().map(ToString::to_string).collect();
    }
    Vec::new()
}

fn refers(kind: &FieldKind) -> Option<(String, String)> {
    let FieldKind::Ref { entity, on_delete } = kind else { return None };
    let on_delete = match on_delete {
        OnDelete::Restrict => "restrict",
        OnDelete::Cascade => "cascade",
        OnDelete::SetNull => "set_null",
    };
    Some((entity.to_string(), on_delete.to_owned()))
}

fn bounds(kind: &FieldKind) -> [Option<String>; 3] {
    fn text(bound: Option<&impl ToString>) -> Option<String> {
        bound.map(ToString::to_string)
    }
    match kind {
        FieldKind::Text { min, max, pattern } => {
            [text(min.as_ref()), text(max.as_ref()), pattern.as_ref().map(|pattern| pattern.0.to_string())]
        }
        FieldKind::Int { min, max } => [text(min.as_ref()), text(max.as_ref()), None],
        FieldKind::Float { min, max } => [text(min.as_ref()), text(max.as_ref()), None],
        FieldKind::Bool
        | FieldKind::Enum { .. }
        | FieldKind::Json
        | FieldKind::Date
        | FieldKind::Datetime
        | FieldKind::Uuid
        | FieldKind::Ref { .. } => [None, None, None],
    }
}
