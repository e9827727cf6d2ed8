//! One record as a person sees it, what rules may ask of a person, and the log.

use std::sync::Arc;

use super::SnapshotReads;
use super::asker;
use super::snapshot::Snapshot;
use crate::ids::{RecordId, Seq};
use crate::rules::{Person, Principal, ReadScope};
use crate::schema::Generation;
use crate::store::images::shown;
use crate::store::principal;
use crate::store::relations::Relation;
use crate::store::{LogLimit, LogPage, StoreError, Stored, Who};

impl<S: Snapshot> SnapshotReads<'_, S> {
    pub async fn find(&self, entity: &str, id: &RecordId, who: &Who) -> Result<Option<Stored>, StoreError> {
        let of = self.relation(entity)?;
        let read_scope = self.read_scope(of, who).await?;
        let record = self.snapshot.record(of, id.as_str()).await.map_err(Into::into)?;
        let seen = record.filter(|record| read_scope.sees(record));
        Ok(seen.map(|record| shown(&record, &read_scope)))
    }

    /// Everything that the read rules of the schema need.
    pub async fn principal(&self, person: &Arc<Person>) -> Result<Principal, StoreError> {
        let needs = &self.relations.read_needs;
        principal::principal(self.snapshot, self.relations, person, needs).await.map_err(Into::into)
    }

    pub async fn log(&self, after: Seq, limit: LogLimit) -> Result<LogPage, StoreError> {
        if after < self.at.floor {
            return Ok(LogPage::BelowFloor);
        }
        let changes = self.snapshot.log(after, limit).await.map_err(Into::into)?;
        let to = changes.last().map_or(after, |change| change.seq);
        Ok(LogPage::Changes { changes, to })
    }

    pub(super) async fn read_scope(&self, of: &Relation, who: &Who) -> Result<Arc<ReadScope>, StoreError> {
        asker::read_scope(self.snapshot, self.relations, of, self.at.generation, who).await
    }

    pub(super) fn relation(&self, entity: &str) -> Result<&Relation, StoreError> {
        self.relations.get(entity).ok_or_else(|| StoreError::UnknownEntity(entity.to_owned()))
    }

    /// For columns that were named under this generation.
    pub(super) fn relation_at(&self, generation: Generation, entity: &str) -> Result<&Relation, StoreError> {
        if generation == self.at.generation {
            self.relation(entity)
        } else {
            Err(StoreError::StaleGeneration)
        }
    }
}
