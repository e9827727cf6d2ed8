//! An update: judged on the stored record and on what it would become, then written with all that follows it.
//! Does not know the rest of the unit.

use indexmap::IndexSet;

use super::fault::Fault;
use super::keys::RecordKey;
use super::permission::Attempt;
use super::propagation::{self, Drafts};
use super::sequences::{self, Numbering};
use super::transaction::Transaction;
use super::work::{Edit, Work};
use super::writes::{References, settle};
use crate::ids::RecordId;
use crate::rules::Proposal;
use crate::schema::{FieldIndex, Operation, Record, Value};
use crate::store::relations::{LookupReach, Relation};
use crate::store::{OpResult, OpStatus};

impl<'a, T: Transaction> Work<'a, T> {
    pub(super) async fn update(
        &mut self,
        at: usize,
        relation: &'a Relation,
        id: RecordId,
        edit: Edit,
    ) -> Result<OpResult, Fault<T::Error>> {
        let entity = &relation.entity;
        let record = self.current(at, relation, &id, edit.if_version).await?;
        let hidden = self.permission.hidden(&*self.transaction, entity, &record).await?;
        let mut values = record.values.clone();
        let named = enter(edit, relation, &hidden, &mut values);
        // What a writer does not see is not compared: a reference that happens to be the stored one tells nothing.
        let changed = |field: FieldIndex| {
            values[field.0] != record.values[field.0] || (hidden.contains(&field) && named.contains(&field))
        };
        let references = References { of: &id, values: &values };
        self.require_references(at, relation, references, changed).await?;
        let numbering = Numbering { old: Some(&record), named: &named };
        let given = sequences::number(&*self.transaction, at, relation, numbering, &mut values).await?;
        let mut drafts = self.follow(at, relation, &record, &values).await;
        if let Ok(drafts) = &mut drafts
            && let Some((_, own)) = drafts.shift_remove_index(0)
        {
            own.into_iter().for_each(|(field, value)| values[field.0] = value);
        }
        let proposal = Some(Proposal { values: &values, named: &named });
        let attempt = Attempt { op: at, operation: Operation::Update, record: &record, proposal };
        self.permission.require(&*self.transaction, entity, attempt).await?;
        // A field that the writer does not see is written again whatever it held: that nothing changed would tell the value.
        let unseen = self.permission.hidden(&*self.transaction, entity, &record).await?;
        if values == record.values && !named.iter().any(|field| unseen.contains(field)) {
            let unchanged = self.permission.stored(&*self.transaction, relation, &record).await?;
            return Ok(OpResult { id, status: OpStatus::Unchanged, record: unchanged });
        }
        let drafts = drafts?;
        self.log.has_room(1 + drafts.len())?;
        self.rewrite(at, relation, record, values).await?;
        sequences::give(self.transaction, relation, given).await?;
        let entry = self.log.entries.len() - 1;
        self.carry_out(at, drafts).await?;
        Ok(OpResult { id, status: OpStatus::Updated, record: self.shown(relation, entry).await? })
    }

    /// The record, first, and all that follow it; nothing if no lookup depends on what changed.
    async fn follow(
        &self,
        at: usize,
        relation: &Relation,
        old: &Record,
        values: &[Value],
    ) -> Result<Drafts, Fault<T::Error>> {
        let changed = (0..values.len()).filter(|field| values[*field] != old.values[*field]);
        let fields: Vec<usize> = changed.collect();
        if fields.iter().all(|field| relation.reach[*field] == LookupReach::Nothing) {
            return Ok(Drafts::new());
        }
        let fields = fields.into_iter().map(|field| (FieldIndex(field), values[field].clone())).collect();
        let key = RecordKey { entity: relation.entity.name.clone(), id: old.id.clone() };
        let written = Drafts::from([(key, fields)]);
        propagation::follow(&*self.transaction, self.context, at, written, &IndexSet::new()).await
    }
}

/// Sets what an update sets, but keeps what the request left out and the writer does not see. Answers with the fields that the
/// request names.
fn enter(edit: Edit, relation: &Relation, hidden: &[FieldIndex], values: &mut [Value]) -> Vec<FieldIndex> {
    let Edit { set, omitted, .. } = edit;
    let mut named = Vec::with_capacity(set.len());
    for (field, mut value) in set {
        let kept = hidden.contains(&field) && omitted.contains(&field);
        if kept || relation.entity.at(field).lookup.is_some() {
            continue;
        }
        settle(&mut value);
        values[field.0] = value;
        named.push(field);
    }
    named
}
