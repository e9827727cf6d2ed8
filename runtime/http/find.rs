//! `GET /api/{plural}/by/{field}/{value}`: one record by the value of a field with `find` (SEMANTICS X2).
//!
//! The value may be a secret: it is in no log, no label and no error. A value that no record has, one of a record that the caller
//! may not see and one that cannot be a value of the field get the same answer. Knows no rule.

use axum::Router;
use axum::extract::{Extension, FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;

use super::address::CollectionPath;
use super::answer::{with_position, with_record};
use super::conditions;
use super::identity::Caller;
use super::problem::Problem;
use super::query::{self, QueryContext};
use super::server::Peer;
use super::state::AppState;
use crate::protocol::{Code, Params};
use crate::repository::{FindBy, RepositoryError};
use crate::schema::{Entity, FieldIndex};
use crate::store::{Stored, Who};

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/api/{plural}/by/{field}/{value}", get(find))
}

/// The field and the value that a path names.
struct NamedPath {
    field: String,
    value: String,
}

impl FromRequestParts<AppState> for NamedPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<NamedPath, Problem> {
        let path = Path::<(String, String, String)>::from_request_parts(parts, state).await;
        let Path((_, field, value)) =
            path.map_err(|_| Problem::new(Code::NotFound, "the address is not UTF-8"))?;
        Ok(NamedPath { field, value })
    }
}

async fn find(
    State(state): State<AppState>,
    Caller(caller): Caller,
    CollectionPath { current, entity }: CollectionPath,
    NamedPath { field, value }: NamedPath,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    conditions::none_on_read(&headers)?;
    let field = findable(&entity, &field)?;
    let (params, who) = (Params::parse(uri.query())?, Who::Person(caller.person()));
    let names = query::names(&state, &caller, &current, &entity, &params).await?;
    let asked = QueryContext { current: &current, entity: &entity, names: &names, who: who.clone() };
    let shape = query::shape(&asked, &params)?;
    state.limits.guess(peer.address)?;
    let expand = shape.expand().to_vec();
    let by = FindBy { current: &current, entity: &entity, field, value: &value, expand };
    let found = state.repository.find_by(by, who).await;
    if matches!(found, Err(RepositoryError::NotFoundBy { .. })) {
        state.limits.missed(peer.address);
    }
    let found = found?;
    let mut json = Vec::with_capacity(found.value.stored.json.len());
    shape.write(&found.value, &mut json)?;
    let response = with_position(StatusCode::OK, &found.epoch, found.seq);
    Ok(with_record(response, &Stored { version: found.value.stored.version, json: json.into() }))
}

/// An unknown field gets the same answer, because a caller may not know of all fields.
fn findable(entity: &Entity, name: &str) -> Result<FieldIndex, Problem> {
    match entity.field(name) {
        Some((at, field)) if field.find => Ok(at),
        _ => {
            let detail =
                "no record is found by this field: only a field with `find = true` has such an address";
            Err(Problem::new(Code::NotFound, detail))
        }
    }
}
