//! `Operation`: what can be done with a record. Knows neither rules nor requests.

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Of one record whose id is known.
    Read,
    /// Of all records: lists, searches, counts and channels of the entity.
    List,
    Create,
    Update,
    Delete,
}

impl Operation {
    pub const ALL: [Operation; 5] =
        [Operation::Read, Operation::List, Operation::Create, Operation::Update, Operation::Delete];

    /// The word of the schema file.
    pub fn word(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::List => "list",
            Operation::Create => "create",
            Operation::Update => "update",
            Operation::Delete => "delete",
        }
    }
}
