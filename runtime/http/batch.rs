//! `POST /api/batch`: many operations in one request, all or none, or each for itself.
//!
//! Translates between HTTP and `Repository`; `repository::Batch` defines the shape of a batch.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::post;

use super::answer::{TIDEWIRE_REPLAYED, status_of, with_json, with_position};
use super::conditions;
use super::identity::Author;
use super::json_body::JsonBody;
use super::problem::Problem;
use super::state::AppState;
use crate::ids::{Epoch, Position, RecordId, Seq};
use crate::protocol::Code;
use crate::repository::{Batch, RepositoryError, Written};
use crate::schema::value::write_json_of;
use crate::store::{OpStatus, Outcome, Stored};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/batch", post(batch))
}

async fn batch(
    State(state): State<AppState>,
    Author(caller): Author,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    conditions::none_on_batch(&headers)?;
    let batch = Batch::read(body).map_err(|error| Problem::new(Code::BadJson, error.to_string()))?;
    let anonymous = caller.user.is_none();
    match batch {
        Batch::Atomic(mutations) => {
            let mid = conditions::idempotency_key(&headers)?;
            let outcome = state.repository.batch(&caller, &mutations, mid).await?;
            Ok(answer_to_all(&outcome, anonymous))
        }
        Batch::Each(mutations) => {
            conditions::no_idempotency_key(&headers)?;
            let results = state.repository.each(&caller, &mutations).await;
            let end = match end_of(&results) {
                Some(end) => end,
                None => state.repository.head().await.map(|at| Position { epoch: at.epoch, seq: at.seq })?,
            };
            Ok(answer_to_each(results, &end, anonymous))
        }
    }
}

/// `{"epoch","seq","results":[{"status","id","record"?},…],"replayed"}`
fn answer_to_all(outcome: &Outcome, anonymous: bool) -> Response {
    let mut json = head(&outcome.epoch, outcome.seq);
    let unknown = outcome.replayed && anonymous;
    for (place, result) in outcome.results.iter().enumerate() {
        if place > 0 {
            json.push(b',');
        }
        write_result(result.status, &result.id, &mut json);
        write_record(result.record.as_ref().filter(|_| !unknown), &mut json);
        json.push(b'}');
    }
    json.extend_from_slice(b"],\"replayed\":");
    write_json_of(&outcome.replayed, &mut json);
    json.push(b'}');
    let mut response = with_position(StatusCode::OK, &outcome.epoch, outcome.seq);
    if outcome.replayed {
        response.headers_mut().insert(TIDEWIRE_REPLAYED, HeaderValue::from_static("true"));
    }
    with_json(response, json)
}

/// `{"epoch","seq","results":[{"status","id","seq","record"?,"replayed"?} or {"status","error"},…]}`
fn answer_to_each(
    results: Vec<Result<Written, RepositoryError>>,
    end: &Position,
    anonymous: bool,
) -> Response {
    let mut json = head(&end.epoch, end.seq);
    for (place, result) in results.into_iter().enumerate() {
        if place > 0 {
            json.push(b',');
        }
        match result {
            Ok(written) => write_written(&written, anonymous, &mut json),
            Err(error) => write_error(error.into(), place, &mut json),
        }
    }
    json.extend_from_slice(b"]}");
    with_json(with_position(StatusCode::OK, &end.epoch, end.seq), json)
}

/// The position of the last operation that succeeded; all of one batch are of one epoch.
fn end_of(results: &[Result<Written, RepositoryError>]) -> Option<Position> {
    let last = results.iter().flatten().max_by_key(|written| written.seq)?;
    Some(Position { epoch: last.epoch.clone(), seq: last.seq })
}

fn head(epoch: &Epoch, seq: Seq) -> Vec<u8> {
    let mut json = b"{\"epoch\":".to_vec();
    write_json_of(epoch, &mut json);
    json.extend_from_slice(b",\"seq\":");
    write_json_of(&seq, &mut json);
    json.extend_from_slice(b",\"results\":[");
    json
}

fn write_written(written: &Written, anonymous: bool, json: &mut Vec<u8>) {
    write_result(written.status, &written.id, json);
    json.extend_from_slice(b",\"seq\":");
    write_json_of(&written.seq, json);
    write_record(written.record.as_ref().filter(|_| !(written.replayed && anonymous)), json);
    if written.replayed {
        json.extend_from_slice(b",\"replayed\":true");
    }
    json.push(b'}');
}

/// The object stays open.
fn write_result(status: OpStatus, id: &RecordId, json: &mut Vec<u8>) {
    json.extend_from_slice(b"{\"status\":");
    write_json_of(&status_of(status).as_u16(), json);
    json.extend_from_slice(b",\"id\":");
    write_json_of(id, json);
}

fn write_record(record: Option<&Stored>, json: &mut Vec<u8>) {
    if let Some(record) = record {
        json.extend_from_slice(b",\"record\":");
        json.extend_from_slice(&record.json);
    }
}

fn write_error(problem: Problem, place: usize, json: &mut Vec<u8>) {
    let (status, code) = (problem.status(), problem.code().as_str());
    if status.is_server_error() {
        // `edge` sees only that the batch was answered.
        let cause = problem.cause().unwrap_or_else(|| problem.detail());
        tracing::error!(op = place, code, cause, "an operation of a batch failed");
    }
    json.extend_from_slice(b"{\"status\":");
    write_json_of(&status.as_u16(), json);
    json.extend_from_slice(b",\"error\":");
    json.extend_from_slice(&problem.json(None));
    json.push(b'}');
}
