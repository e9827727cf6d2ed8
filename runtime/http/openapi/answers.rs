//! Answers of operations: what success looks like with its headers, and the problem of each code that may refuse.

use axum::http::StatusCode;
use indexmap::IndexMap;
use serde_json::{Value as Json, json};

use super::describer::{Describer, schema_ref};
use crate::http::problem;
use crate::protocol::Code;
use crate::schema::Entity;
use crate::schema::record_schema::ObjectSchema;

pub(super) const SEQ: &str = "Tidewire-Seq";
pub(super) const ETAG: &str = "ETag";
pub(super) const REPLAYED: &str = "Tidewire-Replayed";

/// What the server answers to a head that it does not read to its end.
pub(super) const HEAD_TOO_LARGE: StatusCode = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;

/// One answer of an operation that was not refused.
pub(super) struct ResponseObject {
    pub(super) status: StatusCode,
    pub(super) json: Json,
}

pub(super) fn ok(schema: Json, headers: &[&str]) -> ResponseObject {
    with_json(StatusCode::OK, "As asked.", schema, headers)
}

pub(super) fn created(schema: Json) -> ResponseObject {
    with_json(StatusCode::CREATED, "The record.", schema, &[SEQ, ETAG, REPLAYED, "Location"])
}

pub(super) fn changed(schema: Json) -> ResponseObject {
    with_json(StatusCode::OK, "The record as it is now.", schema, &[SEQ, ETAG, REPLAYED])
}

pub(super) fn deleted() -> ResponseObject {
    let headers = header_refs(&[SEQ, REPLAYED]);
    let json = json!({"description": "The record is gone.", "headers": headers});
    ResponseObject { status: StatusCode::NO_CONTENT, json }
}

/// Without a body.
pub(super) fn nothing() -> ResponseObject {
    ResponseObject { status: StatusCode::NO_CONTENT, json: json!({"description": "Done."}) }
}

/// For a browser, which goes on at the address of `Location`.
pub(super) fn onward(about: &str) -> ResponseObject {
    let location = json!({"description": "Where to go on.", "schema": {"type": "string"}});
    let json = json!({"description": about, "headers": {"Location": location}});
    ResponseObject { status: StatusCode::SEE_OTHER, json }
}

pub(super) fn plainly(status: StatusCode, schema: Json) -> ResponseObject {
    with_json(status, "As asked.", schema, &[])
}

pub(super) fn text(media: &str, example: &str) -> ResponseObject {
    let content = json!({media: {"schema": {"type": "string"}, "example": example}});
    ResponseObject { status: StatusCode::OK, json: json!({"description": "As text.", "content": content}) }
}

pub(super) fn if_match() -> Json {
    json!({"$ref": "#/components/parameters/If-Match"})
}

pub(super) fn if_lease() -> Json {
    json!({"$ref": "#/components/parameters/If-Lease"})
}

pub(super) fn head_too_large() -> Json {
    json!({"$ref": "#/components/responses/HeadTooLarge"})
}

fn with_json(status: StatusCode, description: &str, schema: Json, headers: &[&str]) -> ResponseObject {
    let mut json = json!({"description": description, "content": {"application/json": {"schema": schema}}});
    if !headers.is_empty() {
        json["headers"] = header_refs(headers);
    }
    ResponseObject { status, json }
}

fn header_refs(names: &[&str]) -> Json {
    let of = |name: &&str| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
    Json::Object(names.iter().map(of).collect())
}

impl Describer<'_> {
    /// A written record. The answer to a repeated request has only the id if the caller may not see the record or it is gone.
    pub(super) fn written(&self, entity: &Entity) -> Json {
        json!({"oneOf": [self.entity_ref(entity, ""), self.shared_ref("OnlyId")]})
    }

    /// A record as it was asked for: whole, or in part with `fields`, or with what it refers to with `expand`.
    pub(super) fn seen(&self, entity: &Entity) -> Json {
        json!({"anyOf": [self.entity_ref(entity, ""), self.entity_ref(entity, "View")]})
    }

    /// One answer for each status among the codes, in the order of statuses.
    pub(super) fn refusals(&mut self, mut codes: Vec<Code>) -> IndexMap<String, Json> {
        codes.sort_by_key(|code| (problem::status(*code), code.as_str()));
        codes.dedup();
        let groups = codes.chunk_by(|one, other| problem::status(*one) == problem::status(*other));
        groups.map(|group| (problem::status(group[0]).as_str().to_owned(), self.refusal(group))).collect()
    }

    /// The component for codes of one status, named by them.
    fn refusal(&mut self, codes: &[Code]) -> Json {
        let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
        let name = words.join(".");
        if !self.components.responses.contains_key(&name) {
            let mut headers = vec!["X-Request-Id"];
            if codes.iter().any(|code| problem::retry_after(*code).is_some()) {
                headers.push("Retry-After");
            }
            if codes.iter().any(|code| problem::status(*code) == StatusCode::UNAUTHORIZED) {
                headers.push("WWW-Authenticate");
            }
            let hints: Vec<String> =
                codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.hint())).collect();
            let of_codes = json!({"properties": {"code": {"enum": words}}});
            let schema = json!({"allOf": [self.shared_ref("Problem"), of_codes]});
            let answer = json!({
                "description": hints.join("\n\n"),
                "headers": header_refs(&headers),
                "content": {"application/problem+json": {"schema": schema}},
            });
            self.components.responses.insert(name.clone(), answer);
        }
        json!({"$ref": format!("#/components/responses/{name}")})
    }

    /// Headers, the problem and the bare id.
    pub(super) fn answer_parts(&mut self) {
        let words = format!(
            "The request's line and headers are larger than {} bytes; without a body.",
            self.limits.header_bytes
        );
        self.components.responses.insert("HeadTooLarge".to_owned(), json!({"description": words}));
        for (name, header) in headers() {
            self.components.headers.insert(name.to_owned(), header);
        }
        let field_error = ObjectSchema::new("One fault of one field.")
            .with("field", json!({"type": "string"}))
            .with("code", json!({"type": "string", "pattern": "^[a-z_]+$"}))
            .with("message", json!({"type": "string"}));
        let (problem, fault) = (self.shared_name("Problem"), self.shared_name("FieldError"));
        let text = || json!({"type": "string"});
        let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        let object = ObjectSchema::new("Why a request was refused or failed, as RFC 9457 has it.")
            .with("code", json!({"description": "Stable: programs test this.", "type": "string", "enum": codes}))
            .with("title", json!({"description": "The code in words.", "type": "string"}))
            .with("status", json!({"type": "integer", "minimum": 400, "maximum": 599}))
            .with("detail", json!({"description": "What was wrong and where.", "type": "string"}))
            .with("hint", json!({"description": "What to do about it.", "type": "string"}))
            .with_optional(
                "errors",
                json!({"description": "Every field at fault.", "type": "array", "items": schema_ref(&fault)}),
            )
            .with_optional(
                "current",
                json!({"description": "The record as it is, on VERSION_CONFLICT.", "type": "object"}),
            )
            .with_optional(
                "op",
                json!({"description": "Which op of a batch failed, from 0.", "type": "integer", "minimum": 0}),
            );
        // An op that fails by itself is described by a problem without a request.
        let id = json!({"description": "Also in X-Request-Id and in the server's log.", "type": "string"});
        let whole = object.clone().with("requestId", id);
        let own_id = ObjectSchema::new(
            "The answer to a repeated request whose record was deleted or is hidden from the caller.",
        )
        .with("id", text());
        let id_name = self.shared_name("OnlyId");
        let failure = self.shared_name("OpProblem");
        for (name, object) in [(problem, whole), (failure, object), (fault, field_error), (id_name, own_id)] {
            self.add_schema(name, object);
        }
    }
}

fn headers() -> [(&'static str, Json); 7] {
    let header = |description: &str, required: bool, schema: Json| json!({"description": description, "required": required, "schema": schema});
    let position = json!({"type": "string", "pattern": "^[0-9a-f]{32}:[0-9]+$"});
    let text = json!({"type": "string"});
    [
        (SEQ, header("The position at which the answer is true: `<epoch>:<seq>`.", true, position)),
        (
            ETAG,
            header(
                "The record's version, for If-Match.",
                false,
                json!({"type": "string", "pattern": "^\"[0-9]+\"$"}),
            ),
        ),
        (
            REPLAYED,
            header(
                "The Idempotency-Key was used before.",
                false,
                json!({"type": "string", "enum": ["true"]}),
            ),
        ),
        ("Location", header("The record's address.", true, json!({"type": "string", "pattern": "^/api/"}))),
        ("X-Request-Id", header("Names this request in the server's log.", true, text.clone())),
        (
            "Retry-After",
            header(
                "Seconds until the same request may succeed.",
                false,
                json!({"type": "string", "pattern": "^[0-9]+$"}),
            ),
        ),
        ("WWW-Authenticate", header("Always `Bearer`.", true, text)),
    ]
}
