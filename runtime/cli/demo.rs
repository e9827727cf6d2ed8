//! `--demo`: some rows for the shipped schemas. Their ids are fixed, so a second run finds them and adds nothing.
//!
//! Entities and fields that a user's own schemas lack are passed over.

use serde_json::{Value, json};

use crate::auth::Identity;
use crate::repository::{Body, Mutation, Repository, RepositoryError};

/// The rows, parents first: entity and body.
fn rows() -> [(&'static str, Value); 8] {
    let id = |n: u8| format!("01900000-0000-7000-8000-0000000000{n:02x}");
    [
        (
            "Project",
            json!({"id": id(1), "name": "Harbour", "color": "blue", "description": "Everything at the quay"}),
        ),
        ("Project", json!({"id": id(2), "name": "Lighthouse", "color": "orange"})),
        (
            "Task",
            json!({"id": id(16), "title": "Paint the pier", "status": "doing", "priority": 4, "project": id(1)}),
        ),
        (
            "Task",
            json!({"id": id(17), "title": "Count the boats", "priority": 2, "project": id(1), "tags": ["daily"]}),
        ),
        ("Task", json!({"id": id(18), "title": "Change the lamp", "status": "done", "project": id(2)})),
        ("Task", json!({"id": id(19), "title": "Open this page in a second window", "priority": 5})),
        ("Comment", json!({"id": id(32), "body": "Two coats, please", "task": id(16)})),
        ("Comment", json!({"id": id(33), "body": "Done before the storm", "task": id(18)})),
    ]
}

/// Adds what is missing; answers how many rows that were.
pub(super) async fn add(repository: &Repository, identity: &Identity) -> Result<usize, RepositoryError> {
    let schema = repository.current().schema;
    let mut added = 0;
    for (entity, body) in rows() {
        let Value::Object(members) = body else { continue };
        let fits = schema
            .entity(entity)
            .is_some_and(|entity| members.keys().all(|key| key == "id" || entity.field(key).is_some()));
        if !fits {
            continue;
        }
        let body = Body::from_pairs(members.iter().map(|(key, value)| (key.as_str(), value.clone())));
        match repository.write_unjudged(identity, Mutation::create(entity, body)).await {
            Ok(_) => added += 1,
            Err(RepositoryError::IdTaken { .. }) => {}
            // A user's own constraint, or a demo parent that was deleted: the row does not belong there any more.
            Err(error) if error.code().retry() == crate::protocol::Retry::Never => {}
            Err(error) => return Err(error),
        }
    }
    Ok(added)
}
