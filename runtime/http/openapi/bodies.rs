//! Component schemas: for each entity its record and bodies, and the shapes of answers that belong to no entity.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::describer::{ComponentSchema, Describer, schema_ref};
use super::parameters::{MOST_CHANNELS, POSITION};
use crate::schema::record_schema::{self, ObjectSchema};
use crate::schema::{Entity, FieldKind};

/// Most ops of one batch.
const MOST_OPS: usize = 500;
/// Versions are counted one by one; beyond this, numbers lose digits in JavaScript.
const LARGEST_VERSION: i64 = (1 << 53) - 1;

impl Describer<'_> {
    /// `Task`, `TaskCreate`, `TaskUpdate`, `TaskReplace`, `TaskView`, `TaskPage`, `TaskQuery`, `TaskCountQuery`, `TaskOp`.
    pub(super) fn entity_bodies(&mut self, entity: &Entity) {
        let of = |make: fn(&crate::schema::Schema, &Entity) -> ObjectSchema| {
            ComponentSchema::from(make(self.schema, entity))
        };
        let page = ObjectSchema::new(format!("A page of {}.", entity.plural))
            .with("items", json!({"type": "array", "maxItems": self.limits.list_max, "items": self.seen(entity)}))
            .with("next", json!({"description": "`cursor` of the next page; null on the last.", "type": ["string", "null"]}));
        let page =
            position(page).with("view", text("Send it as `view` in the `since` of a subscription or poll."));
        let schemas = [
            ("", of(record_schema::record)),
            ("Create", of(record_schema::create)),
            ("Update", of(record_schema::update)),
            ("Replace", of(record_schema::replace)),
            ("View", self.view(entity)),
            ("Page", page.into()),
            ("Query", self.query_body(entity).into()),
            ("CountQuery", self.count_body(entity).into()),
            ("Op", self.op(entity).into()),
        ];
        for (suffix, schema) in schemas {
            let name = if suffix.is_empty() { entity.name.to_string() } else { self.name(entity, suffix) };
            self.add_schema(name, schema);
        }
    }

    /// A record of which only id and version must be there, with what it refers to.
    fn view(&self, entity: &Entity) -> ComponentSchema {
        let mut view = record_schema::record(self.schema, entity);
        view.description = format!(
            "Some fields of a record of {} (`fields`), or a record with those that it refers to (`expand`).",
            entity.name
        );
        view.required = vec!["id".to_owned(), "version".to_owned()];
        let targets = entity.fields.iter().filter_map(|field| {
            let FieldKind::Ref { entity, .. } = &field.kind else { return None };
            Some((&*field.name, self.schema.entity(entity)?))
        });
        let expanded = targets.fold(
            ObjectSchema::new("For each ref field, the record that it refers to, or null."),
            |object, (name, target)| {
                object.with_optional(
                    name,
                    json!({"anyOf": [self.entity_ref(target, "View"), {"type": "null"}]}),
                )
            },
        );
        let any = !expanded.properties.is_empty();
        if any { view.with_optional("expanded", json!(expanded)).into() } else { view.into() }
    }

    /// One op of a batch on this entity. What may be left out may be null as well.
    fn op(&self, entity: &Entity) -> Json {
        let verb = |verb: &str| {
            ObjectSchema::new(format!("{verb} one {}.", entity.name))
                .with("op", json!({"type": "string", "const": verb}))
                .with("entity", json!({"type": "string", "const": entity.name}))
        };
        let id = record_schema::id(entity.id_kind);
        let addressed = |word: &str| {
            verb(word).with("id", id.clone()).with_optional(
                "version",
                json!({"description": "As If-Match.", "type": ["integer", "null"], "minimum": 1, "maximum": LARGEST_VERSION}),
            )
            .with_optional(
                "lease",
                json!({"description": "As If-Lease.", "type": ["integer", "null"], "minimum": 1, "maximum": LARGEST_VERSION}),
            )
        };
        let own_id = json!({"description": "In place of `id` in `data`.", "anyOf": [id, {"type": "null"}]});
        let data = |object: ObjectSchema, suffix: &str| object.with("data", self.entity_ref(entity, suffix));
        let ops = [
            data(verb("create").with_optional("id", own_id), "Create"),
            data(addressed("update"), "Update"),
            data(addressed("replace"), "Replace"),
            addressed("delete"),
        ];
        json!({"oneOf": ops.map(|op| op.with_optional("mid", self.mid()))})
    }

    fn mid(&self) -> Json {
        json!({
            "description": "The op's idempotency key, where ops are not atomic.",
            "type": ["string", "null"], "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$",
        })
    }

    pub(super) fn shared_bodies(&mut self, entities: &[Arc<Entity>]) {
        let ops: Vec<Json> = entities.iter().map(|entity| self.entity_ref(entity, "Op")).collect();
        let records: Vec<Json> = entities.iter().map(|entity| schema_ref(&entity.name)).collect();
        let described = json!({"type": "array", "items": {"type": "object"}});
        let state = json!({"type": "string", "enum": ["healthy", "ready"]});
        let schemas: [(&str, ComponentSchema); 11] = [
            ("Batch", batch(&ops)),
            ("BatchResults", self.batch_results(&records).into()),
            ("Count", count().into()),
            ("Many", many().into()),
            ("Poll", poll().into()),
            ("Activity", activity().into()),
            ("Presence", presence().into()),
            ("PresenceTree", presence_tree().into()),
            ("Changes", changes().into()),
            (
                "Schema",
                ObjectSchema::new("Entities with their fields, constraints and indexes.")
                    .with("generation", whole())
                    .with("entities", described)
                    .into(),
            ),
            ("State", ObjectSchema::new("State of the process.").with("status", state).into()),
        ];
        for (name, schema) in schemas {
            self.add_schema(self.shared_name(name), schema);
        }
        if entities.iter().any(|entity| entity.history.is_some()) {
            self.add_schema(self.shared_name("History"), history());
        }
    }

    fn batch_results(&self, records: &[Json]) -> Json {
        let done = |object: ObjectSchema| {
            object
                .with("status", json!({"type": "integer", "enum": [200, 201, 204]}))
                .with("id", json!({"type": "string"}))
                .with_optional("record", json!({"anyOf": records}))
        };
        let alone = done(ObjectSchema::new("One op by itself."))
            .with("seq", whole())
            .with_optional("replayed", flag());
        let failed = ObjectSchema::new("One op that was refused.")
            .with("status", json!({"type": "integer", "minimum": 400, "maximum": 599}))
            .with("error", self.shared_ref("OpProblem"));
        let atomic = position(ObjectSchema::new("All ops together."))
            .with("results", json!({"type": "array", "items": done(ObjectSchema::new("One op."))}))
            .with("replayed", flag());
        let each = position(ObjectSchema::new("Each op for itself."))
            .with("results", json!({"type": "array", "items": {"oneOf": [alone, failed]}}));
        json!({"anyOf": [atomic, each]})
    }
}

/// An atomic batch has one mutation id, the request's.
fn batch(ops: &[Json]) -> ComponentSchema {
    let atomic = json!({"description": "All or nothing.", "type": "boolean", "default": true});
    let ops = json!({"type": "array", "minItems": 1, "maxItems": MOST_OPS, "items": {"anyOf": ops}});
    let mut batch =
        json!(ObjectSchema::new("Writes, in order.").with_optional("atomic", atomic).with("ops", ops));
    batch["if"] = json!({"properties": {"atomic": {"const": true}}});
    batch["then"] = json!({"properties": {"ops": {"items": {"properties": {"mid": {"type": "null"}}}}}});
    batch.into()
}

fn count() -> ObjectSchema {
    let group =
        ObjectSchema::new("Records with the same value.").with("value", json!({})).with("count", whole());
    let object = ObjectSchema::new("How many records.").with("count", whole());
    position(object.with_optional(
        "groups",
        json!({"description": "By value of `group`, most first.", "type": "array", "items": group}),
    ))
}

fn many() -> ObjectSchema {
    ObjectSchema::new("Result of a change of many records.")
        .with("changed", whole())
        .with("refused", whole())
        .with(
            "next",
            json!({"description": "`cursor` for the request that continues.", "type": ["string", "null"]}),
        )
}

fn history() -> ObjectSchema {
    let entry = ObjectSchema::new("One change of the record.")
        .with("seq", whole())
        .with("op", json!({"type": "string", "enum": ["create", "update", "delete"]}))
        .with("version", whole())
        .with("at", json!({"type": "string", "format": "date-time"}))
        .with(
            "by",
            json!({"description": "The writer's id; null for an anonymous one.", "type": ["string", "null"]}),
        )
        .with_optional(
            "cause",
            json!({"description": "Why the server made it.", "type": "string", "enum": ["expired"]}),
        )
        .with_optional("mid", text("The idempotency key."))
        .with_optional("changed", json!({"type": "array", "items": {"type": "string"}}))
        .with_optional("before", json!({"type": "object"}))
        .with_optional("after", json!({"type": "object"}));
    let object = ObjectSchema::new("The changes of a record, newest first.")
        .with("items", json!({"type": "array", "items": entry}))
        .with("next", json!({"type": ["string", "null"]}));
    position(object)
}

fn presence() -> ObjectSchema {
    let user = ObjectSchema::new("A user at a resource, merged from their connections.")
        .with("id", json!({"type": "string"}))
        .with("name", text("The `name` of the `User` record, or else the id."))
        .with("joinedAt", whole())
        .with("lastSeen", whole())
        .with("state", json!({"type": "string", "enum": ["active", "idle", "away"]}))
        .with("connections", whole())
        .with("metadata", json!({"type": "object"}));
    let counts = ObjectSchema::new("How many are there.").with("users", whole()).with("connections", whole());
    let lease = ObjectSchema::new("Who holds the lease of the record; missing where no user does.")
        .with("holder", json!({"type": "string"}));
    ObjectSchema::new("Who is at a resource. With `count` only `resource` and `counts`.")
        .with("resource", json!({"type": "string"}))
        .with("counts", json!(counts))
        .with_optional("users", json!({"type": "array", "items": user}))
        .with_optional(
            "next",
            json!({"description": "The `after` of the next page.", "type": ["string", "null"]}),
        )
        .with_optional("lease", json!(lease))
}

fn presence_tree() -> ObjectSchema {
    let row = ObjectSchema::new("A resource.")
        .with("resource", json!({"type": "string"}))
        .with("users", whole())
        .with("connections", whole())
        .with("watchers", whole());
    ObjectSchema::new("Resources in the order of their names.")
        .with("resources", json!({"type": "array", "items": row}))
}

fn activity() -> ObjectSchema {
    let entry = ObjectSchema::new("One change of a record, without its values.")
        .with("seq", whole())
        .with("at", json!({"type": "string", "format": "date-time"}))
        .with(
            "by",
            json!({"description": "The writer's id; null for an anonymous one.", "type": ["string", "null"]}),
        )
        .with("op", json!({"type": "string", "enum": ["create", "update", "delete"]}))
        .with("entity", json!({"type": "string"}))
        .with("id", json!({"type": "string"}))
        .with_optional(
            "cause",
            json!({"description": "Why the server made it.", "type": "string", "enum": ["expired"]}),
        )
        .with_optional("label", text("The record's name for people, as it was then."))
        .with_optional("changed", json!({"type": "array", "items": {"type": "string"}}));
    let next = json!({"description": "The `before` of the next page.", "type": ["integer", "null"]});
    let object = ObjectSchema::new("What happened, newest first.")
        .with("items", json!({"type": "array", "items": entry}))
        .with("next", next);
    position(object).with("view", text("Send it as `view` in the `since` of the channel `activity`."))
}

/// As the parameters of a poll are described.
fn poll() -> ObjectSchema {
    let channel = ObjectSchema::new("One channel, and the view that the client has.")
        .with("channel", json!({"type": "string"}))
        .with_optional("view", json!({"type": ["string", "null"]}));
    let channels = json!({"type": "array", "minItems": 1, "maxItems": MOST_CHANNELS, "items": channel});
    let since = json!({
        "description": "The client has every change up to this position. Without it the answer says where to begin.",
        "type": ["string", "null"], "pattern": POSITION,
    });
    ObjectSchema::new("The channels to ask about, and where to begin.")
        .with("channels", channels)
        .with_optional("since", since)
        .with_optional("wait", json!({"description": "Seconds to wait for the first event.", "type": ["integer", "null"], "minimum": 0, "maximum": 25}))
}

fn changes() -> ObjectSchema {
    let channel = ObjectSchema::new("One channel that was asked for.")
        .with("channel", json!({"type": "string"}))
        .with("view", json!({"type": "string"}))
        .with("recovered", json!({"description": "False: read the list again.", "type": "boolean"}));
    let error = ObjectSchema::new("A channel that cannot be polled.")
        .with("channel", json!({"type": "string"}))
        .with("code", json!({"type": "string"}))
        .with("message", json!({"type": "string"}));
    let events = json!({"description": "As over /ws (docs/protocol.md).", "type": "array", "items": {"type": "object", "required": ["type", "channel"]}});
    position(ObjectSchema::new("What happened."))
        .with("channels", json!({"type": "array", "items": channel}))
        .with("events", events)
        .with("errors", json!({"type": "array", "items": error}))
        .with("hasMore", json!({"description": "Ask again at once.", "type": "boolean"}))
}

/// `epoch` and `seq`, where the answer is true.
fn position(object: ObjectSchema) -> ObjectSchema {
    let epoch = json!({"description": "The log's writer.", "type": "string", "pattern": "^[0-9a-f]{32}$"});
    object.with("epoch", epoch).with("seq", whole())
}

fn whole() -> Json {
    json!({"type": "integer", "minimum": 0})
}

fn flag() -> Json {
    json!({"type": "boolean"})
}

fn text(description: &str) -> Json {
    json!({"description": description, "type": "string"})
}
