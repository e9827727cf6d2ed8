//! What the repository asks of the people who call it: whether they have an account and may use it, what they may name, and which
//! entities are as if absent for them (SEMANTICS R6, R11).
//!
//! Judges no record: that happens in the store, inside the transaction that reads or writes it.

use std::sync::Arc;

use serde::Deserialize;

use super::body::Body;
use super::error::{self, RepositoryError};
use super::mutation::{Mutation, Verb};
use super::nameable::{Nameable, depends_on_principal};
use super::unit_refusal::RefusedOp;
use super::{MutationAuthor, Repository};
use crate::auth::Identity;
use crate::ids::{RecordId, shown};
use crate::protocol::Retry;
use crate::rules::{Asker, Person, Principal, is_closed, may_ever};
use crate::schema::{Entity, Expr, Operation, Schema};

/// The name of the built-in entity of people.
const USER: &str = "User";
/// The role of those who may look at the server itself.
const ADMIN: &str = "admin";

/// What the server asks of a `User` record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PersonRecord {
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub role: Option<String>,
    #[serde(default)]
    pub disabled: Option<bool>,
}

impl Repository {
    /// Commits the caller's `User` record when there is none (SEMANTICS R11), and refuses one that is disabled. It looks every
    /// time: one short read, and a user who was deleted comes back with the next request. Callers with a token ask less often, by
    /// `person_stamp`.
    pub async fn ensure_user(&self, caller: &Identity) -> Result<(), RepositoryError> {
        match self.unrecorded(caller).await? {
            Some(id) => self.create_user(caller, id).await,
            None => Ok(()),
        }
    }

    /// The same for a caller who only reads. While the server cannot store the record, it answers the read without one: rules
    /// that ask for the record find none, which denies. The next request tries to store it again.
    pub async fn ensure_reader(&self, caller: &Identity) -> Result<(), RepositoryError> {
        let Some(id) = self.unrecorded(caller).await? else { return Ok(()) };
        match self.create_user(caller, id).await {
            Err(error) if error.code().retry() == Retry::Later => {
                tracing::debug!(%error, "a User record could not be stored; the read goes on without it");
                Ok(())
            }
            settled => settled,
        }
    }

    /// The caller's id where the database has no `User` record of it. Fails for a disabled account, and where the record
    /// cannot be read: then the server cannot know whether the account is disabled.
    async fn unrecorded<'a>(&self, caller: &'a Identity) -> Result<Option<&'a str>, RepositoryError> {
        let Some(id) = caller.user.as_deref() else { return Ok(None) };
        Ok(if self.has_account(id).await? { None } else { Some(id) })
    }

    /// Whether there is a `User` record of this id. Fails for a disabled account.
    pub async fn has_account(&self, user: &str) -> Result<bool, RepositoryError> {
        let Some(person) = self.person(user).await? else { return Ok(false) };
        match person.disabled {
            Some(true) => Err(RepositoryError::AccountDisabled(user.to_owned())),
            Some(false) | None => Ok(true),
        }
    }

    /// As long as it stays the same, what `has_account` answered after it was asked is still true.
    pub fn person_stamp(&self, user: &str) -> Option<u64> {
        self.store.person_stamp(user)
    }

    /// The `User` record of this id.
    pub async fn person(&self, user: &str) -> Result<Option<PersonRecord>, RepositoryError> {
        let found = self.store.get(USER, &RecordId::stored(user)).await.map_err(error::of_read)?;
        let Some(record) = found.value else { return Ok(None) };
        let person = serde_json::from_slice(&record.json)
            .map_err(|error| RepositoryError::Read(format!("the User record of {user}: {error}")))?;
        Ok(Some(person))
    }

    /// Commits the `User` record of a new account. One that is there already stays as it is.
    pub async fn add_person(
        &self,
        author: &Identity,
        user: &str,
        name: &str,
        role: Option<&str>,
    ) -> Result<(), RepositoryError> {
        let mut pairs = vec![("id", user.into()), ("name", name.into())];
        pairs.extend(role.map(|role| ("role", role.into())));
        match self.write_unjudged(author, Mutation::create(USER, Body::from_pairs(pairs))).await {
            Ok(_) | Err(RepositoryError::IdTaken { .. }) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Sets a field of a `User` record, whatever the rules say.
    pub async fn change_person(
        &self,
        author: &Identity,
        user: &str,
        field: &str,
        value: serde_json::Value,
    ) -> Result<(), RepositoryError> {
        let body = Body::from_pairs([(field, value)]);
        self.write_unjudged(author, Mutation::update(USER, user, body)).await.map(drop)
    }

    async fn create_user(&self, caller: &Identity, id: &str) -> Result<(), RepositoryError> {
        let name = caller.name.as_deref().unwrap_or(id);
        let body = Body::from_pairs([("id", id.into()), ("name", name.into())]);
        match self.write_unjudged(caller, Mutation::create(USER, body)).await {
            // Two first requests of one person met.
            Ok(_) | Err(RepositoryError::IdTaken { .. }) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// What rules may ask of a person, as of now: for words and doors, never for records.
    pub async fn principal(&self, person: &Arc<Person>) -> Result<Principal, RepositoryError> {
        let principal = self.store.principal(person).await.map_err(error::of_read)?;
        Ok(principal.value)
    }

    /// Whether the caller's role is `admin`, by the credentials or by the `User` record.
    pub async fn is_admin(&self, caller: &Identity) -> Result<bool, RepositoryError> {
        let principal = self.principal(&caller.person()).await?;
        Ok(principal.role() == &crate::schema::Value::Text(ADMIN.to_owned()))
    }

    /// What a person may name in a query about these entities.
    pub async fn nameable(
        &self,
        person: &Arc<Person>,
        entities: &[&Entity],
    ) -> Result<Nameable, RepositoryError> {
        match entities.iter().any(|entity| depends_on_principal(entity)) {
            true => self.principal(person).await.map(Nameable::of),
            false => Ok(Nameable::usual()),
        }
    }

    /// Of a PUT: a required field that the writer never sees need not be given. Everything else that is written is judged
    /// the writer.
    pub(super) async fn names_of_writer(
        &self,
        schema: &Schema,
        writer: &MutationAuthor<'_>,
        mutations: &[Mutation],
    ) -> Result<Nameable, RepositoryError> {
        let Asker::Person(person) = &writer.asker else { return Ok(Nameable::everything()) };
        let mut replaced: Vec<&Entity> = Vec::new();
        for mutation in mutations.iter().filter(|mutation| mutation.verb == Verb::Replace) {
            replaced.extend(schema.entity(&mutation.entity).map(|entity| &**entity));
        }
        self.nameable(person, &replaced).await
    }

    /// The operations that name entities which are closed to the writer, refused as if those did not exist: a refusal says nothing
    /// of them, whatever is wrong with the request. A user who may create records of an entity but read none, as of a letter box, learns
    /// the truth about creates.
    pub(super) async fn absent_to(
        &self,
        schema: &Schema,
        writer: &MutationAuthor<'_>,
        mutations: &[Mutation],
    ) -> Result<Vec<RefusedOp>, RepositoryError> {
        let Asker::Person(person) = &writer.asker else { return Ok(Vec::new()) };
        if !names_ruled(schema, mutations) {
            return Ok(Vec::new());
        }
        let principal = self.principal(person).await?;
        let mut absent = Vec::new();
        for (op, mutation) in mutations.iter().enumerate() {
            let entity = schema.entity(&mutation.entity);
            if entity.is_some_and(|entity| is_absent(entity, operation(mutation.verb), &principal)) {
                absent.push(RefusedOp { op, error: RepositoryError::UnknownEntity(shown(&mutation.entity)) });
            }
        }
        Ok(absent)
    }
}

/// Whether a user may be shut out of an entity that these name.
fn names_ruled(schema: &Schema, mutations: &[Mutation]) -> bool {
    let mut named = mutations.iter().filter_map(|mutation| schema.entity(&mutation.entity));
    named.any(|entity| entity.access.rule(Operation::Read) != &Expr::Constant(true))
}

/// Whether an entity looks as if it did not exist to a caller who wants to do this with it.
pub fn is_absent(entity: &Entity, operation: Operation, principal: &Principal) -> bool {
    is_closed(entity, principal)
        && !(operation == Operation::Create && may_ever(entity, operation, principal))
}

fn operation(verb: Verb) -> Operation {
    match verb {
        Verb::Create => Operation::Create,
        Verb::Update | Verb::Replace => Operation::Update,
        Verb::Delete => Operation::Delete,
    }
}
