//! What the server itself refuses. No proxy is at fault for it.
//!
//! Knows the form of its errors, over HTTP and in frames, and no transport.

use serde_json::Value;

use super::finding::Finding;
use crate::protocol::Code;
use crate::schema::message::quoted;

/// Where a token is taken from: an argument would be seen by every user of the machine.
pub(super) const TOKEN: &str = "TIDEWIRE_TOKEN";

/// An error with a code of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerRefusal {
    pub(super) code: Code,
    pub(super) detail: String,
}

impl ServerRefusal {
    /// Of the body of an answer. `None`: it is not the server that answered.
    pub(super) fn of_problem(problem: &Value) -> Option<ServerRefusal> {
        ServerRefusal::of(&problem["code"], &problem["detail"])
    }

    /// Of a frame after which the server ends a connection.
    pub(super) fn of_frame(frame: &Value) -> Option<ServerRefusal> {
        let payload = &frame["payload"];
        match frame["type"].as_str()? {
            "error" => ServerRefusal::of(&payload["code"], &payload["message"]),
            "drain" => Some(ServerRefusal {
                code: Code::ShuttingDown,
                detail: "the server is about to stop".to_owned(),
            }),
            _ => None,
        }
    }

    fn of(code: &Value, detail: &Value) -> Option<ServerRefusal> {
        let code = Code::ALL.iter().find(|known| *code == known.as_str())?;
        Some(ServerRefusal { code: *code, detail: detail.as_str().unwrap_or_default().to_owned() })
    }

    /// Where a login is needed and none was given, all is well.
    pub(super) fn finding(&self, topic: &'static str, has_token: bool) -> Finding {
        let (code, detail) = (self.code.as_str(), quoted(&self.detail));
        if self.code != Code::Unauthenticated {
            let text = format!("not checked: the server itself refuses it: `{code}`, {detail}");
            let advice = format!("{} `tidewire explain {code}` says more", self.code.hint());
            return Finding::warning(topic, text, advice);
        }
        if has_token {
            let text = format!("the server refuses the token in {TOKEN}: {detail}");
            return Finding::error(topic, text, format!("set {TOKEN} to a token that is valid, or unset it"));
        }
        let text = format!(
            "not checked: the server opens it only after a login (`{code}`); {TOKEN} can give a token"
        );
        Finding::ok(topic, text)
    }
}
