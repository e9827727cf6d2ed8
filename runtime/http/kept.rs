//! What is kept of a request that was refused, and of a list that was answered, for administrators who ask why.
//!
//! Keeps the path of a request and never its query string or its body. What is secret in a path is left out: the value of `by/FIELD`, which
//! may be the token of an invitation, and the id of a session.

use axum::http::{Method, Uri};

use super::problem::Problem;
use super::state::AppState;
use crate::ids::Timestamp;
use crate::metrics::Via;
use crate::protocol::Code;
use crate::refusals::{KeptRefusal, ListQuestion, Noted, NotedRefusal, RefusedOperation};

/// One request.
pub(super) struct AskedRequest<'a> {
    pub(super) id: &'a str,
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
}

impl AskedRequest<'_> {
    fn text(&self) -> String {
        format!("{} {}", self.method, without_secrets(self.uri.path()))
    }

    /// What administrators ask here is no news to them.
    fn is_of_inspector(&self) -> bool {
        let addresses = ["/api/admin/inspect", "/api/admin/why/", "/api/admin/explain"];
        addresses.iter().any(|address| self.uri.path().starts_with(address))
    }
}

fn without_secrets(path: &str) -> String {
    let mut segments: Vec<&str> = path.split('/').collect();
    let secret = match segments[..] {
        ["", "api", "realtime", "session", _, ..] => Some(4),
        ["", "api", _, "by", _, _, ..] => Some(5),
        _ => None,
    };
    if let Some(secret) = secret {
        segments[secret] = "…";
    }
    segments.join("/")
}

/// The whole request was refused. Too many requests are counted and not kept: they would push out what else was refused.
pub(super) fn refused(state: &AppState, asked: &AskedRequest<'_>, problem: &Problem, mut noted: Noted) {
    let code = problem.code();
    if code == Code::RateLimited || asked.is_of_inspector() && code != Code::Forbidden {
        return;
    }
    state.sessions.refusals().keep(KeptRefusal {
        id: asked.id.to_owned(),
        at: state.env.now(),
        via: Via::Http,
        operation: RefusedOperation::Request(asked.text()),
        code,
        message: message(code, problem.detail()),
        cause: problem.cause().map(str::to_owned),
        evidence: noted.evidence_of(problem.op()),
        caller: noted.caller,
    });
}

/// The request was answered; operations of a batch may have been refused for themselves.
pub(super) fn answered(state: &AppState, asked: &AskedRequest<'_>, mut noted: Noted) {
    if noted.refused.is_empty() && noted.list.is_none() {
        return;
    }
    let (kept, at) = (state.sessions.refusals(), state.env.now());
    if let Some(list) = noted.list.take() {
        let id = asked.id.to_owned();
        kept.keep_list(ListQuestion { id, at, query: list.query, position: list.position });
    }
    for refusal in std::mem::take(&mut noted.refused) {
        kept.keep(of_batch(asked, refusal, at, &mut noted));
    }
}

fn of_batch(
    asked: &AskedRequest<'_>,
    refusal: NotedRefusal,
    at: Timestamp,
    noted: &mut Noted,
) -> KeptRefusal {
    let NotedRefusal { op, code, message: said } = refusal;
    KeptRefusal {
        id: asked.id.to_owned(),
        at,
        via: Via::Http,
        caller: noted.caller.clone(),
        operation: RefusedOperation::OfBatch { request: asked.text(), op },
        code,
        message: message(code, &said),
        cause: None,
        evidence: noted.evidence_of(Some(op)),
    }
}

/// A message about a body may repeat what is in it.
fn message(code: Code, text: &str) -> Option<String> {
    let is_of_body = matches!(code, Code::ValidationFailed | Code::BadJson | Code::BadFrame);
    (!is_of_body).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn what_is_secret_in_a_path_is_left_out() {
        for (path, kept) in [
            ("/api/invitations/by/link/R4nd0m", "/api/invitations/by/link/…"),
            ("/api/realtime/session/5ec7e7/subscribe", "/api/realtime/session/…/subscribe"),
            ("/api/tasks/7/history", "/api/tasks/7/history"),
            ("/", "/"),
        ] {
            assert_eq!(without_secrets(path), kept);
        }
    }
}
