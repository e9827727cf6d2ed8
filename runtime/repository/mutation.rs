//! `Mutation`: what a client asks for, before anything is checked. The same over every transport.
//!
//! Knows the wire's words for the verbs; knows neither HTTP methods nor frames.

use super::body::Body;

/// One requested operation on one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Mutation {
    pub verb: Verb,
    /// Name of the entity: `Task`.
    pub entity: String,
    /// The record's id as the address has it; a create takes its id from `data`.
    pub id: Option<String>,
    pub data: Option<Body>,
    /// The version that the writer has seen; any, when `None`.
    pub if_version: Option<u64>,
    /// The number of the lease under which the writer acts; none is asked for, unless the entity wants one.
    pub if_lease: Option<u64>,
}

/// What to do with the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Create,
    /// Sets the given fields.
    Update,
    /// Sets every writable field; what is not given gets its default or null.
    Replace,
    Delete,
}

impl Verb {
    pub const ALL: [Verb; 4] = [Verb::Create, Verb::Update, Verb::Replace, Verb::Delete];

    /// The word of `mutate` frames and of a batch.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Update => "update",
            Verb::Replace => "replace",
            Verb::Delete => "delete",
        }
    }
}

impl Mutation {
    pub fn create(entity: &str, data: Body) -> Mutation {
        Mutation {
            verb: Verb::Create,
            entity: entity.to_owned(),
            id: None,
            data: Some(data),
            if_version: None,
            if_lease: None,
        }
    }

    pub fn update(entity: &str, id: &str, data: Body) -> Mutation {
        Mutation::at(Verb::Update, entity, id, Some(data))
    }

    pub fn replace(entity: &str, id: &str, data: Body) -> Mutation {
        Mutation::at(Verb::Replace, entity, id, Some(data))
    }

    pub fn delete(entity: &str, id: &str) -> Mutation {
        Mutation::at(Verb::Delete, entity, id, None)
    }

    /// Refused with `VersionConflict` unless the record is at this version.
    #[must_use]
    pub fn if_version(mut self, version: Option<u64>) -> Mutation {
        self.if_version = version;
        self
    }

    /// Refused with `LeaseLost` unless the writer holds the lease of the record under this number.
    #[must_use]
    pub fn if_lease(mut self, fence: Option<u64>) -> Mutation {
        self.if_lease = fence;
        self
    }

    fn at(verb: Verb, entity: &str, id: &str, data: Option<Body>) -> Mutation {
        let (entity, id) = (entity.to_owned(), Some(id.to_owned()));
        Mutation { verb, entity, id, data, if_version: None, if_lease: None }
    }
}
