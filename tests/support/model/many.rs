//! The model's changes of many records: each by itself, and a copy of all there is to go back to.

use std::sync::Arc;

use tidewire::ids::RecordId;
use tidewire::rules::Asker as Whose;
use tidewire::schema::{Entity, Operation};
use tidewire::store::{ChangeCause, ChangeOp, CommitError, Many, ManyEdit, OpResult, OpStatus, Tally, Who};

use super::sight::Sight;
use super::unit::Draft;
use crate::support::oracle::Everything;

impl Draft<'_> {
    pub(super) fn many(&mut self, entity: &Arc<Entity>, many: &Many) -> Result<OpResult, CommitError> {
        let mut tally = Tally { changed: 0, refused: 0, more: many.more };
        let mut last = RecordId::stored("");
        for (place, id) in many.ids.iter().enumerate() {
            if self.is_selected(entity, many, id) {
                let (state, size) = (self.state.clone(), self.size());
                let (setters, blocked) = (self.setters.clone(), self.blocked.len());
                let done = self.one_of_many(place, entity, id, &many.edit);
                match done.and_then(|status| self.react(place).map(|_| status)) {
                    Ok(OpStatus::Unchanged) => {}
                    Ok(_) => tally.changed += 1,
                    Err(CommitError::Forbidden { .. }) => {
                        tally.refused += 1;
                        self.state = state;
                    }
                    Err(CommitError::UnitTooLarge { entries, .. })
                        if place > 0 && [size.0, entries].contains(&self.size().0) =>
                    {
                        (self.state, self.setters) = (state, setters);
                        self.blocked.truncate(blocked);
                        self.take_back(size);
                        tally.more = true;
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            last = id.clone();
        }
        Ok(OpResult { id: last, status: OpStatus::Many(tally), record: None })
    }

    fn is_selected(&self, entity: &Entity, many: &Many, id: &RecordId) -> bool {
        let who = match &self.unit.asker {
            Whose::System => Who::System,
            Whose::Person(person) => Who::Person(person.clone()),
        };
        let sight = Sight::of(&self.store.schema, &self.state.records, &who);
        let record = self.state.records.get(&(entity.name.clone(), id.clone()));
        record.is_some_and(|record| sight.passes(entity, record, &many.filter))
    }

    fn one_of_many(
        &mut self,
        place: usize,
        entity: &Arc<Entity>,
        id: &RecordId,
        edit: &ManyEdit,
    ) -> Result<OpStatus, CommitError> {
        match edit {
            ManyEdit::Update(set) => Ok(self.update(place, entity, (id, None), set, &[])?.status),
            ManyEdit::Delete | ManyEdit::Expire => {
                let judge = self.judge();
                let record = self.current(place, entity, id, None, &judge)?;
                let everything = Everything { records: &self.state.records, now: self.unit.at };
                judge.require((place, Operation::Delete), entity, &record, (None, everything))?;
                let from = self.entries.len();
                self.delete(place, entity, id)?;
                if matches!(edit, ManyEdit::Expire) {
                    self.expired(from, entity, id);
                }
                Ok(OpStatus::Deleted)
            }
        }
    }

    /// Of what was entered since, the delete of this record says why.
    fn expired(&mut self, from: usize, entity: &Entity, id: &RecordId) {
        for entry in &mut self.entries[from..] {
            let change = &entry.change;
            if change.op == ChangeOp::Delete && change.entity == entity.name && change.id == *id {
                Arc::make_mut(&mut entry.change).cause = Some(ChangeCause::Expired);
            }
        }
    }
}
