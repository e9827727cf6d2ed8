//! The entities to which an activity is narrowed: `Task,Comment`, over HTTP and in the name of its channel.
//!
//! Knows names only; whether there are such entities is judged where the schema is at hand.

use crate::schema::MOST_ENTITIES;

/// Why a text names no entities. The text is for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NamedEntitiesError {
    #[error("`entity` names entities, separated by commas, as in `Task,Comment`")]
    Empty,
    #[error("`entity` names more than {MOST_ENTITIES} entities")]
    TooMany,
}

/// The names, as they were written.
pub fn named_entities(text: &str) -> Result<Vec<String>, NamedEntitiesError> {
    let names: Vec<String> = text.split(',').map(str::to_owned).collect();
    if names.iter().any(String::is_empty) {
        return Err(NamedEntitiesError::Empty);
    }
    if names.len() > MOST_ENTITIES {
        return Err(NamedEntitiesError::TooMany);
    }
    Ok(names)
}
