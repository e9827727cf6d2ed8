//! The one list of operations: method, address, parameters, body, answers, and every code that may refuse it.
//!
//! A route that is not in this list is not described; a test walks the routes.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Value as Json, json};

use super::answers::{self, ResponseObject};
use super::describer::Describer;
use crate::metrics::MEDIA_TYPE;
use crate::protocol::Code;
use crate::schema::{Entity, Field};

/// One operation of the document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OperationObject {
    operation_id: String,
    summary: String,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parameters: Vec<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_body: Option<Json>,
    /// By status.
    responses: IndexMap<String, Json>,
}

/// Method, address, operation.
pub(super) type DescribedRoute = (&'static str, String, OperationObject);

/// An operation without anything else.
struct PlainRoute {
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    answer: ResponseObject,
}

/// Codes of every request, whatever it asks.
pub(super) const ANY: &[Code] = &[Code::BadHeader, Code::ForbiddenHost, Code::Internal];

/// Codes of every request that has a caller.
pub(super) const CALLED: &[Code] = &[
    Code::BadQuery,
    Code::Unauthenticated,
    Code::AccountDisabled,
    Code::RateLimited,
    Code::ForbiddenOrigin,
    Code::SchemaChanged,
    Code::Overloaded,
    Code::ShuttingDown,
    Code::StorageDamaged,
];

/// Codes of whatever reads records: a rule may ask too much of one person, and an entity may be closed to another.
const READ: &[Code] = &[Code::RuleLimit, Code::UnknownEntity];
/// Codes of every write.
const WRITTEN: &[Code] = &[
    Code::IdempotencyMismatch,
    Code::UnitTooLarge,
    Code::TriggerFailed,
    Code::Forbidden,
    Code::RuleLimit,
    Code::ReadOnly,
    Code::StorageFull,
    Code::StorageError,
];

/// Codes of every request with a body.
const SENT: &[Code] =
    &[Code::BadJson, Code::BodyTooLarge, Code::UnsupportedMediaType, Code::ValidationFailed];

/// Codes of every question with a body.
pub(super) const ASKED: &[Code] = &[Code::BadJson, Code::BodyTooLarge, Code::UnsupportedMediaType];

const LIST: &[Code] = &[Code::BadCursor];
/// Codes of what may step over too much, or show too much.
const BROAD: &[Code] = &[Code::QueryTooBroad];
const ONE: &[Code] = &[Code::NotFound];
const CREATE: &[Code] = &[Code::IdTaken, Code::NotUnique, Code::UnknownReference];
const CHANGE: &[Code] = &[
    Code::LeaseLost,
    Code::LeaseRequired,
    Code::NotFound,
    Code::VersionConflict,
    Code::NotUnique,
    Code::UnknownReference,
];
const DELETE: &[Code] = &[
    Code::LeaseLost,
    Code::LeaseRequired,
    Code::NotFound,
    Code::VersionConflict,
    Code::Restricted,
    Code::CascadeTooLarge,
];

/// A record that is gone or hidden meanwhile is passed over, and no version is asked for.
const CHANGE_OF_MANY: &[Code] =
    &[Code::LeaseRequired, Code::NotUnique, Code::UnknownReference, Code::CascadeTooLarge];
const DELETE_OF_MANY: &[Code] = &[Code::LeaseRequired, Code::Restricted, Code::CascadeTooLarge];

/// Codes of a request that asks the store whether it is there.
const READY: &[Code] = &[Code::Overloaded, Code::StorageDamaged];

/// What makes up an operation beside its method and address.
pub(super) struct OperationPlan<'p> {
    pub(super) id: String,
    pub(super) summary: String,
    pub(super) tag: String,
    pub(super) parameters: Vec<Json>,
    pub(super) body: Option<Json>,
    pub(super) answers: Vec<ResponseObject>,
    pub(super) codes: &'p [&'p [Code]],
}

impl Describer<'_> {
    pub(super) fn operations(&mut self) -> Vec<DescribedRoute> {
        let entities: Vec<_> = self.schema.entities().cloned().collect();
        let mut listed = Vec::new();
        for entity in &entities {
            listed.extend(self.of_collection(entity));
            listed.extend(self.of_many(entity));
            listed.extend(self.long_questions(entity));
            listed.extend(self.of_record(entity));
        }
        listed.push(self.batch());
        listed.push(self.activity());
        listed.extend(self.presence());
        listed.extend(self.changes());
        listed.extend(self.messages());
        listed.push(self.stream());
        listed.extend(self.sessions());
        listed.extend(self.auth());
        listed.extend(self.admin());
        listed.extend(self.inspect());
        listed.extend(self.about());
        listed
    }

    fn of_collection(&mut self, entity: &Entity) -> [DescribedRoute; 3] {
        let (name, path) = (&entity.name, format!("/api/{}", entity.plural));
        let list = self.plan(OperationPlan {
            id: format!("list{name}"),
            summary: format!("A page of {}.", entity.plural),
            tag: name.to_string(),
            parameters: self.list_parameters(entity),
            body: None,
            answers: vec![answers::ok(self.entity_ref(entity, "Page"), &[answers::SEQ])],
            codes: &[ANY, CALLED, READ, LIST, BROAD],
        });
        let create = self.plan(OperationPlan {
            id: format!("create{name}"),
            summary: format!("Create a {name}."),
            tag: name.to_string(),
            parameters: self.write_parameters(&[]),
            body: Some(self.json_body(self.entity_ref(entity, "Create"))),
            answers: vec![answers::created(self.written(entity))],
            codes: &[ANY, CALLED, SENT, WRITTEN, CREATE, &[Code::UnknownEntity]],
        });
        let count = self.plan(OperationPlan {
            id: format!("count{name}"),
            summary: format!("The number of {}, in groups on request.", entity.plural),
            tag: name.to_string(),
            parameters: self.count_parameters(entity),
            body: None,
            answers: vec![answers::ok(self.shared_ref("Count"), &[answers::SEQ])],
            codes: &[ANY, CALLED, READ, BROAD],
        });
        [("get", path.clone(), list), ("post", path.clone(), create), ("get", format!("{path}/count"), count)]
    }

    /// Changes of the records that meet conditions.
    fn of_many(&mut self, entity: &Entity) -> [DescribedRoute; 2] {
        let (name, path) = (&entity.name, format!("/api/{}", entity.plural));
        let body = Some(self.json_body(self.entity_ref(entity, "Update")));
        let mut of_many = |id: &str, summary: String, body: Option<Json>, codes: &[Code]| {
            self.plan(OperationPlan {
                id: format!("{id}{name}"),
                summary,
                tag: name.to_string(),
                parameters: self.many_parameters(entity),
                body,
                answers: vec![answers::ok(self.shared_ref("Many"), &[answers::SEQ, answers::REPLAYED])],
                codes: &[ANY, CALLED, READ, LIST, BROAD, WRITTEN, codes],
            })
        };
        let summary = |what: &str| {
            format!("{what} every one of the {} that meets the conditions; at least one.", entity.plural)
        };
        let update_codes = [SENT, CHANGE_OF_MANY].concat();
        let update = of_many("updateMany", summary("Change"), body, &update_codes);
        let delete = of_many("deleteMany", summary("Delete"), None, DELETE_OF_MANY);
        [("patch", path.clone(), update), ("delete", path, delete)]
    }

    /// The list and the count, asked for in a body.
    fn long_questions(&mut self, entity: &Entity) -> [DescribedRoute; 2] {
        let (name, path) = (&entity.name, format!("/api/{}", entity.plural));
        let caller = self.caller_parameters().to_vec();
        let query = self.plan(OperationPlan {
            id: format!("query{name}"),
            summary: format!(
                "A page of {}; the same as the list, for queries that are too long for an address.",
                entity.plural
            ),
            tag: name.to_string(),
            parameters: caller.clone(),
            body: Some(self.json_body(self.entity_ref(entity, "Query"))),
            answers: vec![answers::ok(self.entity_ref(entity, "Page"), &[answers::SEQ])],
            codes: &[ANY, CALLED, READ, LIST, BROAD, ASKED],
        });
        let count = self.plan(OperationPlan {
            id: format!("countBy{name}Query"),
            summary: format!(
                "The number of {}, for queries that are too long for an address.",
                entity.plural
            ),
            tag: name.to_string(),
            parameters: caller,
            body: Some(self.json_body(self.entity_ref(entity, "CountQuery"))),
            answers: vec![answers::ok(self.shared_ref("Count"), &[answers::SEQ])],
            codes: &[ANY, CALLED, READ, BROAD, ASKED],
        });
        [("post", format!("{path}/query"), query), ("post", format!("{path}/count"), count)]
    }

    fn of_record(&mut self, entity: &Entity) -> Vec<DescribedRoute> {
        let (name, path) = (&entity.name, format!("/api/{}/{{id}}", entity.plural));
        let id = self.id_parameter(entity);
        let read = self.plan(OperationPlan {
            id: format!("get{name}"),
            summary: format!("One {name}."),
            tag: name.to_string(),
            parameters: self.read_parameters(entity),
            body: None,
            answers: vec![answers::ok(self.seen(entity), &[answers::SEQ, answers::ETAG])],
            codes: &[ANY, CALLED, ONE, BROAD],
        });
        let mut change = |id: &str, summary: &str, suffix: &str| {
            self.plan(OperationPlan {
                id: format!("{id}{name}"),
                summary: format!("{summary} a {name}."),
                tag: name.to_string(),
                parameters: self.write_parameters(&[
                    self.id_parameter(entity),
                    answers::if_match(),
                    answers::if_lease(),
                ]),
                body: Some(self.json_body(self.entity_ref(entity, suffix))),
                answers: vec![answers::changed(self.written(entity))],
                codes: &[ANY, CALLED, SENT, WRITTEN, CHANGE],
            })
        };
        let update = change("update", "Change the given fields of", "Update");
        let replace = change("replace", "Set every writable field of", "Replace");
        let delete = self.plan(OperationPlan {
            id: format!("delete{name}"),
            summary: format!("Delete a {name}; what refers to it follows `on_delete`."),
            tag: name.to_string(),
            parameters: self.write_parameters(&[id.clone(), answers::if_match(), answers::if_lease()]),
            body: None,
            answers: vec![answers::deleted()],
            codes: &[ANY, CALLED, WRITTEN, DELETE],
        });
        let mut listed = vec![
            ("get", path.clone(), read),
            ("patch", path.clone(), update),
            ("put", path.clone(), replace),
            ("delete", path.clone(), delete),
        ];
        listed.extend(self.finders(entity));
        if entity.history.is_none() {
            return listed;
        }
        let mut parameters = vec![id, self.parameter_ref("limit"), self.parameter_ref("cursor")];
        parameters.extend(self.caller_parameters());
        let history = self.plan(OperationPlan {
            id: format!("history{name}"),
            summary: format!("The changes of a {name}, newest first."),
            tag: name.to_string(),
            parameters,
            body: None,
            answers: vec![answers::ok(self.shared_ref("History"), &[answers::SEQ])],
            codes: &[ANY, CALLED, READ, LIST, ONE, &[Code::NoHistory]],
        });
        listed.push(("get", format!("{path}/history"), history));
        listed
    }

    /// One for each field with `find`.
    fn finders(&mut self, entity: &Entity) -> Vec<DescribedRoute> {
        let name = &entity.name;
        let fields: Vec<_> = entity.fields.iter().filter(|field| field.find).collect();
        let finder = |field: &Field| {
            let operation = self.plan(OperationPlan {
                id: format!("find{name}By_{}", field.name),
                summary: format!("The {name} with this `{}`.", field.name),
                tag: name.to_string(),
                parameters: self.find_parameters(entity, field),
                body: None,
                answers: vec![answers::ok(self.seen(entity), &[answers::SEQ, answers::ETAG])],
                codes: &[ANY, CALLED, READ, ONE, BROAD],
            });
            ("get", format!("/api/{}/by/{}/{{value}}", entity.plural, field.name), operation)
        };
        fields.into_iter().map(finder).collect()
    }

    fn batch(&mut self) -> DescribedRoute {
        let operation = self.plan(OperationPlan {
            id: "batch".to_owned(),
            summary: "Several writes: all or nothing, or each for itself.".to_owned(),
            tag: self.shared_name("Several"),
            parameters: self.write_parameters(&[]),
            body: Some(self.json_body(self.shared_ref("Batch"))),
            answers: vec![answers::ok(self.shared_ref("BatchResults"), &[answers::SEQ, answers::REPLAYED])],
            codes: &[ANY, CALLED, SENT, WRITTEN, CREATE, CHANGE, DELETE, &[Code::UnknownEntity]],
        });
        ("post", "/api/batch".to_owned(), operation)
    }

    fn presence(&mut self) -> [DescribedRoute; 2] {
        let present = self.plan(OperationPlan {
            id: "presence".to_owned(),
            summary: "Who is at a resource, if you may see it.".to_owned(),
            tag: self.shared_name("Changes"),
            parameters: self.presence_parameters(),
            body: None,
            answers: vec![answers::ok(self.shared_ref("Presence"), &[])],
            codes: &[ANY, CALLED, &[Code::NotFound, Code::BadChannel]],
        });
        let tree = self.plan(OperationPlan {
            id: "presenceTree".to_owned(),
            summary: "Resources and how many are there, for the role `admin`.".to_owned(),
            tag: self.shared_name("Changes"),
            parameters: self.presence_tree_parameters(),
            body: None,
            answers: vec![answers::ok(self.shared_ref("PresenceTree"), &[])],
            codes: &[ANY, CALLED, &[Code::Forbidden, Code::BadChannel]],
        });
        [
            ("get", "/api/realtime/presence/{resource}".to_owned(), present),
            ("get", "/api/admin/presence".to_owned(), tree),
        ]
    }

    fn activity(&mut self) -> DescribedRoute {
        let operation = self.plan(OperationPlan {
            id: "activity".to_owned(),
            summary: "What happened, newest first, in all records that you may list.".to_owned(),
            tag: self.shared_name("Changes"),
            parameters: self.activity_parameters(),
            body: None,
            answers: vec![answers::ok(self.shared_ref("Activity"), &[answers::SEQ])],
            codes: &[ANY, CALLED, READ],
        });
        ("get", "/api/activity".to_owned(), operation)
    }

    fn changes(&mut self) -> [DescribedRoute; 2] {
        let operation = self.plan(OperationPlan {
            id: "changes".to_owned(),
            summary: "What happened after a position, in one poll or long poll.".to_owned(),
            tag: self.shared_name("Changes"),
            parameters: self.poll_parameters(),
            body: None,
            answers: vec![answers::ok(self.shared_ref("Changes"), &[])],
            codes: &[ANY, CALLED, &[Code::BadPosition]],
        });
        let by_body = self.plan(OperationPlan {
            id: "changesByBody".to_owned(),
            summary: "The same, for more channels than fit into an address.".to_owned(),
            tag: self.shared_name("Changes"),
            parameters: self.caller_parameters().to_vec(),
            body: Some(self.json_body(self.shared_ref("Poll"))),
            answers: vec![answers::ok(self.shared_ref("Changes"), &[])],
            codes: &[ANY, CALLED, ASKED, &[Code::BadPosition]],
        });
        let path = "/api/changes".to_owned();
        [("get", path.clone(), operation), ("post", path, by_body)]
    }

    fn stream(&mut self) -> DescribedRoute {
        let operation = self.plan(OperationPlan {
            id: "stream".to_owned(),
            summary: "Channels as server-sent events, until the connection ends.".to_owned(),
            tag: self.shared_name("Changes"),
            parameters: self.stream_parameters(),
            body: None,
            answers: vec![answers::text(
                "text/event-stream",
                "event: welcome\ndata: {\"type\":\"welcome\"}\n\n",
            )],
            codes: &[ANY, CALLED, &[Code::BadPosition]],
        });
        ("get", "/sse".to_owned(), operation)
    }

    fn about(&mut self) -> Vec<DescribedRoute> {
        let json = |schema| answers::ok(schema, &[]);
        let document = || json(json!({"type": "object"}));
        let types = || answers::text("text/plain; charset=utf-8", "export interface Task { … }");
        let numbers = answers::text(MEDIA_TYPE, "# HELP …");
        let schema = self.shared_ref("Schema");
        let state = || json(self.shared_ref("State"));
        let of_callers = [
            plain("/api/schema", "schema", "Entities, fields and constraints.", json(schema)),
            plain("/api/openapi.json", "openapi", "This document.", document()),
            plain("/api/types.d.ts", "types", "TypeScript declarations of the records.", types()),
        ];
        let of_anybody = [
            plain("/health", "health", "200 while the process lives.", state()),
            plain("/healthz", "healthz", "200 while the process lives.", state()),
            plain("/readyz", "readyz", "200 while the store answers, too.", state()),
            plain("/metrics", "metrics", "Numbers for Prometheus.", numbers),
        ];
        let caller = self.caller_parameters().to_vec();
        let mut listed = Vec::new();
        for route in of_callers {
            listed.push(self.plain_operation(route, caller.clone(), &[ANY, CALLED]));
        }
        for route in of_anybody {
            let codes: &[&[Code]] = match route.id {
                "readyz" => &[ANY, READY],
                "metrics" => &[ANY, &[Code::TelemetryDisabled]],
                _ => &[ANY],
            };
            listed.push(self.plain_operation(route, Vec::new(), codes));
        }
        listed
    }

    fn plain_operation(
        &mut self,
        route: PlainRoute,
        parameters: Vec<Json>,
        codes: &[&[Code]],
    ) -> DescribedRoute {
        let PlainRoute { path, id, summary, answer } = route;
        let tag = self.shared_name("About");
        let (id, summary, answers) = (id.to_owned(), summary.to_owned(), vec![answer]);
        let plan = OperationPlan { id, summary, tag, parameters, body: None, answers, codes };
        ("get", path.to_owned(), self.plan(plan))
    }

    pub(super) fn plan(&mut self, plan: OperationPlan<'_>) -> OperationObject {
        let mut responses: IndexMap<String, Json> =
            plan.answers.into_iter().map(|answer| (answer.status.as_str().to_owned(), answer.json)).collect();
        let codes: Vec<Code> = plan.codes.iter().copied().flatten().copied().collect();
        responses.extend(self.refusals(codes));
        responses.insert(answers::HEAD_TOO_LARGE.as_str().to_owned(), answers::head_too_large());
        responses.sort_keys();
        OperationObject {
            operation_id: plan.id,
            summary: plan.summary,
            tags: vec![plan.tag],
            parameters: plan.parameters,
            request_body: plan.body,
            responses,
        }
    }

    pub(super) fn json_body(&self, schema: Json) -> Json {
        json!({
            "description": format!("At most {} bytes.", self.limits.body_bytes),
            "required": true,
            "content": {"application/json": {"schema": schema}},
        })
    }
}

fn plain(path: &'static str, id: &'static str, summary: &'static str, answer: ResponseObject) -> PlainRoute {
    PlainRoute { path, id, summary, answer }
}
