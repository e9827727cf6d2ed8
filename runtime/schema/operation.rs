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
    /// Holding the lease of a record (SEMANTICS Y6).
    Lease,
}

impl Operation {
    pub const ALL: [Operation; 6] = [
        Operation::Read,
        Operation::List,
        Operation::Create,
        Operation::Update,
        Operation::Delete,
        Operation::Lease,
    ];

    /// The word of the schema file.
    pub fn word(self) -> &'static str {
        match self {
            Operation::Read => "read",
            Operation::List => "list",
            Operation::Create => "create",
            Operation::Update => "update",
            Operation::Delete => "delete",
            Operation::Lease => "lease",
        }
    }
}
