//! Operations of sessions without a socket, and their bodies.

use serde_json::{Value as Json, json};

use super::answers;
use super::describer::Describer;
use super::operations::{ANY, CALLED, DescribedRoute, OperationPlan};
use crate::http::session::action_names;
use crate::protocol::Code;
use crate::schema::record_schema::ObjectSchema;

const SAID: &[Code] = &[
    Code::BadFrame,
    Code::UnknownMessageType,
    Code::BadChannel,
    Code::BadPosition,
    Code::BadJson,
    Code::BodyTooLarge,
    Code::FrameTooLarge,
    Code::UnsupportedMediaType,
    Code::NotFound,
];

impl Describer<'_> {
    pub(super) fn sessions(&mut self) -> [DescribedRoute; 4] {
        let path = || "/api/realtime/session/{session}".to_owned();
        let mut channels = self.stream_parameters();
        channels.retain(|parameter| parameter["in"] != "header");
        let codes: &[Code] =
            &[Code::BadPosition, Code::ConnectionLimit, Code::ShuttingDown, Code::Overloaded];
        let tag = self.shared_name("Changes");
        let open = self.plan(OperationPlan {
            id: "openSession".to_owned(),
            summary: "A session for a client that polls. The channels can be left out.".to_owned(),
            tag: tag.clone(),
            parameters: channels,
            body: None,
            answers: vec![answers::plainly(axum::http::StatusCode::CREATED, self.shared_ref("Session"))],
            codes: &[ANY, CALLED, codes],
        });
        let number = |name: &str, about: &str| json!({"name": name, "in": "query", "description": about, "schema": {"type": "integer", "minimum": 0}});
        let mut parameters = vec![
            session(),
            number("after", "`cursor` of the last answer: what was sent up to it has arrived."),
            number("wait", "Seconds to wait for a frame, by default 0."),
        ];
        parameters.extend(self.caller_parameters().to_vec());
        let collect = self.plan(OperationPlan {
            id: "pollSession".to_owned(),
            summary: "The frames that wait for a session of polls.".to_owned(),
            tag: tag.clone(),
            parameters,
            body: None,
            answers: vec![answers::ok(self.shared_ref("Session"), &[])],
            codes: &[ANY, CALLED, &[Code::NotFound, Code::MethodNotAllowed]],
        });
        let end = self.plan(OperationPlan {
            id: "endSession".to_owned(),
            summary: "Ends a session.".to_owned(),
            tag: tag.clone(),
            parameters: [vec![session()], self.caller_parameters().to_vec()].concat(),
            body: None,
            answers: vec![answers::nothing()],
            codes: &[ANY, CALLED, &[Code::NotFound]],
        });
        let action = json!({
            "name": "action", "in": "path", "required": true, "description": "What the frame does.",
            "schema": {"type": "string", "enum": action_names()},
        });
        let say = self.plan(OperationPlan {
            id: "say".to_owned(),
            summary: "One frame for a session, as a socket would send it.".to_owned(),
            tag,
            parameters: [vec![session(), action], self.caller_parameters().to_vec()].concat(),
            body: Some(self.json_body(self.shared_ref("Frame"))),
            answers: vec![answers::plainly(axum::http::StatusCode::ACCEPTED, self.shared_ref("Accepted"))],
            codes: &[ANY, CALLED, SAID],
        });
        [
            ("post", "/api/realtime/session".to_owned(), open),
            ("get", path(), collect),
            ("delete", path(), end),
            ("post", format!("{}/{{action}}", path()), say),
        ]
    }

    pub(super) fn session_bodies(&mut self) {
        let text = |about: &str| json!({"description": about, "type": "string"});
        let frames = json!({"type": "array", "items": {"type": "object"}});
        let session = ObjectSchema::new("Frames of a session, as they are over `/ws`.")
            .with_optional("session", text("Its id, when it was opened."))
            .with("cursor", json!({"description": "The next `after`.", "type": "integer", "minimum": 0}))
            .with("frames", frames)
            .with("ended", json!({"description": "Nothing more follows.", "type": "boolean"}));
        let accepted =
            ObjectSchema::new("The session has the frame.").with("accepted", json!({"const": true}));
        let frame = json!({
            "description": "A frame of docs/protocol.md. `type` can be left out where the action has one frame.",
            "type": "object",
        });
        self.add_schema(self.shared_name("Session"), session);
        self.add_schema(self.shared_name("Accepted"), accepted);
        self.add_schema(self.shared_name("Frame"), frame);
    }
}

fn session() -> Json {
    json!({
        "name": "session", "in": "path", "required": true,
        "description": "Of `welcome` or `connected`.", "schema": {"type": "string"},
    })
}
