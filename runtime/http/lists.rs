//! `GET /api/{plural}` and `GET /api/{plural}/count`: pages of records, and how many there are. A question that is too long
//! for an address is sent as JSON: `POST /api/{plural}/query` and `POST /api/{plural}/count`.
//!
//! Translates between HTTP and `Repository`; knows no rule about fields and no SQL.

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::address::CollectionPath;
use super::answer::{with_json, with_position};
use super::identity::Caller;
use super::json_body::JsonBody;
use super::problem::Problem;
use super::projection::Projection;
use super::query::{self, ListRequest, QueryContext, names};
use super::state::AppState;
use crate::auth::Identity;
use crate::ids::Timestamp;
use crate::protocol::{Params, View};
use crate::refusals::{NotedList, note_list};
use crate::schema::Value;
use crate::schema::value::write_json_of;
use crate::store::{At, Column, Counted, ListPage, Who};

/// Bytes of a question that is kept, for administrators who ask why a record is missing.
const MOST_QUESTION: usize = 500;

pub(super) async fn list(
    State(state): State<AppState>,
    Caller(caller): Caller,
    collection: CollectionPath,
    uri: Uri,
) -> Result<Response, Problem> {
    page(&state, &caller, collection, Params::parse(uri.query())?).await
}

pub(super) async fn query(
    State(state): State<AppState>,
    Caller(caller): Caller,
    collection: CollectionPath,
    uri: Uri,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    page(&state, &caller, collection, query::of_body(uri.query(), body)?).await
}

async fn page(
    state: &AppState,
    caller: &Identity,
    CollectionPath { current, entity }: CollectionPath,
    params: Params,
) -> Result<Response, Problem> {
    let names = names(state, caller, &current, &entity, &params).await?;
    let asked =
        QueryContext { current: &current, entity: &entity, names: &names, who: Who::Person(caller.person()) };
    let request = ListRequest::parse(&asked, &params, &state.config.http)?;
    let page = state.repository.list(request.query.clone()).await?;
    let next = request.next(&page.value);
    let response = with_position(StatusCode::OK, &page.epoch, page.seq);
    let json = page_json(&page, &request.shape, next.as_deref())?;
    if params.iter().map(|(_, value)| value.len()).sum::<usize>() <= MOST_QUESTION {
        note_list(|| NotedList { query: request.query, position: page.seq });
    }
    Ok(with_json(response, json))
}

/// `{"items":[…],"next":…,"epoch":…,"seq":…,"view":…}`; the items are the records' own bytes.
fn page_json(page: &At<ListPage>, shape: &Projection, next: Option<&str>) -> Result<Vec<u8>, Problem> {
    let length: usize = page.value.rows.iter().map(|row| row.stored.json.len() + 1).sum();
    let mut json = Vec::with_capacity(length + 256);
    json.extend_from_slice(b"{\"items\":[");
    for (place, row) in page.value.rows.iter().enumerate() {
        if place > 0 {
            json.push(b',');
        }
        shape.write(row, &mut json)?;
    }
    json.extend_from_slice(b"],\"next\":");
    write_json_of(&next, &mut json);
    write_position(page, &mut json);
    json.extend_from_slice(b",\"view\":");
    write_json_of(&view(page), &mut json);
    json.push(b'}');
    Ok(json)
}

/// What a channel with the same filter shows. A channel has no search, and so no channel shows what was found by one.
fn view(page: &At<ListPage>) -> View {
    let read_scope = page.value.read_scope.as_deref();
    read_scope.map_or_else(|| View::everything(page.generation), View::of)
}

pub(super) async fn count(
    State(state): State<AppState>,
    Caller(caller): Caller,
    collection: CollectionPath,
    uri: Uri,
) -> Result<Response, Problem> {
    counted(&state, &caller, collection, Params::parse(uri.query())?).await
}

pub(super) async fn count_by_body(
    State(state): State<AppState>,
    Caller(caller): Caller,
    collection: CollectionPath,
    uri: Uri,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    counted(&state, &caller, collection, query::of_body(uri.query(), body)?).await
}

async fn counted(
    state: &AppState,
    caller: &Identity,
    CollectionPath { current, entity }: CollectionPath,
    params: Params,
) -> Result<Response, Problem> {
    let names = names(state, caller, &current, &entity, &params).await?;
    let asked =
        QueryContext { current: &current, entity: &entity, names: &names, who: Who::Person(caller.person()) };
    let count = query::count(&asked, &params)?;
    let group = count.group;
    let counted = state.repository.count(count).await?;
    let response = with_position(StatusCode::OK, &counted.epoch, counted.seq);
    Ok(with_json(response, count_json(&counted, group)))
}

/// `{"count":…,"groups":[{"value":…,"count":…}],"epoch":…,"seq":…}`
fn count_json(counted: &At<Counted>, group: Option<Column>) -> Vec<u8> {
    let mut json = b"{\"count\":".to_vec();
    write_json_of(&counted.value.count, &mut json);
    if let Some(column) = group {
        json.extend_from_slice(b",\"groups\":[");
        for (place, (value, count)) in counted.value.groups.iter().enumerate() {
            json.extend_from_slice(if place > 0 { b",{\"value\":" } else { b"{\"value\":" });
            write_value(column, value, &mut json);
            json.extend_from_slice(b",\"count\":");
            write_json_of(count, &mut json);
            json.push(b'}');
        }
        json.push(b']');
    }
    write_position(counted, &mut json);
    json.push(b'}');
    json
}

/// In the form that the record shows.
fn write_value(column: Column, value: &Value, json: &mut Vec<u8>) {
    match (column, value) {
        (Column::CreatedAt | Column::UpdatedAt, Value::Int(time)) => {
            write_json_of(&Timestamp(*time).rfc3339(), json);
        }
        _ => value.write_json(json),
    }
}

fn write_position<T>(at: &At<T>, json: &mut Vec<u8>) {
    json.extend_from_slice(b",\"epoch\":");
    write_json_of(&at.epoch, json);
    json.extend_from_slice(b",\"seq\":");
    write_json_of(&at.seq, json);
}
