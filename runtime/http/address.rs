//! What the path of a request names: an entity, or one record.
//!
//! The repository looks for the record.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::problem::Problem;
use super::state::AppState;
use crate::protocol::Code;
use crate::repository::Current;
use crate::schema::Entity;

/// The entity that a path names.
pub(super) struct CollectionPath {
    pub(super) current: Current,
    pub(super) entity: Arc<Entity>,
}

impl FromRequestParts<AppState> for CollectionPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<CollectionPath, Problem> {
        let segments = segments(parts, state).await?;
        collection(state, segments.first().map_or("", |plural| plural.as_str()))
    }
}

/// The entity and the id that a path names. The repository checks the id.
pub(super) struct RecordPath {
    pub(super) current: Current,
    pub(super) entity: Arc<Entity>,
    pub(super) id: String,
}

impl FromRequestParts<AppState> for RecordPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<RecordPath, Problem> {
        let mut segments = segments(parts, state).await?;
        let id = segments.pop().unwrap_or_default();
        let CollectionPath { current, entity } =
            collection(state, segments.first().map_or("", |plural| plural.as_str()))?;
        Ok(RecordPath { current, entity, id })
    }
}

/// The decoded parameters of the path: plural, and id where the route has one.
async fn segments(parts: &mut Parts, state: &AppState) -> Result<Vec<String>, Problem> {
    let path: Result<Path<Vec<(String, String)>>, PathRejection> =
        Path::from_request_parts(parts, state).await;
    let Path(pairs) = path.map_err(|_| Problem::new(Code::NotFound, "the address is not UTF-8"))?;
    Ok(pairs.into_iter().map(|(_, value)| value).collect())
}

fn collection(state: &AppState, plural: &str) -> Result<CollectionPath, Problem> {
    let current = state.repository.current();
    match current.schema.by_plural(plural).cloned() {
        Some(entity) => Ok(CollectionPath { current, entity }),
        // `closed` says it with what was meant.
        None => Err(Problem::new(Code::UnknownEntity, "there is no entity at this address")),
    }
}
