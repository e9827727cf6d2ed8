//! `/api/{plural}/{id}` and the writes to `/api/{plural}`: single records. Lists are in `lists.rs`.
//!
//! Translates between HTTP and `Repository`; knows no rule about fields and no SQL.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing::get;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::conditions::Condition;
use super::identity::{Author, Caller};
use super::json_body::JsonBody;
use super::problem::Problem;
use super::query::Asked;
use super::{AppState, conditions, lists, query};
use crate::ids::{Epoch, RecordId, Seq};
use crate::protocol::{Code, Params};
use crate::repository::{Current, Mutation, Written};
use crate::schema::Entity;
use crate::schema::value::write_json_of;
use crate::store::{OpStatus, Stored, Who};

const TIDEWIRE_SEQ: HeaderName = HeaderName::from_static("tidewire-seq");
pub(super) const TIDEWIRE_REPLAYED: HeaderName = HeaderName::from_static("tidewire-replayed");

/// What stays as it is in a path segment; UUIDs do.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn routes() -> Router<AppState> {
    Router::new()
        .route("/api/{plural}", get(lists::list).post(create))
        .route("/api/{plural}/count", get(lists::count))
        .route("/api/{plural}/{id}", get(read).patch(change).put(change).delete(delete))
}

/// The entity that a path names.
pub(super) struct Collection {
    pub(super) current: Current,
    pub(super) entity: Arc<Entity>,
}

impl FromRequestParts<AppState> for Collection {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Collection, Problem> {
        let segments = segments(parts, state).await?;
        collection(state, segments.first().map_or("", |plural| plural.as_str()))
    }
}

/// The entity and the id that a path names. Whether the id can be one is the repository's business.
pub(super) struct Target {
    current: Current,
    pub(super) entity: Arc<Entity>,
    pub(super) id: String,
}

impl FromRequestParts<AppState> for Target {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Target, Problem> {
        let mut segments = segments(parts, state).await?;
        let id = segments.pop().unwrap_or_default();
        let Collection { current, entity } =
            collection(state, segments.first().map_or("", |plural| plural.as_str()))?;
        Ok(Target { current, entity, id })
    }
}

/// The decoded parameters of the path: plural, and id where the route has one.
async fn segments(parts: &mut Parts, state: &AppState) -> Result<Vec<String>, Problem> {
    let path: Result<Path<Vec<(String, String)>>, PathRejection> =
        Path::from_request_parts(parts, state).await;
    let Path(pairs) = path.map_err(|_| Problem::new(Code::NotFound, "the address is not UTF-8"))?;
    Ok(pairs.into_iter().map(|(_, value)| value).collect())
}

fn collection(state: &AppState, plural: &str) -> Result<Collection, Problem> {
    let current = state.repository.current();
    match current.schema.by_plural(plural).cloned() {
        Some(entity) => Ok(Collection { current, entity }),
        // `closed` says it with what was meant.
        None => Err(Problem::new(Code::UnknownEntity, "there is no entity at this address")),
    }
}

/// The record's own bytes, or with `fields` and `expand` what they ask for.
async fn read(
    State(state): State<AppState>,
    Caller(caller): Caller,
    Target { current, entity, id }: Target,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    conditions::none_on_read(&headers)?;
    let (params, who) = (Params::parse(uri.query())?, Who::Person(caller.person()));
    let names = query::names(&state, &caller, (&current, &entity), &params).await?;
    let asked = Asked { current: &current, entity: &entity, names: &names, who: who.clone() };
    let shape = query::shape(&asked, &params)?;
    if shape.is_whole() {
        let found = state.repository.get(&entity, &id, &who).await?;
        let response = with_position(StatusCode::OK, &found.epoch, found.seq);
        return Ok(with_record(response, &found.value));
    }
    let (place, expand) = ((&*entity, current.generation), shape.expand().to_vec());
    let found = state.repository.find(place, &id, expand, who).await?;
    let mut json = Vec::with_capacity(found.value.stored.json.len());
    shape.write(&found.value, &mut json)?;
    let response = with_position(StatusCode::OK, &found.epoch, found.seq);
    Ok(with_record(response, &Stored { version: found.value.stored.version, json: json.into() }))
}

async fn create(
    State(state): State<AppState>,
    Author(caller): Author,
    Collection { entity, .. }: Collection,
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
    Target { entity, id, .. }: Target,
    method: Method,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let condition = Condition::of_change(&headers)?;
    let mid = conditions::idempotency_key(&headers)?;
    let mutation = match method {
        Method::PUT => Mutation::replace(&entity.name, &id, body),
        _ => Mutation::update(&entity.name, &id, body),
    };
    let mutation = mutation.if_version(condition.version());
    let written = state.repository.write(&caller, mutation, mid).await;
    let written = written.map_err(|error| condition.refused(error))?;
    Ok(answer(written, caller.user.is_none()))
}

async fn delete(
    State(state): State<AppState>,
    Author(caller): Author,
    Target { entity, id, .. }: Target,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let condition = Condition::of_change(&headers)?;
    let mid = conditions::idempotency_key(&headers)?;
    let mutation = Mutation::delete(&entity.name, &id).if_version(condition.version());
    let written = state.repository.write(&caller, mutation, mid).await;
    let written = written.map_err(|error| condition.refused(error))?;
    Ok(answer(written, caller.user.is_none()))
}

/// The answer to a write. A retry by nobody in particular gets the id alone: whoever else guesses the key learns no
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

pub(super) fn status_of(status: OpStatus) -> StatusCode {
    match status {
        OpStatus::Created => StatusCode::CREATED,
        OpStatus::Updated | OpStatus::Unchanged => StatusCode::OK,
        OpStatus::Deleted => StatusCode::NO_CONTENT,
    }
}

fn id_json(id: &RecordId) -> Vec<u8> {
    let mut json = b"{\"id\":".to_vec();
    write_json_of(id, &mut json);
    json.push(b'}');
    json
}

pub(super) fn with_position(status: StatusCode, epoch: &Epoch, seq: Seq) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(TIDEWIRE_SEQ, ascii(format!("{epoch}:{seq}")));
    response
}

fn with_record(mut response: Response, record: &Stored) -> Response {
    response.headers_mut().insert(header::ETAG, ascii(format!("\"{}\"", record.version)));
    with_json(response, record.json.clone())
}

pub(super) fn with_json(mut response: Response, json: impl Into<Body>) -> Response {
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *response.body_mut() = json.into();
    response
}

fn location(entity: &Entity, id: &RecordId) -> HeaderValue {
    let id = utf8_percent_encode(id.as_str(), SEGMENT);
    ascii(format!("/api/{}/{id}", entity.plural))
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits, hex digits and percent-encoded text are header characters")
}
