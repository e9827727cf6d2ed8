//! Operations of the inspector, and what they answer.

use serde_json::{Value as Json, json};

use super::admin::AdminRoute;
use super::answers;
use super::describer::Describer;
use super::operations::DescribedRoute;
use crate::protocol::Code;

impl Describer<'_> {
    pub(super) fn inspect(&mut self) -> Vec<DescribedRoute> {
        const ASKED_WHY: &[Code] =
            &[Code::Forbidden, Code::NotFound, Code::UnknownEntity, Code::StorageError, Code::StorageDamaged];
        let id = json!({
            "name": "id", "in": "path", "required": true, "schema": {"type": "string"},
            "description": "`REQUEST`, `REQUEST@CONNECTION`, `REQUEST:RECORD` or `CONNECTION:SEQ`."
        });
        let routes = [
            AdminRoute {
                verb: "get",
                path: "/api/admin/why/{id}",
                id: "why",
                summary: "Why a request was refused, a record is missing in a list, or an event came or did not. For the role `admin`.",
                parameters: [id]
                    .into_iter()
                    .chain(of_now(false))
                    .chain([text("channel", "Of an event: the channel.")])
                    .collect(),
                answer: answers::ok(self.shared_ref("Why"), &[]),
                codes: ASKED_WHY,
                body: None,
            },
            AdminRoute {
                verb: "get",
                path: "/api/admin/explain",
                id: "explain",
                summary: "What a user may do with a record now, and by which rule. For the role `admin`.",
                parameters: of_now(true).collect(),
                answer: answers::ok(self.shared_ref("Why"), &[]),
                codes: ASKED_WHY,
                body: None,
            },
            AdminRoute {
                verb: "get",
                path: "/api/admin/inspect/refusals",
                id: "refusals",
                summary: "What was refused in the last hour, newest first. For the role `admin`.",
                parameters: vec![
                    limit(),
                    text("user", "Only those of this user."),
                    text("code", "Only those with this code."),
                ],
                answer: answers::ok(self.shared_ref("Refusals"), &[]),
                codes: &[Code::Forbidden, Code::StorageError],
                body: None,
            },
            AdminRoute {
                verb: "get",
                path: "/api/admin/inspect",
                id: "inspect",
                summary: "Queues, the log, delays and limits that were reached. For the role `admin`.",
                parameters: Vec::new(),
                answer: answers::ok(self.shared_ref("Inspection"), &[]),
                codes: &[Code::Forbidden, Code::StorageError],
                body: None,
            },
            AdminRoute {
                verb: "get",
                path: "/api/admin/inspect/channels",
                id: "channels",
                summary: "Groups of subscriptions, those with the most subscribers first. For the role `admin`.",
                parameters: vec![limit()],
                answer: answers::ok(self.shared_ref("Groups"), &[]),
                codes: &[Code::Forbidden, Code::StorageError],
                body: None,
            },
            AdminRoute {
                verb: "get",
                path: "/api/admin/inspect/events",
                id: "events",
                summary: "The newest changes and what each changed, as far as the caller may read it. For the role `admin`.",
                parameters: vec![
                    json!({"name": "after", "in": "query", "description": "`next` of the last answer.",
                        "schema": {"type": "integer", "minimum": 0}}),
                    limit(),
                    text("entity", "Only those of this entity."),
                    text("record", "Only those of this record."),
                    text("by", "Only those by this user."),
                    text("mid", "Only those with this mutation id."),
                ],
                answer: answers::ok(self.shared_ref("Tail"), &[]),
                codes: &[Code::Forbidden, Code::StorageError, Code::StorageDamaged],
                body: None,
            },
        ];
        self.admin_routes(routes)
    }

    pub(super) fn inspect_bodies(&mut self) {
        let clause = json!({
            "type": "object",
            "required": ["text", "truth", "values"],
            "properties": {
                "text": {"type": "string", "description": "CEL."},
                "truth": {"enum": ["true", "false", "unknown"]},
                "values": {"type": "array", "items": {
                    "type": "object",
                    "required": ["name", "value"],
                    "properties": {"name": {"type": "string"}, "value": {"type": "string", "description": "JSON, or the start of it."}}
                }},
                "records": {"type": "array", "description": "Of an `exists`.", "items": self.shared_ref("Clause")}
            }
        });
        let rule = json!({
            "type": "object",
            "required": ["entity", "operation", "source", "truth", "clauses"],
            "properties": {
                "entity": {"type": "string"},
                "operation": {"enum": ["read", "list", "create", "update", "delete", "lease"]},
                "source": {"type": ["string", "null"], "description": "Null where the file has no such rule."},
                "truth": {"enum": ["true", "false", "unknown"]},
                "clauses": {"type": "array", "description": "Those that decided.", "items": self.shared_ref("Clause")}
            }
        });
        let common = json!({
            "id": {"type": "string"},
            "answer": {"type": "string", "description": "A sentence for people."},
            "finding": {"type": "string"},
            "position": {"type": "integer", "minimum": 0},
            "user": {"type": ["string", "null"]},
            "code": {"type": "string"},
            "entity": {"type": "string"},
            "recordId": {"type": "string"},
            "rule": self.shared_ref("JudgedRule")
        });
        let mut why = json!({
            "description": "What decided, with the values that it read.",
            "type": "object",
            "required": ["about", "judged", "answer"],
            "properties": common
        });
        why["properties"]["about"] = json!({"enum": ["refusal", "record", "event", "rule"]});
        why["properties"]["judged"] = json!({
            "enum": ["then", "now"], "description": "By what was known then, or by the rights of now."
        });
        let refusal = json!({
            "type": "object", "required": ["id", "answer", "at", "via", "user", "code"], "properties": common
        });
        let refusals = json!({
            "description": "Refusals.",
            "type": "object",
            "required": ["items", "kept"],
            "properties": {
                "items": {"type": "array", "items": refusal},
                "kept": {"type": "integer", "minimum": 0}
            }
        });
        let whole = || json!({"type": "integer", "minimum": 0});
        let numbers = || json!({"type": "object", "additionalProperties": whole()});
        let inspection = json!({
            "description": "Numbers of one moment.",
            "type": "object",
            "required": ["now", "stats", "log", "queues", "delay", "refusals", "limits"],
            "properties": {
                "now": {"type": "string", "format": "date-time"},
                "stats": self.shared_ref("Stats"),
                "log": numbers(),
                "queues": numbers(),
                "delay": {
                    "description": "Milliseconds from the taking of a write to the outboxes of its subscribers, of the last batches.",
                    "type": "object", "additionalProperties": whole()
                },
                "refusals": whole(),
                "limits": {"description": "How often each limit was reached, by code.", "type": "object", "additionalProperties": whole()}
            }
        });
        let group = json!({
            "type": "object",
            "required": ["channel", "view", "subscribers", "events", "position"],
            "properties": {
                "channel": {"type": "string"},
                "view": {"type": "string"},
                "subscribers": whole(),
                "events": {"type": "integer", "minimum": 0, "description": "Since the group began."},
                "position": whole()
            }
        });
        let groups = json!({
            "description": "Groups of subscriptions.",
            "type": "object",
            "required": ["items", "count", "position"],
            "properties": {"items": {"type": "array", "items": group}, "count": whole(), "position": whole()}
        });
        let change = json!({
            "type": "object",
            "required": ["seq", "op", "entity", "recordId", "at", "by"],
            "properties": {
                "seq": whole(),
                "op": {"enum": ["create", "update", "delete", "schema"]},
                "entity": {"type": "string"},
                "recordId": {"type": "string"},
                "at": {"type": "string", "format": "date-time"},
                "by": {"type": ["string", "null"]},
                "mid": {"type": "string"},
                "cause": {"type": "string"},
                "hidden": {"description": "The caller may not read the record.", "type": "boolean"},
                "diff": {"type": "array", "items": {
                    "type": "object", "required": ["field", "before", "after"], "properties": {"field": {"type": "string"}}
                }}
            }
        });
        let tail = json!({
            "description": "Changes in the order of the log.",
            "type": "object",
            "required": ["items", "next", "head"],
            "properties": {"items": {"type": "array", "items": change}, "next": whole(), "head": whole()}
        });
        for (name, schema) in [("Inspection", inspection), ("Groups", groups), ("Tail", tail)] {
            self.add_schema(self.shared_name(name), schema);
        }
        for (name, schema) in [("Clause", clause), ("JudgedRule", rule), ("Why", why), ("Refusals", refusals)]
        {
            self.add_schema(self.shared_name(name), schema);
        }
    }
}

/// What is asked by the rights of now. `required`: the record is.
fn of_now(required: bool) -> impl Iterator<Item = Json> {
    let operations = ["read", "list", "update", "delete", "lease"];
    let named = |name: &str, about: &str| {
        let mut parameter = text(name, about);
        parameter["required"] = json!(required);
        parameter
    };
    [
        text("user", "Id of the user; without it an anonymous caller."),
        text("role", "The role in the credentials; it wins over that of the record."),
        named("entity", "Name of the entity, with `record`."),
        named("record", "Id of the record."),
        json!({"name": "operation", "in": "query", "description": "What the user would do.",
            "schema": {"enum": operations, "default": "read"}}),
    ]
    .into_iter()
}

fn text(name: &str, about: &str) -> Json {
    json!({"name": name, "in": "query", "description": about, "schema": {"type": "string"}})
}

fn limit() -> Json {
    let whole = json!({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100});
    json!({"name": "limit", "in": "query", "description": "How many at most.", "schema": whole})
}
