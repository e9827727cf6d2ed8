//! TypeScript declarations of every entity: what `GET /api/types.d.ts` and `tidewire schema types` answer.
//!
//! Knows no route; the names beside those of the entities give way to them (`own_name`).

use std::fmt::Write as _;

use super::delay::Delay;
use super::model::{Entity, Field, FieldDefault, FieldKind, Schema, Sequence};

/// A module of types only: `Task`, `TaskCreate`, `TaskUpdate` for each entity, and the map `Entities`.
pub fn typescript(schema: &Schema) -> String {
    let mut text =
        "// The records of this server, made by Tidewire from the schema files. Changes here are lost.\n"
            .to_owned();
    for entity in schema.entities() {
        let name = |suffix| own_name(schema, &format!("{}{suffix}", entity.name));
        interface(&mut text, &format!("A record of `/api/{}`.", entity.plural), &entity.name, record(entity));
        let description = format!("The body of a create of {}; of a PUT, too.", entity.name);
        interface(&mut text, &description, &name("Create"), create(entity));
        let description = format!("The body of a PATCH of {}: the fields that change.", entity.name);
        interface(&mut text, &description, &name("Update"), update(entity));
    }
    let map = schema.entities().map(|entity| format!("  {0}: {0};\n", entity.name)).collect();
    interface(&mut text, "Every entity's record by its name.", &own_name(schema, "Entities"), map);
    text
}

/// A name that no entity has: `TaskCreate`, or `TaskCreate_` beside an entity `TaskCreate`. Names of entities have no
/// underscore.
pub fn own_name(schema: &Schema, name: &str) -> String {
    if schema.entity(name).is_some() { format!("{name}_") } else { name.to_owned() }
}

fn interface(text: &mut String, description: &str, name: &str, members: String) {
    write!(text, "\n/** {description} */\nexport interface {name} {{\n{members}}}\n")
        .expect("a String takes every text");
}

fn record(entity: &Entity) -> String {
    let fields = entity.fields.iter().filter(|field| !field.is_hidden()).map(|field| {
        let readonly = if field.readonly { "readonly " } else { "" };
        let (optional, kept) = match field.read {
            Some(_) => ("?", Some("Missing when the caller may not see it.")),
            None => ("", None),
        };
        format!("{}  {readonly}{}{optional}: {};\n", comment(entity, field, kept), field.name, stored(field))
    });
    let fields: String = fields.collect();
    format!(
        "  readonly id: string;\n  readonly version: number;\n{fields}  readonly created_at: string;\n  readonly updated_at: string;\n"
    )
}

fn create(entity: &Entity) -> String {
    let fields = writable(entity).map(|field| {
        let optional = if field.required && field.default.is_none() { "" } else { "?" };
        format!("{}  {}{optional}: {};\n", comment(entity, field, left_out(field)), field.name, stored(field))
    });
    "  id?: string;\n".to_owned() + &fields.collect::<String>()
}

fn update(entity: &Entity) -> String {
    writable(entity)
        .map(|field| format!("{}  {}?: {};\n", comment(entity, field, None), field.name, stored(field)))
        .collect()
}

fn writable(entity: &Entity) -> impl Iterator<Item = &Field> {
    entity.fields.iter().filter(|field| !field.readonly)
}

fn stored(field: &Field) -> String {
    let kind = match &field.kind {
        FieldKind::Text { .. }
        | FieldKind::Date
        | FieldKind::Datetime
        | FieldKind::Uuid
        | FieldKind::Ref { .. } => "string".to_owned(),
        FieldKind::Int { .. } | FieldKind::Float { .. } => "number".to_owned(),
        FieldKind::Bool => "boolean".to_owned(),
        FieldKind::Enum { values } => {
            let literals: Vec<String> = values.iter().map(|value| literal(value)).collect();
            literals.join(" | ")
        }
        FieldKind::Json => return "unknown".to_owned(),
    };
    if field.required { kind } else { format!("{kind} | null") }
}

/// A JSON string is a TypeScript string.
fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What a create gets for a field that it leaves out.
fn left_out(field: &Field) -> Option<&'static str> {
    match field.default.as_ref()? {
        FieldDefault::UserId => Some("The writer's id when left out."),
        FieldDefault::Now(Delay::NONE) => Some("The time of the request when left out."),
        FieldDefault::Now(_) => Some("A time after that of the request when left out."),
        FieldDefault::Random => Some("Random text when left out."),
        FieldDefault::Value(_) => None,
    }
}

/// What the type does not say. Holds nothing that a schema file chose freely, so nothing can end the comment.
fn comment(entity: &Entity, field: &Field, more: Option<&str>) -> String {
    let mut words: Vec<String> = Vec::new();
    match &field.kind {
        FieldKind::Ref { entity, .. } => words.push(format!("Id of a {entity}.")),
        FieldKind::Date => words.push("A date: 2026-11-21.".to_owned()),
        FieldKind::Datetime => words.push("A time: 2026-11-21T08:00:00.000Z.".to_owned()),
        FieldKind::Uuid => words.push("A UUID.".to_owned()),
        FieldKind::Int { .. } => words.push("A whole number.".to_owned()),
        FieldKind::Text { .. }
        | FieldKind::Float { .. }
        | FieldKind::Bool
        | FieldKind::Enum { .. }
        | FieldKind::Json => {}
    }
    words.extend(super::record_schema::stored_as(field));
    if field.unique {
        let whole = if field.ignore_case { "Unique, whatever the case of its letters." } else { "Unique." };
        words.push(whole.to_owned());
    }
    for others in entity.unique_with(field) {
        words.push(format!("Unique together with {}.", others.join(", ")));
    }
    match field.sequence {
        Some(Sequence::Whole) => words.push("Numbered by the server.".to_owned()),
        Some(Sequence::Within(by)) => {
            words.push(format!("Numbered by the server, for each {}.", entity.at(by).name));
        }
        None => {}
    }
    words.extend(more.map(str::to_owned));
    if words.is_empty() { String::new() } else { format!("  /** {} */\n", words.join(" ")) }
}
