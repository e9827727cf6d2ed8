//! `GET /api/{plural}/{id}/history`: what was changed in one record, newest first, page by page.
//!
//! The images are the log's own bytes; knows no SQL and no retention.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;

use super::address::RecordPath;
use super::answer::{with_json, with_position};
use super::cursor;
use super::identity::Caller;
use super::problem::Problem;
use super::query::{PAGE_BYTES, page_limit};
use super::state::AppState;
use crate::ids::{RecordId, Seq, shown};
use crate::protocol::{Code, Params};
use crate::schema::Value;
use crate::schema::value::write_json_of;
use crate::store::{At, Change, LogLimit, Past, Who};

/// All but the first two belong to `identity`.
const PARAMS: [&str; 6] = ["limit", "cursor", "as", "claims", "token", "ticket"];

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/{plural}/{id}/history", get(history))
}

async fn history(
    State(state): State<AppState>,
    Caller(caller): Caller,
    RecordPath { entity, id, .. }: RecordPath,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::parse(uri.query())?;
    known_only(&params)?;
    let changes = page_limit(params.one("limit")?, &state.config.http)?;
    // An id has several spellings; a cursor is for the record, however it is spelt.
    let order = format!("{}/{}/history", entity.name, id.to_lowercase());
    let before = params.one("cursor")?.map(|text| before(&order, text)).transpose()?;
    let limit = LogLimit { changes, bytes: PAGE_BYTES };
    let who = Who::Person(caller.person());
    let page = state.repository.history(&entity, &who, &id, before, limit).await?;
    let response = with_position(StatusCode::OK, &page.epoch, page.seq);
    Ok(with_json(response, page_json(&page, &order)))
}

/// Filters and sorts of lists mean nothing here, and what is ignored would mislead.
fn known_only(params: &Params) -> Result<(), Problem> {
    match params.iter().find(|(name, _)| !PARAMS.contains(name)) {
        Some((name, _)) => {
            let detail = format!("a history takes `limit` and `cursor`, not `{}`", shown(name));
            Err(Problem::new(Code::BadQuery, detail))
        }
        None => Ok(()),
    }
}

fn before(order: &str, text: &str) -> Result<Seq, Problem> {
    let seq = cursor::decode(order, text, 1).and_then(|cursor| match cursor.values.first() {
        Some(Value::Int(seq)) => u64::try_from(*seq).ok().map(Seq),
        Some(Value::Null | Value::Bool(_) | Value::Float(_) | Value::Text(_) | Value::Json(_)) | None => None,
    });
    let refused =
        || Problem::new(Code::BadCursor, "the cursor was not made for this history, or was altered");
    seq.ok_or_else(refused)
}

/// `{"items":[…],"next":…,"epoch":…,"seq":…}`
fn page_json(page: &At<Past>, order: &str) -> Vec<u8> {
    let mut json = b"{\"items\":[".to_vec();
    for (place, change) in page.value.changes.iter().enumerate() {
        if place > 0 {
            json.push(b',');
        }
        write_item(change, &mut json);
    }
    let last = page.value.changes.last().filter(|_| page.value.more);
    json.extend_from_slice(b"],\"next\":");
    write_json_of(&last.map(|change| next(order, &change.id, change.seq)), &mut json);
    json.extend_from_slice(b",\"epoch\":");
    write_json_of(&page.epoch, &mut json);
    json.extend_from_slice(b",\"seq\":");
    write_json_of(&page.seq, &mut json);
    json.push(b'}');
    json
}

fn next(order: &str, id: &RecordId, seq: Seq) -> String {
    cursor::encode(order, id, &[Value::Int(i64::try_from(seq.0).unwrap_or(i64::MAX))])
}

/// `{"seq":…,"op":…,"version":…,"at":…,"by":…}`, and of `cause`, `mid`, `changed`, `before` and `after` what there is.
fn write_item(change: &Change, json: &mut Vec<u8>) {
    json.extend_from_slice(b"{\"seq\":");
    write_json_of(&change.seq, json);
    json.extend_from_slice(b",\"op\":");
    write_json_of(change.op.word(), json);
    if let Some(cause) = change.cause {
        json.extend_from_slice(b",\"cause\":");
        write_json_of(cause.word(), json);
    }
    json.extend_from_slice(b",\"version\":");
    write_json_of(&change.version(), json);
    json.extend_from_slice(b",\"at\":");
    write_json_of(&change.at.rfc3339(), json);
    json.extend_from_slice(b",\"by\":");
    write_json_of(&change.actor.as_deref(), json);
    if let Some(mid) = &change.mid {
        json.extend_from_slice(b",\"mid\":");
        write_json_of(mid.as_str(), json);
    }
    let images = [("changed", &change.changed), ("before", &change.before), ("after", &change.after)];
    for (name, image) in images {
        if let Some(image) = image {
            json.push(b',');
            write_json_of(name, json);
            json.push(b':');
            json.extend_from_slice(image);
        }
    }
    json.push(b'}');
}
