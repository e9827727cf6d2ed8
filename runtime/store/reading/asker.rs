//! Who asks, and what one transaction knows of them: from it come the read scopes of several entities.
//!
//! Knows neither which rows are then read nor what a write is judged by.

use std::sync::Arc;

use crate::rules::{BindError, Needs, Principal, ReadScope, is_closed};
use crate::schema::{Entity, Generation};
use crate::store::principal::{USER, principal};
use crate::store::relations::{Relation, Relations};
use crate::store::source::Source;
use crate::store::{StoreError, Who};

pub enum KnownAsker {
    System,
    Person(Principal),
    ReadScope(Arc<ReadScope>),
}

impl KnownAsker {
    /// Enough for rules with these needs.
    pub async fn read<S: Source>(
        source: &S,
        relations: &Relations,
        who: &Who,
        needs: &Needs,
    ) -> Result<KnownAsker, S::Error> {
        Ok(match who {
            Who::System => KnownAsker::System,
            Who::Person(person) => KnownAsker::Person(principal(source, relations, person, needs).await?),
            Who::ReadScope(read_scope) => KnownAsker::ReadScope(read_scope.clone()),
        })
    }

    /// Which records of an entity they may ask for by their ids.
    pub fn read_scope(&self, of: &Relation, generation: Generation) -> Result<Arc<ReadScope>, StoreError> {
        self.scope(of, generation, ReadScope::bind)
    }

    /// Which records of an entity are in their lists.
    pub fn list_scope(&self, of: &Relation, generation: Generation) -> Result<Arc<ReadScope>, StoreError> {
        self.scope(of, generation, ReadScope::bind_list)
    }

    fn scope(
        &self,
        of: &Relation,
        generation: Generation,
        bind: fn(&Arc<Entity>, Generation, &Principal) -> Result<ReadScope, BindError>,
    ) -> Result<Arc<ReadScope>, StoreError> {
        match self {
            KnownAsker::System => Ok(Arc::new(ReadScope::everything(&of.entity, generation))),
            KnownAsker::Person(principal) if is_closed(&of.entity, principal) => {
                Err(StoreError::Closed(of.entity.name.clone()))
            }
            KnownAsker::Person(principal) => {
                bind(&of.entity, generation, principal).map(Arc::new).map_err(StoreError::Rule)
            }
            KnownAsker::ReadScope(read_scope) if read_scope.generation != generation => {
                Err(StoreError::StaleGeneration)
            }
            KnownAsker::ReadScope(read_scope) if read_scope.entity.name != of.entity.name => {
                let (bound, asked) = (&read_scope.entity.name, &of.entity.name);
                Err(StoreError::Storage(format!("{asked} was asked for with a read_scope of {bound}")))
            }
            KnownAsker::ReadScope(read_scope) => Ok(read_scope.clone()),
        }
    }
}

/// Which records of one entity a user may ask for by their ids.
pub async fn read_scope<S: Source<Error: Into<StoreError>>>(
    source: &S,
    relations: &Relations,
    of: &Relation,
    generation: Generation,
    who: &Who,
) -> Result<Arc<ReadScope>, StoreError> {
    let known = KnownAsker::read(source, relations, who, &of.read_needs).await.map_err(Into::into)?;
    known.read_scope(of, generation)
}

/// Which records of one entity are in a user's lists.
pub async fn list_scope<S: Source<Error: Into<StoreError>>>(
    source: &S,
    relations: &Relations,
    of: &Relation,
    generation: Generation,
    who: &Who,
) -> Result<Arc<ReadScope>, StoreError> {
    let known = KnownAsker::read(source, relations, who, &of.read_needs).await.map_err(Into::into)?;
    known.list_scope(of, generation)
}

/// Whether there is a `User` record of the caller. The owner of the folder needs none.
pub async fn is_known<S: Source>(source: &S, relations: &Relations, who: &Who) -> Result<bool, S::Error> {
    let (Who::Person(person), Some(users)) = (who, relations.get(USER)) else { return Ok(true) };
    match person.id.as_deref() {
        Some(id) => source.exists(users, id).await,
        None => Ok(true),
    }
}
