//! `/api/{plural}/{id}` and the writes to `/api/{plural}`: single records. Lists are in `lists.rs`.
//!
//! Translates between HTTP and `Repository`; knows no rule about fields and no SQL.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::{get, post};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::address::{CollectionPath, RecordPath};
use super::answer::{TIDEWIRE_REPLAYED, ascii, status_of, with_json, with_position, with_record};
use super::conditions::Precondition;
use super::identity::{Author, Caller};
use super::json_body::JsonBody;
use super::problem::Problem;
use super::query::QueryContext;
use super::state::AppState;
use super::{conditions, lists, many, query};
use crate::ids::RecordId;
use crate::protocol::Params;
use crate::repository::{Mutation, Written};
use crate::schema::Entity;
use crate::schema::value::write_json_of;
use crate::store::{Stored, Who};

/// What stays as it is in a path segment; UUIDs do.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/{plural}", get(lists::list).post(create).patch(many::change).delete(many::delete))
        .route("/api/{plural}/query", post(lists::query))
        .route("/api/{plural}/count", get(lists::count).post(lists::count_by_body))
        .route("/api/{plural}/{id}", get(read).patch(change).put(change).delete(delete))
}

/// The record's own bytes, or with `fields` and `expand` what they ask for.
async fn read(
    State(state): State<AppState>,
    Caller(caller): Caller,
    RecordPath { current, entity, id }: RecordPath,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    conditions::none_on_read(&headers)?;
    let (params, who) = (Params::parse(uri.query())?, Who::Person(caller.person()));
    let names = query::names(&state, &caller, &current, &entity, &params).await?;
    let asked = QueryContext { current: &current, entity: &entity, names: &names, who: who.clone() };
    let shape = query::shape(&asked, &params)?;
    if shape.is_whole() {
        let found = state.repository.get(&entity, &id, &who).await?;
        let response = with_position(StatusCode::OK, &found.epoch, found.seq);
        return Ok(with_record(response, &found.value));
    }
    let expand = shape.expand().to_vec();
    let found = state.repository.find(&entity, current.generation, &id, expand, who).await?;
    let mut json = Vec::with_capacity(found.value.stored.json.len());
    shape.write(&found.value, &mut json)?;
    let response = with_position(StatusCode::OK, &found.epoch, found.seq);
    Ok(with_record(response, &Stored { version: found.value.stored.version, json: json.into() }))
}

async fn create(
    State(state): State<AppState>,
    Author(caller): Author,
    CollectionPath { entity, .. }: CollectionPath,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    conditions::none_on_create(&headers)?;
    let mid = conditions::idempotency_key(&headers)?;
    let written = state.repository.write(&caller, Mutation::create(&entity.name, body), mid).await?;
    let location = location(&entity, &written.id);
    let mut response = answer(written, caller.user.is_none());
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// PATCH and PUT.
async fn change(
    State(state): State<AppState>,
    Author(caller): Author,
    RecordPath { entity, id, .. }: RecordPath,
    method: Method,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let condition = Precondition::of_change(&headers)?;
    let mid = conditions::idempotency_key(&headers)?;
    let mutation = match method {
        Method::PUT => Mutation::replace(&entity.name, &id, body),
        _ => Mutation::update(&entity.name, &id, body),
    };
    let mutation = mutation.if_version(condition.version()).if_lease(conditions::lease(&headers)?);
    let written = state.repository.write(&caller, mutation, mid).await;
    let written = written.map_err(|error| condition.refused(error))?;
    Ok(answer(written, caller.user.is_none()))
}

async fn delete(
    State(state): State<AppState>,
    Author(caller): Author,
    RecordPath { entity, id, .. }: RecordPath,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let condition = Precondition::of_change(&headers)?;
    let mid = conditions::idempotency_key(&headers)?;
    let mutation = Mutation::delete(&entity.name, &id).if_version(condition.version());
    let mutation = mutation.if_lease(conditions::lease(&headers)?);
    let written = state.repository.write(&caller, mutation, mid).await;
    let written = written.map_err(|error| condition.refused(error))?;
    Ok(answer(written, caller.user.is_none()))
}

/// The answer to a write. A repetition by an anonymous caller gets only the id: another caller who guesses the key learns no
/// more (SEMANTICS M1).
fn answer(written: Written, anonymous: bool) -> Response {
    let status = status_of(written.status);
    let mut response = with_position(status, &written.epoch, written.seq);
    if written.replayed {
        response.headers_mut().insert(TIDEWIRE_REPLAYED, HeaderValue::from_static("true"));
    }
    if status == StatusCode::NO_CONTENT {
        return response;
    }
    match written.record.filter(|_| !(written.replayed && anonymous)) {
        Some(record) => with_record(response, &record),
        None => with_json(response, id_json(&written.id)),
    }
}

fn id_json(id: &RecordId) -> Vec<u8> {
    let mut json = b"{\"id\":".to_vec();
    write_json_of(id, &mut json);
    json.push(b'}');
    json
}

fn location(entity: &Entity, id: &RecordId) -> HeaderValue {
    let id = utf8_percent_encode(id.as_str(), SEGMENT);
    ascii(format!("/api/{}/{id}", entity.plural))
}
