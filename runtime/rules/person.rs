//! Who asks: what the credentials say of a person, and what the database says.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

/// What a token says beside of its user. Shared, because each request takes them along.
pub type Claims = Arc<Map<String, Json>>;

use crate::schema::{EntityName, Record, Value};

/// Records of one entity that belong to one person and may be asked for in a rule; beyond them the rule fails.
pub const MOST_RELATED: usize = 1_000;

/// Place of `disabled` among the fields of `User`, which is built in.
const DISABLED: usize = 2;
/// Place of `role`.
const ROLE: usize = 1;

/// On whose behalf a read or a write happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Asker {
    /// The server itself, or the owner of the data folder: no rule applies.
    System,
    Person(Arc<Person>),
}

/// A person as far as the credentials tell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Person {
    /// Id of the `User` record; `None` is a caller without credentials.
    pub id: Option<Arc<str>>,
    /// Wins over the record's role. An empty one says that the person has none, whatever the record says.
    pub role: Option<Arc<str>>,
    /// `user.claims`.
    pub claims: Claims,
}

/// What rules may ask of a person: the credentials and what one read transaction found. Rules that ask of nothing else than
/// `Principal` give the same answer as long as no rights entry of the person follows in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Principal {
    pub person: Arc<Person>,
    /// `user.id` as a value; null for an anonymous caller.
    id: Value,
    role: Value,
    /// The `User` record.
    record: Option<Record>,
    related: BTreeMap<EntityName, RelatedRecords>,
}

/// The records of one entity that belong to a person.
#[derive(Debug, Clone, PartialEq)]
pub enum RelatedRecords {
    Records(Vec<Record>),
    /// More than `MOST_RELATED`.
    TooMany,
}

impl Principal {
    /// `record`: the person's `User` record, if there is one and any rule asks for it.
    pub fn new(
        person: Arc<Person>,
        record: Option<Record>,
        related: BTreeMap<EntityName, RelatedRecords>,
    ) -> Principal {
        let text =
            |text: &Option<Arc<str>>| text.as_ref().map_or(Value::Null, |text| Value::Text(text.to_string()));
        let of_record = || record.as_ref().and_then(|record| record.values.get(ROLE)).cloned();
        let role = match &person.role {
            Some(role) if role.is_empty() => Value::Null,
            Some(role) => Value::Text(role.to_string()),
            None => of_record().unwrap_or(Value::Null),
        };
        Principal { id: text(&person.id), role, record, related, person }
    }

    /// Of a user about whom the database was not asked, or knows nothing.
    pub fn unread(person: Arc<Person>) -> Principal {
        Principal::new(person, None, BTreeMap::new())
    }

    pub fn nobody() -> Principal {
        Principal::unread(Arc::default())
    }

    pub fn is_nobody(&self) -> bool {
        self.person.id.is_none()
    }

    /// Whether the account is closed: no rule grants anything then.
    pub fn is_disabled(&self) -> bool {
        let disabled = self.record.as_ref().and_then(|record| record.values.get(DISABLED));
        disabled == Some(&Value::Bool(true))
    }

    pub fn id(&self) -> &Value {
        &self.id
    }

    pub fn role(&self) -> &Value {
        &self.role
    }

    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// Nothing where no record belongs to the person.
    pub fn related(&self, entity: &str) -> &RelatedRecords {
        const NONE: &RelatedRecords = &RelatedRecords::Records(Vec::new());
        self.related.get(entity).unwrap_or(NONE)
    }
}
