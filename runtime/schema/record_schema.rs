//! JSON Schemas (draft 2020-12) of an entity's records and of the bodies that write them.
//!
//! A record promises only what every stored record keeps: types, not bounds, since bounds may have been tightened after
//! it was written. Bodies have all constraints. Knows no route.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::delay::Delay;
use super::describe::value_json;
use super::ecma_pattern::ecma;
use super::limits::LARGEST_INT;
use super::model::{Entity, Field, FieldDefault, FieldKind, IdKind, Schema, Sequence};
use super::text_step::TextStep;
use crate::env::RANDOM_TEXT;

/// A JSON object with these members and no others; members stay in order.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectSchema {
    #[serde(rename = "type")]
    kind: &'static str,
    pub description: String,
    pub properties: IndexMap<String, Json>,
    pub required: Vec<String>,
    additional_properties: bool,
}

impl ObjectSchema {
    pub fn new(description: impl Into<String>) -> ObjectSchema {
        ObjectSchema {
            kind: "object",
            description: description.into(),
            properties: IndexMap::new(),
            required: Vec::new(),
            additional_properties: false,
        }
    }

    #[must_use]
    pub fn with(mut self, name: &str, schema: Json) -> ObjectSchema {
        self.required.push(name.to_owned());
        self.with_optional(name, schema)
    }

    #[must_use]
    pub fn with_optional(mut self, name: &str, schema: Json) -> ObjectSchema {
        self.properties.insert(name.to_owned(), schema);
        self
    }
}

/// A record as the server answers it: every member is always there, but for fields that not everybody may see. Those that
/// nobody sees are in no answer.
pub fn record(schema: &Schema, entity: &Entity) -> ObjectSchema {
    let read_only = |mut json: Json| {
        json["readOnly"] = json!(true);
        json
    };
    let mut object = ObjectSchema::new(format!("A record of {}.", entity.name))
        .with("id", id(entity.id_kind))
        .with("version", read_only(json!({"type": "integer", "minimum": 1})));
    for field in entity.fields.iter().filter(|field| !field.is_hidden()) {
        let mut stored = nullable(field, described(entity, field, stored_type(schema, &field.kind)));
        if let Some(path) = schema.lookup_path(entity, field) {
            say(&mut stored, &format!("Copied from {path}."));
        }
        match field.sequence {
            Some(Sequence::Whole) => say(&mut stored, "Numbered by the server."),
            Some(Sequence::Within(by)) => {
                say(&mut stored, &format!("Numbered by the server, for each {}.", entity.at(by).name));
            }
            None => {}
        }
        let stored = if field.readonly { read_only(stored) } else { stored };
        object = match field.read {
            Some(_) => object.with_optional(&field.name, stored),
            None => object.with(&field.name, stored),
        };
    }
    let time = || read_only(json!({"type": "string", "format": "date-time"}));
    object.with("created_at", time()).with("updated_at", time())
}

/// The body of a create. Nothing is required that has a default.
pub fn create(schema: &Schema, entity: &Entity) -> ObjectSchema {
    let mut own_id = id(entity.id_kind);
    own_id["description"] = json!("Made by the server when left out.");
    if entity.id_kind == IdKind::Text {
        // The address of such a record answers with the number of records. Said here alone: an address is no id of its own.
        own_id["not"] = json!({"const": "count"});
    }
    let object = ObjectSchema::new(format!("What a create of {} takes.", entity.name));
    whole_body(schema, entity, object.with_optional("id", own_id))
}

/// The body of a PUT: as a create, but the address has the id.
pub fn replace(schema: &Schema, entity: &Entity) -> ObjectSchema {
    let description = format!(
        "What a PUT of {} takes: a missing field gets its default, or null. `id` may stand there if it is the address's.",
        entity.name
    );
    whole_body(schema, entity, ObjectSchema::new(description))
}

/// The body of a PATCH: the fields that change.
pub fn update(schema: &Schema, entity: &Entity) -> ObjectSchema {
    let description = format!(
        "What a PATCH of {} takes: the fields that change. `id` may stand there if it is the address's.",
        entity.name
    );
    writable(entity).fold(ObjectSchema::new(description), |object, field| {
        object.with_optional(&field.name, given(schema, entity, field))
    })
}

/// The type of an id.
pub fn id(kind: IdKind) -> Json {
    match kind {
        IdKind::Uuid => json!({"type": "string", "format": "uuid"}),
        IdKind::Text => {
            let visible = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$";
            json!({"type": "string", "minLength": 1, "maxLength": 128, "pattern": visible})
        }
    }
}

/// The type of a stored value, without bounds and without null.
pub fn stored_type(schema: &Schema, kind: &FieldKind) -> Json {
    match kind {
        FieldKind::Text { .. } => json!({"type": "string"}),
        FieldKind::Int { .. } => json!({"type": "integer", "minimum": -LARGEST_INT, "maximum": LARGEST_INT}),
        FieldKind::Float { .. } => json!({"type": "number", "format": "double"}),
        FieldKind::Bool => json!({"type": "boolean"}),
        FieldKind::Enum { values } => json!({"type": "string", "enum": values}),
        FieldKind::Json => json!({"type": ["object", "array", "string", "number", "boolean"]}),
        FieldKind::Date => json!({"type": "string", "format": "date"}),
        FieldKind::Datetime => json!({"type": "string", "format": "date-time"}),
        FieldKind::Uuid => id(IdKind::Uuid),
        FieldKind::Ref { entity, .. } => {
            id(schema.entity(entity).map_or(IdKind::Uuid, |target| target.id_kind))
        }
    }
}

fn writable(entity: &Entity) -> impl Iterator<Item = &Field> {
    entity.fields.iter().filter(|field| !field.readonly)
}

fn whole_body(schema: &Schema, entity: &Entity, object: ObjectSchema) -> ObjectSchema {
    writable(entity).fold(object, |object, field| {
        let mut json = given(schema, entity, field);
        match &field.default {
            Some(FieldDefault::Value(value)) => json["default"] = value_json(value),
            Some(FieldDefault::UserId) if field.required => {
                say(&mut json, "The writer's id when left out; an anonymous writer must give it.");
            }
            Some(FieldDefault::UserId) => say(&mut json, "The writer's id when left out."),
            Some(FieldDefault::Now(Delay::NONE)) => {
                say(&mut json, "The time of the request when left out.");
            }
            Some(FieldDefault::Now(later)) => {
                say(&mut json, &format!("`{later}` when left out, from the time of the request."));
            }
            Some(FieldDefault::Random) => {
                say(&mut json, &format!("{RANDOM_TEXT} random characters when left out of a create."));
            }
            None => {}
        }
        match field.required && field.default.is_none() {
            true => object.with(&field.name, json),
            false => object.with_optional(&field.name, json),
        }
    })
}

/// A field's value as a client may give it.
fn given(schema: &Schema, entity: &Entity, field: &Field) -> Json {
    let mut json = described(entity, field, stored_type(schema, &field.kind));
    let mut bound = |key: &str, value: Json| {
        if !value.is_null() {
            json[key] = value;
        }
    };
    match &field.kind {
        FieldKind::Text { min, max, pattern } => {
            bound("minLength", json!(min));
            bound("maxLength", json!(max));
            if let Some(pattern) = pattern {
                match ecma(pattern.0.as_str()) {
                    Some(same) => bound("pattern", json!(same)),
                    None => say(&mut json, &format!("Matches the pattern {} of Rust's regex.", pattern.0)),
                }
            }
        }
        FieldKind::Int { min, max } => {
            bound("minimum", json!(min));
            bound("maximum", json!(max));
        }
        FieldKind::Float { min, max } => {
            bound("minimum", json!(min));
            bound("maximum", json!(max));
        }
        FieldKind::Bool
        | FieldKind::Enum { .. }
        | FieldKind::Json
        | FieldKind::Date
        | FieldKind::Datetime
        | FieldKind::Uuid
        | FieldKind::Ref { .. } => {}
    }
    nullable(field, json)
}

/// Null beside the type, where the field may be null.
fn nullable(field: &Field, mut json: Json) -> Json {
    if field.required {
        return json;
    }
    if field.kind == FieldKind::Json {
        json.as_object_mut().map(|members| members.remove("type"));
        return json;
    }
    let kind = json["type"].take();
    json["type"] = json!([kind, "null"]);
    if let Some(values) = json.get_mut("enum").and_then(Json::as_array_mut) {
        values.push(Json::Null);
    }
    json
}

/// Says in words what the type does not.
fn described(entity: &Entity, field: &Field, mut json: Json) -> Json {
    if let FieldKind::Ref { entity, .. } = &field.kind {
        say(&mut json, &format!("Id of a {entity}."));
    }
    if field.kind == FieldKind::Json {
        say(
            &mut json,
            "Any JSON of at most 32 levels, with numbers that a 64-bit float keeps digit for digit.",
        );
    }
    if let Some(sentence) = stored_as(field) {
        say(&mut json, &sentence);
    }
    if field.unique {
        say(
            &mut json,
            if field.ignore_case { "Unique, whatever the case of its letters." } else { "Unique." },
        );
    }
    for others in entity.unique_with(field) {
        say(&mut json, &format!("Unique together with {}.", others.join(", ")));
    }
    json
}

/// What becomes of a text before it is stored.
pub(super) fn stored_as(field: &Field) -> Option<String> {
    let phrase = |step: &TextStep| match step {
        TextStep::Trim => "without white space around it",
        TextStep::Lower => "in small letters",
        TextStep::Nfc => "in composed form (NFC)",
    };
    let phrases: Vec<&str> = field.normalize.iter().map(phrase).collect();
    (!phrases.is_empty()).then(|| format!("Stored {}.", phrases.join(", ")))
}

/// Adds a sentence to the description.
fn say(json: &mut Json, sentence: &str) {
    json["description"] = match json.get("description").and_then(Json::as_str) {
        Some(earlier) => json!(format!("{earlier} {sentence}")),
        None => json!(sentence),
    };
}
