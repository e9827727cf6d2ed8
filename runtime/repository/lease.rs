//! Leases of records: from the name of a resource, `Task/<id>`, to a unit of the store.
//!
//! Knows no connection: who is there, and for how long a lease lasts, is said by its caller.

use std::sync::Arc;

use super::error::{self, RepositoryError};
use super::unit_refusal::of_lease;
use super::{Repository, entity_of, pass_on, validate};
use crate::rules::{Asker, Person};
use crate::store::{
    At, CommitError, LeaseAct, LeaseOp, LeaseState, Op, OpStatus, RecordLease, Unit, Witness,
};

/// What is wanted of the lease of a record.
#[derive(Debug, Clone)]
pub struct LeaseRequest {
    /// Name of the entity.
    pub entity: Arc<str>,
    pub id: Arc<str>,
    pub act: LeaseAct,
}

impl Repository {
    /// The id as records have it: a UUID may be written in other ways.
    pub fn lease_id(&self, entity: &str, id: &Arc<str>) -> Arc<str> {
        let current = self.current();
        let entity = entity_of(&current.schema, entity).ok();
        let known = entity.and_then(|entity| validate::address(entity, id).ok());
        known.map_or_else(|| id.clone(), |id| id.shared())
    }

    /// By the rights of a person; `None` is the server itself, which only ends leases.
    pub async fn lease(
        &self,
        person: Option<&Arc<Person>>,
        request: &LeaseRequest,
    ) -> Result<LeaseState, RepositoryError> {
        match self.lease_once(person, request).await {
            Err(RepositoryError::SchemaChanged) => self.lease_once(person, request).await,
            settled => settled,
        }
    }

    async fn lease_once(
        &self,
        person: Option<&Arc<Person>>,
        request: &LeaseRequest,
    ) -> Result<LeaseState, RepositoryError> {
        let current = self.current();
        let missing =
            || RepositoryError::NotFound { entity: request.entity.clone(), id: request.id.to_string() };
        // What a caller may not see is missing in the same words as what there is not.
        let entity = entity_of(&current.schema, &request.entity).map_err(|_| missing())?;
        let id = validate::address(entity, &request.id).map_err(|_| missing())?;
        let op = LeaseOp { entity: entity.name.clone(), id, act: request.act.clone() };
        let witness = Arc::<Witness>::default();
        let unit = Unit {
            ops: vec![Op::Lease(Box::new(op))],
            actor: person.and_then(|person| person.id.clone()),
            asker: person.map_or(Asker::System, |person| Asker::Person(person.clone())),
            idempotency: None,
            leases: Vec::new(),
            generation: current.generation,
            at: self.env.now(),
            witness: Some(witness.clone()),
        };
        match self.store.commit(unit).await {
            Ok(outcome) => match outcome.results.first().map(|result| result.status) {
                Some(OpStatus::Lease(state)) => Ok(state),
                Some(_) | None => {
                    Err(RepositoryError::Storage("a lease came back as something else".to_owned()))
                }
            },
            Err(refusal) => {
                pass_on(&witness, 0);
                let gone = matches!(refusal, CommitError::NotFound { .. });
                Err(if gone { missing() } else { of_lease(refusal, &entity.name) })
            }
        }
    }

    /// What was held when the server stopped.
    pub async fn leases(&self) -> Result<At<Vec<RecordLease>>, RepositoryError> {
        self.store.leases().await.map_err(error::of_read)
    }
}
