//! A delete, and what goes or changes with it. Does not know the rest of the unit.

use super::cascade::{self, Cascade};
use super::end_checks::Judged;
use super::fault::Fault;
use super::keys::{self, RecordKey, TOGETHER};
use super::permission::Attempt;
use super::propagation::{self, Drafts};
use super::transaction::Transaction;
use super::work::Work;
use crate::ids::RecordId;
use crate::schema::{Operation, Record};
use crate::store::relations::Relation;
use crate::store::{OpResult, OpStatus};

impl<'a, T: Transaction> Work<'a, T> {
    pub(super) async fn delete(
        &mut self,
        at: usize,
        relation: &'a Relation,
        id: RecordId,
        if_version: Option<u64>,
    ) -> Result<OpResult, Fault<T::Error>> {
        let record = self.current(at, relation, &id, if_version).await?;
        let attempt = Attempt { op: at, operation: Operation::Delete, record: &record, proposal: None };
        self.permission.require(&*self.transaction, &relation.entity, attempt).await?;
        if relation.referrers.is_empty() {
            self.remove(relation, record).await?;
        } else {
            self.cascade(at, relation, record).await?;
        }
        Ok(OpResult { id, status: OpStatus::Deleted, record: None })
    }

    /// The record goes, and all that loses a reference, or goes, because it goes. Records that refer come before those that they
    /// refer to, and the records by which people have their rights last, so that a user who loses a right with
    /// them still sees what else happens (SEMANTICS R12).
    async fn cascade(
        &mut self,
        at: usize,
        relation: &'a Relation,
        root: Record,
    ) -> Result<(), Fault<T::Error>> {
        let key = RecordKey { entity: relation.entity.name.clone(), id: root.id.clone() };
        let plan = cascade::plan(&*self.transaction, self.context, at, key).await?;
        let Cascade { cleared, mut going, blocked } = plan;
        if let (Judged::Each, Some(one)) = (self.judged, blocked.first()) {
            let restricted = Fault::Refused(one.error());
            return Err(self.permission.discreet(&*self.transaction, restricted).await);
        }
        let drafts = propagation::follow(&*self.transaction, self.context, at, cleared, &going).await?;
        self.log.has_room(drafts.len() + going.len())?;
        self.end_checks.blocked(blocked);
        let rights = &self.context.relations.rights;
        let gives_rights = |key: &RecordKey| rights.holds(&key.entity);
        let (late_drafts, drafts): (Drafts, Drafts) =
            drafts.into_iter().partition(|(key, _)| gives_rights(key));
        let root_is_last = going.pop().is_some_and(|root| gives_rights(&root));
        let (late, early): (Vec<RecordKey>, Vec<RecordKey>) = going.into_iter().partition(gives_rights);
        let mut root = Some(root);
        self.carry_out(at, drafts).await?;
        self.remove_all(&early).await?;
        if !root_is_last && let Some(root) = root.take() {
            self.remove(relation, root).await?;
        }
        self.carry_out(at, late_drafts).await?;
        self.remove_all(&late).await?;
        match root {
            Some(root) => self.remove(relation, root).await,
            None => Ok(()),
        }
    }

    async fn remove_all(&mut self, keys: &[RecordKey]) -> Result<(), Fault<T::Error>> {
        for keys in keys.chunks(TOGETHER) {
            let asked: Vec<&RecordKey> = keys.iter().collect();
            let records = keys::records(&*self.transaction, self.context, &asked).await?;
            for (key, record) in keys.iter().zip(records) {
                if let Some(record) = record {
                    self.remove(self.context.relation(&key.entity)?, record).await?;
                }
            }
        }
        Ok(())
    }
}
