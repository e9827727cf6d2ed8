//! `POST /api/batch`: many operations in one request, all or none, or each for itself.
//!
//! Translates between HTTP and `Repository`; `repository::Batch` defines the shape of a batch.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::post;

use super::answer::{TIDEWIRE_REPLAYED, answer_for, with_json, with_position};
use super::conditions;
use super::identity::Author;
use super::json_body::JsonBody;
use super::problem::Problem;
use super::state::AppState;
use crate::protocol::Code;
use crate::refusals::{NotedRefusal, RefusedPart, note_refusal};
use crate::repository::{Batch, RepositoryError, json_of_all, json_of_each};
use crate::schema::value::write_json_of;

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
    let to = answer_for(&caller);
    match batch {
        Batch::Atomic(mutations) => {
            let mid = conditions::idempotency_key(&headers)?;
            let outcome = state.repository.batch(&caller, &mutations, mid).await?;
            let mut response = with_position(StatusCode::OK, &outcome.epoch, outcome.seq);
            if outcome.replayed {
                response.headers_mut().insert(TIDEWIRE_REPLAYED, HeaderValue::from_static("true"));
            }
            Ok(with_json(response, json_of_all(&outcome, to)))
        }
        Batch::Each(mutations) => {
            conditions::no_idempotency_key(&headers)?;
            let results = state.repository.each(&caller, &mutations).await;
            let end = state.repository.end_of(&results).await?;
            let json = json_of_each(results, &end, to, write_error);
            Ok(with_json(with_position(StatusCode::OK, &end.epoch, end.seq), json))
        }
    }
}

fn write_error(error: RepositoryError, place: usize, json: &mut Vec<u8>) {
    let problem = Problem::from(error);
    let (status, code) = (problem.status(), problem.code().as_str());
    if status.is_server_error() {
        // `edge` sees only that the batch was answered.
        let cause = problem.cause().unwrap_or_else(|| problem.detail());
        tracing::error!(op = place, code, cause, "an operation of a batch failed");
    }
    let (part, message) = (RefusedPart::Operation(place), problem.detail().to_owned());
    note_refusal(NotedRefusal { part, code: problem.code(), message });
    json.extend_from_slice(b"{\"status\":");
    write_json_of(&status.as_u16(), json);
    json.extend_from_slice(b",\"error\":");
    json.extend_from_slice(&problem.json(None));
    json.push(b'}');
}
