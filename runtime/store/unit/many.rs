//! One change of many records (SEMANTICS X9): each is selected and judged for itself, in the order of their ids, on the state
//! that the ones before it left.
//!
//! Knows not how the records were found. It stops where the unit is full, and says after which record.

use super::fault::Fault;
use super::transaction::Transaction;
use super::work::{Edit, Work};
use crate::ids::RecordId;
use crate::rules::{BindError, ReadScope};
use crate::store::relations::Relation;
use crate::store::{CommitError, Condition, Many, ManyEdit, OpResult, OpStatus, Tally};

/// What became of one record.
enum Judgement {
    Changed,
    Refused,
    /// It is gone, not selected, hidden by now, or as it would become.
    PassedOver,
    /// It no longer fits into the unit, or the rules have looked at as many records as they may, and nothing of it was written.
    NoRoom,
}

impl<'a, T: Transaction> Work<'a, T> {
    pub(super) async fn many(
        &mut self,
        relation: &'a Relation,
        many: Many,
    ) -> Result<OpResult, Fault<T::Error>> {
        let Many { ids, more, filter, edit, .. } = many;
        let mut tally = Tally { changed: 0, refused: 0, more };
        let mut last = None;
        let mut selection = None;
        for (place, id) in ids.iter().enumerate() {
            let judgement = match self.is_selected(relation, &filter, &mut selection, id).await? {
                true => self.one_of_many(place, relation, id, &edit).await?,
                false => Judgement::PassedOver,
            };
            match judgement {
                Judgement::Changed => tally.changed += 1,
                Judgement::Refused => tally.refused += 1,
                Judgement::PassedOver => {}
                Judgement::NoRoom => {
                    tally.more = true;
                    break;
                }
            }
            last = Some(id.clone());
        }
        let id = last.unwrap_or_else(|| RecordId::stored(""));
        Ok(OpResult { id, status: OpStatus::Many(tally), record: None })
    }

    /// Asked of the record as it is by now. Rights that the unit itself changed are bound again.
    async fn is_selected(
        &mut self,
        relation: &Relation,
        filter: &[Condition],
        selection: &mut Option<ReadScope>,
        id: &RecordId,
    ) -> Result<bool, Fault<T::Error>> {
        let Some(record) = self.transaction.record(relation, id.as_str()).await? else { return Ok(false) };
        let scope = match selection.take().filter(|_| self.permission.is_settled()) {
            Some(scope) => scope,
            None => {
                let generation = self.context.generation;
                self.permission.selection(&*self.transaction, relation, generation, filter).await?
            }
        };
        Ok(selection.insert(scope).sees(&record))
    }

    async fn one_of_many(
        &mut self,
        place: usize,
        relation: &'a Relation,
        id: &RecordId,
        edit: &ManyEdit,
    ) -> Result<Judgement, Fault<T::Error>> {
        let mark = self.log.mark();
        match self.edit_one(place, relation, id, edit).await {
            Ok(OpStatus::Unchanged) => Ok(Judgement::PassedOver),
            Ok(_) => Ok(Judgement::Changed),
            Err(Fault::Refused(CommitError::Forbidden { .. })) => Ok(Judgement::Refused),
            // Records before it took it out of the writer's sight, as one does that disables their own account.
            Err(Fault::Refused(CommitError::NotFound { op })) if op == place => Ok(Judgement::PassedOver),
            Err(Fault::Refused(
                CommitError::UnitTooLarge { .. } | CommitError::Rule { error: BindError::UnitTooBroad, .. },
            )) if place > 0 && self.log.mark().entries == mark.entries => {
                self.log.back_to(mark);
                self.end_checks.take_back(place);
                Ok(Judgement::NoRoom)
            }
            Err(fault) => Err(fault),
        }
    }

    async fn edit_one(
        &mut self,
        place: usize,
        relation: &'a Relation,
        id: &RecordId,
        edit: &ManyEdit,
    ) -> Result<OpStatus, Fault<T::Error>> {
        let result = match edit {
            ManyEdit::Update(set) => {
                let edit = Edit { set: set.clone(), omitted: Vec::new(), if_version: None };
                self.update(place, relation, id.clone(), edit).await?
            }
            ManyEdit::Delete => self.delete(place, relation, id.clone(), None).await?,
            ManyEdit::Expire => {
                let before = self.log.mark();
                let result = self.delete(place, relation, id.clone(), None).await?;
                self.log.expired(before, relation, id);
                result
            }
        };
        self.react(place).await?;
        Ok(result.status)
    }
}
