//! An entity that is closed to the caller is as if it did not exist (SEMANTICS R6): whatever a request below its address was
//! refused with, a store in trouble among it, the answer is that of an address without an entity.
//!
//! Stands around the routes of entities, so that no handler can forget it. Nothing is asked of the database for an answer that is
//! no refusal: the store hands out nothing of a closed entity.

use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::identity::Presented;
use super::problem::Problem;
use super::state::AppState;
use crate::ids::{RecordId, Seq, Timestamp, shown};
use crate::protocol::Code;
use crate::refusals::note_evidence;
use crate::repository::{is_absent, suggestion};
use crate::rules::{KnownFacts, Principal, Subject, is_closed};
use crate::schema::{Entity, Operation, Record, Schema, Value};
use crate::store::{Evidence, RefusalFinding, RuleEvidence};

pub(super) async fn as_if_absent(
    State(state): State<AppState>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let plural = path.ok().and_then(|path| {
        path.iter().find(|(name, _)| *name == "plural").map(|(_, plural)| plural.to_owned())
    });
    let route = parts.extensions.get::<MatchedPath>();
    let operation = operation(&parts.method, route.map_or("", MatchedPath::as_str));
    let presented = Presented::collect(&parts);
    let response = next.run(Request::from_parts(parts, body)).await;
    let (Some(problem), Some(plural), Ok(presented)) =
        (response.extensions().get::<Problem>(), plural, presented)
    else {
        return response;
    };
    // Neither depends on the address.
    if problem.is_of_caller() {
        return response;
    }
    match concealed(&state, &presented, &plural, operation, problem.code()).await {
        Ok(None) => response,
        Ok(Some(absent)) => {
            tell(problem);
            absent.into_response()
        }
        // Whether there is anything to conceal cannot be known: an address without an entity is answered alike.
        Err(trouble) => trouble.into_response(),
    }
}

/// A failure that its caller does not see still counts as one.
fn tell(problem: &Problem) {
    // The store logged the damage when it was found.
    let is_news = problem.status().is_server_error() && problem.code() != Code::StorageDamaged;
    if let Some(cause) = problem.cause().filter(|_| is_news) {
        tracing::error!(code = problem.code().as_str(), cause, "a request to a closed entity failed");
    }
}

/// The answer of an address without an entity, where the request has it already or must have it.
async fn concealed(
    state: &AppState,
    presented: &Presented,
    plural: &str,
    operation: Operation,
    code: Code,
) -> Result<Option<Problem>, Problem> {
    let schema = state.schema();
    let identified = state.identities.identify(presented.brought()?, presented.address).await?;
    let person = identified.identity.person();
    let principal = state.repository.principal(&person).await?;
    // The store may fail before the entity was looked for.
    let hidden = schema.by_plural(plural).is_none_or(|entity| is_absent(entity, operation, &principal));
    let absent = hidden || code == Code::UnknownEntity;
    if absent && let Some(entity) = schema.by_plural(plural) {
        note_evidence(closed(&schema, entity, &principal, state.env.now()));
    }
    Ok(absent.then(|| nothing_there(&schema, plural, &principal)))
}

/// Why nothing of the entity may be known, whatever records it has: of the rule for reading what depends on no record.
fn closed(schema: &Schema, entity: &Entity, principal: &Principal, now: Timestamp) -> Evidence {
    let id = RecordId::from_uuid(uuid::Uuid::nil());
    let values = vec![Value::Null; entity.fields.len()];
    let blank = Record { id, version: 1, created_at: now, updated_at: now, values };
    let subject = Subject { principal, record: &blank, proposal: None };
    let mut rule = RuleEvidence::of(schema, entity, Operation::Read, subject, &KnownFacts::at(now));
    rule.clauses.retain_mut(|clause| {
        let had_values = !clause.values.is_empty();
        clause.values.retain(|(name, _)| name.starts_with("user"));
        !had_values || !clause.values.is_empty()
    });
    let finding = if principal.is_disabled() { RefusalFinding::Disabled } else { RefusalFinding::Closed };
    let (name, rule) = (entity.name.clone(), Some(rule));
    Evidence { op: 0, entity: name, id: Arc::default(), finding, rule, position: Seq::ZERO }
}

/// Names no entity that is closed to the caller.
fn nothing_there(schema: &Schema, plural: &str, principal: &Principal) -> Problem {
    let mut detail = format!("there is no entity at /api/{}", shown(plural));
    let open = || schema.entities().filter(|entity| !is_closed(entity, principal));
    let named = open().find(|entity| entity.name.eq_ignore_ascii_case(plural));
    let nearest = || suggestion(plural, open().map(|entity| &*entity.plural));
    if let Some(meant) = named.map(|entity| &*entity.plural).or_else(nearest) {
        detail.push_str(&format!("; did you mean `{meant}`?"));
    }
    Problem::new(Code::UnknownEntity, detail)
}

/// A POST to another address than that of the list asks a long question.
fn operation(method: &Method, route: &str) -> Operation {
    match *method {
        Method::POST if route == "/api/{plural}" => Operation::Create,
        Method::PATCH | Method::PUT => Operation::Update,
        Method::DELETE => Operation::Delete,
        _ => Operation::Read,
    }
}
