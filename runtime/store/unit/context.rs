//! What every unit of one opening of a database has in common. Knows no transaction.

use super::fault::{Fault, refuse};
use crate::config::StoreConfig;
use crate::env::Env;
use crate::schema::Generation;
use crate::store::CommitError;
use crate::store::relations::{Relation, Relations};

#[derive(Clone, Copy)]
pub struct UnitContext<'a> {
    pub relations: &'a Relations,
    pub config: &'a StoreConfig,
    pub generation: Generation,
    /// For the ids of records that the server makes.
    pub env: &'a Env,
}

impl<'a> UnitContext<'a> {
    /// An entity that there is not was validated under another schema.
    pub(super) fn relation<E>(&self, entity: &str) -> Result<&'a Relation, Fault<E>> {
        self.relations.get(entity).map_or_else(|| refuse(CommitError::StaleGeneration), Ok)
    }
}
