//! What the server does after an operation because the schema says so: `[[on]]` (SEMANTICS X3). It runs in the operation's own unit,
//! directly after it, and no access rule judges it.
//!
//! Knows neither files nor why an operation happened. What it writes, it writes as every operation does.

use std::sync::Arc;

use super::caused::FIRST_CAUSED;
use super::end_checks::unique_values;
use super::fault::{Fault, refuse};
use super::permission::Permission;
use super::transaction::Transaction;
use super::work::{Edit, NewRecord, Work};
use crate::ids::{RecordId, Timestamp};
use crate::rules::{Asker, Principal, Proposal, Subject};
use crate::schema::{
    Column, EntityName, FieldIndex, KeyFields, OnExisting, Operation, Record, ReferencePath, SetField,
    SetValue, Trigger, TriggerAct, TriggerTarget, Value, defaults, limits,
};
use crate::store::principal;
use crate::store::relations::Relation;
use crate::store::{ChangeOp, CommitError, Rows};

/// One entry, and the table that is looked at next.
struct TriggerStep {
    entry: usize,
    next: usize,
}

/// What a trigger runs on.
struct Happened<'r> {
    /// After the operation; before it in a delete.
    record: &'r Record,
    /// Before an update.
    old: Option<&'r Record>,
    writer: Option<Arc<str>>,
    at: Timestamp,
    /// What lies behind references that the trigger names.
    reached: Vec<(&'r ReferencePath, Value)>,
}

/// The event of a log entry.
pub(super) fn event(op: ChangeOp) -> Option<Operation> {
    match op {
        ChangeOp::Create => Some(Operation::Create),
        ChangeOp::Update => Some(Operation::Update),
        ChangeOp::Delete => Some(Operation::Delete),
        ChangeOp::Schema => None,
    }
}

impl<'a, T: Transaction> Work<'a, T> {
    /// Does what the entries since the last time cause, and what that causes in turn: each directly after what caused it, in the
    /// order of the file. The checker has made sure that this ends.
    pub(super) async fn react(&mut self, at: usize) -> Result<(), Fault<T::Error>> {
        let mut steps = Vec::new();
        self.take_caused(&mut steps);
        while let Some(TriggerStep { entry, next }) = steps.pop() {
            let change = &self.log.entries[entry];
            let relation = self.context.relation(&change.entity)?;
            let Some(trigger) = relation.entity.triggers.get(next) else { continue };
            steps.push(TriggerStep { entry, next: next + 1 });
            if event(change.op) != Some(trigger.event) {
                continue;
            }
            let rows = change.rows(&relation.entity).clone();
            self.run_trigger(at, &relation.entity.name, trigger, &rows).await?;
            self.take_caused(&mut steps);
        }
        Ok(())
    }

    /// The first entry comes first.
    fn take_caused(&mut self, steps: &mut Vec<TriggerStep>) {
        steps.extend(self.caused.entries.drain(..).rev().map(|entry| TriggerStep { entry, next: 0 }));
    }

    async fn run_trigger(
        &mut self,
        at: usize,
        entity: &EntityName,
        trigger: &'a Trigger,
        rows: &Rows,
    ) -> Result<(), Fault<T::Error>> {
        let (record, old) = match (&rows.new, &rows.old) {
            (Some(new), old) => (new, old.as_ref()),
            (None, Some(old)) => (old, None),
            (None, None) => return Ok(()),
        };
        let writer = self.permission.person().and_then(|person| person.id.clone());
        let happened = Happened { record, old, writer, at: self.log.at, reached: Vec::new() };
        if !self.is_wanted(at, trigger, &happened).await? {
            return Ok(());
        }
        let op = FIRST_CAUSED + self.caused.operations.len();
        self.caused.operations.push((at, entity.clone()));
        let reached = self.reach(op, &trigger.act, &happened).await?;
        let happened = Happened { reached, ..happened };
        let server = Permission::new(self.context.relations, &Asker::System, self.log.at);
        let person = std::mem::replace(&mut self.permission, server);
        let done = self.perform(op, &trigger.act, &happened).await;
        self.permission = person;
        self.permission.forget();
        self.caused.forget_principal();
        done
    }

    async fn is_wanted(
        &mut self,
        at: usize,
        trigger: &Trigger,
        happened: &Happened<'_>,
    ) -> Result<bool, Fault<T::Error>> {
        let Some(when) = &trigger.when else { return Ok(true) };
        if self.caused.principal.is_none() {
            let relations = self.context.relations;
            self.caused.principal = Some(match self.permission.person() {
                Some(person) if relations.trigger_needs.is_empty() => Principal::unread(person.clone()),
                Some(person) => {
                    let needs = &relations.trigger_needs;
                    principal::principal(&*self.transaction, relations, person, needs).await?
                }
                None => Principal::nobody(),
            });
        }
        let Some(principal) = &self.caused.principal else { return Ok(false) };
        let named = happened.old.map_or_else(Vec::new, |old| changed(old, happened.record));
        let proposal = happened.old.map(|old| Proposal { values: &old.values, named: &named });
        let subject = Subject { principal, record: happened.record, proposal };
        let facts = &mut self.permission.facts;
        Ok(facts.condition(&*self.transaction, at, &when.meaning, subject).await?.grants())
    }

    /// Everything behind references that the action names, read before the first of it is written.
    async fn reach<'r>(
        &mut self,
        op: usize,
        act: &'r TriggerAct,
        happened: &Happened<'r>,
    ) -> Result<Vec<(&'r ReferencePath, Value)>, Fault<T::Error>> {
        let (set, target) = match act {
            TriggerAct::Create { set, .. } => (&set[..], None),
            TriggerAct::Update { of, set } => (&set[..], Some(&of.value)),
            TriggerAct::Delete { of } => (&[][..], Some(&of.value)),
        };
        let mut reached = Vec::new();
        for source in set.iter().map(|set| &set.value).chain(target) {
            let parts =
                if let SetValue::Joined(parts) = source { &parts[..] } else { std::slice::from_ref(source) };
            for part in parts {
                let SetValue::Behind(path) = part else { continue };
                let (record, old) = (happened.record, happened.old);
                let facts = &mut self.permission.facts;
                let value = facts.behind(&*self.transaction, op, path, record, old).await?;
                reached.push((&**path, value));
            }
        }
        Ok(reached)
    }

    async fn perform(
        &mut self,
        op: usize,
        act: &'a TriggerAct,
        happened: &Happened<'_>,
    ) -> Result<(), Fault<T::Error>> {
        match act {
            TriggerAct::Create { entity, set, exists } => {
                let relation = self.context.relation(entity)?;
                let values = self.new_values(op, relation, set, happened)?;
                let skips = *exists == OnExisting::Skip && self.is_there(relation, &values).await?;
                if !skips {
                    let id = RecordId::from_uuid(self.context.env.uuid_v7());
                    self.create(op, relation, NewRecord { id, values, fresh_id: true }).await?;
                }
            }
            TriggerAct::Update { of, set } => {
                let relation = self.context.relation(&of.entity)?;
                let set = values(op, relation, set, happened)?;
                for id in self.targets(relation, of, happened).await? {
                    let edit = Edit { set: set.clone(), omitted: Vec::new(), if_version: None };
                    self.update(op, relation, id, edit).await?;
                }
            }
            TriggerAct::Delete { of } => {
                let relation = self.context.relation(&of.entity)?;
                for id in self.targets(relation, of, happened).await? {
                    // One may have gone with another.
                    if self.transaction.exists(relation, id.as_str()).await? {
                        self.delete(op, relation, id, None).await?;
                    }
                }
            }
        }
        Ok(())
    }

    fn new_values(
        &self,
        op: usize,
        relation: &Relation,
        set: &[SetField],
        happened: &Happened<'_>,
    ) -> Result<Vec<Value>, Fault<T::Error>> {
        let fields = &relation.entity.fields;
        let env = self.context.env;
        let default = |field| defaults::value_of(field, happened.writer.as_ref(), happened.at, env);
        let mut all: Vec<Value> = fields.iter().map(default).collect();
        values(op, relation, set, happened)?.into_iter().for_each(|(field, value)| all[field.0] = value);
        let lacks = |(field, value): (&crate::schema::Field, &Value)| {
            value.is_null() && field.required && field.lookup.is_none()
        };
        match fields.iter().zip(&all).any(lacks) {
            true => refuse(unfit(op)),
            false => Ok(all),
        }
    }

    /// Whether a record has the unique values of one field, or of one `[[unique]]`.
    async fn is_there(&self, relation: &Relation, values: &[Value]) -> Result<bool, T::Error> {
        for unique in &relation.unique {
            let Some(values) = unique_values(&unique.fields, values) else { continue };
            let found = self.transaction.ids_holding(relation, unique, &[values], 1).await?;
            if found.iter().any(|ids| !ids.is_empty()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn targets(
        &self,
        relation: &Relation,
        of: &TriggerTarget,
        happened: &Happened<'_>,
    ) -> Result<Vec<RecordId>, Fault<T::Error>> {
        let value = value(&of.value, happened);
        let most = self.context.config.unit_entries + 1;
        let found = match (of.column, &value) {
            (_, Value::Null) => Vec::new(),
            (Column::Id, Value::Text(id)) => {
                let is_there = self.transaction.exists(relation, id).await?;
                return Ok(is_there.then(|| RecordId::stored(id)).into_iter().collect());
            }
            (Column::Field(field), value) => {
                let key = KeyFields::exact(vec![field]);
                self.transaction.ids_holding(relation, &key, &[vec![value]], most).await?
            }
            (Column::Id | Column::Version | Column::CreatedAt | Column::UpdatedAt, _) => Vec::new(),
        };
        let ids: Vec<RecordId> = found.into_iter().flatten().collect();
        self.log.has_room(ids.len())?;
        Ok(ids)
    }
}

fn unfit(op: usize) -> CommitError {
    CommitError::Unfit { op }
}

/// The fields of a set, each within the limits of its field.
fn values<E>(
    op: usize,
    relation: &Relation,
    set: &[SetField],
    happened: &Happened<'_>,
) -> Result<Vec<(FieldIndex, Value)>, Fault<E>> {
    let mut all = Vec::with_capacity(set.len());
    for SetField { field, value: source } in set {
        let target = relation.entity.at(*field);
        let value = target.normalized(value(source, happened));
        if (value.is_null() && target.required) || !limits::are_kept(target, &value) {
            return refuse(unfit(op));
        }
        all.push((*field, value));
    }
    Ok(all)
}

fn value(source: &SetValue, happened: &Happened<'_>) -> Value {
    match source {
        SetValue::Constant(value) => value.clone(),
        SetValue::Column(column) => as_stored(*column, happened.record.value(*column)),
        SetValue::Behind(path) => {
            let found = happened.reached.iter().find(|(other, _)| *other == &**path);
            found.map_or(Value::Null, |(_, value)| as_stored(path.column, value.clone()))
        }
        SetValue::Old(field) => happened.old.map_or(Value::Null, |old| old.values[field.0].clone()),
        SetValue::UserId => happened.writer.as_ref().map_or(Value::Null, |id| Value::Text(id.to_string())),
        SetValue::Now => Value::Text(happened.at.rfc3339()),
        SetValue::Today => Value::Text(happened.at.rfc3339().chars().take(10).collect()),
        SetValue::Joined(parts) => {
            let mut text = String::new();
            for part in parts {
                let Value::Text(part) = value(part, happened) else { return Value::Null };
                text.push_str(&part);
            }
            Value::Text(text)
        }
    }
}

/// A time of the record itself is a number of milliseconds, and a datetime in a field.
fn as_stored(column: Column, value: Value) -> Value {
    match (column, value) {
        (Column::CreatedAt | Column::UpdatedAt, Value::Int(time)) => Value::Text(Timestamp(time).rfc3339()),
        (_, value) => value,
    }
}

/// A value that there is not counts as one.
fn changed(old: &Record, new: &Record) -> Vec<FieldIndex> {
    let fields = old.values.iter().zip(&new.values).enumerate();
    fields.filter(|(_, (old, new))| old != new).map(|(at, _)| FieldIndex(at)).collect()
}

/// Whether an update is more than a copy of lookups, which causes nothing.
pub(super) fn is_own_update(relation: &Relation, rows: &Rows) -> bool {
    let (Some(old), Some(new)) = (&rows.old, &rows.new) else { return true };
    changed(old, new).into_iter().any(|field| relation.entity.at(field).lookup.is_none())
}
