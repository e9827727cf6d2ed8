//! What is kept of a request that was refused, and of a list that was answered, for administrators who ask why.
//!
//! Keeps the path of a request and never its query string or its body. What is secret in a path is left out: the value of `by/FIELD`, which
//! may be the token of an invitation, and the id of a session.

use std::sync::Arc;

use axum::http::{Method, Uri};
use percent_encoding::percent_decode_str;

use super::problem::Problem;
use super::state::AppState;
use crate::ids::Timestamp;
use crate::metrics::Via;
use crate::protocol::Code;
use crate::refusals::{
    KeptClaims, KeptRefusal, ListQuestion, Noted, NotedRefusal, RefusedCaller, RefusedOperation, RefusedPart,
};
use crate::rules::{Claims, claims_asked};
use crate::schema::{Entity, Schema};
use crate::store::Evidence;

/// Bytes of the claims that are kept of a refusal, as JSON.
const MOST_CLAIMS: usize = 1_000;

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
    let (request, evidence) = (asked.text(), noted.evidence_of(problem.op()));
    let read = UnreadRecord::of(&state.schema(), &request, code, evidence.as_deref());
    state.sessions.refusals().keep(KeptRefusal {
        id: asked.id.to_owned(),
        at: state.env.now(),
        via: Via::Http,
        caller: noted.caller.map(|caller| remembered(caller, read.as_ref())),
        operation: RefusedOperation::Request(request),
        code,
        message: message(code, problem.detail()),
        cause: problem.cause().map(str::to_owned),
        evidence,
    });
}

/// A record that was not found when it was read. Nothing is kept of the rules then: it is asked so often for what is not there.
pub(super) struct UnreadRecord {
    pub(super) entity: Arc<Entity>,
    pub(super) id: String,
}

impl UnreadRecord {
    pub(super) fn of(
        schema: &Schema,
        request: &str,
        code: Code,
        evidence: Option<&Evidence>,
    ) -> Option<UnreadRecord> {
        if evidence.is_some() || code != Code::NotFound {
            return None;
        }
        let mut segments = request.strip_prefix("GET /api/")?.split('/');
        let (plural, id, rest) = (segments.next()?, segments.next()?, segments.next());
        if !matches!(rest, None | Some("history")) {
            return None;
        }
        let id = percent_decode_str(id).decode_utf8().ok()?.into_owned();
        Some(UnreadRecord { entity: schema.by_plural(plural)?.clone(), id })
    }
}

/// The caller as they are kept: of the claims only those that the rules of the record ask.
fn remembered(mut caller: RefusedCaller, read: Option<&UnreadRecord>) -> RefusedCaller {
    caller.claims = match (&caller.claims, read) {
        (KeptClaims::Known(claims), Some(read)) => asked_of(&read.entity, claims),
        (KeptClaims::Known(_) | KeptClaims::Unknown, _) => KeptClaims::Unknown,
    };
    caller
}

fn asked_of(entity: &Entity, claims: &Claims) -> KeptClaims {
    let asked = claims_asked(entity).into_iter();
    let asked = asked.filter_map(|name| Some((name.to_string(), claims.get(&*name)?.clone())));
    let asked: serde_json::Map<_, _> = asked.collect();
    let is_short = serde_json::to_string(&asked).is_ok_and(|json| json.len() <= MOST_CLAIMS);
    if is_short { KeptClaims::Known(asked.into()) } else { KeptClaims::Unknown }
}

/// The request was answered; operations of a batch and channels of a poll may have been refused for themselves.
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
        kept.keep(of_part(asked, refusal, at, &mut noted));
    }
}

fn of_part(asked: &AskedRequest<'_>, refusal: NotedRefusal, at: Timestamp, noted: &mut Noted) -> KeptRefusal {
    let NotedRefusal { part, code, message: said } = refusal;
    let request = asked.text();
    let (via, evidence, operation) = match part {
        RefusedPart::Operation(op) => {
            (Via::Http, noted.evidence_of(Some(op)), RefusedOperation::OfBatch { request, op })
        }
        RefusedPart::Channel(channel) => (Via::Poll, None, RefusedOperation::OfPoll { request, channel }),
    };
    KeptRefusal {
        id: asked.id.to_owned(),
        at,
        via,
        caller: noted.caller.clone().map(|caller| remembered(caller, None)),
        operation,
        code,
        message: message(code, &said),
        cause: None,
        evidence,
    }
}

/// A message about a body may repeat what is in it.
fn message(code: Code, text: &str) -> Option<String> {
    let is_of_body = matches!(code, Code::ValidationFailed | Code::BadJson | Code::BadFrame);
    (!is_of_body).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::{Format, SourceFile, check};

    #[test]
    fn of_the_claims_those_that_the_rules_ask_are_kept_and_only_of_a_read() {
        let text = "entity = \"Note\"\n[fields]\nteam = { type = \"text\", read = \"user.claims.org.level == 3\" }\n\
                    [access]\nread = \"team in user.claims.teams\"\nupdate = \"user.claims.mail == team\"\n";
        let file = SourceFile { name: "note.toml".to_owned(), text: text.to_owned(), format: Format::Toml };
        let schema = check(&[file]).unwrap_or_else(|faults| panic!("{faults}"));
        let read = |request: &str| UnreadRecord::of(&schema, request, Code::NotFound, None);
        let kept = |claims: serde_json::Value, request: &str| {
            let serde_json::Value::Object(claims) = claims else { unreachable!() };
            let caller = RefusedCaller { user: None, role: None, claims: KeptClaims::Known(claims.into()) };
            match remembered(caller, read(request).as_ref()).claims {
                KeptClaims::Known(claims) => Some(serde_json::Value::Object((*claims).clone())),
                KeptClaims::Unknown => None,
            }
        };
        let claims = || json!({"teams": ["red"], "org": {"level": 3}, "mail": "ada@example.com"});
        assert_eq!(kept(claims(), "GET /api/notes/7"), Some(json!({"teams": ["red"], "org": {"level": 3}})));
        assert_eq!(kept(json!({}), "GET /api/notes/7/history"), Some(json!({})));
        assert_eq!(kept(json!({"teams": "x".repeat(1_000)}), "GET /api/notes/7"), None, "too long");
        for other in ["PATCH /api/notes/7", "GET /api/notes", "GET /api/things/7", "GET /api/notes/by/team/7"]
        {
            assert_eq!(kept(claims(), other), None, "{other}");
        }
    }

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
