//! A `Schema` as JSON: for `GET /api/schema`, and in the canonical form that a database keeps beside its records.
//!
//! Knows no HTTP and no database.

use serde_json::{Map, Value as Json, json};

use super::model::{
    Access, Entity, Field, FieldDefault, FieldKind, Generation, History, IdKind, KeyFields, Schema, Sequence,
};
use super::rule::Rule;
use super::value::Value;

/// Grows when the canonical form itself changes.
const CANONICAL_FORMAT: u64 = 1;

/// What `GET /api/schema` answers: names, types and constraints; no access rules.
pub fn describe(schema: &Schema, generation: Generation) -> Json {
    json!({
        "generation": generation,
        "entities": schema.entities().map(|entity| told_json(schema, entity)).collect::<Vec<_>>(),
    })
}

/// The same with the access rules as they stand in the files, for administrators.
pub fn describe_with_rules(schema: &Schema, generation: Generation) -> Json {
    let mut json = describe(schema, generation);
    for (at, entity) in schema.entities().enumerate() {
        let told = &mut json["entities"][at];
        told["access"] = access_json(&entity.access);
        rules_of_fields(entity, &mut told["fields"]);
    }
    json
}

/// With the entities of which a write may change records by `[[on]]`, and how: a client with a copy of those knows that they may
/// change. When that happens is for the server to know.
fn told_json(schema: &Schema, entity: &Entity) -> Json {
    let mut json = entity_json(schema, entity);
    let mut told: Vec<Json> = Vec::new();
    for trigger in &entity.triggers {
        let act = &trigger.act;
        let one =
            json!({"event": trigger.event.word(), "then": act.operation().word(), "entity": act.entity()});
        if !told.contains(&one) {
            told.push(one);
        }
    }
    if !told.is_empty() {
        json["on"] = json!(told);
    }
    json
}

/// One text for all schemas that mean the same: equal exactly when entities, fields (and their order, which is the
/// order of a record's JSON), constraints, indexes, labels, access rules, rules of fields and `[[on]]` tables are. The order of files does not count.
pub fn canonical(schema: &Schema) -> String {
    let mut entities: Vec<&Entity> = schema.entities().map(|entity| &**entity).collect();
    entities.sort_by(|left, right| left.name.cmp(&right.name));
    let entities: Vec<Json> = entities
        .into_iter()
        .map(|entity| {
            let mut json = entity_json(schema, entity);
            json["access"] = access_json(&entity.access);
            if !entity.triggers.is_empty() {
                json["on"] = entity.triggers.iter().map(|trigger| json!(trigger.source)).collect();
            }
            rules_of_fields(entity, &mut json["fields"]);
            json
        })
        .collect();
    let mut json = json!({ "format": CANONICAL_FORMAT, "entities": entities });
    // A map keeps its keys sorted or in order of insertion, as the features of the whole build decide.
    json.sort_all_objects();
    json.to_string()
}

fn entity_json(schema: &Schema, entity: &Entity) -> Json {
    let names = |index: &Vec<_>| index.iter().map(|column| entity.name_of(*column)).collect::<Vec<_>>();
    let mut json = json!({
        "name": entity.name,
        "plural": entity.plural,
        "label": entity.label.map(|at| entity.at(at).name.clone()),
        "id": match entity.id_kind { IdKind::Uuid => "uuid", IdKind::Text => "text" },
        "fields": entity.fields.iter().map(|field| field_json(schema, entity, field)).collect::<Vec<_>>(),
        "indexes": entity.indexes.iter().map(names).collect::<Vec<_>>(),
    });
    if !entity.unique.is_empty() {
        let names =
            |key: &KeyFields| key.fields.iter().map(|at| entity.at(*at).name.clone()).collect::<Vec<_>>();
        json["unique"] = json!(entity.unique.iter().map(names).collect::<Vec<_>>());
        let in_any_case = entity.unique.iter().filter(|key| key.ignore_case);
        let in_any_case: Vec<_> = in_any_case.map(names).collect();
        if !in_any_case.is_empty() {
            json["unique_ignore_case"] = json!(in_any_case);
        }
    }
    if let Some(expires) = entity.expires {
        json["expires"] = json!(entity.at(expires).name);
    }
    if let Some(history) = entity.history {
        json["history"] = history_json(history);
    }
    if let Some(rate) = entity.rate {
        json["rate"] = json!(rate);
    }
    if entity.lease_required {
        json["lease"] = json!("required");
    }
    if !entity.activity {
        json["activity"] = json!(false);
    }
    json
}

fn field_json(schema: &Schema, entity: &Entity, field: &Field) -> Json {
    let mut json = Map::new();
    let mut put = |key: &str, value: Json| drop(json.insert(key.to_owned(), value));
    put("name", json!(field.name));
    put("type", json!(field.kind.word()));
    put("required", json!(field.required));
    put("unique", json!(field.unique));
    put("readonly", json!(field.readonly));
    if !field.normalize.is_empty() {
        put("normalize", json!(field.normalize.iter().map(|step| step.word()).collect::<Vec<_>>()));
    }
    if field.ignore_case {
        put("ignore_case", json!(true));
    }
    let mut put_some = |key: &str, value: Json| {
        if !value.is_null() {
            put(key, value);
        }
    };
    match &field.kind {
        FieldKind::Text { min, max, pattern } => {
            put_some("min", json!(min));
            put_some("max", json!(max));
            put_some("pattern", json!(pattern.as_ref().map(|pattern| pattern.0.as_str())));
        }
        FieldKind::Int { min, max } => {
            put_some("min", json!(min));
            put_some("max", json!(max));
        }
        FieldKind::Float { min, max } => {
            put_some("min", json!(min));
            put_some("max", json!(max));
        }
        FieldKind::Enum { values } => put("values", json!(values)),
        FieldKind::Ref { entity, on_delete } => {
            put("entity", json!(entity));
            put("on_delete", json!(on_delete.word()));
        }
        FieldKind::Bool | FieldKind::Json | FieldKind::Date | FieldKind::Datetime | FieldKind::Uuid => {}
    }
    if let Some(default) = &field.default {
        put("default", default_json(default));
    }
    if field.find {
        put("find", json!(true));
    }
    if field.search {
        put("search", json!(true));
    }
    match field.sequence {
        Some(Sequence::Whole) => put("sequence", json!(true)),
        Some(Sequence::Within(by)) => put("sequence", json!(entity.at(by).name)),
        None => {}
    }
    if let Some(path) = schema.lookup_path(entity, field) {
        put("from", json!(path));
    }
    Json::Object(json)
}

/// Days where they are whole, or hours, as in the file.
fn history_json(history: History) -> Json {
    match history {
        History::Forever => json!("forever"),
        History::For(time) => match time.as_secs() / 3600 {
            hours if hours % 24 == 0 => json!(format!("{}d", hours / 24)),
            hours => json!(format!("{hours}h")),
        },
    }
}

/// A constant as it would be in a record; a source as `{"from": …}`. Only a json field has an object as constant, and
/// no json field has a source, so the type tells the two apart.
fn default_json(default: &FieldDefault) -> Json {
    match default {
        FieldDefault::UserId => json!({ "from": "user.id" }),
        FieldDefault::Now(later) => json!({ "from": later.to_string() }),
        FieldDefault::Random => json!({ "from": "random" }),
        FieldDefault::Value(value) => value_json(value),
    }
}

pub(super) fn value_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::Json(raw) => serde_json::from_str(raw).unwrap_or(Json::Null),
    }
}

/// Who may see a field, and which says whose a record is, where they say something: the text of a schema without them stays
/// what it was.
fn rules_of_fields(entity: &Entity, fields: &mut Json) {
    let rule = |field: &Field| field.read.as_ref().map(|rule| rule.source.clone());
    for (at, field) in entity.fields.iter().enumerate() {
        if let Some(source) = rule(field) {
            fields[at]["read"] = json!(source);
        }
    }
    if let Some(identity) = entity.marked_identity() {
        fields[identity.0]["identity"] = json!(true);
    }
}

fn access_json(access: &Access) -> Json {
    let source = |rule: &Option<Rule>| rule.as_ref().map(|rule| rule.source.clone());
    let mut json = json!({
        "read": source(&access.read),
        "create": source(&access.create),
        "update": source(&access.update),
        "delete": source(&access.delete),
    });
    // Without it, what may be read is listed; a file from before it existed stays the same.
    if let Some(list) = source(&access.list) {
        json["list"] = json!(list);
    }
    json
}
