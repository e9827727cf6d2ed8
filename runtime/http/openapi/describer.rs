//! `Describer`: what a description is made from, and the components that it collects.
//!
//! Knows no operation.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::config::HttpConfig;
use crate::schema::record_schema::ObjectSchema;
use crate::schema::{Entity, Schema, own_name};

/// What operations refer to, by name.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Components {
    pub(super) schemas: IndexMap<String, ComponentSchema>,
    pub(super) parameters: IndexMap<String, Json>,
    pub(super) headers: IndexMap<String, Json>,
    pub(super) responses: IndexMap<String, Json>,
}

/// A component schema. Objects are kept apart, since their members have an order to keep.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum ComponentSchema {
    Object(ObjectSchema),
    Other(Json),
}

impl From<ObjectSchema> for ComponentSchema {
    fn from(object: ObjectSchema) -> ComponentSchema {
        ComponentSchema::Object(object)
    }
}

impl From<Json> for ComponentSchema {
    fn from(json: Json) -> ComponentSchema {
        ComponentSchema::Other(json)
    }
}

/// What a description is made from and goes into.
pub(super) struct Describer<'a> {
    pub(super) schema: &'a Schema,
    pub(super) limits: &'a HttpConfig,
    pub(super) components: Components,
}

impl Describer<'_> {
    pub(super) fn add_schema(&mut self, name: String, schema: impl Into<ComponentSchema>) {
        self.components.schemas.insert(name, schema.into());
    }

    /// The component of an entity with this suffix: `TaskPage`.
    pub(super) fn name(&self, entity: &Entity, suffix: &str) -> String {
        own_name(self.schema, &format!("{}{suffix}", entity.name))
    }

    /// A component that belongs to no entity.
    pub(super) fn shared_name(&self, name: &str) -> String {
        own_name(self.schema, name)
    }

    pub(super) fn entity_ref(&self, entity: &Entity, suffix: &str) -> Json {
        match suffix {
            "" => schema_ref(&entity.name),
            suffix => schema_ref(&self.name(entity, suffix)),
        }
    }

    pub(super) fn shared_ref(&self, name: &str) -> Json {
        schema_ref(&self.shared_name(name))
    }
}

pub(super) fn schema_ref(name: &str) -> Json {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

pub(super) fn query(name: &str, description: &str, schema: Json) -> Json {
    json!({"name": name, "in": "query", "description": description, "schema": schema})
}

/// An array whose items are joined by commas.
pub(super) fn joined(mut parameter: Json) -> Json {
    parameter["style"] = json!("form");
    parameter["explode"] = json!(false);
    parameter
}
