//! `Intake`: records from a file on their way into the store, checked as those of a client are.
//!
//! Knows no file and commits nothing. Unlike a client, an import acts for the owner of the data and may set readonly fields.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::body::Body;
use super::error::RepositoryError;
use super::mutation::Mutation;
use super::nameable::Nameable;
use super::unit_refusal::UnitRefusal;
use super::validate::{Readonly, Validator};
use crate::auth::Identity;
use crate::env::Env;
use crate::ids::{RecordId, Timestamp};
use crate::schema::{Entity, Schema};
use crate::store::{CommitError, Op};

/// Checks the records of one entity.
pub struct Intake {
    schema: Arc<Schema>,
    entity: Arc<Entity>,
    caller: Identity,
    names: Nameable,
    env: Env,
    at: Timestamp,
}

impl Intake {
    /// Every record is written as of `at`, with no author.
    pub fn new(schema: Arc<Schema>, entity: Arc<Entity>, at: Timestamp, env: Env) -> Intake {
        let caller = Identity::nobody(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Intake { schema, entity, caller, names: Nameable::everything(), env, at }
    }

    /// The id that the record brings, canonical; `None` when it brings none, or one that cannot be an id.
    pub fn id(&self, body: &Body) -> Option<RecordId> {
        super::validate::address(&self.entity, body.text("id")?).ok()
    }

    pub fn create(&self, body: &Body) -> Result<Op, RepositoryError> {
        self.op(&Mutation::create(&self.entity.name, body.clone()))
    }

    /// Sets the fields that the record brings.
    pub fn update(&self, id: &RecordId, body: &Body) -> Result<Op, RepositoryError> {
        self.op(&Mutation::update(&self.entity.name, id.as_str(), body.clone()))
    }

    /// The store's refusal of one record, in the words of the request.
    pub fn explain(&self, refusal: CommitError) -> RepositoryError {
        UnitRefusal::of_commit(refusal, &[Mutation::create(&self.entity.name, Body::default())]).alone()
    }

    fn op(&self, mutation: &Mutation) -> Result<Op, RepositoryError> {
        let validator = Validator {
            schema: &self.schema,
            entity: &self.entity,
            caller: &self.caller,
            names: &self.names,
            at: self.at,
            env: &self.env,
            readonly: Readonly::Taken,
        };
        validator.op(mutation, || RecordId::from_uuid(self.env.uuid_v7()))
    }
}
