//! `PATCH` and `DELETE /api/{plural}?…`: changes of many records, found by conditions (SEMANTICS X9).
//!
//! Translates between HTTP and `Repository`; knows no rule about fields and no SQL.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::Response;

use super::address::CollectionPath;
use super::answer::{TIDEWIRE_REPLAYED, with_json, with_position};
use super::conditions;
use super::identity::Author;
use super::json_body::JsonBody;
use super::problem::Problem;
use super::query::{ManyQuestion, QueryContext, names};
use super::state::AppState;
use crate::auth::Identity;
use crate::protocol::Params;
use crate::repository::{Body, ManyRequest};
use crate::schema::value::write_json_of;
use crate::store::Who;

pub(super) async fn change(
    State(state): State<AppState>,
    Author(caller): Author,
    collection: CollectionPath,
    headers: HeaderMap,
    uri: Uri,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    write(&state, &caller, collection, &headers, Params::parse(uri.query())?, Some(body)).await
}

pub(super) async fn delete(
    State(state): State<AppState>,
    Author(caller): Author,
    collection: CollectionPath,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    write(&state, &caller, collection, &headers, Params::parse(uri.query())?, None).await
}

async fn write(
    state: &AppState,
    caller: &Identity,
    CollectionPath { current, entity }: CollectionPath,
    headers: &HeaderMap,
    params: Params,
    data: Option<Body>,
) -> Result<Response, Problem> {
    conditions::none_on_many(headers)?;
    let mid = conditions::idempotency_key(headers)?;
    let names = names(state, caller, &current, &entity, &params).await?;
    let who = Who::Person(caller.person());
    let asked = QueryContext { current: &current, entity: &entity, names: &names, who };
    let ManyQuestion { filter, after, order, question } = ManyQuestion::parse(&asked, &params)?;
    let generation = current.generation;
    let request = ManyRequest { entity, generation, filter, after, question, data };
    let written = state.repository.write_many(caller, &request, mid).await?;
    let next = written.next.as_ref().map(|id| ManyQuestion::cursor(&order, id));
    let mut response = with_position(StatusCode::OK, &written.epoch, written.seq);
    if written.replayed {
        response.headers_mut().insert(TIDEWIRE_REPLAYED, HeaderValue::from_static("true"));
    }
    let mut json = b"{\"changed\":".to_vec();
    write_json_of(&written.tally.changed, &mut json);
    json.extend_from_slice(b",\"refused\":");
    write_json_of(&written.tally.refused, &mut json);
    json.extend_from_slice(b",\"next\":");
    write_json_of(&next, &mut json);
    json.push(b'}');
    Ok(with_json(response, json))
}
