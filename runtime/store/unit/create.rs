//! A create: judged on the record as it will be, with its lookups. Does not know the rest of the unit.

use super::fault::{Fault, refuse};
use super::lookups;
use super::permission::Attempt;
use super::sequences::{self, Numbering};
use super::transaction::{Inserted, Transaction};
use super::work::{NewRecord, Work};
use super::writes::{References, settle};
use crate::ids::RecordId;
use crate::schema::{Operation, Record};
use crate::store::images::Images;
use crate::store::relations::Relation;
use crate::store::{ChangeOp, CommitError, OpResult, OpStatus, Rows};

impl<'a, T: Transaction> Work<'a, T> {
    pub(super) async fn create(
        &mut self,
        at: usize,
        relation: &'a Relation,
        new: NewRecord,
    ) -> Result<OpResult, Fault<T::Error>> {
        let NewRecord { id, mut values, fresh_id } = new;
        values.iter_mut().for_each(settle);
        let references = References { of: &id, values: &values };
        self.require_references(at, relation, references, |_| true).await?;
        lookups::fill(&*self.transaction, self.context, relation, &id, &mut values).await?;
        let unwritten = Numbering { old: None, named: &[] };
        let given = sequences::number(&*self.transaction, at, relation, unwritten, &mut values).await?;
        let taken = !fresh_id && self.transaction.exists(relation, id.as_str()).await?;
        let buried = if fresh_id { 0 } else { self.transaction.deleted_version(relation, &id).await? };
        let at_time = self.log.at;
        let record = Record { id, version: 1 + buried, created_at: at_time, updated_at: at_time, values };
        let attempt = Attempt { op: at, operation: Operation::Create, record: &record, proposal: None };
        self.permission.require(&*self.transaction, &relation.entity, attempt).await?;
        if taken {
            return refuse(CommitError::IdTaken { op: at });
        }
        self.check_return(relation, &record.id).await?;
        let after = record.to_json(&relation.entity);
        self.log.reserve(after.len())?;
        self.wrote_unique(at, relation, &record, |_| true).await?;
        if self.transaction.insert(relation, &record).await? == Inserted::IdTaken {
            return refuse(CommitError::IdTaken { op: at });
        }
        sequences::give(self.transaction, relation, given).await?;
        if fresh_id {
            self.newest_id = self.newest_id.max(record.id.made_at());
        }
        let id = record.id.clone();
        let images = Images { after: Some(after), ..Images::default() };
        self.enter(relation, ChangeOp::Create, images, Rows { old: None, new: Some(record) });
        let record = self.shown(relation, self.log.entries.len() - 1).await?;
        Ok(OpResult { id, status: OpStatus::Created, record })
    }

    async fn check_return(&mut self, relation: &Relation, id: &RecordId) -> Result<(), Fault<T::Error>> {
        match self.end_checks.returns(&*self.transaction, self.context, relation, id).await {
            Ok(()) => Ok(()),
            Err(fault) => Err(self.permission.discreet(&*self.transaction, fault).await),
        }
    }
}
