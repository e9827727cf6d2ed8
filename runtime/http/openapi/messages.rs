//! Operations that publish messages, and their bodies.

use serde_json::json;

use super::answers;
use super::describer::Describer;
use super::operations::{ANY, ASKED, CALLED, DescribedRoute, OperationPlan};
use crate::protocol::{Code, MAX_EVENT};
use crate::schema::record_schema::ObjectSchema;

const PUBLISHED: &[Code] = &[
    Code::Forbidden,
    Code::BadChannel,
    Code::MessageTooLarge,
    Code::ReadOnly,
    Code::StorageFull,
    Code::StorageError,
];

/// A route of this file.
struct PublishingRoute {
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    /// The part of the path that says to whom.
    place: &'static str,
    about: &'static str,
}

impl Describer<'_> {
    pub(super) fn messages(&mut self) -> [DescribedRoute; 2] {
        [
            self.publishing(&PublishingRoute {
                path: "/api/realtime/rooms/{name}",
                id: "publish",
                summary: "A message for those who are in a room. For service tokens and the role `admin`.",
                place: "name",
                about: "The room's name: what follows `room:`, percent-encoded, slashes too.",
            }),
            self.publishing(&PublishingRoute {
                path: "/api/realtime/notify/{user}",
                id: "notify",
                summary: "A message for one user, on each connection that subscribes to `user:<id>`. Nothing is kept.",
                place: "user",
                about: "The user's id, percent-encoded.",
            }),
        ]
    }

    fn publishing(&mut self, route: &PublishingRoute) -> DescribedRoute {
        let PublishingRoute { path, id, summary, place, about } = *route;
        let mut parameters = vec![json!({
            "name": place, "in": "path", "required": true, "description": about, "schema": {"type": "string"},
        })];
        parameters.extend(self.caller_parameters().to_vec());
        let operation = self.plan(OperationPlan {
            id: id.to_owned(),
            summary: summary.to_owned(),
            tag: self.shared_name("Messages"),
            parameters,
            body: Some(self.json_body(self.shared_ref("Message"))),
            answers: vec![answers::ok(self.shared_ref("Published"), &[])],
            codes: &[ANY, CALLED, ASKED, PUBLISHED],
        });
        ("post", path.to_owned(), operation)
    }

    pub(super) fn message_bodies(&mut self) {
        let message = ObjectSchema::new("A message: stored nowhere.")
            .with(
                "event",
                json!({
                    "description": "What happened, in the words of the application.",
                    "type": "string", "minLength": 1, "maxLength": MAX_EVENT,
                }),
            )
            .with_optional("data", json!({"description": "Any JSON, at most `realtime.message_bytes`."}))
            .with_optional("echo", json!({"description": "Ignored here.", "type": ["boolean", "null"]}));
        let published = ObjectSchema::new("What became of a message.").with(
            "receivers",
            json!({"description": "Connections that it was handed to.", "type": "integer", "minimum": 0}),
        );
        self.add_schema(self.shared_name("Message"), message);
        self.add_schema(self.shared_name("Published"), published);
    }
}
