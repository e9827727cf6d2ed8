//! `--demo`: some rows for the shipped schemas, by two people. Their ids are fixed, so a second run finds them and adds nothing.
//!
//! Entities and fields that a user's own schemas lack are skipped. No rule is asked, because the demo acts for the owner of the data.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Value, json};

use crate::auth::Identity;
use crate::repository::{Body, Mutation, Repository, RepositoryError};

const ADA: &str = "ada";
const BEN: &str = "ben";

/// The rows, parents first: whose, entity and body. Ada sees the harbour, Ben the lighthouse too; the last task is on the board, which
/// everybody sees.
fn rows() -> [(&'static str, &'static str, Value); 9] {
    let id = |n: u8| format!("01900000-0000-7000-8000-0000000000{n:02x}");
    [
        (
            ADA,
            "Project",
            json!({"id": id(1), "name": "Harbour", "color": "blue", "description": "Everything at the quay"}),
        ),
        (BEN, "Project", json!({"id": id(2), "name": "Lighthouse", "color": "orange"})),
        (ADA, "Membership", json!({"id": id(8), "person": BEN, "project": id(1), "role": "editor"})),
        (
            ADA,
            "Task",
            json!({"id": id(16), "title": "Paint the pier", "status": "doing", "priority": 4, "project": id(1)}),
        ),
        (
            BEN,
            "Task",
            json!({"id": id(17), "title": "Count the boats", "priority": 2, "project": id(1), "tags": ["daily"]}),
        ),
        (BEN, "Task", json!({"id": id(18), "title": "Change the lamp", "status": "done", "project": id(2)})),
        (ADA, "Task", json!({"id": id(19), "title": "Open this page in a second window", "priority": 5})),
        (BEN, "Comment", json!({"id": id(32), "body": "Two coats, please", "task": id(16)})),
        (BEN, "Comment", json!({"id": id(33), "body": "Done before the storm", "task": id(18)})),
    ]
}

/// Adds what is missing; answers how many rows that were.
pub(super) async fn add(repository: &Repository) -> Result<usize, RepositoryError> {
    for name in [ADA, BEN] {
        match repository.ensure_user(&identity(name)).await {
            // Closed since the first run; the rows are there then.
            Ok(()) | Err(RepositoryError::AccountDisabled(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let schema = repository.current().schema;
    let mut added = 0;
    for (whose, entity, body) in rows() {
        let Value::Object(members) = body else { continue };
        let fits = schema
            .entity(entity)
            .is_some_and(|entity| members.keys().all(|key| key == "id" || entity.field(key).is_some()));
        if !fits {
            continue;
        }
        let body = Body::from_pairs(members.iter().map(|(key, value)| (key.as_str(), value.clone())));
        match repository.write_unjudged(&identity(whose), Mutation::create(entity, body)).await {
            Ok(_) => added += 1,
            Err(RepositoryError::IdTaken { .. }) => {}
            // A user's own constraint, or a demo parent that was deleted: the row does not belong there any longer.
            Err(error) if error.code().retry() == crate::protocol::Retry::Never => {}
            Err(error) => return Err(error),
        }
    }
    Ok(added)
}

fn identity(name: &str) -> Identity {
    Identity { user: Some(name.into()), ..Identity::nobody(IpAddr::V4(Ipv4Addr::LOCALHOST)) }
}
