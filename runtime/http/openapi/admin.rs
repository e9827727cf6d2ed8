//! Operations of `/api/admin/…` and what they answer.

use serde_json::{Value as Json, json};

use super::answers::{self, ResponseObject};
use super::describer::Describer;
use super::operations::{ANY, ASKED, CALLED, DescribedRoute, OperationPlan};
use crate::protocol::Code;
use crate::schema::record_schema::ObjectSchema;

/// A route for the role `admin`.
pub(super) struct AdminRoute {
    pub(super) verb: &'static str,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    pub(super) parameters: Vec<Json>,
    pub(super) answer: ResponseObject,
    pub(super) codes: &'static [Code],
    pub(super) body: Option<Json>,
}

impl Describer<'_> {
    pub(super) fn admin(&mut self) -> Vec<DescribedRoute> {
        const LISTED: &[Code] = &[Code::Forbidden, Code::StorageError];
        const ENDED: &[Code] =
            &[Code::Forbidden, Code::ForbiddenOrigin, Code::NotFound, Code::StorageError, Code::StorageFull];
        const RENAMED: &[Code] = &[
            Code::Forbidden,
            Code::ForbiddenOrigin,
            Code::NotFound,
            Code::NotUnique,
            Code::ValidationFailed,
            Code::StorageError,
            Code::StorageFull,
        ];
        let one = || json!({"name": "id", "in": "path", "required": true, "description": "Its id.", "schema": {"type": "string"}});
        let listed = || {
            let parameter = |name, about, schema: Json| json!({"name": name, "in": "query", "description": about, "schema": schema});
            let whole = json!({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100});
            vec![
                parameter("limit", "How many at most.", whole),
                parameter("after", "`next` of the last page.", json!({"type": "string", "format": "uuid"})),
                parameter("user", "Only those of this user.", json!({"type": "string"})),
            ]
        };
        let routes = [
            AdminRoute {
                verb: "get",
                path: "/api/admin/websocket/stats",
                id: "websocketStats",
                summary: "Numbers about sockets and deliveries, for the role `admin`.",
                parameters: Vec::new(),
                answer: answers::ok(self.shared_ref("Stats"), &[]),
                codes: &[Code::Forbidden],
                body: None,
            },
            AdminRoute {
                verb: "get",
                path: "/api/admin/connections",
                id: "connections",
                summary: "Live connections, oldest first, for the role `admin`.",
                parameters: listed(),
                answer: answers::ok(self.shared_ref("Connections"), &[]),
                codes: LISTED,
                body: None,
            },
            AdminRoute {
                verb: "get",
                path: "/api/admin/connections/{id}",
                id: "connection",
                summary: "A live connection and its subscriptions, for the role `admin`.",
                parameters: vec![one()],
                answer: answers::ok(self.shared_ref("Connection"), &[]),
                codes: &[Code::Forbidden, Code::NotFound, Code::StorageError],
                body: None,
            },
            AdminRoute {
                verb: "delete",
                path: "/api/admin/connections/{id}",
                id: "endConnection",
                summary: "End a connection with close 4403, for the role `admin`.",
                parameters: vec![one()],
                answer: answers::nothing(),
                codes: ENDED,
                body: None,
            },
            AdminRoute {
                verb: "get",
                path: "/api/admin/sessions",
                id: "allSessions",
                summary: "Sessions of all users, newest first, for the role `admin`.",
                parameters: listed(),
                answer: answers::ok(self.shared_ref("UserSessions"), &[]),
                codes: LISTED,
                body: None,
            },
            AdminRoute {
                verb: "delete",
                path: "/api/admin/sessions/{id}",
                id: "endUserSession",
                summary: "End a session of any user, and its connections, for the role `admin`.",
                parameters: vec![one()],
                answer: answers::nothing(),
                codes: ENDED,
                body: None,
            },
            AdminRoute {
                verb: "post",
                path: "/api/admin/users/{id}/name",
                id: "renameUser",
                summary: "Give a user another login name, for the role `admin`.",
                parameters: vec![one()],
                answer: answers::nothing(),
                codes: RENAMED,
                body: Some(self.json_body(self.shared_ref("NewLoginName"))),
            },
        ];
        self.admin_routes(routes)
    }

    pub(super) fn admin_routes(
        &mut self,
        routes: impl IntoIterator<Item = AdminRoute>,
    ) -> Vec<DescribedRoute> {
        let mut described = Vec::new();
        for AdminRoute { verb, path, id, summary, mut parameters, answer, codes, body } in routes {
            parameters.extend(self.caller_parameters().to_vec());
            let plan = OperationPlan {
                id: id.to_owned(),
                summary: summary.to_owned(),
                tag: self.shared_name("About"),
                parameters,
                codes: &[ANY, CALLED, if body.is_some() { ASKED } else { &[] }, codes],
                body,
                answers: vec![answer],
            };
            described.push((verb, path.to_owned(), self.plan(plan)));
        }
        described
    }

    pub(super) fn admin_bodies(&mut self) {
        let whole = || json!({"type": "integer", "minimum": 0});
        let text = |about: &str| json!({"description": about, "type": "string"});
        let time = || json!({"type": "string", "format": "date-time"});
        let perhaps = || json!({"type": ["string", "null"]});
        let connection = |about| {
            ObjectSchema::new(about)
                .with("id", text("For DELETE; the same as in `connected`."))
                .with("userId", perhaps())
                .with("address", text("Where it comes from."))
                .with("openedAt", time())
                .with("transport", json!({"enum": ["ws", "sse", "poll"]}))
                .with("roundTripMs", json!({"type": ["number", "null"], "minimum": 0}))
                .with("subscriptions", whole())
                .with("waitingBatches", whole())
                .with("waitingBytes", whole())
                .with("lagging", json!({"type": "boolean"}))
        };
        let subscription = ObjectSchema::new("A subscription.")
            .with("channel", text("As its client wrote it."))
            .with("phase", text("`live`, or what it waits for."))
            .with("since", json!({"type": ["integer", "null"], "minimum": 0}))
            .with("sent", whole());
        let subscriptions = json!({"type": "array", "items": subscription});
        let one = connection("A connection and its subscriptions.").with("channels", subscriptions);
        let connection = connection("A connection.");
        let session = ObjectSchema::new("A session.")
            .with("id", text("For DELETE."))
            .with("userId", text("Id of its user."))
            .with("name", perhaps())
            .with("createdAt", time())
            .with("seenAt", time())
            .with("expiresAt", time())
            .with("device", text("What the client called itself."));
        let page = |about, item: ObjectSchema| {
            ObjectSchema::new(about)
                .with("items", json!({"type": "array", "items": item}))
                .with("next", json!({"type": ["string", "null"]}))
        };
        let stats =
            json!({"description": "Numbers by name.", "type": "object", "additionalProperties": whole()});
        self.add_schema(self.shared_name("Stats"), stats);
        self.add_schema(self.shared_name("Connection"), one);
        self.add_schema(self.shared_name("Connections"), page("Connections.", connection));
        self.add_schema(self.shared_name("UserSessions"), page("Sessions of users.", session));
    }
}
